"""
WHAT HAPPENED: one record for each access, written as a span, as metrics and to the audit log.

- `access_record`: the record, and who receives it (`Audit`, `Observer`).
- `attributes`: every name that appears in telemetry, in one place.
- `tracing`, `spans`, `metrics`: the only modules that know OpenTelemetry.
"""

from __future__ import annotations

from agentid.record.access_record import Access, AccessRecord, Audit, Holder, Observer, Phase, Status
from agentid.record.metrics import Metrics
from agentid.record.spans import Span, Spans, SpanTemplate, enter, fail, leave, start_publicly
from agentid.record.tracing import OpenSpan, Tracer, TracerProvider, Tracing, add_event

__all__ = [
    "Access",
    "AccessRecord",
    "Audit",
    "Holder",
    "Metrics",
    "Observer",
    "OpenSpan",
    "Phase",
    "Span",
    "SpanTemplate",
    "Spans",
    "Status",
    "Tracer",
    "TracerProvider",
    "Tracing",
    "add_event",
    "enter",
    "fail",
    "leave",
    "start_publicly",
]
