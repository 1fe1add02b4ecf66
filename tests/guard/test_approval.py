"""ASK: a person's yes to exactly one call; whatever is no clear yes is a no."""

from __future__ import annotations

import asyncio
import gc
import io
import threading
from array import array
from collections import OrderedDict, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from xml.etree import ElementTree as ET

import pytest

from agentid import Approval, requires
from agentid.errors import (
    AccessDeniedError,
    ApprovalRefusedError,
    CredentialExpiredError,
    CredentialRevokedError,
    NoActingAgentError,
)
from agentid.guard.session import acting
from agentid.policy import Policy

SOON = Policy(approval_timeout=timedelta(seconds=0.01))


@pytest.fixture
def clerk(world):
    """An agent that must ask before it writes."""
    return world.issue("clerk", ask=["write:mail/outbox/*"])


class Tools:
    """A sync and an async tool, a stream of each kind, and what ran."""

    def __init__(self):
        self.ran = ran = []

        @requires("write:mail/outbox/{to}")
        def send(to, body="hello"):
            ran.append((to, body))
            return "sent"

        @requires("write:mail/outbox/{to}")
        async def send_async(to, body="hello"):
            ran.append((to, body))
            return "sent"

        @requires("write:mail/outbox/{to}")
        def stream(to, body="hello"):
            ran.append((to, body))
            yield "sent"

        @requires("write:mail/outbox/{to}")
        async def stream_async(to, body="hello"):
            ran.append((to, body))
            yield "sent"

        async def collect(to, body="hello"):
            return "".join([item async for item in stream_async(to, body)])

        self.by_kind = {
            "sync": send,
            "async": lambda *args, **kwargs: asyncio.run(send_async(*args, **kwargs)),
            "sync in a loop": lambda *args, **kwargs: asyncio.run(self._inside(send, *args, **kwargs)),
            "stream": lambda *args, **kwargs: "".join(stream(*args, **kwargs)),
            "async stream": lambda *args, **kwargs: asyncio.run(collect(*args, **kwargs)),
        }
        self.send, self.send_async, self.stream, self.stream_async = send, send_async, stream, stream_async

    async def _inside(self, function, *args, **kwargs):
        return function(*args, **kwargs)


each_tool = pytest.mark.parametrize("kind", ["sync", "async", "sync in a loop", "stream", "async stream"])


# --- who is asked, and how -------------------------------------------------------------------------------------------


async def yes_async(request):
    await asyncio.sleep(0)
    return True


class Asker:
    def __call__(self, request):
        return True


class AsyncAsker:
    async def __call__(self, request):
        return True

    async def method(self, request):
        return True


APPROVERS = {
    "function": lambda request: True,
    "async function": yes_async,
    "object": Asker(),
    "async object": AsyncAsker(),
    "async method": AsyncAsker().method,
    "partial": partial(lambda answer, request: answer, True),
    "async partial": partial(yes_async),
    "function that returns a coroutine": lambda request, answer=True: yes_async(request),
    "an approval": lambda request: Approval(approved=True, approver="grace.h", id="a-1"),
}


@each_tool
@pytest.mark.parametrize("approver", APPROVERS.values(), ids=APPROVERS)
def test_any_callable_can_be_asked_by_any_kind_of_tool(approver, kind, world, clerk):
    tools = Tools()
    with world.make_guard(approver=approver).acting_as(clerk) as session:
        assert "sent" == tools.by_kind[kind]("ada")
        assert acting.get() is session

    assert [("ada", "hello")] == tools.ran
    world.assert_one("allow", "approved", "success")
    assert world.records[0].approval == world.spans[0].attributes["agentid.approval.id"] != ""
    assert "write:mail/outbox/*" == world.records[0].permission


def test_the_id_of_the_approval_stands_in_the_record(world, clerk):
    with world.make_guard(approver=APPROVERS["an approval"]).acting_as(clerk):
        Tools().send("ada")

    assert "a-1" == world.records[0].approval
    assert "grace.h" not in world.spans[0].to_json()


# --- what is no yes --------------------------------------------------------------------------------------------------


def raising(request):
    raise RuntimeError("secret")


async def raising_async(request):
    raise RuntimeError("secret")


class Yes:
    """Claims to equal anything."""

    approved = True

    def __eq__(self, other):
        return True

    def __hash__(self):
        return 1

    def __bool__(self):
        return True


REFUSERS = {
    "no approver": (None, "no approver is set"),
    "False": (lambda request: False, "the answer was no"),
    "None": (lambda request: None, "the answer was no"),
    "1": (lambda request: 1, "only True is a yes"),
    "yes": (lambda request: "yes", "only True is a yes"),
    "y": (lambda request: ["y"], "only True is a yes"),
    "something like a yes": (lambda request: Yes(), "only True is a yes"),
    "the class of approvals": (lambda request: Approval, "only True is a yes"),
    "a callable": (lambda request: lambda: True, "only True is a yes"),
    "an approval that says no": (lambda request: Approval(approved=False, why="not today"), "not today"),
    "an approval that says 1": (lambda request: Approval(approved=1), "the answer was no"),
    "an approval that says yes in words": (lambda request: Approval(approved="yes"), "the answer was no"),
    "an exception": (raising, "failed with RuntimeError"),
    "an exception, later": (raising_async, "failed with RuntimeError"),
    "wrong arguments": (lambda: True, "failed with TypeError"),
}


@each_tool
@pytest.mark.parametrize(("approver", "says"), REFUSERS.values(), ids=REFUSERS)
def test_whatever_is_no_clear_yes_is_a_no(approver, says, kind, world, clerk):
    tools = Tools()
    with world.make_guard(approver=approver).acting_as(clerk) as session:
        with pytest.raises(ApprovalRefusedError) as refused:
            tools.by_kind[kind]("ada")
        assert acting.get() is session

    assert [] == tools.ran
    world.assert_one("deny", "approval_missing", "denied")
    assert says in str(refused.value)
    assert "secret" not in str(refused.value)
    assert "not permitted: write mail/outbox/ada: a person did not approve" == refused.value.for_model
    assert "" == world.records[0].approval


def test_what_an_approver_says_cannot_forge_a_line_of_a_log(world, clerk):
    approver = lambda request: Approval(approved=False, why="no\nallowed\x1b[2J " + "x" * 1000)
    with world.make_guard(approver=approver).acting_as(clerk), pytest.raises(ApprovalRefusedError) as refused:
        Tools().send("ada")

    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize("kind", ["sync", "async", "async stream"])
@pytest.mark.parametrize("is_async", [False, True])
def test_who_does_not_answer_in_time_has_not_said_yes(is_async, kind, world, clerk):
    """What an approver answers afterwards is ignored, and so is what it raises."""
    answered = threading.Event()
    let_go = threading.Event()

    def slow(request):
        let_go.wait(10)
        answered.set()
        return True

    async def slow_async(request):
        try:
            await asyncio.Event().wait()
        finally:
            answered.set()
            raise RuntimeError("too late")

    tools = Tools()
    guard = world.make_guard(approver=slow_async if is_async and kind != "sync" else slow, policy=SOON)
    with guard.acting_as(clerk), pytest.raises(ApprovalRefusedError, match=r"nobody answered within 0\.01 seconds"):
        tools.by_kind[kind]("ada")
    let_go.set()
    assert answered.wait(10)

    assert [] == tools.ran
    world.assert_one("deny", "approval_missing", "denied")


def test_an_approver_that_does_not_let_itself_be_cancelled_holds_nobody_up(world, clerk):
    async def stubborn(request):
        for _ in range(1000):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if done.is_set():
                    raise

    tools = Tools()
    done = threading.Event()

    async def main():
        with world.make_guard(approver=stubborn, policy=SOON).acting_as(clerk):
            with pytest.raises(ApprovalRefusedError):
                await tools.send_async("ada")
            done.set()

    asyncio.run(main())

    assert [] == tools.ran


def test_an_async_approver_that_is_cancelled_is_a_no_and_not_a_cancelled_caller(world, clerk):
    async def cancelled(request):
        raise asyncio.CancelledError

    tools = Tools()

    async def main():
        with world.make_guard(approver=cancelled).acting_as(clerk):
            await tools.send_async("ada")

    with pytest.raises(ApprovalRefusedError, match="was cancelled"):
        asyncio.run(main())

    assert [] == tools.ran


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("is_async", [False, True])
def test_a_caller_that_is_cancelled_while_a_person_is_asked_runs_nothing(is_async, stream, world, clerk):
    let_go = threading.Event()
    tools = Tools()

    async def main():
        asked = asyncio.Event()
        loop = asyncio.get_running_loop()

        def approver(request):
            loop.call_soon_threadsafe(asked.set)
            return let_go.wait(10)

        async def approver_async(request):
            asked.set()
            await asyncio.Event().wait()

        async def call():
            if stream:
                return [item async for item in tools.stream_async("ada")]
            return await tools.send_async("ada")

        with world.make_guard(approver=approver_async if is_async else approver).acting_as(clerk) as session:
            task = asyncio.create_task(call())
            await asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert acting.get() is session
        let_go.set()

    asyncio.run(main())

    assert [] == tools.ran
    world.assert_one("deny", "approval_missing", "denied")


def test_an_interrupt_while_a_person_is_asked_runs_nothing(world, clerk):
    tools = Tools()

    def interrupted(request):
        raise KeyboardInterrupt

    with world.make_guard(approver=interrupted).acting_as(clerk), pytest.raises(KeyboardInterrupt):
        tools.send("ada")

    assert [] == tools.ran
    world.assert_one("deny", "approval_missing", "denied")


def test_an_async_stream_that_is_dropped_before_anybody_was_asked_is_a_refusal(world, clerk):
    asked = []
    with world.make_guard(approver=asked.append).acting_as(clerk):
        Tools().stream_async("ada")
        gc.collect(1)

    assert [] == asked
    world.assert_one("deny", "approval_missing", "denied")


# --- for exactly one call --------------------------------------------------------------------------------------------


def test_each_call_is_asked_about_again(world, clerk):
    asked = []
    tools = Tools()
    with world.make_guard(approver=lambda request: asked.append(request) or True).acting_as(clerk):
        tools.send("ada")
        tools.send("ada")

    assert 2 == len(asked) == len(tools.ran)
    assert 2 == len({record.approval for record in world.records})


def test_the_person_sees_who_wants_what_with_which_arguments_and_why(world, clerk):
    asked = []
    with world.make_guard(approver=lambda request: asked.append(request) or True).acting_as(clerk, task="Answer Ada"):
        Tools().send("ada", body="secret")

    (request,) = asked
    assert ("clerk", str(clerk.id), "send", "Answer Ada") == (
        request.agent,
        request.agent_id,
        request.tool,
        request.task,
    )
    assert {"to": "ada", "body": "secret"} == request.arguments
    assert ["write:mail/outbox/ada"] == [str(access) for access in request.accesses]
    assert timedelta(minutes=5) == request.timeout
    assert "secret" not in repr(request)


@dataclass
class Letter:
    to: str
    body: str


class Opaque:
    """Its text says nothing about what is inside."""

    def __init__(self, to):
        self.to = to

    def method(self):
        return self.to


class Slotted:
    """And its attributes stand in slots, one of them under a name that Python mangles."""

    __slots__ = ("__note", "inner", "to")

    def __init__(self, to):
        self.to = to
        self.inner = [Opaque("ada")]
        self.__note = "hello"

    def rewrite(self):
        self.__note = "evil"


class Mute:
    """Shows nothing of itself, like what is written in C."""

    __slots__ = ()

    def __repr__(self):
        return "mute"


def changing(change):
    """An approver that says yes, and meanwhile something changes."""

    def approver(request):
        change()
        return True

    return approver


def test_arguments_that_change_while_a_person_is_asked_were_not_approved(world, clerk):
    """Neither the resource nor anything else that was shown may be another one afterwards."""
    to, body = ["ada"], {"text": ["hello"]}
    letter, opaque = Letter("ada", "hello"), Opaque("ada")
    ran = []

    @requires("write:mail/outbox/{to}")
    def send(to, body):
        ran.append(to)

    @requires("write:mail/outbox/{letter.to}")
    def post(letter):
        ran.append(letter)

    cases = [
        (lambda: send(to, body), lambda: to.append("eve")),
        (lambda: send(to, body), lambda: to.__setitem__(0, "eve")),
        (lambda: send(to, body), to.clear),
        (lambda: send("ada", body), lambda: body["text"].append("evil")),
        (lambda: send("ada", body), lambda: body.update(more=1)),
        (lambda: post(letter), lambda: setattr(letter, "body", "evil")),
        (lambda: post(letter), lambda: setattr(letter, "to", "eve")),
        (lambda: post(opaque), lambda: setattr(opaque, "to", "eve")),
    ]
    for call, change in cases:
        to[:] = ["ada"]
        with world.make_guard(approver=changing(change)).acting_as(clerk), pytest.raises(ApprovalRefusedError) as no:
            call()
        assert "changed while a person was asked" in str(no.value) or "error" == no.value.decision.reason

    assert [] == ran
    assert {("deny", "approval_missing", "denied")} == set(world.outcomes())


def closure():
    opaque = Opaque("ada")
    function = lambda: opaque
    function.itself = opaque.method
    return function


def cyclic():
    opaque = Opaque("ada")
    opaque.itself = [opaque]
    return opaque


@pytest.mark.parametrize(
    ("make", "change"),
    [
        (lambda: Opaque("ada"), lambda it: setattr(it, "more", 1)),
        (lambda: Opaque("ada"), lambda it: setattr(it, "to", True)),
        (lambda: Slotted("ada"), lambda it: setattr(it, "to", "eve")),
        (lambda: Slotted("ada"), lambda it: setattr(it.inner[0], "to", "eve")),
        (lambda: Slotted("ada"), lambda it: it.rewrite()),
        (lambda: [Opaque("ada")], lambda it: setattr(it[0], "to", "eve")),
        (lambda: [Opaque("ada")], lambda it: it.__setitem__(0, Opaque("ada"))),
        (lambda: {"a": (1, [Opaque(1)])}, lambda it: setattr(it["a"][1][0], "to", 1.0)),
        (lambda: array("q", range(5000)), lambda it: it.__setitem__(2500, -1)),
        (lambda: memoryview(bytearray(b"ada")), lambda it: it.__setitem__(slice(0, 3), b"eve")),
        (lambda: OrderedDict(a=Opaque("ada")), lambda it: setattr(it["a"], "to", "eve")),
        (lambda: [Mute()], lambda it: it.__setitem__(0, Mute())),
        (lambda: [1], lambda it: it.__setitem__(0, True)),
        (lambda: ["a"], lambda it: it.__setitem__(0, b"a")),
        (lambda: [(1,)], lambda it: it.__setitem__(0, [1])),
        (lambda: io.BytesIO(b"ok"), lambda it: it.write(b"EVIL")),
        (lambda: io.StringIO("ok"), lambda it: it.write("EVIL")),
        (lambda: io.BytesIO(b"ok"), lambda it: it.seek(1)),
        (lambda: ET.fromstring("<a><b/></a>"), lambda it: it[0].set("to", "eve")),
        (lambda: deque([Opaque("ada")]), lambda it: setattr(it[0], "to", "eve")),
        (lambda: MappingProxyType({"a": Opaque("ada")}), lambda it: setattr(it["a"], "to", "eve")),
        ({"a": Opaque("ada")}.values, lambda it: setattr(next(iter(it)), "to", "eve")),
        (lambda: partial(print, Opaque("ada")), lambda it: setattr(it.args[0], "to", "eve")),
        (closure, lambda it: setattr(it(), "to", "eve")),
        (lambda: closure().itself, lambda it: setattr(it.__self__, "to", "eve")),
        (lambda: ValueError(Opaque("ada")), lambda it: setattr(it.args[0], "to", "eve")),
        (cyclic, lambda it: setattr(it.itself[0], "to", "eve")),
        (lambda: partial(print, Opaque("ada")), lambda it: it.__setstate__((print, ("eve",), {}, None))),
    ],
)
def test_what_its_text_does_not_show_may_not_change_either_while_a_person_is_asked(make, change, world, clerk):
    ran, held = [], make()

    @requires("write:mail/outbox/{to}")
    def send(to, letter):
        ran.append(to)

    with world.make_guard(approver=lambda request: True).acting_as(clerk):
        send("ada", held)
    changes = world.make_guard(approver=changing(lambda: change(held)))
    with changes.acting_as(clerk), pytest.raises(ApprovalRefusedError, match="changed while a person was asked"):
        send("ada", held)

    assert ["ada"] == ran


def test_what_is_too_deep_to_be_compared_cannot_be_approved(world, clerk):
    nested = Opaque("ada")
    for _ in range(3000):
        nested = Opaque(nested)

    @requires("write:mail/outbox/{to}")
    def send(to, letter):
        raise AssertionError

    with world.make_guard(approver=lambda request: True).acting_as(clerk), pytest.raises(AccessDeniedError) as no:
        send("ada", nested)

    assert "error" == no.value.decision.reason


def test_the_object_whose_tool_it_is_may_go_on_working_while_a_person_is_asked(world, clerk):
    class Outbox:
        def __init__(self):
            self.count = 0

        @requires("write:mail/outbox/{to}")
        def send(self, to):
            return f"sent to {to}"

    outbox = Outbox()
    with world.make_guard(approver=changing(lambda: setattr(outbox, "count", 1))).acting_as(clerk):
        assert "sent to ada" == outbox.send("ada")


def test_an_approver_cannot_change_what_the_tool_gets(world, clerk):
    got = []

    @requires("write:mail/outbox/{to}")
    def send(to, copies):
        got.append((to, copies))

    def meddling(request):
        request.arguments["to"] = "eve"
        return True

    def meddling_deeper(request):
        request.arguments["copies"].append("eve")
        return True

    with world.make_guard(approver=meddling).acting_as(clerk):
        send("ada", [])
    with world.make_guard(approver=meddling_deeper).acting_as(clerk), pytest.raises(ApprovalRefusedError):
        send("ada", [])

    assert [("ada", [])] == got


@pytest.mark.parametrize("kind", ["sync", "async", "async stream"])
@pytest.mark.parametrize(
    ("end", "error", "reason"),
    [
        (lambda world, session, clerk: world.authority.revoke(clerk), CredentialRevokedError, "revoked"),
        (lambda world, session, clerk: world.clock.step(timedelta(hours=1)), CredentialExpiredError, "expired"),
        (lambda world, session, clerk: session.close(), NoActingAgentError, "session_ended"),
    ],
    ids=["revoked", "expired", "session ended"],
)
def test_an_agent_that_may_not_act_any_more_is_not_helped_by_a_yes(kind, end, error, reason, world, clerk):
    tools = Tools()
    sessions = []
    guard = world.make_guard(approver=changing(lambda: end(world, sessions[0], clerk)))
    with guard.acting_as(clerk) as session:
        sessions.append(session)
        with pytest.raises(error):
            tools.by_kind[kind]("ada")

    assert [] == tools.ran
    world.assert_one("deny", reason, "denied")


# --- an approver is not the agent ------------------------------------------------------------------------------------


@each_tool
@pytest.mark.parametrize("is_async", [False, True])
def test_no_agent_is_acting_where_a_person_is_asked(is_async, kind, world, clerk):
    """A guarded tool that an approver calls is refused, and that is no yes."""
    seen = []
    tools = Tools()

    def approver(request):
        seen.append(acting.get())
        tools.send("ada")
        return True

    async def approver_async(request):
        seen.append(acting.get())
        await asyncio.sleep(0)
        seen.append(acting.get())
        await tools.send_async("ada")
        return True

    with world.make_guard(approver=approver_async if is_async else approver).acting_as(clerk) as session:
        with pytest.raises(ApprovalRefusedError, match="failed with NoActingAgentError"):
            tools.by_kind[kind]("ada")
        assert acting.get() is session

    assert {None} == set(seen)
    assert [] == tools.ran


def test_the_event_loop_goes_on_while_a_person_is_asked(world, clerk):
    """An async tool that waits for an answer holds nobody up, whether the approver is sync or async."""
    tools = Tools()

    async def main():
        answer = threading.Event()
        with world.make_guard(approver=lambda request: answer.wait(10)).acting_as(clerk):
            task = asyncio.create_task(tools.send_async("ada"))
            for _ in range(20):
                await asyncio.sleep(0)
            assert not task.done()
            answer.set()
            assert "sent" == await task

    asyncio.run(main())


def test_many_calls_can_wait_for_answers_at_the_same_time(world, clerk):
    """Each gets its own answer."""
    tools = Tools()
    guard = world.make_guard(approver=lambda request: request.arguments["to"] != "c-3")

    async def call(name):
        try:
            return await tools.send_async(name)
        except ApprovalRefusedError:
            return "refused"

    async def main():
        with guard.acting_as(clerk):
            return await asyncio.gather(*(call(f"c-{n}") for n in range(8)))

    assert ["sent"] * 3 + ["refused"] + ["sent"] * 4 == asyncio.run(main())
    with guard.acting_as(clerk) as session, ThreadPoolExecutor() as pool:
        results = pool.map(session.bind(tools.send), [f"c-{n}" for n in range(3)])
        assert ["sent"] * 3 == list(results)


def test_a_block_is_asked_about_as_a_tool_is(world, clerk):
    answers = [True, False]
    guard = world.make_guard(approver=lambda request: answers.pop(0))
    ran = []

    async def main():
        with guard.acting_as(clerk):
            with guard.access("write", "mail/outbox/ada"):
                ran.append("sync")
            with pytest.raises(ApprovalRefusedError):
                async with guard.access("write", "mail/outbox/ada"):
                    ran.append("async")

    asyncio.run(main())

    assert ["sync"] == ran
    assert [("allow", "approved", "success"), ("deny", "approval_missing", "denied")] == world.outcomes()
