"""
New interpreters inside of this process: a second door, as no hook of this one hears what is done in there.

Older Pythons announce one to the `tripwire`. From 3.12 on they die of a refusal there, and later do not announce it at
all; so what makes one is wrapped.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from agentid.access.library import Library, Patch
from agentid.guard.enforce import Enforcement
from agentid.guard.touch import Door

if TYPE_CHECKING:
    from agentid.access.installation import Installation

__all__ = ["ARE_ANNOUNCED", "INTERPRETERS"]

ARE_ANNOUNCED: Final = sys.version_info < (3, 12)
"""Whether Python announces one, and a refusal is heard."""


def _patches(module: ModuleType, access: Installation) -> Iterable[Patch]:
    def creates(wrapped: Any, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if access.watches("interpreter"):
            access.tell_who_acts()
            Enforcement(Door("interpreter", (), is_refused=access.is_strict), {}).wait().close()
        return wrapped(*args, **kwargs)

    return [Patch(module, "create", creates)]


INTERPRETERS: Final = tuple(
    Library(name="interpreters", module=name, layer="interpreter", patches=_patches)
    for name in ("_xxsubinterpreters", "_interpreters")
    if not ARE_ANNOUNCED
)
"""Not libraries that touch data: what makes an interpreter, by the names of its module over the versions."""
