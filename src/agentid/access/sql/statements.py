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

from agentid.access.sql import changes, definitions
from agentid.access.sql.sight import Sight
from agentid.access.sql.tree import Node
from agentid.access.sql.walk import Walk

__all__ = ["STATEMENTS"]

STATEMENTS: Final[dict[str, Callable[[Walk, Node, Sight], None]]] = {
    "Alter": definitions.alter,
    "Copy": definitions.copy,
    "Create": definitions.create,
    "Delete": changes.delete,
    "Drop": definitions.drop,
    "Grant": definitions.share,
    "Insert": changes.insert,
    "Into": definitions.into,
    "Merge": changes.merge,
    "Revoke": definitions.share,
    "TruncateTable": definitions.truncate,
    "Update": changes.update,
}
