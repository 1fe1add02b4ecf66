"""
Child processes find what they need to act, also in an environment that the program made for them.

An environment that is passed on with a call is copied, and what is missing is put in: a child that is Python, too, must
not be an agent that nobody guards because its `PYTHONPATH` was set anew. What the program took out of its own
environment is put back before a child inherits that.

A child is named after the program that is started, as far as the call says which: so it stands in records.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, cast

from agentid.access.library import Library, Patch
from agentid.cli.program.command import name_of_command
from agentid.cli.program.handoff import VARIABLE, with_startup

if TYPE_CHECKING:
    from agentid.access import Installation

__all__ = ["Children"]

_PYTHONPATH: Final = "PYTHONPATH"
_POPEN: Final = ("args", "bufsize", "executable", "stdin", "stdout", "stderr", "preexec_fn", "close_fds", "shell")
_ENV_OF_POPEN: Final = 10
_ENV_OF_FORK_EXEC: Final = 5


class Children:
    """
    What runs instead of the functions that start processes.

    Args:
        left_for: Gives the file that a child finds, by the name of what it runs; by an empty one, of any other child.
    """

    def __init__(self, left_for: Callable[[str], str]) -> None:
        self._left_for = left_for

    def libraries(self) -> tuple[Library, ...]:
        """What is to be wrapped with `Installation.wrap`."""
        found = [
            Library(name="environment of subprocess", module="subprocess", layer="environment", patches=self._popen),
            Library(name="environment of os", module="os", layer="environment", patches=self._os),
        ]
        if os.name == "posix":
            module = "_posixsubprocess"
            found.append(Library(name=f"environment of {module}", module=module, layer="environment", patches=self._c))
        return tuple(found)

    def completed(self, environment: Any, name: str) -> Any:
        """Give *environment* with what a child needs; what is no environment is given back as it is."""
        if not isinstance(environment, Mapping):
            return environment  # pyright: ignore[reportUnknownVariableType]
        given = dict(cast("Mapping[Any, Any]", environment))
        try:
            # As text, or as bytes: whoever has made it may have mixed them.
            named = {os.fsdecode(name): (name, os.fsdecode(value)) for name, value in given.items()}
        except TypeError:
            return environment  # pyright: ignore[reportUnknownVariableType]  # which the call will refuse
        path = named.get(_PYTHONPATH, (_PYTHONPATH, ""))[1]
        for variable, value in ((VARIABLE, self._left_for(name)), (_PYTHONPATH, with_startup(path))):
            given.pop(named[variable][0] if variable in named else variable, None)
            given[variable] = value
        return given

    @contextmanager
    def inherited(self, name: str) -> Generator[None]:
        """A block that starts a child which inherits what is in our own environment."""
        self._put(name)
        try:
            yield
        finally:
            self._put("")

    def _put(self, name: str) -> None:
        os.environ[VARIABLE] = self._left_for(name)
        os.environ[_PYTHONPATH] = with_startup(os.environ.get(_PYTHONPATH, ""))

    # --- the functions ------------------------------------------------------------------------------------------------

    def _popen(self, module: ModuleType, access: Installation) -> Iterable[Patch]:
        def starts(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if not access.is_on:
                return wrapped(*args, **kwargs)
            given = {**dict(zip(_POPEN, args, strict=False)), **kwargs}
            name = "sh" if given.get("shell") else name_of_command(given.get("args", ()))
            environment = args[_ENV_OF_POPEN] if len(args) > _ENV_OF_POPEN else kwargs.get("env")
            if environment is None:
                if given.get("preexec_fn") is not None:
                    return wrapped(*args, **kwargs)  # which may change what is inherited
                environment = os.environ
            environment = self.completed(environment, name)
            if len(args) > _ENV_OF_POPEN:
                args = (*args[:_ENV_OF_POPEN], environment, *args[_ENV_OF_POPEN + 1 :])
            else:
                kwargs = {**kwargs, "env": environment}
            return wrapped(*args, **kwargs)

        yield Patch(module.Popen, "__init__", starts)
        # A name of its own for the function of C, in Python 3.11 and newer.
        yield from self._c(module, access, "_fork_exec")

    def _os(self, module: ModuleType, access: Installation) -> Iterable[Patch]:
        def passes_on(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if access.is_on:
                words = args[1] if len(args) > 1 else kwargs.get("argv", kwargs.get("args", ()))
                if "env" in kwargs:
                    kwargs = {**kwargs, "env": self.completed(kwargs["env"], name_of_command(words))}
                elif len(args) > 2:
                    args = (*args[:2], self.completed(args[2], name_of_command(words)), *args[3:])
            return wrapped(*args, **kwargs)

        def becomes(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if not access.is_on:
                return wrapped(*args, **kwargs)
            with self.inherited(name_of_command(args[1] if len(args) > 1 else ())):
                return wrapped(*args, **kwargs)

        def commands(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if not access.is_on:
                return wrapped(*args, **kwargs)
            with self.inherited("sh"):
                return wrapped(*args, **kwargs)

        for names, wrapper in (
            (("execve", "posix_spawn", "posix_spawnp"), passes_on),
            (("execv",), becomes),
            (("system",), commands),
        ):
            yield from (Patch(module, name, wrapper) for name in names if hasattr(module, name))

    def _c(self, module: ModuleType, access: Installation, name: str = "fork_exec") -> Iterable[Patch]:
        def forks(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if not access.is_on or (len(args) > _ENV_OF_FORK_EXEC and args[_ENV_OF_FORK_EXEC] is not None):
                return wrapped(*args, **kwargs)
            with self.inherited(""):
                return wrapped(*args, **kwargs)

        if hasattr(module, name):
            yield Patch(module, name, forks)
