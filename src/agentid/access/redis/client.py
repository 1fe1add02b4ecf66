"""
`redis`: each command, by whichever client, before it is sent.

All ways meet at the connection: what is about to be sent is read back from its bytes and decided, so a pipeline, a
subscription and a connection that is used by hand are seen, and nothing can change between the decision and its use.
The clients' own methods are wrapped too, so that an access lasts until its reply, and OpenTelemetry's span stands below
ours: then the connection only makes sure that exactly that is sent.

- What a command touches says `redis.commands`, what that is called says `redis.place`.
- A connection is set up (`HELLO`, `AUTH`, `SELECT`, …) without a record of its own, as a part of the access that needs
  it. One that is made by hand is a `read` of the server.
- A cluster and a sentinel are seen at their connections alone: one access for each node, which ends when it is sent.
- Messages of a subscription are read under one access for each `PubSub` and session; it is checked at each message.
- Not seen: a reply to what was sent outside of a session, what is written to the socket of a connection itself, and
  that a connection leads elsewhere because somebody changed its attributes, or its database outside of a session.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from agentid.access.library import Library, Patch
from agentid.access.redis.sending import Clients, Stream, Work, channels_of, commands_of
from agentid.access.redis.wire import joined

if TYPE_CHECKING:
    from agentid.access.installation import Installation

__all__ = ["LIBRARY"]

_LAYER: Final = "redis"
_BELOW: Final = frozenset({"socket"})

Wrapped = Callable[..., Any]
Arguments = tuple[Any, ...]
Named = dict[str, Any]


class _Wrappers(ABC):
    """The wrappers of all clients; a client that waits otherwise runs a piece of work otherwise."""

    def __init__(self, clients: Clients, access: Installation) -> None:
        self._clients = clients
        self._access = access

    @abstractmethod
    def _run(self, begin: Callable[[], Work | None], wrapped: Wrapped, args: Arguments, kwargs: Named) -> Any:
        """Begin a piece of work, and run *wrapped* in it."""

    @abstractmethod
    def _read(self, owner: Any, stream: Stream | None, wrapped: Wrapped, args: Arguments, kwargs: Named) -> Any:
        """Run *wrapped*, which reads one message of *stream*."""

    @abstractmethod
    def _accounted(self, wrapped: Wrapped) -> Wrapped:
        """Give *wrapped* with its sockets accounted for."""

    def executes(self, wrapped: Wrapped, client: Any, args: Arguments, kwargs: Named) -> Any:
        if not self._access.watches(_LAYER):
            return wrapped(*args, **kwargs)
        return self._run(lambda: self._clients.executing(client, args), wrapped, args, kwargs)

    def executes_all(self, wrapped: Wrapped, pipeline: Any, args: Arguments, kwargs: Named) -> Any:
        if not self._access.watches(_LAYER):
            return wrapped(*args, **kwargs)
        return self._run(lambda: self._clients.executing_all(pipeline), wrapped, args, kwargs)

    def sends(self, wrapped: Wrapped, connection: Any, args: Arguments, kwargs: Named) -> Any:
        if not self._access.watches(_LAYER):
            return wrapped(*args, **kwargs)
        data, args, kwargs = _frozen(args, kwargs)
        return self._run(lambda: self._clients.sending(connection, data), wrapped, args, kwargs)

    def sends_unpacked(self, wrapped: Wrapped, connection: Any, args: Arguments, kwargs: Named) -> Any:
        # Of a connection with a cache, which may answer by itself: then nothing is sent.
        if not self._access.watches(_LAYER):
            return wrapped(*args, **kwargs)
        data = joined(connection.pack_command(*args))
        return self._run(lambda: self._clients.sending(connection, data), wrapped, args, kwargs)

    def connects(self, wrapped: Wrapped, connection: Any, args: Arguments, kwargs: Named) -> Any:
        if not self._access.watches(_LAYER):
            return wrapped(*args, **kwargs)
        return self._run(lambda: self._clients.connecting(connection), wrapped, args, kwargs)

    def reaches(self, wrapped: Wrapped, connection: Any, args: Arguments, kwargs: Named) -> Any:
        if not self._access.watches(_LAYER):
            return wrapped(*args, **kwargs)
        return self._run(lambda: self._clients.reaching(connection), self._accounted(wrapped), args, kwargs)

    def reads_message(self, wrapped: Wrapped, pubsub: Any, args: Arguments, kwargs: Named) -> Any:
        if not self._access.watches(_LAYER):
            return wrapped(*args, **kwargs)
        return self._read(pubsub, self._clients.listening(pubsub, channels_of(pubsub), "LISTEN"), wrapped, args, kwargs)

    def reads_command(self, wrapped: Wrapped, monitor: Any, args: Arguments, kwargs: Named) -> Any:
        if not self._access.watches(_LAYER):
            return wrapped(*args, **kwargs)
        return self._read(monitor, self._clients.listening(monitor, commands_of, "MONITOR"), wrapped, args, kwargs)

    def closes(self, wrapped: Wrapped, owner: Any, args: Arguments, kwargs: Named) -> Any:
        self._clients.close(owner)  # also where nobody acts any more: nothing is decided here
        return wrapped(*args, **kwargs)


class _Synchronous(_Wrappers):
    def _run(self, begin: Callable[[], Work | None], wrapped: Wrapped, args: Arguments, kwargs: Named) -> Any:
        work = begin()
        if work is None:
            return wrapped(*args, **kwargs)
        with work.touching, work.scope:
            return work.note(wrapped(*args, **kwargs))

    def _accounted(self, wrapped: Wrapped) -> Wrapped:
        def run(*args: Any, **kwargs: Any) -> Any:
            with self._access.accounting_for(_BELOW):
                return wrapped(*args, **kwargs)

        return run

    def _read(self, owner: Any, stream: Stream | None, wrapped: Wrapped, args: Arguments, kwargs: Named) -> Any:
        if stream is None:
            return wrapped(*args, **kwargs)
        if not stream.is_begun:
            stream.touching.__enter__()
            stream = self._clients.begun(owner, stream)
        with self._clients.part(owner, stream) as note:
            return note(wrapped(*args, **kwargs))


class _Asynchronous(_Wrappers):
    async def _run(self, begin: Callable[[], Work | None], wrapped: Wrapped, args: Arguments, kwargs: Named) -> Any:
        work = begin()
        if work is None:
            return await wrapped(*args, **kwargs)
        async with work.touching:
            with work.scope:
                return work.note(await wrapped(*args, **kwargs))

    def _accounted(self, wrapped: Wrapped) -> Wrapped:
        async def run(*args: Any, **kwargs: Any) -> Any:
            with self._access.accounting_for(_BELOW):
                return await wrapped(*args, **kwargs)

        return run

    async def _read(self, owner: Any, stream: Stream | None, wrapped: Wrapped, args: Arguments, kwargs: Named) -> Any:
        if stream is None:
            return await wrapped(*args, **kwargs)
        if not stream.is_begun:
            await stream.touching.__aenter__()
            stream = self._clients.begun(owner, stream)
        with self._clients.part(owner, stream) as note:
            return note(await wrapped(*args, **kwargs))


def _frozen(args: Arguments, kwargs: Named) -> tuple[bytes, Arguments, Named]:
    """Put bytes that nobody can change in the place of what is to be sent."""
    command = args[0] if args else kwargs.get("command", b"")
    data = joined(command)
    return data, ([data], *args[1:]), {name: value for name, value in kwargs.items() if name != "command"}


@cache
def _clients(access: Installation) -> Clients:
    # One, so that all that is wrapped knows what was decided, also what stayed from an earlier time.
    return Clients(access, LIBRARY)


def _patches(module: ModuleType, access: Installation) -> Iterable[Patch]:
    clients = _clients(access)
    yield from _patches_of(_Synchronous(clients, access), module.client, module.connection)
    yield from _patches_of(_Asynchronous(clients, access), module.asyncio.client, module.asyncio.connection)
    caching = getattr(module.connection, "CacheProxyConnection", None)
    if caching is not None:  # since version 5.1
        yield Patch(caching, "send_command", _Synchronous(clients, access).sends_unpacked)
    # Sent by the one above, and the one that others might call.
    writing = module.asyncio.connection.AbstractConnection
    yield Patch(writing, "_send_packed_command", _Asynchronous(clients, access).sends)


def _patches_of(wrappers: _Wrappers, client: ModuleType, connection: ModuleType) -> Iterable[Patch]:
    yield Patch(client.Redis, "execute_command", wrappers.executes)
    yield Patch(client.Pipeline, "immediate_execute_command", wrappers.executes)
    yield Patch(client.Pipeline, "execute", wrappers.executes_all)
    yield Patch(client.PubSub, "execute_command", wrappers.executes)
    yield Patch(client.PubSub, "parse_response", wrappers.reads_message)
    yield Patch(client.PubSub, "aclose" if hasattr(client.PubSub, "aclose") else "reset", wrappers.closes)
    yield Patch(client.Monitor, "next_command", wrappers.reads_command)
    yield Patch(connection.AbstractConnection, "send_packed_command", wrappers.sends)
    connect = "connect_check_health" if hasattr(connection.AbstractConnection, "connect_check_health") else "connect"
    yield Patch(connection.AbstractConnection, connect, wrappers.connects)
    # The only place where a socket is made. What a caller hands in, such as who gives the password, runs elsewhere.
    yield Patch(connection.Connection, "_connect", wrappers.reaches)
    yield Patch(connection.UnixDomainSocketConnection, "_connect", wrappers.reaches)


LIBRARY: Final = Library(
    name="redis",
    module="redis",
    layer="redis",
    patches=_patches,
    distribution="redis",
    contrib="opentelemetry.instrumentation.redis:RedisInstrumentor",
    limits="replies to what was sent outside of a session; what is written to a connection's own socket; "
    "of clusters and connections by hand, how much came back",
)
