"""WHO: one agent acts for a span of time, and nobody else ever sees it."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from agentid import Authority, propagate, requires
from agentid.errors import (
    AccessDeniedError,
    ConfigurationError,
    CredentialError,
    CredentialExpiredError,
    CredentialRevokedError,
    NoActingAgentError,
)
from agentid.guard import current_session
from agentid.guard.session import acting
from agentid.identity import Agent
from agentid.testing import SteppingClock


@requires("read:crm/customers/{x}")
def whoami(x="c-1"):
    return acting.get().agent.name


@requires("read:crm/customers/{x}")
async def whoami_async(x="c-1"):
    await asyncio.sleep(0)
    return acting.get().agent.name


@requires("read:crm/customers/{x}")
def stream(x="c-1"):
    yield acting.get().agent.name
    yield acting.get().agent.name


@requires("read:crm/customers/{x}")
async def stream_async(x="c-1"):
    yield acting.get().agent.name
    await asyncio.sleep(0)
    yield acting.get().agent.name


async def collect(items):
    return [item async for item in items]


@pytest.fixture
def world(each_world):
    """Everything here holds on both paths."""
    return each_world


# --- opening and closing ---------------------------------------------------------------------------------------------


def test_a_session_says_who_acts_and_closes_with_its_block(world):
    session = world.guard.acting_as(world.agent, task="Answer Ada")
    assert current_session() is None
    with session as entered:
        assert entered is session is current_session()
        assert ("bot", "Answer Ada", False, 32) == (session.agent.name, session.task, session.closed, len(session.id))
        assert ["read:crm/customers/*"] == [str(permission) for permission in session.grant.allow]
        assert "<Session of spiffe://acme.example/agent/bot, open>" == repr(session)

    assert current_session() is None
    assert session.closed
    assert "closed" in repr(session)


def test_a_session_can_be_opened_in_async_code(world):
    async def main():
        async with world.guard.acting_as(world.agent) as session:
            assert acting.get() is session
            assert "bot" == await whoami_async()
        assert session.closed
        assert acting.get() is None

    asyncio.run(main())


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_session_closes_whatever_ends_its_block(error, world):
    with pytest.raises(error), world.guard.acting_as(world.agent) as session:
        raise error

    assert session.closed
    assert acting.get() is None


def test_sessions_nest_and_each_gives_back_who_was_acting(world):
    other = world.issue("other", allow=["read:crm/customers/*"])
    with world.guard.acting_as(world.agent) as outer:
        with world.guard.acting_as(other) as inner:
            assert (acting.get(), "other") == (inner, whoami())
        assert (acting.get(), "bot") == (outer, whoami())

    assert acting.get() is None


def test_sessions_left_in_the_wrong_order_leave_nobody_acting_who_should_not(world):
    first, second, third = (world.guard.acting_as(world.issue(n, allow=["read:crm/customers/*"])) for n in "abc")
    for session in (first, second, third):
        session.__enter__()

    second.__exit__(None, None, None)
    assert (acting.get(), "c") == (third, whoami())
    third.__exit__(None, None, None)
    assert (acting.get(), "a") == (first, whoami())
    first.__exit__(None, None, None)
    assert acting.get() is None


def test_a_session_left_before_an_inner_one_leaves_the_inner_one_alone(world):
    outer, inner = world.guard.acting_as(world.agent), world.guard.acting_as(world.agent)
    outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)

    assert (acting.get(), "bot") == (inner, whoami())
    inner.__exit__(None, None, None)
    assert acting.get() is None


def test_a_session_is_entered_once(world):
    session = world.guard.acting_as(world.agent)
    with session, pytest.raises(ConfigurationError, match="entered once"):
        session.__enter__()
    with pytest.raises(ConfigurationError, match="entered once"), session:
        pass
    closed = world.guard.acting_as(world.agent)
    closed.close()
    with pytest.raises(ConfigurationError, match="entered once"), closed:
        pass

    assert acting.get() is None


def test_leaving_twice_or_without_entering_harms_nobody(world):
    with world.guard.acting_as(world.agent) as outer:
        never = world.guard.acting_as(world.agent)
        never.__exit__(None, None, None)
        assert acting.get() is outer
        with world.guard.acting_as(world.agent) as twice:
            pass
        twice.__exit__(None, None, None)
        assert acting.get() is outer
        assert "bot" == whoami()


def test_a_session_closed_by_hand_is_over_at_once(world):
    with world.guard.acting_as(world.agent) as session:
        whoami()
        session.close()
        session.close()
        with pytest.raises(NoActingAgentError, match="has ended"):
            whoami()


def test_a_session_left_in_another_context_stays_behind_closed(world):
    """As async fixtures do: set up in one task, torn down in another."""
    session = world.guard.acting_as(world.agent)
    here, there = contextvars.Context(), contextvars.Context()
    here.run(session.__enter__)
    there.run(session.__exit__, None, None, None)

    assert there.run(acting.get) is None
    assert here.run(acting.get) is session
    with pytest.raises(NoActingAgentError, match="has ended"):
        here.run(whoami)


def test_a_session_left_in_a_copy_of_its_context_is_gone_from_the_copy(world):
    with world.guard.acting_as(world.agent) as outer:
        inner = world.guard.acting_as(world.agent)
        inner.__enter__()
        copied = contextvars.copy_context()
        copied.run(inner.__exit__, None, None, None)
        assert copied.run(acting.get) is outer
        with pytest.raises(NoActingAgentError):
            whoami()
        inner.__exit__(None, None, None)
        assert "bot" == whoami()


# --- where it follows, and where it must be taken --------------------------------------------------------------------


def test_tasks_and_to_thread_follow(world):
    async def main():
        with world.guard.acting_as(world.agent):
            return await asyncio.gather(
                asyncio.create_task(whoami_async()), asyncio.to_thread(whoami), collect(stream_async())
            )

    assert ["bot", "bot", ["bot", "bot"]] == asyncio.run(main())


@pytest.mark.parametrize("how", ["propagate", "session.bind", "guard.bind"])
def test_work_can_be_handed_to_threads_and_executors(how, world):
    def bound(function, session):
        if how == "propagate":
            return propagate(function)
        return session.bind(function) if how == "session.bind" else world.guard.bind(world.agent, function)

    with world.guard.acting_as(world.agent) as session, ThreadPoolExecutor(1) as pool:
        assert "bot" == pool.submit(bound(whoami, session)).result()
        assert (
            ["bot", "bot"] == pool.submit(lambda: list(bound_stream())).result()
            if (bound_stream := bound(stream, session))
            else None
        )
        bound_async, bound_items = bound(whoami_async, session), bound(stream_async, session)
        assert "bot" == pool.submit(lambda: asyncio.run(bound_async())).result()
        bound_stream = bound(stream, session)
        assert ["bot", "bot"] == pool.submit(lambda: list(bound_stream())).result()
        bound_async, bound_items = bound(whoami_async, session), bound(stream_async, session)
        assert "bot" == pool.submit(lambda: asyncio.run(bound_async())).result()
        assert ["bot", "bot"] == pool.submit(lambda: asyncio.run(collect(bound_items()))).result()
        assert pool.submit(acting.get).result() is None
        with pytest.raises(NoActingAgentError):
            pool.submit(whoami).result()
        assert acting.get() is session


@pytest.mark.parametrize("how", ["propagate", "session.bind"])
def test_what_was_handed_over_is_refused_once_the_session_has_ended(how, world):
    with world.guard.acting_as(world.agent) as session:
        bound = [
            propagate(tool) if how == "propagate" else session.bind(tool)
            for tool in (whoami, whoami_async, stream, stream_async)
        ]

    for call in (
        bound[0],
        lambda: asyncio.run(bound[1]()),
        lambda: list(bound[2]()),
        lambda: asyncio.run(collect(bound[3]())),
    ):
        with pytest.raises(NoActingAgentError, match="has ended"):
            call()


def test_there_is_nothing_to_propagate_where_nobody_acts():
    with pytest.raises(NoActingAgentError, match="no session to propagate"):
        propagate(whoami)


def test_bound_functions_keep_what_they_are(world):
    import inspect

    with world.guard.acting_as(world.agent) as session:
        for tool, question in (
            (whoami_async, inspect.iscoroutinefunction),
            (stream, inspect.isgeneratorfunction),
            (stream_async, inspect.isasyncgenfunction),
        ):
            for bound in (session.bind(tool), propagate(tool), world.guard.bind(world.agent, tool)):
                assert question(bound)
                assert (tool.__name__, inspect.signature(tool)) == (bound.__name__, inspect.signature(bound))


def test_a_bound_function_acts_as_its_own_agent_wherever_it_is_called(world):
    """And gives back whoever was acting there."""
    other = world.issue("other", allow=["read:crm/customers/*"])
    bound = world.guard.bind(other, whoami, task="Answer Ada")
    with world.guard.acting_as(world.agent) as session:
        assert ("other", "bot") == (bound(), whoami())
        assert acting.get() is session
        taken = session.bind(whoami)
        with world.guard.acting_as(other) as others:
            assert ("bot", "other") == (taken(), whoami())
            assert acting.get() is others

    assert "other" == bound()
    assert acting.get() is None
    if world.recorded:
        assert "Answer Ada" == world.records[-1].task


def test_each_call_of_a_bound_function_is_a_session_of_its_own_that_closes(world):
    sessions = []

    def look():
        sessions.append(acting.get())
        assert not sessions[-1].closed
        return whoami()

    bound = world.guard.bind(world.agent, look)
    bound()
    bound()

    assert 2 == len({session.id for session in sessions})
    assert all(session.closed for session in sessions)


def test_the_session_of_a_bound_stream_lasts_as_long_as_the_stream(world):
    sessions = []

    def items():
        sessions.append(acting.get())
        yield from stream()

    taken = world.guard.bind(world.agent, items)()
    assert "bot" == next(taken)
    assert not sessions[0].closed
    assert ["bot"] == list(taken)
    assert sessions[0].closed

    taken = world.guard.bind(world.agent, items)()
    next(taken)
    taken.close()
    assert sessions[1].closed
    assert acting.get() is None


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_session_of_a_bound_call_closes_when_the_call_fails(error, world):
    sessions = []

    def fail():
        sessions.append(acting.get())
        raise error

    with pytest.raises(error):
        world.guard.bind(world.agent, fail)()

    assert sessions[0].closed
    assert acting.get() is None


def test_binding_an_agent_that_cannot_be_verified_is_refused_at_once(world):
    world.authority.revoke(world.agent)

    with pytest.raises(CredentialRevokedError):
        world.guard.bind(world.agent, whoami)


def test_a_bound_agent_is_verified_again_at_each_call(world):
    bound = world.guard.bind(world.agent, whoami)
    bound()
    world.authority.revoke(world.agent)

    with pytest.raises(CredentialRevokedError):
        bound()


def test_a_thread_that_a_tool_starts_is_not_its_agent(world):
    caught = []

    @requires("read:crm/customers/{x}")
    def outer(x):
        def work():
            try:
                whoami()
            except NoActingAgentError as error:
                caught.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    with world.guard.acting_as(world.agent):
        outer("c-1")

    assert 1 == len(caught)


def test_a_task_that_a_tool_starts_and_leaves_running_is_refused_after_the_session(world):
    async def main():
        go = asyncio.Event()

        async def later():
            await go.wait()
            return await whoami_async()

        @requires("read:crm/customers/{x}")
        async def outer(x):
            return asyncio.create_task(later())

        with world.guard.acting_as(world.agent):
            task = await outer("c-1")
        go.set()
        with pytest.raises(NoActingAgentError, match="has ended"):
            await task

    asyncio.run(main())


def test_a_coroutine_runs_as_whoever_awaits_it(world):
    """It is not decided before, so nothing was allowed to whoever only made it."""
    other = world.issue("other", allow=["read:crm/customers/*"])

    async def main():
        with world.guard.acting_as(world.agent):
            made = whoami_async()
        with world.guard.acting_as(other):
            return await made

    assert "other" == asyncio.run(main())


# --- a thousand at once ----------------------------------------------------------------------------------------------


def test_a_thousand_sessions_at_once_never_see_each_other(world):
    """Each task acts as its own agent and reads what that agent may read, and nothing of anybody else."""
    agents = [world.issue(f"agent-{n}", allow=[f"read:crm/customers/c-{n}"]) for n in range(40)]

    async def work(n):
        agent = agents[n % 40]
        with world.guard.acting_as(agent) as session:
            for _ in range(2):
                assert agent.name == await whoami_async(f"c-{n % 40}")
                assert [agent.name] * 2 == await collect(stream_async(f"c-{n % 40}"))
                with pytest.raises(AccessDeniedError):
                    await whoami_async(f"c-{(n + 1) % 40}")
                assert acting.get() is session
                await asyncio.sleep(0)
        assert acting.get() is None
        return 1

    async def main():
        return sum(await asyncio.gather(*(work(n) for n in range(1000))))

    assert 1000 == asyncio.run(main())


def test_threads_never_see_each_other(world):
    agents = [world.issue(f"agent-{n}", allow=[f"read:crm/customers/c-{n}"]) for n in range(8)]
    barrier = threading.Barrier(8)

    def work(n):
        barrier.wait(10)
        for _ in range(50):
            with world.guard.acting_as(agents[n]):
                assert f"agent-{n}" == whoami(f"c-{n}")
                with pytest.raises(AccessDeniedError):
                    whoami(f"c-{(n + 1) % 8}")
        return acting.get()

    with ThreadPoolExecutor(8) as pool:
        assert [None] * 8 == list(pool.map(work, range(8)))


# --- who may act -----------------------------------------------------------------------------------------------------


def test_an_agent_of_another_authority_is_nobody_here(world):
    """Also one that calls itself the same, in the same trust domain."""
    for domain in ("evil.example", "acme.example"):
        stolen = Authority.create(domain, clock=world.clock).issue("bot", allow=["read:crm/**"])
        with pytest.raises(CredentialError):
            world.guard.acting_as(stolen)


def swapped(agent, **parts):
    """An agent put together from the parts of two."""
    fields = {name: getattr(agent, f"_{name}") for name in ("key", "credential", "token", "grant", "chain")}
    fields.update(parts)
    key = fields.pop("key")
    return Agent(key, **fields)


def test_an_agent_put_together_from_two_is_nobody(world):
    """Neither a stolen token, nor a stolen grant, nor both, are worth anything without the key."""
    rich = world.issue("rich", allow=["read:**", "delete:**"])
    poor = world.agent
    for parts in (
        {"grant": rich._grant, "chain": rich._chain},
        {"credential": rich._credential, "token": rich._token},
        {"credential": rich._credential, "token": rich._token, "grant": rich._grant, "chain": rich._chain},
        {"key": rich._key},
    ):
        with pytest.raises(CredentialError):
            world.guard.acting_as(swapped(poor, **parts))
    world.guard.acting_as(swapped(poor))


def test_what_an_agent_says_of_itself_counts_for_nothing(world):
    """Only the signed tokens are read: a grant that was edited in memory is not the one that decides."""
    from dataclasses import replace

    from agentid.permission import Permission

    wide = replace(world.agent._grant, allow=(Permission.parse("read:**"),))
    edited = swapped(world.agent, grant=wide, credential=replace(world.agent._credential, owner="root"))
    with world.guard.acting_as(edited) as session:
        assert "team:test" == session.agent.owner
        with pytest.raises(AccessDeniedError):
            requires("read:secrets/{x}")(lambda x: x)("c-1")


def test_an_agent_is_not_copied(world):
    with pytest.raises(Exception, match=r"copied|pickled|never"):
        copy.copy(world.agent)


def test_the_end_of_a_credential_is_exact(world):
    """One moment before it may act; at that moment, it may not."""
    agent = world.issue("short", allow=["read:crm/customers/*"], ttl=timedelta(seconds=60))
    with world.guard.acting_as(agent) as session:
        world.clock.now = session.expires_at - 0.001
        assert "short" == whoami()
        assert ["short", "short"] == list(stream())
        world.clock.now = session.expires_at
        with pytest.raises(CredentialExpiredError):
            whoami()
    with pytest.raises(CredentialExpiredError):
        world.guard.acting_as(agent)
    world.clock.now -= 0.001
    world.guard.acting_as(agent)


def test_revoking_somebody_else_changes_nothing(world):
    other = world.issue("other", allow=["read:crm/customers/*"])
    with world.guard.acting_as(world.agent):
        assert "bot" == whoami()
        world.authority.revoke(other)
        assert "bot" == whoami()
        assert "bot" == whoami()
        assert 3 == len(world.spans)
        assert (3 if world.recorded else 0) == len(world.records)
        world.authority.revoke(world.agent)
        for _ in range(2):
            with pytest.raises(CredentialRevokedError, match="`bot` was revoked"):
                whoami()


def test_a_key_that_is_taken_away_ends_the_session(world):
    others = Authority.create("acme.example").trust.keys
    with world.guard.acting_as(world.agent):
        whoami()
        world.authority.trust.replace_keys(others)
        with pytest.raises(CredentialError):
            whoami()
        assert (
            "no_identity" == world.records[-1].reason
            if world.recorded
            else world.spans[-1].attributes["agentid.authorization.reason"]
        )


def test_agents_that_are_not_good_any_more_open_no_session(world):
    world.authority.revoke(world.agent)
    with pytest.raises(CredentialRevokedError):
        world.guard.acting_as(world.agent)
    fresh = world.issue("fresh")
    world.clock.step(timedelta(days=2))
    with pytest.raises(CredentialExpiredError):
        world.guard.acting_as(fresh)


def test_a_session_holds_at_most_what_was_verified_when_it_opened(world):
    """A clock that is turned back does not bring a session back that was closed."""
    clock = world.clock
    assert isinstance(clock, SteppingClock)
    with world.guard.acting_as(world.agent) as session:
        pass
    clock.now -= 10
    with pytest.raises(NoActingAgentError):
        session.bind(whoami)()
