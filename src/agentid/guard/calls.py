"""
Every kind of call, wrapped the same way.

`around(function, open_passage)` is a version of *function* that keeps its kind: `open_passage(args, kwargs)` is
called once for each call and gives the `Passage` through which the body runs. A passage is resumed before
the body runs, paused whenever control goes back to the caller, checked again before each item of a stream,
and closed exactly once: at the end, on an exception, on cancellation, on early `close()`, and when the last
reference goes away without anybody having run it.

Rules:

- What `inspect` says of a function stays true of its wrapped version.
- A refusal is raised by the call itself, also for generators, whose bodies only run later. Only a coroutine
  function is refused where everything else of it happens: when it is awaited.
- A plain function that returns a coroutine, a generator or a context manager is followed into it (`lazy`).
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import Any, Protocol, TypeVar, cast

from agentid.guard.lazy import FOLLOW, Passage, drive_async, only_once

__all__ = ["Identity", "Opening", "around", "name_of", "unwrap_partial"]

F = TypeVar("F", bound=Callable[..., Any])


class Opening(Protocol):
    """A passage that may still have to wait for something, such as a person's answer."""

    def wait(self) -> Passage:
        """Wait for it."""
        ...

    async def wait_async(self) -> Passage:
        """Wait for it without holding up the event loop."""
        ...


Opener = Callable[[tuple[Any, ...], dict[str, Any]], Opening]


class Identity:
    """A passage that only sets a context variable while the body runs."""

    __slots__ = ("_token", "_value", "_variable")

    def __init__(self, value: Any, variable: ContextVar[Any]) -> None:
        self._value = value
        self._variable = variable
        self._token: Token[Any] | None = None

    def wait(self) -> Identity:
        """Nothing to wait for."""
        return self

    async def wait_async(self) -> Identity:
        """The same."""
        return self

    def check(self) -> None:
        """Whoever looks at the variable checks what it finds."""

    def resume(self) -> None:
        """The value is current from here."""
        self._token = self._variable.set(self._value)

    def pause(self) -> None:
        """The caller's value is current again; what the body left comes back with `resume`."""
        token, self._token = self._token, None
        if token is None:
            return
        value = self._variable.get()
        try:
            self._variable.reset(token)
        except ValueError:
            return  # thrown away in another context than it was resumed in: that one is gone
        self._value = value

    def close(self, error: BaseException | None = None, result: Any = None) -> None:
        """Nothing is kept."""


def around(function: F, open_passage: Opener, body: Callable[..., Any] | None = None) -> F:
    """
    A version of *function* of the same kind, each call of which goes through a passage.

    Args:
        function: What it looks like, and what is called.
        open_passage: Called once for each call.
        body: Called instead of *function*.
    """
    kind = _plain_function(function)
    body = body or function
    wrapper: Any
    if inspect.isasyncgenfunction(kind):
        wrapper = _Functionlike(kind, _async_stream(body, open_passage))
    elif inspect.isgeneratorfunction(kind):
        wrapper = _Functionlike(kind, _plain(body, open_passage))
    elif inspect.iscoroutinefunction(kind) or inspect.iscoroutinefunction(function):
        wrapper = _coroutine(body, open_passage)
    else:
        wrapper = _plain(body, open_passage)
    _describe(wrapper, function)
    return cast("F", wrapper)


def _describe(wrapper: Any, function: Any) -> None:
    """Give *wrapper* what is known of *function*; of a partial, what is known of the function inside."""
    inner = unwrap_partial(function)
    wrapper.__name__ = wrapper.__qualname__ = name_of(inner)  # stays with a callable object, which has none
    functools.update_wrapper(wrapper, inner)
    if inner is not function:
        for name, value in cast("dict[str, Any]", vars(function)).items():
            setattr(wrapper, name, value)
        wrapper.__wrapped__ = function


def unwrap_partial(function: Any) -> Any:
    """The function inside any number of `functools.partial`."""
    while isinstance(function, functools.partial):
        function = cast("functools.partial[Any]", function).func
    return function


def name_of(function: Any) -> str:
    """The name that a function, a partial or a callable object goes by."""
    inner = unwrap_partial(function)
    return getattr(function, "__name__", None) or getattr(inner, "__name__", None) or type(inner).__name__


def _plain_function(function: Any) -> Any:
    """What tells the kind: the function itself, or the `__call__` of an object."""
    function = unwrap_partial(function)
    if inspect.isroutine(function) or hasattr(function, "__code__"):
        return function
    return type(function).__call__


def _plain(function: Callable[..., Any], open_passage: Opener) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        passage = open_passage(args, kwargs).wait()
        try:
            passage.resume()
            result = function(*args, **kwargs)
        except BaseException as error:
            passage.pause()
            passage.close(error)
            raise
        passage.pause()
        follow = FOLLOW.get(cast("type[Any]", type(result)))
        if follow is not None:
            return follow(result, passage, lambda: call(*args, **kwargs))
        passage.close(result=result)
        return result

    return call


def _coroutine(function: Callable[..., Any], open_passage: Opener) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        passage = await open_passage(args, kwargs).wait_async()
        try:
            passage.resume()
            result = await function(*args, **kwargs)
        except BaseException as error:
            passage.pause()
            passage.close(error)
            raise
        passage.pause()
        follow = FOLLOW.get(cast("type[Any]", type(result)))
        if follow is not None:
            # Awaited again, the same call gives a coroutine, which nothing that decorates could enter.
            return follow(result, passage, only_once)
        passage.close(result=result)
        return result

    return call


def _async_stream(function: Callable[..., Any], open_passage: Opener) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        # Refused here; a person is asked, if need be, before the first item, where the loop can wait.
        return drive_async(functools.partial(function, *args, **kwargs), open_passage(args, kwargs))

    return call


class _Functionlike:
    """
    A callable that `inspect` takes for the generator function it wraps.

    A function that is not a generator function cannot say that it is one, and one that is could not refuse
    before its first item. So this has what `inspect` looks at, and binds to instances as functions do.
    """

    # INVARIANT: what it calls stands in a slot. `update_wrapper` copies the `__dict__` of what it wraps, which
    # may be another of these, and must never replace this guard by that one.
    __slots__ = ("__dict__", "__weakref__", "_call")

    def __init__(self, kind: Any, call: Callable[..., Any]) -> None:
        self.__code__ = kind.__code__
        self.__defaults__ = kind.__defaults__
        self.__kwdefaults__ = kind.__kwdefaults__
        self.__annotations__ = getattr(kind, "__annotations__", {})
        self._call = call

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(*args, **kwargs)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    def __repr__(self) -> str:
        return f"<guarded {self.__wrapped__!r}>"  # type: ignore[attr-defined]  # set by update_wrapper

    def __reduce__(self) -> str:
        # As functions do: by name.
        return self.__qualname__  # type: ignore[attr-defined]  # set by update_wrapper
