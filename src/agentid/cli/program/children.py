"""
Child processes find what they need to act, also in an environment that the program made for them.

What is in our own environment is inherited. An environment that is passed on with a call is copied, and what is missing
is put in: a child that is Python, too, must not be an agent that nobody guards because its `PYTHONPATH` was set anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, cast

from agentid.access.library import Library, Patch, Wrapper
from agentid.cli.program.handoff import VARIABLE, with_startup

if TYPE_CHECKING:
    from agentid.access import Installation

__all__ = ["CHILDREN", "completed"]

_PYTHONPATH: Final = "PYTHONPATH"


def completed(environment: Any) -> Any:
    """Give *environment* with what a child needs; what is no environment is given back as it is."""
    ours = os.environ.get(VARIABLE, "")
    if not ours or not isinstance(environment, Mapping):
        return environment  # pyright: ignore[reportUnknownVariableType]
    given = dict(cast("Mapping[Any, Any]", environment))
    try:
        # As text, or as bytes: whoever has made it may have mixed them.
        named = {os.fsdecode(name): (name, os.fsdecode(value)) for name, value in given.items()}
    except TypeError:
        return environment  # pyright: ignore[reportUnknownVariableType]  # which the call will refuse
    path = named.get(_PYTHONPATH, (_PYTHONPATH, ""))[1]
    for name, value in ((VARIABLE, ours), (_PYTHONPATH, with_startup(path))):
        given.pop(named[name][0] if name in named else name, None)
        given[name] = value
    return given


def _environment_at(position: int, name: str) -> Callable[[Installation], Wrapper]:
    """Give what completes the environment that a function gets at a position, or by a name."""

    def of(access: Installation) -> Wrapper:
        def calls(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if access.is_on:
                if kwargs.get(name) is not None:
                    kwargs = {**kwargs, name: completed(kwargs[name])}
                elif len(args) > position:
                    args = (*args[:position], completed(args[position]), *args[position + 1 :])
            return wrapped(*args, **kwargs)

        return calls

    return of


def _popen(module: ModuleType, access: Installation) -> Iterable[Patch]:
    return [Patch(module.Popen, "__init__", _environment_at(10, "env")(access))]


def _os(module: ModuleType, access: Installation) -> Iterable[Patch]:
    wrapper = _environment_at(2, "env")(access)
    return [Patch(module, name, wrapper) for name in ("execve", "posix_spawn", "posix_spawnp") if hasattr(module, name)]


CHILDREN: Final = (
    Library(name="environment of subprocess", module="subprocess", layer="environment", patches=_popen),
    Library(name="environment of os", module="os", layer="environment", patches=_os),
)
"""To be wrapped with `Installation.wrap`."""
