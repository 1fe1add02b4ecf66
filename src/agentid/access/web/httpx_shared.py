"""
What `httpx` and `httpx2` share: two trees of classes of the same shape, each with a file of its own for its `LIBRARY`.

All requests of a client go through `_send_single_request`: each hop, each try of an authentication, after every hook,
and whatever transport is mounted, so that an application in this process is decided, too. It is wrapped, sync and
async, and so is `HTTPTransport.handle_request`, for who uses a transport directly, and for a transport that changes
what it hands on. The layer below is `httpcore`, which sees the proxy or the Unix socket that a request goes through.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from agentid.access.library import Library, Patch
from agentid.access.web.request import WebRequest, text_of, web_address
from agentid.access.web.streams import AsyncCountedStream, CountedStream, Sending, httpx_library

if TYPE_CHECKING:
    from agentid.access.installation import Installation

__all__ = ["library"]


def library(name: str, contrib: str) -> Library:
    """Give the library that is imported by *name*."""
    return httpx_library(
        name, "httpx", contrib, _patches, limits="messages of a connection that has changed its protocol"
    )


def _patches(found: Library, module: Any, access: Installation) -> Iterable[Patch]:
    stream = type("CountedStream", (CountedStream, module.SyncByteStream), {})
    async_stream = type("AsyncCountedStream", (AsyncCountedStream, module.AsyncByteStream), {})
    sending = Sending(found, access, _asked, stream, async_stream)
    yield Patch(module.Client, "_send_single_request", sending.sends)
    yield Patch(module.HTTPTransport, "handle_request", sending.sends)
    yield Patch(module.AsyncClient, "_send_single_request", sending.sends_async)
    yield Patch(module.AsyncHTTPTransport, "handle_async_request", sending.sends_async)


def _asked(_sender: Any, request: Any) -> WebRequest:
    url = request.url
    # An extension says what is really asked for, whatever the address says.
    target = text_of(request.extensions.get("target", url.raw_path))
    if not target.startswith("/"):
        return WebRequest.refused("its target is no path")
    address = web_address(text_of(url.raw_scheme), text_of(url.raw_host), url.port, target)
    name = request.extensions.get("sni_hostname")
    return WebRequest(request.method, address, tuple(request.headers.raw), tls_name=name)
