"""
Asking a person on the terminal.

Whatever is shown came from a model or from data: it is put on one line each, shortened, with everything
escaped that could move the cursor or fake a line. One question is asked at a time, and keys pressed before
it is shown answer nothing: a yes is for the call that the person has read.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import Final, TextIO

from agentid.errors import one_line
from agentid.guard.approval import Approval, ApprovalRequest

__all__ = ["TerminalApprover"]

_MAX_QUESTION: Final = 20_000
"""Characters; nobody reads more, and what nobody reads nobody can approve."""


class TerminalApprover:
    """
    Asks on the terminal, and shows all of the call: one that is too long for that is refused.

    Anything but `y` or `yes` is a no, and so is a terminal that is not there.

    Args:
        stdin: Where the answer is read; by default the standard input.
        stdout: Where the question is written; by default the standard error, so that output can be piped.
    """

    def __init__(self, *, stdin: TextIO | None = None, stdout: TextIO | None = None) -> None:
        self._stdin = stdin
        self._stdout = stdout
        self._one_at_a_time = threading.Lock()

    def __call__(self, request: ApprovalRequest) -> Approval:
        """Ask about one call."""
        deadline = time.monotonic() + request.timeout.total_seconds()
        stdin, stdout = self._stdin or sys.stdin, self._stdout or sys.stderr
        if not stdin or not stdin.isatty():
            return _no("there is no terminal to ask on")
        with self._one_at_a_time:
            if time.monotonic() >= deadline:
                return _no("nobody answered in time")
            question = _question(request)
            if len(question) > _MAX_QUESTION:
                return _no("the question is too long to be read on a terminal")
            _forget_keys(stdin)
            stdout.write(question)
            stdout.flush()
            answer = stdin.readline().strip().lower()
            if time.monotonic() >= deadline:
                stdout.write("That was too late: the call was refused.\n")
                return _no("nobody answered in time")
        if answer not in {"y", "yes"}:
            return Approval(approved=False, approver="terminal", why="the answer was no")
        return Approval(approved=True, approver="terminal")


def _no(why: str) -> Approval:
    return Approval(approved=False, why=why)


def _question(request: ApprovalRequest) -> str:
    lines = [f"{_plain(request.agent)} wants to call {_plain(request.tool)}:"]
    lines += [f"  {access.action:<8}{_plain(str(access.resource))}" for access in request.accesses]
    lines += [f"  {_plain(name)} = {_plain(repr(value))}" for name, value in request.arguments.items()]
    if request.task:
        lines.append(f"  task: {_plain(request.task)}")
    return "\n".join(lines) + "\nAllow it this once? [y/N] "


def _plain(text: str) -> str:
    """All of *text*, so that nothing is approved unseen, on one line."""
    return one_line(text, limit=_MAX_QUESTION)


def _forget_keys(stdin: TextIO) -> None:
    try:
        import termios  # not on Windows
    except ImportError:
        return
    try:
        termios.tcflush(stdin.fileno(), termios.TCIFLUSH)
    except (OSError, ValueError, termios.error):
        return  # no real terminal: nothing can have been typed ahead
