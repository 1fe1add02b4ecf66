"""
`multiprocessing` with a server that forks off each process: `execute` of the interpreter for each of them.

The server may have been started before, outside of any session; so starting it is not the only place to ask.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Final

from agentid.access.library import Library, Patch
from agentid.access.programs.starting import Programs

if TYPE_CHECKING:
    from agentid.access.installation import Installation

__all__ = ["LIBRARY"]


def _patches(module: ModuleType, access: Installation) -> Iterable[Patch]:
    return [Patch(module.Popen, "_launch", Programs(access).forks_server)]


LIBRARY: Final = Library(
    name="multiprocessing",
    module="multiprocessing.popen_forkserver",
    layer="process",
    patches=_patches,
    limits="what the process does that the server forked off; it is nobody, and nothing in it is asked about",
)
