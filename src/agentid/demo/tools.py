"""
The agent's tools. Each really does what it says; `requires` is all that stands before it.

Every tool that touches data asks twice: for what it is about (`read:documents/…`) and, inside, for the
file or table that this comes down to. A tool that reached for another file would be refused there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agentid.demo.world import quoted
from agentid.guard import requires
from agentid.resource import Resource

if TYPE_CHECKING:
    from agentid.demo.world import World
    from agentid.guard import Guard

__all__ = ["Tools", "file_resource", "make_tools", "table_resource"]

_MOST_ROWS: Final = 5


@dataclass(frozen=True)
class Tools:
    """What the agent can call."""

    read_document: Callable[[str], str]
    read_message: Callable[[str], str]
    query: Callable[[str], list[dict[str, Any]]]
    write_report: Callable[[str, str], None]
    send_mail: Callable[[str, str], None]
    drop_table: Callable[[str], None]


def file_resource(path: Path) -> Resource:
    """
    A file as a resource.

    Raises:
        ConfigurationError: Its path has a part that no resource can have.
    """
    return Resource.of("file", "", *path.parts[1:])


def table_resource(database: Path, table: str) -> Resource:
    """A table of a database as a resource."""
    return Resource.of("sqlite", "", *database.parts[1:], table)


def make_tools(guard: Guard, world: World) -> Tools:
    """The tools over one world."""

    def read_file(path: Path) -> str:
        with guard.access("read", file_resource(path)):
            return path.read_text(encoding="utf-8", errors="replace")

    @requires("read:documents/{name:path}")
    def read_document(name: str) -> str:
        """Read a document of the folder."""
        return read_file(world.folder / name)

    @requires("read:inbox/{name}")
    def read_message(name: str) -> str:
        """Read a message from outside."""
        return read_file(world.inbox / name)

    @requires("read:crm/{table}")
    def query(table: str) -> list[dict[str, Any]]:
        """Read rows of a table."""
        with (
            guard.access("read", table_resource(world.database, table)),
            closing(sqlite3.connect(world.database)) as connection,
        ):
            connection.row_factory = sqlite3.Row
            rows = connection.execute(f"SELECT * FROM {quoted(table)} LIMIT {_MOST_ROWS}").fetchall()  # noqa: S608
            return [dict(row) for row in rows]

    @requires("write:reports/{name}")
    def write_report(name: str, text: str) -> None:
        """Write a report."""
        path = world.reports / name
        with guard.access("write", file_resource(path)):
            path.write_text(text, encoding="utf-8")

    @requires("write:mail/outbox/{to}", sinks={"to"})
    def send_mail(to: str, body: str) -> None:
        """Send a mail: here, a file in the outbox."""
        (world.outbox / f"{to}.eml").write_text(f"To: {to}\n\n{body}\n", encoding="utf-8")

    @requires("delete:crm/{table}")
    def drop_table(table: str) -> None:
        """Delete a table."""
        with closing(sqlite3.connect(world.database)) as connection, connection:
            connection.execute(f"DROP TABLE {quoted(table)}")

    return Tools(read_document, read_message, query, write_report, send_mail, drop_table)
