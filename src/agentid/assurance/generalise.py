"""
From resources that were seen to patterns of resources, as narrow as they can be said.

Rules:

- Resources that differ in one segment become one pattern, with a `*` in that place, once `SEVERAL` different ids were
  seen there: numbers, UUIDs, hexadecimal digits, dates, names of temporary files. Of names it takes `MANY_NAMES`,
  unless told otherwise.
- What ids or names have in common stays: `report-*.csv`, `*@acme.example`. So `*` is as little as it can be.
- Never across schemes or hosts; never the first segment of a short path, a file path or a database's place: what
  stands there is as much another place as another host.
- `**` only if asked for: where what was seen below one parent is of different depths.
- Never a pattern that matches what is to be avoided, such as a resource that was refused.

Nothing here knows actions: resources are generalised for one action of one agent at a time.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from agentid.resource import Part, Resource, ResourcePattern, Wild

__all__ = ["DATABASES", "MANY_NAMES", "SEVERAL", "General", "generalise"]

SEVERAL: Final = 3
"""So many different ids in one place are any id."""

MANY_NAMES: Final = 8
"""So many different names in one place are any name."""

DATABASES: Final = frozenset(
    {"postgres", "postgresql", "mysql", "mariadb", "sqlite", "mssql", "oracle", "duckdb", "redis", "mongodb"}
)

_FIRST: Final = 3  # where segments begin in the parts of a pattern
_ANY: Final = Wild("", "")
_LONGEST: Final = 200
_SHORT_PREFIX: Final = 5

_DATE: Final = r"[0-9]{4}[-_.]?[0-9]{2}(?:[-_.]?[0-9]{2})?(?:[T_-][0-9]{2}[:-]?[0-9]{2}(?:[:-]?[0-9]{2})?Z?)?"
_ID: Final = re.compile(
    r"""
    (?P<prefix> (?: .* [-_.:=\#@\ ] )? )
    (?: [0-9]+
      | (?= [a-fA-F]* [0-9] ) [0-9a-fA-F]{6,}
      | (?= [0-9]* [A-Za-z] ) (?= .* [0-9][A-Za-z] ) [A-Za-z0-9]{14,}
    )
    (?P<suffix> (?: \.[A-Za-z][A-Za-z0-9]{0,7} ){0,2} )
    """,
    re.VERBOSE,
)
_DATED: Final = re.compile(rf"(?P<prefix>(?:.*?[-_.:=#@ ])?){_DATE}(?P<suffix>(?:\.[A-Za-z][A-Za-z0-9]{{0,7}}){{0,2}})")
_UUID: Final = re.compile(
    r"(?P<prefix>(?:.*[-_.:=#@ ])?)[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    r"(?P<suffix>(?:\.[A-Za-z][A-Za-z0-9]{0,7}){0,2})"
)
_TEMPORARY: Final = re.compile(r"(?P<prefix>tmp)[a-z0-9_]{8}(?P<suffix>(?:\.[A-Za-z][A-Za-z0-9]{0,7}){0,2})")
"""As Python names temporary files and folders."""

_EXTENSION: Final = re.compile(r"[^.].*?((?:\.[A-Za-z][A-Za-z0-9]{0,7}){1,2})")


class General(NamedTuple):
    """
    A pattern, and what it stands for.

    Attributes:
        pattern: Matches all that was seen, and perhaps more.
        seen: The resources that were seen.
        by_name: Whether a `*` in it stands for names, and not for ids alone.
    """

    pattern: ResourcePattern
    seen: frozenset[Resource]
    by_name: bool = False

    @property
    def parts(self) -> tuple[Part, ...]:
        """Scheme, host, port and segments."""
        return self.pattern.parts


def generalise(
    seen: Iterable[Resource],
    *,
    names: int = MANY_NAMES,
    deep: bool = False,
    avoid: Collection[Resource] = (),
    apart: Collection[Resource] = (),
) -> list[General]:
    """
    Give patterns that match all that was *seen*.

    Args:
        seen: What was seen.
        names: How many different names in one place become `*`.
        deep: Whether `**` may stand for what is of different depths.
        avoid: What no pattern may match unless it was seen itself.
        apart: What is never generalised, such as files of secrets.
    """
    places: defaultdict[tuple[object, ...], list[General]] = defaultdict(list)
    single: list[General] = []
    for resource in dict.fromkeys(seen):
        one = General(ResourcePattern.exactly(resource), frozenset({resource}))
        if resource in apart:
            single.append(one)
        else:
            places[(*resource.key[:_FIRST], len(resource.key))].append(one)
    found: defaultdict[tuple[object, ...], list[General]] = defaultdict(list)
    for place, items in places.items():
        found[place[:_FIRST]] += _one_depth(items, names, avoid)
    for items in found.values():
        single += _deep(items, avoid) if deep else items
    return sorted(single, key=lambda one: str(one.pattern))


# --- a star for one segment -----------------------------------------------------------------------------------------


def _one_depth(items: list[General], names: int, avoid: Collection[Resource]) -> list[General]:
    """Generalise what has the same scheme, host and number of segments, until nothing more can be said shorter."""
    parts = items[0].parts
    before = 0
    while before != len(items):
        before = len(items)
        for position in range(len(parts) - 1, _first_free(items[0]) - 1, -1):
            items = _one_place(items, position, names, avoid)
    return items


def _first_free(item: General) -> int:
    scheme = item.parts[0]
    return _FIRST + 1 if scheme in {"", "file"} or scheme in DATABASES else _FIRST


def _one_place(items: list[General], position: int, names: int, avoid: Collection[Resource]) -> list[General]:
    alike: defaultdict[tuple[object, ...], list[tuple[General, bool]]] = defaultdict(list)
    is_last = position == len(items[0].parts) - 1
    for item in items:
        part = item.parts[position]
        if isinstance(part, str):
            wild, is_id = _shape(part, is_last=is_last)
            if wild is not None:
                alike[(*item.parts[:position], wild, *item.parts[position + 1 :])].append((item, is_id))
    found: list[General] = []
    for parts, members in alike.items():
        ids = sum(is_id for _, is_id in members)
        if ids < SEVERAL and len(members) < names:
            continue
        together = [item for item, _ in members]
        by_name = ids < len(members) or any(item.by_name for item in together)
        general = _checked(parts, together, by_name=by_name, rest=False, avoid=avoid)
        if general is not None:
            found.append(general)
    return _without_covered([*found, *items]) if found else items


def _shape(text: str, *, is_last: bool) -> tuple[Wild | None, bool]:
    """What a value has in common with others like it, and whether it is an id rather than a name."""
    if len(text) > _LONGEST or text.startswith("."):
        return None, False
    found = _TEMPORARY.fullmatch(text) or _UUID.fullmatch(text) or _DATED.fullmatch(text) or _ID.fullmatch(text)
    if found:
        prefix, suffix = found["prefix"], found["suffix"]
        # `c-42` is an id as a whole; what is longer says what kind of thing it is.
        short = not suffix and len(prefix) <= _SHORT_PREFIX and prefix[:-1].isalpha() and prefix[-1] in "-_"
        return (_ANY if short else Wild(prefix, suffix)), True
    _, at, domain = text.rpartition("@")
    if at:
        return Wild("", f"@{domain}"), False
    extension = _EXTENSION.fullmatch(text) if is_last else None
    return Wild("", extension[1] if extension else ""), False


def _checked(
    parts: tuple[object, ...], together: list[General], *, by_name: bool, rest: bool, avoid: Collection[Resource]
) -> General | None:
    """Give the pattern of *parts*, if it matches nothing that is to be avoided."""
    pattern = ResourcePattern(parts, rest=rest)  # pyright: ignore[reportArgumentType] -- parts of patterns
    seen = frozenset[Resource]().union(*(item.seen for item in together))
    if any(pattern.matches(resource) for resource in avoid if resource not in seen):
        return None
    return General(pattern, seen, by_name)


def _without_covered(items: list[General]) -> list[General]:
    """Leave out what another pattern covers, which then stands for it, too."""
    kept: list[General] = []
    wide = 0  # so many at the start of `kept` are no literals
    for item in sorted(items, key=_narrowness):
        above = next((n for n in range(wide) if kept[n].pattern.covers(item.pattern)), None)
        if above is None:
            kept.append(item)
            wide += not item.pattern.is_literal
        else:
            kept[above] = kept[above]._replace(seen=kept[above].seen | item.seen)
    return kept


def _narrowness(item: General) -> tuple[int, int]:
    """Sort what covers before what is covered."""
    stars = [part for part in item.parts if isinstance(part, Wild)]
    return -len(stars), sum(len(star.prefix) + len(star.suffix) for star in stars)


# --- any depth ------------------------------------------------------------------------------------------------------


def _deep(items: list[General], avoid: Collection[Resource]) -> list[General]:
    """Put what is of different depths below one parent together, the deepest parents first."""
    least = _first_free(items[0]) if items else 0
    parents = {item.parts[:size] for item in items for size in range(max(least, _FIRST + 1), len(item.parts))}
    for parent in sorted(parents, key=lambda parts: (-len(parts), str(parts))):
        below = [item for item in items if len(item.parts) > len(parent) and item.parts[: len(parent)] == parent]
        if len(below) < SEVERAL or len({(len(item.parts), item.pattern.rest) for item in below}) < 2:
            continue
        general = _checked(parent, below, by_name=any(item.by_name for item in below), rest=True, avoid=avoid)
        if general is not None:
            items = [item for item in items if item not in below] + [general]
    return items
