"""
`urllib.request`: each request of an opener, and each hop of a redirect.

The official hook is the opener that all requests go through; an opener of one's own is one, too. The layer below is
`http.client`, which sees who goes around it.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from agentid.access.library import Library, Patch
from agentid.access.places import file_resource, web_access
from agentid.record import Access
from agentid.record import attributes as names

if TYPE_CHECKING:
    from agentid.access.installation import Installation

__all__ = ["LIBRARY"]

_BELOW: Final = frozenset({"http.client", "socket", "file"})


def _patches(module: ModuleType, access: Installation) -> Iterable[Patch]:
    def opens(wrapped: Any, _opener: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not access.watches("urllib"):
            return wrapped(*args, **kwargs)
        return _open(wrapped, *args, **kwargs)

    def _open(wrapped: Any, fullurl: Any, data: Any = None, *rest: Any, **kwargs: Any) -> Any:
        # As the opener itself does first; what follows is decided about this very object.
        request = module.Request(fullurl, data) if isinstance(fullurl, str) else fullurl
        if data is not None:
            request.data = data
        method: str = request.get_method()
        url: str = request.full_url
        host: str = request.host or ""

        def accesses() -> Iterable[Access]:
            if request.type == "file":
                return [Access("read", file_resource(module.url2pathname(request.selector)))]
            return [web_access(method, url)]

        attributes = {names.HTTP_METHOD: method, names.SERVER_ADDRESS: urlsplit(url).hostname or ""}
        with access.touching(
            LIBRARY, accesses, f"{method} {host}".strip(), attributes=attributes, is_client=True, accounts_for=_BELOW
        ) as seen:
            response = wrapped(request, None, *rest, **kwargs)
            seen(size=getattr(response, "length", None), attributes=_status(response))
            return response

    return [Patch(module.OpenerDirector, "open", opens)]


def _status(response: Any) -> dict[str, int]:
    status = getattr(response, "status", None)
    return {names.HTTP_STATUS: status} if isinstance(status, int) else {}


LIBRARY: Final = Library(
    name="urllib",
    module="urllib.request",
    layer="urllib",
    patches=_patches,
    contrib="opentelemetry.instrumentation.urllib:URLLibInstrumentor",
)
