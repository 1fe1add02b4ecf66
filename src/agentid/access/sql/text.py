"""
An SQL text, cut into statements; a text that two readers would cut differently is refused.

What a parser takes for a comment or for the inside of a string, a database may take for code: then the parser sees
a harmless statement and the database runs another. So this module has an opinion of its own on where
quotations and comments begin and end, by the rules of each database, and hands on text *without* comments.
`sql.parsing` checks that the parser found the very same quotations.

Rules:

- Refused, as databases or their settings differ: comments within comments, comments that are code (`/*! … */`) or
  hints, a backslash before a closing quote, Unicode escapes, a lone carriage return, control and
  invisible characters outside of quotations, numbers that run into words.
- Refused before anybody parses: what is too long, has too many pieces, or nests too deep.
- Parameters are put into one form, since a parser knows only some: `?`, `%s`, `%(x)s`, `:x`, `@x`, `$x`, `$1`.

This module knows no grammar and no table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, NoReturn

__all__ = ["DIALECTS", "Statement", "Unreadable", "statements_in"]

DIALECTS: Final = ("postgres", "sqlite", "mysql", "duckdb")

MAX_LENGTH: Final = 64 * 1024
_MAX_PIECES: Final = 12_000
_MAX_DEPTH: Final = 24  # a parser recurses some twenty times for each level, and a caller has used up some already
_MAX_PREFIXES: Final = 16
_MAX_SQUARES: Final = 256
_MAX_OPEN_JOINS: Final = 6  # each join that waits for its condition takes a parser twice as long,
_MAX_FROM_DEPTH: Final = 5  # and so does each query in brackets that begins with FROM
_MAX_STATEMENTS: Final = 64

TOO_LONG: Final = "the text is too long"
TOO_DEEP: Final = "the text nests too deep"
COMMENT: Final = "a comment may be read in two ways"
QUOTATION: Final = "a quotation may be read in two ways"
CHARACTER: Final = "a character may be read in two ways"
BRACKETS: Final = "the brackets do not match"
EMPTY: Final = "there is no statement"


class Unreadable(Exception):  # noqa: N818 -- not an error: it ends a reading, and is caught where that began
    """The text is not understood; `reason` is one of a few fixed phrases and holds nothing of the text."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass
class Statement:
    """One statement without comments: its text, and `(start, end)` of each quotation in it, prefix included."""

    text: str = ""
    quotations: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])


_WORD = r"(?:[^\W\d]|_)[\w$]*"
_NUMBER = r"(?:0[xX][0-9a-fA-F]+|[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?)"
_PERCENT = r"|(?P<parameter>%\([A-Za-z_]\w*\)[sbt]|%[sbt](?!\w))"
_PIECES: Final = {
    "postgres": rf"{_PERCENT}|(?P<position>\$[0-9]+)",
    "sqlite": r"|(?P<parameter>\?[0-9]*|[$@:][A-Za-z_]\w*)",
    "mysql": _PERCENT,
    "duckdb": r"|(?P<position>\$[0-9]+)|(?P<parameter>\$[A-Za-z_]\w*)",
}
_MARK: Final = r"[(){}\[\].,;:?+*/<>=~!@#%^&|-]"
_READ: Final = {
    dialect: re.compile(rf"(?P<space>[ \t\n]+|\r\n)|(?P<word>{_WORD})|(?P<number>{_NUMBER}){more}|(?P<mark>{_MARK})")
    for dialect, more in _PIECES.items()
}
_DOLLAR: Final = re.compile(r"\$(?:(?:[^\W\d]|_)\w*)?\$")
_ODD_BACKSLASH: Final = re.compile(r"(?<!\\)(?:\\\\)*\\['\"`]")
_PREFIXES: Final = {
    "postgres": frozenset({"e", "b", "x", "n"}),
    "sqlite": frozenset({"x"}),
    "mysql": frozenset({"b", "x", "n"}),
    "duckdb": frozenset({"e", "x"}),
}
_IDENTIFIER_QUOTES: Final = {"postgres": '"', "sqlite": '"`[', "mysql": '"`', "duckdb": '"'}
_NOT_A_MARK: Final = {"postgres": "{}", "sqlite": "{}[]#^", "mysql": "{}[]", "duckdb": ""}
_OPENS: Final = {")": "(", "]": "[", "}": "{"}
# What may stand before an operand again and again, each time one level deeper for a parser.
_PREFIX_WORDS: Final = frozenset({"not", "any", "all", "some", "prior", "distinct", "join", "binary", "interval"})


def statements_in(text: str, dialect: str) -> list[Statement]:
    """
    The statements of a text, in order, each without comments and with parameters in one form.

    Raises:
        Unreadable: The text is too large or too deep, or could be cut in more than one way.
    """
    if len(text) > MAX_LENGTH:
        raise Unreadable(TOO_LONG)
    return _Reader(text, dialect).run()


def _refuse(reason: str) -> NoReturn:
    raise Unreadable(reason)


class _Reader:
    """Goes through a text once, from left to right."""

    def __init__(self, text: str, dialect: str) -> None:
        self._text = text
        self._dialect = dialect
        self._at = 0
        self._length = 0
        self._parts: list[str] = []
        self._quotations: set[tuple[int, int]] = set()
        self._open: list[str] = []
        self._prefixes = 0
        self._squares = 0
        self._joins = 0
        self._before = ""
        self._done: list[Statement] = []

    def run(self) -> list[Statement]:
        pieces, text, read = 0, self._text, _READ[self._dialect]
        while self._at < len(text):
            pieces += 1
            if pieces > _MAX_PIECES:
                _refuse(TOO_LONG)
            if self._comment() or self._quotation(""):
                continue
            found = read.match(text, self._at)
            if found is None:
                _refuse(CHARACTER)
            kind, piece = found.lastgroup, found[0]
            if kind == "space":
                self._put(" ", len(piece))
            elif kind == "word":
                self._word(piece)
            elif kind == "mark":
                self._mark(piece)
            else:
                self._operand(kind or "", piece)
        self._end_statement()
        return self._done or _refuse(EMPTY)

    def _put(self, written: str, taken: int) -> None:
        self._parts.append(written)
        self._length += len(written)
        self._at += taken

    def _comment(self) -> bool:
        text, at = self._text, self._at
        two = text[at : at + 2]
        if two == "/*":
            end = text.find("*/", at + 2)
            inside = text[at + 2 : end]
            if end < 0 or "/*" in inside or inside[:1] in ("!", "+") or inside[:2] == "M!":
                _refuse(COMMENT)
            self._put(" ", end + 2 - at)
            return True
        if two == "--" or (self._dialect == "mysql" and two[:1] == "#"):
            # For MySQL, `--1` is a number with two signs.
            if self._dialect == "mysql" and two == "--" and text[at + 2 : at + 3] not in ("", " ", "\t", "\n"):
                _refuse(COMMENT)
            end = text.find("\n", at)
            end = len(text) if end < 0 else end
            # Some end the line here, and some read on.
            if "\r" in text[at:end].removesuffix("\r") or "\x00" in text[at:end]:
                _refuse(COMMENT)
            self._put(" ", end - at)
            return True
        return False

    def _quotation(self, prefix: str) -> bool:
        """Take a quotation that begins here, if one does; *prefix* was read already, and not written."""
        text, at = self._text, self._at
        quote = text[at : at + 1]
        if quote == "$" and self._dialect in ("postgres", "duckdb"):
            tag = _DOLLAR.match(text, at)
            if tag is None:
                return False
            end = text.find(tag[0], tag.end())
            length = end + len(tag[0]) - at if end >= 0 else 0
        elif quote == "'" or (quote and quote in _IDENTIFIER_QUOTES[self._dialect]):
            length = self._quoted("]" if quote == "[" else quote)
        else:
            return False
        piece = text[at : at + length]
        if not length or "\x00" in piece or (not piece.isascii() and any("\ud800" <= c <= "\udfff" for c in piece)):
            _refuse(QUOTATION)
        if self._escapes(quote, prefix) and _ODD_BACKSLASH.search(piece):
            _refuse(QUOTATION)
        self._quotations.add((self._length, self._length + len(prefix) + length))
        self._prefixes = 0
        self._put(prefix + piece, length)
        return True

    def _quoted(self, closing: str) -> int:
        """The length of the quotation that begins here; zero if it does not end."""
        end = self._at + 1
        while True:
            end = self._text.find(closing, end)
            if end < 0:
                return 0
            if closing == "]" or self._text[end + 1 : end + 2] != closing:
                return end + 1 - self._at
            end += 2

    def _escapes(self, quote: str, prefix: str) -> bool:
        """Whether a backslash may hide the end of such a quotation, by some setting of the server."""
        if quote in "$[`":
            return False
        return self._dialect in ("postgres", "mysql") or prefix.lower() == "e"

    def _word(self, word: str) -> None:
        if not word.isascii() and (word.upper().isascii() or word.lower().isascii()):
            _refuse(CHARACTER)  # a look-alike that turns into a keyword for whoever changes its case
        after = self._text[self._at + len(word) : self._at + len(word) + 2]
        lower = word.lower()
        if after[:1] in ("'", '"', "`"):
            if after[:1] != "'" or lower not in _PREFIXES[self._dialect]:
                _refuse(QUOTATION)
            self._at += len(word)
            self._quotation(word)
            return
        if lower == "u" and after in ("&'", '&"'):
            _refuse(QUOTATION)
        if lower == "case":
            self._push("case")
        elif lower == "end" and self._open and self._open[-1] == "case":
            self._open.pop()
        self._nesting(lower)
        if lower in _PREFIX_WORDS:
            self._prefix()
        elif lower not in ("outer", "inner", "left", "cross"):
            self._prefixes = 0
        self._put(word, len(word))

    def _nesting(self, word: str) -> None:
        """Refuse what a parser tries in ever more ways, the deeper it is."""
        last = self._before
        self._before = word
        if word in ("join", "straight_join") and last not in ("cross", "natural"):
            self._joins += 1
        elif word in ("on", "using", "where", "select"):
            self._joins = 0
        elif word == "from" and last == "(" and self._open:
            self._open[-1] = "(from"
        if self._joins > _MAX_OPEN_JOINS or self._open.count("(from") > _MAX_FROM_DEPTH:
            _refuse(TOO_DEEP)

    def _operand(self, kind: str, piece: str) -> None:
        after = self._text[self._at + len(piece) : self._at + len(piece) + 2]
        if kind in ("number", "position") and (
            after[:1].isalnum() or after[:1] in ("_", "$", "'", '"') or after == ".."
        ):
            _refuse(CHARACTER)
        # `a.1e5` is a number to some, and the name of a column to others.
        before = self._text[self._at - 1 : self._at]
        if kind == "number" and (before == "." or (piece[:1] == "." and (before.isalnum() or before in "_$\"`')]"))):
            _refuse(CHARACTER)
        # SQLite takes `$a(…)` and `:a::b` for one name, whatever stands inside.
        if kind == "parameter" and self._dialect == "sqlite" and (after[:1] == "(" or after == "::"):
            _refuse(CHARACTER)
        self._prefixes = 0
        if kind == "parameter":
            # A space on each side: what stands next to it must not become a part of the name.
            self._put(" ? " if self._dialect in ("sqlite", "mysql", "duckdb") else " :p ", len(piece))
        else:
            self._put(piece, len(piece))

    def _mark(self, mark: str) -> None:
        if mark in _NOT_A_MARK[self._dialect]:
            _refuse(CHARACTER)
        if mark == "@" and self._dialect == "mysql" and self._text[self._at + 1 : self._at + 2] in ("'", '"', "`"):
            _refuse(QUOTATION)
        self._before = mark
        if mark == ";":
            self._at += 1
            self._end_statement()
            return
        if mark in "([{":
            self._push(mark)
            self._squares += mark == "["
            if self._squares > _MAX_SQUARES:
                _refuse(TOO_DEEP)
        elif mark in _OPENS:
            if not self._open or self._open.pop()[:1] != _OPENS[mark]:
                _refuse(BRACKETS)
        elif mark in "-+~!@":
            self._prefix()
        self._put(mark, 1)

    def _push(self, what: str) -> None:
        self._open.append(what)
        if len(self._open) > _MAX_DEPTH:
            _refuse(TOO_DEEP)

    def _prefix(self) -> None:
        self._prefixes += 1
        if self._prefixes > _MAX_PREFIXES:
            _refuse(TOO_DEEP)

    def _end_statement(self) -> None:
        if self._open:
            _refuse(BRACKETS)
        text = "".join(self._parts)
        if text.strip():
            self._done.append(Statement(text, self._quotations))
        if len(self._done) > _MAX_STATEMENTS:
            _refuse(TOO_LONG)
        self._parts, self._quotations, self._length, self._prefixes, self._joins = [], set(), 0, 0, 0
