"""
A permission: one action on a pattern of resources, perhaps constrained by arguments.

    read:crm/customers/*
    write:bank/transfers/* where {"amount": {"at_most": 100}}

`Permission.covers` is the only rule by which permissions are compared: deciding a call, checking a
delegation and verifying a chain all use it, so they cannot disagree.

Rules:

- There are exactly six actions. Anything else is an error when read, never silently false.
- No action implies another.
- A permission with constraints applies to a call only if each constrained argument is there and allowed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, TypeVar, cast, get_args

from agentid.constraint import MAX_SIZE, Constraint, all_of, from_data
from agentid.errors import ConfigurationError, nearest, quote
from agentid.resource import Frozen, Resource, ResourcePattern
from agentid.segment import plain_text

__all__ = ["ACTIONS", "Action", "Permission", "parse_action", "permissions"]

Action = Literal["read", "write", "edit", "delete", "share", "execute"]
"""What is done. `write` creates or appends, `edit` changes what exists, `share` moves data to another party."""

ACTIONS: Final[tuple[Action, ...]] = get_args(Action)

_WHERE: Final = " where {"
_MAX_TEXT: Final = 64 * 1024
_MAX_CONSTRAINTS: Final = 32

_T = TypeVar("_T")


class Permission(Frozen):
    """
    One action on a pattern of resources, with constraints by argument name. Immutable, hashable.

    `str(permission)` is its text, and `Permission.parse(str(p)) == p` for each.

    Raises:
        ConfigurationError: A part is not what it must be, or all together are too long.
    """

    __slots__ = ("_hash", "action", "constraints", "resource")

    action: Action
    resource: ResourcePattern
    constraints: Mapping[str, Constraint]

    def __init__(
        self, action: Action, resource: ResourcePattern, constraints: Mapping[str, Constraint] | None = None
    ) -> None:
        action, resource = parse_action(action), _need(resource, ResourcePattern)
        read = _read_constraints(constraints or {})
        # Sorted by name: two permissions that say the same are equal, whatever the order they were written in.
        ordered = {name: read[name] for name in sorted(read)}
        for name, value in (
            ("action", action),
            ("resource", resource),
            ("constraints", MappingProxyType(ordered)),
            ("_hash", hash((action, resource, tuple(ordered.items())))),
        ):
            object.__setattr__(self, name, value)
        if ordered and len(str(self)) > _MAX_TEXT:
            raise ConfigurationError(f"permission on {quote(resource)} is too long", why=f"{_MAX_TEXT} is the most")

    @classmethod
    def parse(cls, text: str) -> Permission:
        """
        Read a permission from text such as `read:crm/customers/*`.

        Raises:
            ConfigurationError: The action, the pattern or a constraint is not one; the message names the
                nearest right word.
        """
        text = plain_text(text, "permission")
        if len(text) > _MAX_TEXT:
            raise ConfigurationError(
                f"not a permission: {quote(text)}", why=f"it is longer than {_MAX_TEXT} characters"
            )
        action, colon, rest = text.partition(":")
        if not colon:
            raise ConfigurationError(
                f"not a permission: {quote(text)}",
                why="the action is missing",
                fix='Write it as "action:resource", such as "read:crm/customers/*"',
            )
        pattern, where, tail = rest.partition(_WHERE)
        constraints = _read_where("{" + tail, text) if where else {}
        return cls(parse_action(action), ResourcePattern.parse(pattern), constraints)

    @classmethod
    def build(cls, action: str, resource: str, constraints: Mapping[str, Any] | None = None) -> Permission:
        """
        Put a permission together from the parts of a grant or a configuration file.

        Args:
            action: One of the six.
            resource: The text of a pattern.
            constraints: By argument name, each as `Constraint.to_data` gives it.

        Raises:
            ConfigurationError: A part is not known.
        """
        return cls(parse_action(action), ResourcePattern.parse(resource), constraints)

    def where(self, **constraints: Constraint) -> Permission:
        """
        Narrow to calls whose arguments satisfy *constraints*.

        An argument that was constrained already must satisfy the old constraint too.
        """
        merged = dict(self.constraints)
        for name, constraint in _read_constraints(constraints).items():
            old = merged.get(name, constraint)
            parts = dict.fromkeys((*(old.operands if old.kind == "all_of" else (old,)), constraint))
            merged[name] = all_of(*parts) if len(parts) > 1 else constraint
        return Permission(self.action, self.resource, merged)

    def covers(self, other: Permission) -> bool:
        """
        Whether everything that *other* allows is allowed by this one too.

        Reflexive and transitive. Where two constraints cannot be compared, the answer is no.
        """
        if self.action != _need(other, Permission).action or not self.resource.covers(other.resource):
            return False
        theirs = other.constraints
        return all(name in theirs and mine.covers(theirs[name]) for name, mine in self.constraints.items())

    def allows(self, action: str, resource: Resource, arguments: Mapping[str, Any]) -> bool:
        """
        Whether this permission alone allows *action* on *resource* in a call with these *arguments*.

        Raises:
            ConfigurationError: The action is none of the six, or the resource is mere text.
        """
        if self.action != action:
            parse_action(action)
            return False
        return self.resource.matches(_need(resource, Resource)) and self.satisfied_by(arguments)

    def satisfied_by(self, arguments: Mapping[str, Any]) -> bool:
        """Whether each constrained argument is there and allowed; what is no table of arguments has none."""
        if not isinstance(cast("object", arguments), dict | Mapping):  # a dict first: asking an ABC costs more
            return not self.constraints
        return all(
            name in arguments and constraint.allows(arguments[name]) for name, constraint in self.constraints.items()
        )

    def constraints_data(self) -> dict[str, Any]:
        """The constraints as JSON, by argument name; `build` reads them back."""
        return {name: constraint.to_data() for name, constraint in self.constraints.items()}

    def __str__(self) -> str:
        text = f"{self.action}:{self.resource}"
        if not self.constraints:
            return text
        data = self.constraints_data()
        where = json.dumps(data, ensure_ascii=False)
        # What would turn the reading direction, or could not be seen, is written as an escape.
        return f"{text} where {where if where.isprintable() else json.dumps(data)}"

    def __repr__(self) -> str:
        return f"Permission({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Permission)
            and self.action == other.action
            and self.resource == other.resource
            and self.constraints == other.constraints
        )

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[object, ...]:
        return Permission.parse, (str(self),)


def parse_action(text: object) -> Action:
    """
    Read one of the six actions.

    Raises:
        ConfigurationError: It is none of them; the message names the nearest.
    """
    word = plain_text(text, "action")
    for action in ACTIONS:
        if action == word:
            return action
    raise ConfigurationError(f"unknown action {quote(word)}", fix=nearest(word.lower(), ACTIONS))


def permissions(items: Iterable[str | Permission], *, where: str) -> tuple[Permission, ...]:
    """
    Read the permissions that somebody passed as *where*, such as `allow`; text is parsed.

    Raises:
        ConfigurationError: One is not a permission, or a lone text was passed where a list is wanted.
    """
    given: Any = items
    # A table would lose what stands beside its keys.
    if isinstance(given, str | bytes | Permission | Mapping) or not isinstance(given, Iterable):
        shown = quote(given) if isinstance(given, str | Permission) else quote(type(items).__name__)
        raise ConfigurationError(
            f"`{where}` takes a list of permissions", why=f"it was given {shown}", fix=f"Write {where}=[…]"
        )
    return tuple(dict.fromkeys(item if isinstance(item, Permission) else Permission.parse(item) for item in items))


def _need(value: Any, kind: type[_T]) -> _T:
    if isinstance(value, kind):
        return value
    raise ConfigurationError(
        f"not a {kind.__name__}: {quote(type(value).__name__)}", fix=f"Make one with {kind.__name__}.parse"
    )


def _read_where(text: str, whole: str) -> dict[str, Any]:
    try:
        data = json.loads(text, object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError):
        raise ConfigurationError(
            f"not a permission: {quote(whole)}",
            why="what follows `where` is not JSON",
            fix='Write it as {"amount": {"at_most": 100}}',
        ) from None
    if not data:
        raise ConfigurationError(f"not a permission: {quote(whole)}", why="nothing is constrained after `where`")
    return data


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ConfigurationError("a constraint stands twice in a permission")
    return dict(pairs)


def _read_constraints(data: Any) -> dict[str, Constraint]:
    if not isinstance(data, Mapping) or len(cast("Mapping[Any, Any]", data)) > _MAX_CONSTRAINTS:
        raise ConfigurationError(
            "bad constraints", why=f"they are a table of at most {_MAX_CONSTRAINTS}, by argument name"
        )
    read: dict[str, Constraint] = {}
    for key, value in cast("Mapping[Any, Any]", data).items():
        name = plain_text(key, "argument name")
        if not name.isidentifier():
            raise ConfigurationError(f"not an argument name: {quote(name)}", why="a constraint names a parameter")
        read[name] = from_data(value)
    if sum(constraint.size for constraint in read.values()) > MAX_SIZE:
        raise ConfigurationError("bad constraints", why=f"together they are larger than {MAX_SIZE}")
    return read
