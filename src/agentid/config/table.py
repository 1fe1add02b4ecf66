"""
Reads values out of one table of a configuration file, and refuses what it does not know.

Each method of `Table` checks what one key says. An error names file and line, what the value must be or
the nearest right word, and shows at most that one value, shortened.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Generator, Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

from agentid.config import refuse_constrained
from agentid.config.toml import Document, Place
from agentid.constraint import from_data
from agentid.errors import ConfigurationError, nearest, quote
from agentid.permission import Permission
from agentid.resource import ResourcePattern

__all__ = ["Table", "hint"]

MAX_TEXT: Final = 1000

# As in an agent id, which is where the names of agents end up.
_NAME: Final = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,128}")
_NAME_RULE: Final = "Use 1 to 128 letters, digits, `.`, `_` and `-`"
_MAX_HINT: Final = 300


class Table:
    """
    One table, whose keys are all known.

    Args:
        document: The file.
        place: Where in the file.
        data: What stands there.
        title: How messages call it, such as `[audit]`; empty for the file as a whole.
        keys: The keys that it may have.

    Raises:
        ConfigurationError: It is no table, or has another key.
    """

    def __init__(self, document: Document, place: Place, data: object, title: str, keys: Collection[str]) -> None:
        self.document = document
        self.place = place
        self.inside = f"in {title}" if title else "at the top level"
        if not isinstance(data, dict):
            raise document.error(place, f"{title} must be a table")
        self.data = cast("dict[str, Any]", data)
        for key in self.data:
            if key not in keys:
                raise self.error(key, f"unknown key {quote(key)} {self.inside}", fix=hint(key, keys))

    def error(self, key: str, what: str, *, fix: str = "") -> ConfigurationError:
        """Say what is wrong with *key*."""
        return self.document.error((*self.place, key), what, fix=fix)

    def wrong(self, key: str, must: str, *, fix: str = "") -> ConfigurationError:
        """Say what *key* must be."""
        return self.error(key, f"`{key}` {self.inside} must be {must}", fix=fix)

    # one value

    def text(self, key: str, default: str | None = None) -> str:
        """One line of text; required if there is no *default*."""
        if key not in self.data:
            if default is None:
                raise self.document.error(self.place, f"`{key}` is missing {self.inside}")
            return default
        value = self.data[key]
        if not isinstance(value, str):
            raise self.wrong(key, "text")
        if not 0 < len(value) <= MAX_TEXT or not value.isprintable():
            raise self.wrong(key, f"one line of 1 to {MAX_TEXT} characters")
        return value

    def name(self, key: str, default: str | None = None) -> str:
        """A plain word, such as a label."""
        value = self.text(key, default)
        if key in self.data and not _NAME.fullmatch(value):
            raise self.error(key, f"`{key}` {self.inside} is not a name: {quote(value)}", fix=_NAME_RULE)
        return value

    def word(self, key: str, words: Collection[str], default: str | None = None) -> Any:
        """One of *words*, of which the caller knows the type."""
        value = self.text(key, default)
        if value not in words:
            raise self.error(key, f"`{key}` {self.inside} cannot be {quote(value)}", fix=hint(value, words))
        return value

    def whole(self, key: str, most: int, default: int | None = None) -> int:
        """A whole number from 1 to *most*."""
        value = self.data.get(key, default)
        if type(value) is not int or not 1 <= value <= most:
            raise self.wrong(key, f"a whole number from 1 to {most}")
        return value

    def pattern(self, key: str) -> ResourcePattern:
        """A pattern of resources."""
        text = self.text(key)
        with self._at((*self.place, key)):
            return ResourcePattern.parse(text)

    # lists

    def _items(self, key: str) -> Iterator[tuple[Place, object]]:
        value = self.data.get(key, [])
        if not isinstance(value, list):
            raise self.wrong(key, "a list", fix=f"Write {key} = […]")
        for number, item in enumerate(cast("list[object]", value)):
            yield (*self.place, key, number), item

    def names(self, key: str) -> tuple[str, ...]:
        """A list of plain words, each once."""
        found: dict[str, None] = {}
        for place, item in self._items(key):
            if not isinstance(item, str):
                raise self.document.error(place, f"an entry of `{key}` {self.inside} must be text")
            if not _NAME.fullmatch(item):
                what = f"an entry of `{key}` {self.inside} is not a name: {quote(item)}"
                raise self.document.error(place, what, fix=_NAME_RULE)
            found[item] = None
        return tuple(found)

    def permissions(self, key: str, *, constrained: bool = True) -> tuple[Permission, ...]:
        """A list of permissions, which may be *constrained* by arguments or not."""
        found: list[Permission] = []
        for place, item in self._items(key):
            permission = self._permission(place, item, f"an entry of `{key}` {self.inside}")
            if not constrained:
                with self._at(place):
                    refuse_constrained(permission, key)
            found.append(permission)
        return tuple(found)

    def _permission(self, place: Place, item: object, title: str) -> Permission:
        if isinstance(item, str):
            with self._at(place):
                return Permission.parse(item)
        if not isinstance(item, dict):
            fix = 'Write "action:resource", or { permission = "action:resource", where = { … } }'
            raise self.document.error(place, f"{title} is no permission", fix=fix)
        entry = Table(self.document, place, cast("object", item), title, ("permission", "where"))
        text = entry.text("permission")
        with self._at((*place, "permission")):
            permission = Permission.parse(text)
        where = entry.data.get("where", {})
        if not isinstance(where, dict):
            raise entry.wrong("where", "a table", fix="Write where = { amount = { at_most = 100 } }")
        if where and permission.constraints:
            raise entry.error("where", f"{title} is constrained twice", fix="Move all constraints into `where`")
        constraints = cast("dict[str, Any]", where)
        for name, constraint in constraints.items():
            with self._at(_wrong_part(constraint, (*place, "where", name))):
                Permission.build("read", "x", {name: constraint})
        with self._at(place):
            return Permission.build(permission.action, str(permission.resource), constraints) if where else permission

    # tables inside this one

    def table(self, key: str, keys: Collection[str]) -> Table:
        """The table `[key]`; empty if it is not there."""
        return Table(self.document, (*self.place, key), self.data.get(key, {}), self._header(key), keys)

    def agents(
        self, key: str, keys: Collection[str], known: Collection[str] | None = None
    ) -> Iterator[tuple[str, Table]]:
        """The tables `[key.<agent>]`. Without *known*, any agent will do."""
        tables = self.data.get(key, {})
        if not isinstance(tables, dict):
            raise self.wrong(key, "a table", fix=f"Write {self._header(key, 'support-bot')}")
        for name, data in cast("dict[str, object]", tables).items():
            place = (*self.place, key, name)
            if not _NAME.fullmatch(name):
                raise self.document.error(place, f"not the name of an agent: {quote(name)}", fix=_NAME_RULE)
            if known is not None and name not in known:
                what = f"unknown agent {quote(name)} in {self._header(key)}"
                raise self.document.error(place, what, fix=hint(name, known))
            yield name, Table(self.document, place, data, self._header(key, name), keys)

    def array(self, key: str, keys: Collection[str]) -> Iterator[Table]:
        """The tables `[[key]]`."""
        if not isinstance(self.data.get(key, []), list):
            raise self.wrong(key, "a list of tables", fix=f"Write [{self._header(key)}]")
        for place, item in self._items(key):
            yield Table(self.document, place, item, f"[{self._header(key)}]", keys)

    def _header(self, *keys: str) -> str:
        return f"[{'.'.join(map(str, (*self.place, *keys)))}]"

    @contextmanager
    def _at(self, place: Place) -> Generator[None, None, None]:
        """Add file and line to what the types of the values have to say."""
        try:
            yield
        except ConfigurationError as error:
            raise self.document.error(place, error.what, why=error.why, fix=error.fix) from None


def hint(word: str, known: Collection[str]) -> str:
    """Name the nearest known word, or all of them unless they are too many to read."""
    text = nearest(word, known)
    return text if len(text) <= _MAX_HINT else ""


def _wrong_part(data: object, place: Place) -> Place:
    """Where in a constraint that cannot be read the wrong part stands."""
    if not isinstance(data, dict) or len(cast("dict[str, object]", data)) != 1:
        return place
    ((kind, value),) = cast("dict[str, object]", data).items()
    if kind in {"all_of", "any_of"} and isinstance(value, list):
        for number, part in enumerate(cast("list[object]", value)):
            try:
                from_data(part)
            except ConfigurationError:
                return _wrong_part(part, (*place, kind, number))
    return (*place, kind)
