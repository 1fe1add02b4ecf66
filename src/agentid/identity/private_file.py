"""
Files that only their owner may read: written whole or not at all, refused when others could read them.

- A new file has mode 0600 from its first byte, in a folder that is made 0700 when it is missing.
- It appears under its name complete and on disk, and never replaces a file that is there, unless asked.
- A file that others may read or change is refused: what it holds is no secret any more.

What is in the files is not known here.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

from agentid.errors import ConfigurationError, quote

__all__ = ["check_private", "file_path", "read_ordinary", "read_private", "write_private"]

MAX_PATH: Final = 4096
"""Characters of a path that any system takes; a longer one only costs time."""

# Some systems do not have some of these.
_FLAGS: Final = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
# A named pipe put in the place of a file would wait for a writer for ever.
_NON_BLOCKING: Final = getattr(os, "O_NONBLOCK", 0)


def file_path(path: object, *, what: str) -> Path:
    """
    Give the path of a file as it was passed.

    Raises:
        ConfigurationError: It is neither text nor a path, or longer than any system takes.
    """
    try:
        text = os.fspath(cast("str | os.PathLike[str]", path))
    except TypeError:
        text = b""
    if not isinstance(text, str):
        raise ConfigurationError(f"The path of the {what} was refused", why="it is neither text nor a path")
    if len(text) > MAX_PATH:
        raise ConfigurationError(f"The path of the {what} was refused", why=f"it is longer than {MAX_PATH} characters")
    return Path(text)


def read_private(path: str | os.PathLike[str], *, what: str, max_size: int) -> bytes:
    """
    Read a file that nobody but its owner can read.

    Args:
        path: The file.
        what: What the file is, for error texts.
        max_size: Bytes, at most.

    Raises:
        ConfigurationError: It is missing, too large, not an ordinary file, or others can get at it.
    """
    file = Path(path)
    try:
        link = file.lstat()
        if stat.S_ISLNK(link.st_mode):
            _check_owner(link, file, what, "it is a link made by another user")
    except (OSError, ValueError) as error:
        raise _cannot("read", file, what, error) from None
    return _read(file, what, max_size, _check)


def read_ordinary(path: str | os.PathLike[str], *, what: str, max_size: int) -> bytes:
    """
    Read a file of which no secret is used, whoever else can read it or change it.

    Args:
        path: The file.
        what: What the file is, for error texts.
        max_size: Bytes, at most.

    Raises:
        ConfigurationError: It is missing, too large, or not an ordinary file.
    """
    return _read(Path(path), what, max_size, _check_ordinary)


def _read(file: Path, what: str, max_size: int, check: Callable[[os.stat_result, Path, str], None]) -> bytes:
    try:
        descriptor = os.open(file, os.O_RDONLY | _FLAGS | _NON_BLOCKING)
        try:
            # The opened file is looked at, not the name: between two looks a name can change its file.
            check(os.fstat(descriptor), file, what)
            with os.fdopen(descriptor, "rb", closefd=False) as opened:
                data = opened.read(max_size + 1)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        raise _cannot("read", file, what, error) from None
    if len(data) > max_size:
        raise ConfigurationError(f"The {what} {quote(file)} was refused", why=f"it is larger than {max_size} bytes")
    return data


def check_private(path: str | os.PathLike[str], *, what: str) -> bool:
    """
    Say whether there is a file, for what does not read it by `read_private`.

    Raises:
        ConfigurationError: It cannot be looked at, is not an ordinary file, or others can get at it.
    """
    file = Path(path)
    try:
        link = file.lstat()
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        raise _cannot("read", file, what, error) from None
    if stat.S_ISLNK(link.st_mode):
        _check_owner(link, file, what, "it is a link made by another user")
    try:
        # A link that leads nowhere is not the same as no file.
        _check(file.stat(), file, what)
    except (OSError, ValueError) as error:
        raise _cannot("read", file, what, error) from None
    return True


def write_private(path: str | os.PathLike[str], data: bytes, *, what: str, overwrite: bool = False) -> bool:
    """
    Write a file that nobody but its owner can read; say `False` and change nothing where there is one already.

    Of several processes that create the same file at the same time exactly one succeeds.

    Args:
        path: The file; missing folders are made, for the owner alone.
        data: All of its content.
        what: What the file is, for error texts.
        overwrite: Replace a file that is there.

    Raises:
        ConfigurationError: It cannot be written.
    """
    file = Path(path)
    try:
        _make_folder(file.parent)
        draft = file.parent / f".{file.name}.{secrets.token_hex(8)}.tmp"
        try:
            _write_draft(draft, data)
            if overwrite:
                draft.replace(file)
            else:
                # Unlike a rename, a link fails where a file is already, and a reader never sees half of one.
                os.link(draft, file)
        except FileExistsError:
            return False
        finally:
            draft.unlink(missing_ok=True)
        _sync_folder(file.parent)
    except (OSError, ValueError) as error:
        raise _cannot("written", file, what, error) from None
    return True


def _write_draft(draft: Path, data: bytes) -> None:
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(data)
        opened.flush()
        os.fsync(descriptor)


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    # One by one: `mkdir(parents=True)` gives the mode to the last folder only.
    for part in (*reversed(folder.parents), folder):
        part.mkdir(mode=0o700, exist_ok=True)


def _sync_folder(folder: Path) -> None:
    # Not every system can open a folder, and the file itself is on disk already.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _check_ordinary(found: os.stat_result, file: Path, what: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ConfigurationError(f"The {what} {quote(file)} was refused", why="it is not an ordinary file")


def _check(found: os.stat_result, file: Path, what: str) -> None:
    _check_ordinary(found, file, what)
    if os.name == "posix" and found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigurationError(
            f"The {what} {quote(file)} was refused",
            why="others can read or change it",
            fix=f"Run {quote(f'chmod 600 {file}', limit=400)}, and make a new one if they may have read it",
        )
    _check_owner(found, file, what, "it belongs to another user")


def _check_owner(found: os.stat_result, file: Path, what: str, why: str) -> None:
    # The administrator may do anything already, and puts secrets in place for services.
    if os.name == "posix" and found.st_uid not in (os.geteuid(), 0):
        raise ConfigurationError(
            f"The {what} {quote(file)} was refused", why=why, fix="Give it to the user who runs this program"
        )


def _cannot(verb: str, file: Path, what: str, error: Exception) -> ConfigurationError:
    why = error.strerror or "the system refused" if isinstance(error, OSError) else "its name is not one"
    fix = "Check the path" if isinstance(error, FileNotFoundError) else ""
    return ConfigurationError(f"The {what} {quote(file)} could not be {verb}", why=why.lower(), fix=fix)
