"""
`http.client`: each request of each connection, where `requests`, urllib3, `urllib`, botocore and code by hand meet.

Wrapped is `HTTPConnection.send`, which all their bytes go through: what is decided is read from the bytes themselves,
before the connection is made. So it does not matter by which method, subclass or order of calls they came there,
whether the connection is older than the session, or what a callback changed after a library above was allowed.

- The resource is where the bytes go: the connected host, the host of a tunnel, and that of a target that is meant for a
  proxy. A `Host` that names another place is refused. A socket that leads to another address or port than the
  connection says is a proxy, as far as that can be told.
- A request that has not ended, more than its head announces, or a second request in the same bytes is refused.
- An answer is only read by the session that made the request. Its body is counted and stopped, whatever reads it.
- A tunnel without a request is `execute` on `https://` and its host.

Not seen: what is written to the socket of a connection directly, or by a subclass that does; and that somebody
connected to another host than that of the name that he put there, at the same port.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, cast

from agentid.access.library import Library, Patch, Wrapper
from agentid.access.places import web_resource
from agentid.access.web.body import Body, body_of, hang, own, status_of, until_read
from agentid.access.web.framing import Framing, Head, read_head
from agentid.access.web.request import (
    WebRequest,
    peer_accesses,
    proxy_accesses,
    socket_accesses,
    tunnel_layer,
    web_address,
)
from agentid.errors import ConfigurationError
from agentid.guard.session import Session, acting
from agentid.record import Access
from agentid.resource import Resource

if TYPE_CHECKING:
    from agentid.access.installation import Installation
    from agentid.access.touching import Touching

__all__ = ["LIBRARY"]

_NAME: Final = "_agentid_exchange"
_HOST = re.compile(r"[^\s/?#@\\\[\]]+")  # what else stands in an address would end the host, or begin it
_READING: Final = ("read", "read1", "readinto", "peek", "readline", "_safe_read")


class _Exchange:
    """One request on a connection, and its answer: on which socket, by whom, and how far it is."""

    __slots__ = ("framing", "is_answered", "session", "socket", "touching")

    def __init__(self, framing: Framing | None) -> None:
        self.framing = framing
        self.is_answered = False
        self.session: Session | None = acting.get()
        self.socket: Any = None
        self.touching: Touching | None = None

    @classmethod
    def on(cls, connection: Any) -> _Exchange | None:
        """The one on this connection; one that was on another socket is over."""
        exchange: _Exchange | None = own(connection).get(_NAME)
        if exchange is None or connection.sock is None or exchange.socket is not connection.sock:
            return None
        return exchange

    @property
    def is_mine(self) -> bool:
        return self.session is acting.get()

    def goes_on_with(self, data: bytes) -> bool:
        """Whether *data* is the next part of this request."""
        # Of what was no request, and was let through because a guard only observes, nothing is known.
        if self.framing is None or self.framing.is_over:
            return False
        if self.is_answered and not self.framing.is_anything:
            raise ConfigurationError("a request begins too early", why="the request before it has not ended")
        if not self.is_mine:
            raise ConfigurationError("a request is another's", why="somebody else began the request on this connection")
        self.framing.take(data)
        return True


def _patches(module: ModuleType, access: Installation) -> Iterable[Patch]:
    def sends(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not access.watches("http.client"):
            return wrapped(*args, **kwargs)
        return _send(wrapped, connection, *args, **kwargs)

    def _send(wrapped: Any, connection: Any, data: Any) -> None:
        for part in filter(None, _parts(data, connection.blocksize)):
            _Sending(access, wrapped, connection, part).run()

    def answers(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not access.watches("http.client"):
            return wrapped(*args, **kwargs)
        return _answer(access, wrapped, connection)

    response = module.HTTPResponse
    yield Patch(module.HTTPConnection, "send", sends)
    yield Patch(module.HTTPConnection, "getresponse", answers)
    yield from (Patch(response, name, _reading(_nothing if name == "peek" else _size_of)) for name in _READING)
    yield Patch(response, "_close_conn", _ends)


def _reading(size_of: Callable[[Any], int]) -> Wrapper:
    def reads(wrapped: Any, response: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        # What was decided in a session lasts until its end, wherever it is read.
        body = body_of(response)
        if body is None:
            return wrapped(*args, **kwargs)
        return body.read(lambda: wrapped(*args, **kwargs), size_of)

    return reads


def _ends(wrapped: Any, response: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    body = body_of(response)
    if body is None:
        return wrapped(*args, **kwargs)
    # Whoever reads chunks by himself, as urllib3 does, closes at the end, too.
    early = not response.chunked and response.length != 0
    try:
        return wrapped(*args, **kwargs)
    finally:
        body.end(early=early)


def _parts(data: Any, size: int) -> Iterable[bytes]:
    """What `send` sends, piece by piece and as nobody can change it any more."""
    if hasattr(data, "read"):
        while block := data.read(size):
            yield block.encode("iso-8859-1") if isinstance(block, str) else bytes(block)
        return
    if type(data) is bytes:
        yield data
        return
    try:
        view = memoryview(data)
    except TypeError:
        if isinstance(data, str) or not isinstance(data, Iterable):
            raise TypeError(f"data should be a bytes-like object or an iterable, got {type(data)!r}") from None
        for part in cast("Iterable[Any]", data):
            yield bytes(memoryview(part))
        return
    yield view.tobytes()


def _nothing(_found: object) -> int:
    return 0


def _size_of(found: object) -> int:
    if isinstance(found, int):
        return found
    # The end of a chunk is not of the body.
    return len(found) if isinstance(found, bytes) and found != b"\r\n" else 0


class _Sending:
    """One piece of bytes that is about to be sent."""

    def __init__(self, access: Installation, wrapped: Callable[[bytes], None], connection: Any, data: bytes) -> None:
        self.access = access
        self.wrapped = wrapped
        self.connection = connection
        self.data = data

    def run(self) -> None:
        exchange, framing = _Exchange.on(self.connection), None
        try:
            if exchange is not None and exchange.goes_on_with(self.data):
                self._go_on(exchange)
                return
            head, rest = read_head(self.data)
            if head.method == "CONNECT":
                self._tunnel(head, rest)
                return
            framing = Framing(head)
            framing.take(rest)
            request = self._request(head)
        except ConfigurationError as odd:
            request = WebRequest.refused(odd.why)
        self._begin(_Exchange(framing), request)

    def _go_on(self, exchange: _Exchange) -> None:
        touching = exchange.touching
        if touching is None:
            self.wrapped(self.data)
            return
        touching.check()
        touching.resume()
        try:
            self.wrapped(self.data)
        except BaseException as error:
            touching.__exit__(type(error), error, error.__traceback__)
            raise
        touching.pause()

    def _begin(self, exchange: _Exchange, request: WebRequest) -> None:
        connection = self.connection
        left = request.unaccounted(self.access)
        touching = None if left is None else left.touching(self.access, LIBRARY)
        if touching is not None:
            touching.__enter__()
        before = own(connection).pop(_NAME, None)
        if before is not None and before.touching is not None:
            before.touching.close(GeneratorExit())  # nobody wanted its answer
        try:
            self._transmit()
        except BaseException as error:
            if touching is not None:
                touching.__exit__(type(error), error, error.__traceback__)
            raise
        if touching is not None:
            touching.pause()
        exchange.socket, exchange.touching = connection.sock, touching
        own(connection)[_NAME] = exchange

    def _transmit(self) -> None:
        connection = self.connection
        if connection.sock is None and connection.auto_open:
            connection.connect()
            # By a `connect` of somebody's own: only now it is known that its host is not reached.
            elsewhere = _elsewhere(self.access, connection)
            if elsewhere:
                left = WebRequest.of(lambda: elsewhere).unaccounted(self.access)
                if left is not None:
                    with left.touching(self.access, LIBRARY):
                        self.wrapped(self.data)
                    return
        self.wrapped(self.data)

    def _tunnel(self, head: Head, rest: bytes) -> None:
        """Ask a proxy for a tunnel, as a connection does by itself."""
        connection = self.connection
        host, port = connection._tunnel_host or "", connection._tunnel_port
        name = f"[{host}]" if ":" in host else _ascii(host)
        if rest or head.target not in {f"{name}:{port}", f"{host}:{port}"}:
            raise ConfigurationError("a tunnel by hand", why="it asks for a tunnel to another place than `set_tunnel`")
        if not self.access.watches(tunnel_layer(_ascii(host), port)):
            self.wrapped(self.data)
            return

        def accesses() -> tuple[Access, ...]:
            place = Resource.parse(f"https://{name}:{port}")
            return (Access("execute", place), *proxy_accesses(self.access, connection.host, connection.port))

        with WebRequest.of(accesses).touching(self.access, LIBRARY):
            self.wrapped(self.data)

    def _request(self, head: Head) -> WebRequest:
        connection = self.connection
        tunnel = connection._tunnel_host
        host, port = (tunnel, connection._tunnel_port) if tunnel else (connection.host, connection.port)
        scheme = "https" if connection.default_port == 443 or hasattr(connection.sock, "getpeercert") else "http"
        here = web_address(scheme, host, port, "")
        if not _HOST.fullmatch(host):
            raise ConfigurationError("a connection has an odd host", why="the host of its connection is no plain name")
        is_for_proxy = head.target.lower().startswith(("http://", "https://"))
        if not is_for_proxy and not head.target.startswith("/"):
            raise ConfigurationError("a request has an odd target", why="its target is neither a path nor an address")

        socks = getattr(connection, "_socks_options", None)  # of urllib3

        def through() -> Iterable[Access]:
            yield from _elsewhere(self.access, connection)
            if socks is not None:
                yield from proxy_accesses(self.access, socks["proxy_host"], socks["proxy_port"])
            if tunnel or (is_for_proxy and web_resource(head.target).key[:3] != web_resource(here).key[:3]):
                yield from proxy_accesses(self.access, connection.host, connection.port)

        name = getattr(connection, "server_hostname", None)  # of urllib3
        return WebRequest(head.method, head.target if is_for_proxy else here + head.target, head.headers, through, name)


def _ascii(host: str) -> str:
    try:
        return host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        raise ConfigurationError("a host has an odd name", why="its host has an odd name") from None


def _elsewhere(access: Installation, connection: Any) -> tuple[Access, ...]:
    """Say what is touched where the socket of a connection leads to another place than the connection says."""
    sock = connection.sock
    family = getattr(getattr(sock, "family", None), "name", "")
    if family == "AF_UNIX":
        return socket_accesses(sock.getpeername())
    if family not in {"AF_INET", "AF_INET6"} or getattr(connection, "_socks_options", None) is not None:
        return ()
    try:
        peer = sock.getpeername()
    except OSError:
        return ()  # it is not connected any more, and says so itself
    return peer_accesses(access, connection.host, connection.port, peer)


def _answer(access: Installation, wrapped: Any, connection: Any) -> Any:
    if connection.sock is None:
        return wrapped()  # which says so itself
    exchange = _Exchange.on(connection)
    if exchange is None or not exchange.is_mine:
        request = WebRequest.refused("the request that is answered was not made in this session")
        with request.touching(access, LIBRARY):
            return wrapped()
    exchange.is_answered = True
    touching, exchange.touching = exchange.touching, None
    if touching is None:
        response = wrapped()
        _hang(exchange, response)
        return response

    def answer() -> tuple[Any, Body | None]:
        touching.check()
        touching.resume()
        response = wrapped()
        touching(attributes=status_of(response))
        return response, _hang(exchange, response)

    return until_read(touching, answer)


def _hang(exchange: _Exchange, response: Any) -> Body | None:
    if response.status == 101 and exchange.framing is not None:
        exchange.framing.is_anything = True
    body = hang(response)
    if body is not None and response.length == 0:  # there is nothing to wait for
        body.end(early=False)
    return body


LIBRARY: Final = Library(
    name="http.client",
    module="http.client",
    layer="http.client",
    patches=_patches,
    limits="what is written to the socket of a connection directly",
)
