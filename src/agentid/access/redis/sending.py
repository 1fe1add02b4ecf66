"""
One command of Redis, or several that are sent at once: what is to be decided before, by client and by connection.

A *scope* is the block in which a client sends what was decided. In it the connection lets pass exactly that, byte for
byte, and what makes it ready (`HELLO`, `AUTH`, `SELECT` of its own database, …) for the same server. Whatever else is
sent there, by a callback or by an argument that changed meanwhile, is decided anew.

Nothing here waits for anything: it serves the clients of asyncio as well.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast
from weakref import WeakKeyDictionary

from agentid.access.redis.commands import Command, accesses_of, is_set_up, name_of
from agentid.access.redis.place import Place
from agentid.access.redis.wire import command_of, packed, unpacked
from agentid.errors import ConfigurationError
from agentid.guard.session import Session, acting
from agentid.record import Access
from agentid.record import attributes as names

if TYPE_CHECKING:
    from agentid.access.installation import Installation
    from agentid.access.library import Library
    from agentid.access.touching import Touching

__all__ = ["Clients", "Scope", "Stream", "Work", "channels_of", "commands_of"]


class Scope:
    """
    The block in which a client sends what was decided: exactly that, and what makes its connection ready for it.

    Closed at its end, so that a task that was begun in it cannot go on as if it were still there.
    """

    __slots__ = ("_current", "_is_open", "_place", "_sent", "_session", "_token")

    def __init__(self, current: ContextVar[Scope | None], place: Place, sent: frozenset[bytes]) -> None:
        self._current = current
        self._place = place
        self._sent = sent
        self._session = acting.get()
        self._is_open = False

    def __enter__(self) -> None:
        self._is_open = True
        self._token: Token[Scope | None] = self._current.set(self)

    def __exit__(self, *_error: object) -> None:
        self._is_open = False
        # Left in another context than it was entered in, there is nothing to undo in this one.
        with suppress(ValueError):
            self._current.reset(self._token)

    def leads_to(self, place: Place) -> bool:
        """Whether something was decided here about the server at *place*, for whoever acts."""
        return self._is_open and self._session is acting.get() and self._place.is_same_server(place)

    def has(self, place: Place, data: bytes) -> bool:
        """Whether *data* was decided here to be sent to *place*, or makes a connection ready for it."""
        if not self.leads_to(place):
            return False
        if data in self._sent and place == self._place:
            return True
        try:
            return all(is_set_up(command, place) for command in unpacked(data))
        except ConfigurationError:
            return False


class Work(NamedTuple):
    """What is about to be sent, not decided yet: enter both, the access first."""

    touching: Touching
    scope: Scope
    is_read: bool

    def note(self, result: Any) -> Any:
        """Note what came back, and give it back."""
        if self.is_read:
            rows, size = _measure(result)
            self.touching(rows=rows, size=size, attributes={names.DB_ROWS: rows})
        return result


class Stream(NamedTuple):
    """What is read bit by bit under one access: the messages of a subscription, the commands that a monitor sees."""

    session: Session | None
    accesses: frozenset[Access]
    touching: Touching
    place: Place
    is_begun: bool = False


class Clients:
    """What the wrappers below do, without waiting for anything: so it serves the async clients as well."""

    def __init__(self, access: Installation, library: Library) -> None:
        self._access = access
        self._library = library
        self._scope: ContextVar[Scope | None] = ContextVar("agentid_redis", default=None)
        self._streams: WeakKeyDictionary[Any, Stream] = WeakKeyDictionary()

    # --- a client ----------------------------------------------------------------------------------------------

    def executing(self, client: Any, arguments: Sequence[Any]) -> Work | None:
        """Say what is to be decided before *client* sends one command; None if it is for the connection to say."""
        if not _is_plain(client):
            return None
        encoder = client.encoder if hasattr(client, "encoder") else client.get_encoder()
        command = command_of(arguments, encoder.encode)
        return self._work(lambda: _place_of_client(client), lambda: [command], [packed(command)])

    def executing_all(self, pipeline: Any) -> Work | None:
        """Say what is to be decided before *pipeline* sends what it holds."""
        stack = list(pipeline.command_stack)
        if not stack or not _is_plain(pipeline):
            return None
        encode = pipeline.get_encoder().encode
        commands = [command_of(arguments, encode) for arguments, _ in stack]
        sent = list(map(packed, commands))
        # Some commands are not sent in a transaction.
        inner = [data for data, (_, options) in zip(sent, stack, strict=True) if "EMPTY_RESPONSE" not in options]
        whole = [packed([b"MULTI"]), *inner, packed([b"EXEC"])]
        # The one of asyncio has another word for it, and a method by this name.
        is_transaction = getattr(pipeline, "is_transaction", pipeline.transaction) or pipeline.explicit_transaction
        name = "MULTI" if is_transaction else "PIPELINE"
        return self._work(lambda: _place_of_client(pipeline), lambda: commands, [b"".join(sent), b"".join(whole)], name)

    # --- a connection ------------------------------------------------------------------------------------------

    def sending(self, connection: Any, data: bytes) -> Work | None:
        """Say what is to be decided before *data* is sent; None if that was decided, or touches nothing."""
        scope = self._scope.get()
        if scope is not None:
            try:
                if scope.has(_place_of(connection), data):
                    return None
            except ConfigurationError:
                pass  # it is refused below
        return self._work(lambda: _place_of(connection), lambda: unpacked(data), [data])

    def connecting(self, connection: Any) -> Work | None:
        """Say what is to be decided before *connection* is made; None if it is made for what was decided."""
        # Older versions do not say so themselves.
        is_connected = connection.is_connected if hasattr(connection, "is_connected") else connection._sock is not None
        return None if is_connected else self.reaching(connection)

    def reaching(self, connection: Any) -> Work | None:
        """Say what is to be decided before the socket of *connection* is made; None if that was decided."""
        try:
            place = _place_of(connection)
            scope = self._scope.get()
            if scope is not None and scope.leads_to(place):
                return None
            return self._begun(place, (Access("read", place.server()),), None, "CONNECT", frozenset())
        except ConfigurationError as error:
            return self._begun(None, (), error, "CONNECT", frozenset())

    # --- what is read bit by bit -------------------------------------------------------------------------------

    def listening(self, owner: Any, accesses: Callable[[Place], Iterable[Access]], name: str) -> Stream | None:
        """
        Give the access under which *owner* reads; to be begun where this session has none yet.

        None if there is nothing to read. Raises where an agent may not go on.
        """
        if owner.connection is None:
            return None
        place, wanted, failure = _NOWHERE, frozenset[Access](), None
        try:
            place = _place_of(owner.connection)
            wanted = frozenset(accesses(place))
        except ConfigurationError as error:
            failure = error
        stream = self._streams.get(owner)
        is_known = stream is not None and stream.session is acting.get() and wanted <= stream.accesses
        if stream is not None and is_known and failure is None:
            stream.touching.check()
            return stream
        self.close(owner)
        work = self._begun(place, tuple(sorted(wanted, key=str)), failure, name, frozenset())
        return Stream(acting.get(), wanted, work.touching, place)

    def begun(self, owner: Any, stream: Stream) -> Stream:
        """Keep an access that was begun, for the parts to come."""
        stream.touching.pause()
        self._streams[owner] = kept = stream._replace(is_begun=True)
        return kept

    @contextmanager
    def part(self, owner: Any, stream: Stream) -> Generator[Callable[[Any], Any]]:
        """Give the block in which a part is read, and its connection kept ready; it is given what was read."""

        def note(result: Any) -> Any:
            if result is not None:
                _, size = _measure(result)
                stream.touching(rows=1, size=size)
            return result

        stream.touching.resume()
        try:
            with Scope(self._scope, stream.place, frozenset()):
                yield note
        except BaseException as error:
            stream.touching.pause()
            self.close(owner, error)
            raise
        stream.touching.pause()

    def close(self, owner: Any, error: BaseException | None = None) -> None:
        """End the access under which *owner* read, if there is one."""
        stream = self._streams.pop(owner, None)
        if stream is not None:
            stream.touching.close(error)

    # --- common to all -----------------------------------------------------------------------------------------

    def _work(
        self,
        find: Callable[[], Place],
        read: Callable[[], Sequence[Command]],
        sent: Sequence[bytes],
        name: str = "",
    ) -> Work | None:
        """Say what is to be decided about the commands that *read* gives, sent as *sent*; None without any access."""
        place: Place | None = None
        try:
            place = find()
            commands = read()
            name = name or name_of(commands)
            found = accesses_of(commands, place)
        except ConfigurationError as error:
            return self._begun(place, (), error, name or "OTHER", frozenset(sent))
        return self._begun(place, found, None, name, frozenset(sent)) if found else None

    def _begun(
        self,
        place: Place | None,
        found: tuple[Access, ...],
        failure: ConfigurationError | None,
        name: str,
        sent: frozenset[bytes],
    ) -> Work:
        def accesses() -> tuple[Access, ...]:
            if failure is not None:
                raise failure
            return found

        where = _NOWHERE if place is None else place
        attributes: dict[str, Any] = {names.DB_SYSTEM: "redis", names.DB_OPERATION: name}
        if place is not None:
            attributes |= {names.DB_NAMESPACE: place.db, names.SERVER_ADDRESS: place.path or place.host}
            if place.port:
                attributes[names.SERVER_PORT] = place.port
        touching = self._access.touching(
            self._library,
            accesses,
            f"{name} {where.address}" if place else name,
            attributes=attributes,
            is_client=True,
        )
        is_read = any(access.action == "read" for access in found)
        return Work(touching, Scope(self._scope, where, sent), is_read)


_NOWHERE: Final = Place("", 0, "", "0")


def _is_plain(client: Any) -> bool:
    """Whether it is known before where *client* will connect to; a sentinel says so only then."""
    pool = client.connection_pool
    known = hasattr(pool, "connection_kwargs") and not hasattr(pool, "sentinel_manager")
    return known or client.connection is not None


def _place_of_client(client: Any) -> Place:
    """Give the place that the connection of a client leads to, or the one that it would make."""
    if client.connection is not None:
        return _place_of(client.connection)
    made_with = client.connection_pool.connection_kwargs
    host, port = made_with.get("host", "localhost"), made_with.get("port", 6379)
    return Place.at(host, port, made_with.get("path"), made_with.get("db"))


def _place_of(connection: Any) -> Place:
    # One that caches stands before another one.
    return Place.of_connection(getattr(connection, "_conn", connection))


def channels_of(pubsub: Any) -> Callable[[Place], Iterable[Access]]:
    """Say what a subscription reads: its channels, or all where it has patterns, or does not know what it has."""

    def accesses(place: Place) -> Iterator[Access]:
        channels = [*pubsub.channels, *getattr(pubsub, "shard_channels", ())]
        if pubsub.patterns or not channels:
            yield Access("read", place.channels())
        for channel in channels:
            yield Access("read", place.channel(channel))

    return accesses


def commands_of(place: Place) -> Iterable[Access]:
    """Say what a monitor reads: whatever anybody does."""
    return [Access("execute", place.database())]


def _measure(result: Any) -> tuple[int, int | None]:
    if result is None:
        return 0, None
    if isinstance(result, bytes | str):
        return 1, len(result)
    if isinstance(result, list | tuple | set | dict):
        parts = list(cast("Iterable[Any]", result.values() if isinstance(result, dict) else result))
        sizes = [len(part) for part in parts if isinstance(part, bytes | str)]
        return len(parts), sum(sizes) if sizes else None
    return 1, None
