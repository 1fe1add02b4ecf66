"""Guarded calls that are recorded. The yardstick is a hand-written span with ten attributes around the body."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from agentid import Authority, Guard, requires
from agentid.errors import AccessDeniedError
from benchmarks.calls import Refused, bare, catch, repeat
from benchmarks.harness import Case, Suite

__all__ = ["suites"]


class Counting(SpanProcessor):
    """Counts finished spans, so that a figure never comes from spans that were not made."""

    def __init__(self) -> None:
        self.ended = 0

    def on_end(self, span: ReadableSpan) -> None:
        """Count."""
        self.ended += 1


class Nowhere(SpanExporter):
    """An exporter that does nothing: what is measured is the caller's side."""

    def export(self, spans: Any) -> SpanExportResult:
        """Forget them."""
        return SpanExportResult.SUCCESS


def by_hand(tracer: Any, function: Callable[[str], Any]) -> Callable[[str], Any]:
    """What one would write without this library."""

    def call(customer_id: str) -> Any:
        with tracer.start_as_current_span(
            "execute_tool bare",
            attributes={
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": "bare",
                "gen_ai.tool.type": "function",
                "gen_ai.agent.name": "bench-bot",
                "gen_ai.agent.id": "spiffe://bench.example/agent/bench-bot",
                "app.owner": "team:bench",
                "app.decision": "allow",
                "app.permission": f"read:crm/customers/{customer_id}",
                "app.dataset": f"crm/customers/{customer_id}",
                "app.operation": "read",
            },
        ):
            return function(customer_id)

    return call


def refuse(customer_id: str) -> str:
    """Raise, as a hand-written check inside a span would."""
    raise Refused(customer_id)


def _suite(name: str, provider: TracerProvider, *, target: float | None) -> Suite:
    authority = Authority.create("bench.example")
    agent = authority.issue("bench-bot", allow=["read:crm/customers/*"], owner="team:bench")
    guard = Guard(authority.trust, tracer_provider=provider)
    tracer = provider.get_tracer("bench")
    guarded = requires("read:crm/customers/{customer_id}")(bare)
    denied = requires("delete:crm/customers/{customer_id}")(bare)

    @contextmanager
    def acting() -> Generator[None, None, None]:
        with guard.acting_as(agent):
            yield
        provider.shutdown()

    return Suite(
        name,
        [
            Case("span by hand", repeat(by_hand(tracer, bare))),
            Case("guarded and recorded", repeat(guarded), "span by hand", target),
            Case("raise inside a span by hand", catch(by_hand(tracer, refuse), Refused)),
            Case("guarded, denied and recorded", catch(denied, AccessDeniedError), "raise inside a span by hand", 0.15),
        ],
        around=acting,
    )


def suites() -> list[Suite]:
    """The suites of this subject."""
    counted = TracerProvider(shutdown_on_exit=False)
    counted.add_span_processor(Counting())
    batched = TracerProvider(shutdown_on_exit=False)
    # Large enough that nothing is dropped while a round lasts: dropping is cheaper than keeping.
    batched.add_span_processor(BatchSpanProcessor(Nowhere(), max_queue_size=2**16, max_export_batch_size=4096))
    return [
        _suite("recorded call, own processor", counted, target=0.6),
        _suite("recorded call, batch processor", batched, target=0.6),
    ]
