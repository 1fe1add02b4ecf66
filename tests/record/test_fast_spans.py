"""Spans that skip the SDK's constructor are the SDK's spans, in everything that anybody can see."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any

import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from agentid import Authority, Guard, requires
from agentid.record.spans import PUBLIC_ONLY, Spans

ATTRIBUTES = {"text": "t", "number": 1, "flag": True, "real": 1.5, "list": ("a", "b"), "numbers": (1, 2)}


class Adding(Sampler):
    """Samples all, and adds an attribute."""

    def should_sample(self, parent_context, trace_id, name, kind=None, attributes=None, links=None, trace_state=None):
        assert "text" in attributes
        return SamplingResult(Decision.RECORD_AND_SAMPLE, {**attributes, "sampler": "was here"})

    def get_description(self):
        return "Adding"


class RecordOnly(Adding):
    """Records, and does not sample."""

    def should_sample(self, parent_context, trace_id, name, kind=None, attributes=None, links=None, trace_state=None):
        return SamplingResult(Decision.RECORD_ONLY, attributes)


class Counting(RandomIdGenerator):
    """Counts from one."""

    def __init__(self):
        self.last = 0

    def generate_span_id(self):
        self.last += 1
        return self.last

    def generate_trace_id(self):
        self.last += 1
        return self.last


class Telling(SpanProcessor):
    """Changes spans when they start and remembers what it saw."""

    def __init__(self):
        self.seen: list[str] = []

    def on_start(self, span, parent_context=None):
        self.seen.append(f"start {span.name} {dict(span.attributes)} {span.is_recording()}")
        span.set_attribute("processor", "was here")

    def on_end(self, span: ReadableSpan):
        self.seen.append(f"end {span.name}")


def provider_with(**settings: Any) -> tuple[TracerProvider, InMemorySpanExporter, Telling]:
    provider = TracerProvider(shutdown_on_exit=False, resource=Resource({"service.name": "s"}), **settings)
    telling, exporter = Telling(), InMemorySpanExporter()
    provider.add_span_processor(telling)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider, exporter, telling


def plain(span: ReadableSpan) -> dict[str, Any]:
    """All that a span exports, without ids and times."""
    exported = json.loads(span.to_json())
    for name in ("start_time", "end_time"):
        exported.pop(name)
    for name in ("trace_id", "span_id"):
        exported["context"].pop(name)
    for event in exported["events"]:
        event.pop("timestamp")
    extra = (
        span.dropped_attributes,
        span.dropped_events,
        span.dropped_links,
        span.instrumentation_scope,
    )
    return {**exported, "extra": [str(item) for item in extra], "flags": int(span.context.trace_flags)}


def untouched(span):
    """As it is."""


def busy(span):
    """Everything that a tool may do to its span."""
    span.set_attribute("more", [1, 2])
    span.set_attributes({"a": 1, "text": "other"})
    span.add_event("event", {"b": 2})
    span.add_link(SpanContext(5, 6, is_remote=True), {"c": 3})
    span.record_exception(ValueError("why"))
    span.update_name("renamed")
    span.set_status(Status(StatusCode.ERROR, "because"))
    span.end()
    span.set_attribute("late", 1)


SETTINGS = {
    "default": {},
    "sampler that adds": {"sampler": Adding()},
    "record only": {"sampler": RecordOnly()},
    "ratio": {"sampler": TraceIdRatioBased(1.0)},
    "parent based": {"sampler": ParentBased(ALWAYS_ON)},
    "ids of one's own": {"id_generator": Counting()},
    "few attributes": {"span_limits": SpanLimits(max_span_attributes=3)},
    "short values": {"span_limits": SpanLimits(max_span_attribute_length=2, max_attribute_length=2)},
    "no events": {"span_limits": SpanLimits(max_events=0, max_links=0)},
}
PARENTS = {
    "root": None,
    "sampled": SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED)),
    "not sampled": SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(TraceFlags.DEFAULT)),
    "remote": SpanContext(
        1, 2, is_remote=True, trace_flags=TraceFlags(3), trace_state=trace.TraceState([("vendor", "x")])
    ),
}


CLEAN = {"text": "t", "number": 1, "flag": True, "real": 1.5, "list": ("a", "b")}
ODD = {"text": "t", "list": ["a", 1], "numbers": (1, 2), "none": None, "": "no key"}
# name: how it is made, and how the SDK is asked for the same
WAYS = {
    "prepared": (lambda spans: spans.template("name", ATTRIBUTES).start(), {"attributes": ATTRIBUTES}),
    "at once": (lambda spans: spans.start("name", CLEAN), {"attributes": CLEAN}),
    "of a client": (
        lambda spans: spans.start("name", CLEAN, 5, is_client=True),
        {"attributes": CLEAN, "kind": SpanKind.CLIENT, "start_time": 5},
    ),
    "with odd values": (lambda spans: spans.start("name", ODD), {"attributes": ODD}),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("make", "options"), WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("act", [untouched, busy], ids=["untouched", "busy"])
@pytest.mark.parametrize("parent", PARENTS.values(), ids=PARENTS.keys())
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_a_span_is_the_one_that_the_sdk_would_have_made(settings, parent, act, make, options):
    """Same export, same calls of processors, whatever the sampler, the limits, the ids and the parent."""
    exports, told = [], []
    for is_ours in (True, False):
        provider, exporter, telling = provider_with(**settings)
        tracer = provider.get_tracer("scope", "1", "https://schema.example/1")
        token = context.attach(trace.set_span_in_context(NonRecordingSpan(parent) if parent else trace.INVALID_SPAN))
        try:
            span = make(Spans(tracer)) if is_ours else tracer.start_span("name", record_exception=False, **options)
            act(span)
            span.end()
        finally:
            context.detach(token)
        exports.append([plain(ended) for ended in exporter.get_finished_spans()])
        told.append(telling.seen)
        provider.shutdown()

    assert exports[1] == exports[0]
    assert told[1] == told[0]


def test_a_tracer_of_the_sdk_has_prepared_spans_and_a_stranger_has_the_public_api(monkeypatch):
    """And so has everybody who asks for it."""
    monkeypatch.delenv(PUBLIC_ONLY, raising=False)
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("scope")

    class Wrapped(type(tracer)):  # type: ignore[misc]
        """A subclass may do anything."""

    stranger = Wrapped.__new__(Wrapped)
    stranger.__dict__.update(tracer.__dict__)

    # Older versions of the SDK make spans otherwise; what is not known exactly is not guessed at.
    recent = tuple(map(int, version("opentelemetry-sdk").split(".")[:2])) >= (1, 45)
    assert Spans(tracer).fast or not recent
    assert not Spans(stranger).fast
    monkeypatch.setenv(PUBLIC_ONLY, "1")
    assert not Spans(tracer).fast


@pytest.mark.parametrize("field", ["_start_time", "_status", "_limits", "_kind", "_parent", "_span_processor"])
def test_any_difference_from_a_span_of_the_sdk_falls_back_to_the_public_api(monkeypatch, field):
    """A version of the SDK whose spans hold something else is not guessed at."""
    from opentelemetry.sdk import trace as sdk

    original = sdk.ReadableSpan.__init__

    def other(self, *args, **kwargs):
        original(self, *args, **kwargs)
        self.__dict__[f"{field}_of_tomorrow"] = object()

    monkeypatch.setattr(sdk.ReadableSpan, "__init__", other)

    assert not Spans(TracerProvider(shutdown_on_exit=False).get_tracer("scope")).fast


def test_a_span_that_is_made_at_once_keeps_nothing_of_the_dictionary_that_it_was_given():
    """What happens to either is not seen in the other."""
    provider, exporter, _ = provider_with()
    given = dict(ATTRIBUTES)
    span = Spans(provider.get_tracer("scope")).start("name", given)
    span.set_attribute("text", "changed")
    given["number"] = 2
    span.end()

    assert "t" == given["text"]
    assert ("changed", 1) == tuple(exporter.get_finished_spans()[0].attributes[name] for name in ("text", "number"))


def test_a_guard_makes_each_of_its_spans_without_the_constructor_of_the_sdk(monkeypatch):
    """Not only those of the hot path: a data access is decided anew each time."""
    monkeypatch.delenv(PUBLIC_ONLY, raising=False)
    provider, exporter, _ = provider_with()
    authority = Authority.create("test.example")
    guard = Guard(authority.trust, tracer_provider=provider)
    with guard.acting_as(authority.issue("bot", allow=["read:crm/*"])) as session:
        if not session.spans.fast:
            pytest.skip("this version of the SDK makes spans otherwise")
        monkeypatch.setattr("opentelemetry.sdk.trace.Tracer.start_span", None)
        with guard.access("read", "crm/x"):
            pass

    assert ["read crm"] == [span.name for span in exporter.get_finished_spans()]


def test_spans_of_one_template_share_nothing_that_changes():
    """What is done to one span is not seen in the next."""
    provider, exporter, _ = provider_with()
    template = Spans(provider.get_tracer("scope")).template("name", ATTRIBUTES)
    first = template.start()
    first.set_attribute("text", "changed")
    first.add_event("event")
    first.add_link(SpanContext(5, 6, is_remote=True))
    first.end()
    template.start().end()

    second = exporter.get_finished_spans()[1]
    assert "t" == second.attributes["text"]
    assert () == second.events == second.links
    assert second.context.span_id != first.get_span_context().span_id


def test_a_span_that_is_not_sampled_costs_nobody_anything_and_keeps_its_context():
    """Children of an unsampled span are not sampled either, and nothing is exported."""
    provider, exporter, telling = provider_with(sampler=ALWAYS_OFF)
    span = Spans(provider.get_tracer("scope")).template("name", ATTRIBUTES).start()

    assert not span.is_recording()
    assert span.get_span_context().is_valid
    span.end()
    assert () == exporter.get_finished_spans()
    assert [] == telling.seen


@pytest.mark.parametrize("public", [True, False], ids=["public", "prepared"])
def test_a_tool_sees_its_span_as_the_current_one_and_its_spans_are_children(monkeypatch, public):
    """Whichever way a span is made."""
    monkeypatch.setenv(PUBLIC_ONLY, "1" if public else "0")
    provider, exporter, _ = provider_with()
    authority = Authority.create("test.example")
    guard = Guard(authority.trust, tracer_provider=provider)

    @requires("read:crm/{name}")
    def tool(name: str) -> None:
        with provider.get_tracer("own").start_as_current_span("below"):
            trace.get_current_span().set_attribute("seen", name)

    with guard.acting_as(authority.issue("bot", allow=["read:crm/*"])):
        for _ in range(3):
            tool("x")

    below, above = exporter.get_finished_spans()[-2:]
    assert ("below", "execute_tool tool") == (below.name, above.name)
    assert above.context.span_id == below.parent.span_id
    assert trace.get_current_span() is trace.INVALID_SPAN
