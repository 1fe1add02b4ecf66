"""How a client is opened, called so many times, and closed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack, contextmanager
from typing import Any

from benchmarks.harness import Batch

__all__ = ["opens", "opens_async"]


def opens(make: Callable[[ExitStack, Any], Callable[[], Any]]) -> Callable[[Any], AbstractContextManager[Batch]]:
    """Give what opens a client by *make*, which gives a call of it; what it puts on the stack is closed in the end."""

    @contextmanager
    def opened(place: Any) -> Generator[Batch]:
        with ExitStack() as stack:
            call = make(stack, place)

            def batch(count: int) -> None:
                for _ in range(count):
                    call()

            yield batch

    return opened


def opens_async(
    make: Callable[[AsyncExitStack, Any], Awaitable[Callable[[], Awaitable[Any]]]],
) -> Callable[[Any], AbstractContextManager[Batch]]:
    """The same for a client that is awaited, in an event loop of its own."""

    @contextmanager
    def opened(place: Any) -> Generator[Batch]:
        loop = asyncio.new_event_loop()
        stack = AsyncExitStack()
        try:

            async def start() -> Callable[[], Awaitable[Any]]:
                return await make(stack, place)

            call = loop.run_until_complete(start())

            async def batch(count: int) -> None:
                for _ in range(count):
                    await call()

            yield lambda count: loop.run_until_complete(batch(count))
        finally:
            loop.run_until_complete(stack.aclose())
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    return opened
