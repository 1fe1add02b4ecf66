"""
An exception inside of each step. None of them lets the body run, is lost, or leaves somebody acting.

Each case breaks one thing that a guarded call depends on. What comes out is one of our errors with the exception
behind it, and it is recorded as far as the broken thing allows.
"""

from __future__ import annotations

import asyncio

import pytest
from opentelemetry import context as otel_context
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.sampling import Sampler

from agentid import requires
from agentid.config import DataRule
from agentid.errors import AccessDeniedError, AuditUnavailableError, Error
from agentid.guard.session import acting
from agentid.policy import Policy
from agentid.resource import ResourcePattern
from agentid.testing import capture_spans


class BrokenError(RuntimeError):
    """What a broken thing raises; its text is none of anybody's business."""


class Interrupt(BaseException):
    """As somebody's Ctrl-C in the middle of it."""


def raiser(error):
    def broken(*args, **kwargs):
        raise error("secret")

    return broken


class BrokenMetrics:
    """Instruments that raise, in one of their two uses."""

    def __init__(self, error, where):
        self._error, self._where = error, where

    def decided(self, *args):
        if self._where == "decided":
            raise self._error("secret")

    def ran(self, *args):
        if self._where == "ran":
            raise self._error("secret")


# What breaks, and how: each changes one thing of a world, a session or a tool.
def rules(world, session, error, monkeypatch):
    session.rules = type("Rules", (), {"decide": raiser(error), "outline": raiser(error)})()


def labels(world, session, error, monkeypatch):
    monkeypatch.setattr(type(session.guard), "labels", raiser(error))


def clock(world, session, error, monkeypatch):
    vars(session.guard)["clock"] = raiser(error)
    session.clock = raiser(error)


def verifying_again(world, session, error, monkeypatch):
    world.authority.trust.revoke("something else")
    monkeypatch.setattr(type(world.authority.trust), "verify_agent", raiser(error))


def starting_a_span(world, session, error, monkeypatch):
    session.spans = type("Spans", (), {"start": raiser(error)})()


def counting_the_decision(world, session, error, monkeypatch):
    session.metrics = BrokenMetrics(error, "decided")


def writing_the_decision(world, session, error, monkeypatch):
    monkeypatch.setattr(session.guard.audit, "write", raiser(error))


BEFORE = [rules, labels, clock, verifying_again, starting_a_span, counting_the_decision, writing_the_decision]
each_break = pytest.mark.parametrize("broken", BEFORE, ids=[b.__name__ for b in BEFORE])


def tools(ran):
    """One tool of each kind, and how to run it."""

    @requires("read:crm/customers/{x}")
    def function(x):
        ran.append(x)

    @requires("read:crm/customers/{x}")
    async def coroutine(x):
        ran.append(x)

    @requires("read:crm/customers/{x}")
    def stream(x):
        ran.append(x)
        yield x

    @requires("read:crm/customers/{x}")
    async def async_stream(x):
        ran.append(x)
        yield x

    async def collect(items):
        return [item async for item in items]

    def access(guard):
        with guard.access("read", "crm/customers/c-1"):
            ran.append("c-1")

    async def run_async(guard):
        return await collect(async_stream("c-1"))

    return {
        "function": lambda guard: function("c-1"),
        "coroutine": lambda guard: asyncio.run(coroutine("c-1")),
        "stream": lambda guard: list(stream("c-1")),
        "async stream": lambda guard: asyncio.run(run_async(guard)),
        "access": access,
    }


each_tool = pytest.mark.parametrize("kind", ["function", "coroutine", "stream", "async stream", "access"])


@each_tool
@each_break
def test_what_breaks_before_the_body_keeps_it_from_running(broken, kind, world, monkeypatch, caplog):
    ran = []
    # Metrics keep a session off the shorter path, as the audit log and the observers do.
    with world.guard.acting_as(world.agent) as session:
        broken(world, session, BrokenError, monkeypatch)
        with pytest.raises(Error) as refused:
            tools(ran)[kind](session.guard)
        assert acting.get() is session

    assert [] == ran
    reason = "audit_unavailable" if broken is writing_the_decision else "error"
    assert [("deny", reason, "denied")] == world.outcomes()
    assert isinstance(refused.value, AuditUnavailableError if broken is writing_the_decision else AccessDeniedError)
    # What the audit log says of itself names no argument, and whoever runs it has to know.
    told = "secret" if broken is writing_the_decision else "BrokenError, its text withheld"
    assert told == str(refused.value.__cause__)
    assert "secret" not in f"{refused.value} {refused.value.for_model} {caplog.text}"
    if broken is not starting_a_span:
        assert ["deny"] == [span.attributes["agentid.authorization.decision"] for span in world.spans]
        assert [reason] == [span.attributes["agentid.authorization.reason"] for span in world.spans]
    if broken is not writing_the_decision:
        assert ("decision", "deny", "error") == [(p, r.effect, r.reason) for p, r in world.audit.lines][-1]


@each_tool
@each_break
def test_an_interrupt_before_the_body_is_recorded_and_goes_on(broken, kind, world, monkeypatch):
    ran = []
    with world.guard.acting_as(world.agent) as session:
        # Only the first time: recording the interrupt may need the same thing again.
        calls = []

        class Once(Interrupt):
            def __init__(self, *args):
                super().__init__(*args)
                calls.append(1)
                if len(calls) > 1:
                    raise BrokenError

        broken(world, session, Once, monkeypatch)
        with pytest.raises(Interrupt):
            tools(ran)[kind](session.guard)
        assert acting.get() is session

    assert [] == ran
    assert [("deny", "error", "denied")] == world.outcomes()


@pytest.mark.parametrize("kind", ["function", "coroutine"])
@pytest.mark.parametrize("broken", [rules, labels, clock, verifying_again], ids=lambda broken: broken.__name__)
def test_the_shorter_path_breaks_as_safely(broken, kind, monkeypatch):
    from guard.conftest import World

    ran = []
    with capture_spans() as captured:
        world = World(captured, recorded=False)
        with world.guard.acting_as(world.agent) as session:
            broken(world, session, BrokenError, monkeypatch)
            with pytest.raises(AccessDeniedError) as refused:
                tools(ran)[kind](session.guard)
            assert "error" == refused.value.decision.reason
            assert acting.get() is session

    assert [] == ran


class BrokenSampler(Sampler):
    """Cannot decide whether to sample."""

    def should_sample(self, *args, **kwargs):
        raise BrokenError

    def get_description(self):
        return "broken"


class BrokenAtStart(SpanProcessor):
    """Cannot take a span."""

    def on_start(self, span, parent_context=None):
        raise BrokenError


class BrokenAtEnd(SpanProcessor):
    """Cannot take a finished span."""

    def on_end(self, span):
        raise BrokenError


@each_tool
@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "short"])
@pytest.mark.parametrize("what", ["sampler", "processor"])
def test_spans_that_cannot_be_started_keep_the_body_from_running(what, recorded, kind):
    """Every access has its span: where there can be none, there is no access."""
    from guard.conftest import World
    from opentelemetry.sdk.trace import TracerProvider

    ran = []
    with capture_spans() as captured:
        if what == "sampler":
            captured.provider = TracerProvider(sampler=BrokenSampler(), shutdown_on_exit=False)
        else:
            captured.provider.add_span_processor(BrokenAtStart())
        world = World(captured, recorded=recorded)
        with world.guard.acting_as(world.agent) as session:
            with pytest.raises((AccessDeniedError, BrokenError)):
                tools(ran)[kind](session.guard)
            assert acting.get() is session

    assert [] == ran


# --- while and after the body runs -----------------------------------------------------------------------------------


@each_tool
def test_a_span_that_cannot_be_made_current_ends_the_call_and_leaves_nobody_acting(kind, world, monkeypatch):
    ran = []
    with world.guard.acting_as(world.agent) as session:
        with monkeypatch.context() as patch:
            patch.setattr(otel_context, "attach", raiser(BrokenError))
            with pytest.raises(BrokenError):
                tools(ran)[kind](session.guard)
        assert acting.get() is session

    assert [] == ran
    assert [("allow", "granted", "failure")] == world.outcomes()


def ending_the_span(world, session):
    world.captured.provider.add_span_processor(BrokenAtEnd())


def counting_the_call(world, session):
    session.metrics = BrokenMetrics(BrokenError, "ran")


@each_tool
@pytest.mark.parametrize("broken", [ending_the_span, counting_the_call], ids=lambda broken: broken.__name__)
def test_telemetry_that_breaks_after_the_body_is_logged_and_changes_nothing(broken, kind, world, caplog):
    """It has happened. The audit log and the observers still learn of it, which is what counts."""
    ran = []
    with world.guard.acting_as(world.agent) as session:
        broken(world, session)
        tools(ran)[kind](session.guard)
        assert acting.get() is session

    assert ["c-1"] == ran
    assert [("allow", "granted", "success")] == world.outcomes()
    assert ["decision", "outcome"] == [phase for phase, _ in world.audit.lines]
    assert "is missing in telemetry: BrokenError" in caplog.text


@pytest.mark.parametrize("is_async", [False, True])
def test_a_clock_that_breaks_in_the_middle_of_a_stream_ends_it(is_async, world):
    log = []

    @requires("read:crm/customers/{x}")
    def stream(x):
        try:
            yield 1
            log.append("went on")
            yield 2
        finally:
            log.append("cleaned up")

    @requires("read:crm/customers/{x}")
    async def async_stream(x):
        try:
            yield 1
            log.append("went on")
            yield 2
        finally:
            log.append("cleaned up")

    async def main():
        with world.guard.acting_as(world.agent) as session:
            items = async_stream("c-1") if is_async else stream("c-1")
            await items.__anext__() if is_async else next(items)
            vars(session.guard)["clock"] = raiser(BrokenError)
            try:
                await items.__anext__() if is_async else next(items)
            finally:
                assert acting.get() is session

    with pytest.raises(BrokenError):
        asyncio.run(main())

    assert ["cleaned up"] == log
    assert [("allow", "granted", "failure")] == world.outcomes()


def test_labels_that_cannot_be_looked_up_refuse_the_call(world):
    """The rules of the guard's own policy are asked for each call, and may break as any others."""
    ran = []
    rule = DataRule(resource=ResourcePattern.parse("crm/**"), labels=("pii",))
    object.__setattr__(rule, "resource", None)
    guard = world.make_guard(policy=Policy(data=[rule]))
    with guard.acting_as(world.agent), pytest.raises(AccessDeniedError):
        tools(ran)["function"](guard)

    assert [] == ran
    assert [("deny", "error", "denied")] == world.outcomes()


def test_nobody_acting_is_refused_even_where_that_cannot_be_recorded(monkeypatch):
    ran = []
    monkeypatch.setattr("agentid.guard.telemetry.Tracing", raiser(BrokenError))

    with pytest.raises((Error, BrokenError)):
        tools(ran)["function"](None)

    assert [] == ran
