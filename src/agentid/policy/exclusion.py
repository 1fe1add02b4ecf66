"""
Whether a value provably lies outside of a constraint.

That a constraint does not allow a value can mean two things: the value was judged and is outside, as 5 is outside
of `at_least(100)`, or it could not be judged at all, as the text `"5000"` cannot. A permission that allows may
treat both alike. A rule that *asks* must not: what it cannot judge, it has to ask about.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any, Final, cast

from agentid.constraint import Constraint
from agentid.permission import Permission

__all__ = ["may_concern"]

_NUMBERS: Final = (int, float, Decimal)
_TEXT: Final = frozenset({"starts_with", "ends_with", "matches_resource"})
_RANGES: Final = frozenset({"at_most", "at_least", "between"})
_COLLECTIONS: Final = frozenset({"subset_of", "contains"})


def may_concern(permission: Permission, arguments: Mapping[str, Any]) -> bool:
    """Whether *permission* applies to these arguments, as far as anyone can tell."""
    return not any(
        name in arguments and _excludes(constraint, arguments[name])
        for name, constraint in permission.constraints.items()
    )


def _excludes(constraint: Constraint, value: object) -> bool:
    kind = constraint.kind
    if kind == "all_of":
        return any(_excludes(part, value) for part in constraint.operands)
    if kind == "any_of":
        return all(_excludes(part, value) for part in constraint.operands)
    return _judges(constraint, value) and not constraint.allows(value)


def _judges(constraint: Constraint, value: object) -> bool:
    """Whether *value* is of a type that *constraint* can tell something about."""
    kind = constraint.kind
    if kind in _RANGES:
        return _is_number(value) and value == value  # noqa: PLR0124 -- NaN is in no range and outside of none
    if kind in _TEXT:
        return type(value) is str
    known = {operand[0] for operand in constraint.operands}
    if kind in _COLLECTIONS:
        if not isinstance(value, list | tuple | set | frozenset):
            return False
        return all(_is_of(known, element) for element in cast("Collection[Any]", value))
    return _is_of(known, value)


def _is_of(known: set[type], value: object) -> bool:
    return type(value) in known or (_is_number(value) and bool(known & set(_NUMBERS)))


def _is_number(value: object) -> bool:
    return type(value) in _NUMBERS
