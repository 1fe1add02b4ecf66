"""
Threads act as whoever started them, and tasks of an executor as whoever submitted them.

Python gives a new thread no context, so a session does not follow by itself. Wrapped is where all ways of starting a
thread meet, and what stands for one task of a `ThreadPoolExecutor`; so it holds for `Timer`, `ThreadPool` and
`run_in_executor`, too. A thread that the guard starts for itself, while nobody acts, stays nobody's.

On only where somebody asks for it, such as `agentid run`: elsewhere a program hands its session on with `propagate`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import Context
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from agentid.access.library import Library, Patch
from agentid.guard.session import acting

if TYPE_CHECKING:
    from agentid.access.installation import Installation

__all__ = ["THREADS"]


class _Untold:
    """Stands for a context in which nobody said who acts."""


_UNTOLD: Final = _Untold()
_FIELD: Final = "_agentid_acting"

# Where threads begin, by the module that looks there: the private names are what `threading` calls.
_STARTERS: Final = {
    "threading": ("_start_new_thread", "_start_joinable_thread"),
    "_thread": ("start_new_thread", "start_new", "start_joinable_thread"),
}


def _starters(module: ModuleType, access: Installation) -> Iterable[Patch]:
    def starts(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        who = acting.get(_UNTOLD)
        if isinstance(who, _Untold) or not access.is_on:
            return wrapped(*args, **kwargs)
        context = Context()
        context.run(acting.set, who)
        # `Context.run` is no Python function: it stands in no traceback.
        if len(args) == 1:  # as from Python 3.13 on: a function without arguments
            return wrapped(partial(context.run, args[0]), **kwargs)
        function, arguments, *rest = args
        return wrapped(context.run, (function, *arguments), *rest, **kwargs)

    for name in _STARTERS[module.__name__]:
        if hasattr(module, name):
            yield Patch(module, name, starts)


def _tasks(module: ModuleType, access: Installation) -> Iterable[Patch]:
    item: Any = getattr(module, "_WorkItem", None)
    if item is None:
        return

    def submitted(wrapped: Callable[..., Any], task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        setattr(task, _FIELD, acting.get(_UNTOLD))
        return wrapped(*args, **kwargs)

    def runs(wrapped: Callable[..., Any], task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        who: Any = getattr(task, _FIELD, _UNTOLD)
        if who is _UNTOLD or not access.is_on:
            return wrapped(*args, **kwargs)
        token = acting.set(who)
        try:
            return wrapped(*args, **kwargs)
        finally:
            acting.reset(token)

    yield Patch(item, "__init__", submitted)
    yield Patch(item, "run", runs)


THREADS: Final = (
    Library(name="threading", module="threading", layer="threads", patches=_starters),
    Library(name="_thread", module="_thread", layer="threads", patches=_starters),
    Library(name="concurrent.futures", module="concurrent.futures.thread", layer="threads", patches=_tasks),
)
"""To be wrapped with `Installation.wrap`."""
