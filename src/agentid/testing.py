"""
Help for testing guarded code: a real authority in memory, real signatures, real decisions, never a bypass.

```python
from agentid.testing import acting_as, assert_denied

def test_a_support_bot_reads_and_never_deletes():
    with acting_as(allow=["read:crm/customers/*"]) as acting:
        get_customer("c-42")
        with assert_denied(reason="scope_missing"):
            delete_customer("c-42")
    assert ["allow", "deny"] == [record.effect for record in acting.records]
```

With pytest the fixtures `agentid_authority`, `agentid_guard`, `agentid_records` and `agentid_spans` are
there without any import. Nothing here is loaded by a test run that does not use it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from agentid.errors import AccessDeniedError, Error

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from agentid.guard import Approver, Guard, Session
    from agentid.identity import Agent, Authority
    from agentid.permission import Permission
    from agentid.policy import Policy
    from agentid.record import AccessRecord, Audit, Phase

__all__ = ["Acting", "CapturedSpans", "MemoryAudit", "SteppingClock", "acting_as", "assert_denied", "capture_spans"]


class SteppingClock:
    """
    A clock that stands still until told otherwise.

    Args:
        now: Where it starts, seconds since 1970.
    """

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """The time, seconds since 1970."""
        return self.now

    def step(self, by: timedelta | float) -> None:
        """Move on by a duration, or by seconds."""
        self.now += by.total_seconds() if isinstance(by, timedelta) else by


class MemoryAudit:
    """
    Keeps what is written to it in a list, in order.

    Attributes:
        lines: Pairs of phase (`decision`, `outcome`) and record.
        broken: What to raise instead of writing, for testing what happens then.
    """

    def __init__(self) -> None:
        self.lines: list[tuple[Phase, AccessRecord]] = []
        self.broken: Exception | None = None

    def write(self, phase: Phase, record: AccessRecord) -> None:
        """Keep a copy of *record* as it is now."""
        from dataclasses import replace

        if self.broken is not None:
            raise self.broken
        self.lines.append((phase, replace(record)))


@dataclass
class Acting:
    """
    An agent at work in a test.

    Attributes:
        authority: Issued the agent; in memory.
        agent: Acts.
        guard: Enforces.
        session: Is open.
        records: One for each finished call, in order.
        spans: The finished spans.
        clock: Of the authority and the guard.
    """

    authority: Authority
    agent: Agent
    guard: Guard
    session: Session
    clock: SteppingClock
    captured: CapturedSpans
    records: list[AccessRecord] = field(default_factory=list["AccessRecord"])

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """The finished spans, in the order in which they ended."""
        return self.captured.spans


class CapturedSpans:
    """
    A tracer provider of its own, and what was recorded through it. The global provider is not touched.

    Attributes:
        provider: To be passed as `tracer_provider` to a guard.
    """

    def __init__(self) -> None:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self.provider: TracerProvider = TracerProvider(shutdown_on_exit=False)
        self._exporter: InMemorySpanExporter = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """The finished spans, in the order in which they ended."""
        return self._exporter.get_finished_spans()

    def attributes(self) -> list[dict[str, Any]]:
        """The attributes of each."""
        return [dict(span.attributes or {}) for span in self.spans]


@contextmanager
def capture_spans() -> Generator[CapturedSpans, None, None]:
    """Capture spans in memory; pass `.provider` to a guard."""
    captured = CapturedSpans()
    try:
        yield captured
    finally:
        captured.provider.shutdown()


@contextmanager
def acting_as(
    name: str = "test-agent",
    *,
    allow: Iterable[str | Permission] = (),
    ask: Iterable[str | Permission] = (),
    policy: Policy | None = None,
    approver: Approver | None = None,
    audit: Audit | None = None,
    task: str = "",
    ttl: timedelta = timedelta(hours=1),
) -> Generator[Acting, None, None]:
    """
    An agent acting under a guard, with everything real and in memory.

    Args:
        name: Of the agent.
        allow: What it may do.
        ask: What it may do once a person said yes.
        policy: The guard's own rules.
        approver: Is asked.
        audit: Gets decisions and outcomes.
        task: What the agent was asked to do.
        ttl: How long its credential lives.
    """
    from agentid.guard import Guard
    from agentid.identity import Authority

    clock = SteppingClock()
    authority = Authority.create("test.example", clock=clock)
    agent = authority.issue(name, allow=allow, ask=ask, ttl=ttl, owner="team:test")
    records: list[AccessRecord] = []
    with capture_spans() as captured:
        guard = Guard(
            authority.trust,
            policy=policy,
            approver=approver,
            audit=audit,
            observers=[records.append],
            tracer_provider=captured.provider,
        )
        with guard.acting_as(agent, task=task) as session:
            yield Acting(authority, agent, guard, session, clock, captured, records)


@contextmanager
def assert_denied(
    *, reason: str | None = None, error: type[Error] = AccessDeniedError
) -> Generator[Denial, None, None]:
    """
    Assert that the block is refused, for this *reason* if one is given.

    Args:
        reason: One word of `agentid.policy.REASONS`.
        error: The class of the refusal.

    Raises:
        AssertionError: The block ran to its end, or was refused for another reason.
    """
    denial = Denial()
    try:
        yield denial
    except error as refused:
        denial.error = refused
        found = getattr(getattr(refused, "decision", None), "reason", None)
        if reason is not None and found != reason:
            raise AssertionError(f"denied for {found!r} rather than {reason!r}: {refused}") from refused
        return
    raise AssertionError("nothing was denied: the block ran to its end")


class Denial:
    """
    What `assert_denied` caught.

    Attributes:
        error: The refusal; None while the block is running.
    """

    def __init__(self) -> None:
        self.error: Error | None = None
