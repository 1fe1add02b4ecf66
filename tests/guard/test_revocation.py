"""Running agents while they are taken back elsewhere: the next call and the next item are refused, within a second."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from guard.watched_tools import async_stream, look_up, look_up_async, nothing_ran, ran, stream  # noqa: F401 -- nothing_ran is a fixture

from agentid import Authority, Guard, ObserveOnlyGuard, TrustAnchor
from agentid.errors import CredentialError, CredentialRevokedError
from agentid.identity.revocation.revoked import POLL
from agentid.testing import SteppingClock


class Way:
    """A guard, and an authority elsewhere whose revocations it learns of after a delay."""

    def __init__(self, kind, folder):
        self.clock = SteppingClock()
        self.delay = POLL if kind == "another process" else 60
        self.elsewhere = self.opened(folder, status_uri="https://acme.example/status")
        if kind == "another process":
            self.trust = self.opened(folder).trust
        else:
            self.trust = TrustAnchor.from_jwks(
                self.elsewhere.trust.to_jwks(),
                trust_domain="acme.example",
                clock=self.clock,
                status=self.elsewhere.status_list,
            )
        self.agent = self.elsewhere.issue("bot", allow=["read:crm/customers/*"])
        self.guard = Guard(self.trust)

    def opened(self, folder, **settings):
        return Authority.open(folder / "authority.pem", trust_domain="acme.example", clock=self.clock, **settings)


@pytest.fixture(params=["another process", "published"])
def way(request, tmp_path):
    return Way(request.param, tmp_path)


@pytest.mark.parametrize("target", ["agent", "name"])
def test_the_next_call_is_refused_when_it_is_time_to_look(way, target):
    """On the hot path, which asks for the time and a number and nothing else."""
    with way.guard.acting_as(way.agent) as session:
        look_up("c-1")
        way.elsewhere.revoke(way.agent if target == "agent" else "bot")
        look_up("c-2")
        assert way.clock() + way.delay == session.due
        way.clock.step(way.delay - 0.001)
        look_up("c-3")
        way.clock.step(0.001)
        for _ in range(2):
            with pytest.raises(CredentialRevokedError) as caught:
                look_up("c-4")
    assert ["c-1", "c-2", "c-3"] == ran
    assert ("--lift" in str(caught.value)) == (target == "name")


def test_an_agent_that_nobody_took_back_goes_on(way):
    with way.guard.acting_as(way.agent) as session:
        for number in range(5):
            look_up(f"c-{number}")
            way.clock.step(way.delay)
        look_up("c-5")
        assert session.lease == session.generation  # on the hot path
        assert way.clock() + way.delay == session.due

    assert 6 == len(ran)


def test_a_sub_agent_is_refused_with_its_parent(way):
    helper = way.agent.delegate("helper", allow=["read:crm/customers/c-1"])
    with way.guard.acting_as(helper):
        look_up("c-1")
        way.elsewhere.revoke(way.agent)
        way.clock.step(way.delay)
        with pytest.raises(CredentialRevokedError):
            look_up("c-1")

    assert ["c-1"] == ran


def test_a_name_that_is_lifted_acts_again_in_the_same_session(way):
    with way.guard.acting_as(way.agent) as session:
        look_up("c-1")
        way.elsewhere.revoke("bot")
        way.clock.step(way.delay)
        with pytest.raises(CredentialRevokedError):
            look_up("c-2")
        way.elsewhere.reinstate("bot")
        way.clock.step(way.delay)
        look_up("c-3")
        assert session.lease == session.generation == way.trust.generation

    assert ["c-1", "c-3"] == ran


def test_a_stream_stops_before_its_next_item(way):
    with way.guard.acting_as(way.agent):
        items = stream("c-1")
        assert [0, 1] == [next(items), next(items)]
        way.elsewhere.revoke(way.agent)
        way.clock.step(way.delay)
        with pytest.raises(CredentialRevokedError):
            next(items)
        with pytest.raises(StopIteration):
            next(items)

    assert [0, 1] == ran


def test_an_async_stream_and_a_coroutine_stop(way):
    async def main():
        async with way.guard.acting_as(way.agent):
            items = async_stream("c-1")
            assert 0 == await anext(items)
            await look_up_async("c-2")
            way.elsewhere.revoke("bot")
            way.clock.step(way.delay)
            with pytest.raises(CredentialRevokedError):
                await anext(items)
            with pytest.raises(CredentialRevokedError):
                await look_up_async("c-3")

    asyncio.run(main())
    assert [0, "c-2"] == ran


def test_whoever_only_observes_lets_the_call_run(way):
    """And goes on with whom it knew."""
    with ObserveOnlyGuard(way.trust).acting_as(way.agent):
        way.elsewhere.revoke("bot")
        way.clock.step(way.delay)
        look_up("c-1")

    assert ["c-1"] == ran


def test_while_it_cannot_be_known_what_was_revoked_nothing_runs(tmp_path):
    """And afterwards it goes on."""
    way = Way("another process", tmp_path)
    way.elsewhere.revoke("other")
    store = tmp_path / "authority.pem.revoked"
    with way.guard.acting_as(way.agent):
        look_up("c-1")
        items = stream("c-1")
        next(items)
        moved = store.rename(tmp_path / "moved")
        way.clock.step(POLL)
        with pytest.raises(CredentialError, match=r"cannot be known: .* is gone"):
            look_up("c-2")
        with pytest.raises(CredentialError, match=r"cannot be known"):
            next(items)
        with pytest.raises(CredentialError, match=r"cannot be known"):
            way.guard.acting_as(way.agent)
        moved.rename(store)
        way.clock.step(POLL)
        look_up("c-3")

    assert ["c-1", 0, "c-3"] == ran


def test_a_list_that_gets_too_old_stops_a_stream(tmp_path):
    way = Way("published", tmp_path)
    token = way.elsewhere.status_list()
    trust = TrustAnchor.from_jwks(
        way.elsewhere.trust.to_jwks(), trust_domain="acme.example", clock=way.clock, status=lambda: token
    )
    with Guard(trust).acting_as(way.agent):
        items = stream("c-1")
        next(items)
        way.clock.step(299)
        next(items)
        way.clock.step(1)
        with pytest.raises(CredentialError, match="good until"):
            next(items)

    assert [0, 1] == ran


# --- two real processes -----------------------------------------------------------------------------------

WORKER = """
import json, sys, time
from agentid import Agent, Authority, Guard, requires
from agentid.errors import CredentialError

@requires("read:crm/customers/{customer_id}")
def stream(customer_id):
    while True:
        time.sleep(0.01)
        yield customer_id

authority = Authority.open(sys.argv[1], trust_domain="acme.example")
with Guard(authority.trust).acting_as(Agent.load(sys.argv[2])):
    items = stream("c-1")
    next(items)
    print("running", flush=True)
    try:
        while True:
            next(items)
            last = time.time()
    except CredentialError as error:
        print(json.dumps({"last": last, "code": error.code, "error": str(error)}), flush=True)
"""


@pytest.mark.parametrize("target", ["agent", "parent", "name"])
def test_a_stream_in_another_process_stops_within_a_second(tmp_path, target):
    """Real processes and a real clock; only the file of the authority is shared."""
    authority = Authority.open(tmp_path / "authority.pem", trust_domain="acme.example")
    bot = authority.issue("bot", allow=["read:crm/customers/*"])
    acting = bot.delegate("helper", allow=["read:crm/customers/*"]) if target == "parent" else bot
    acting.save(tmp_path / "agent.json")
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(tmp_path / "authority.pem"), str(tmp_path / "agent.json")],
        stdout=subprocess.PIPE,
        text=True,
    )
    watchdog = threading.Timer(40, worker.kill)
    watchdog.start()
    try:
        assert "running\n" == worker.stdout.readline()
        revoked_at = time.time()
        authority.revoke("bot" if target == "name" else bot)
        told = json.loads(worker.stdout.readline())
    finally:
        watchdog.cancel()
        worker.kill()
        worker.communicate()

    assert "credential.revoked" == told["code"]
    assert told["last"] - revoked_at < 1
    assert {"authority.pem", "authority.pem.revoked", "agent.json"} == {Path(p).name for p in tmp_path.iterdir()}
