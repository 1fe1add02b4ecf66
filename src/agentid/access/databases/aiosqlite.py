"""
`aiosqlite`: each connection has a thread of its own, in which `sqlite3` decides. Here, the session follows into it.

Nothing is decided here, so that nothing is decided twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import copy_context
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from agentid.access.library import Library, Patch

if TYPE_CHECKING:
    from agentid.access.installation import Installation

__all__ = ["LIBRARY"]


def _patches(module: ModuleType, access: Installation) -> Iterable[Patch]:
    def executes(wrapped: Any, _connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not access.watches("sqlite3"):
            return wrapped(*args, **kwargs)
        return wrapped(copy_context().run, *args, **kwargs)

    def connects(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if access.watches("sqlite3"):
            context, connector = copy_context(), connection._connector
            connection._connector = lambda: context.run(connector)
        return wrapped(*args, **kwargs)

    return [Patch(module.Connection, "_execute", executes), Patch(module.Connection, "_connect", connects)]


LIBRARY: Final = Library(
    name="aiosqlite",
    module="aiosqlite.core",
    layer="aiosqlite",
    patches=_patches,
    distribution="aiosqlite",
)
