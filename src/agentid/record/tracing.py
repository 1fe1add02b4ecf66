"""
Spans. One for each guarded call, and nothing at all when nobody records.

The provider is looked up when a session opens: while none is set, no OpenTelemetry call is made on behalf
of a tool. A span carries no argument, no result and no text of an exception, and a refusal formats no
stack trace.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import Token
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import Span, Status, StatusCode, Tracer, TracerProvider

from agentid._version import __version__
from agentid.record import attributes as names
from agentid.record.spans import Spans

if TYPE_CHECKING:
    from opentelemetry.context import Context

__all__ = ["OpenSpan", "Tracer", "TracerProvider", "Tracing", "add_event"]

Value = str | bool | int | float | tuple[str, ...]


class Tracing:
    """
    Where spans go.

    Args:
        provider: The tracer provider to use; by default whichever is global when a session opens. This
            library never sets one.
    """

    __slots__ = ("_provider", "_spans", "_tracer")

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._provider = provider
        self._tracer: Tracer | None = None
        self._spans: Spans | None = None

    def tracer(self) -> Tracer | None:
        """The tracer, or None while there is nobody to record for."""
        if self._tracer is None:
            provider = self._provider or trace.get_tracer_provider()
            if isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider):
                return None
            self._tracer = provider.get_tracer(names.SCOPE, __version__, names.SCHEMA_URL)
        return self._tracer

    def spans(self) -> Spans | None:
        """Templates of spans for the hot path, or None while there is nobody to record for."""
        tracer = self.tracer()
        if self._spans is None and tracer is not None:
            self._spans = Spans(tracer)
        return self._spans


class OpenSpan:
    """
    A span that can be made current and put aside again any number of times, and ends once.

    Args:
        span: Begun, with all that is known at the start, so that samplers see it.
    """

    __slots__ = ("_context", "_span", "_token")

    def __init__(self, span: Span) -> None:
        self._span = span
        self._context: Context = trace.set_span_in_context(span)
        self._token: Token[Any] | None = None

    @property
    def ids(self) -> tuple[str, str]:
        """Trace id and span id in hexadecimal."""
        found = self._span.get_span_context()
        return format(found.trace_id, "032x"), format(found.span_id, "016x")

    def resume(self) -> None:
        """Make it the current span."""
        self._token = otel_context.attach(self._context)

    def pause(self) -> None:
        """Make the span that was current before current again, in the context that it was resumed in."""
        token, self._token = self._token, None
        if token is not None:
            # What the body made current inside of this span, it finds again.
            self._context = otel_context.get_current()
            otel_context.detach(token)

    def set(self, attributes: Mapping[str, Value]) -> None:
        """Add attributes."""
        self._span.set_attributes(attributes)

    def end(self, error_type: str = "", end_ns: int | None = None) -> None:
        """
        End it.

        Args:
            error_type: The class of what ended it, if it failed. Without text: that could hold anything.
            end_ns: When, by the same clock that said when it began.
        """
        if error_type:
            self._span.set_attribute(names.ERROR_TYPE, error_type)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end(end_ns)


def add_event(name: str, attributes: Mapping[str, Value]) -> tuple[str, str]:
    """Add an event to the span that is current; gives its trace id and span id, empty where there is none."""
    span = trace.get_current_span()
    found = span.get_span_context()
    if not found.is_valid:
        return "", ""
    span.add_event(name, attributes)
    return format(found.trace_id, "032x"), format(found.span_id, "016x")
