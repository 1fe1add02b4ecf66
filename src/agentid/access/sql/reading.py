"""
What an SQL text does to which tables, before it is sent anywhere.

    reader = SqlReader()
    reading = reader.read("with big as (select * from orders) delete from carts", SqlDatabase("postgres", "shop"))
    [(access.action, access.table.name) for access in reading.accesses]   # delete carts, read orders

Rules:

- A reading is *understood* only if each part of each statement is on a list of known ones. Anything else says so, with
  a reason that holds nothing of the text, and gives no access at all: what it does may be anything, so it needs
  `execute` on the database.
- An understood text touches no table by name that the reading lacks. It may touch less: where names
  leave a choice, all that they may mean is given.
- A view, trigger, rule, default or type of the database may do more than the text says. Whoever makes those is
  trusted with it; the rights of the database account are the boundary, and this is a second one.
- It is read with the default settings of each database (`sql_mode`, `search_path`), which no understood text changes.

Nothing here decides, sends or records anything. The parts: `sql.text` cuts a text into statements, `sql.parsing` asks
sqlglot for their trees, `sql.walk` and `sql.statements` read those, `sql.names` knows what a name means.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

from agentid.access.sql.names import SqlDatabase, SqlTable
from agentid.access.sql.opening import KIND, prepared, without_tables
from agentid.access.sql.parsing import STACK, Parser
from agentid.access.sql.rules import statement_kind
from agentid.access.sql.sight import Sight
from agentid.access.sql.statements import STATEMENTS
from agentid.access.sql.text import Statement, Unreadable, statements_in
from agentid.access.sql.walk import PART, Walk
from agentid.errors import ConfigurationError, quote
from agentid.permission import Action

__all__ = ["SqlDatabase", "SqlReader", "SqlReading", "SqlTable", "StatementReading", "TableAccess"]

_MAX_KEPT_LENGTH: Final = 8 * 1024  # a longer text is rarely sent twice
_NO_TEXT: Final = "it is no text"


@dataclass(frozen=True)
class TableAccess:
    """
    One action on one table.

    `columns` are at least those that are touched, folded like names; `None` if it may be any of them.
    """

    action: Action
    table: SqlTable
    columns: frozenset[str] | None


@dataclass(frozen=True)
class StatementReading:
    """One statement: its kind in one word, such as `insert`, and what it does. A kind may do nothing to tables."""

    kind: str
    accesses: tuple[TableAccess, ...]


@dataclass(frozen=True)
class SqlReading:
    """
    What a text does.

    If `understood` is false, `reason` is one of a few fixed phrases, there are no statements, and the text may do
    anything.
    """

    understood: bool
    reason: str
    statements: tuple[StatementReading, ...]

    @property
    def accesses(self) -> tuple[TableAccess, ...]:
        """The accesses of all statements, each once."""
        return tuple(dict.fromkeys(access for statement in self.statements for access in statement.accesses))


class SqlReader:
    """
    Reads SQL texts, and remembers those that it has read. Safe to share between threads.

    Args:
        remembered: How many readings are kept; the one that was not used for longest goes first.

    Raises:
        ConfigurationError: That is no number above zero.
    """

    def __init__(self, *, remembered: int = 512) -> None:
        # `True` is no number of readings.
        if type(remembered) is not int or remembered < 1:
            raise ConfigurationError(
                f"not a number of readings: {quote(remembered)}", why="it is a whole number above 0"
            )
        self._remembered = remembered
        self._known: OrderedDict[tuple[SqlDatabase, str], SqlReading] = OrderedDict()
        self._parsers: dict[str, Parser] = {}
        self._lock = threading.Lock()
        self._parsing = threading.Lock()

    def read(self, text: str, database: SqlDatabase) -> SqlReading:
        """
        What *text* does when it is sent to *database*; a text that is not understood is no error.

        Raises:
            MissingExtraError: sqlglot is not installed.
        """
        given: Any = text
        if not isinstance(given, str):
            return _not_understood(_NO_TEXT)
        # As a driver sends it: a subclass may print as something else than it is.
        key = (database, str.__str__(given))
        with self._lock:
            known = self._known.get(key)
            if known is not None:
                self._known.move_to_end(key)
                return known
        reading = self._read(*key)
        # How much stack is left is the caller's affair, and another one may have more.
        if reading.reason != STACK and len(key[1]) <= _MAX_KEPT_LENGTH:
            with self._lock:
                self._known[key] = reading
                while len(self._known) > self._remembered:
                    self._known.popitem(last=False)
        return reading

    def _read(self, database: SqlDatabase, text: str) -> SqlReading:
        try:
            found = tuple(self._statement(statement, database) for statement in statements_in(text, database.dialect))
        except Unreadable as refused:
            return _not_understood(refused.reason)
        except RecursionError:
            return _not_understood(STACK)
        return SqlReading(understood=True, reason="", statements=found)

    def _statement(self, statement: Statement, database: SqlDatabase) -> StatementReading:
        kind = without_tables(statement.text, database.dialect)
        if kind:
            return StatementReading(kind, ())
        statement, replaces, explains = prepared(statement, database.dialect)
        with self._parsing:
            parser = self._parsers.get(database.dialect)
            if parser is None:
                parser = self._parsers[database.dialect] = Parser(database.dialect)
            root = parser.tree(statement)
        if replaces:
            if type(root).__name__ not in ("Insert", "Update") or root.args.get("alternative"):
                raise Unreadable(KIND)
            root.args["alternative"] = replaces
        try:
            kind = statement_kind(root)
            walk = Walk(database, STATEMENTS)
            walk.run(root, Sight())
        except (AttributeError, LookupError, TypeError, ValueError):
            # A tree of a shape that nobody thought of: another version of sqlglot leaves out what is looked for.
            raise Unreadable(PART) from None
        accesses = tuple(TableAccess(action, table, columns) for action, table, columns in walk.found.items())
        return StatementReading("explain" if explains else kind, accesses)


def _not_understood(reason: str) -> SqlReading:
    return SqlReading(understood=False, reason=reason, statements=())
