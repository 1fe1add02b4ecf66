"""
Lazy results: a coroutine, a generator, an async generator or a context manager whose body runs later.

Each is followed to its end through the `Passage` of the call that made it, item by item. What is sent,
thrown in or closed reaches the body, and what the body answers reaches the caller, as without any of this.

The agent, session or span that a body leaves current when it yields is current again when it goes on, and
never seen by its caller.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from agentid.errors import ConfigurationError

if TYPE_CHECKING:
    from agentid.guard.calls import Opening

__all__ = ["FOLLOW", "Passage", "drive_async", "only_once"]


class Passage(Protocol):
    """One pass through a body."""

    def check(self) -> None:
        """Raise if the body may not go on."""
        ...

    def resume(self) -> None:
        """The body runs from here."""
        ...

    def pause(self) -> None:
        """The caller runs from here; without a `resume` before it, nothing changes."""
        ...

    def close(self, error: BaseException | None = None, result: Any = None) -> None:
        """The body is over; only the first call counts."""
        ...


Again = Callable[[], Any]
"""Makes the same call once more, decided and recorded as a call of its own."""


def only_once() -> Any:
    """Stands for a call that cannot be made again."""
    raise ConfigurationError(
        "a context manager that a tool returned was used as a decorator",
        why="the call that it stands for was decided once, and not for each call of the decorated function",
        fix="Enter it where it is needed, or guard the function that makes it",
    )


async def _follow_coroutine(body: Coroutine[Any, Any, Any], passage: Passage, _again: Again) -> Any:
    with _part(passage):
        try:
            passage.check()
        except BaseException:
            body.close()  # otherwise Python complains that nobody awaited it
            raise
        result = await body
    follow = FOLLOW.get(cast("type[Any]", type(result)))
    if follow is not None:
        return follow(result, passage, only_once)
    passage.close(result=result)
    return result


def _check(body: Generator[Any, Any, Any], passage: Passage) -> None:
    """Check, and where the body may not go on, let it clean up: as its agent, whose calls are refused by now."""
    try:
        passage.check()
    except BaseException as refusal:
        passage.resume()
        try:
            body.close()
        except Exception as failure:
            raise refusal from failure  # whoever is refused learns that first
        finally:
            passage.pause()
        raise


def _drive(body: Generator[Any, Any, Any], passage: Passage) -> Generator[Any, Any, Any]:
    """
    Run a generator item by item, each after a check.

    What is thrown in, to close it for example, always reaches the body: it may have to clean up. A body that
    wants to go on after that is checked before its item leaves it.
    """
    step: Callable[[Any], Any] = body.send
    value: Any = None
    thrown = closing = False
    try:
        while True:
            if not thrown:
                _check(body, passage)
            try:
                passage.resume()
                item = step(value)
            except StopIteration as stop:
                result = stop.value
                break
            finally:
                passage.pause()
                value = None  # an exception that was thrown in must not keep itself alive
            if thrown:
                _check(body, passage)
            try:
                step, value, thrown, closing = body.send, (yield item), False, False
            except BaseException as error:  # noqa: BLE001 -- handed on to the body, whose business it is
                step, value, thrown, closing = body.throw, error, True, isinstance(error, GeneratorExit)
    except BaseException as error:
        passage.close(error)
        raise
    passage.close(GeneratorExit() if closing else None)
    return result


@types.coroutine
def _drive_awaitable(body: Generator[Any, Any, Any], passage: Passage) -> Generator[Any, Any, Any]:
    """The same for a generator that may be awaited, as `types.coroutine` makes them."""
    return (yield from _drive(body, passage))


def _follow_generator(body: types.GeneratorType[Any, Any, Any], passage: Passage, _again: Again) -> Any:
    can_await = body.gi_code.co_flags & inspect.CO_ITERABLE_COROUTINE
    return _drive_awaitable(body, passage) if can_await else _drive(body, passage)


async def drive_async(make_body: Callable[[], AsyncGenerator[Any, Any]], opening: Opening) -> AsyncGenerator[Any, Any]:
    """The same for an async generator, which is made where its first item is wanted."""
    passage = await opening.wait_async()
    body: AsyncGenerator[Any, Any] | None = None
    step: Callable[[Any], Awaitable[Any]] | None = None
    value: Any = None
    thrown = closing = False
    try:
        while True:
            if not thrown:
                await _check_async(body, passage)
            try:
                passage.resume()
                if body is None or step is None:
                    body = make_body()
                    step = body.asend
                item = await step(value)
            except StopAsyncIteration:
                break
            finally:
                passage.pause()
                value = None
            if thrown:
                await _check_async(body, passage)
            try:
                step, value, thrown, closing = body.asend, (yield item), False, False
            except BaseException as error:  # noqa: BLE001 -- handed on to the body, whose business it is
                step, value, thrown, closing = body.athrow, error, True, isinstance(error, GeneratorExit)
    except BaseException as error:
        passage.close(error)
        raise
    passage.close(GeneratorExit() if closing else None)


async def _check_async(body: AsyncGenerator[Any, Any] | None, passage: Passage) -> None:
    try:
        passage.check()
    except BaseException as refusal:
        passage.resume()
        try:
            if body is not None:
                await body.aclose()
        except Exception as failure:
            raise refusal from failure
        finally:
            passage.pause()
        raise


class _Ready:
    """An opening that waits for nothing."""

    __slots__ = ("_passage",)

    def __init__(self, passage: Passage) -> None:
        self._passage = passage

    def wait(self) -> Passage:
        return self._passage

    async def wait_async(self) -> Passage:
        return self._passage


def _follow_async(body: AsyncGenerator[Any, Any], passage: Passage, _again: Again) -> AsyncGenerator[Any, Any]:
    return drive_async(lambda: body, _Ready(passage))


@contextmanager
def _part(passage: Passage) -> Generator[None, None, None]:
    """Run a part of a body; what it raises is the end of all of it."""
    try:
        passage.resume()
        yield
    except BaseException as error:
        passage.pause()
        passage.close(error)
        raise
    passage.pause()


class _Context(AbstractContextManager[Any, Any]):
    """A context manager whose body runs through a passage; the block inside is its caller's."""

    def __init__(self, inner: AbstractContextManager[Any, Any], passage: Passage, again: Again) -> None:
        self._inner = inner
        self._passage = passage
        self._again = again

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        again = self._again  # entered for each call of *function*, and so decided for each

        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with again():
                return function(*args, **kwargs)

        return inside

    def __enter__(self) -> Any:
        with _part(self._passage):
            self._passage.check()
            return self._inner.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> bool | None:
        with _part(self._passage):
            handled = self._inner.__exit__(kind, error, trace)
        self._passage.close(None if handled else error)
        return handled


class _AsyncContext(AbstractAsyncContextManager[Any, Any]):
    """The same, async."""

    def __init__(self, inner: AbstractAsyncContextManager[Any, Any], passage: Passage, again: Again) -> None:
        self._inner = inner
        self._passage = passage
        self._again = again

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        again = self._again  # entered for each call of *function*, and so decided for each

        @functools.wraps(function)
        async def inside(*args: Any, **kwargs: Any) -> Any:
            async with again():
                return await function(*args, **kwargs)

        return inside

    async def __aenter__(self) -> Any:
        with _part(self._passage):
            self._passage.check()
            return await self._inner.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> bool | None:
        with _part(self._passage):
            handled = await self._inner.__aexit__(kind, error, trace)
        self._passage.close(None if handled else error)
        return handled


@contextmanager
def _sample() -> Generator[None, None, None]:
    yield


@asynccontextmanager
async def _async_sample() -> AsyncGenerator[None, None]:
    yield


FOLLOW: Final[Mapping[type, Callable[[Any, Passage, Again], Any]]] = types.MappingProxyType(
    {
        types.CoroutineType: _follow_coroutine,
        types.GeneratorType: _follow_generator,
        types.AsyncGeneratorType: _follow_async,
        # What `contextmanager` makes: lazy like a generator, and recognised by its type.
        type(_sample()): _Context,
        type(_async_sample()): _AsyncContext,
    }
)
