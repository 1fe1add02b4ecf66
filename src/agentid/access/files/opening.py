"""
Opening one file that was decided about: that file, and not another one that a link leads to meanwhile.

1. The place is found, every link followed, and decided about.
2. That place is opened, and not the path that was given; a link there is not followed any more.
3. The system says what was opened. If it is not that place, it is closed again and refused.
4. Only then is a file emptied that is opened to be written anew.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from agentid.access.files.names import actions_of_flags, exact, file_access, is_still_at, place
from agentid.access.files.python_files import PythonFiles
from agentid.access.library import Library
from agentid.access.touching import Touching
from agentid.errors import AccessDeniedError, ConfigurationError
from agentid.guard.session import acting
from agentid.permission import Action
from agentid.policy import Decision
from agentid.record import Access
from agentid.record import attributes as names

if TYPE_CHECKING:
    from agentid.access.installation import Installation

__all__ = ["Opening", "Wanted", "refuse_swapped"]

Wanted = Iterable[tuple[Action, str]]
"""What is about to be done to which places."""

_NOFOLLOW: Final[int] = getattr(os, "O_NOFOLLOW", 0)


class Opening:
    """
    How wrapped functions open files.

    Args:
        access: Decides.
        library: On whose behalf.
        plain: `os.open`, unwrapped.
    """

    def __init__(self, access: Installation, library: Callable[[], Library], plain: Callable[..., int]) -> None:
        self._access = access
        self._library = library
        self._plain = plain
        self.python = PythonFiles()

    def touching(self, name: str, find: Callable[[], Wanted]) -> Touching:
        """Give the block in which something is done to the places that *find* finds; what it cannot find is refused."""
        wanted: list[tuple[Action, str]] = []
        problem: list[ConfigurationError] = []
        try:
            wanted.extend(find())
        except ConfigurationError as error:
            problem.append(error)

        def accesses() -> Iterable[Access]:
            if problem:
                raise problem[0]
            return [file_access(action, path) for action, path in wanted]

        # A path that cannot be printed is one that no resource can have, and is refused.
        shown = {names.FILE_PATH: wanted[0][1]} if wanted and wanted[0][1].isprintable() else {}
        return self._access.touching(self._library(), accesses, name, attributes=shown)

    def open(self, given: Any, flags: int, mode: int, *, folder: Any = None) -> int:
        """
        Open *given* as `os.open` does, if the agent may.

        Raises:
            Error: It may not.
            OSError: As `os.open` raises it, about the path that was given.
        """
        path = exact(given)
        try:
            at = place(path, follow=_follows(flags), folder=folder)
        except ConfigurationError as error:
            return self._open_nameless(path, flags, mode, folder, error)
        if not path or _is_opened_already(at):
            return (
                self._plain(path, flags, mode, dir_fd=folder) if folder is not None else self._plain(path, flags, mode)
            )
        actions = actions_of_flags(flags)
        if actions != ("read",) and at != os.devnull and self.python.is_importing():
            # The import system takes this for a folder that is not writable, and goes on without.
            raise PermissionError(errno.EACCES, "an import inside of a session writes no bytecode", path)
        if self.python.is_no_data(at, flags):
            return self._open_at(path, at, flags, mode)
        if actions == ("read",) and not os.path.lexists(at):
            # Whether something is there is no secret, and many programs look for settings that nobody made. Not opened:
            # it may be there by then.
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        name = f"{'read' if actions == ('read',) else 'write'} file"
        with self.touching(name, lambda: [(action, at) for action in actions]):
            return self._open_at(path, at, flags, mode)

    def _open_nameless(self, path: str | bytes, flags: int, mode: int, folder: Any, why: ConfigurationError) -> int:
        def find() -> Wanted:
            raise why

        with self.touching("open file", find):  # which is refused, unless a guard only observes
            return self._plain(path, flags, mode, dir_fd=folder)

    def _open_at(self, path: str | bytes, at: str, flags: int, mode: int) -> int:
        empties = flags & os.O_TRUNC and flags & (os.O_WRONLY | os.O_RDWR)
        now = (flags & ~os.O_TRUNC if empties else flags) | (_NOFOLLOW if _follows(flags) else 0)
        try:
            descriptor = self._plain(_target(path, at), now, mode)
        except OSError as error:
            error.filename = path
            raise
        try:
            if not is_still_at(descriptor, at, flags):
                refuse_swapped()
            if empties and stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.ftruncate(descriptor, 0)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


def _follows(flags: int) -> bool:
    # A new file is never made behind a link: the system refuses it, and so it must see the link.
    is_new = flags & os.O_CREAT and flags & os.O_EXCL
    return not flags & _NOFOLLOW and not is_new


def _target(path: str | bytes, at: str) -> str | bytes:
    # With its slash at the end, so that the system still refuses a file there.
    text = os.fsdecode(path)
    target = f"{at}/" if text.endswith("/") and not at.endswith("/") else at
    return target if isinstance(path, str) else os.fsencode(target)


def _is_opened_already(at: str) -> bool:
    # A pipe or a socket of this process, by its descriptor: `/dev/stdin`, where that is no file.
    return at.startswith(f"/proc/{os.getpid()}/fd/") and ":[" in at


def refuse_swapped() -> None:
    """
    Refuse what was put in the place of a file meanwhile, unless a guard only observes.

    Raises:
        AccessDeniedError: It is refused.
    """
    session = acting.get()
    if session is not None and session.guard.enforcement == "monitor":
        return
    raise AccessDeniedError(
        "a file was not opened",
        why="a link was put in its way after it was decided about",
        fix="Call it again when nothing else changes that folder",
        decision=Decision("deny", "resource_invalid"),
    )
