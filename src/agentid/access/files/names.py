"""
Where a file is, as the operating system would find it, and what a way of opening it does to it.

- A place is an absolute path with every link in it followed. The last link is followed where the system would.
- A path relative to an opened folder starts where that folder is now.
- What is opened already, a descriptor, is at the place that the system says.

Nothing here opens or decides anything.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Final, cast

from agentid.access.places import file_at
from agentid.errors import ConfigurationError
from agentid.guard.session import NobodyActing
from agentid.permission import Action
from agentid.record import Access

__all__ = ["actions_of_flags", "exact", "file_access", "folder_contents", "is_still_at", "place", "place_of_descriptor"]

_MAX_CONTENTS: Final = 1_000
_DELETED: Final = " (deleted)"
_TMPFILE: Final[int] = getattr(os, "O_TMPFILE", 0)


def exact(given: Any) -> str | bytes:
    """
    Give a path as plain text or bytes, once: an object may say something else when it is asked again.

    Raises:
        TypeError: It is no path, as the function that it was passed to would say.
    """
    path = cast("str | bytes", os.fspath(given))
    return str.__str__(path) if isinstance(path, str) else bytes(memoryview(path))


def place(path: str | bytes, *, follow: bool, folder: Any = None) -> str:
    """
    Give the place that *path* names.

    Args:
        path: As the function was given it.
        follow: Whether that function follows a link at the end.
        folder: The descriptor of the opened folder that a relative path starts from.

    Raises:
        ConfigurationError: The folder cannot be told, or a link is followed by a slash, which systems read differently.
    """
    text = os.fsdecode(path)
    if folder is not None and not os.path.isabs(text):
        text = os.path.join(place_of_descriptor(folder), text)
    # Without a name, the system finds nothing; `realpath` would find the current folder.
    bare = text.rstrip("/") if os.name == "posix" else text
    head, name = os.path.split(bare)
    if follow or name in {"", ".", ".."}:
        return _one_slash(os.path.realpath(text))
    if bare != text and os.path.islink(bare):
        raise ConfigurationError("a path is ambiguous", why="it is a link with a slash after it")
    return _one_slash(os.path.join(os.path.realpath(head or "."), name))


def _one_slash(path: str) -> str:
    # POSIX lets two slashes at the start mean something else; no system that runs Python does.
    return f"/{path.lstrip('/')}" if path.startswith("//") and os.name == "posix" else path


def place_of_descriptor(descriptor: Any) -> str:
    """
    Give the place of what is opened as *descriptor*.

    Raises:
        ConfigurationError: It has none, as a pipe has, or this system does not say.
    """
    found = _path_of(descriptor)
    if not os.path.isabs(found):
        raise ConfigurationError("an opened file has no path that this system tells")
    return found


def _path_of(descriptor: int) -> str:
    try:
        if sys.platform == "darwin":
            import fcntl

            return os.fsdecode(fcntl.fcntl(descriptor, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0"))
        return os.readlink(f"/proc/self/fd/{int(descriptor)}")
    except (OSError, TypeError, ValueError):
        return ""


def is_still_at(descriptor: int, wanted: str, flags: int) -> bool:
    """Whether what was opened is what was decided about, and no link was put in its way meanwhile."""
    found = _path_of(descriptor)
    wanted = wanted.rstrip("/") or "/"
    if _TMPFILE and flags & _TMPFILE == _TMPFILE:
        return found.startswith(f"{wanted.rstrip('/')}/")  # a file without a name, in that folder
    if found in {wanted, wanted + _DELETED}:
        return True
    if os.path.isabs(found) and found.casefold() != wanted.casefold():
        return False
    # The system does not say, or writes large and small letters its own way.
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(wanted)) and os.path.realpath(wanted) == wanted
    except OSError:
        return False


def file_access(action: Action, path: str) -> Access:
    """
    Say that *action* is done to the file at a place.

    Raises:
        ConfigurationError: It has a name that no resource can have.
    """
    root, rest = os.path.splitdrive(path)
    segments = [part for part in rest.replace(os.sep, "/").split("/") if part]
    return Access(action, file_at([root, *segments] if root else segments))


def folder_contents(path: str) -> list[str]:
    """
    Give what lies below a folder, which moves with it.

    Raises:
        ConfigurationError: It is more than can be asked about at once.
    """
    found: list[str] = []
    if os.path.islink(path) or not os.path.isdir(path):
        return found
    with NobodyActing():  # it is the guard that looks
        _collect(path, found)
    return found


def _collect(path: str, found: list[str]) -> None:

    def cannot_list(error: OSError) -> None:
        raise ConfigurationError("a folder cannot be listed, so it cannot be said what moves with it") from error

    for folder, folders, files in os.walk(path, onerror=cannot_list):
        found += (os.path.join(folder, name) for name in (*folders, *files))
        if len(found) > _MAX_CONTENTS:
            raise ConfigurationError("a folder is too large", why=f"more than {_MAX_CONTENTS} things move with it")


def actions_of_flags(flags: int) -> tuple[Action, ...]:
    """Say what opening a file this way does to it: `r` reads, `w`, `x` and `a` write, `r+` reads and edits."""
    way = flags & (os.O_RDONLY | os.O_WRONLY | os.O_RDWR)
    reads: tuple[Action, ...] = () if way == os.O_WRONLY else ("read",)
    if way not in {os.O_WRONLY, os.O_RDWR}:
        # To empty a file needs no right to write into it, on some systems.
        return ("read", "edit") if flags & os.O_TRUNC else ("write", *reads) if flags & os.O_CREAT else reads
    if _TMPFILE and flags & _TMPFILE == _TMPFILE:
        return (*reads, "write")
    if not flags & os.O_CREAT:
        return (*reads, "write") if flags & os.O_APPEND and not flags & os.O_TRUNC else (*reads, "edit")
    if flags & (os.O_TRUNC | os.O_APPEND | os.O_EXCL):
        return (*reads, "write")
    return (*reads, "write", "edit")
