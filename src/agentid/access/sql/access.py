"""
What an SQL text does to a database server, in the words of permissions.

An understood text does what it says to its tables; any other may do anything: `execute` on the database. What the text
says is read by `sql.reading`; here it gets the names of a server.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentid.record import Access
from agentid.resource import Resource

if TYPE_CHECKING:
    from agentid.access.sql.names import SqlDatabase
    from agentid.access.sql.reading import SqlReader, SqlReading, SqlTable

__all__ = ["SqlDoing", "SqlServer"]


@dataclass(frozen=True)
class SqlDoing:
    """
    What a text does.

    Attributes:
        accesses: To which resources; empty for a text that touches no table.
        operation: In one word, such as `SELECT`.
        understood: Whether that is known of the text, or it may do anything.
    """

    accesses: tuple[Access, ...]
    operation: str
    understood: bool

    @property
    def table(self) -> str:
        """The table with its schema, if it is one; otherwise empty."""
        tables = {".".join(access.resource.segments[-2:]) for access in self.accesses}
        return tables.pop() if self.understood and len(tables) == 1 else ""

    @property
    def name(self) -> str:
        """Of low cardinality, such as `SELECT public.orders`."""
        return f"{self.operation} {self.table}".rstrip()


@dataclass(frozen=True)
class SqlServer:
    """
    Where texts are sent.

    Args:
        scheme: Of its resources, such as `postgres`.
        authority: Host and port.
        above: What its tables are in that their names do not say, such as the path of a file.
        database: The current database, if there is one.
    """

    scheme: str
    authority: str
    above: tuple[str, ...] = ()
    database: str = ""

    @property
    def whole(self) -> Resource:
        """The database."""
        return Resource.of(self.scheme, self.authority, *self.above, *([self.database] if self.database else []))

    def table(self, table: SqlTable) -> Resource:
        """A table."""
        return Resource.of(self.scheme, self.authority, *self.above, *table.parts)

    def anything(self) -> SqlDoing:
        """What a text does that is not understood."""
        return SqlDoing((Access("execute", self.whole),), "EXECUTE", understood=False)

    def doing(self, reader: SqlReader, text: str, databases: Iterable[SqlDatabase]) -> SqlDoing:
        """
        What *text* does, wherever its names lead: in each of *databases*, all of which may be meant.

        Raises:
            ConfigurationError: It touches a table that no resource can name.
        """
        found: dict[Access, None] = {}
        reading: SqlReading | None = None
        for database in databases:
            reading = reader.read(text, database)
            if not reading.understood:
                return self.anything()
            found.update((Access(each.action, self.table(each.table)), None) for each in reading.accesses)
        if reading is None:
            return self.anything()
        kinds = {statement.kind for statement in reading.statements}
        return SqlDoing(tuple(found), kinds.pop().upper() if len(kinds) == 1 else "BATCH", understood=True)
