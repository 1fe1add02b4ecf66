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

__all__ = ["Reader", "cursor_class"]


class Reader:
    """A cursor that holds an access until its rows are read; see `cursor_class`."""

    _agentid_touching: Touching | None = None
    _agentid_rows = 0
    _agentid_is_busy = False
    _agentid_run: Callable[..., Any]

    def agentid_hold(self, touching: Touching, run: Callable[..., Any]) -> None:
        """Keep an access open until its rows are read, each by *run*."""
        self._agentid_touching, self._agentid_rows, self._agentid_run = touching, 0, run

    def agentid_let_go(self, error: BaseException | None = None) -> None:
        """The access is over."""
        touching, self._agentid_touching = self._agentid_touching, None
        if touching is not None:
            touching(rows=0, attributes={names.DB_ROWS: self._agentid_rows})
            touching.close(error)

    def _agentid_read(self, read: Any, wanted: int | None, *args: Any) -> Any:
        """Read a row, or the number of rows that is *wanted*."""
        touching = self._agentid_touching
        if touching is None or self._agentid_is_busy:  # one way of reading uses another
            return read(self, *args)
        touching.check()
        self._agentid_is_busy = True
        try:
            found = self._agentid_run(read, self, *args)
        except StopIteration:
            self.agentid_let_go()
            raise
        except BaseException as error:
            self.agentid_let_go(error)
            raise
        finally:
            self._agentid_is_busy = False
        if wanted is None:
            count, expected = (0 if found is None else 1), 1
        else:
            count, expected = len(found), wanted
        self._agentid_rows += count
        touching(rows=count)
        if count < expected:
            self.agentid_let_go()
        return found


def cursor_class(base: Any) -> Any:
    """Give a subclass of *base*, a class of cursors, whose objects are each a `Reader`."""
    if issubclass(base, Reader):
        return base
    for known in base.__subclasses__():
        if known.__bases__ == (Reader, base):
            return known

    class Cursor(Reader, base):
        def __next__(self) -> Any:
            return self._agentid_read(base.__next__, None)

        def fetchone(self) -> Any:
            return self._agentid_read(base.fetchone, None)

        def fetchmany(self, size: int | None = None) -> Any:
            wanted: int = self.arraysize if size is None else size
            return self._agentid_read(base.fetchmany, wanted, wanted)

        def fetchall(self) -> Any:
            return self._agentid_read(base.fetchall, sys.maxsize)

        def close(self) -> None:
            self.agentid_let_go()
            base.close(self)

        def __del__(self) -> None:
            self.agentid_let_go()
            getattr(base, "__del__", _nothing)(self)

    Cursor.__name__, Cursor.__qualname__, Cursor.__module__ = base.__name__, base.__qualname__, base.__module__
    return Cursor


def _nothing(_cursor: object) -> None: ...
