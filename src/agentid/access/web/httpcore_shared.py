"""
What `httpcore` and `httpcore2` share, the layer below `httpx` and `httpx2`: each request of a pool, sync and async.

All ways lead through `ConnectionPool.handle_request`, also those of a proxy, which is such a pool. It sees what a
request goes through: a proxy, or a Unix socket. A connection that leads to another place than its origin, because a
network backend of somebody's own connected it, is asked about before anything is sent.

Not seen: a connection that is used without a pool.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from agentid.access.library import Library, Patch
from agentid.access.web.request import WebRequest, peer_accesses, proxy_accesses, socket_accesses, text_of, web_address
from agentid.access.web.streams import AsyncCountedStream, CountedStream, Sending, httpx_library
from agentid.record import Access

if TYPE_CHECKING:
    from agentid.access.installation import Installation

__all__ = ["library"]


def library(name: str, contrib: str) -> Library:
    """Give the library that is imported by *name*."""
    return httpx_library(name, "httpcore", contrib, _patches, limits="a connection that is used without a pool")


def _patches(found: Library, module: ModuleType, access: Installation) -> Iterable[Patch]:
    def asked(pool: Any, request: Any) -> WebRequest:
        return _asked(access, pool, request)

    sending = Sending(found, access, asked, CountedStream, AsyncCountedStream)
    yield Patch(module.ConnectionPool, "handle_request", sending.sends)
    yield Patch(module.AsyncConnectionPool, "handle_async_request", sending.sends_async)

    def connects(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        stream = wrapped(*args, **kwargs)
        left = _elsewhere(access, connection, stream)
        if left is not None:
            try:
                with left.touching(access, found):
                    pass
            except BaseException:
                stream.close()
                raise
        return stream

    async def connects_async(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        stream = await wrapped(*args, **kwargs)
        left = _elsewhere(access, connection, stream)
        if left is not None:
            try:
                async with left.touching(access, found):
                    pass
            except BaseException:
                await stream.aclose()
                raise
        return stream

    yield Patch(module.HTTPConnection, "_connect", connects)
    yield Patch(module.AsyncHTTPConnection, "_connect", connects_async)


def _elsewhere(access: Installation, connection: Any, stream: Any) -> WebRequest | None:
    """What is to be asked about a connection that was made, if that leads to another place than it should."""
    if not access.watches("peer"):
        return None
    origin = connection._origin
    try:
        peer = stream.get_extra_info("server_addr")
    except OSError:
        return None  # it is not connected any more, and says so itself
    if not isinstance(peer, tuple):  # no address of the internet
        return None
    to = peer_accesses(access, text_of(origin.host), origin.port, cast("tuple[Any, ...]", peer))
    return WebRequest.of(lambda: to).unaccounted(access) if to else None


def _asked(access: Installation, pool: Any, request: Any) -> WebRequest:
    url, target = request.url, text_of(request.url.target)
    if not target.startswith("/"):
        return WebRequest.refused("its target is no path")
    path, proxy = getattr(pool, "_uds", None), getattr(pool, "_proxy_url", None)

    def through() -> Iterable[Access]:
        if path is not None:
            yield from socket_accesses(path)
        if proxy is not None:
            default = {b"http": 80, b"https": 443}.get(proxy.scheme, 1080)
            yield from proxy_accesses(access, text_of(proxy.host), proxy.port or default)

    address = web_address(text_of(url.scheme), text_of(url.host), url.port, target)
    name = request.extensions.get("sni_hostname")
    return WebRequest(request.method, address, tuple(request.headers), through, name)
