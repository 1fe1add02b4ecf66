"""
The session of a program: opened before it starts, and open until the last of its threads and exit functions is done.

What must never happen: a program that starts although its session could not be opened; a process that was forked off
and acts as the one before it; the guard's own work taken for the agent's.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Final

from agentid.cli.program import handoff
from agentid.cli.program.command import name_of_command
from agentid.errors import ConfigurationError, Error, MissingExtraError

if TYPE_CHECKING:
    from agentid.access import Installation
    from agentid.cli.program.touched import Touched
    from agentid.guard import Approver, Guard, Session
    from agentid.identity import Agent
    from agentid.record.audit import AuditLog
    from agentid.record.pipeline import Pipeline

__all__ = ["Program", "start"]

_NAMELESS: Final = "program"
_MOST_NAMES: Final = 100
_AFTER_OTHERS: Final = -100_000


def start(path: str) -> tuple[str, int]:
    """Open the session that *path* describes. Give what went wrong in one line, and the exit code; empty if nothing."""
    is_program = path.endswith(handoff.PROGRAM)
    failure, code = _opened(path, is_program=is_program)
    if failure and is_program:
        # Nobody else will need what was left, nor remove it.
        shutil.rmtree(Path(path).parent, ignore_errors=True)
    return failure, code


def _opened(path: str, *, is_program: bool) -> tuple[str, int]:
    try:
        Program(path, is_program=is_program).open()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
        return "interrupted", 130
    except (ConfigurationError, MissingExtraError) as error:
        return str(error), 2 if is_program else 1
    except Error as error:
        return str(error), 1
    except BaseException as error:  # noqa: BLE001 -- whatever it is, the program must not start
        if os.environ.get("AGENTID_DEBUG"):
            sys.excepthook(type(error), error, error.__traceback__)
        return f"internal error ({type(error).__name__}); set AGENTID_DEBUG=1 to see where it happened", 1
    return "", 0


class Program:
    """
    The program of this process, acting.

    Args:
        path: What was left for it.
        is_program: Whether it is what `agentid run` was given, and no child of that.
    """

    guard: Guard
    agent: Agent
    session: Session
    touched: Touched
    access: Installation
    settings: handoff.Settings
    _audit: AuditLog
    _folder: handoff.Folder
    _gathers: str

    def __init__(self, path: str, *, is_program: bool) -> None:
        self._path = path
        self._is_program = is_program
        self._process = os.getpid()
        self._pipeline: Pipeline | None = None
        self._releases: list[Callable[[], None]] = []
        self._left: dict[str, str] = {}
        self._leaving = RLock()
        self._opened = self._ended = False

    def open(self) -> None:
        """
        Open the session, and everything that it needs.

        Raises:
            Error: It cannot be opened: the program must not start.
        """
        # First, so that it runs last: after the program's own.
        atexit.register(self.end)
        with warnings.catch_warnings():
            # Those of libraries that only we import; the program's filters are as they were.
            warnings.simplefilter("ignore")
            self._open()

    def _open(self) -> None:
        from agentid.access import install
        from agentid.cli.program.touched import Touched
        from agentid.guard.session import NobodyActing

        with NobodyActing():
            self.settings, agent = handoff.read(self._path)
            if agent is None:
                self._go_without()
                return
            self.agent = agent
            self.access = install()
            # As Python opens it; with -m and -c this is the name of no file.
            self.access.program = os.path.join(os.getcwd(), sys.argv[0])  # noqa: PTH109, PTH118 -- nothing is normalised
            self._wrap()
            self.touched = Touched()
            self._record_spans()
            self.guard = self._make_guard()
            self.session = self.guard.acting_as(agent)
            self._leave_for_children()
        self._opened = True
        self.session.__enter__()
        self.access.act_everywhere(self.session)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)

    def _go_without(self) -> None:
        """Nobody is acting here: an agent that may hand on nothing more has started this process."""
        self._ended = True
        if not self.settings.observes:
            raise ConfigurationError(
                "this process has no identity", why=self.settings.why, fix="Start it with fewer processes in between"
            )
        sys.stderr.write(f"agentid: this process has no identity, and is not observed: {self.settings.why}\n")

    def _wrap(self) -> None:
        from agentid.access.files.temporary import TEMPORARY
        from agentid.access.threads import THREADS
        from agentid.cli.program.children import Children

        self.access.wrap(TEMPORARY, *THREADS, *Children(self._left_for).libraries())

    def _record_spans(self) -> None:
        from agentid.guard.session import NobodyActing
        from agentid.record.pipeline import Pipeline, otlp_endpoint, sdk_is_disabled

        if not otlp_endpoint() or sdk_is_disabled():
            return
        try:
            self._pipeline = Pipeline(self.agent.name, exporting=NobodyActing)
        except MissingExtraError:
            if self._is_program:
                raise
            return  # another Python than that of the program
        self._pipeline.make_global()

    def _make_guard(self) -> Guard:
        from agentid.config import Config
        from agentid.guard import Guard, ObserveOnlyGuard
        from agentid.identity import Authority
        from agentid.policy import Policy
        from agentid.record.audit import AuditLog

        settings = self.settings
        if settings.config:
            config = Config.load(settings.config)
        else:
            config = Config(source=None, trust_domain=settings.trust_domain, authority=Path(settings.authority))
        authority = Authority.open(settings.authority, trust_domain=settings.trust_domain, status_uri=config.status_uri)
        self._audit = AuditLog(settings.audit, signer=authority.audit_signer())
        kind = ObserveOnlyGuard if settings.observes else Guard
        return kind(
            authority.trust,
            policy=Policy.of(config),
            approver=_approver(),
            audit=self._audit,
            observers=[self.touched],
        )

    # --- children ---------------------------------------------------------------------------------------------------

    def _leave_for_children(self) -> None:
        """Leave a part of what this agent may do, no more than all of it, for the processes that the program starts."""
        given = Path(self._path).parent
        if not self._is_program:
            # A program that turned into another one does not end, and could not remove it.
            self._releases.append(handoff.Folder(given).release)
        self._folder = handoff.Folder(given if self._is_program else None)
        self._releases.append(self._folder.release)
        # Each process leaves there what it touched; the program gathers it.
        self._gathers = self.settings.gathers or str(self._folder.path)
        os.environ[handoff.VARIABLE] = self._left_for("")
        os.environ["PYTHONPATH"] = handoff.with_startup(os.environ.get("PYTHONPATH", ""))

    def _left_for(self, name: str) -> str:
        """
        Give the file for a child that runs what is called *name*; made when the first such child needs it.

        Without a name it is one more process of the program itself, such as a worker of `multiprocessing`. So is every
        child once there were very many names, and after the end, when nothing may be left behind any more.
        """
        own = name_of_command(sys.orig_argv) or _NAMELESS
        with self._leaving:
            has_room = len(self._left) < _MOST_NAMES and not self._ended
            called = name if name in self._left or (name and has_room) else own
            if called not in self._left:
                self._left[called] = str(self._leave(called))
            return self._left[called]

    def _leave(self, name: str) -> Path:
        from agentid.guard.session import NobodyActing

        with NobodyActing():
            why, child = "", None
            try:
                child = _part_of(self.agent, name)
            except Error as error:
                why = error.why or error.what
            settings = replace(self.settings, gathers=self._gathers, report="", command="", why=why)
            # A process that was forked off leaves files in the same folder.
            return self._folder.write(f"{name}-{os.getpid()}{handoff.CHILD}", settings, child)

    def _forked(self) -> None:
        """In a child that was forked off: a session of its own. Where that fails, the parent's is over here, too."""
        if self._ended:
            return
        from agentid.guard.session import NobodyActing, acting

        before = self.session
        before.close()
        self.touched.forked()
        self._leaving = RLock()  # somebody else may have held it
        with NobodyActing():
            self.session = self.guard.acting_as(self.agent)
        if acting.get() is before:
            self.session.__enter__()
        self.access.act_everywhere(self.session)
        util: Any = sys.modules.get("multiprocessing.util")
        if util is not None:
            # A worker leaves without the ordinary end of a program, and forgets what was registered before its start.
            util.register_after_fork(self, _end_with_worker)

    # --- the end ----------------------------------------------------------------------------------------------------

    def end(self) -> None:
        """The program is over. Nobody acts here any more."""
        if self._ended:
            return
        self._ended = True
        if not self._opened:
            return
        from agentid.guard.session import NobodyActing

        self.session.close()
        with NobodyActing():
            if self.settings.observes:
                # What the interpreter does from here on is neither refused nor worth a warning.
                self.access.remove()
            for step in (self._audit.close, self._close_pipeline, self._say, *self._releases):
                try:
                    step()
                except Exception as error:  # noqa: BLE001 -- the program is over, and its exit code is its own
                    what = str(error) if isinstance(error, Error) else f"at its end: {type(error).__name__}"
                    sys.stderr.write(f"agentid: {what}\n")

    def _close_pipeline(self) -> None:
        if self._pipeline is not None:
            self._pipeline.close()

    def _say(self) -> None:
        if os.getpid() != self._process or not self._is_program:
            self.touched.leave(self._gathers)
            return
        from agentid.cli.program.summary import say

        self.touched.gather(self._gathers)
        say(self.settings, self.agent, self.touched)


def _end_with_worker(program: Program) -> None:
    util: Any = sys.modules["multiprocessing.util"]
    util.Finalize(None, program.end, exitpriority=_AFTER_OTHERS)


def _approver() -> Approver | None:
    """Ask whoever sits at the terminal, if somebody does."""
    from agentid.guard import TerminalApprover

    streams = (sys.stdin, sys.stderr)
    return TerminalApprover() if all(stream is not None and stream.isatty() for stream in streams) else None


def _part_of(agent: Agent, name: str) -> Agent:
    # What has to be asked about is asked about, also where it stands under `allow`.
    allow = [one for one in agent.allow if not any(asked.covers(one) for asked in agent.ask)]
    left = agent.expires_at - datetime.now(timezone.utc)
    ttl = timedelta(seconds=int(left.total_seconds()) - 1)  # it must not outlive the agent, by whatever is rounded
    return agent.delegate(name, allow=allow, ask=agent.ask, ttl=ttl, purpose="a process that it starts")
