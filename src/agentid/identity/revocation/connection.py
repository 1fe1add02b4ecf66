"""
A connection to the file of a store, and how a reader and a writer begin: what is of SQLite and of no table.

Each use opens the file anew. A connection that is kept would be shared with forked processes, which SQLite forbids.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import sqlite3

__all__ = ["begin_to_read", "begin_to_write", "opened"]

_PAUSE: Final = 0.001


@contextlib.contextmanager
def opened(path: Path, timeout: float, *, mode: str = "rw") -> Generator[sqlite3.Connection]:
    """Open a file, for a transaction that waits for so many seconds, and close it."""
    import sqlite3

    connection = sqlite3.connect(f"{path.as_uri()}?mode={mode}", uri=True, timeout=timeout, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


def begin_to_read(connection: sqlite3.Connection, timeout: float) -> None:
    """Begin a transaction in which what is read stays as it is; *timeout* is how long to wait for writers."""
    import sqlite3

    # SQLite would ask ever less often whether the file is free. Where agents are issued one after the other it is, for
    # moments, and everything is refused to whoever misses them.
    connection.execute("PRAGMA busy_timeout = 0")
    connection.execute("BEGIN")
    until = time.monotonic() + timeout
    while True:
        try:
            connection.execute("SELECT version FROM state").fetchone()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
        else:
            return
        time.sleep(_PAUSE)


def begin_to_write(connection: sqlite3.Connection, _timeout: float) -> None:
    """Begin a transaction that no other writer disturbs, and whose end survives the loss of power."""
    connection.execute("PRAGMA synchronous = EXTRA")
    connection.execute("BEGIN IMMEDIATE")
