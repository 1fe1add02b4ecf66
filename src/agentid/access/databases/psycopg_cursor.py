"""The cursors of `psycopg`, sync and async: what is sent, and the rows that come, at once or later."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final, cast
from weakref import WeakKeyDictionary

from agentid.access.databases.psycopg_connection import Later, Servers, Untouched, encoding_of
from agentid.access.library import Patch
from agentid.record import attributes as names

if TYPE_CHECKING:
    from agentid.access.installation import Installation
    from agentid.access.touching import Touching

__all__ = ["Cursors"]

Wrapped = Callable[..., Any]
Arguments = tuple[Any, ...]
Named = dict[str, Any]
Seen = "Touching | Untouched"

_PLACEHOLDERS: Final = re.compile(rb"%(?:%|\([^)]*\)[sbt]|[sbt])")


class _Statement:
    """A text that a cursor is about to send, with its block."""

    def __init__(self, servers: Servers, cursor: Any, args: Arguments, kwargs: Named) -> None:
        self._servers = servers
        self._connection: Any = cursor._pgconn
        name = next((key for key in ("query", "statement") if key in kwargs), "")
        given, rest = (kwargs[name], args) if name else (args[0] if args else None, args[1:])
        self.named = {key: value for key, value in kwargs.items() if key != name}
        # What is sent is what was decided about: a composed text can be changed, or read otherwise the second time.
        self.query, text = _frozen(cursor, given)
        self.arguments = (self.query, *rest)
        params = rest[0] if rest else self.named.get("params", self.named.get("params_seq"))
        if text is not None and params is not None and "Raw" not in cursor._query_cls.__name__:
            text = _PLACEHOLDERS.sub(lambda found: b"%" if found[0] == b"%%" else b"$1", text)
        if servers.needs_path(self._connection):
            servers.ask_path(self._connection)
        self.touching, self._doing = servers.deciding(self._connection, text)

    def sending(self) -> Any:
        return self._servers.sending(self._connection, self._doing)


class Cursors:
    """
    What runs instead of the methods of cursors.

    Args:
        module: `psycopg`.
        access: The installation.
        servers: Where connections lead.
    """

    def __init__(self, module: Any, access: Installation, servers: Servers) -> None:
        self._module = module
        self._access = access
        self._servers = servers
        # Of cursors that are on the server, and of copies: what is open until its rows were read.
        self._open: WeakKeyDictionary[Any, tuple[Touching | Untouched, Later]] = WeakKeyDictionary()

    def patches(self) -> Generator[Patch]:
        """What is wrapped."""
        module = self._module
        for owner in (module.Cursor, module.ServerCursor):
            yield Patch(owner, "execute", self._execute)
        for owner in (module.AsyncCursor, module.AsyncServerCursor):
            yield Patch(owner, "execute", self._execute_async)
        yield Patch(module.Cursor, "executemany", self._execute)
        yield Patch(module.AsyncCursor, "executemany", self._execute_async)
        for name, wrapper in (("stream", self._stream), ("copy", self._copy)):
            yield Patch(module.Cursor, name, self._later(wrapper))
        for name, later in (("stream", self._stream_async), ("copy", self._copy_async)):
            yield Patch(module.AsyncCursor, name, self._later(later))
        server = next(kind for kind in module.ServerCursor.__mro__ if "_fetch_gen" in vars(kind))
        yield Patch(server, "_fetch_gen", self._fetch)
        yield Patch(server, "_scroll_gen", self._fetch)
        yield Patch(server, "_close_gen", self._close)
        copy = next(kind for kind in module.Copy.__mro__ if "_read_gen" in vars(kind))
        yield Patch(copy, "_read_gen", self._read_copy)

    # --- at once -----------------------------------------------------------------------------------------------------

    def _execute(self, wrapped: Wrapped, cursor: Any, args: Arguments, kwargs: Named) -> Any:
        if not self._access.watches("psycopg"):
            return wrapped(*args, **kwargs)
        self._let_go(cursor)
        with cursor._conn.lock:
            statement = _Statement(self._servers, cursor, args, kwargs)
        seen = statement.touching.__enter__()
        with _failing(seen):
            with statement.sending():
                result = wrapped(*statement.arguments, **statement.named)
            self._saw(cursor, seen)
        return result

    async def _execute_async(self, wrapped: Wrapped, cursor: Any, args: Arguments, kwargs: Named) -> Any:
        if not self._access.watches("psycopg"):
            return await wrapped(*args, **kwargs)
        self._let_go(cursor)
        async with cursor._conn.lock:
            statement = _Statement(self._servers, cursor, args, kwargs)
        seen = await statement.touching.__aenter__()
        with _failing(seen):
            with statement.sending():
                result = await wrapped(*statement.arguments, **statement.named)
            self._saw(cursor, seen)
        return result

    def _saw(self, cursor: Any, seen: Touching | Untouched) -> None:
        if hasattr(cursor, "itersize"):
            # Its rows stay on the server until they are fetched.
            seen.pause()
            self._open[cursor] = seen, Later(str.__str__(cursor.name))
            return
        rows: int = cursor.rowcount
        if rows >= 0:
            seen(rows=rows, attributes=None if cursor.description is None else {names.DB_ROWS: rows})
        seen.__exit__(None, None, None)

    # --- later -------------------------------------------------------------------------------------------------------

    def _later(self, wrapper: Callable[..., Any]) -> Callable[..., Any]:
        def begins(wrapped: Wrapped, cursor: Any, args: Arguments, kwargs: Named) -> Any:
            if not self._access.watches("psycopg"):
                return wrapped(*args, **kwargs)
            return wrapper(wrapped, cursor, args, kwargs)

        return begins

    def _stream(self, wrapped: Wrapped, cursor: Any, args: Arguments, kwargs: Named) -> Generator[Any]:
        with cursor._conn.lock:
            statement = _Statement(self._servers, cursor, args, kwargs)
        seen = statement.touching.__enter__()
        with _failing(seen):
            seen.pause()
            rows = wrapped(*statement.arguments, **statement.named)
            try:
                while True:
                    seen.check()
                    with statement.sending():
                        row = next(rows, rows)
                    if row is rows:
                        break
                    seen(rows=1)
                    yield row
            finally:
                rows.close()
            seen.close()

    async def _stream_async(
        self, wrapped: Wrapped, cursor: Any, args: Arguments, kwargs: Named
    ) -> AsyncGenerator[Any, None]:
        async with cursor._conn.lock:
            statement = _Statement(self._servers, cursor, args, kwargs)
        seen = await statement.touching.__aenter__()
        with _failing(seen):
            seen.pause()
            rows = wrapped(*statement.arguments, **statement.named)
            try:
                while True:
                    seen.check()
                    with statement.sending():
                        row = await anext(rows, rows)
                    if row is rows:
                        break
                    seen(rows=1)
                    yield row
            finally:
                await rows.aclose()
            seen.close()

    @contextmanager
    def _copy(self, wrapped: Wrapped, cursor: Any, args: Arguments, kwargs: Named) -> Generator[Any]:
        with cursor._conn.lock:
            statement = _Statement(self._servers, cursor, args, kwargs)
        seen = statement.touching.__enter__()
        with _failing(seen):
            seen.pause()
            manager = _Sending(wrapped(*statement.arguments, **statement.named), statement)
            with manager as copy, self._copying(cursor, seen):
                yield copy
            self._copied(cursor, seen)

    @asynccontextmanager
    async def _copy_async(
        self, wrapped: Wrapped, cursor: Any, args: Arguments, kwargs: Named
    ) -> AsyncGenerator[Any, None]:
        async with cursor._conn.lock:
            statement = _Statement(self._servers, cursor, args, kwargs)
        seen = await statement.touching.__aenter__()
        with _failing(seen):
            seen.pause()
            manager = _Sending(wrapped(*statement.arguments, **statement.named), statement)
            async with manager as copy:
                with self._copying(cursor, seen):
                    yield copy
            self._copied(cursor, seen)

    @contextmanager
    def _copying(self, cursor: Any, seen: Touching | Untouched) -> Generator[None]:
        self._open[cursor] = seen, Later()
        try:
            yield
        finally:
            self._open.pop(cursor, None)

    def _copied(self, cursor: Any, seen: Touching | Untouched) -> None:
        rows: int = cursor.rowcount
        if rows >= 0:
            seen(rows=rows)
        seen.close()

    def _read_copy(self, wrapped: Wrapped, copy: Any, args: Arguments, kwargs: Named) -> Any:
        kept = self._open.get(copy.cursor)
        if kept is not None:
            kept[0].check()
        return wrapped(*args, **kwargs)

    # --- cursors of the server ---------------------------------------------------------------------------------------

    def _fetch(self, wrapped: Wrapped, cursor: Any, args: Arguments, kwargs: Named) -> Any:
        # A cursor that somebody else made is decided where it is sent, and so is one that a session has left behind.
        kept = self._open.get(cursor)
        return wrapped(*args, **kwargs) if kept is None else self._fetched(cursor, kept, wrapped(*args, **kwargs))

    def _fetched(
        self, cursor: Any, kept: tuple[Touching | Untouched, Later], fetching: Generator[Any, Any, Any]
    ) -> Generator[Any, Any, Any]:
        seen, later = kept
        seen.check()
        with self._servers.fetching(cursor._pgconn, later):
            found = yield from fetching
        if found is not None:  # as it is where a cursor is only moved
            seen(rows=len(found))
        return found

    def _close(self, wrapped: Wrapped, cursor: Any, args: Arguments, kwargs: Named) -> Any:
        self._let_go(cursor)
        return self._closed(wrapped, cursor, args, kwargs)

    def _closed(self, wrapped: Wrapped, cursor: Any, args: Arguments, kwargs: Named) -> Generator[Any, Any, Any]:
        with self._servers.fetching(cursor._pgconn, Later()):
            result = yield from cast("Generator[Any, Any, Any]", wrapped(*args, **kwargs))
        return result

    def _let_go(self, cursor: Any) -> None:
        kept = self._open.pop(cursor, None)
        if kept is not None:
            kept[0].close()


class _Sending:
    """A manager of a copy, which is entered while its text is sent."""

    def __init__(self, manager: Any, statement: _Statement) -> None:
        self._manager = manager
        self._statement = statement

    def __enter__(self) -> Any:
        with self._statement.sending():
            return self._manager.__enter__()

    async def __aenter__(self) -> Any:
        with self._statement.sending():
            return await self._manager.__aenter__()

    def __exit__(self, *error: object) -> Any:
        return self._manager.__exit__(*error)

    async def __aexit__(self, *error: object) -> Any:
        return await self._manager.__aexit__(*error)


@contextmanager
def _failing(seen: Touching | Untouched) -> Generator[None]:
    """End an access that was begun, if the block fails."""
    try:
        yield
    except BaseException as error:
        seen.__exit__(type(error), error, error.__traceback__)
        raise


def _frozen(cursor: Any, query: Any) -> tuple[Any, bytes | None]:
    """A query that cannot change any more, and its text; None if only `psycopg` can tell it."""
    if isinstance(query, str):
        query = str.__str__(query)
        try:
            return query, query.encode(encoding_of(cursor._pgconn))
        except (UnicodeEncodeError, LookupError):
            return query, None
    if isinstance(query, (bytes, bytearray)):
        query = bytes(memoryview(query))
        return query, query
    if hasattr(query, "as_bytes"):
        query = query.as_bytes(cursor)
        return query, query
    # Something that is no query, which it says; or a template, which may do anything.
    return query, None
