"""
The tree that sqlglot makes of a statement, as little of it as is needed.

Its classes and their arguments differ between versions, so nodes are known by the names of their kinds, and arguments
that are missing are empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, cast

__all__ = ["CALLED", "Node", "children", "kind_of", "nodes_in", "parts_in", "with_of", "word_in"]

CALLED: Final = "\x01"
"""What `sql.tokens` puts before a word that is called; no text can hold it there."""

Node = Any
"""A node of the tree."""


def kind_of(node: Node) -> str:
    """The name of a node's kind, such as `Select`; of other values, their type's."""
    return type(node).__name__


def parts_in(value: Any) -> list[Any]:
    """What an argument of a node holds, nodes or not: it may be a list, one thing or nothing."""
    if isinstance(value, list):
        return cast("list[Any]", value)
    return [] if value is None or value is False else [value]


def nodes_in(value: Any) -> list[Node]:
    """The nodes that an argument holds."""
    return [part for part in parts_in(value) if hasattr(part, "args")]


def word_in(value: Any) -> str:
    """What an argument says in words, in capitals: it may be nothing, a text, or a node that holds one."""
    return str(getattr(value, "name", value) or "").upper()


def with_of(node: Node) -> Node:
    """The `WITH` clause of a node, or nothing."""
    return node.args.get("with_") or node.args.get("with")


def children(node: Node, *, without: tuple[str, ...] = ()) -> Iterator[Node]:
    """The nodes right below *node*, apart from those that the named arguments hold."""
    for name, value in node.args.items():
        if name not in without:
            yield from nodes_in(value)
