"""A guarded function has exactly the type that it has without its guard."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from typing import Any

from typing_extensions import assert_type

from agentid import Guard, Resource, propagate, requires
from agentid.guard import Session


@requires("read:crm/customers/{customer_id}")
def function(customer_id: str, *, full: bool = False) -> dict[str, str]:
    return {customer_id: str(full)}


@requires("read:crm/customers/{customer_id}")
async def coroutine(customer_id: str) -> int:
    return len(customer_id)


@requires("read:crm/customers/{ids}")
def generator(ids: list[str]) -> Generator[str, int, bool]:
    got = yield ids[0]
    return got > 1


@requires("read:crm/customers/{ids}")
def iterator(ids: list[str]) -> Iterator[str]:
    yield from ids


@requires("read:crm/customers/{ids}")
async def async_generator(ids: list[str]) -> AsyncGenerator[str, None]:
    for one in ids:
        yield one


@requires("read:crm/customers/{ids}")
async def async_iterator(ids: list[str]) -> AsyncIterator[str]:
    for one in ids:
        yield one


@requires("write:db/{name}")
@contextmanager
def outside(name: str) -> Generator[int, None, None]:
    yield len(name)


@contextmanager
@requires("write:db/{name}")
def inside(name: str) -> Generator[int, None, None]:
    yield len(name)


@requires("write:db/{name}")
@asynccontextmanager
async def async_outside(name: str) -> AsyncGenerator[int, None]:
    yield len(name)


@asynccontextmanager
@requires("write:db/{name}")
async def async_inside(name: str) -> AsyncGenerator[int, None]:
    yield len(name)


@requires("write:mail/outbox/{to}", "write:mail/outbox/{cc}", sinks={"to", "cc"})
def several(to: str, cc: str | None = None) -> None: ...


def by_url(url: str) -> str:
    return f"read:{url}"


def by_name(url: str) -> tuple[str, Resource]:
    return "read", Resource.parse(url)


@requires(by_url, by_name)
def computed(url: str) -> bytes:
    return url.encode()


class Tools:
    @requires("read:crm/{name}")
    def method(self, name: str) -> int:
        return len(name)

    @classmethod
    @requires("read:crm/{name}")
    def in_classmethod(cls, name: str) -> int:
        return len(name)

    @requires("read:crm/{name}")
    @classmethod
    def over_classmethod(cls, name: str) -> int:
        return len(name)

    @staticmethod
    @requires("read:crm/{name}")
    def in_staticmethod(name: str) -> int:
        return len(name)

    @requires("read:crm/{name}")
    @staticmethod
    def over_staticmethod(name: str) -> int:
        return len(name)


class Tool:
    def __call__(self, name: str) -> int:
        return len(name)


def twice(kind: str, name: str) -> str:
    return kind + name


async def check(guard: Guard, session: Session) -> None:
    assert_type(function("c-1", full=True), dict[str, str])
    assert_type(await coroutine("c-1"), int)
    assert_type(generator(["c-1"]), Generator[str, int, bool])
    assert_type(iterator(["c-1"]), Iterator[str])
    assert_type(async_generator(["c-1"]), AsyncGenerator[str, None])
    assert_type(async_iterator(["c-1"]), AsyncIterator[str])
    with outside("a") as one, inside("b") as two:
        assert_type(one, int)
        assert_type(two, int)
    async with async_outside("a") as three, async_inside("b") as four:
        assert_type(three, int)
        assert_type(four, int)
    assert_type(several("ada"), None)
    assert_type(computed("x"), bytes)
    tools = Tools()
    assert_type(tools.method("x"), int)
    assert_type(Tools.in_classmethod("x"), int)
    assert_type(Tools.over_classmethod("x"), int)
    assert_type(Tools.in_staticmethod("x"), int)
    assert_type(tools.over_staticmethod("x"), int)
    assert_type(requires("read:crm/{name}")(Tool())("x"), int)
    assert_type(requires("read:{kind}/{name}")(functools.partial(twice, "crm"))("x"), str)

    # Handed over, likewise.
    taken: Callable[[str], Coroutine[Any, Any, int]] = propagate(coroutine)
    assert_type(await taken("c-1"), int)
    assert_type(session.bind(function)("c-1"), dict[str, str])
    assert_type(session.bind(generator)(["c-1"]), Generator[str, int, bool])
    context: AbstractContextManager[int] = session.bind(outside)("a")
    async_context: AbstractAsyncContextManager[int] = session.bind(async_outside)("a")
    del context, async_context
    assert isinstance(guard, Guard)
