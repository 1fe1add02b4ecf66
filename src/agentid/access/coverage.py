"""
Which data libraries of this environment are enforced, which are only seen, and which are invisible.

- **enforced**: its accesses are decided before they are made. It has a file here, or stands on a library that has one.
- **seen only**: it is not asked, and the tripwire sees it: a connection to a host, a file that is opened.
- **invisible**: it works in C, C++ or Rust. Neither sees what it does, at most that it is imported.

Nothing is imported to find out: what is installed is read from its metadata. What is not in any table is not spoken
of, so that a library that is missing here may still be invisible.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Literal, get_args

from agentid.access.installation import LIBRARIES
from agentid.access.known_libraries import KNOWN, Known

if TYPE_CHECKING:
    from agentid.access.library import Library

__all__ = ["Coverage", "Level", "coverage", "matrix"]

Level = Literal["enforced", "seen only", "invisible"]

_LEVELS: Final[tuple[Level, ...]] = get_args(Level)
_TRIPWIRE: Final = "agentid.access.tripwire"


@dataclass(frozen=True)
class Coverage:
    """
    What is known of one library.

    Attributes:
        name: What people call it.
        module: What is imported.
        distribution: What is installed; empty for Python's own.
        level: Whether it is enforced, seen only, or invisible.
        why: Of an enforced one, what of it is not; of the others, why.
        installed: Whether it is there.
        version: Which; empty for Python's own, and where nobody says.
    """

    name: str
    module: str
    distribution: str
    level: Level
    why: str = ""
    installed: bool = True
    version: str = ""


def coverage() -> list[Coverage]:
    """Give what is known here: of all libraries that have a file, and of the others if they are installed."""
    wrapped = _wrapped()
    return [*wrapped, *(one for one in _others(wrapped) if one.installed)]


def matrix() -> list[Coverage]:
    """Give what is known of every library, whether it is installed or not."""
    wrapped = _wrapped()
    return [*wrapped, *_others(wrapped)]


def _wrapped() -> list[Coverage]:
    libraries: list[Library] = [importlib.import_module(f"agentid.access.{name}").LIBRARY for name in LIBRARIES]
    return sorted(map(_of_wrapped, libraries), key=lambda one: one.name.lower())


def _others(wrapped: list[Coverage]) -> list[Coverage]:
    """The libraries that have no file, whatever the table says of those that have one."""
    distributions = {one.distribution for one in wrapped if one.distribution}
    others = [_of_known(one, distributions) for one in KNOWN if one.distribution not in distributions]
    return sorted(others, key=lambda one: (_LEVELS.index(one.level), one.name.lower()))


def _of_wrapped(library: Library) -> Coverage:
    there, which = _installed(library.distribution, library.module)
    why = f"except {library.limits}" if library.limits else ""
    return Coverage(library.name, library.module, library.distribution, "enforced", why, there, which)


def _of_known(known: Known, wrapped: set[str]) -> Coverage:
    there, which = _installed(known.distribution, known.module)
    if known.stands_on and wrapped.issuperset(known.stands_on):
        level: Level = "enforced"
        why = f"by {' and '.join(known.stands_on)}, which it stands on"
    elif not known.seen:
        level, why = "invisible", known.why
    elif find_spec(_TRIPWIRE) is None:
        level, why = "invisible", f"{known.why}, and this version has no tripwire that would see it"
    else:
        level, why = "seen only", f"{known.why}; seen: {known.seen}"
    return Coverage(known.name, known.module, known.distribution, level, why, there, which)


def _installed(distribution: str, module: str) -> tuple[bool, str]:
    """Whether it is there, and its version. A part of a shared package is there only if its distribution is."""
    if not distribution:
        return True, ""
    try:
        return True, version(distribution)
    except PackageNotFoundError:
        pass
    try:
        return "." not in module and find_spec(module) is not None, ""
    except (ImportError, ValueError):
        return False, ""
