"""
`sqlite3`: each statement, by what SQLite itself says that it does to which tables.

- A statement is prepared for a look first, which is when SQLite tells of its tables. All of them are decided, then it
  runs. One from the cache is looked at again, so another agent on the same connection is decided again.
- Whatever goes around statements is decided by itself: `backup`, `serialize`, `deserialize`, `blobopen`, extensions.
- The methods of the types themselves are wrapped, so it does not matter who made a connection, when, and of what class.
- The rows of a query are counted as they are read, and the reader is stopped when it may not read any more: by the
  cursors that a connection gives inside a session, of whatever class, not by those that were made before or by hand.

A resource is `sqlite:///srv/data/app.db/main/orders`, or `sqlite://memory/main/orders` for what is in no file.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from agentid.access.databases.sqlite_blob import Blob
from agentid.access.databases.sqlite_cursor import cursor_class
from agentid.access.databases.sqlite_events import creates_file, database_at
from agentid.access.databases.sqlite_statement import Connections, unwrapped
from agentid.access.library import Library, Patch, Wrapper
from agentid.errors import ConfigurationError
from agentid.permission import Action
from agentid.record import Access
from agentid.record import attributes as names

if TYPE_CHECKING:
    from agentid.access.installation import Installation

__all__ = ["LIBRARY"]

Wrapped = Callable[..., Any]

_URI: Final = 6  # where `uri` is among the arguments of `connect`, after the database


def _patches(module: ModuleType, access: Installation) -> Iterable[Patch]:
    wrappers = _Wrappers(module, access)

    def patch(owner: Any, name: str, wrapper: Callable[..., Any]) -> Patch:
        def asks_first(wrapped: Wrapped, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if not access.watches("sqlite3"):
                return wrapped(*args, **kwargs)
            return wrapper(wrapped, instance, *args, **kwargs)

        asked: Wrapper = asks_first
        return Patch(owner, name, asked)

    connection, cursor = module.Connection, module.Cursor
    patches = [
        patch(cursor, "execute", wrappers.execute),
        patch(cursor, "executemany", functools.partial(wrappers.execute, many=True)),
        patch(cursor, "executescript", wrappers.script),
        patch(connection, "cursor", wrappers.cursor),
        patch(connection, "execute", wrappers.execute_on_connection("execute")),
        patch(connection, "executemany", wrappers.execute_on_connection("executemany")),
        patch(connection, "executescript", wrappers.script_on_connection),
        patch(connection, "commit", wrappers.end),
        patch(connection, "__exit__", wrappers.end),
        patch(connection, "backup", wrappers.backup),
        patch(connection, "serialize", wrappers.whole("read", "SERIALIZE")),
        patch(connection, "deserialize", wrappers.whole("edit", "DESERIALIZE")),
        patch(connection, "load_extension", wrappers.whole("execute", "LOAD EXTENSION")),
        patch(connection, "blobopen", wrappers.blob),
        # One function under three names.
        *(patch(owner, "connect", wrappers.connect) for owner in map(sys.modules.__getitem__, _MODULES)),
    ]
    # Not each SQLite is built with everything, nor has each Python all of it.
    return [each for each in patches if each.name in vars(each.owner)]


_MODULES: Final = ("sqlite3", "sqlite3.dbapi2", "_sqlite3")


class _Wrappers:
    """What runs instead of the functions of `sqlite3`, inside a session."""

    def __init__(self, module: Any, access: Installation) -> None:
        self._access = access
        self._connections = Connections(module, access, LIBRARY)
        self._guarded = cursor_class(module.Cursor)
        self._is_connection = functools.partial(_is_a, module.Connection)
        self._cursor_type: Any = module.Cursor
        self._connection_of: Any = vars(module.Cursor)["connection"]
        self._new_cursor: Any = unwrapped(vars(module.Connection)["cursor"])

    # --- opening -----------------------------------------------------------------------------------------------------

    def connect(self, wrapped: Wrapped, _module: Any, database: Any = None, *rest: Any, **kwargs: Any) -> Any:
        if hasattr(database, "__fspath__"):
            database = database.__fspath__()
        opens = functools.partial(wrapped, *([] if database is None else [database]), *rest, **kwargs)
        uri = kwargs.get("uri", rest[_URI] if len(rest) > _URI else False)
        made, odd = "", None
        try:
            made = creates_file(database, uri=bool(uri))
        except ConfigurationError as error:
            odd = error
        if not made and odd is None:
            return opens()

        def accesses() -> Iterable[Access]:
            if odd is not None:
                raise odd
            return [Access("write", database_at(made))]

        with self._access.touching(LIBRARY, accesses, "CREATE database", attributes={names.DB_SYSTEM: "sqlite"}):
            return opens()

    def cursor(self, wrapped: Wrapped, _connection: Any, *args: Any, **kwargs: Any) -> Any:
        factory = kwargs.get("factory", args[0] if args else self._guarded)
        if isinstance(factory, type) and issubclass(factory, self._cursor_type) and len(args) + len(kwargs) < 2:
            return wrapped(cursor_class(factory))
        return wrapped(*args, **kwargs)

    # --- statements --------------------------------------------------------------------------------------------------

    def execute(self, wrapped: Wrapped, cursor: Any, *args: Any, many: bool = False, **kwargs: Any) -> Any:
        return self._connections.execute(self._connection_of.__get__(cursor), cursor, wrapped, args, kwargs, many=many)

    def execute_on_connection(self, method: str) -> Callable[..., Any]:
        original: Any = unwrapped(vars(self._cursor_type)[method])

        def execute(_wrapped: Wrapped, connection: Any, *args: Any, **kwargs: Any) -> Any:
            # As C does; by way of the method of a cursor it would be decided twice.
            cursor = self._new_cursor(connection, self._guarded)
            run = functools.partial(original, cursor)
            many = method == "executemany"
            return self._connections.execute(connection, cursor, run, args, kwargs, many=many)

        return execute

    def script(self, wrapped: Wrapped, cursor: Any, *args: Any, **kwargs: Any) -> Any:
        return self._connections.script(self._connection_of.__get__(cursor), cursor, wrapped, args, kwargs)

    def script_on_connection(self, wrapped: Wrapped, connection: Any, *args: Any, **kwargs: Any) -> Any:
        return self._connections.script(connection, self._new_cursor(connection), wrapped, args, kwargs)

    def end(self, wrapped: Wrapped, connection: Any, *args: Any) -> Any:
        # Virtual tables write only now what was decided before.
        with self._connections.inside(connection):
            return wrapped(*args)

    # --- around statements -------------------------------------------------------------------------------------------

    def backup(self, wrapped: Wrapped, connection: Any, target: Any, **kwargs: Any) -> Any:
        if not self._is_connection(target):
            return wrapped(target, **kwargs)

        def accesses() -> Iterable[Access]:
            yield Access("read", self._connections.places(connection).database(kwargs.get("name", "main")))
            yield Access("edit", self._connections.places(target).database())

        with self._connections.touching(connection, accesses, "BACKUP"):
            return wrapped(target, **kwargs)

    def whole(self, action: Action, operation: str) -> Callable[..., Any]:
        def runs(wrapped: Wrapped, connection: Any, *args: Any, **kwargs: Any) -> Any:
            def accesses() -> Iterable[Access]:
                return [Access(action, self._connections.places(connection).database(kwargs.get("name", "main")))]

            with self._connections.touching(connection, accesses, operation), self._connections.inside(connection):
                result = wrapped(*args, **kwargs)
            self._connections.forget(connection)
            return result

        return runs

    def blob(self, wrapped: Wrapped, connection: Any, *args: Any, **kwargs: Any) -> Any:
        if not args or not isinstance(args[0], str):
            return wrapped(*args, **kwargs)
        table = str.__str__(args[0])

        def accesses() -> Iterable[Access]:
            for found in self._connections.places(connection).tables(kwargs.get("name", "main"), table):
                yield Access("read", found)
                if not kwargs.get("readonly"):
                    yield Access("edit", found)

        touching = self._connections.touching(connection, accesses, "BLOB")
        touching.__enter__()
        try:
            blob = wrapped(table, *args[1:], **kwargs)
        except BaseException as error:
            touching.__exit__(type(error), error, error.__traceback__)
            raise
        touching.pause()
        return Blob(blob, touching)


def _is_a(kind: Any, value: Any) -> bool:
    # By its true type: a class may say that it is another one.
    return issubclass(type(value), kind)


LIBRARY: Final = Library(
    name="sqlite3",
    module="sqlite3",
    layer="sqlite3",
    patches=_patches,
    contrib="opentelemetry.instrumentation.sqlite3:SQLite3Instrumentor",
    limits="how many rows a cursor reads that is from before the session, or made by its class; "
    "an empty file made by `sqlite3.Connection(path)`",
)
