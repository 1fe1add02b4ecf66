"""
`requests`: each request of a session, and each hop of a redirect.

The official hook is the adapter, and anybody may mount one. All requests of a session go through `Session.send`, which
follows redirects by calling itself. So that is wrapped, and `HTTPAdapter.send` for who calls it directly. An adapter, a
hook or an authentication that asks for something else meanwhile is decided by whatever it does that with.

Not seen: what a session of somebody's own answers from a cache that it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from agentid.access.library import Library, Patch
from agentid.access.web.body import run
from agentid.access.web.request import WebRequest
from agentid.access.web.urllib3_pool import original

if TYPE_CHECKING:
    from agentid.access.installation import Installation

__all__ = ["LIBRARY"]


def _patches(module: ModuleType, access: Installation) -> Iterable[Patch]:
    def sends(wrapped: Any, _sender: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not access.watches("requests"):
            return wrapped(*args, **kwargs)
        return _send(lambda: wrapped(*args, **kwargs), *args, **kwargs)

    def _send(make: Callable[[], Any], request: Any, *_args: Any, **_kwargs: Any) -> Any:
        if not isinstance(request, module.PreparedRequest):
            return make()  # which says so itself
        headers: Any = request.headers or {}
        asked = WebRequest(request.method or "", request.url or "", headers.items()).unaccounted(access)
        return make() if asked is None else run(asked.touching(access, LIBRARY), make, _original)

    return [Patch(module.Session, "send", sends), Patch(module.HTTPAdapter, "send", sends)]


def _original(response: Any) -> Any:
    # Of a redirect, the first answer is the one to this request.
    history: Any = getattr(response, "history", None)
    first: Any = history[0] if history else response
    return original(getattr(first, "raw", None))


LIBRARY: Final = Library(
    name="requests",
    module="requests.sessions",
    layer="requests",
    patches=_patches,
    distribution="requests",
    contrib="opentelemetry.instrumentation.requests:RequestsInstrumentor"
    " opentelemetry.instrumentation.urllib3:URLLib3Instrumentor",
    limits="answers from a cache that a session of somebody's own has",
)
