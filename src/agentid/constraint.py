"""
What an argument must be like for a permission to apply: `at_most(100)`, `one_of("EUR", "USD")`, ….

A constraint is a set of values. `allows(value)` is membership; `covers(other)` is inclusion, decided by
rules that are sound for every pair and complete for each kind against itself. A pair that the rules do not
decide is *not covered*, so a delegated permission can only ever be refused for want of a proof.

Rules:

- Values are compared by type and value: `True` is not `1`, `1` is not `1.0`, text is compared in NFC.
- Ranges take numbers: `int`, `float` and `Decimal`, never `bool`, never NaN.
- A value of any other type, a subclass included, satisfies no constraint: it may lie about what it is.
- `covers` of `all_of` and `any_of` follows the order of a free lattice (Whitman's condition): reflexive, transitive.
- Nesting is at most 8 deep, and sizes are bounded, so that no comparison takes long: 16 for each constraint and 1 for
  each value, with 1 more for each 40 characters of text, are at most 1,024 in all.

Each has a JSON form, `{"at_most": 100}`, read by `from_data`. This module does no I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, cast

from agentid.errors import ConfigurationError, nearest, quote
from agentid.resource import Frozen, Resource, ResourcePattern
from agentid.segment import nfc, plain_text

__all__ = [
    "Constraint", "all_of", "any_of", "at_least", "at_most", "between", "contains", "ends_with", "exactly", "from_data",
    "matches_resource", "none_of", "one_of", "starts_with", "subset_of",
]  # fmt: skip

MAX_DEPTH: Final = 8
MAX_SIZE: Final = 1024
MAX_TEXT: Final = 4096
MAX_ELEMENTS: Final = 10_000  # in an argument that is a list; a longer one is not allowed
MAX_CHARACTERS: Final = 256 * 1024  # in all of them together

Scalar = str | int | float | bool | None
Tagged = tuple[type, Any]
"""A value with its type; a collection is `(frozenset, its tagged elements)`."""

_ODD: Final[Tagged] = (object, None)  # what nothing allows


class Constraint(Frozen):
    """
    A set of allowed values. Immutable, hashable; made by the functions of this module.

    *kind* is the name of the function that made it, *operands* its arguments in canonical form.
    """

    __slots__ = ("_hash", "depth", "kind", "members", "operands", "parts", "size")

    kind: str
    operands: tuple[Any, ...]
    members: frozenset[Any]
    parts: tuple[Constraint, ...]
    depth: int
    size: int

    def __init__(self, kind: str, operands: tuple[Any, ...]) -> None:
        parts = operands if kind in _COMBINERS else ()
        depth = max((1 + part.depth for part in parts), default=0)
        if kind == "between":
            parts = at_least(operands[0]), at_most(operands[1])
        size = _BASE_SIZE + sum(map(_size, map(_bare, operands)))
        if depth > MAX_DEPTH:
            raise _refuse(kind, f"constraints nest at most {MAX_DEPTH} deep")
        if size > MAX_SIZE:
            raise _refuse(kind, _TOO_LARGE)
        fields = (hash((kind, operands)), depth, kind, frozenset(operands), operands, parts, size)
        for name, value in zip(self.__slots__, fields, strict=True):
            object.__setattr__(self, name, value)

    def allows(self, value: object) -> bool:
        """Whether *value* is in the set. Never raises: what cannot be judged is not in it."""
        try:
            tagged = _tag_all(value) if type(value) in _COLLECTIONS else _tag(value)
            return _ALLOWS[self.kind](self, tagged, {})
        except Exception:  # noqa: BLE001 -- a value that breaks the comparison is no value that was allowed
            return False

    def covers(self, other: Constraint) -> bool:
        """Whether every value that *other* allows is allowed by this one, as far as the rules can tell."""
        return _covers(self, other, {})

    def to_data(self) -> dict[str, Any]:
        """The JSON form, such as `{"between": [1, 5]}`; `from_data` reads it back."""
        if self.kind in _COMBINERS:
            return {self.kind: [part.to_data() for part in self.parts]}
        if self.kind == "matches_resource":
            return {self.kind: str(self.operands[0])}
        values = list(map(_bare, self.operands))
        return {self.kind: values if self.kind in _LISTS else values[0]}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Constraint) and self.kind == other.kind and self.operands == other.operands

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"{self.kind}({', '.join(repr(_bare(operand)) for operand in self.operands)})"

    def __reduce__(self) -> tuple[object, ...]:
        return from_data, (self.to_data(),)


def exactly(value: Scalar) -> Constraint:
    """The one value, by type and value."""
    return Constraint("exactly", (_operand(value, "exactly"),))


def one_of(*values: Scalar) -> Constraint:
    """One of these values."""
    return Constraint("one_of", _operands(values, "one_of"))


def none_of(*values: Scalar) -> Constraint:
    """Any single value (text, number, truth value or nothing) but these, by type and value."""
    return Constraint("none_of", _operands(values, "none_of"))


def at_most(limit: float) -> Constraint:
    """A number up to and including *limit*."""
    return Constraint("at_most", (_number(limit, "at_most"),))


def at_least(limit: float) -> Constraint:
    """A number from *limit* upwards, including it."""
    return Constraint("at_least", (_number(limit, "at_least"),))


def between(low: float, high: float) -> Constraint:
    """A number from *low* to *high*, including both."""
    low, high = _number(low, "between"), _number(high, "between")
    if low > high:
        raise _refuse("between", "the lower bound comes first")
    return Constraint("between", (low, high))


def starts_with(prefix: str) -> Constraint:
    """Text that begins with *prefix*. For paths and addresses use `matches_resource`, which knows segments."""
    return Constraint("starts_with", (_text(prefix, "starts_with"),))


def ends_with(suffix: str) -> Constraint:
    """Text that ends with *suffix*."""
    return Constraint("ends_with", (_text(suffix, "ends_with"),))


def matches_resource(pattern: str | ResourcePattern) -> Constraint:
    """Text that names a resource which *pattern* matches."""
    read = pattern if isinstance(pattern, ResourcePattern) else ResourcePattern.parse(pattern)
    return Constraint("matches_resource", (read,))


def subset_of(*values: Scalar) -> Constraint:
    """A list, tuple or set that holds nothing but these values."""
    return Constraint("subset_of", _operands(values, "subset_of"))


def contains(*values: Scalar) -> Constraint:
    """A list, tuple or set that holds all of these values, and maybe others."""
    return Constraint("contains", _operands(values, "contains"))


def all_of(*parts: Constraint) -> Constraint:
    """A value that every part allows."""
    return Constraint("all_of", _parts(parts, "all_of"))


def any_of(*parts: Constraint) -> Constraint:
    """A value that at least one part allows."""
    return Constraint("any_of", _parts(parts, "any_of"))


_MAKERS: Mapping[str, Callable[..., Constraint]] = {
    make.__name__: make
    for make in (
        exactly, one_of, none_of, at_most, at_least, between, starts_with, ends_with,
        matches_resource, subset_of, contains, all_of, any_of,
    )
}  # fmt: skip
_LISTS: Final = frozenset({"one_of", "none_of", "between", "subset_of", "contains"})
_COMBINERS: Final = frozenset({"all_of", "any_of"})


def from_data(data: object) -> Constraint:
    """
    Read a constraint from its JSON form.

    Raises:
        ConfigurationError: The form, the kind or a value is unknown; nothing is ever ignored.
    """
    return _read(data, 0, [MAX_SIZE])


def _read(data: object, depth: int, left: list[int]) -> Constraint:
    if isinstance(data, Constraint):
        return data
    if not isinstance(data, Mapping) or len(cast("Mapping[Any, Any]", data)) != 1:
        why = "it must be a table with one entry, such as `{ at_most = 100 }`"
        raise ConfigurationError("not a constraint", why=why)
    ((name, value),) = cast("Mapping[Any, Any]", data).items()
    kind = plain_text(name, "constraint")
    if kind not in _MAKERS:
        raise ConfigurationError(f"unknown constraint {quote(kind)}", fix=nearest(kind, _MAKERS))
    values: Any = value
    if kind not in _LISTS and kind not in _COMBINERS:
        values = (value,)
    elif type(value) not in (list, tuple):
        raise _refuse(kind, "it takes a list")
    if kind == "between" and len(values) != 2:
        raise _refuse(kind, "it takes a lower and an upper bound")
    # Counted before anything is made, so that no junk takes long.
    left[0] -= _BASE_SIZE + (0 if kind in _COMBINERS else sum(map(_size, values[:MAX_SIZE])))
    if left[0] < 0:
        raise _refuse(kind, _TOO_LARGE)
    if kind in _COMBINERS:
        if depth >= MAX_DEPTH:
            raise _refuse(kind, f"constraints nest at most {MAX_DEPTH} deep")
        values = [_read(part, depth + 1, left) for part in values]
    return _MAKERS[kind](*values)


# --- membership -----------------------------------------------------------------------------------

_NUMBERS: Final = frozenset({int, float, Decimal})
_SINGLE: Final = _NUMBERS | {str, bool, type(None)}
_COLLECTIONS: Final = frozenset({list, tuple, set, frozenset})

Seen = dict[Any, Any]  # answers found so far in one question: no text is parsed, no nested part compared twice


def _tag(value: object) -> Tagged:
    """Pair a single value with its type."""
    kind = type(value)
    if kind is str:
        return str, nfc(cast("str", value))
    return (kind, value) if kind in _SINGLE and value == value else _ODD  # noqa: PLR0124 -- NaN equals nothing


def _tag_all(values: Any) -> Tagged:
    if len(values) > MAX_ELEMENTS or sum(len(v) for v in values if type(v) is str) > MAX_CHARACTERS:
        return _ODD
    return frozenset, frozenset(map(_tag, values))


def _names_resource(c: Constraint, value: Tagged, seen: Seen) -> bool:
    if value not in seen:
        try:
            seen[value] = Resource.parse(value[1]) if value[0] is str else None
        except ConfigurationError:
            seen[value] = None
    return seen[value] is not None and c.operands[0].matches(seen[value])


_ALLOWS: Final[Mapping[str, Callable[[Constraint, Tagged, Seen], bool]]] = {
    "exactly": lambda c, v, _: v in c.members,
    "one_of": lambda c, v, _: v in c.members,
    "none_of": lambda c, v, _: v[0] in _SINGLE and v not in c.members,
    "at_most": lambda c, v, _: v[0] in _NUMBERS and v[1] <= c.operands[0],
    "at_least": lambda c, v, _: v[0] in _NUMBERS and v[1] >= c.operands[0],
    "between": lambda c, v, _: v[0] in _NUMBERS and c.operands[0] <= v[1] <= c.operands[1],
    "starts_with": lambda c, v, _: v[0] is str and v[1].startswith(c.operands[0]),
    "ends_with": lambda c, v, _: v[0] is str and v[1].endswith(c.operands[0]),
    "matches_resource": _names_resource,
    "subset_of": lambda c, v, _: v[0] is frozenset and v[1] <= c.members,
    "contains": lambda c, v, _: v[0] is frozenset and v[1] >= c.members,
    "all_of": lambda c, v, seen: all(_ALLOWS[part.kind](part, v, seen) for part in c.parts),
    "any_of": lambda c, v, seen: any(_ALLOWS[part.kind](part, v, seen) for part in c.parts),
}


# --- inclusion ------------------------------------------------------------------------------------

_FINITE: Final = frozenset({"exactly", "one_of"})
_INTERSECTIONS: Final = frozenset({"all_of", "between"})  # a range is what lies above one end and below the other


def _covers(a: Constraint, b: Constraint, seen: Seen) -> bool:
    """Whether a ⊇ b."""
    key = (id(a), id(b))
    if key not in seen:
        seen[key] = _decide(a, b, seen)
    return seen[key]


def _decide(a: Constraint, b: Constraint, seen: Seen) -> bool:
    # A finite set is inside whatever allows each of its values.
    if b.kind in _FINITE:
        return all(_ALLOWS[a.kind](a, value, seen) for value in b.operands)
    # A union is inside what each part is inside; an intersection covers what each part covers.
    if b.kind == "any_of":
        return all(_covers(a, part, seen) for part in b.parts)
    if a.kind in _INTERSECTIONS:
        return all(_covers(part, b, seen) for part in a.parts)
    # "Anything but these" covers what allows none of these, provided that holds single values only.
    if a.kind == "none_of":
        return _single(b) and not any(_ALLOWS[b.kind](b, value, seen) for value in a.operands)
    # Whitman: an intersection is inside a union if one part of either is enough.
    if b.kind in _INTERSECTIONS and any(_covers(a, part, seen) for part in b.parts):
        return True
    if a.kind == "any_of":
        return any(_covers(part, b, seen) for part in a.parts)
    return a.kind == b.kind and _COVERS[a.kind](a, b)


_COVERS: Final[Mapping[str, Callable[[Constraint, Constraint], bool]]] = {
    "at_most": lambda a, b: b.operands[0] <= a.operands[0],
    "at_least": lambda a, b: b.operands[0] >= a.operands[0],
    "starts_with": lambda a, b: b.operands[0].startswith(a.operands[0]),
    "ends_with": lambda a, b: b.operands[0].endswith(a.operands[0]),
    "matches_resource": lambda a, b: a.operands[0].covers(b.operands[0]),
    "subset_of": lambda a, b: b.members <= a.members,
    "contains": lambda a, b: b.members >= a.members,
}


def _single(c: Constraint) -> bool:
    """Whether all that *c* allows are single values rather than collections."""
    if c.kind in _COMBINERS:
        return (any if c.kind == "all_of" else all)(map(_single, c.parts))
    return c.kind not in {"subset_of", "contains"}


# --- reading operands -----------------------------------------------------------------------------

_INT_LIMIT: Final = 2**63
_BASE_SIZE: Final = 16
_TOO_LARGE: Final = (
    f"it is larger than {MAX_SIZE}: 16 for each constraint, 1 for each value and each 40 characters of text"
)


def _refuse(kind: str, why: str) -> ConfigurationError:
    return ConfigurationError(f"bad constraint {quote(kind)}", why=why)


def _size(value: object) -> int:
    if isinstance(value, Constraint):
        return value.size
    return 1 + len(str(value)) // 40 if isinstance(value, str | ResourcePattern) else 1


def _bare(operand: Any) -> Any:
    return cast("Any", operand[1]) if isinstance(operand, tuple) else operand


def _operand(value: object, kind: str) -> Tagged:
    """Pair a value with its type, so that `True`, `1` and `1.0` differ."""
    if type(value) is str:
        return str, _text(value, kind, empty=True)
    if type(value) is int or type(value) is float:
        _number(value, kind)
        return type(value), value + 0  # there is one zero
    if type(value) is bool or value is None:
        return type(value), value
    raise _refuse(kind, f"{quote(type(value).__name__)} is not text, a number, a truth value or nothing")


def _operands(values: tuple[object, ...], kind: str) -> tuple[Tagged, ...]:
    if not values:
        raise _refuse(kind, "it needs at least one value")
    return tuple(dict.fromkeys(_operand(value, kind) for value in values))


def _number(value: Any, kind: str) -> Any:
    if type(value) not in (int, float) or not abs(value) < _INT_LIMIT:  # neither infinite nor NaN
        raise _refuse(kind, "it takes a whole or floating-point number of at most 63 bits")
    return int(value) if value == int(value) else value  # a bound has one spelling


def _text(value: object, kind: str, *, empty: bool = False) -> str:
    text = nfc(value) if type(value) is str and len(value) <= MAX_TEXT else ""
    if not (text or (empty and value == "")) or len(text) > MAX_TEXT:
        raise _refuse(kind, f"it takes text of 1 to {MAX_TEXT} characters")
    return text


def _parts(parts: tuple[object, ...], kind: str) -> tuple[Constraint, ...]:
    # Without parts it would allow everything or nothing, unseen.
    if not parts or not all(isinstance(part, Constraint) for part in parts):
        raise _refuse(kind, "it takes one or more constraints, such as `at_most(100)`")
    return cast("tuple[Constraint, ...]", parts)
