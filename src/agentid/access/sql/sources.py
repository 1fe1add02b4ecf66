"""
What a `FROM`, a join or a `USING` brings into sight: names, and the tables that they mean.

Two sources of one name are both meant: which of them a database takes, or that it refuses, is its affair.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from agentid.access.sql.names import SqlDatabase, fold
from agentid.access.sql.sight import Source
from agentid.access.sql.tree import Node, kind_of, nodes_in

__all__ = ["in_brackets", "merged", "named_source", "sources_in"]


def sources_in(items: list[Node], means: Callable[[Node], Source], database: SqlDatabase) -> dict[str, Source]:
    """By name, the sources that stand in *items*; *means* says which tables a `Table` node is."""
    sources: dict[str, Source] = {}
    todo = list(items)
    while todo:
        item = todo.pop()
        if kind_of(item) == "Table":
            sources = merged(sources, named_source(item, means(item), database))
            todo += [*nodes_in(item.args.get("joins")), *nodes_in(item.args.get("laterals"))]
            continue
        if kind_of(item) in ("From", "Join", "Paren") or in_brackets(item):
            todo += [item.this, *nodes_in(item.args.get("joins"))]
        if item.args.get("alias") is not None and item.alias:
            sources = merged(sources, {_alias(item, database): ()})
    return sources


def in_brackets(item: Node) -> bool:
    """Whether a node is tables in brackets, as in `from (a join b on …)`: no query of its own."""
    return kind_of(item) == "Subquery" and kind_of(item.this) in ("Table", "Subquery")


def named_source(table: Node, means: Source, database: SqlDatabase) -> dict[str, Source]:
    """A table under its alias, or else its name."""
    if table.args.get("alias") is not None and table.alias:
        return {_alias(table, database): means}
    return {fold(table.this, database): means} if kind_of(table.this) == "Identifier" else {}


def merged(*several: Mapping[str, Source]) -> dict[str, Source]:
    """All sources together; those of one name are added up."""
    sources: dict[str, Source] = {}
    for some in several:
        for name, means in some.items():
            sources[name] = (*sources.get(name, ()), *means)
    return sources


def _alias(item: Node, database: SqlDatabase) -> str:
    alias = item.args["alias"]
    return fold(alias.this if kind_of(alias) == "TableAlias" else alias, database)
