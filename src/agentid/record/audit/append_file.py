"""
A file that this process alone appends to: each append is there as a whole, or not at all.

- One `os.write` an append. One that the disk took only in part is finished, or cut off again.
- Before each, the file is looked at: whether it still has a name, is still the one that was opened, and is as long
  as it was left. Otherwise somebody removed, replaced or changed it, and what would be written now would be lost.
- What was in the file when it was lost stays as it is, for whoever verifies it.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Final

__all__ = ["AppendFile", "LostFileError", "is_held", "sync_file", "sync_folder"]

_FLAGS: Final = (
    os.O_WRONLY
    | os.O_APPEND
    | os.O_CREAT
    | os.O_EXCL
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_BINARY", 0)
)
_MODE: Final = 0o600


class LostFileError(OSError):
    """The file is not what this process left: nothing can be appended to it any more."""


class AppendFile:
    """
    A new file.

    Args:
        path: Where; nothing may be there.
        durable: Make sure that the file survives a power failure once it exists; `sync` does it for its content.

    Attributes:
        path: Where it is.
        size: How many bytes were appended.

    Raises:
        OSError: It cannot be made.
    """

    __slots__ = ("_fd", "_identity", "_sync_lock", "_synced", "_torn", "_unnoted", "path", "size")

    def __init__(self, path: Path, *, durable: bool) -> None:
        self.path = path
        self.size = 0
        self._synced = 0
        self._torn = False
        self._unnoted = 0
        self._sync_lock = Lock()
        self._fd = os.open(path, _FLAGS, _MODE)
        try:
            found = os.fstat(self._fd)
            self._identity = found.st_dev, found.st_ino
            if durable:
                sync_folder(path.parent)
        except BaseException:
            os.close(self._fd)
            raise

    def append(self, data: bytes) -> None:
        """
        Append *data* as a whole.

        Raises:
            LostFileError: The file is not what this process left.
            OSError: It could not be appended, and nothing was; it may work again later.
        """
        try:
            found = os.fstat(self._fd)
        except OSError as error:
            raise LostFileError(error.errno, "the file was closed by somebody else") from None
        if found.st_size != self.size or found.st_nlink == 0 or (found.st_dev, found.st_ino) != self._identity:
            self._recover(found)
        self._unnoted = len(data)
        try:
            written = os.write(self._fd, data)
            while written < len(data):
                written += self._write_more(data[written:])
        except OSError:
            self._torn = True
            self._cut_off()
            raise
        self.size += len(data)
        self._unnoted = 0

    def sync(self) -> None:
        """
        Wait until everything appended so far would survive a power failure.

        Raises:
            OSError: It would not.
        """
        with self._sync_lock:
            size = self.size
            if self._fd >= 0:
                sync_file(self._fd)
                self._synced = size
            elif self._synced < size:
                raise OSError("the file was closed before it was on the disk")

    def hold(self) -> None:
        """Mark the file as being written, until it is closed or this process ends; `is_held` looks at the mark."""
        try:
            from fcntl import LOCK_EX, LOCK_NB, flock
        except ImportError:  # Windows
            return
        with suppress(OSError):  # some network file systems have no such marks
            flock(self._fd, LOCK_EX | LOCK_NB)

    def close(self) -> None:
        """Close it. What was appended stays."""
        with self._sync_lock:
            descriptor, self._fd = self._fd, -1
            if descriptor >= 0:
                os.close(descriptor)

    def forget(self) -> None:
        """Give up the descriptor without waiting for anybody; for a forked child, whose parent writes on."""
        descriptor, self._fd = self._fd, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _write_more(self, data: bytes) -> int:
        written = os.write(self._fd, data)
        if written == 0:
            raise OSError("the disk took a part only")
        return written

    def _recover(self, found: os.stat_result) -> None:
        if found.st_nlink == 0 or (found.st_dev, found.st_ino) != self._identity:
            raise LostFileError("the file was removed or replaced")
        more = found.st_size - self.size
        if more == self._unnoted and not self._torn:
            # An exception from elsewhere came between writing and noting it; the append is there as a whole.
            self.size, self._unnoted = found.st_size, 0
            return
        if 0 < more <= self._unnoted:
            self._torn = True
            self._cut_off()
            if not self._torn:
                return
        raise LostFileError("the file was changed by somebody else")

    def _cut_off(self) -> None:
        """Take a part of an append away again. Where even that fails, it is tried before the next append."""
        try:
            os.ftruncate(self._fd, self.size)
        except OSError:
            return
        self._torn, self._unnoted = False, 0


def is_held(path: Path) -> bool:
    """Whether a process may still be writing the file; yes when nobody can tell."""
    try:
        from fcntl import LOCK_NB, LOCK_SH, flock

        descriptor = os.open(path, os.O_RDONLY)
    except (ImportError, OSError):
        return True
    try:
        flock(descriptor, LOCK_SH | LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def sync_folder(folder: Path) -> None:
    """
    Make sure that the names in *folder* survive a power failure.

    Raises:
        OSError: They would not.
    """
    if os.name == "nt":  # a folder cannot be opened there, and needs no sync
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(descriptor: int) -> None:
    """
    Wait until the content of an open file would survive a power failure.

    Raises:
        OSError: It would not.
    """
    if sys.platform == "darwin":  # `fsync` stops at the cache of the drive there
        from fcntl import F_FULLFSYNC, fcntl

        fcntl(descriptor, F_FULLFSYNC)
    else:
        getattr(os, "fdatasync", os.fsync)(descriptor)
