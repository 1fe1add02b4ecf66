"""
What a file about one library says: which functions of it are wrapped, and how.

Each file below `agentid.access` that is about a library has one `LIBRARY`, and `installation` knows them all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from agentid.access.installation import Installation

__all__ = ["Library", "Patch", "Wrapper"]

Wrapper = Callable[[Callable[..., Any], Any, "tuple[Any, ...]", "dict[str, Any]"], Any]
"""
Runs instead of a function: is given that function, what it is bound to, its arguments by position and by name.

wrapt calls it; the function is bound already.
"""


_HTTP: Final = frozenset({"aiohttp_client", "httpx", "requests", "urllib", "urllib3"})


@dataclass(frozen=True)
class Patch:
    """
    One function that is wrapped.

    Attributes:
        owner: The module or class that it is found in.
        name: What it is called there.
        wrapper: Runs instead of it, while the installation is on.
    """

    owner: Any
    name: str
    wrapper: Wrapper


@dataclass(frozen=True)
class Library:
    """
    One library.

    Attributes:
        name: What people call it, such as `requests`.
        module: Importing this loads what is wrapped.
        layer: What it is to libraries that stand on it: they may account for it.
        patches: Says what to wrap in that module, once it is loaded.
        distribution: Which installed distribution it comes from; empty for Python's own.
        contrib: OpenTelemetry's own instrumentation of it, as `module:class`, and that of a library that it stands
            on, after a space; empty if there is none.
        limits: What of it is not seen, in a few words; empty if everything is.
    """

    name: str
    module: str
    layer: str
    patches: Callable[[ModuleType, Installation], Iterable[Patch]]
    distribution: str = ""
    contrib: str = ""
    limits: str = ""

    def has_contrib_spans(self) -> bool:
        """Whether OpenTelemetry's own instrumentation makes the client's span now, with what its conventions name."""
        return any(map(_is_on, self.contrib.split()))


def _is_on(contrib: str) -> bool:
    module, _, name = contrib.partition(":")
    instrumentor = getattr(sys.modules.get(module), name, None)
    try:
        if instrumentor is None or not instrumentor().is_instrumented_by_opentelemetry:
            return False
        utils: Any = sys.modules["opentelemetry.instrumentation.utils"]
        # In a request that has a span of theirs, such as around the hops of a redirect, they make no further ones.
        is_http = module.rpartition(".")[2] in _HTTP
        return bool(utils.is_http_instrumentation_enabled() if is_http else utils.is_instrumentation_enabled())
    except Exception:  # noqa: BLE001 -- a stranger: then the span is ours alone
        return False
