"""One wrapped library: what is called, and the three ways in which it is called."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from opentelemetry.sdk.trace import TracerProvider

import agentid.access
from agentid import Authority, Guard
from agentid.access.installation import Installation
from benchmarks.harness import Batch, Case, NotMeasuredError, Suite
from benchmarks.spans import Counting

__all__ = ["ACTS", "BARE", "IDLE", "Way", "Wrapper"]

BARE, IDLE, ACTS = "bare", "wrapped, nobody acts", "decided and recorded"


@dataclass(frozen=True)
class Wrapper:
    """
    What one wrapper costs.

    Attributes:
        name: Of the library.
        what: What is done with it.
        files: Those that wrap it, as `LIBRARIES` of `agentid.access.installation` has them.
        place: Makes what is called, and gives where it is.
        allow: What an agent needs for it, there.
        client: Opens the library for that place, and gives what calls it so many times.
        needs: The modules without which it cannot be measured.
        spans: How many each call has, once it is decided.
        clock: CPU time of this thread, or of the process where the library works in others.
        per_batch_ns: How long to measure in one piece.
        also: What is to be wrapped besides.
    """

    name: str
    what: str
    files: tuple[str, ...]
    place: Callable[[], AbstractContextManager[Any]]
    allow: Callable[[Any], tuple[str, ...]]
    client: Callable[[Any], AbstractContextManager[Batch]]
    needs: tuple[str, ...] = ()
    spans: int = 1
    clock: Callable[[], int] = time.thread_time_ns
    per_batch_ns: int = 12_000_000
    also: Callable[[Installation], None] | None = None

    def suite(self) -> Suite:
        """Give the suite of its own."""
        world = World(self)
        bare, idle, acts = (Way(world, installed=i, acts=a) for i, a in ((False, False), (True, False), (True, True)))
        cases = [
            Case(BARE, bare.batch, around=bare.around),
            Case(IDLE, idle.batch, BARE, around=idle.around),
            Case(ACTS, acts.batch, BARE, around=acts.around),
        ]
        name = f"access: {self.name}: {self.what}"
        return Suite(name, cases, 5, self.per_batch_ns, around=world.around, clock=self.clock)


class World:
    """The place of one wrapper, and an agent that may do there what it needs."""

    def __init__(self, wrapper: Wrapper) -> None:
        self.wrapper = wrapper
        self.place: Any = None

    @contextmanager
    def around(self) -> Generator[None]:
        """Make what is called, and take it away."""
        for module in self.wrapper.needs:
            if find_spec(module) is None:
                raise NotMeasuredError(f"{module} is not installed")
        self.counted, provider = Counting(), TracerProvider()
        provider.add_span_processor(self.counted)
        authority = Authority.create("bench.example")
        self.guard = Guard(authority.trust, tracer_provider=provider)
        with self.wrapper.place() as self.place:
            self.agent = authority.issue("bench-bot", allow=self.wrapper.allow(self.place))
            yield


class Way:
    """One way of calling: bare, wrapped, or in a session. The client is made in the same way, which is not timed."""

    def __init__(self, world: World, *, installed: bool, acts: bool) -> None:
        self._world = world
        self._installed = installed
        self._acts = acts
        self._made = 0

    @contextmanager
    def around(self) -> Generator[None]:
        """Wrap and act as wanted, with a client that has been used; look whether each call had a span."""
        world, wrapper = self._world, self._world.wrapper
        with ExitStack() as stack:
            if self._installed:
                installation = agentid.access.install()
                stack.callback(installation.remove)
                if wrapper.also:
                    wrapper.also(installation)
            if self._acts:
                stack.enter_context(world.guard.acting_as(world.agent))
            self._call = stack.enter_context(wrapper.client(world.place))
            self._call(2)
            before, self._made = world.counted.ended, 0
            yield
            expected = wrapper.spans * self._made if self._acts else 0
            recorded = world.counted.ended - before
            if recorded != expected:
                raise RuntimeError(f"{wrapper.name}: {recorded} spans of {self._made} calls, not {expected}")

    def batch(self, count: int) -> None:
        """Call it so many times."""
        self._made += count
        self._call(count)
