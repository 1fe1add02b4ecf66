"""
aiohttp's client: each request of a session, each hop of a redirect, and each WebSocket before it is opened.

A session makes all requests by `ClientSession._request`, which follows redirects inside of one call. So that is
wrapped, and for the hops, for what a middleware changed, and for the way there, `BaseConnector.connect`: before a
connection is made or reused. `ClientRequest.send` sees a request that is sent by a connector of somebody's own.

A WebSocket is `execute`, as any change of protocol. The body is counted and stopped while it is read.

Not seen: the messages of a WebSocket.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, cast

from agentid.access.library import Library, Patch
from agentid.access.web.body import own, status_of
from agentid.access.web.request import (
    WebRequest,
    peer_accesses,
    proxy_accesses,
    socket_accesses,
    tunnel_layer,
    web_address,
)
from agentid.record import Access

if TYPE_CHECKING:
    from agentid.access.installation import Installation
    from agentid.access.touching import Touching

__all__ = ["LIBRARY"]

_NAME: Final = "_agentid_access"


def _patches(module: ModuleType, access: Installation) -> Iterable[Patch]:
    client = _Client(module, access)
    yield Patch(module.ClientSession, "_request", client.requests)
    yield Patch(module.BaseConnector, "connect", client.connects)
    yield Patch(module.ClientRequest, "send", client.sends)
    yield Patch(module.ClientResponse, "start", _starts)
    yield Patch(module.ClientResponse, "close", _ends)
    yield Patch(module.ClientResponse, "release", _ends)


class _Client:
    """The wrappers; each decides when it is awaited, which may be elsewhere than it was called."""

    def __init__(self, module: Any, access: Installation) -> None:
        self._module = module
        self._access = access

    def requests(self, wrapped: Any, session: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._request(wrapped, session, *args, **kwargs)

    async def _request(self, wrapped: Any, session: Any, method: str, str_or_url: Any, **kwargs: Any) -> Any:
        if not self._access.watches("aiohttp"):
            return await wrapped(method, str_or_url, **kwargs)
        asked = _first(session, method, str_or_url, kwargs)
        asked = None if asked is None else asked.unaccounted(self._access)
        if asked is None:  # or no request that can be made: the library says so, or it is decided below
            return await wrapped(method, str_or_url, **kwargs)
        touching = asked.touching(self._access, LIBRARY)

        async def make() -> Any:
            response = await wrapped(method, str_or_url, **kwargs)
            _lasts(touching, response.history[0] if response.history else response)
            return response

        return await _run(touching, make)

    def connects(self, wrapped: Any, connector: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._connect(wrapped, connector, *args, **kwargs)

    async def _connect(self, wrapped: Any, connector: Any, req: Any, *args: Any, **kwargs: Any) -> Any:
        if not self._access.watches("aiohttp"):
            return await wrapped(req, *args, **kwargs)

        def through() -> Iterable[Access]:
            if isinstance(connector, (self._module.UnixConnector, self._module.NamedPipeConnector)):
                yield from socket_accesses(connector.path)
            if req.proxy is not None:
                yield from proxy_accesses(self._access, req.proxy.raw_host or "", req.proxy.port)

        asked = _asked(req, through).unaccounted(self._access)
        if asked is None:
            return await self._checked(req, await wrapped(req, *args, **kwargs))
        touching = asked.touching(self._access, LIBRARY)

        async def make() -> Any:
            connection = await self._checked(req, await wrapped(req, *args, **kwargs))
            touching.pause()
            own(req)[_NAME] = touching, asked.accesses
            return connection

        return await _run(touching, make)

    async def _checked(self, req: Any, connection: Any) -> Any:
        """A connection, if it leads where it should: a resolver or a connector of somebody's own may lead elsewhere."""
        peer = connection.transport.get_extra_info("peername") if connection.transport is not None else None
        if not isinstance(peer, tuple):  # no address of the internet
            return connection
        to = req.proxy or req.url
        found = peer_accesses(self._access, to.raw_host or "", to.port, cast("tuple[Any, ...]", peer))
        left = WebRequest.of(lambda: found).unaccounted(self._access) if found else None
        if left is not None:
            try:
                async with left.touching(self._access, LIBRARY):
                    pass
            except BaseException:
                connection.close()
                raise
        return connection

    def sends(self, wrapped: Any, req: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._send(wrapped, req, *args, **kwargs)

    async def _send(self, wrapped: Any, req: Any, conn: Any) -> Any:
        if not self._access.watches("aiohttp"):
            return await wrapped(conn)
        if req.method == "CONNECT" and not self._access.watches(tunnel_layer(req.url.raw_host or "", req.url.port)):
            return await wrapped(conn)  # the tunnel of a request that was decided
        touching, decided = own(req).pop(_NAME, (None, ()))
        asked = _asked(req).unaccounted(self._access)
        if touching is not None and (asked is None or asked.is_part_of(decided)):
            touching.check()
            touching.resume()
            return await _sent(touching, wrapped, conn)
        if touching is not None:
            touching.close()  # another request was decided, and that one only connected
        if asked is None:
            return await wrapped(conn)
        touching = asked.touching(self._access, LIBRARY)
        await touching.__aenter__()
        return await _sent(touching, wrapped, conn)


async def _sent(touching: Touching, wrapped: Any, conn: Any) -> Any:
    try:
        response = await wrapped(conn)
    except BaseException as error:
        touching.__exit__(type(error), error, error.__traceback__)
        raise
    touching.pause()
    own(response)[_NAME] = touching
    return response


def _starts(wrapped: Any, response: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return _start(wrapped, response, *args, **kwargs)


async def _start(wrapped: Any, response: Any, connection: Any) -> Any:
    touching: Touching | None = own(response).get(_NAME)
    if touching is None:
        return await wrapped(connection)
    try:
        touching.check()
        touching.resume()
        started = await wrapped(connection)
        _lasts(touching, response)
    except BaseException as error:
        touching.__exit__(type(error), error, error.__traceback__)
        raise
    return started


def _ends(wrapped: Any, response: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    touching: Touching | None = own(response).get(_NAME)
    error = None if response.content is None else response.content.exception()
    try:
        return wrapped(*args, **kwargs)
    finally:
        if touching is not None:
            touching.close(error or GeneratorExit())


async def _run(touching: Touching, make: Callable[[], Awaitable[Any]]) -> Any:
    await touching.__aenter__()
    try:
        return await make()
    except BaseException as error:
        touching.__exit__(type(error), error, error.__traceback__)
        raise


def _first(session: Any, method: str, str_or_url: Any, given: dict[str, Any]) -> WebRequest | None:
    """What a session is asked for, before redirects and middlewares."""
    try:
        url, merged = session._build_url(str_or_url), session._prepare_headers(given.get("headers"))
    except (TypeError, ValueError):
        return None
    if not url.raw_host:
        return None
    return WebRequest(method, _address(url), tuple(merged.items()), tls_name=given.get("server_hostname"))


def _asked(req: Any, through: Callable[[], Iterable[Access]] = tuple) -> WebRequest:
    name = getattr(req, "server_hostname", None)
    return WebRequest(req.method, _address(req.url), tuple(req.headers.items()), through, name)


def _address(url: Any) -> str:
    return web_address(url.scheme, url.raw_host or "", url.port, url.raw_path)


def _lasts(touching: Touching, response: Any) -> None:
    """Let the access last until the body has come."""
    touching(attributes=status_of(response))
    content = response.content
    touching.pause()
    own(response)[_NAME] = touching

    def ended() -> None:
        touching(size=getattr(content, "total_bytes", None))
        touching.close()

    content.on_eof(ended)
    timer = getattr(content, "_timer", None)
    if timer is not None:
        content._timer = _CheckingTimer(timer, touching)


class _CheckingTimer:
    """Stands for the timer of a body, which is asked before a part of it is read or waited for."""

    __slots__ = ("_timer", "_touching")

    def __init__(self, timer: Any, touching: Touching) -> None:
        self._timer = timer
        self._touching = touching

    def assert_timeout(self) -> None:
        self._touching.check()
        self._timer.assert_timeout()

    def __enter__(self) -> Any:
        self._touching.check()  # nothing is there yet, so it is waited for
        return self._timer.__enter__()

    def __exit__(self, *error: object) -> Any:
        return self._timer.__exit__(*error)


LIBRARY: Final = Library(
    name="aiohttp",
    module="aiohttp",
    layer="aiohttp",
    patches=_patches,
    distribution="aiohttp",
    contrib="opentelemetry.instrumentation.aiohttp_client:AioHttpClientInstrumentor",
    limits="the messages of a WebSocket",
)
