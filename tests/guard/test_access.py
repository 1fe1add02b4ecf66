"""`guard.access`: the same seven steps for a block that is no function."""

from __future__ import annotations

import asyncio
import contextvars
from datetime import timedelta

import pytest

from agentid import Permission, Resource, at_most, requires
from agentid.errors import (
    AccessDeniedError,
    AuditUnavailableError,
    ConfigurationError,
    CredentialExpiredError,
    NoActingAgentError,
)
from agentid.guard.session import acting


@pytest.mark.parametrize("is_async", [False, True])
def test_an_allowed_block_runs_inside_its_span(is_async, world):
    seen = []

    @requires("read:crm/customers/{x}")
    def tool(x):
        seen.append(x)

    async def main():
        with world.guard.acting_as(world.agent) as session:
            if is_async:
                async with world.guard.access("read", "crm/customers/c-1") as record:
                    tool("c-2")
            else:
                with world.guard.access("read", Resource.parse("crm/customers/c-1")) as record:
                    tool("c-2")
            assert acting.get() is session
        return record

    record = asyncio.run(main())

    assert ["c-2"] == seen
    assert record is world.records[1]
    assert [("allow", "granted", "success")] * 2 == world.outcomes()
    assert "read crm" == record.tool
    inner, outer = world.spans
    assert (outer.context.span_id, None) == (inner.parent.span_id, outer.parent)
    assert "read crm" == outer.name


@pytest.mark.parametrize("is_async", [False, True])
def test_a_denied_block_never_begins(is_async, world):
    ran = []

    async def main():
        with world.guard.acting_as(world.agent) as session:
            try:
                if is_async:
                    async with world.guard.access("delete", "crm/customers/c-1"):
                        ran.append(1)
                else:
                    with world.guard.access("delete", "crm/customers/c-1"):
                        ran.append(1)
            finally:
                assert acting.get() is session

    with pytest.raises(AccessDeniedError, match=r"may not `delete:crm/customers/c-1` in `delete crm`"):
        asyncio.run(main())

    assert [] == ran
    world.assert_one("deny", "scope_missing", "denied")


@pytest.mark.parametrize("is_async", [False, True])
def test_what_a_block_raises_is_recorded_and_goes_on(is_async, world):
    async def main():
        with world.guard.acting_as(world.agent) as session:
            try:
                if is_async:
                    async with world.guard.access("read", "crm/customers/c-1"):
                        raise KeyError("secret")
                else:
                    with world.guard.access("read", "crm/customers/c-1"):
                        raise KeyError("secret")
            finally:
                assert acting.get() is session

    with pytest.raises(KeyError):
        asyncio.run(main())

    world.assert_one("allow", "granted", "failure", "KeyError")


def test_facts_are_what_constraints_look_at(world):
    agent = world.issue("reader", allow=[Permission.parse("read:crm/**").where(rows=at_most(10))])
    with world.guard.acting_as(agent):
        with world.guard.access("read", "crm/customers", rows=10):
            pass
        for facts in ({"rows": 11}, {"rows": True}, {}):
            with pytest.raises(AccessDeniedError), world.guard.access("read", "crm/customers", **facts):
                raise AssertionError

    assert "rows" not in world.spans[0].to_json().replace("at_most", "")


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("reed", "crm/x"),
        ("READ", "crm/x"),
        ("", "crm/x"),
        (None, "crm/x"),
        ("read", "crm/*"),
        ("read", "crm/**"),
        ("read", "crm/../x"),
        ("read", "crm/x\n"),
        ("read", ""),
        ("read", None),
        ("read", 7),
        ("read", b"crm/x"),
    ],
)
def test_what_is_no_action_or_resource_is_refused_where_it_is_written(action, resource, world):
    with world.guard.acting_as(world.agent), pytest.raises(ConfigurationError):
        world.guard.access(action, resource)

    assert [] == world.records


def test_a_block_is_used_once(world):
    with world.guard.acting_as(world.agent):
        block = world.guard.access("read", "crm/customers/c-1")
        with block, pytest.raises(ConfigurationError, match="entered once"):
            block.__enter__()
        with pytest.raises(ConfigurationError, match="entered once"), block:
            raise AssertionError

    world.assert_one("allow", "granted", "success")


def test_a_block_that_was_never_entered_leaves_nothing(world):
    with world.guard.acting_as(world.agent):
        world.guard.access("read", "crm/customers/c-1").__exit__(None, None, None)

    assert ([], ()) == (world.records, world.spans)


def test_a_block_needs_an_acting_agent_of_the_same_guard(world):
    """The rules of the guard that is asked must be the rules that decide."""
    other = world.make_guard()
    with pytest.raises(NoActingAgentError), world.guard.access("read", "crm/customers/c-1"):
        raise AssertionError
    with (
        world.guard.acting_as(world.agent),
        pytest.raises(NoActingAgentError, match="under another guard"),
        other.access("read", "crm/customers/c-1"),
    ):
        raise AssertionError
    assert [] == world.records


def test_an_expired_agent_begins_no_block(world):
    with world.guard.acting_as(world.agent):
        block = world.guard.access("read", "crm/customers/c-1")
        world.clock.step(timedelta(hours=1))
        with pytest.raises(CredentialExpiredError), block:
            raise AssertionError

    world.assert_one("deny", "expired", "denied")


def test_a_block_whose_outcome_cannot_be_written_says_so(world):
    with (
        world.guard.acting_as(world.agent),
        pytest.raises(AuditUnavailableError, match="although it was made"),
        world.guard.access("read", "crm/customers/c-1"),
    ):
        world.audit.broken = OSError()

    assert [("allow", "granted", "success")] == world.outcomes()


def test_a_block_left_in_another_context_is_recorded_and_puts_nobody_in_charge(world):
    """As in an async fixture, which is set up in one task and torn down in another."""
    with world.guard.acting_as(world.agent):
        copied = contextvars.copy_context()
    # The block needs an open session.
    session = world.guard.acting_as(world.agent)
    here, there = contextvars.Context(), contextvars.Context()
    here.run(session.__enter__)
    block = world.guard.access("read", "crm/customers/c-1")
    here.run(block.__enter__)
    there.run(block.__exit__, None, None, None)

    assert there.run(acting.get) is None
    assert copied.run(acting.get).closed
    world.assert_one("allow", "granted", "success")
    here.run(session.__exit__, None, None, None)


def test_a_block_has_a_name_that_says_where_and_never_which(world):
    """Names of spans and metrics must not grow with the data."""
    agent = world.issue("reader", allow=["read:**", "read:https://*/**", "read:postgres://*:5432/**"])
    with world.guard.acting_as(agent):
        for resource in ("crm/customers/c-1", "https://api.example/v1/c-2", "postgres://db.example:5432/crm/c-3"):
            with world.guard.access("read", resource):
                pass

    assert ["read crm", "read https://api.example", "read postgres://db.example:5432"] == [s.name for s in world.spans]
