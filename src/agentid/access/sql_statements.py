"""
What each kind of statement does to its tables; a kind without a rule here is not understood.

| statement | access |
|---|---|
| `INSERT`, `CREATE`, `COPY … FROM STDIN`, `SELECT INTO` | `write` |
| `UPDATE`, `ALTER`, an index, `ON CONFLICT DO UPDATE`, `FOR UPDATE` | `edit` |
| `DELETE`, `DROP`, `TRUNCATE`, `OR REPLACE`, a dropped column | `delete` |
| `GRANT`, `REVOKE` | `share` |
| whatever looks at a column: a query, `WHERE`, `RETURNING`, `ON` | `read`, besides the others |

A table that is only changed is not read: `update t set a = 1` is `edit` alone, with `where b = 2` it is `read` too,
as the number of changed rows tells something. Databases ask for the same rights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from agentid.access import sql_changes, sql_definitions
from agentid.access.sql_sight import Sight
from agentid.access.sql_tree import Node
from agentid.access.sql_walk import Walk

__all__ = ["STATEMENTS"]

STATEMENTS: Final[dict[str, Callable[[Walk, Node, Sight], None]]] = {
    "Alter": sql_definitions.alter,
    "Copy": sql_definitions.copy,
    "Create": sql_definitions.create,
    "Delete": sql_changes.delete,
    "Drop": sql_definitions.drop,
    "Grant": sql_definitions.share,
    "Insert": sql_changes.insert,
    "Into": sql_definitions.into,
    "Merge": sql_changes.merge,
    "Revoke": sql_definitions.share,
    "TruncateTable": sql_definitions.truncate,
    "Update": sql_changes.update,
}
