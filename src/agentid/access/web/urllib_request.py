"""
`urllib.request`: each request of an opener, and each hop of a redirect.

The official hook is the opener that all requests go through; an opener of one's own is one, too. The layer below is
`http.client`, which sees who goes around it, and what a handler or a proxy made of a request.

An address `data:` holds its data, so nothing is touched. One of `file:` is decided where the file is opened, whatever a
handler made of it.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from agentid.access.library import Library, Patch
from agentid.access.web.body import run
from agentid.access.web.request import WebRequest

if TYPE_CHECKING:
    from agentid.access.installation import Installation

__all__ = ["LIBRARY"]


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
        if request.type in {"data", "file"}:
            if not mimetypes.inited:  # the system's own names of types, by which it names that of a file
                with access.accounting_for(frozenset({"file"})):
                    mimetypes.init()
            return wrapped(request, None, *rest, **kwargs)
        asked = WebRequest(request.get_method(), request.full_url, request.header_items()).unaccounted(access)
        if asked is None:
            return wrapped(request, None, *rest, **kwargs)
        return run(
            asked.touching(access, LIBRARY), lambda: wrapped(request, None, *rest, **kwargs), lambda found: found
        )

    return [Patch(module.OpenerDirector, "open", opens)]


LIBRARY: Final = Library(
    name="urllib",
    module="urllib.request",
    layer="urllib",
    patches=_patches,
    contrib="opentelemetry.instrumentation.urllib:URLLibInstrumentor",
    limits="the socket of an ftp: address",
)
