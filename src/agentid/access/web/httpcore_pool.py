"""`httpcore`: each request of a pool, sync and async. How, says `web.httpcore_shared`."""

from __future__ import annotations

from typing import Final

from agentid.access.web.httpcore_shared import library

__all__ = ["LIBRARY"]

LIBRARY: Final = library("httpcore", "HTTPXClientInstrumentor")
