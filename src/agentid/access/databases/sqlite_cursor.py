"""
A cursor of `sqlite3` that counts the rows that are read from it, and asks for them whether they may still be read.

C reads the rows of a plain cursor without a function that could be wrapped.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from agentid.record import attributes as names

if TYPE_CHECKING:
    from agentid.access.touching import Touching

__all__ = ["cursor_class"]


def cursor_class(base: Any) -> Any:  # noqa: C901 -- a class, whose methods are short
    """Give that class, a subclass of `sqlite3.Cursor`."""

    class Cursor(base):
        touching: Touching | None = None
        rows_read = 0
        run: Callable[..., Any]

        def hold(self, touching: Touching, run: Callable[..., Any]) -> None:
            """Keep an access open until its rows are read, each by *run*."""
            self.touching, self.rows_read, self.run = touching, 0, run

        def let_go(self, error: BaseException | None = None) -> None:
            """The access is over."""
            touching, self.touching = self.touching, None
            if touching is not None:
                touching(rows=0, attributes={names.DB_ROWS: self.rows_read})
                touching.close(error)

        def __next__(self) -> Any:
            return self._read(base.__next__, None)

        def fetchone(self) -> Any:
            return self._read(base.fetchone, None)

        def fetchmany(self, size: int | None = None) -> Any:
            wanted: int = self.arraysize if size is None else size
            return self._read(base.fetchmany, wanted, wanted)

        def fetchall(self) -> Any:
            return self._read(base.fetchall, sys.maxsize)

        def close(self) -> None:
            self.let_go()
            base.close(self)

        def __del__(self) -> None:
            self.let_go()

        def _read(self, read: Any, wanted: int | None, *args: Any) -> Any:
            """Read a row, or the number of rows that is *wanted*."""
            if self.touching is None:
                return read(self, *args)
            self.touching.check()
            try:
                found = self.run(read, self, *args)
            except StopIteration:
                self.let_go()
                raise
            except BaseException as error:
                self.let_go(error)
                raise
            if wanted is None:
                count, expected = (0 if found is None else 1), 1
            else:
                count, expected = len(found), wanted
            self.rows_read += count
            self.touching(rows=count)
            if count < expected:
                self.let_go()
            return found

    Cursor.__module__, Cursor.__qualname__ = base.__module__, base.__qualname__
    return Cursor
