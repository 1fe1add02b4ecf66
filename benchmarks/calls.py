"""Guarded calls that nobody records: the hot path. The yardstick is a closure that does nothing but call."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from agentid import Authority, Guard, at_most, requires
from agentid.errors import AccessDeniedError
from agentid.permission import Permission
from benchmarks.harness import Case, Suite

__all__ = ["suites"]


def closure(function: Callable[..., Any]) -> Callable[..., Any]:
    """The least that any decorator costs."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return call


def async_closure(function: Callable[..., Any]) -> Callable[..., Any]:
    """The least that any decorator of a coroutine function costs."""

    async def call(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    return call


def bare(customer_id: str, amount: int = 0) -> str:
    """A tool's body that does nothing."""
    return customer_id


async def async_bare(customer_id: str) -> str:
    """A coroutine that does nothing."""
    return customer_id


class Refused(Exception):
    """For the yardstick of denials."""


def refuse(customer_id: str) -> str:
    """Raise, as a hand-written check would."""
    raise Refused(customer_id)


def repeat(function: Callable[[str], Any], value: str = "c-42") -> Callable[[int], None]:
    """Call again and again with one value."""

    def batch(count: int) -> None:
        for _ in range(count):
            function(value)

    return batch


def vary(function: Callable[[str], Any]) -> Callable[[int], None]:
    """Call with a value that was never seen before, again and again."""
    seen = 0

    def batch(count: int) -> None:
        nonlocal seen
        values = [f"c-{number}" for number in range(seen, seen + count)]
        seen += count
        for value in values:
            function(value)

    return batch


def catch(function: Callable[[str], Any], error: type[Exception]) -> Callable[[int], None]:
    """Call and catch, again and again."""

    def batch(count: int) -> None:
        for _ in range(count):
            try:
                function("c-42")
            except error:
                pass

    return batch


def awaiting(function: Callable[[str], Any]) -> Callable[[int], None]:
    """Await again and again, driven by hand: an event loop would cost more than what is measured."""

    async def many(count: int) -> None:
        for _ in range(count):
            await function("c-42")

    def batch(count: int) -> None:
        try:
            many(count).send(None)
        except StopIteration:
            return

    return batch


def suites() -> list[Suite]:
    """The suites of this subject."""
    authority = Authority.create("bench.example")
    agent = authority.issue(
        "bench-bot",
        allow=[
            "read:crm/customers/*",
            "execute:jobs/nightly",
            Permission.parse("write:bank/transfers/*").where(amount=at_most(100)),
        ],
    )
    guard = Guard(authority.trust)

    def acting() -> AbstractContextManager[Any]:
        return guard.acting_as(agent)

    scope = requires("execute:jobs/nightly")(bare)
    resource = requires("read:crm/customers/{customer_id}")(bare)
    constrained = requires("write:bank/transfers/{customer_id}")(bare)
    denied = requires("delete:crm/customers/{customer_id}")(bare)
    coroutine = requires("read:crm/customers/{customer_id}")(async_bare)
    megabyte = "x" * 1_000_000

    def with_body(count: int) -> None:
        for _ in range(count):
            constrained("c-42", 5)

    def large(count: int) -> None:
        for _ in range(count):
            scope(megabyte)

    closed = closure(bare)
    allowed = Suite(
        "allowed call, nobody records",
        [
            Case("bare call", repeat(bare), "do-nothing closure"),
            Case("do-nothing closure", repeat(closed)),
            Case("guarded, scope only", repeat(scope), "do-nothing closure", 2.5),
            Case("guarded, resource", repeat(resource), "do-nothing closure", 4.0),
            Case("guarded, resource + one constraint", with_body, "do-nothing closure", 4.0),
            Case("guarded, resource never seen before", vary(resource), "do-nothing closure", note="fills a cache"),
            Case("guarded, scope only, 1 MB argument", large, "do-nothing closure", 2.5),
        ],
        around=acting,
    )
    coroutines = Suite(
        "allowed coroutine, nobody records",
        [
            Case("do-nothing async closure", awaiting(async_closure(async_bare))),
            Case("guarded coroutine", awaiting(coroutine), "do-nothing async closure", 2.5),
        ],
        around=acting,
    )
    denials = Suite(
        "denied call, nobody records",
        [
            Case("bare raise and catch", catch(closure(refuse), Refused)),
            Case("guarded, denied", catch(denied, AccessDeniedError), "bare raise and catch", 4.0),
        ],
        around=acting,
    )
    return [allowed, coroutines, denials]
