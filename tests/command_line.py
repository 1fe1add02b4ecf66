"""Running `agentid` as a user does: as a program of its own, perhaps on a terminal."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_ENTRIES = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
_SEARCHED = os.pathsep.join(str(Path(entry).resolve()) for entry in _ENTRIES)
_CHANGES_OUTPUT = ("OTEL_", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "AGENTID_", "PYTHONIOENCODING", "PYTHONUTF8")
TIMEOUT = 50

# So that Ctrl-C typed on the terminal reaches the program, also where the tests themselves run in the background.
_TAKE_TERMINAL = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGINT, signal.SIG_DFL)
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "agentid", *sys.argv[1:]])
"""


@dataclass(frozen=True)
class Ran:
    """A program that has ended."""

    code: int
    out: str
    err: str = ""


def environment(**changes: str) -> dict[str, str]:
    """The environment for a program: ours without what would change its output, and with *changes*."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_CHANGES_OUTPUT)}
    return {**kept, "PYTHONPATH": _SEARCHED, "COLUMNS": "100", "TERM": "xterm", **changes}


def agentid(*arguments: str, folder: Path, stdin: str = "", timeout: float = TIMEOUT, **changes: str) -> Ran:
    """Run a command in *folder*, its output in pipes."""
    done = subprocess.run(
        [sys.executable, "-m", "agentid", *arguments],
        cwd=folder,
        env=environment(**{"PYTHONIOENCODING": "utf-8", **changes}),
        input=stdin.encode(),
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    return Ran(done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8"))


def on_terminal(*arguments: str, folder: Path, answers: tuple[tuple[str, bytes], ...] = (), **changes: str) -> Ran:
    """
    Run a command in *folder* on a terminal.

    Args:
        arguments: Of the command.
        folder: The current one.
        answers: Each a text to wait for and what is typed then.
        changes: Of the environment.
    """
    import pty
    import termios

    ours, theirs = pty.openpty()
    settings = termios.tcgetattr(theirs)
    settings[1] &= ~termios.OPOST  # no carriage returns in what we read
    termios.tcsetattr(theirs, termios.TCSANOW, settings)
    with subprocess.Popen(
        [sys.executable, "-c", _TAKE_TERMINAL, *arguments],
        cwd=folder,
        env=environment(**{"PYTHONIOENCODING": "utf-8", **changes}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as running:
        os.close(theirs)
        try:
            out = _read_all(ours, list(answers))
            return Ran(running.wait(TIMEOUT), out)
        finally:
            running.kill()
            os.close(ours)


def _read_all(terminal: int, answers: list[tuple[str, bytes]]) -> str:
    seen, searched = b"", 0
    while True:
        if answers and (at := seen.find(answers[0][0].encode(), searched)) >= 0:
            searched = at + len(answers[0][0])
            os.write(terminal, answers.pop(0)[1])
        if not select.select([terminal], [], [], TIMEOUT)[0]:
            raise AssertionError(f"nothing more came after:\n{seen.decode('utf-8', 'replace')}")
        try:
            read = os.read(terminal, 65536)
        except OSError:  # the other side is closed
            read = b""
        if not read:
            return seen.decode("utf-8")
        seen += read
