"""
TOML text as data, and the line on which each key and each element of a list stands.

The parser forgets lines, so they are looked up in the text a second time, and only to word an error. That
look-up reads what the parser has accepted already; all that depends on it is the number in a message.

Whatever is wrong with a text is a `ConfigurationError` of one line. It never repeats content of the file:
a key file named by mistake must not end up in a log.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any, Final

from agentid.errors import ConfigurationError, MissingExtraError, one_line, quote

__all__ = ["TOKEN", "Document", "Place", "find_lines", "unquote"]

Place = tuple[str | int, ...]
"""Where something stands in the data: keys of tables, positions in lists."""

MAX_KEY_PARTS: Final = 32

_KEY_PART: Final = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_LONG_KEY: Final = re.compile(rf"(?:^|[\[{{,])[ \t]*(?:{_KEY_PART}[ \t]*\.[ \t]*){{{MAX_KEY_PARTS}}}", re.MULTILINE)
_POSITION: Final = re.compile(r" \(at (?:line (?P<line>\d+), column \d+|end of document)\)\Z")
_KEY_TUPLE: Final = re.compile(r"\(('.*?),?\)")
_BOM: Final = "\ufeff"


class Document:
    """
    A TOML file that was read.

    Attributes:
        name: The file's name without its folder, for messages.
        data: What it says.
    """

    def __init__(self, text: str, name: str) -> None:
        """
        Read *text*.

        Raises:
            ConfigurationError: It is not TOML.
            MissingExtraError: This is Python 3.10 without the `toml` extra.
        """
        self.name = one_line(name)
        self._text = text
        self._lines: dict[Place, int] | None = None
        self.data: dict[str, Any] = self._parse(text)

    def _parse(self, text: str) -> dict[str, Any]:
        if text.startswith(_BOM):
            raise ConfigurationError(
                f"{self.name}, line 1: the file starts with a byte order mark",
                why="TOML has none",
                fix='Save it as "UTF-8" rather than "UTF-8 with BOM"',
            )
        # The parser's time grows with the square of the number of parts of a key.
        long_key = _LONG_KEY.search(text)
        if long_key:
            line = text.count("\n", 0, long_key.end()) + 1
            raise ConfigurationError(f"{self.name}, line {line}: a key has more than {MAX_KEY_PARTS} parts")
        loads = _parser()
        try:
            return loads(text)
        except RecursionError:
            raise ConfigurationError(f"{self.name}: this is not valid TOML", why="it nests too deeply") from None
        except ValueError as error:
            raise self._invalid(str(error)) from None

    def _invalid(self, message: str) -> ConfigurationError:
        """The parser's error in our words. It knows the line, and quotes at most a key."""
        found = _POSITION.search(message)
        if found is None:
            return ConfigurationError(f"{self.name}: this is not valid TOML", why="a number is too long")
        where = f"line {found['line']}" if found["line"] else "at the end"
        why = _KEY_TUPLE.sub(lambda key: quote(key[1]), message[: found.start()])
        return ConfigurationError(f"{self.name}, {where}: this is not valid TOML", why=one_line(why, limit=160))

    def line(self, place: Place) -> int | None:
        """The line of *place*, or of the nearest thing around it; the first line is 1."""
        if self._lines is None:
            self._lines = find_lines(self._text)
        for size in range(len(place), 0, -1):
            if place[:size] in self._lines:
                return self._lines[place[:size]]
        return None

    def error(self, place: Place, what: str, *, why: str = "", fix: str = "") -> ConfigurationError:
        """Say what is wrong at *place*."""
        line = self.line(place)
        where = f"{self.name}, line {line}" if line else self.name
        return ConfigurationError(f"{where}: {what}", why=why, fix=fix)


def _parser() -> Callable[[str], dict[str, Any]]:
    if sys.version_info >= (3, 11):
        return import_module("tomllib").loads
    try:
        return import_module("tomli").loads
    except ImportError:
        raise MissingExtraError(
            "TOML cannot be read",
            why="Python 3.10 has no parser for it, and `tomli` is not installed",
            fix="In the checkout of agentid, run `pip install '.[toml]'`, or use Python 3.11 or newer",
        ) from None


# --- lines ----------------------------------------------------------------------------------------------------------

TOKEN: Final = re.compile(
    r'''
      (?P<skip>     [ \t\r]+ | \#[^\n]* )
    | (?P<string>   """ (?: [^"\\]+ | \\[\s\S] | "(?!"") )* "{3,5}
                  | \'\'\' (?: [^']+ | '(?!\'\') )* '{3,5}
                  | " (?: [^"\\\n]+ | \\. )* "
                  | ' [^'\n]* ' )
    | (?P<mark>     [\[\]{}=,.\n] )
    | (?P<bare>     [^ \t\r\n\[\]{}=,."'#]+ )
    ''',
    re.VERBOSE,
)
_ESCAPE: Final = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))")
_ESCAPES: Final = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b"}
_CLOSING: Final = {"[": "]", "{": "}"}


def find_lines(text: str) -> dict[Place, int]:
    """The line of each key and each element in *text*, which must be valid TOML."""
    scan = _Scan(text)
    with suppress(RecursionError):  # what was found up to here is right, the rest is reported at what is around it
        scan.run()
    return scan.lines


class _Scan:
    def __init__(self, text: str) -> None:
        self.lines: dict[Place, int] = {}
        self._last: dict[Place, int] = {}  # arrays of tables, `[[name]]`: the number of the latest
        self._rest = _tokens(text)
        self._word = ""  # at the end, too
        self._line = 1

    def run(self) -> None:
        table: Place = ()
        self._next()
        while self._word:
            if self._word == "\n":
                self._next()
            elif self._word == "[":
                table = self._header()
            else:
                self._entry(table)

    def _next(self) -> None:
        self._word, self._line = next(self._rest, ("", self._line))

    def _skip_newlines(self) -> None:
        while self._word == "\n":
            self._next()

    def _note(self, place: Place, line: int) -> None:
        for size in range(1, len(place) + 1):
            self.lines.setdefault(place[:size], line)

    def _header(self) -> Place:
        """`[a.b]` or `[[a.b]]`. Inside, a name that means an array of tables means its latest table."""
        line = self._line
        self._next()
        many = self._word == "["
        if many:
            self._next()
        place: Place = ()
        parts = self._key()
        for number, part in enumerate(parts, start=1):
            place += (part,)
            if many and number == len(parts):
                self._last[place] = self._last.get(place, -1) + 1
            if place in self._last:
                place += (self._last[place],)
        self._note(place, line)
        while self._word == "]":
            self._next()
        return place

    def _entry(self, table: Place) -> None:
        """`a.b = value`."""
        line = self._line
        place = (*table, *self._key())
        self._note(place, line)
        self._next()
        self._value(place)

    def _key(self) -> list[str]:
        parts = [unquote(self._word)]
        self._next()
        while self._word == ".":
            self._next()
            parts.append(unquote(self._word))
            self._next()
        return parts

    def _value(self, place: Place) -> None:
        opening = self._word
        closing = _CLOSING.get(opening)
        self._next()
        if closing is None:
            while self._word not in {"", "\n", ",", "]", "}"}:
                self._next()
            return
        number = 0
        self._skip_newlines()
        while self._word not in {"", closing}:
            if opening == "{":
                self._entry(place)
            else:
                self._note((*place, number), self._line)
                self._value((*place, number))
                number += 1
            self._skip_newlines()
            if self._word == ",":
                self._next()
            self._skip_newlines()
        self._next()


def _tokens(text: str) -> Iterator[tuple[str, int]]:
    line = 1
    for match in TOKEN.finditer(text):
        token = match[0]
        if match.lastgroup != "skip":
            yield token, line
        line += token.count("\n")


def unquote(token: str) -> str:
    """The text of one part of a key, written bare or in quotes."""
    if token[:1] == "'":
        return token[1:-1]
    if token[:1] == '"':
        return _ESCAPE.sub(_unescape, token[1:-1])
    return token


def _unescape(found: re.Match[str]) -> str:
    digits = found[1] or found[2] or found[3]
    return chr(int(digits, 16)) if digits else _ESCAPES.get(found[4], found[4])
