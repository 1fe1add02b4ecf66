"""
One process at a time changes a file: the others wait, and then read what it wrote.

The lock is a mark on a file of its own beside the file, because the file itself is replaced by each change. The
system takes the mark away when its process ends, however it ends, so that nothing is left to be cleaned up.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Generator
from pathlib import Path

from agentid.errors import ConfigurationError, quote

__all__ = ["locked"]


@contextlib.contextmanager
def locked(path: str | os.PathLike[str], *, what: str) -> Generator[None]:
    """
    Keep every other process and thread that asks for the same, from changing a file until the block ends.

    Args:
        path: The file that is changed; its folder exists.
        what: What the file is, for error texts.

    Raises:
        ConfigurationError: The mark cannot be set.
    """
    file = Path(path)
    mark = file.parent / f".{file.name}.lock"
    try:
        descriptor = os.open(mark, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            _wait_for(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
    except (OSError, ValueError) as error:
        why = error.strerror or "the system refused" if isinstance(error, OSError) else "its name is not one"
        raise ConfigurationError(f"The {what} {quote(file)} could not be locked", why=why.lower()) from None
    try:
        yield
    finally:
        os.close(descriptor)  # takes the mark away


def _wait_for(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
    else:
        from fcntl import LOCK_EX, flock

        flock(descriptor, LOCK_EX)
