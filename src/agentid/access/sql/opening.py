"""
How a statement begins: whether that word is on the list, and a few forms that sqlglot cannot read.

Transactions, savepoints and single settings that are shown touch no table; they are known by their whole text. Of
`EXPLAIN`, `REPLACE INTO` and `UPDATE OR …` the beginning is put into a form that can be read, in the same
length, so that quotations stay where they are.
"""

from __future__ import annotations

import re
from typing import Final

from agentid.access.sql.text import Statement, Unreadable

__all__ = ["prepared", "without_tables"]

KIND: Final = "a statement of this kind is not on the list"

_NAME: Final = r"(?:[^\W\d][\w$]*|\"[\w $-]+\"|`[\w $-]+`)"
_MODE: Final = (
    r"(?:isolation level (?:serializable|repeatable read|read committed|read uncommitted)"
    r"|read only|read write|(?:not )?deferrable|with consistent snapshot)"
)
_MODES: Final = rf"(?: {_MODE}(?: ?,? {_MODE})*)?"
_WORK: Final = "(?: transaction| work)?"
_TRANSACTION: Final = "|".join((
    rf"begin{_WORK}{_MODES}",
    rf"start transaction{_MODES}",
    rf"set transaction{_MODES}",
    "begin (?:deferred|immediate|exclusive)(?: transaction)?",
    rf"(?:commit|end|abort){_WORK}",
    rf"rollback{_WORK}(?: to(?: savepoint)? {_NAME})?",
    rf"savepoint {_NAME}",
    rf"release(?: savepoint)? {_NAME}",
))  # fmt: skip
_NO_TABLES: Final = re.compile(_TRANSACTION, re.IGNORECASE | re.ASCII)
# `show all` would show every setting, and names with a dot are those that applications keep their own things in.
_SHOW: Final = re.compile(r"show (?:transaction isolation level|time zone|(?!all\b)[a-z_]+)", re.IGNORECASE | re.ASCII)

_FIRST_WORDS = "alter create delete drop grant insert merge replace revoke select table truncate update values with"
_FIRST: Final = frozenset(_FIRST_WORDS.split())
_FIRST_OF: Final = {
    "postgres": _FIRST | {"copy"},
    "sqlite": _FIRST,
    "mysql": _FIRST,
    "duckdb": _FIRST | {"from"},
}
_FIRST_WORD: Final = re.compile(r"[\s(]*([^\W\d]\w*)")
_EXPLAIN: Final = {
    "postgres": r"\s*explain(?:\s+analyze|\s+verbose|\s*\((?:[\w\s,])*\))*(?=[\s(])",
    "sqlite": r"\s*explain(?:\s+query\s+plan)?\s",
    "mysql": r"\s*(?:explain|describe|desc)(?:\s+analyze)?(?:\s+format\s*=\s*\w+)?(?=[\s(])",
    "duckdb": r"\s*explain(?:\s+analyze)?(?=[\s(])",
}
_EXPLAINS: Final = {dialect: re.compile(text, re.IGNORECASE) for dialect, text in _EXPLAIN.items()}
_REPLACE: Final = re.compile(r"(\s*)replace(?=\s+into\s)", re.IGNORECASE)
_UPDATE_OR: Final = re.compile(r"(\s*update)(\s+or\s+(abort|fail|ignore|replace|rollback))(?=\s)", re.IGNORECASE)
_TABLE_OPTIONS: Final = re.compile(
    r"(?<=\))\s*(?:without\s+rowid|strict)(?:\s*,\s*(?:without\s+rowid|strict))*\s*\Z", re.IGNORECASE
)
_CREATE: Final = re.compile(r"\s*create\s+(?:temp\s+|temporary\s+)?table\s[^'\"`\[]*\Z", re.IGNORECASE)


def without_tables(text: str, dialect: str) -> str:
    """The kind of a statement that touches no table, known by its whole text; empty for all others."""
    words = " ".join(text.split())
    if _NO_TABLES.fullmatch(words):
        return "transaction"
    return "show" if dialect == "postgres" and _SHOW.fullmatch(words) else ""


def prepared(statement: Statement, dialect: str) -> tuple[Statement, str, bool]:
    """
    The statement as sqlglot can read it, what it does with a row that is in the way, and whether it is explained.

    `EXPLAIN` may run what it explains, so it counts as doing that.

    Raises:
        Unreadable: Its first word is not on the list.
    """
    text, way, explained = statement.text, "", False
    opening = _EXPLAINS[dialect].match(text)
    if opening is not None:
        explained = True
        text = " " * opening.end() + text[opening.end() :]
    if dialect in ("sqlite", "mysql"):
        replaces = _REPLACE.match(text)
        if replaces is not None:
            way = "replace"
            text = f"{replaces[1]}insert {text[replaces.end() :]}"
    if dialect == "sqlite":
        otherwise = _UPDATE_OR.match(text)
        if otherwise is not None:
            way = otherwise[3].lower()
            text = otherwise[1] + " " * len(otherwise[2]) + text[otherwise.end() :]
        options = _TABLE_OPTIONS.search(text) if _CREATE.match(text) else None
        if options is not None:
            text = text[: options.start()]
    first = _FIRST_WORD.match(text)
    if first is None or first[1].lower() not in _FIRST_OF[dialect]:
        raise Unreadable(KIND)
    return Statement(text, statement.quotations), way, explained
