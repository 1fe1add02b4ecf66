"""
Where Python puts temporary files: it tries the folders, once in a process, with a file of a random name.

That trial is Python's own, holds nobody's data, and is gone at once. Asked about, it would be refused forever: its name
is another each time. What a program then puts into such a folder is asked about like anything else.

On only where somebody asks for it, such as `agentid run`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from agentid.access.library import Library, Patch
from agentid.guard.session import NobodyActing

if TYPE_CHECKING:
    from agentid.access.installation import Installation

__all__ = ["TEMPORARY"]


def _patches(module: ModuleType, access: Installation) -> Iterable[Patch]:
    def tries(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not access.is_on:
            return wrapped(*args, **kwargs)
        with NobodyActing():
            return wrapped(*args, **kwargs)

    name = "_get_default_tempdir"
    return [Patch(module, name, tries)] if hasattr(module, name) else []


TEMPORARY: Final = Library(
    name="folder for temporary files", module="tempfile", layer="temporary folder", patches=_patches
)
"""To be wrapped with `Installation.wrap`."""
