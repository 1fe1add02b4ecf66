"""
What is in sight at a place of a statement, and what was found so far.

A name means what is nearest: a `WITH` query, a source of the query around it, a source of the one around that. Nothing
here knows the tree of a statement; `sql.walk` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from agentid.access.sql.names import SqlTable
from agentid.permission import Action

__all__ = ["NO_COLUMN", "Columns", "Found", "Sight", "Source"]

Columns = frozenset[str] | None
"""Names of columns; `None` if it may be any of them."""

NO_COLUMN: Final[frozenset[str]] = frozenset()

Source = tuple[SqlTable, ...]
"""The tables that a name in sight may mean; none for a `WITH` query, a subquery or a function."""


class Found:
    """What was found so far: for each action and table, the columns."""

    def __init__(self) -> None:
        self._columns: dict[tuple[Action, SqlTable], Columns] = {}

    def add(self, action: Action, tables: Source, columns: Columns) -> None:
        """Note that *action* is done to each of *tables*; columns add up."""
        for table in tables:
            before = self._columns.get((action, table), NO_COLUMN)
            self._columns[action, table] = None if before is None or columns is None else before | columns

    def items(self) -> list[tuple[Action, SqlTable, Columns]]:
        """What was found, in a fixed order."""
        return sorted(((a, t, c) for (a, t), c in self._columns.items()), key=lambda item: (item[1], item[0]))


@dataclass(frozen=True)
class Sight:
    """What a name means at some place of a statement: `WITH` queries, and sources from the innermost outwards."""

    queries: frozenset[str] = frozenset()
    scopes: tuple[Mapping[str, Source], ...] = ()
    locked: bool = False
    in_with: bool = False

    def inside(self, scope: Mapping[str, Source]) -> Sight:
        """The same place, one query deeper."""
        return replace(self, scopes=(scope, *self.scopes), locked=False)
