"""Lazy results: decided where they are made, and decided again where their body begins."""

from __future__ import annotations

import asyncio
import inspect
import types
from contextlib import asynccontextmanager, contextmanager

import pytest
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from agentid import Permission, requires, subset_of
from agentid.errors import AccessDeniedError, ConfigurationError, CredentialRevokedError, NoActingAgentError
from agentid.guard.session import current_session

GUARDED = requires("read:crm/customers/{x}")


# --- what changes between the call and the first item ----------------------------------------------------------------


def streams_of(guarded, ran):
    """A tool of each lazy kind that takes a list."""

    @guarded
    def stream(x, note=None):
        ran.append(list(x))
        yield "item"

    @guarded
    async def async_stream(x, note=None):
        ran.append(list(x))
        yield "item"

    @guarded
    @contextmanager
    def block(x, note=None):
        ran.append(list(x))
        yield "item"

    @guarded
    @asynccontextmanager
    async def async_block(x, note=None):
        ran.append(list(x))
        yield "item"

    async def later(x):
        ran.append(list(x))
        return "item"

    @guarded
    def promise(x, note=None):
        return later(x)

    async def enter(block):
        async with block as item:
            return item

    def enter_sync(block):
        with block as item:
            return item

    return {
        "stream": (stream, "".join),
        "async stream": (async_stream, lambda items: asyncio.run(begin_async(items))),
        "context manager": (block, enter_sync),
        "async context manager": (async_block, lambda block: asyncio.run(enter(block))),
        "promise": (promise, lambda promise: asyncio.run(main_of(promise))),
    }


async def begin_async(items):
    item = await items.__anext__()
    await items.aclose()
    return item


async def main_of(awaitable):
    return await awaitable


LAZY_KINDS = ["stream", "async stream", "context manager", "async context manager", "promise"]


@pytest.mark.parametrize("kind", LAZY_KINDS)
@pytest.mark.parametrize("change", [lambda x: x.append("c-2"), lambda x: x.clear(), lambda x: x.append(object())])
def test_arguments_that_changed_before_the_first_item_are_not_what_was_allowed(kind, change, each_world):
    ran, ids = [], ["c-1"]
    tool, begin = streams_of(GUARDED, ran)[kind]
    with each_world.guard.acting_as(each_world.agent):
        lazy = tool(ids)
        change(ids)
        with pytest.raises(AccessDeniedError, match="changed between the call and its first item") as refused:
            begin(lazy)

    assert [] == ran
    assert "resource_invalid" == refused.value.decision.reason
    each_world.assert_one("allow", "resource_invalid", "stopped", "agentid.errors.AccessDeniedError")


@pytest.mark.parametrize("kind", LAZY_KINDS)
def test_a_constraint_holds_for_what_the_argument_is_when_the_body_begins(kind, each_world):
    """A fact that no template names is looked at again, too."""
    ran, note = [], ["a"]
    only = Permission.parse("read:crm/customers/*").where(note=subset_of("a", "b"))
    tool, begin = streams_of(GUARDED, ran)[kind]
    with each_world.guard.acting_as(each_world.issue("careful", allow=[only])):
        kept, changed = tool(["c-1"], note), tool(["c-2"], note)
        note.append("b")
        assert "item" == begin(kept)
        note.append("evil")
        with pytest.raises(AccessDeniedError, match="changed"):
            begin(changed)

    assert [["c-1"]] == ran


@pytest.mark.parametrize("kind", LAZY_KINDS)
def test_what_a_person_approved_is_what_begins(kind, world):
    ran, ids, note = [], ["c-1"], {"text": "hello"}
    tool, begin = streams_of(GUARDED, ran)[kind]
    guard = world.make_guard(approver=lambda request: True)
    with guard.acting_as(world.issue("clerk", ask=["read:crm/customers/*"])):
        assert "item" == begin(tool(ids, note))
        if kind != "async stream":  # where a person is asked before the first item, and not at the call
            lazy = tool(ids, note)
            note["text"] = "evil"
            with pytest.raises(AccessDeniedError, match="changed"):
                begin(lazy)

    assert [["c-1"]] == ran


def test_a_stream_that_has_begun_may_use_up_its_arguments(world):
    @GUARDED
    def stream(x):
        while x:
            yield x.pop()

    with world.guard.acting_as(world.agent):
        assert ["c-2", "c-1"] == list(stream(["c-1", "c-2"]))

    world.assert_one("allow", "granted", "success")


# --- generators that are awaited -------------------------------------------------------------------------------------


def test_a_generator_that_may_be_awaited_may_be_awaited_guarded(each_world):
    log = []

    @GUARDED
    @types.coroutine
    def tool(x):
        log.append((yield from asyncio.sleep(0, result=x).__await__()))
        return "done"

    async def main():
        with each_world.guard.acting_as(each_world.agent):
            promise = tool("c-1")
            assert inspect.isawaitable(promise)
            assert "done" == await promise

    asyncio.run(main())

    assert ["c-1"] == log
    each_world.assert_one("allow", "granted", "success")


# --- context managers as decorators ----------------------------------------------------------------------------------


def test_a_context_manager_that_decorates_is_decided_for_each_call(world):
    log = []

    @GUARDED
    @contextmanager
    def block(x):
        log.append(f"in {x}")
        yield
        log.append("out")

    with world.guard.acting_as(world.agent):

        @block("c-1")
        def work():
            """Do it."""
            log.append("work")

        work()
        work()
    with pytest.raises(NoActingAgentError):
        work()

    assert ["in c-1", "work", "out"] * 2 == log
    assert "Do it." == work.__doc__
    assert [("allow", "granted", "abandoned")] + 2 * [("allow", "granted", "success")] == world.outcomes()


def test_an_async_context_manager_that_decorates_is_decided_for_each_call(world):
    log = []

    @GUARDED
    @asynccontextmanager
    async def block(x):
        log.append(f"in {x}")
        yield
        log.append("out")

    async def main():
        with world.guard.acting_as(world.agent):

            @block("c-1")
            async def work():
                log.append("work")

            await work()
            await work()
        with pytest.raises(NoActingAgentError):
            await work()

    asyncio.run(main())

    assert ["in c-1", "work", "out"] * 2 == log


def test_a_context_manager_that_a_tool_only_returned_decorates_nothing(each_world):
    """On the hot path the call is not kept, so it could not be made again."""

    @contextmanager
    def block():
        yield

    @GUARDED
    def tool(x):
        return block()

    with each_world.guard.acting_as(each_world.agent):
        work = tool("c-1")(lambda: "worked")
        if each_world.recorded:
            assert "worked" == work()
        else:
            with pytest.raises(ConfigurationError, match="Enter it where it is needed"):
                work()


# --- on the hot path, and behind a coroutine -------------------------------------------------------------------------


@pytest.mark.parametrize("result", ["generator", "coroutine"])
def test_a_constraint_is_looked_at_again_where_a_returned_body_begins(result, each_world):
    """The template names text, so the call takes the shorter path where it can."""
    only = Permission.parse("read:crm/customers/*").where(ids=subset_of("a", "b"))

    async def later(ids):
        return list(ids)

    @GUARDED
    def rows(x, ids):
        return (i for i in ids) if result == "generator" else later(ids)

    def run(lazy):
        return list(lazy) if result == "generator" else asyncio.run(main_of(lazy))

    with each_world.guard.acting_as(each_world.issue("careful", allow=[only])):
        ids = ["a"]
        assert ["a"] == run(rows("c-1", ids))
        lazy = rows("c-1", ids)
        ids.append("SECRET")
        with pytest.raises(AccessDeniedError, match="changed"):
            run(lazy)


async def numbers(count, ran):
    for number in range(count):
        ran.append(number)
        yield number


def plain_numbers(count, ran):
    for number in range(count):
        ran.append(number)
        yield number


@pytest.mark.parametrize("kind", ["async stream", "stream", "coroutine", "context manager", "promise"])
def test_what_a_coroutine_function_returns_is_followed_too(kind, each_world):
    ran = []

    @asynccontextmanager
    async def block():
        ran.append("entered")
        yield "inside"

    async def later():
        ran.append("later")
        return "done"

    async def bare(x):
        return {
            "async stream": lambda: numbers(3, ran),
            "stream": lambda: plain_numbers(3, ran),
            "coroutine": later,
            "context manager": block,
            "promise": later,
        }[kind]()

    tool = GUARDED(bare)

    @GUARDED
    def promising(x):
        return bare(x)

    async def begin(lazy):
        if kind == "async stream":
            return await lazy.__anext__()
        if kind == "stream":
            return next(lazy)
        if kind == "context manager":
            return await lazy.__aenter__()
        return await lazy

    async def main():
        called = promising if kind == "promise" else tool
        with each_world.guard.acting_as(each_world.agent):
            assert await begin(await called("c-1")) in {0, "done", "inside"}
            before = list(ran)
            lazy = await called("c-1")
        each_world.authority.revoke(each_world.agent)
        with pytest.raises((CredentialRevokedError, NoActingAgentError)):
            await begin(lazy)
        assert before == ran

    asyncio.run(main())


# --- a span that breaks ----------------------------------------------------------------------------------------------


class Breaking(SpanProcessor):
    """Breaks where it is told to."""

    def __init__(self, where):
        self.where = where

    def on_start(self, span, parent_context=None):
        if self.where == "start":
            raise RuntimeError("broken")

    def on_end(self, span):
        if self.where == "end":
            raise RuntimeError("broken")


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("where", ["start", "end"])
def test_a_span_that_breaks_replaces_no_result_and_no_refusal(where, is_async, each_world, caplog):
    """What happened stays; a call that could not be recorded does not begin."""
    ran = []
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Breaking(where))

    def body(x):
        ran.append(x)
        if x == "c-2":
            raise KeyError(x)
        return "done"

    async def coroutine(x):
        return body(x)

    tool = GUARDED(coroutine if is_async else body)

    def call(x):
        return asyncio.run(tool(x)) if is_async else tool(x)

    guard = each_world.make_guard(tracer_provider=provider)
    with guard.acting_as(
        each_world.issue("bot", allow=["read:crm/customers/c-1", "read:crm/customers/c-2"])
    ) as session:
        for _ in range(2):
            if where == "start":
                with pytest.raises(AccessDeniedError):
                    call("c-1")
            else:
                assert "done" == call("c-1")
                with pytest.raises(KeyError):
                    call("c-2")
            with pytest.raises(AccessDeniedError):
                call("c-3")
            assert current_session() is session
    assert ([] if where == "start" else ["c-1", "c-2"] * 2) == ran
    assert "broken" not in caplog.text
