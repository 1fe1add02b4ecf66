"""
What the rules for statements share: the table that is changed, the columns that are listed, the assignments.

`sql.changes` and `sql.definitions` have the rules.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from agentid.access.sql.names import fold, tables_named
from agentid.access.sql.opening import KIND
from agentid.access.sql.sight import Columns, Sight, Source
from agentid.access.sql.text import Unreadable
from agentid.access.sql.tree import Node, kind_of, word_in
from agentid.access.sql.walk import PART, Walk

__all__ = ["NO_TABLE", "assign", "columns_of", "only", "statement_kind", "target_of"]

NO_TABLE: Final = "a statement that changes data names no table"

_ROOTS: Final = {
    "Alter": "alter",
    "Copy": "copy",
    "Create": "create",
    "Delete": "delete",
    "Drop": "drop",
    "Except": "select",
    "Grant": "grant",
    "Insert": "insert",
    "Intersect": "select",
    "Merge": "merge",
    "Revoke": "revoke",
    "Select": "select",
    "Subquery": "select",
    "TruncateTable": "truncate",
    "Union": "select",
    "Update": "update",
    "Values": "select",
}


def statement_kind(root: Node) -> str:
    """
    The kind of a statement in one word, such as `select`.

    Raises:
        Unreadable: It is not on the list.
    """
    kind = _ROOTS.get(kind_of(root))
    # What is in brackets must be a query: `(t)` is none.
    inner = root
    while kind_of(inner) == "Subquery":
        inner = inner.this
    if kind is None or kind_of(inner) not in _ROOTS:
        raise Unreadable(KIND)
    return kind


def target_of(walk: Walk, node: Node) -> Source:
    """The tables that a statement changes: never a `WITH` query, whatever its name."""
    if kind_of(node) != "Table":
        raise Unreadable(NO_TABLE)
    walk.check_table(node)
    return tables_named(node, walk.database)


def columns_of(walk: Walk, names: list[Node]) -> Columns:
    """The columns that a statement lists as those it fills; `None` if it lists none, or an odd one."""
    found = [name.this if kind_of(name) == "Ordered" else name for name in names]
    found = [name.this if kind_of(name) == "Column" else name for name in found]
    if not found or any(kind_of(name) != "Identifier" for name in found):
        return None
    return frozenset(fold(name, walk.database) for name in found)


def assign(walk: Walk, assignments: list[Node], sight: Sight, edit: Callable[[Node | None, Columns], None]) -> None:
    """Look at `SET a = …`: *edit* is told each prefix and column on the left, and the right is looked at."""
    for item in assignments:
        if kind_of(item) not in ("EQ", "PropertyEQ"):
            edit(None, None)
            walk.later(item, sight)
            continue
        left = item.this
        field = walk.database.dialect in ("postgres", "duckdb") and kind_of(left) == "Column" and left.args.get("table")
        if field:
            edit(None, None)  # `a.b` is a field of the column a, and the table has no other name here
        elif kind_of(left) == "Column" and kind_of(left.this) == "Identifier":
            edit(left.args.get("table"), frozenset({fold(left.this, walk.database)}))
        elif kind_of(left) == "Tuple" and columns_of(walk, left.expressions) is not None:
            edit(None, columns_of(walk, left.expressions))
        else:
            edit(None, None)
            if kind_of(left) != "Identifier":
                walk.later(left, sight)
        if not _is_default(item.expression):
            walk.later(item.expression, sight)


def _is_default(node: Node) -> bool:
    """Whether a value is the word `DEFAULT`, which the tree takes for a column."""
    if kind_of(node) != "Column" or node.args.get("table") is not None or kind_of(node.this) != "Identifier":
        return False
    return not node.this.args.get("quoted") and word_in(node.this) == "DEFAULT"


def only(node: Node, *allowed: str) -> None:
    """Refuse a statement that says more than is known here."""
    for name, value in node.args.items():
        if value and name not in allowed and name not in ("with_", "with"):
            raise Unreadable(PART)
