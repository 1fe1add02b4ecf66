"""
Spans without the SDK's constructor, which takes most of the time of a span.

A `SpanTemplate` knows the name and attributes of a span that will be made again and again; `Spans.start` makes one
that is like no other. Where the tracer is the SDK's own, its constructor is skipped, which cleans and copies what was
cleaned already or needs no cleaning; the sampler, the id generator, `on_start`, limits, links and the SDK's own `end`
are used as they are, so processors and exporters see what they would see. Where anything about the tracer is unusual,
or a self-check finds the smallest difference, the public API is used instead. `AGENTID_PUBLIC_SPANS=1` asks for that.

This is the only file that touches private names of the SDK. Everything it takes for granted is compared with a span
that the SDK made, field by field, before the first one is made.
"""

# pyright: basic, reportPrivateUsage=false, reportAttributeAccessIssue=false

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextvars import Token
from functools import partial
from typing import Any, Final

from opentelemetry import context, trace
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags, Tracer

from agentid.record import attributes as names

__all__ = ["Span", "SpanTemplate", "Spans", "enter", "fail", "leave", "start_publicly"]

PUBLIC_ONLY: Final = "AGENTID_PUBLIC_SPANS"

_OWN_FIELDS: Final = frozenset(
    {
        "_name", "_context", "_parent", "_attributes", "_events", "_links", "_lock", "_start_time", "_end_time",
        "_record_end_metrics",
    }
)  # fmt: skip
"""What differs from span to span; everything else in a span's `__dict__` is shared by those of one tracer."""


class SpanTemplate:
    """
    A span that can be started again and again.

    Attributes:
        start: Starts one, below whatever span is current.
    """

    __slots__ = ("start",)

    def __init__(self, start: Callable[[], Span]) -> None:
        self.start = start


def start_publicly(
    tracer: Tracer, name: str, attributes: Mapping[str, Any], start_ns: int | None = None, *, is_client: bool = False
) -> Span:
    """Start a span by the public API, below whatever span is current."""
    kind = SpanKind.CLIENT if is_client else SpanKind.INTERNAL
    return tracer.start_span(name, kind=kind, attributes=attributes, start_time=start_ns, record_exception=False)


class Spans:
    """
    The spans of one tracer, and templates for them.

    Attributes:
        fast: Whether they skip the SDK's constructor.
    """

    __slots__ = ("_kit", "_tracer", "fast")

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._kit = None if os.environ.get(PUBLIC_ONLY) == "1" else _kit_of(tracer)
        self.fast = self._kit is not None

    def start(
        self, name: str, attributes: dict[str, Any], start_ns: int | None = None, *, is_client: bool = False
    ) -> Span:
        """
        Start a span that is like no other, below whatever span is current.

        Args:
            name: Of low cardinality.
            attributes: All that is known at the start, so that samplers see it.
            start_ns: When the work began, nanoseconds since 1970; None for now.
            is_client: Whether it is a call of another system.
        """
        kit = self._kit
        if kit is None or not kit.is_clean(attributes):
            return start_publicly(self._tracer, name, attributes, start_ns, is_client=is_client)
        kind = SpanKind.CLIENT if is_client else SpanKind.INTERNAL
        return kit.start(name, kind, attributes, attributes.copy(), start_ns)

    def template(self, name: str, attributes: Mapping[str, Any]) -> SpanTemplate:
        """A template of spans of this name with these attributes."""
        kit, given = self._kit, dict(attributes)
        cleaned = None if kit is None else kit.cleaned(given)
        if kit is None or cleaned is None:
            return SpanTemplate(partial(start_publicly, self._tracer, name, given))
        return SpanTemplate(lambda: kit.start(name, SpanKind.INTERNAL, given, cleaned.copy(), None))


def enter(span: Span) -> Token[Any]:
    """Make a span the current one."""
    return context.attach(trace.set_span_in_context(span))


def leave(token: Token[Any]) -> None:
    """Make current again what was before."""
    context.detach(token)


def fail(span: Span, error_type: str = "") -> None:
    """End a span as failed, with *error_type* unless it has one; without any text: that could hold anything."""
    if error_type:
        span.set_attribute(names.ERROR_TYPE, error_type)
    span.set_status(_ERROR)
    span.end()


_ERROR: Final = Status(StatusCode.ERROR)


# --- below the public API -------------------------------------------------------------------------


def _kit_of(tracer: Any) -> _Kit | None:
    """What makes fast spans for *tracer*, or None if it is not exactly what is known here."""
    try:
        from opentelemetry.sdk import trace as sdk  # only reached with an SDK tracer or a stranger

        if type(tracer) is not sdk.Tracer:
            return None
        kit = _Kit(sdk, tracer)
        return kit if kit.agrees() else None
    except Exception:  # noqa: BLE001 -- a stranger, or another version of the SDK: the public API knows it
        return None


class _Kit:
    """What the spans of one SDK tracer have in common."""

    def __init__(self, sdk: Any, tracer: Any) -> None:
        from opentelemetry.attributes import BoundedAttributes

        self.tracer = tracer
        self.sdk = sdk
        self.bounded = BoundedAttributes
        self.is_random = getattr(tracer.id_generator, "is_trace_id_random", None)
        self.metrics = getattr(tracer, "_tracer_metrics", None)
        self.span_class = _span_class(sdk)
        # A tracer like this one, whose spans no processor sees, to learn from and to compare with.
        self.probe_tracer = sdk.Tracer.__new__(sdk.Tracer)
        self.probe_tracer.__dict__.update(tracer.__dict__)
        self.probe_tracer.span_processor = sdk.SynchronousMultiSpanProcessor()
        self.probe_tracer.sampler = _AlwaysOn()
        if self.metrics is not None:
            self.probe_tracer._tracer_metrics = _NoMetrics()
        sample = self.probe_tracer.start_span("probe", attributes={"a": 1}, record_exception=False)
        self.shared = {key: value for key, value in sample.__dict__.items() if key not in _OWN_FIELDS}
        self.shared["_span_processor"] = tracer.span_processor
        self.shared["_sampler"] = tracer.sampler
        self.own = sample.__dict__.keys() - self.shared.keys()
        self.bounds = {key: value for key, value in sample._attributes.__dict__.items() if key not in _ATTRIBUTE_FIELDS}
        self.bound_fields = sample._attributes.__dict__.keys()

    def cleaned(self, attributes: dict[str, Any]) -> dict[str, Any] | None:
        """What the SDK keeps of *attributes*; None where it drops or cuts some: let it do so, and say so, each time."""
        cleaned = self.bounded(
            self.bounds.get("maxlen"), attributes, immutable=False, max_value_len=self.bounds.get("max_value_len")
        )
        return None if cleaned.dropped or len(cleaned) != len(attributes) else dict(cleaned._dict)

    def is_clean(self, attributes: dict[str, Any]) -> bool:
        """Whether the SDK would keep *attributes* as they are. Where it might not, let it look at them itself."""
        longest = self.bounds.get("maxlen")
        if self.bounds.get("max_value_len") is not None or (longest is not None and len(attributes) > longest):
            return False
        for key, value in attributes.items():
            if not key or type(key) is not str:
                return False
            kind = type(value)
            if kind not in _PLAIN and (kind is not tuple or any(type(item) is not str for item in value)):
                return False
        return True

    def start(
        self, name: str, kind: SpanKind, attributes: dict[str, Any], cleaned: dict[str, Any], start_ns: int | None
    ) -> Span:
        """Do what `Tracer.start_span` does; *cleaned* is the span's own from then on."""
        tracer = self.tracer
        parent: SpanContext | None = trace.get_current_span().get_span_context()
        if not tracer._is_enabled():
            return NonRecordingSpan(parent)  # type: ignore[arg-type]  # as the SDK does
        ids = tracer.id_generator
        if parent is None or not parent.is_valid:
            parent = None
            trace_id = ids.generate_trace_id()
        else:
            trace_id = parent.trace_id
        sampled = tracer.sampler.should_sample(None, trace_id, name, kind, attributes, ())
        decision = sampled.decision
        flags = TraceFlags.SAMPLED if decision.is_sampled() else TraceFlags.DEFAULT
        if parent is not None:
            if parent.trace_flags & _RANDOM:
                flags |= _RANDOM
        elif self.is_random is not None and self.is_random():
            flags |= _RANDOM
        context = SpanContext(
            trace_id,
            ids.generate_span_id(),
            is_remote=False,
            trace_flags=TraceFlags(flags),
            trace_state=sampled.trace_state,
        )
        ended = None if self.metrics is None else self.metrics.start_span(parent, decision)
        if not decision.is_recording():
            return NonRecordingSpan(context)
        given = sampled.attributes
        if given is attributes or given == attributes:
            bounded = object.__new__(self.bounded)
            bounded.__dict__ = {**self.bounds, "_dict": cleaned, "_lock": threading.Lock(), "_immutable": False}
        else:
            bounded = self.bounded(
                self.bounds["maxlen"], given, immutable=False, max_value_len=self.bounds["max_value_len"]
            )
        span = object.__new__(self.span_class)
        span.__dict__ = {
            **self.shared,
            "_name": name,
            "_kind": kind,
            "_end_time": None,
            "_context": context,
            "_parent": parent,
            "_attributes": bounded,
            "_resource": tracer.resource,
            "_lock": threading.Lock(),
            "_start_time": time.time_ns() if start_ns is None else start_ns,
            "_record_end_metrics": ended,
        }
        span._span_processor.on_start(span, parent_context=None)
        return span

    def agrees(self) -> bool:
        """Whether a fast span equals one that the SDK made, in every field, before and after its end."""
        probe = _Kit.__new__(_Kit)
        probe.__dict__.update(self.__dict__)
        probe.tracer, probe.metrics = self.probe_tracer, getattr(self.probe_tracer, "_tracer_metrics", None)
        probe.shared = {
            **self.shared, "_span_processor": self.probe_tracer.span_processor, "_sampler": self.probe_tracer.sampler,
        }  # fmt: skip
        attributes = {"text": "t", "number": 1, "flag": True, "list": ("a", "b")}
        cleaned = probe.cleaned(attributes)
        if cleaned is None or not probe.is_clean(attributes):
            return False
        parent = SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
        for around in (trace.INVALID_SPAN, NonRecordingSpan(parent)):
            token = context.attach(trace.set_span_in_context(around))
            try:
                pairs = [
                    (
                        probe.start("probe", SpanKind.INTERNAL, attributes, cleaned.copy(), None),
                        self._by_the_sdk(attributes),
                    )
                    for _ in range(2)
                ]
                # And one that no template knows, of the other kind, which began at another time.
                pairs.append(
                    (
                        probe.start("probe", SpanKind.CLIENT, attributes, attributes.copy(), 5),
                        self._by_the_sdk(attributes, kind=SpanKind.CLIENT, start_time=5),
                    )
                )
            finally:
                context.detach(token)
            if pairs[-1][0]._start_time != pairs[-1][1]._start_time:
                return False
            # One pair as it is, the others with everything done to them that a tool may do to its span.
            for number, (fast, slow) in enumerate(pairs):
                for span in (fast, slow) if number else ():
                    span.set_attribute("more", [1, 2])
                    span.add_event("event", {"a": 1})
                    span.add_link(parent, {"b": 2})
                    span.set_status(Status(StatusCode.ERROR, "why"))
                    span.update_name("other")
                for span in (fast, slow):
                    span.end(7)
                if not _same(fast._readable_span(), slow._readable_span()) or not _same(fast, slow):
                    return False
        return True

    def _by_the_sdk(self, attributes: Mapping[str, Any], **options: Any) -> Any:
        return self.probe_tracer.start_span("probe", attributes=attributes, record_exception=False, **options)


_ATTRIBUTE_FIELDS: Final = frozenset({"_dict", "_lock"})
_UNLIKE: Final = frozenset({"_context", "_lock", "_start_time", "_record_end_metrics"})


def _same(fast: Any, slow: Any) -> bool:  # noqa: C901 -- one comparison for each kind of field
    """Whether two spans hold the same, but for ids, times and locks."""
    for lazy in ("_events", "_links"):
        getattr(fast, lazy)
    if fast.__dict__.keys() != slow.__dict__.keys():
        return False
    for key, theirs in slow.__dict__.items():
        mine = fast.__dict__[key]
        if key == "_context":
            if (mine.trace_flags, mine.trace_state, mine.is_remote) != (
                theirs.trace_flags, theirs.trace_state, theirs.is_remote,
            ):  # fmt: skip
                return False
        elif key == "_attributes":
            same_fields = mine.__dict__.keys() == theirs.__dict__.keys()
            if not same_fields or any(mine.__dict__[f] != theirs.__dict__[f] for f in mine.__dict__ if f != "_lock"):
                return False
        elif key in {"_events", "_links"}:
            if [vars(item).keys() for item in mine] != [vars(item).keys() for item in theirs]:
                return False
        elif key == "_status":
            if (mine.status_code, mine.description) != (theirs.status_code, theirs.description):
                return False
        elif key not in _UNLIKE and mine is not theirs and mine != theirs:
            return False
    return True


class _AlwaysOn:
    """Samples everything, for probes."""

    def should_sample(self, *args: Any, **kwargs: Any) -> Any:
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON

        return ALWAYS_ON.should_sample(*args, **kwargs)

    def get_description(self) -> str:
        return "AlwaysOn"


class _NoMetrics:
    """Counts nothing, for probes."""

    def start_span(self, *_args: Any) -> Callable[[], None]:
        return lambda: None


_PLAIN: Final = frozenset({str, bool, int, float})
_RANDOM: Final = int(getattr(TraceFlags, "RANDOM_TRACE_ID", 0))


def _span_class(sdk: Any) -> type[Any]:
    """A subclass of the SDK's span whose lists of events and links are made when somebody wants them."""

    class FastSpan(sdk._Span):  # type: ignore[misc, name-defined]  # the SDK's class is private
        """A span of the SDK. Its lists of events and links are made when somebody wants them."""

        def __getattr__(self, name: str) -> Any:
            # Called only for what is missing, which these two are at first.
            if name == "_events":
                made = self._new_events()
            elif name == "_links":
                made = self._new_links(())
            else:
                raise AttributeError(name)
            self.__dict__[name] = made
            return made

        def _readable_span(self) -> Any:
            fields = self.__dict__
            if "_events" in fields and "_links" in fields:
                return super()._readable_span()
            read = object.__new__(sdk.ReadableSpan)
            read.__dict__ = {
                "_name": self._name,
                "_context": self._context,
                "_kind": self._kind,
                "_instrumentation_info": self._instrumentation_info,
                "_instrumentation_scope": self._instrumentation_scope,
                "_parent": self._parent,
                "_start_time": self._start_time,
                "_end_time": self._end_time,
                "_attributes": self._attributes,
                "_events": fields.get("_events", ()),
                "_links": fields.get("_links", ()),
                "_resource": self._resource,
                "_status": self._status,
            }
            return read

    FastSpan.__name__ = FastSpan.__qualname__ = "_Span"
    return FastSpan
