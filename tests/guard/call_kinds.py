"""
Every kind of call, as a table: how a tool of that kind is written, and how its result is used.

`build(guarded, act)` writes a tool of a kind, guarded by *guarded*, whose body calls `act(x)` once.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import wrapt

from agentid.guard.session import acting

REQUIREMENT = "read:crm/customers/{x}"


# --- the kinds -------------------------------------------------------------------------------------------------------


async def settle(value: Any) -> Any:
    """What an async body does with what `act` gave: it may have to be awaited."""
    await asyncio.sleep(0)
    return await value if inspect.isawaitable(value) else value


def function(guarded, act):
    @guarded
    def tool(x):
        return act(x)

    return tool


def coroutine(guarded, act):
    @guarded
    async def tool(x):
        return await settle(act(x))

    return tool


def generator(guarded, act):
    @guarded
    def tool(x):
        value = act(x)
        yield value
        yield value

    return tool


def async_generator(guarded, act):
    @guarded
    async def tool(x):
        value = await settle(act(x))
        yield value
        yield value

    return tool


def method(guarded, act):
    class Tools:
        @guarded
        def tool(self, x):
            assert isinstance(self, Tools)
            return act(x)

    return Tools().tool


def async_method(guarded, act):
    class Tools:
        @guarded
        async def tool(self, x):
            return await settle(act(x))

    return Tools().tool


def generator_method(guarded, act):
    class Tools:
        @guarded
        def tool(self, x):
            assert isinstance(self, Tools)
            value = act(x)
            yield value
            yield value

    return Tools().tool


def async_generator_method(guarded, act):
    class Tools:
        @guarded
        async def tool(self, x):
            value = await settle(act(x))
            yield value
            yield value

    return Tools().tool


def guard_in_classmethod(guarded, act):
    class Tools:
        @classmethod
        @guarded
        def tool(cls, x):
            assert cls is Tools
            return act(x)

    return Tools.tool


def guard_over_classmethod(guarded, act):
    class Tools:
        @guarded
        @classmethod
        def tool(cls, x):
            assert cls is Tools
            return act(x)

    return Tools().tool


def guard_over_generator_classmethod(guarded, act):
    class Tools:
        @guarded
        @classmethod
        def tool(cls, x):
            assert cls is Tools
            value = act(x)
            yield value
            yield value

    return Tools.tool


def guard_in_staticmethod(guarded, act):
    class Tools:
        @staticmethod
        @guarded
        def tool(x):
            return act(x)

    return Tools.tool


def guard_over_staticmethod(guarded, act):
    class Tools:
        @guarded
        @staticmethod
        def tool(x):
            return act(x)

    return Tools().tool


def guard_over_coroutine_staticmethod(guarded, act):
    class Tools:
        @guarded
        @staticmethod
        async def tool(x):
            return await settle(act(x))

    return Tools.tool


def partial(guarded, act):
    def tool(prefix, x):
        assert prefix == "prefix"
        return act(x)

    return guarded(functools.partial(tool, "prefix"))


def partial_of_coroutine(guarded, act):
    async def tool(prefix, x):
        return await settle(act(x))

    return guarded(functools.partial(tool, "prefix"))


def partial_of_generator(guarded, act):
    def tool(prefix, x):
        value = act(x)
        yield value
        yield value

    return guarded(functools.partial(functools.partial(tool), "prefix"))


def callable_object(guarded, act):
    class Tool:
        def __call__(self, x):
            return act(x)

    return guarded(Tool())


def async_callable_object(guarded, act):
    class Tool:
        async def __call__(self, x):
            return await settle(act(x))

    return guarded(Tool())


def generator_object(guarded, act):
    class Tool:
        def __call__(self, x):
            value = act(x)
            yield value
            yield value

    return guarded(Tool())


def bound_method(guarded, act):
    class Tools:
        def tool(self, x):
            return act(x)

    return guarded(Tools().tool)


def through_wraps(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


@wrapt.decorator
def through_wrapt(wrapped, instance, args, kwargs):
    return wrapped(*args, **kwargs)


def wrapped(build, through):
    """Let *through* decorate the body of *build* before it is guarded."""

    def made(guarded, act):
        return build(lambda body: guarded(through(body)), act)

    made.__name__ = f"{build.__name__}_{through.__name__}"
    return made


def decorated(build, through):
    """Let *through* decorate what *build* has guarded."""

    def made(guarded, act):
        return through(build(guarded, act))

    made.__name__ = f"{through.__name__}_over_{build.__name__}"
    return made


def returns_coroutine(guarded, act):
    async def work(x):
        return await settle(act(x))

    @guarded
    def tool(x):
        return work(x)

    return tool


def returns_generator(guarded, act):
    def work(x):
        value = act(x)
        yield value
        yield value

    @guarded
    def tool(x):
        return work(x)

    return tool


def returns_async_generator(guarded, act):
    async def work(x):
        value = await settle(act(x))
        yield value
        yield value

    @guarded
    def tool(x):
        return work(x)

    return tool


def guard_over_contextmanager(guarded, act):
    @guarded
    @contextmanager
    def tool(x):
        yield act(x)

    return tool


def contextmanager_over_guard(guarded, act):
    @contextmanager
    @guarded
    def tool(x):
        yield act(x)

    return tool


def guard_over_asynccontextmanager(guarded, act):
    @guarded
    @asynccontextmanager
    async def tool(x):
        yield await settle(act(x))

    return tool


def asynccontextmanager_over_guard(guarded, act):
    @asynccontextmanager
    @guarded
    async def tool(x):
        yield await settle(act(x))

    return tool


# --- how the result of each is used ----------------------------------------------------------------------------------


def use_value(result):
    return result


def use_stream(result):
    first, second = result
    assert first is second
    return first


def use_context(result):
    with result as value:
        return value


async def use_awaitable(result):
    return await result


async def use_async_stream(result):
    first, second = [item async for item in result]
    assert first is second
    return first


async def use_async_context(result):
    async with result as value:
        return value


@dataclass
class Kind:
    """
    One kind of call.

    `build(guarded, act)` is a tool of that kind, whose body calls `act(x)` once; `use` runs the result of a
    call to its end. Where `lazy`, the body only runs then.
    """

    build: Callable[..., Callable[[Any], Any]]
    use: Callable[[Any], Any] | Callable[[Any], Awaitable[Any]]
    lazy: bool

    @property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(self.use)

    def run(self, tool, x):
        """Call, and run to the end."""
        if not self.is_async:
            return self.use(tool(x))

        async def main():
            # The refusal of an async generator is raised by the call, and that of a coroutine when awaited.
            return await self.use(tool(x))

        return asyncio.run(main())

    async def run_async(self, tool, x):
        result = self.use(tool(x))
        return await result if self.is_async else result


VALUES = [
    *(function, method, guard_in_classmethod, guard_over_classmethod, guard_in_staticmethod, guard_over_staticmethod),
    *(partial, callable_object, bound_method, wrapped(function, through_wraps), wrapped(function, through_wrapt)),
    *(decorated(function, through_wraps), decorated(function, through_wrapt)),
]
AWAITABLES = [
    *(coroutine, async_method, guard_over_coroutine_staticmethod, partial_of_coroutine, async_callable_object),
    *(wrapped(coroutine, through_wrapt), decorated(coroutine, through_wrapt), decorated(coroutine, through_wraps)),
]
COROUTINES_FOLLOWED = [returns_coroutine, wrapped(coroutine, through_wraps)]
STREAMS = [
    *(generator, generator_method, guard_over_generator_classmethod, partial_of_generator, generator_object),
    *(returns_generator, wrapped(generator, through_wraps), wrapped(generator, through_wrapt)),
    *(decorated(generator, through_wraps), decorated(generator, through_wrapt)),
]
ASYNC_STREAMS = [
    *(async_generator, async_generator_method, returns_async_generator),
    *(wrapped(async_generator, through_wraps), wrapped(async_generator, through_wrapt)),
]
CONTEXTS = [guard_over_contextmanager, contextmanager_over_guard]
ASYNC_CONTEXTS = [guard_over_asynccontextmanager, asynccontextmanager_over_guard]

KINDS = [
    *(Kind(build, use_value, lazy=False) for build in VALUES),
    *(Kind(build, use_awaitable, lazy=False) for build in AWAITABLES),
    *(Kind(build, use_awaitable, lazy=True) for build in COROUTINES_FOLLOWED),
    *(Kind(build, use_stream, lazy=True) for build in STREAMS),
    *(Kind(build, use_async_stream, lazy=True) for build in ASYNC_STREAMS),
    *(Kind(build, use_context, lazy=True) for build in CONTEXTS),
    *(Kind(build, use_async_context, lazy=True) for build in ASYNC_CONTEXTS),
]


def each(kinds):
    return pytest.mark.parametrize("kind", kinds, ids=[kind.build.__name__ for kind in kinds])


each_kind = each(KINDS)
each_lazy_kind = each([kind for kind in KINDS if kind.lazy])
each_async_kind = each([kind for kind in KINDS if kind.is_async])
each_stream = each([kind for kind in KINDS if kind.use is use_stream])
each_async_stream = each([kind for kind in KINDS if kind.use is use_async_stream])
each_context = each([kind for kind in KINDS if kind.use in {use_context, use_async_context}])


class Body:
    """What a body does: it notes that it ran, as whom, and in which span."""

    def __init__(self, then: Callable[[Any], Any] | None = None):
        self.ran: list[Any] = []
        self.as_whom: list[str] = []
        self._then = then

    def __call__(self, x):
        self.ran.append(x)
        session = acting.get()
        self.as_whom.append(session.agent.name if session else "nobody")
        return f"found {x}" if self._then is None else self._then(x)
