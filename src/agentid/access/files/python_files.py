"""
Which files Python itself reads: they are the program, and no data of anybody's.

Passed without being asked about, for reading only:

- code (`.py`, `.pyc`, `.so`) and the metadata of distributions below the folders that this interpreter imports from,
  its library and its packages, and the names in these folders;
- code anywhere, while the import system itself reads it to import a module, and the code of modules that were
  imported, which tracebacks show;
- the names in any folder, while `importlib.metadata` looks for what is installed;
- devices that hold nothing: `/dev/null` (also for writing), `/dev/zero`, `/dev/random`, `/dev/urandom`.

Everything else is asked about: data files beside the code, modules read by name (`open("app/settings.py")`), archives
of modules, the system's time zones. An import inside of a session writes no bytecode: it would be a file that outlives
the session, and that others execute.
"""

from __future__ import annotations

import importlib.machinery
import inspect
import os
import site
import sys
import sysconfig
from types import FrameType
from typing import Any, Final

__all__ = ["PythonFiles"]

_METADATA: Final = frozenset({"METADATA", "PKG-INFO", "RECORD", "WHEEL", "entry_points.txt", "top_level.txt"})
_EMPTY_DEVICES: Final = frozenset({"/dev/zero", "/dev/random", "/dev/urandom"})
_PASSED_ON: Final = (
    "wrapt.wrappers",
    "agentid.access.files.opening",
    "agentid.access.files.standard_library",
    __name__,
)


class PythonFiles:
    """The folders that this interpreter imports from, looked up once."""

    def __init__(self) -> None:
        paths = sysconfig.get_paths()
        given = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
        given += [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
        self._folders = tuple(f"{os.path.realpath(folder)}{os.sep}" for folder in given if os.path.isdir(folder))
        self._code = tuple(importlib.machinery.all_suffixes())
        self._importing = vars(sys.modules["importlib._bootstrap_external"])

    def is_no_data(self, path: str, flags: int) -> bool:
        """Whether opening the file at this place this way touches nobody's data."""
        if path == os.devnull:
            return True
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
            return False
        if path in _EMPTY_DEVICES:
            return True
        is_code = path.endswith(self._code)
        if path.startswith(self._folders) and (is_code or _is_metadata(path)):
            return True
        return is_code and (self.is_importing(frames=2) or _is_imported(path))

    def is_import_folder(self, path: str) -> bool:
        """Whether Python imports from this folder, whose names are no secret."""
        return f"{path}{os.sep}".startswith(self._folders)

    def is_importing(self, *, frames: int = 1) -> bool:
        """Whether the import system itself is calling, and was called by itself in *frames* - 1 steps before."""
        return self._is_calling(self._importing, frames)

    def is_looking_for_distributions(self) -> bool:
        """Whether `importlib.metadata` is calling, which gives the names of what is installed and no others."""
        metadata = sys.modules.get("importlib.metadata")
        return metadata is not None and self._is_calling(vars(metadata), 1)

    def _is_calling(self, module: dict[str, Any], frames: int) -> bool:
        frame: FrameType | None = inspect.currentframe()
        ours = [vars(sys.modules[name]) for name in _PASSED_ON if name in sys.modules]
        while frame is not None and any(frame.f_globals is names for names in ours):
            frame = frame.f_back
        for _ in range(frames):
            if frame is None or frame.f_globals is not module:
                return False
            frame = frame.f_back
        return True


def _is_imported(path: str) -> bool:
    for module in tuple(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and (file == path or (file.endswith(path[-8:]) and os.path.realpath(file) == path)):
            return True
    return False


def _is_metadata(path: str) -> bool:
    folder, name = os.path.split(path)
    return name in _METADATA and folder.endswith((".dist-info", ".egg-info"))
