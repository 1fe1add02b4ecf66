"""
What `httpcore` and `httpcore2` share, the layer below `httpx` and `httpx2`: each request of a pool, sync and async.

All ways lead through `ConnectionPool.handle_request`, also those of a proxy, which is such a pool. It sees what a
request goes through: a proxy, or a Unix socket.

Not seen: a connection that is used without a pool.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentid.access.library import Library, Patch
from agentid.access.web.request import WebRequest, proxy_accesses, socket_accesses, text_of, web_address
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
