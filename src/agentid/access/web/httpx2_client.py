"""`httpx2`: each request of a client or a transport, sync and async. How, says `web.httpx_shared`."""

from __future__ import annotations

from typing import Final

from agentid.access.web.httpx_shared import library

__all__ = ["LIBRARY"]

LIBRARY: Final = library("httpx2", "HTTPX2ClientInstrumentor")
