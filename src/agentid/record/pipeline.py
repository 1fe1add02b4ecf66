"""
A tracer provider for programs that this library itself runs, such as the demo.

Only `agentid run` makes it the global one.

With `OTEL_EXPORTER_OTLP_ENDPOINT` (or the one for traces alone) in the environment, spans also go there, by
the exporter of the `otlp` extra, which reads its other settings from the environment too.

- Every span is recorded, whatever sampler the environment names: what is shown must be all that happened.
- A collector that does not answer holds nobody up: closing waits for it a few seconds at most.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from agentid.errors import ConfigurationError, MissingExtraError, quote

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span

__all__ = ["Pipeline", "SpanNode", "is_web_address", "otlp_endpoint", "sdk_is_disabled"]

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_LOGIN: Final = re.compile(r"(^|//)[^/]*@")
_WEB: Final = re.compile(r"https?://[A-Za-z0-9\[]")
_PATIENCE: Final = 3.0  # seconds, for a collector that does not answer


@dataclass
class SpanNode:
    """
    A finished span with those below it, as plain values.

    Attributes:
        name: Of the span.
        trace_id: 32 hexadecimal digits.
        span_id: 16 hexadecimal digits.
        attributes: As recorded.
        start_ns: Nanoseconds since 1970.
        duration_ns: How long it took.
        failed: Whether its status is an error.
        children: In the order in which they began.
    """

    name: str
    trace_id: str
    span_id: str
    attributes: dict[str, Any]
    start_ns: int
    duration_ns: int
    failed: bool
    children: list[SpanNode] = field(default_factory=list["SpanNode"])


class _Trees(SpanProcessor):
    """Puts finished spans together and hands each tree on when its root ends."""

    def __init__(self, on_tree: Callable[[SpanNode], None]) -> None:
        self._on_tree = on_tree
        self._open: set[int] = set()
        self._waiting: dict[int, list[SpanNode]] = {}

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 -- as the SDK calls it
        """Note it, to know later which spans lie below one of ours."""
        self._open.add(span.get_span_context().span_id)

    def on_end(self, span: ReadableSpan) -> None:
        """Take a finished span."""
        context = span.get_span_context()
        trace_id, span_id = (context.trace_id, context.span_id) if context is not None else (0, 0)
        start, end = span.start_time or 0, span.end_time or 0
        node = SpanNode(
            name=span.name,
            trace_id=format(trace_id, "032x"),
            span_id=format(span_id, "016x"),
            attributes=dict(span.attributes or {}),
            start_ns=start,
            duration_ns=end - start,
            failed=not span.status.is_ok and not span.status.is_unset,
            children=sorted(self._waiting.pop(span_id, []), key=lambda child: child.start_ns),
        )
        self._open.discard(span_id)
        if span.parent is not None and span.parent.span_id in self._open:
            self._waiting.setdefault(span.parent.span_id, []).append(node)
        else:
            self._on_tree(node)


class _Counting(SpanExporter):
    """Another exporter, and how many spans it got across."""

    def __init__(self, inner: SpanExporter, exporting: Callable[[], AbstractContextManager[None]]) -> None:
        self._inner = inner
        self._exporting = exporting
        self.sent = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export, and count."""
        with self._exporting():
            result = self._inner.export(spans)
        if result is SpanExportResult.SUCCESS:
            self.sent += len(spans)
        return result

    def shutdown(self) -> None:
        """Give up what is still on its way."""
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is kept back here."""
        return self._inner.force_flush(timeout_millis)


class Pipeline:
    """
    A tracer provider, and where its spans go.

    Args:
        service: The `service.name` of its spans, unless the environment names another.
        on_tree: Called with each tree of spans when its root ends.
        exporting: A block in which spans are sent, in whatever thread that happens.

    Attributes:
        provider: To be passed as `tracer_provider` to a guard.
        endpoint: Where spans are also sent, fit to be shown; empty if nowhere.

    Raises:
        ConfigurationError: The environment switches OpenTelemetry off, or sets it up in a way that it refuses.
        MissingExtraError: The environment names an OTLP endpoint, and the exporter is not installed.
    """

    def __init__(
        self,
        service: str,
        on_tree: Callable[[SpanNode], None] | None = None,
        *,
        exporting: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        if sdk_is_disabled():
            raise ConfigurationError(
                "no span can be recorded", why="OTEL_SDK_DISABLED is true", fix="Unset OTEL_SDK_DISABLED"
            )
        self.endpoint = otlp_endpoint()
        self._exporter: _Counting | None = None
        self._may_close = threading.Event()
        self._closer = self._new_closer()
        try:
            resource = Resource.create({SERVICE_NAME: os.environ.get("OTEL_SERVICE_NAME", service)})
            self.provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
            if on_tree is not None:
                self.provider.add_span_processor(_Trees(on_tree))
            if self.endpoint:
                self._exporter = _Counting(_otlp_exporter(self.endpoint), exporting)
                self.provider.add_span_processor(BatchSpanProcessor(self._exporter))
        except ValueError:
            # What it could not read may be a secret, such as a header.
            raise ConfigurationError(
                "OpenTelemetry refuses its settings",
                why="an environment variable that begins with OTEL_ has a value that it cannot read",
            ) from None

    def make_global(self) -> None:
        """Make it the tracer provider of everybody in this process."""
        trace.set_tracer_provider(self.provider)
        if self._exporter is not None:
            # What is global is closed at the very end of a program, when Python starts no more threads.
            self._closer.start()

    @property
    def sent(self) -> int:
        """How many spans have reached the endpoint."""
        return self._exporter.sent if self._exporter is not None else 0

    def close(self) -> None:
        """Send what is left, and wait a few seconds for it at most."""
        if self._exporter is None:
            self.provider.shutdown()
            return
        closing = self._closer
        try:
            if not closing.is_alive():  # also in a process that was forked off
                closing = self._new_closer()
                closing.start()
        except RuntimeError:
            self.provider.shutdown()
            return
        self._may_close.set()
        closing.join(_PATIENCE)
        if closing.is_alive():
            self._exporter.shutdown()
            closing.join(0.5)

    def _new_closer(self) -> threading.Thread:
        # A daemon: an exporter that tries again and again, or waits for an answer, must not keep the program alive.
        return threading.Thread(target=self._close_when_told, name="agentid-spans", daemon=True)

    def _close_when_told(self) -> None:
        self._may_close.wait()
        self.provider.shutdown()


def sdk_is_disabled() -> bool:
    """Whether the environment switches OpenTelemetry off."""
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def is_web_address(endpoint: str) -> bool:
    """Whether spans can be sent there: an address of http or https with a host."""
    return _WEB.match(endpoint) is not None


def otlp_endpoint() -> str:
    """Where the environment wants spans to be sent, without login and query, which are secrets; empty if nowhere."""
    found = next((os.environ[name] for name in _ENDPOINTS if os.environ.get(name)), "")
    return _LOGIN.sub(r"\1", found).partition("?")[0]


def _otlp_exporter(endpoint: str) -> SpanExporter:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError:
        raise MissingExtraError(
            f"spans cannot be sent to {quote(endpoint)}",
            why="the OTLP exporter is not installed",
            fix="In the checkout, run: pip install '.[otlp]'",
        ) from None
    return OTLPSpanExporter()
