"""A guard that only observes: every call runs, and what would have been refused is recorded."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from guard.call_kinds import REQUIREMENT, Body, each_kind
from opentelemetry.trace import StatusCode

from agentid import ObserveOnlyGuard, requires
from agentid.errors import CredentialError, CredentialRevokedError, NoActingAgentError
from agentid.guard.session import acting
from agentid.policy import Policy
from agentid.testing import MemoryAudit


@pytest.fixture
def watching(world):
    """The same world, where nothing is enforced."""
    world.guard = world.make_guard(ObserveOnlyGuard)
    return world


@each_kind
def test_what_would_be_denied_runs_and_is_recorded(kind, watching):
    body = Body()
    tool = kind.build(requires("delete:crm/customers/{x}"), body)
    with watching.guard.acting_as(watching.agent) as session:
        assert "found c-1" == kind.run(tool, "c-1")
        assert acting.get() is session

    assert (["c-1"], ["bot"]) == (body.ran, body.as_whom)
    assert [("would_deny", "scope_missing", "success")] == watching.outcomes()
    assert "monitor" == watching.records[0].enforcement
    (span,) = watching.spans
    assert ("deny", "monitor", "scope_missing") == tuple(
        span.attributes[f"agentid.authorization.{name}"] for name in ("decision", "enforcement", "reason")
    )
    assert "error.type" not in span.attributes
    assert StatusCode.UNSET == span.status.status_code


@each_kind
def test_what_is_allowed_is_recorded_as_allowed(kind, watching):
    tool = kind.build(requires(REQUIREMENT), Body())
    with watching.guard.acting_as(watching.agent):
        kind.run(tool, "c-1")

    assert [("allow", "granted", "success")] == watching.outcomes()


def broken(x):
    raise RuntimeError


CASES = {
    "expired": lambda world, session: world.clock.step(timedelta(hours=1)),
    "revoked": lambda world, session: world.authority.revoke(world.agent),
    "session_ended": lambda world, session: session.close(),
}


@pytest.mark.parametrize("reason", CASES)
@each_kind
def test_an_agent_that_may_not_act_any_more_is_recorded_and_goes_on(kind, reason, watching):
    body = Body()
    tool = kind.build(requires(REQUIREMENT), body)
    with watching.guard.acting_as(watching.agent) as session:
        CASES[reason](watching, session)
        assert "found c-1" == kind.run(tool, "c-1")

    assert ["c-1"] == body.ran
    assert [("would_deny", reason, "success")] == watching.outcomes()


@pytest.mark.parametrize("reason", CASES)
@pytest.mark.parametrize("is_async", [False, True])
def test_a_stream_that_would_be_stopped_goes_on(is_async, reason, watching):
    @requires(REQUIREMENT)
    def stream(x):
        yield 1
        yield 2

    @requires(REQUIREMENT)
    async def async_stream(x):
        yield 1
        yield 2

    async def main():
        with watching.guard.acting_as(watching.agent) as session:
            items = async_stream("c-1") if is_async else stream("c-1")
            await items.__anext__() if is_async else next(items)
            CASES[reason](watching, session)
            assert [2] == [item async for item in items] if is_async else list(items)

    asyncio.run(main())

    assert [("would_deny", reason, "success")] == watching.outcomes()
    (span,) = watching.spans
    assert ("deny", reason) == (
        span.attributes["agentid.authorization.decision"],
        span.attributes["agentid.authorization.reason"],
    )


@pytest.mark.parametrize("value", [None, [], "a/b", "..", True, 1.5, b"x", {}], ids=str)
def test_odd_values_run_and_are_recorded_without_a_resource(value, watching):
    ran = []

    @requires(REQUIREMENT)
    def tool(x):
        ran.append(x)

    with watching.guard.acting_as(watching.agent):
        tool(value)

    assert [value] == ran
    assert [("would_deny", "resource_invalid", "success")] == watching.outcomes()
    assert "" == watching.records[0].resource


def test_nobody_is_asked_and_the_question_is_recorded(watching):
    asked = []
    guard = watching.make_guard(ObserveOnlyGuard, approver=asked.append, policy=Policy(ask=["read:crm/**"]))
    body = Body()

    @requires(REQUIREMENT)
    def tool(x):
        return body(x)

    with guard.acting_as(watching.agent):
        tool("c-1")

    assert ([], ["c-1"]) == (asked, body.ran)
    assert [("would_ask", "approval_required", "success")] == watching.outcomes()
    assert "escalate" == watching.spans[0].attributes["agentid.authorization.decision"]


@pytest.mark.parametrize("break_it", ["requirement", "rules", "labels", "clock", "spans", "metrics", "audit"])
def test_whatever_breaks_inside_the_guard_the_call_runs(break_it, watching, monkeypatch, caplog):
    """Whoever only watches must not be the reason that something fails."""

    def fail(*args, **kwargs):
        raise RuntimeError("secret")

    audit = MemoryAudit()
    guard = watching.make_guard(ObserveOnlyGuard, audit=audit)
    body = Body()

    @requires(broken if break_it == "requirement" else REQUIREMENT)
    def tool(x):
        return body(x)

    @requires(broken if break_it == "requirement" else REQUIREMENT)
    def stream(x):
        yield body(x)

    with guard.acting_as(watching.agent) as session:
        if break_it == "rules":
            session.rules = type("Rules", (), {"decide": fail})()
        elif break_it == "labels":
            monkeypatch.setattr(guard, "labels", fail)
        elif break_it == "clock":
            vars(guard)["clock"] = fail
        elif break_it == "spans":
            session.spans = type("Spans", (), {"start": fail})()
        elif break_it == "metrics":
            session.metrics = type("Metrics", (), {"decided": fail, "ran": fail})()
        elif break_it == "audit":
            audit.broken = RuntimeError("secret")
        assert "found c-1" == tool("c-1")
        assert ["found c-2"] == list(stream("c-2"))
        assert acting.get() is session

    assert ["c-1", "c-2"] == body.ran
    expected = (
        ("would_deny", "error", "success")
        if break_it in {"requirement", "rules", "labels", "clock"}
        else ("allow", "granted", "success")
    )
    assert [expected] * 2 == watching.outcomes()
    assert "secret" not in caplog.text
    # Each is recorded as far as what broke allows.
    assert ([] if break_it == "audit" else ["decision", "outcome"] * 2) == [phase for phase, _ in audit.lines]
    assert (0 if break_it == "spans" else 2) == len(watching.spans)


def test_a_clock_that_breaks_in_the_middle_of_a_stream_is_noted_and_the_stream_goes_on(watching):
    def fail():
        raise RuntimeError

    @requires(REQUIREMENT)
    def stream(x):
        yield 1
        yield 2

    with watching.guard.acting_as(watching.agent):
        items = stream("c-1")
        next(items)
        vars(watching.guard)["clock"] = fail
        assert [2] == list(items)

    assert [("would_deny", "error", "success")] == watching.outcomes()


def test_the_first_reason_to_refuse_is_the_one_recorded(watching):
    """As a guard that enforces would have stopped there."""

    @requires("delete:crm/customers/{x}")
    def tool(x):
        """Run."""

    with watching.guard.acting_as(watching.agent):
        watching.authority.revoke(watching.agent)
        tool("a/b")

    assert [("would_deny", "revoked", "success")] == watching.outcomes()


def test_what_the_body_raises_is_recorded_as_always(watching):
    @requires("delete:crm/customers/{x}")
    def tool(x):
        raise KeyError

    with watching.guard.acting_as(watching.agent), pytest.raises(KeyError):
        tool("c-1")

    assert [("would_deny", "scope_missing", "failure")] == watching.outcomes()


def test_a_block_is_observed_as_a_tool_is(watching):
    with watching.guard.acting_as(watching.agent), watching.guard.access("delete", "crm/customers/c-1") as record:
        assert "would_deny" == record.effect

    assert [("would_deny", "scope_missing", "success")] == watching.outcomes()


def test_even_here_somebody_must_be_acting(watching):
    """Without a session there is no guard that could let it run, and an agent that cannot be verified is nobody."""

    @requires(REQUIREMENT)
    def tool(x):
        """Run."""

    with pytest.raises(NoActingAgentError):
        tool("c-1")
    watching.authority.revoke(watching.agent)
    with pytest.raises(CredentialRevokedError):
        watching.guard.acting_as(watching.agent)
    with pytest.raises(CredentialError):
        watching.guard.acting_as(watching.authority.create("evil.example").issue("bot"))


def test_no_flag_turns_a_guard_into_one_that_observes(world):
    with pytest.raises((AttributeError, TypeError)):
        world.make_guard(enforcement="monitor")
    with world.guard.acting_as(world.agent) as session:
        assert "enforced" == session.guard.enforcement
