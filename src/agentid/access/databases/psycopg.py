"""
`psycopg`: each text that is sent to PostgreSQL, sync and async, decided by the tables that it touches.

- The official hook is the cursor, of the client or the server: `execute`, `executemany`, `stream`, `copy`.
- All ways meet in the connection of libpq, `pgconn`. What is sent there is held against what was decided above, and
  what was not is decided there. So a raw `pgconn`, a cursor of another class and a generator that was made before
  the session are guarded, too.
- A text that is not understood needs `execute` on the database: `SET search_path`, `SET ROLE`, `LISTEN`, `NOTIFY`, a
  function that is not known, a table that the search path may find in no certain place.
- In a pipeline, each command is held against what was decided when it leaves the queue, and may not be in it after all.
- Rows that are fetched from the server later are counted, and the reader is stopped when it may not read any more.

A resource is `postgres://db.acme:5432/shop/public/orders`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable
from contextvars import ContextVar
from functools import cache, partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, cast

from agentid.access.databases.psycopg_connection import Servers
from agentid.access.databases.psycopg_cursor import Cursors
from agentid.access.library import Library, Patch
from agentid.errors import ConfigurationError, Error
from agentid.record import Access

if TYPE_CHECKING:
    from agentid.access.installation import Installation

__all__ = ["LIBRARY"]

Wrapped = Callable[..., Any]
Arguments = tuple[Any, ...]
Named = dict[str, Any]

_CTYPES: Final = frozenset({"ctypes"})
_BY_CTYPES: Final = {
    "Escaping": ("escape_bytea", "escape_identifier", "escape_literal", "unescape_bytea"),
    "PGconn": ("encrypt_password", "get_copy_data"),
    "PGresult": ("get_value",),
}
"""What takes over what libpq hands out, where `psycopg` is written in Python."""
_FORGET: Final = re.compile(rb"DEALLOCATE (?:ALL|\w+)")
_TEXTS: Final = {
    "exec_": 0,
    "exec_params": 0,
    "prepare": 1,
    "send_prepare": 1,
    "send_query": 0,
    "send_query_params": 0,
}
"""Where the text is among the arguments of what sends one."""
_PREPARE: Final = ("prepare", "send_prepare")
_RUN_PREPARED: Final = ("exec_prepared", "send_query_prepared")


def _patches(module: ModuleType, access: Installation) -> Iterable[Patch]:
    wrappers = _wrappers(module, access)
    return [*wrappers.cursors.patches(), *wrappers.patches()]


@cache
def _wrappers(module: ModuleType, access: Installation) -> _Wrappers:
    # One, so that all that is wrapped knows what was decided, also what stayed from an earlier time.
    return _Wrappers(module, access)


class _Wrappers:
    """What runs instead of the functions of connections, those of `psycopg` and those of libpq."""

    def __init__(self, module: Any, access: Installation) -> None:
        self._module = module
        self._access = access
        execute: Any = cast("dict[str, Any]", vars(module.pq.PGconn))["exec_"]
        self._servers = Servers(access, LIBRARY, getattr(execute, "__wrapped__", execute))
        self._resolves: ContextVar[bool] = ContextVar("agentid_psycopg_resolves", default=False)
        self.cursors = Cursors(module, access, self._servers)

    def patches(self) -> Generator[Patch]:
        # The function of the module is that of the class, as it was when the module was loaded.
        for owner in (self._module, self._module.Connection):
            yield Patch(owner, "connect", self._connect)
        yield Patch(self._module.AsyncConnection, "connect", self._connect_async)
        pipeline = next(kind for kind in self._module.Pipeline.__mro__ if "_communicate_gen" in vars(kind))
        yield Patch(pipeline, "_communicate_gen", self._flush)
        yield Patch(pipeline, "_enter_gen", self._enter_pipeline)
        if self._module.pq.__impl__ == "python":
            for owner, names in _BY_CTYPES.items():
                for name in names:
                    yield Patch(getattr(self._module.pq, owner), name, self._by_ctypes)
        connection = self._module.pq.PGconn
        for name in ("connect", "connect_start"):
            yield Patch(connection, name, self._connect_raw)
        for name, index in _TEXTS.items():
            yield Patch(connection, name, self._sends(name, index))
        for name in (*_RUN_PREPARED, "change_password"):
            if name in vars(connection):  # older ones lack some
                yield Patch(connection, name, self._sends(name, None))

    def _by_ctypes(self, wrapped: Wrapped, _owner: Any, args: Arguments, kwargs: Named) -> Any:
        # Announced for each value of each row; what is behind it was decided when it was sent.
        with self._access.accounting_for(_CTYPES):
            return wrapped(*args, **kwargs)

    # --- libpq -------------------------------------------------------------------------------------------------------

    def _sends(self, name: str, index: int | None) -> Callable[..., Any]:
        prepares, runs_prepared = name in _PREPARE, name in _RUN_PREPARED

        def sends(wrapped: Wrapped, connection: Any, args: Arguments, kwargs: Named) -> Any:
            text: bytes | None = None
            if index is not None:
                given = kwargs.get("command", args[index] if len(args) > index else b"")
                # As it is sent: a buffer could change.
                text = bytes(memoryview(given))
                if "command" in kwargs:
                    kwargs = {**kwargs, "command": text}
                else:
                    args = (*args[:index], text, *args[index + 1 :])
            if text is not None and prepares:
                # Also where nobody acts: an agent may run it later.
                self._servers.prepares(connection, _name_in(args, kwargs), text)
            if not self._access.watches("libpq"):
                return wrapped(*args, **kwargs)
            texts: Iterable[bytes] | None = None if text is None else (text,)
            if runs_prepared:
                texts = self._servers.prepared(connection, _name_in(args, kwargs))
            if self._servers.was_decided(connection, texts):
                return wrapped(*args, **kwargs)
            if text is not None and _FORGET.fullmatch(text):
                return wrapped(*args, **kwargs)
            touching, doing = self._servers.deciding(connection, text)
            with touching, self._servers.sending(connection, doing):
                return wrapped(*args, **kwargs)

        return sends

    # --- connections -------------------------------------------------------------------------------------------------

    def _connect(self, wrapped: Wrapped, _kind: Any, args: Arguments, kwargs: Named) -> Any:
        by_service = self._check_host(*args[:1], **kwargs)
        token = self._resolves.set(True)
        try:
            connection = wrapped(*args, **kwargs)
        finally:
            self._resolves.reset(token)
        return self._made(connection, connection.pgconn, by_service=by_service)

    async def _connect_async(self, wrapped: Wrapped, _kind: Any, args: Arguments, kwargs: Named) -> Any:
        by_service = self._check_host(*args[:1], **kwargs)
        token = self._resolves.set(True)
        try:
            connection = await wrapped(*args, **kwargs)
        finally:
            self._resolves.reset(token)
        return self._made(connection, connection.pgconn, by_service=by_service)

    def _connect_raw(self, wrapped: Wrapped, _kind: Any, args: Arguments, kwargs: Named) -> Any:
        # `psycopg` itself looks for the address of a host, and gives both.
        if self._resolves.get():
            return wrapped(*args, **kwargs)
        by_service = self._check_host(*(bytes(memoryview(given)).decode() for given in (*args, *kwargs.values())))
        connection = wrapped(*args, **kwargs)
        return self._made(connection, connection, by_service=by_service)

    def _made(self, connection: Any, raw: Any, *, by_service: bool) -> Any:
        if by_service:
            self._servers.by_service.add(raw)
        return connection

    def _check_host(self, *conninfo: str, **named: Any) -> bool:
        """
        Refuse to connect where the name that is decided about is not the host that would be called.

        Gives whether a service of libpq says which host it is: what stands there is known only once it is connected.
        """
        known = {key: value for key, value in named.items() if key in ("conninfo", "host", "hostaddr", "service")}
        # What the environment says, and a service that it names.
        usual = {
            option.keyword.decode(): option.val.decode()
            for option in self._module.pq.Conninfo.get_defaults()
            if option.val and option.keyword in (b"host", b"hostaddr")
        }
        try:
            given: dict[str, Any] = {**usual, **self._module.conninfo.conninfo_to_dict(*conninfo, **known)}
        except self._module.ProgrammingError:
            return False  # libpq will not understand it, either
        host, address = given.get("host"), given.get("hostaddr")
        if address and host and host != address and self._access.watches("psycopg"):

            def accesses() -> Iterable[Access]:
                raise ConfigurationError("a connection", why="it has a name of one host and the address of another")

            with self._access.touching(LIBRARY, accesses, "CONNECT", is_client=True):
                pass
        return bool(given.get("service")) and not host

    def _enter_pipeline(self, wrapped: Wrapped, pipeline: Any, args: Arguments, kwargs: Named) -> Any:
        if self._access.watches("psycopg") and self._servers.needs_path(pipeline.pgconn):
            # In a pipeline nothing can be asked any more.
            self._servers.ask_path(pipeline.pgconn)
        return wrapped(*args, **kwargs)

    def _flush(self, wrapped: Wrapped, pipeline: Any, args: Arguments, kwargs: Named) -> Generator[Any, Any, Any]:
        waiting = pipeline.command_queue
        for at, command in enumerate(waiting):
            waiting[at] = partial(_leave, pipeline, command)
        result = yield from cast("Generator[Any, Any, Any]", wrapped(*args, **kwargs))
        return result


def _name_in(args: Arguments, kwargs: Named) -> bytes:
    return bytes(memoryview(kwargs.get("name", args[0] if args else b"")))


def _leave(pipeline: Any, command: Callable[[], None]) -> None:
    """Send one command of a pipeline."""
    try:
        command()
    except Error:
        # Refused, it has no result, and neither has what was to follow it: a statement that it prepares, for one.
        for _ in range(len(pipeline.command_queue) + 1):
            pipeline.result_queue.pop()
        pipeline.command_queue.clear()
        raise


LIBRARY: Final = Library(
    name="psycopg",
    module="psycopg",
    layer="psycopg",
    patches=_patches,
    distribution="psycopg",
    contrib="opentelemetry.instrumentation.psycopg:PsycopgInstrumentor",
    limits="the connection itself; notifications that the program listens to; rows that were fetched before",
)
