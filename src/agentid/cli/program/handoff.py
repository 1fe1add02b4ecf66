"""
What one process leaves for the next: settings, and an agent with its key, in a folder of their own.

- The folder is the owner's alone (0700), and so is each file (0600). A folder or file of anybody else is refused.
- The environment names a file and nothing else: no key and no token.
- What `agentid run` leaves for the program is removed once it is read. What a process leaves for its children serves
  all of them, and is removed when the last process that may start one has ended. Where that one was killed, it is
  removed by a later `agentid run`, once whatever is in it has expired.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from agentid.errors import ConfigurationError, quote
from agentid.identity import Agent
from agentid.identity.agent import MAX_TTL
from agentid.identity.private_file import read_private, write_private

__all__ = ["CHILD", "PROGRAM", "VARIABLE", "Folder", "Settings", "read", "remove_old", "with_startup"]

VARIABLE: Final = "AGENTID_RUN"
"""Names the file of settings in the environment of a process. Without it nothing happens there."""

PROGRAM: Final = "program.json"
"""What `agentid run` leaves; a process that finds this and cannot use it is never to start."""

CHILD: Final = ".child.json"
"""What a process leaves for its children: so each of these files ends."""

STARTUP: Final = Path(__file__).parent / "startup"
"""Stands first on `PYTHONPATH`, so that Python imports what is in it before a program starts."""

_PREFIX: Final = "agentid-run-"
_WHAT: Final = "handoff of a process"
_MAX_SIZE: Final = 64 * 1024
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Settings:
    """
    How a process acts. Paths are absolute.

    Attributes:
        config: The configuration file; empty if there is none.
        trust_domain: Of the authority.
        authority: Its key file.
        audit: Folder of the audit log.
        observes: Whether everything is let through, and noted.
        report: The file that a report is written to at the end; empty if none is.
        command: How to run the program again, to be shown at the end.
        gathers: Folder where each process leaves what it touched, for the report; empty in the program itself.
        why: Why there is no agent; empty if there is one.
    """

    config: str
    trust_domain: str
    authority: str
    audit: str
    observes: bool
    report: str = ""
    command: str = ""
    gathers: str = ""
    why: str = ""


class Folder:
    """A folder for handoffs, kept as long as a process that may need it lives: this one, and those forked off it."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or _new_folder()
        self._lock = _locked(self.path, wait=True)

    def write(self, name: str, settings: Settings, agent: Agent | None) -> Path:
        """Leave settings and an agent, and give the file that the environment has to name."""
        if agent is not None:
            agent.save(_agent_file(self.path / name))
        file = self.path / name
        write_private(file, json.dumps(asdict(settings)).encode(), what=_WHAT)
        return file

    def release(self) -> None:
        """This process needs it no more; whoever is the last removes it."""
        lock, self._lock = self._lock, None
        if lock is not None:
            with suppress(OSError):  # whoever closes all files, as daemons do, has closed it
                os.close(lock)
            last = _locked(self.path, wait=False)
            if last is None:
                return
            with suppress(OSError):
                os.close(last)
        shutil.rmtree(self.path, ignore_errors=True)


def _new_folder() -> Path:
    # The program may say where temporary files go before it makes the first one: it is to be the first.
    before = tempfile.tempdir
    try:
        return Path(tempfile.mkdtemp(prefix=_PREFIX))
    finally:
        tempfile.tempdir = before


def remove_old(now: float) -> None:
    """Remove what processes left that were killed, once nobody lives that needs it and its agents have expired."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError, ConfigurationError):
            _check_folder(path)
            if now - path.stat().st_mtime <= MAX_TTL.total_seconds():
                continue
            lock = _locked(path, wait=False)
            if lock is not None:
                os.close(lock)
                shutil.rmtree(path, ignore_errors=True)


def _locked(folder: Path, *, wait: bool) -> int | None:
    """Share a lock with whoever lives, or get it alone; None if somebody lives, or the system has no such locks."""
    try:
        import fcntl
    except ImportError:  # Windows, where nothing is forked off either
        return None
    try:
        opened = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return None  # removed already
    try:
        fcntl.flock(opened, fcntl.LOCK_SH if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(opened)
        return None
    return opened


def read(path: str) -> tuple[Settings, Agent | None]:
    """
    Read what was left for this process; what was left for this one alone is removed.

    Raises:
        ConfigurationError: It is not there, not whole, or others can get at it.
        CredentialError: Its agent is none.
    """
    file = Path(path)
    _check_folder(file.parent)
    try:
        found: dict[str, Any] = json.loads(read_private(file, what=_WHAT, max_size=_MAX_SIZE))
        settings = Settings(**found)
    except (ValueError, TypeError):
        raise ConfigurationError(f"The {_WHAT} was refused", why="it is not one of this version") from None
    kinds = {field.name: bool if field.name == "observes" else str for field in fields(Settings)}
    if not all(type(value) is kinds[name] for name, value in found.items()):
        raise ConfigurationError(f"The {_WHAT} was refused", why="a setting is not what it must be")
    agent = None if settings.why else Agent.load(_agent_file(file))
    if file.name == PROGRAM:
        file.unlink(missing_ok=True)
        _agent_file(file).unlink(missing_ok=True)
    return settings, agent


def _agent_file(file: Path) -> Path:
    return file.with_suffix(".agent")


def _check_folder(folder: Path) -> None:
    try:
        found = folder.lstat()
    except OSError:
        raise ConfigurationError(
            f"the folder {quote(folder)} is gone",
            why="the process that made it has ended",
            fix="Start programs while the one that starts them runs, or with `agentid run`",
        ) from None
    is_own = os.name != "posix" or (found.st_uid == os.geteuid() and not found.st_mode & _OTHERS)
    if not stat.S_ISDIR(found.st_mode) or not is_own:
        raise ConfigurationError(f"the folder {quote(folder)} was refused", why="others can get at it")


def with_startup(python_path: str) -> str:
    """Give a `PYTHONPATH` that begins with what has to run first."""
    rest = [entry for entry in python_path.split(os.pathsep) if entry != str(STARTUP)] if python_path else []
    return os.pathsep.join([str(STARTUP), *rest])
