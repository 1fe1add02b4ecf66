"""
`sqlalchemy`: each text that an engine sends, sync and async, unless the driver below is wrapped and decides it.

- `sqlite3`, `aiosqlite` and `psycopg` decide below, also what goes to a raw cursor. Here, nothing is added to that.
- For all other drivers, a text is decided by the tables that it touches before an event or a driver hears of it. What
  an event makes of it is held against that, and decided again if it touches more.
- A text for a dialect that cannot be read needs `execute` on the database.

A resource is `mysql://db.acme:3306/shop/orders`, as that of the driver would be.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable
from contextvars import ContextVar
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, cast

from agentid.access.library import Library, Patch
from agentid.access.places import file_resource
from agentid.access.sql.access import SqlDoing, SqlServer
from agentid.access.sql.names import SqlDatabase
from agentid.access.sql.reading import SqlReader
from agentid.errors import ConfigurationError
from agentid.record import Access
from agentid.record import attributes as names

if TYPE_CHECKING:
    from agentid.access.installation import Installation
    from agentid.access.touching import Touching

__all__ = ["LIBRARY"]

Wrapped = Callable[..., Any]
Arguments = tuple[Any, ...]
Named = dict[str, Any]

_DECIDED_BELOW: Final = (
    ("sqlite3", "Connection"),
    ("aiosqlite", "Connection"),
    ("psycopg", "Connection"),
    ("psycopg", "AsyncConnection"),
)
_DIALECTS: Final = {
    "duckdb": "duckdb",
    "mariadb": "mysql",
    "mysql": "mysql",
    "postgresql": "postgres",
    "sqlite": "sqlite",
}
_PORTS: Final = {"postgres": 5432, "mysql": 3306}
_BELOW: Final = frozenset({"socket"})


def _patches(_module: ModuleType, access: Installation) -> Iterable[Patch]:
    return _wrappers(access).patches()


@cache
def _wrappers(access: Installation) -> _Wrappers:
    # One, whose events are heard once, however often the library is wrapped.
    return _Wrappers(access)


class _Wrappers:
    """What runs instead of the functions that send a text."""

    def __init__(self, access: Installation) -> None:
        self._connection: Any = import_module("sqlalchemy.engine.base").Connection
        self._access = access
        self._reader = SqlReader()
        self._decided: ContextVar[tuple[_Target, SqlDoing] | None] = ContextVar("agentid_sqlalchemy", default=None)
        event: Any = import_module("sqlalchemy.event")
        dialect: Any = import_module("sqlalchemy.engine.default").DefaultDialect
        # The last that is heard of a text before the driver gets it.
        event.listen(dialect, "do_execute", self._checks)
        event.listen(dialect, "do_executemany", self._checks)
        event.listen(dialect, "do_execute_no_params", self._checks_alone)

    def patches(self) -> Generator[Patch]:
        """What is wrapped."""
        yield Patch(self._connection, "_exec_single_context", self._executes)
        yield Patch(self._connection, "_exec_insertmany_context", self._executes)
        yield Patch(self._connection, "_cursor_execute", self._executes_on_cursor)

    def _executes(self, wrapped: Wrapped, connection: Any, args: Arguments, kwargs: Named) -> Any:
        if not self._access.watches("sqlalchemy"):
            return wrapped(*args, **kwargs)
        return self._decides(wrapped, connection, args[1].statement, args, kwargs)

    def _executes_on_cursor(self, wrapped: Wrapped, connection: Any, args: Arguments, kwargs: Named) -> Any:
        if not self._access.watches("sqlalchemy"):
            return wrapped(*args, **kwargs)
        return self._decides(wrapped, connection, args[1], args, kwargs)

    def _decides(self, wrapped: Wrapped, connection: Any, text: Any, args: Arguments, kwargs: Named) -> Any:
        if _is_decided_below(connection.connection.driver_connection):
            return wrapped(*args, **kwargs)
        target = _Target(connection.engine)
        doing, touching = self._touching(target, text)
        token = self._decided.set((target, doing))
        try:
            if touching is None:
                return wrapped(*args, **kwargs)
            with touching as seen:
                result = wrapped(*args, **kwargs)
                rows = -1 if getattr(result, "returns_rows", True) else result.rowcount
                if rows >= 0:
                    seen(rows=rows)
                return result
        finally:
            self._decided.reset(token)

    def _touching(self, target: _Target, text: Any) -> tuple[SqlDoing, Touching | None]:
        odd: ConfigurationError | None = None
        try:
            doing = target.doing(self._reader, text)
        except ConfigurationError as error:
            odd, doing = error, SqlDoing((), "EXECUTE", understood=True)
        if odd is None and not doing.accesses:
            return doing, None

        def accesses() -> Iterable[Access]:
            if odd is not None:
                raise odd
            return doing.accesses

        attributes = {**target.attributes, names.DB_OPERATION: doing.operation}
        if doing.table:
            attributes[names.DB_COLLECTION] = doing.table
        touching = self._access.touching(
            LIBRARY, accesses, doing.name, attributes=attributes, is_client=True, accounts_for=_BELOW
        )
        return doing, touching

    # --- events ------------------------------------------------------------------------------------------------------

    def _checks(self, _cursor: Any, statement: Any, _parameters: Any, _context: Any) -> None:
        self._check(statement)

    def _checks_alone(self, _cursor: Any, statement: Any, _context: Any) -> None:
        self._check(statement)

    def _check(self, text: Any) -> None:
        above = self._decided.get()
        if above is None or not above[1].understood or not self._access.watches("sqlalchemy"):
            return
        target, decided = above
        doing, touching = self._touching(target, text)
        if touching is not None and not set(doing.accesses) <= set(decided.accesses):
            with touching:
                pass


class _Target:
    """Where an engine sends its texts."""

    def __init__(self, engine: Any) -> None:
        url, dialect = engine.url, engine.dialect
        self._dialect = _DIALECTS.get(dialect.name, "")
        self._database: str = url.database or ""
        self._schema: str = dialect.default_schema_name or ""
        self._doubles_percent = dialect.paramstyle in ("format", "pyformat")
        self._scheme = self._dialect or str(dialect.name).lower()
        host = str(url.host or "localhost")
        self._port: int | None = url.port or _PORTS.get(self._scheme)
        self._host = f"[{host}]" if ":" in host else host
        self.attributes: dict[str, Any] = {names.DB_SYSTEM: dialect.name, names.DB_NAMESPACE: self._database}
        if not self._is_file:
            self.attributes[names.SERVER_ADDRESS] = host
            if self._port:
                self.attributes[names.SERVER_PORT] = self._port

    @property
    def _is_file(self) -> bool:
        return self._dialect in ("sqlite", "duckdb")

    def doing(self, reader: SqlReader, text: Any) -> SqlDoing:
        """
        What a text does there.

        Raises:
            ConfigurationError: No resource can name where it goes, or what it touches.
        """
        server = self._server()
        if not self._dialect or not isinstance(text, str):
            return server.anything()
        if self._doubles_percent:
            text = text.replace("%%", "%")
        return server.doing(reader, str.__str__(text), [self._sql_database()])

    def _sql_database(self) -> SqlDatabase:
        dialect = cast("Any", self._dialect)
        if self._dialect == "postgres":
            return SqlDatabase(dialect, self._database, self._schema)
        # The current database of MySQL is what others call a schema.
        return SqlDatabase(dialect, schema=self._database if self._dialect == "mysql" else "")

    def _server(self) -> SqlServer:
        if self._is_file:
            if self._database in ("", ":memory:"):
                return SqlServer(self._scheme, "memory")
            return SqlServer(self._scheme, "", above=file_resource(self._database).segments)
        authority = f"{self._host}:{self._port}" if self._port else self._host
        return SqlServer(self._scheme, authority, database=self._database)


def _is_decided_below(driver: Any) -> bool:
    for module, name in _DECIDED_BELOW:
        kind: Any = getattr(sys.modules.get(module), name, None)
        if isinstance(kind, type) and issubclass(type(driver), kind):
            return True
    return False


LIBRARY: Final = Library(
    name="SQLAlchemy",
    module="sqlalchemy",
    layer="sqlalchemy",
    patches=_patches,
    distribution="SQLAlchemy",
    contrib="opentelemetry.instrumentation.sqlalchemy:SQLAlchemyInstrumentor",
    limits="drivers other than sqlite3, aiosqlite and psycopg: raw cursors, rows that are read, a changed search path, "
    "temporary tables that hide others",
)
