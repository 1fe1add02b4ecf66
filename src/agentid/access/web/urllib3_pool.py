"""
urllib3: each request of a connection pool, whichever manager, proxy or retry it comes from.

The official way is `HTTPConnectionPool.urlopen`, which all of them go through, and which follows redirects by calling
itself: so each hop is decided. A retry of the same request is the same access. The layer below is `http.client`, which
sees a connection that is used without a pool, and the proxy that a request goes through.

Not seen: a connection that speaks HTTP/2 and is used without a pool.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from agentid.access.library import Library, Patch
from agentid.access.web.body import run
from agentid.access.web.request import WebRequest, web_address

if TYPE_CHECKING:
    from agentid.access.installation import Installation

__all__ = ["LIBRARY"]


def _patches(module: ModuleType, access: Installation) -> Iterable[Patch]:
    def opens(wrapped: Any, pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not access.watches("urllib3"):
            return wrapped(*args, **kwargs)
        return _open(wrapped, pool, *args, **kwargs)

    def _open(wrapped: Any, pool: Any, method: str, url: str, *rest: Any, **kwargs: Any) -> Any:
        # By position or by name; as they are now, so that whoever else has them changes nothing any more.
        given = rest[1] if len(rest) > 1 else kwargs.get("headers")
        headers = pool.headers if given is None else _copy(given)
        if given is not None and len(rest) > 1:
            rest = (rest[0], headers, *rest[2:])
        elif given is not None:
            kwargs["headers"] = headers
        asked = WebRequest(method, _address(pool, url), headers.items()).unaccounted(access)

        def make() -> Any:
            return wrapped(method, url, *rest, **kwargs)

        return make() if asked is None else run(asked.touching(access, LIBRARY), make, original)

    return [Patch(module.HTTPConnectionPool, "urlopen", opens)]


def _copy(headers: Any) -> Any:
    return headers.copy() if hasattr(headers, "copy") else dict(headers)


def _address(pool: Any, url: str) -> str:
    """Where a request of a pool goes: to its own host, unless a proxy is asked for an address."""
    if url.lower().startswith(("http://", "https://")):
        return url
    return web_address(pool.scheme, pool.host, pool.port, f"/{url.removeprefix('/')}")


def original(response: Any) -> Any:
    """Give the response of `http.client` that one of urllib3 stands on."""
    return getattr(response, "_original_response", None)


LIBRARY: Final = Library(
    name="urllib3",
    module="urllib3.connectionpool",
    layer="urllib3",
    patches=_patches,
    distribution="urllib3",
    contrib="opentelemetry.instrumentation.urllib3:URLLib3Instrumentor",
    limits="a connection of HTTP/2 that is used without a pool",
)
