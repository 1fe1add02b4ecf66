"""
Each kind of call in each situation.

For each: the body ran, or provably did not; there is exactly one record, with the right effect, reason and
status; exactly one span ended; and whoever was acting before is acting again.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import traceback
import warnings
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta

import pytest
from guard.call_kinds import (
    KINDS,
    REQUIREMENT,
    Body,
    each,
    each_async_kind,
    each_async_stream,
    each_context,
    each_kind,
    each_lazy_kind,
    each_stream,
    function,
    guard_over_asynccontextmanager,
    guard_over_contextmanager,
    use_awaitable,
)
from opentelemetry import trace

from agentid import Guard, requires
from agentid.errors import (
    AccessDeniedError,
    CredentialExpiredError,
    CredentialRevokedError,
    Error,
    NoActingAgentError,
)
from agentid.guard.session import acting


@pytest.fixture
def world(each_world):
    """Everything here holds on both paths."""
    return each_world


# --- the situations --------------------------------------------------------------------------------------------------


@each_kind
def test_an_allowed_call_runs_once_and_is_recorded_once(kind, world):
    body = Body()
    tool = kind.build(requires(REQUIREMENT), body)
    with world.guard.acting_as(world.agent) as session:
        assert "found c-1" == kind.run(tool, "c-1")

        assert acting.get() is session
    assert (["c-1"], ["bot"]) == (body.ran, body.as_whom)
    world.assert_one("allow", "granted", "success")
    assert "read:crm/customers/c-1" == world.spans[0].attributes["agentid.authorization.permission"]
    assert "bot" == world.spans[0].attributes["gen_ai.agent.name"]


def assert_refused(world, body, *, reason):
    """The body never ran; one record and one span say so."""
    assert [] == body.ran
    world.assert_one("deny", reason, "denied")


@each_kind
def test_a_denied_call_never_runs(kind, world):
    body = Body()
    tool = kind.build(requires("delete:crm/customers/{x}"), body)
    with world.guard.acting_as(world.agent) as session:
        with pytest.raises(AccessDeniedError) as denied:
            kind.run(tool, "c-1")

        assert acting.get() is session
    assert_refused(world, body, reason="scope_missing")
    assert {""} >= {record.permission for record in world.records}
    assert ("scope_missing", "bot") == (denied.value.decision.reason, denied.value.agent)


@each_kind
def test_without_anybody_who_records_calls_are_decided_all_the_same(kind, world, caplog):
    def fail(x):
        raise KeyError

    body = Body(lambda x: fail(x) if x == "bad" else f"found {x}")
    tool = kind.build(requires(REQUIREMENT), body)
    guard = Guard(world.authority.trust)
    with guard.acting_as(world.issue("narrow", allow=["read:crm/customers/c-1", "read:crm/customers/bad"])) as session:
        assert "found c-1" == kind.run(tool, "c-1")
        with pytest.raises(AccessDeniedError):
            kind.run(tool, "c-2")
        with pytest.raises(KeyError):
            kind.run(tool, "bad")
        assert acting.get() is session

    assert ["c-1", "bad"] == body.ran
    assert [] == caplog.messages


@each_kind
def test_a_call_that_nobody_makes_never_runs(kind, world):
    body = Body()
    tool = kind.build(requires(REQUIREMENT), body)

    with pytest.raises(NoActingAgentError):
        kind.run(tool, "c-1")

    assert [] == body.ran
    assert ([], ()) == (world.records, world.spans)
    assert acting.get() is None


@each_kind
def test_an_expired_agent_is_refused(kind, world):
    body = Body()
    tool = kind.build(requires(REQUIREMENT), body)
    with world.guard.acting_as(world.agent) as session:
        world.clock.step(timedelta(hours=1))
        with pytest.raises(CredentialExpiredError):
            kind.run(tool, "c-1")

        assert acting.get() is session
    assert_refused(world, body, reason="expired")


@each_kind
def test_a_revoked_agent_is_refused(kind, world):
    body = Body()
    tool = kind.build(requires(REQUIREMENT), body)
    with world.guard.acting_as(world.agent) as session:
        world.authority.revoke(world.agent)
        with pytest.raises(CredentialRevokedError):
            kind.run(tool, "c-1")

        assert acting.get() is session
    assert_refused(world, body, reason="revoked")


@each_kind
def test_a_requirement_that_raises_refuses_the_call(kind, world):
    """An error inside the check is a refusal, never a yes; its text stays out of ours."""

    def broken(x):
        raise RuntimeError(f"secret {x}")

    body = Body()
    tool = kind.build(requires(broken), body)
    with world.guard.acting_as(world.agent) as session:
        with pytest.raises(AccessDeniedError) as denied:
            kind.run(tool, "c-1")

        assert acting.get() is session
    assert_refused(world, body, reason="error")
    assert "RuntimeError, its text withheld" == str(denied.value.__cause__)
    assert "secret" not in f"{denied.value} {denied.value.for_model}"
    # Source lines stand in a traceback, too; what was raised must not.
    assert "secret c-1" not in "".join(traceback.format_exception(None, denied.value, denied.value.__traceback__))


@each_kind
def test_a_broken_policy_rule_refuses_the_call(kind, world):
    class Broken:
        def decide(self, action, key, arguments):
            raise ZeroDivisionError

    body = Body()
    tool = kind.build(requires(REQUIREMENT), body)
    with world.guard.acting_as(world.agent) as session:
        session.rules = Broken()
        with pytest.raises(AccessDeniedError):
            kind.run(tool, "c-1")

        assert acting.get() is session
    assert_refused(world, body, reason="error")


@each_kind
def test_what_the_body_raises_reaches_the_caller_as_it_is(kind, world):
    failure = ValueError("secret")

    def fail(x):
        raise failure

    body = Body(fail)
    tool = kind.build(requires(REQUIREMENT), body)
    with world.guard.acting_as(world.agent) as session:
        with pytest.raises(ValueError) as raised:
            kind.run(tool, "c-1")

        assert acting.get() is session
    assert raised.value is failure
    assert ["c-1"] == body.ran
    world.assert_one("allow", "granted", "failure", "ValueError")
    assert "secret" not in world.spans[0].to_json()


@each_async_kind
def test_a_cancelled_call_ends_as_cancelled(kind, world):
    seen = []

    async def main():
        started = asyncio.Event()

        async def wait_for_ever(x):
            started.set()
            await asyncio.Event().wait()

        body = Body(wait_for_ever)
        tool = kind.build(requires(REQUIREMENT), body)

        async def watched():
            try:
                await kind.run_async(tool, "c-1")
            finally:
                seen.append(acting.get())

        with world.guard.acting_as(world.agent) as session:
            task = asyncio.create_task(watched())
            await started.wait()
            assert acting.get() is session
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert [session] == seen
            assert ["c-1"] == body.ran

    asyncio.run(main())

    world.assert_one("allow", "granted", "cancelled", "asyncio.exceptions.CancelledError")


@each_stream
def test_a_stream_that_is_closed_early_ends_as_closed(kind, world):
    body = Body()
    tool = kind.build(requires(REQUIREMENT), body)
    with world.guard.acting_as(world.agent) as session:
        stream = tool("c-1")
        assert "found c-1" == next(stream)
        assert acting.get() is session
        stream.close()

        assert acting.get() is session
    world.assert_one("allow", "granted", "closed")


@each_stream
def test_a_stream_that_is_dropped_in_the_middle_ends_as_closed(kind, world):
    body = Body()
    tool = kind.build(requires(REQUIREMENT), body)
    with world.guard.acting_as(world.agent) as session:
        stream = tool("c-1")
        next(stream)
        del stream
        gc.collect(1)

        assert acting.get() is session
    world.assert_one("allow", "granted", "closed")


@each_async_stream
def test_an_async_stream_that_is_closed_early_ends_as_closed(kind, world):
    body = Body()
    tool = kind.build(requires(REQUIREMENT), body)

    async def main():
        with world.guard.acting_as(world.agent) as session:
            stream = tool("c-1")
            assert "found c-1" == await anext(stream)
            assert acting.get() is session
            await stream.aclose()
            assert acting.get() is session

    asyncio.run(main())

    world.assert_one("allow", "granted", "closed")


@each_async_stream
def test_an_async_stream_that_is_dropped_in_the_middle_ends_as_closed(kind, world):
    """The loop closes it, in a task of its own."""
    body = Body()
    tool = kind.build(requires(REQUIREMENT), body)

    async def main():
        with world.guard.acting_as(world.agent):
            async for _ in tool("c-1"):
                break
            gc.collect(1)
            for _ in range(5):  # turns of the loop, enough to close it
                await asyncio.sleep(0)

    asyncio.run(main())
    gc.collect(1)

    world.assert_one("allow", "granted", "closed")


@each_lazy_kind
def test_lazy_work_that_nobody_runs_ends_as_abandoned(kind, world):
    """It was decided when it was called, so its record says what became of it: nothing."""
    body = Body()
    tool = kind.build(requires(REQUIREMENT), body)
    with world.guard.acting_as(world.agent) as session:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # Python's own, about a coroutine that nobody awaited
            tool("c-1")
            gc.collect(1)

        assert acting.get() is session
    assert [] == body.ran
    world.assert_one("allow", "granted", "abandoned")


@each([kind for kind in KINDS if kind.use is use_awaitable and not kind.lazy])
def test_a_coroutine_that_nobody_awaits_was_never_decided(kind, world):
    """A coroutine function runs nothing when it is called, and neither does its guard."""
    body = Body()
    tool = kind.build(requires(REQUIREMENT), body)
    with world.guard.acting_as(world.agent):
        tool("c-1").close()

    assert [] == body.ran
    assert ([], ()) == (world.records, world.spans)


@each_kind
def test_another_thread_does_not_inherit_who_is_acting(kind, world):
    """It fails closed, with an error that names the ways to hand work over."""
    body = Body()
    tool = kind.build(requires(REQUIREMENT), body)
    caught = []

    def work():
        try:
            kind.run(tool, "c-1")
        except Error as error:
            caught.append(error)

    with world.guard.acting_as(world.agent):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    assert [NoActingAgentError] == [type(error) for error in caught]
    assert "propagate" in str(caught[0])
    assert [] == body.ran
    assert ([], ()) == (world.records, world.spans)


@each_kind
def test_a_task_that_outlives_its_session_is_refused(kind, world):
    body = Body()
    tool = kind.build(requires(REQUIREMENT), body)
    with world.guard.acting_as(world.agent):
        copied = contextvars.copy_context()

    with pytest.raises(NoActingAgentError) as refused:
        copied.run(kind.run, tool, "c-1")

    assert "has ended" in str(refused.value)
    assert_refused(world, body, reason="session_ended")


@each_lazy_kind
def test_lazy_work_that_starts_after_its_session_is_refused(kind, world):
    """The session is looked at where the body would begin, and not only where it was asked for."""
    body = Body()
    tool = kind.build(requires(REQUIREMENT), body)
    with world.guard.acting_as(world.agent):
        started = tool("c-1")

    with pytest.raises(NoActingAgentError) as refused:
        asyncio.run(kind.use(started)) if kind.is_async else kind.use(started)

    assert "has ended" in str(refused.value)
    assert refused.value.__cause__ is None
    assert [] == body.ran
    world.assert_one("allow", "session_ended", "stopped", "agentid.errors.NoActingAgentError")
    assert acting.get() is None


@each_kind
def test_a_bound_tool_acts_as_its_agent_and_gives_back_whoever_was_acting(kind, world):
    """Whatever kind it is, and whoever calls it: another agent, or nobody."""
    other = world.issue("other")
    body = Body()
    tool = kind.build(requires(REQUIREMENT), body)
    seen = []

    async def watched(bound):
        await kind.run_async(bound, "c-1")
        seen.append((acting.get(), trace.get_current_span().get_span_context().is_valid))

    with world.guard.acting_as(world.agent) as session:
        bound = session.bind(tool)
        with world.guard.acting_as(other) as others:
            asyncio.run(watched(bound))
            kind.run(bound, "c-2")
            assert acting.get() is others
        nobody = contextvars.Context()
        nobody.run(kind.run, bound, "c-3")
        assert nobody.run(acting.get) is None

    assert [(others, False)] == seen
    assert (["c-1", "c-2", "c-3"], ["bot"] * 3) == (body.ran, body.as_whom)


@each_lazy_kind
def test_lazy_work_runs_as_whoever_asked_for_it_and_gives_back_whoever_runs_it(kind, world):
    other = world.issue("other")
    body = Body()
    tool = kind.build(requires(REQUIREMENT), body)
    seen = []

    async def watched(lazy):
        result = kind.use(lazy)
        if kind.is_async:
            await result
        seen.append((acting.get(), trace.get_current_span().get_span_context().is_valid))

    with world.guard.acting_as(world.agent):
        lazy = tool("c-1")
        with world.guard.acting_as(other) as others:
            asyncio.run(watched(lazy))
            assert acting.get() is others

    assert [(others, False)] == seen
    assert (["c-1"], ["bot"]) == (body.ran, body.as_whom)
    world.assert_one("allow", "granted", "success")


@each_lazy_kind
def test_lazy_work_that_fails_gives_back_whoever_runs_it(kind, world):
    other = world.issue("other")

    def fail(x):
        raise KeyError

    tool = kind.build(requires(REQUIREMENT), Body(fail))
    seen = []

    async def watched(lazy):
        try:
            result = kind.use(lazy)
            if kind.is_async:
                await result
        finally:
            seen.append((acting.get(), trace.get_current_span().get_span_context().is_valid))

    with world.guard.acting_as(world.agent):
        lazy = tool("c-1")
        with world.guard.acting_as(other) as others, pytest.raises(KeyError):
            asyncio.run(watched(lazy))

    assert [(others, False)] == seen
    world.assert_one("allow", "granted", "failure", "KeyError")


@each_kind
def test_a_tool_that_calls_itself_is_decided_and_recorded_each_time(kind, world):
    def again(x):
        return "bottom" if x == 0 else kind.run_async(tool, x - 1) if kind.is_async else kind.use(tool(x - 1))

    body = Body(again)
    tool = kind.build(requires(REQUIREMENT), body)
    with world.guard.acting_as(world.agent) as session:
        assert "bottom" == kind.run(tool, 2)

        assert acting.get() is session
    assert [2, 1, 0] == body.ran
    assert ["allow"] * 3 == [span.attributes["agentid.authorization.decision"] for span in world.spans]
    if world.recorded:
        assert [("allow", "granted", "success")] * 3 == world.outcomes()
    parents = {span.context.span_id: span.parent and span.parent.span_id for span in world.spans}
    assert [None, *list(parents)[:0:-1]] == list(parents.values())[::-1], "each span is inside the one before"


@each_kind
def test_a_tool_that_runs_another_agent_is_itself_again_afterwards(kind, world):
    """Re-entrancy: inside the body another session of another agent opens, calls a tool, and closes."""
    other = world.issue("other", allow=["delete:crm/customers/*"])
    seen = []
    inner_body = Body()

    @requires("delete:crm/customers/{x}")
    def inner(x):
        return inner_body(x)

    def as_other(x):
        with world.guard.acting_as(other):
            inner(x)
        seen.append(acting.get())
        with pytest.raises(AccessDeniedError):
            inner(x)
        return "done"

    body = Body(as_other)
    tool = kind.build(requires(REQUIREMENT), body)
    with world.guard.acting_as(world.agent) as session:
        assert "done" == kind.run(tool, "c-1")

        assert acting.get() is session
    assert [session] == seen
    assert (["c-1"], ["other"]) == (inner_body.ran, inner_body.as_whom)
    assert [("other", "allow"), ("bot", "deny"), ("bot", "allow")] == [
        (span.attributes["gen_ai.agent.name"], span.attributes["agentid.authorization.decision"])
        for span in world.spans
    ]


# --- refused in the middle of a stream -------------------------------------------------------------------------------

ENDINGS = {
    "expired": (lambda world, session: world.clock.step(timedelta(hours=1)), CredentialExpiredError),
    "revoked": (lambda world, session: world.authority.revoke(world.agent), CredentialRevokedError),
    "session_ended": (lambda world, session: session.close(), NoActingAgentError),
}
each_ending = pytest.mark.parametrize("reason", ENDINGS)


def cleaning_up(log):
    """A stream that cleans up, and tries one more guarded call while it does."""

    @requires(REQUIREMENT)
    def last(x):
        log.append("called")

    def leave():
        log.append(f"cleaned up as {acting.get().agent.name}")
        with pytest.raises(Error):
            last("c-2")

    return leave


def assert_stopped(world, reason, error):
    """The stream was stopped, and then the call that its cleaning up tried was refused."""
    assert [(reason, f"agentid.errors.{error.__name__}"), (reason, "agentid.permission_denied")] == [
        (span.attributes["agentid.authorization.reason"], span.attributes["error.type"]) for span in world.spans
    ]
    if world.recorded:
        assert [("allow", reason, "stopped"), ("deny", reason, "denied")] == world.outcomes()


@each_ending
def test_a_stream_is_refused_its_next_item(reason, world):
    end, error = ENDINGS[reason]
    log = []
    leave = cleaning_up(log)

    @requires(REQUIREMENT)
    def stream(x):
        try:
            yield 1
            log.append("went on")
            yield 2
        finally:
            leave()

    with world.guard.acting_as(world.agent) as session:
        items = stream("c-1")
        assert 1 == next(items)
        end(world, session)
        with pytest.raises(error):
            next(items)
        assert acting.get() is session
        assert [] == list(items)

    assert ["cleaned up as bot"] == log
    assert_stopped(world, reason, error)


@each_ending
def test_an_async_stream_is_refused_its_next_item(reason, world):
    end, error = ENDINGS[reason]
    log = []
    leave = cleaning_up(log)

    @requires(REQUIREMENT)
    async def stream(x):
        try:
            yield 1
            log.append("went on")
            yield 2
        finally:
            await asyncio.sleep(0)
            leave()

    async def main():
        with world.guard.acting_as(world.agent) as session:
            items = stream("c-1")
            assert 1 == await anext(items)
            end(world, session)
            with pytest.raises(error):
                await anext(items)
            assert acting.get() is session
            assert [] == [item async for item in items]

    asyncio.run(main())

    assert ["cleaned up as bot"] == log
    assert_stopped(world, reason, error)


@each_ending
@each_context
def test_a_context_is_refused_where_it_would_be_entered(kind, reason, world):
    end, error = ENDINGS[reason]
    body = Body()
    tool = kind.build(requires(REQUIREMENT), body)
    with world.guard.acting_as(world.agent) as session:
        context = tool("c-1")
        end(world, session)
        with pytest.raises(error):
            asyncio.run(kind.use(context)) if kind.is_async else kind.use(context)

        assert acting.get() is session
    assert [] == body.ran
    world.assert_one("allow", reason, "stopped", f"agentid.errors.{error.__name__}")


@each([kind for kind in KINDS if kind.build in {guard_over_contextmanager, guard_over_asynccontextmanager}])
def test_a_guarded_context_can_be_left_after_its_session_ended(kind, world):
    """Leaving is cleaning up: it is never refused."""
    body = Body()
    tool = kind.build(requires(REQUIREMENT), body)

    async def main():
        session = world.guard.acting_as(world.agent)
        with session:
            if kind.is_async:
                async with tool("c-1"):
                    session.close()
            else:
                with tool("c-1"):
                    session.close()

    asyncio.run(main())

    world.assert_one("allow", "granted", "success")


@pytest.mark.parametrize("is_async", [False, True])
def test_a_context_made_of_a_guarded_stream_cleans_up_when_its_session_ended(is_async, world):
    """In this order the guard sees a stream that is asked for another item: refused, and cleaned up."""
    log = []

    @contextmanager
    @requires(REQUIREMENT)
    def tool(x):
        try:
            yield x
            log.append("went on")
        finally:
            log.append("cleaned up")

    @asynccontextmanager
    @requires(REQUIREMENT)
    async def async_tool(x):
        try:
            yield x
            log.append("went on")
        finally:
            log.append("cleaned up")

    async def main():
        with world.guard.acting_as(world.agent) as session:
            if is_async:
                async with async_tool("c-1"):
                    session.close()
            else:
                with tool("c-1"):
                    session.close()

    with pytest.raises(NoActingAgentError):
        asyncio.run(main())

    assert ["cleaned up"] == log
    world.assert_one("allow", "session_ended", "stopped", "agentid.errors.NoActingAgentError")


@each_context
def test_an_error_in_the_block_is_not_hidden_by_the_end_of_the_session(kind, world):
    """What is thrown in reaches the body, and comes out again, whatever the session is by then."""
    body = Body()
    tool = kind.build(requires(REQUIREMENT), body)

    async def main():
        with world.guard.acting_as(world.agent) as session:
            if kind.is_async:
                async with tool("c-1"):
                    session.close()
                    raise KeyError
            else:
                with tool("c-1"):
                    session.close()
                    raise KeyError

    with pytest.raises(KeyError):
        asyncio.run(main())

    world.assert_one("allow", "granted", "failure", "KeyError")


@each_context
@pytest.mark.parametrize("handles", [True, False])
def test_an_error_in_the_block_is_for_the_context_to_handle(kind, handles, world):
    """An error that a context manager handles is no failure of it."""

    @contextmanager
    def handling():
        try:
            yield "value"
        except KeyError:
            if not handles:
                raise

    @asynccontextmanager
    async def handling_async():
        with handling() as value:
            yield value

    guarded = requires("read:crm/customers/c-1")
    tool = guarded(handling_async if kind.is_async else handling)
    if kind.build.__name__.endswith("over_guard"):
        body = (handling_async if kind.is_async else handling).__wrapped__
        tool = (asynccontextmanager if kind.is_async else contextmanager)(guarded(body))

    async def block():
        if kind.is_async:
            async with tool():
                raise KeyError("c-1")
        else:
            with tool():
                raise KeyError("c-1")

    async def main():
        with world.guard.acting_as(world.agent):
            if handles:
                await block()
            else:
                with pytest.raises(KeyError):
                    await block()

    asyncio.run(main())

    world.assert_one("allow", "granted", *(("success",) if handles else ("failure", "KeyError")))


@each_context
@pytest.mark.parametrize("fails", [True, False])
def test_leaving_a_context_runs_as_the_agent_that_asked_for_it(kind, fails, world):
    """And whoever leaves it is itself again afterwards, also when leaving fails."""
    other = world.issue("other")
    as_whom = []

    @contextmanager
    def leaving():
        yield
        as_whom.append(acting.get().agent.name)
        if fails:
            raise KeyError

    @asynccontextmanager
    async def leaving_async():
        yield
        await asyncio.sleep(0)
        as_whom.append(acting.get().agent.name)
        if fails:
            raise KeyError

    guarded = requires("read:crm/customers/c-1")
    tool = guarded(leaving_async if kind.is_async else leaving)
    if kind.build.__name__.endswith("over_guard"):
        body = (leaving_async if kind.is_async else leaving).__wrapped__
        tool = (asynccontextmanager if kind.is_async else contextmanager)(guarded(body))

    async def main():
        with world.guard.acting_as(world.agent):
            context = tool()
            await context.__aenter__() if kind.is_async else context.__enter__()
            with world.guard.acting_as(other) as others:
                try:
                    leave = context.__aexit__ if kind.is_async else context.__exit__
                    left = leave(None, None, None)
                    if kind.is_async:
                        await left
                finally:
                    assert acting.get() is others
                    assert not trace.get_current_span().get_span_context().is_valid

    if fails:
        with pytest.raises(KeyError):
            asyncio.run(main())
    else:
        asyncio.run(main())

    assert ["bot"] == as_whom
    world.assert_one("allow", "granted", *(("failure", "KeyError") if fails else ("success",)))


@each_context
def test_entering_a_context_that_fails_gives_back_whoever_enters_it(kind, world):
    other = world.issue("other")

    def fail(x):
        raise KeyError

    tool = kind.build(requires(REQUIREMENT), Body(fail))

    async def main():
        with world.guard.acting_as(world.agent):
            context = tool("c-1")
            with world.guard.acting_as(other) as others:
                try:
                    await context.__aenter__() if kind.is_async else context.__enter__()
                finally:
                    assert acting.get() is others

    with pytest.raises(KeyError):
        asyncio.run(main())

    world.assert_one("allow", "granted", "failure", "KeyError")


@each_context
def test_the_block_inside_a_context_is_not_part_of_the_tool(kind, world):
    """Its caller runs there: as itself, and in its own span."""
    body = Body()
    tool = kind.build(requires(REQUIREMENT), body)
    inner = function(requires(REQUIREMENT), Body())

    async def main():
        with world.guard.acting_as(world.agent) as session:
            if kind.is_async:
                async with tool("c-1"):
                    assert acting.get() is session
                    inner("c-2")
            else:
                with tool("c-1"):
                    assert acting.get() is session
                    inner("c-2")

    asyncio.run(main())

    assert [None, None] == [span.parent for span in world.spans]
