"""
Other programs: `execute` of the file of each program that is started, by `subprocess`, `os` or `multiprocessing`.

The program is looked up as the system will look it up: along the `PATH` of the environment that it is given, from the
folder that it is started in. The resource is the real file, links followed. A shell command is `execute` of the shell,
whatever it then does; a script is the script, whatever runs it.

The official hook is `subprocess.Popen`; wrapped is what it ends in, `fork_exec`, where `multiprocessing` ends too, and
the functions of `os` that start or become a program. What a new process does is not seen: allow `execute` for programs
that may do everything that they can. Where nothing of that name is found, nothing is started and nothing is asked.
"""

from __future__ import annotations

import errno
import importlib
import os
import stat
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import Context, copy_context
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from agentid.access.files.names import actions_of_flags, exact, file_access, place
from agentid.access.library import Library, Patch
from agentid.access.touching import Touching, announcements
from agentid.errors import ConfigurationError
from agentid.record import Access
from agentid.record import attributes as names

if TYPE_CHECKING:
    from agentid.access.installation import Installation

__all__ = ["LIBRARY", "Programs"]

_BELOW: Final = frozenset({"process"})
_SHELL: Final = "/bin/sh"
_ANNOUNCED: Final = announcements("process")


class Programs:
    """What runs instead of the functions that start programs."""

    def __init__(self, access: Installation) -> None:
        self.access = access

    def touching(
        self,
        program: str | bytes,
        folder: Any = None,
        more: Iterable[Access] = (),
        *,
        below: frozenset[str] = frozenset(),
    ) -> Touching:
        """Give the block in which *program* is started in *folder*."""

        def accesses() -> Iterable[Access]:
            if not program:
                raise ConfigurationError("a program is started by a name that only the system can look up")
            path = os.path.join(os.fsdecode(folder) if folder is not None else os.getcwd(), os.fsdecode(program))
            return [file_access("execute", place(path, follow=True)), *more]

        name = os.path.basename(os.fsdecode(program))
        shown = {names.EXECUTABLE: name} if name.isprintable() else {}
        return self.access.touching(LIBRARY, accesses, "execute program", attributes=shown, accounts_for=below)

    # --- subprocess and multiprocessing ------------------------------------------------------------------------------

    def forks(self, wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`fork_exec(arguments, candidates, close, keep, folder, environment, …)`: tries each candidate in turn."""
        if not self.access.watches("process"):
            return wrapped(*args, **kwargs)
        arguments, candidates, close, keep, folder, *rest = args
        folder = None if folder is None else exact(folder)
        given = [exact(candidate) for candidate in candidates]
        found = _first_program(given, folder)
        if found is None:
            # Nothing has no name: the system says that it is not there, and finds nothing that appears meanwhile.
            return wrapped(arguments, (b"",), close, keep, folder, *rest, **kwargs)
        with self.touching(found, folder):
            return wrapped(arguments, (os.fsencode(found),), close, keep, folder, *rest, **kwargs)

    def announces(self, wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`Popen._execute_child`, which announces the program before `fork_exec` is asked to start it."""
        if not self.access.watches("process"):
            return wrapped(*args, **kwargs)
        with self.access.accounting_for(_ANNOUNCED):
            return wrapped(*args, **kwargs)

    def forks_server(self, wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A process of `multiprocessing` that a server forks off, which was started before."""
        if not self.access.watches("process"):
            return wrapped(*args, **kwargs)
        # The server itself is asked about as well, where it is started only now.
        with self.touching(sys.executable):
            return wrapped(*args, **kwargs)

    # --- os ----------------------------------------------------------------------------------------------------------

    def commands(self, wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`system(command)`: the shell, whatever it is told."""
        if not self.access.watches("process"):
            return wrapped(*args, **kwargs)
        shell = _SHELL if os.name == "posix" else os.environ.get("COMSPEC", "cmd.exe")
        with self.touching(shell):
            return wrapped(*args, **kwargs)

    def becomes(self, wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`execv` and `execve`: the path is no name to look up, and may be an opened file."""
        if not self.access.watches("process"):
            return wrapped(*args, **kwargs)
        return self._become(wrapped, *args, **kwargs)

    def _become(self, wrapped: Any, path: Any, *rest: Any, **kwargs: Any) -> Any:
        if type(path) is int:
            with self.touching(f"/proc/self/fd/{path}"):
                return wrapped(path, *rest, **kwargs)
        program = exact(path)
        if _is_missing(program, None):
            return wrapped(b"", *rest, **kwargs)
        with self.touching(program):
            return wrapped(program, *rest, **kwargs)

    def becomes_by_name(self, wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`_execvpe(file, args, env)`, to which all of `execlp`, `execvp` and `execvpe` come."""
        if not self.access.watches("process"):
            return wrapped(*args, **kwargs)
        return self._become_by_name(wrapped, *args, **kwargs)

    def _become_by_name(self, wrapped: Any, file: Any, args: Any, env: Mapping[Any, Any] | None = None) -> Any:
        file = exact(file)
        found = _first_program(_candidates(file, env), None)
        if found is None:
            return os.execv(b"", args)  # noqa: S606 -- the error that says that it is not there
        # With a path, it goes to `execv` or `execve`, and these ask.
        return wrapped(os.path.join(os.getcwd(), os.fsdecode(found)), args, env)

    def spawns(self, wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`_spawnvef(mode, file, args, env, function)`: forks, and becomes the program in the child."""
        if not self.access.watches("process"):
            return wrapped(*args, **kwargs)
        mode, file, arguments, env, function = args
        file = exact(file)
        # `execvp` and `execvpe` look it up, `execv` and `execve` do not.
        candidates = _candidates(file, env) if function in {os.execvp, os.execvpe} else [file]
        found = _first_program(candidates, None)
        if found is None:
            return wrapped(mode, b"", arguments, env, os.execv if env is None else os.execve)
        program = os.path.join(os.getcwd(), os.fsdecode(found))
        # In the child, another process, nobody acts any more: it was asked about here.
        with self.touching(program, below=_BELOW):
            return wrapped(mode, program, arguments, env, function)

    def spawns_anew(self, wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`posix_spawn` and `posix_spawnp`, which may also open files for the child."""
        if not self.access.watches("process"):
            return wrapped(*args, **kwargs)
        return self._posix_spawn(wrapped, *args, **kwargs)

    def _posix_spawn(self, wrapped: Any, path: Any, argv: Any, env: Any, **kwargs: Any) -> Any:
        program = exact(path)
        if getattr(wrapped, "__name__", "") == "posix_spawnp":
            # It looks along the path of this process, and not along that of the child.
            program = _first_program(_candidates(program, os.environ), None) or b""
        if _is_missing(program, None):
            return wrapped(b"", argv, env, **kwargs)
        program = os.path.join(os.getcwd(), os.fsdecode(program))
        opened = [tuple(action) for action in kwargs.get("file_actions") or ()]
        if opened:
            kwargs["file_actions"] = opened
        more: list[Access] = []
        for action in opened:
            if action[0] == os.POSIX_SPAWN_OPEN:
                at = place(exact(action[2]), follow=True)
                more += [file_access(done, at) for done in actions_of_flags(action[3]) if at != os.devnull]
        with self.touching(program, more=more):
            return wrapped(program, argv, env, **kwargs)

    # --- Windows -----------------------------------------------------------------------------------------------------

    def creates(self, wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`_winapi.CreateProcess(application, command, …)`, where `subprocess` and `multiprocessing` end on Windows."""
        if not self.access.watches("process"):
            return wrapped(*args, **kwargs)
        application, command, *rest = args
        application = None if application is None else os.fsdecode(exact(application))
        command = None if command is None else os.fsdecode(exact(command))
        # What is no path, the system looks for in places that only it knows.
        program = application or _first_word(command or "")
        with self.touching(program if os.path.isabs(program) else ""):
            return wrapped(application, command, *rest, **kwargs)

    def spawns_plainly(self, wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`spawnv` and `spawnve` of Windows."""
        if not self.access.watches("process"):
            return wrapped(*args, **kwargs)
        mode, path, *rest = args
        program = exact(path)
        with self.touching(program):
            return wrapped(mode, program, *rest, **kwargs)

    # --- pty ---------------------------------------------------------------------------------------------------------

    def spawns_in_terminal(self, wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`pty.spawn(argv, master_read, stdin_read)`: forks, and becomes the program in the child."""
        if not self.access.watches("process"):
            return wrapped(*args, **kwargs)
        return self._spawn_in_terminal(wrapped, *args, **kwargs)

    def _spawn_in_terminal(self, wrapped: Any, argv: Any, *readers: Any, **named: Any) -> Any:
        argv = [argv] if isinstance(argv, str) else list(argv)
        file = exact(argv[0])
        found = _first_program(_candidates(file, None), None)
        # Its readers are the agent's own code, and run as if they stood outside.
        outside = copy_context()
        readers = tuple(_outside(outside, reader) for reader in readers)
        named = {name: _outside(outside, reader) for name, reader in named.items()}
        if found is None:
            # In the child, where it would be raised, the agent's own code would go on twice.
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), file)
        program = os.path.join(os.getcwd(), os.fsdecode(found))
        with self.touching(program, below=_BELOW):
            return wrapped([program, *argv[1:]], *readers, **named)


def _first_word(command: str) -> str:
    """Give the program that a command line of Windows begins with; nothing where it could be several."""
    if command.startswith('"'):
        return command[1:].partition('"')[0]
    word, space, _ = command.partition(" ")
    # Without quotes and a program there, the system takes in one word after the other until it finds one.
    return word if not space or os.path.isfile(word) else ""


def _outside(context: Context, reader: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any) -> Any:
        return context.copy().run(reader, *args)

    return run


def _candidates(file: str | bytes, env: Any) -> list[str | bytes]:
    """Give where a program may be, in the order of the system: as `os.execvpe` looks for it."""
    name = os.fsdecode(file)
    if os.path.dirname(name):
        return [name]
    return [os.path.join(os.fsdecode(folder), name) for folder in os.get_exec_path(env)]


def _first_program(candidates: Sequence[str | bytes], folder: Any) -> str | bytes | None:
    """Give the first of *candidates* that can be run, else the first that is there, else nothing."""
    there = [candidate for candidate in candidates if not _is_missing(candidate, folder)]
    runnable = (one for one in there if _can_run(_from(one, folder)))
    return next(runnable, there[0] if there else None)


def _is_missing(program: str | bytes, folder: Any) -> bool:
    return not program or not os.path.lexists(_from(program, folder))


def _can_run(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode) and os.access(path, os.X_OK)
    except OSError:
        return False


def _from(program: str | bytes, folder: Any) -> str:
    return os.path.join(os.fsdecode(folder) if folder is not None else "", os.fsdecode(program))


def _patches(module: ModuleType, access: Installation) -> Iterable[Patch]:
    # Loaded first, so that it keeps the functions of C under names of its own, which are wrapped too.
    import subprocess

    programs = Programs(access)
    system: Any = sys.modules.get(os.name, os)
    for owner in (module, system):
        for name, wrapper in (
            ("system", programs.commands),
            ("execv", programs.becomes),
            ("execve", programs.becomes),
            ("posix_spawn", programs.spawns_anew),
            ("posix_spawnp", programs.spawns_anew),
            ("startfile", programs.becomes),
        ):
            if name in vars(owner):
                yield Patch(owner, name, wrapper)
    yield Patch(subprocess.Popen, "_execute_child", programs.announces)
    yield Patch(module, "_execvpe", programs.becomes_by_name)
    if "_spawnvef" in vars(module):
        yield Patch(module, "_spawnvef", programs.spawns)
    elif os.name == "nt":
        for name in ("spawnv", "spawnve"):
            yield Patch(module, name, programs.spawns_plainly)
        yield Patch(importlib.import_module("_winapi"), "CreateProcess", programs.creates)
    if os.name == "posix":
        import _posixsubprocess
        import pty

        yield Patch(_posixsubprocess, "fork_exec", programs.forks)
        if "_fork_exec" in vars(subprocess):
            yield Patch(subprocess, "_fork_exec", programs.forks)
        yield Patch(pty, "spawn", programs.spawns_in_terminal)


LIBRARY: Final = Library(
    name="subprocess",
    module="os",
    layer="process",
    patches=_patches,
    limits="what the other program does; `os.fork`, whose child is nobody and may nothing",
)
