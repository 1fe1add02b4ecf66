"""
Streams: a guarded generator does what the bare one does, whatever is sent, thrown in or closed.

Each test of the first part runs a guarded generator and its undecorated twin side by side.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import threading
import types

import generated
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace

from agentid import requires
from agentid.errors import AccessDeniedError, NoActingAgentError
from agentid.guard.session import acting
from agentid.testing import acting_as

GUARDED = requires("read:crm/customers/{x}")

# --- twins -----------------------------------------------------------------------------------------------------------


class Odd(BaseException):
    """Not an `Exception`."""


REACTIONS = ["raise", "other", "return", "swallow"]
THROWN = [ValueError, Odd, StopIteration, StopAsyncIteration, GeneratorExit]
OPERATIONS = st.one_of(
    st.just(("next", None)),
    st.tuples(st.just("send"), st.integers(0, 9)),
    st.tuples(st.just("throw"), st.integers(0, len(THROWN) - 1)),
    st.just(("close", None)),
)
scripts = st.lists(st.sampled_from(REACTIONS), max_size=4)
sequences = st.lists(OPERATIONS, max_size=7)


def body(x, script, log):
    for reaction in script:
        try:
            log.append(("sent", (yield len(log))))
        except BaseException as error:
            log.append((type(error).__name__, reaction))
            if reaction == "raise":
                raise
            if reaction == "other":
                raise KeyError("other") from error
            if reaction == "return":
                return "early"
    log.append("end")
    return "end"


async def async_body(x, script, log):
    for reaction in script:
        await asyncio.sleep(0)
        try:
            log.append(("sent", (yield len(log))))
        except BaseException as error:
            await asyncio.sleep(0)
            log.append((type(error).__name__, reaction))
            if reaction == "raise":
                raise
            if reaction == "other":
                raise KeyError("other") from error
            if reaction == "return":
                return
    log.append("end")


def described(error):
    cause = error.__cause__
    return type(error).__name__, error.args, cause and described(cause)


def perform(stream, operation, value):
    """One operation on a generator: what came of it."""
    try:
        if operation == "next":
            return "item", next(stream)
        if operation == "send":
            return "item", stream.send(value)
        if operation == "throw":
            return "item", stream.throw(THROWN[value]("thrown"))
        return "closed", stream.close()
    except BaseException as error:
        return "raised", described(error)


async def perform_async(stream, operation, value):
    try:
        if operation == "next":
            return "item", await stream.__anext__()
        if operation == "send":
            return "item", await stream.asend(value)
        if operation == "throw":
            return "item", await stream.athrow(THROWN[value]("thrown"))
        return "closed", await stream.aclose()
    except BaseException as error:
        return "raised", described(error)


def test_a_guarded_generator_answers_as_its_twin():
    """Any sequence of next, send, throw and close gives the same items, errors and states."""

    @settings(deadline=None, max_examples=generated.examples(500))
    @given(scripts, sequences)
    def check(script, operations):
        logs = ([], [])
        world.records.clear()
        twins = [body("c-1", script, logs[0]), GUARDED(body)("c-1", script, logs[1])]
        for operation, value in [*operations, *[("next", None)] * 6]:
            answers = [perform(twin, operation, value) for twin in twins]

            assert answers[0] == answers[1]
            assert logs[0] == logs[1]
            assert inspect.getgeneratorstate(twins[0]) == inspect.getgeneratorstate(twins[1])
            assert acting.get() is world.session
        del twins
        gc.collect(0)
        assert 1 == len(world.records)

    with acting_as(allow=["read:crm/customers/*"]) as world:
        check()


def test_a_guarded_async_generator_answers_as_its_twin():
    async def compare(script, operations):
        logs = ([], [])
        world.records.clear()
        twins = [async_body("c-1", script, logs[0]), GUARDED(async_body)("c-1", script, logs[1])]
        for operation, value in [*operations, *[("next", None)] * 6]:
            answers = [await perform_async(twin, operation, value) for twin in twins]

            assert answers[0] == answers[1]
            assert logs[0] == logs[1]
            assert acting.get() is world.session
        del twins
        gc.collect(0)
        assert 1 == len(world.records)

    @settings(deadline=None, max_examples=generated.examples(300))
    @given(scripts, sequences)
    def check(script, operations):
        asyncio.run(compare(script, operations))

    with acting_as(allow=["read:crm/customers/*"]) as world:
        check()


def test_a_generator_that_delegates_to_a_guarded_one_gets_what_it_returns():
    @GUARDED
    def inner(x):
        got = yield 1
        return got

    def outer():
        result = yield from inner("c-1")
        yield ("result", result)

    with acting_as(allow=["read:crm/customers/*"]):
        stream = outer()

        assert 1 == next(stream)
        assert ("result", "sent") == stream.send("sent")


def test_the_exception_thrown_in_comes_back_as_the_same_object_without_more_context():
    @GUARDED
    def stream(x):
        yield x

    thrown = ValueError("mine")
    with acting_as(allow=["read:crm/customers/*"]):
        items = stream("c-1")
        next(items)
        with pytest.raises(ValueError) as raised:
            items.throw(thrown)

    assert raised.value is thrown
    assert (None, None) == (thrown.__context__, thrown.__cause__)


def test_a_stream_that_runs_itself_is_refused_by_python_as_always():
    @GUARDED
    def stream(x):
        with pytest.raises(ValueError, match="already executing"):
            next(items)
        yield x

    with acting_as(allow=["read:crm/customers/*"]):
        items = stream("c-1")
        assert ["c-1"] == list(items)


# --- as whom the body runs -------------------------------------------------------------------------------------------


def test_a_stream_runs_as_the_agent_that_asked_for_it(world):
    """Whoever takes the items lends it nothing, and borrows nothing."""
    other = world.issue("other", allow=["read:crm/customers/*"])
    as_whom = []

    @GUARDED
    def stream(x):
        for _ in range(2):
            as_whom.append(acting.get().agent.name)
            yield x

    with world.guard.acting_as(world.agent) as session:
        items = stream("c-1")
        next(items)
        with world.guard.acting_as(other) as others:
            next(items)
            assert acting.get() is others
        assert acting.get() is session

    assert ["bot", "bot"] == as_whom


def test_an_async_stream_runs_as_the_agent_that_asked_for_it(world):
    other = world.issue("other", allow=["read:crm/customers/*"])
    as_whom = []

    @GUARDED
    async def stream(x):
        for _ in range(2):
            as_whom.append(acting.get().agent.name)
            await asyncio.sleep(0)
            as_whom.append(acting.get().agent.name)
            yield x

    async def main():
        with world.guard.acting_as(world.agent):
            items = stream("c-1")
            await items.__anext__()
        with world.guard.acting_as(other), pytest.raises(NoActingAgentError):
            await items.__anext__()
        with world.guard.acting_as(world.agent):
            items = stream("c-1")
            with world.guard.acting_as(other) as others:
                await items.__anext__()
                assert acting.get() is others
            await items.aclose()

    asyncio.run(main())

    assert ["bot"] * 4 == as_whom


def test_a_stream_taken_outside_of_its_block_while_the_session_is_open_still_runs_as_its_agent(world):
    """What counts is whether the session is open, and not where the items are taken."""

    @GUARDED
    def stream(x):
        yield acting.get().agent.name
        yield acting.get().agent.name

    with world.guard.acting_as(world.agent):
        items = stream("c-1")
        assert "bot" == contextvars.Context().run(next, items)
        assert "bot" == next(items)


def test_a_stream_can_be_taken_in_another_thread_while_the_session_is_open(world):
    taken = []

    @GUARDED
    def stream(x):
        yield acting.get().agent.name
        yield acting.get().agent.name

    def take():
        taken.extend([next(items), acting.get()])

    with world.guard.acting_as(world.agent) as session:
        items = stream("c-1")
        for _ in range(2):
            thread = threading.Thread(target=take)
            thread.start()
            thread.join()
        assert [] == list(items)
        assert acting.get() is session

    assert ["bot", None, "bot", None] == taken
    assert [("allow", "granted", "success")] == world.outcomes()


@pytest.mark.parametrize("is_async", [False, True])
def test_a_session_that_a_stream_holds_open_is_its_own(is_async, world):
    """A body that yields inside a session of a narrower agent goes on as that agent, and its caller never is it."""
    narrow = world.issue("narrow", allow=[])
    log = []

    @requires("read:crm/customers/c-2")
    def inner():
        log.append("inner ran")

    def step():
        log.append(acting.get().agent.name)
        with pytest.raises(AccessDeniedError):
            inner()

    @GUARDED
    def stream(x):
        with world.guard.acting_as(narrow):
            yield 1
            step()
            yield 2
            step()
        log.append(acting.get().agent.name)

    @GUARDED
    async def async_stream(x):
        with world.guard.acting_as(narrow):
            yield 1
            step()
            yield 2
            step()
        log.append(acting.get().agent.name)

    async def main():
        with world.guard.acting_as(world.agent) as session:
            if is_async:
                async for _ in async_stream("c-1"):
                    assert acting.get() is session
            else:
                for _ in stream("c-1"):
                    assert acting.get() is session

    asyncio.run(main())

    assert ["narrow", "narrow", "bot"] == log


def test_a_span_that_a_stream_holds_open_is_its_own(world):
    """A body that yields inside a span of its own goes on in it, and its caller never is in it."""
    tracer = world.captured.provider.get_tracer("test")

    @GUARDED
    def stream(x):
        with tracer.start_as_current_span("body"):
            yield 1
            tracer.start_span("child").end()
            yield 2

    with world.guard.acting_as(world.agent):
        for _ in stream("c-1"):
            assert not trace.get_current_span().get_span_context().is_valid

    child, own, tool = world.spans
    assert ["child", "body", "execute_tool stream"] == [child.name, own.name, tool.name]
    assert (own.context.span_id, tool.context.span_id) == (child.parent.span_id, own.parent.span_id)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_stream_that_is_stopped_cleans_up_as_its_own_agent_and_never_as_the_one_that_takes_it(is_async, world):
    """What a stream does when it is stopped must not borrow the rights of whoever happens to take its items."""
    other = world.issue("other", allow=["read:crm/customers/*"])
    log = []

    @requires("read:crm/customers/c-2")
    def inner():
        log.append("inner ran")

    def clean_up():
        log.append(acting.get().agent.name)
        with pytest.raises(NoActingAgentError):
            inner()

    @GUARDED
    def stream(x):
        try:
            yield 1
        finally:
            clean_up()

    @GUARDED
    async def async_stream(x):
        try:
            yield 1
        finally:
            clean_up()

    async def main():
        with world.guard.acting_as(world.agent) as session:
            items = async_stream("c-1") if is_async else stream("c-1")
            await items.__anext__() if is_async else next(items)
            session.close()
        with world.guard.acting_as(other) as others:
            with pytest.raises(NoActingAgentError) as refused:
                await items.__anext__() if is_async else next(items)
            assert refused.value.__cause__ is None
            assert acting.get() is others

    asyncio.run(main())

    assert ["bot"] == log


@pytest.mark.parametrize("is_async", [False, True])
def test_an_item_is_given_when_its_making_was_allowed(is_async, world):
    """The check comes before an item is made; what ends in the middle of it stops the next one."""

    @GUARDED
    def stream(x):
        acting.get().close()
        yield 1
        yield 2

    @GUARDED
    async def async_stream(x):
        acting.get().close()
        yield 1
        yield 2

    async def main():
        with world.guard.acting_as(world.agent):
            items = async_stream("c-1") if is_async else stream("c-1")
            assert 1 == (await items.__anext__() if is_async else next(items))
            await items.__anext__() if is_async else next(items)

    with pytest.raises(NoActingAgentError):
        asyncio.run(main())


@pytest.mark.parametrize("is_async", [False, True])
def test_a_body_that_ends_quietly_when_it_is_closed_was_closed(is_async, world):
    @GUARDED
    def stream(x):
        try:
            yield 1
        except GeneratorExit:
            return

    @GUARDED
    async def async_stream(x):
        try:
            yield 1
        except GeneratorExit:
            return

    async def main():
        with world.guard.acting_as(world.agent):
            items = async_stream("c-1") if is_async else stream("c-1")
            await items.__anext__() if is_async else next(items)
            await items.aclose() if is_async else items.close()

    asyncio.run(main())

    world.assert_one("allow", "granted", "closed")


# --- thrown in and cleaned up ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_async", [False, True])
def test_a_body_that_goes_on_after_an_exception_is_checked_before_its_item_leaves_it(is_async, world):
    """What is thrown in reaches the body whatever the session is by then; another item does not come out."""
    log = []

    @GUARDED
    def stream(x):
        try:
            yield 1
        except KeyError:
            log.append("caught")
        try:
            yield 2
        finally:
            log.append("cleaned up")

    @GUARDED
    async def async_stream(x):
        try:
            yield 1
        except KeyError:
            log.append("caught")
        try:
            yield 2
        finally:
            log.append("cleaned up")

    async def main():
        with world.guard.acting_as(world.agent) as session:
            items = async_stream("c-1") if is_async else stream("c-1")
            await items.__anext__() if is_async else next(items)
            session.close()
            await items.athrow(KeyError()) if is_async else items.throw(KeyError())

    with pytest.raises(NoActingAgentError):
        asyncio.run(main())

    assert ["caught", "cleaned up"] == log
    world.assert_one("allow", "session_ended", "stopped", "agentid.errors.NoActingAgentError")


@pytest.mark.parametrize("is_async", [False, True])
def test_a_refusal_says_what_went_wrong_in_cleaning_up_and_leaves_nobody_acting(is_async, world):
    @GUARDED
    def stream(x):
        try:
            yield 1
        finally:
            raise KeyError("cleaning up")

    @GUARDED
    async def async_stream(x):
        try:
            yield 1
        finally:
            raise KeyError("cleaning up")

    async def main():
        with world.guard.acting_as(world.agent) as session:
            items = async_stream("c-1") if is_async else stream("c-1")
            await items.__anext__() if is_async else next(items)
            session.close()
            try:
                await items.__anext__() if is_async else next(items)
            finally:
                assert acting.get() is session

    with pytest.raises(NoActingAgentError) as refused:
        asyncio.run(main())

    assert isinstance(refused.value.__cause__, KeyError)
    world.assert_one("allow", "session_ended", "stopped", "agentid.errors.NoActingAgentError")


def test_an_async_stream_is_finalised_without_a_loop(world):
    """Driven by hand, where no loop has hooks, it cleans up when it is dropped, as a bare one does."""
    log = []

    @GUARDED
    async def stream(x):
        try:
            yield acting.get().agent.name
        finally:
            log.append(acting.get().agent.name)

    with world.guard.acting_as(world.agent) as session:
        items = stream("c-1")
        with pytest.raises(StopIteration) as item:
            items.__anext__().send(None)
        assert "bot" == item.value.value
        del items
        gc.collect(1)
        assert acting.get() is session

    assert ["bot"] == log
    world.assert_one("allow", "granted", "closed")


def test_a_coroutine_thrown_away_in_another_context_leaves_nobody_acting_there(world):
    """A loop that is torn down closes coroutines from outside of their tasks."""
    log = []

    @GUARDED
    async def tool(x):
        try:
            await suspend()
        finally:
            log.append("cleaned up")

    @types.coroutine
    def suspend():
        yield

    async def start():
        with world.guard.acting_as(world.agent):
            await tool("c-1")

    coroutine = start()
    contextvars.Context().run(coroutine.send, None)
    coroutine.close()

    assert acting.get() is None
    assert ["cleaned up"] == log
    world.assert_one("allow", "granted", "closed")


def test_a_generator_that_is_denied_is_denied_where_it_is_called(world):
    """And not where its first item is taken, which may be far away."""

    @requires("delete:crm/customers/{x}")
    def stream(x):
        yield x

    with world.guard.acting_as(world.agent), pytest.raises(AccessDeniedError):
        stream("c-1")


def test_a_list_that_grows_after_the_call_was_decided_does_not_widen_it(world):
    """
    The arguments are bound when the stream is asked for.

    Reading them again is the tool's business: one that must not see a change copies its list first.
    """
    names = ["c-1"]

    @requires("read:crm/customers/{names}")
    def stream(names):
        yield from names

    with world.guard.acting_as(world.agent):
        items = stream(names)
        next(items)

    assert ("crm/customers/c-1",) == tuple(str(access.resource) for access in world.audit.lines[0][1].accesses)
