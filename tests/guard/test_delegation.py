"""Acting as a sub-agent: what it may do, what stops it, and that the whole chain is recorded."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from agentid import AuditLog, Guard, requires, verify_audit_log
from agentid.errors import AccessDeniedError, ApprovalRefusedError, CredentialExpiredError, CredentialRevokedError

ROOT = "spiffe://acme.example/agent/boss"


@requires("read:crm/customers/{x}")
def look(x):
    return f"found {x}"


@requires("read:crm/customers/{x}")
def stream(x):
    yield 1
    yield 2


@requires("write:mail/{folder}/{to}")
def send(folder, to):
    return f"sent to {to}"


@pytest.fixture
def boss(each_world):
    return each_world.issue("boss", allow=["read:crm/customers/*", "write:mail/**"], ask=["write:mail/outbox/*"])


def test_a_sub_agent_may_do_its_part_and_no_more(each_world, boss):
    helper = boss.delegate("helper", allow=["read:crm/customers/c-1"])
    with each_world.guard.acting_as(helper):
        assert "found c-1" == look("c-1")
        with pytest.raises(AccessDeniedError) as denied:
            look("c-2")
    with each_world.guard.acting_as(boss):
        assert "found c-2" == look("c-2")

    assert "helper" == denied.value.agent
    assert "`read:crm/customers/c-1`" in str(denied.value)


def test_a_sub_agent_asks_where_its_parent_has_to(each_world, boss):
    """Also where it was handed more than the question covers; on the hot path, too."""
    helper = boss.delegate("helper", allow=["write:mail/*/*"])
    with each_world.guard.acting_as(helper):
        for _ in range(2):
            assert "sent to ada" == send("drafts", "ada")
            with pytest.raises(ApprovalRefusedError):
                send("outbox", "ada")
    with each_world.make_guard(approver=lambda request: request.agent == "helper").acting_as(helper):
        assert "sent to ada" == send("outbox", "ada")


def test_the_whole_chain_stands_in_span_and_record(world):
    boss = world.issue("boss", allow=["read:crm/customers/*"])
    second = boss.delegate("first", allow=["read:crm/customers/*"]).delegate("second", allow=["read:crm/customers/*"])
    with world.guard.acting_as(second):
        look("c-1")
    with world.guard.acting_as(boss):
        look("c-1")

    chain = (ROOT, f"{ROOT}/first", f"{ROOT}/first/second")
    delegated, plain = world.spans
    assert (chain, 2, chain[-1]) == (
        delegated.attributes["agentid.delegation.chain"],
        delegated.attributes["agentid.delegation.depth"],
        delegated.attributes["agentid.agent.id"],
    )
    assert (0, False) == (plain.attributes["agentid.delegation.depth"], "agentid.delegation.chain" in plain.attributes)
    holders = world.records[0].delegation
    assert chain == tuple(holder.agent_id for holder in holders)
    assert second._grant.chain_ids == tuple(holder.grant_id for holder in holders)
    assert second._grant.holders == tuple(holder.key_id for holder in holders)
    assert holders[-1].grant_id == world.records[0].credential_id == delegated.attributes["agentid.delegation.id"]
    assert () == world.records[1].delegation


def test_the_whole_chain_stands_in_a_span_of_the_hot_path(captured_world):
    boss = captured_world.issue("boss", allow=["read:crm/customers/*"])
    with captured_world.guard.acting_as(boss.delegate("helper", allow=["read:crm/customers/*"])):
        for _ in range(3):
            look("c-1")

    assert [(ROOT, f"{ROOT}/helper")] * 3 == [s.attributes["agentid.delegation.chain"] for s in captured_world.spans]


@pytest.fixture
def captured_world(request):
    """A world whose calls need nothing but a span."""
    from .conftest import _world

    yield from _world(recorded=False)


def test_the_whole_chain_stands_in_the_audit_log(world, tmp_path):
    boss = world.issue("boss", allow=["read:crm/customers/*"])
    helper = boss.delegate("helper", allow=["read:crm/customers/c-1"])
    log = AuditLog(tmp_path, signer=world.authority.audit_signer())
    with Guard(world.authority.trust, audit=log).acting_as(helper):
        look("c-1")
        with pytest.raises(AccessDeniedError):
            look("c-2")
    log.close()

    assert verify_audit_log(tmp_path, world.authority.trust).ok
    lines = [json.loads(line) for path in tmp_path.glob("*.jsonl") for line in path.read_text().splitlines()]
    written = [line["data"]["delegation"] for line in lines if "accesses" in line["data"]]
    assert 3 == len(written)
    assert [
        {"agent": ROOT, "depth": 0, "grant": helper._grant.chain_ids[0], "key": helper._grant.holders[0]},
        {"agent": f"{ROOT}/helper", "depth": 1, "grant": helper._grant.chain_ids[1], "key": helper._grant.holders[1]},
    ] == written[0]


@pytest.mark.parametrize("who", ["boss", "helper"])
def test_a_sub_agent_stops_in_mid_stream_when_it_or_somebody_above_is_taken_back(who, each_world, boss):
    helper = boss.delegate("helper", allow=["read:crm/customers/*"])
    with each_world.guard.acting_as(helper):
        items = stream("c-1")
        assert 1 == next(items)
        look("c-1")
        each_world.authority.revoke({"boss": boss, "helper": helper}[who])
        with pytest.raises(CredentialRevokedError):
            next(items)
        with pytest.raises(CredentialRevokedError):
            look("c-1")
    if who == "helper":
        with each_world.guard.acting_as(boss):
            assert "found c-1" == look("c-1")


def test_a_sub_agent_ends_with_its_own_time(each_world, boss):
    helper = boss.delegate("helper", allow=["read:crm/customers/*"], ttl=timedelta(seconds=30))
    with each_world.guard.acting_as(helper):
        look("c-1")
        each_world.clock.step(timedelta(seconds=30))
        with pytest.raises(CredentialExpiredError):
            look("c-1")
    with each_world.guard.acting_as(boss):
        look("c-1")
