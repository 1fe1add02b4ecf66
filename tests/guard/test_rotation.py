"""Running agents while keys are replaced: good through an overlap, refused after an emergency, also mid-stream."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from guard.watched_tools import async_stream, look_up, nothing_ran, ran, stream  # noqa: F401 -- nothing_ran is a fixture

from agentid import Authority, Guard, ObserveOnlyGuard, TrustAnchor, TrustAnchors
from agentid.errors import ConfigurationError, CredentialError
from agentid.testing import SteppingClock

EMERGENCY = timedelta(0)


@pytest.fixture(params=["memory", "this process", "another process", "published"])
def way(request, tmp_path):
    """A running session, and how its authority's keys are replaced: gives clock, issue, guard and rotate."""
    clock = SteppingClock()
    path = tmp_path / "authority.pem"

    def opened():
        return Authority.open(path, trust_domain="acme.example", clock=clock)

    authority = Authority.create("acme.example", clock=clock) if request.param == "memory" else opened()
    elsewhere = opened() if request.param == "another process" else authority
    trust = authority.trust
    if request.param == "published":
        trust = TrustAnchor.from_jwks(authority.trust.to_jwks(), trust_domain="acme.example", clock=clock)

    def rotate(overlap):
        elsewhere.rotate(overlap=overlap)
        if request.param == "another process":
            clock.step(timedelta(seconds=1))
        if request.param == "published":
            trust.refresh(authority.trust.to_jwks())

    def pass_(time):
        clock.step(time)
        if request.param == "published":
            trust.refresh(authority.trust.to_jwks())

    agent = authority.issue("bot", allow=["read:crm/customers/*"], ttl=timedelta(hours=2))
    return agent, trust, rotate, pass_


@pytest.fixture(params=["quick", "observed"])
def guard(request, way):
    """On the hot path, and with the seven steps."""
    return Guard(way[1], observers=[] if request.param == "quick" else [lambda _record: None])


def test_a_running_agent_goes_on_through_a_rotation_with_overlap_and_ends_with_it(way, guard):
    agent, _, rotate, pass_ = way
    with guard.acting_as(agent):
        look_up("c-1")
        rotate(timedelta(hours=1))
        look_up("c-2")
        look_up("c-2")
        pass_(timedelta(minutes=59))
        look_up("c-3")
        pass_(timedelta(minutes=2))
        with pytest.raises(CredentialError, match="no key of its issuer"):
            look_up("c-4")
        with pytest.raises(CredentialError, match="no key of its issuer"):
            look_up("c-1")

    assert ["c-1", "c-2", "c-2", "c-3"] == ran


def test_a_running_agent_is_refused_after_an_emergency(way, guard):
    agent, _, rotate, _ = way
    with guard.acting_as(agent):
        look_up("c-1")
        look_up("c-1")
        rotate(EMERGENCY)
        with pytest.raises(CredentialError, match="no key of its issuer"):
            look_up("c-1")
    with pytest.raises(CredentialError):
        guard.acting_as(agent)

    assert ["c-1", "c-1"] == ran


def test_a_running_stream_is_stopped_by_an_emergency(way, guard):
    """Before its next item."""
    agent, _, rotate, _ = way
    with guard.acting_as(agent):
        items = stream("c-1")
        assert [0, 1] == [next(items), next(items)]
        rotate(timedelta(hours=1))
        assert 2 == next(items)
        rotate(EMERGENCY)
        with pytest.raises(CredentialError, match="no key of its issuer"):
            next(items)

    assert [0, 1, 2] == ran


def test_a_running_async_stream_is_stopped_by_the_end_of_an_overlap(way, guard):
    agent, _, rotate, pass_ = way

    async def act():
        async with guard.acting_as(agent):
            items = async_stream("c-1")
            assert 0 == await anext(items)
            rotate(timedelta(minutes=1))
            assert 1 == await anext(items)
            pass_(timedelta(minutes=2))
            with pytest.raises(CredentialError, match="no key of its issuer"):
                await anext(items)

    asyncio.run(act())
    assert [0, 1] == ran


def test_a_sub_agent_goes_and_stays_with_its_root(way, guard):
    agent, _, rotate, _ = way
    sub = agent.delegate("helper", allow=["read:crm/customers/c-1"])
    with guard.acting_as(sub):
        rotate(timedelta(hours=1))
        look_up("c-1")
        rotate(EMERGENCY)
        with pytest.raises(CredentialError, match="no key of its issuer"):
            look_up("c-1")


@pytest.fixture
def in_a_file(tmp_path):
    clock, path = SteppingClock(), tmp_path / "authority.pem"
    authority = Authority.open(path, trust_domain="acme.example", clock=clock)
    agent = authority.issue("bot", allow=["read:crm/customers/*"])
    return clock, path, authority, agent


@pytest.mark.parametrize("observed", [False, True])
def test_a_key_file_that_is_gone_stops_whoever_acts_and_one_that_is_back_lets_them_go_on(in_a_file, observed):
    """Nobody could say whether the keys still count."""
    clock, path, authority, agent = in_a_file
    content = path.read_bytes()
    guard = Guard(authority.trust, observers=[lambda _record: None] if observed else [])
    with guard.acting_as(agent):
        items = stream("c-1")
        next(items)
        look_up("c-1")
        path.unlink()
        clock.step(timedelta(seconds=1))
        for _ in range(2):
            with pytest.raises(CredentialError, match="cannot be read any more"):
                look_up("c-1")
        with pytest.raises(CredentialError, match="cannot be read any more"):
            next(items)
        path.write_bytes(content)
        path.chmod(0o600)
        assert "c-1" == look_up("c-1")

    assert [0, "c-1", "c-1"] == ran


def test_a_session_looks_at_the_file_twice_a_second_and_not_at_each_call(in_a_file, monkeypatch):
    from agentid.identity.keys import key_store

    clock, _, authority, agent = in_a_file
    looked = []
    real = key_store._mark
    monkeypatch.setattr(key_store, "_mark", lambda path: looked.append(1) or real(path))
    with Guard(authority.trust).acting_as(agent):
        look_up("c-1")
        looked.clear()
        for _ in range(100):
            for _ in range(3):
                look_up("c-1")
            clock.step(timedelta(seconds=0.1))

    assert 15 <= len(looked) <= 25


# --- several trust domains --------------------------------------------------------------------------


@pytest.fixture
def two():
    clock = SteppingClock()
    authorities = [Authority.create(domain, clock=clock) for domain in ("ours.example", "theirs.example")]
    return clock, *authorities, Guard(TrustAnchors(authority.trust for authority in authorities))


def issued(authority):
    return authority.issue("bot", allow=["read:crm/customers/*"])


def test_a_guard_takes_agents_of_several_trust_domains(two):
    clock, ours, theirs, guard = two
    for authority in (ours, theirs):
        with guard.acting_as(issued(authority)) as session:
            assert authority.trust is session.trust
            assert "c-1" == look_up("c-1") == look_up("c-1")
    assert clock is guard.clock
    assert "<Guard of ours.example, theirs.example>" == repr(guard)


def test_a_guard_refuses_agents_of_any_other(two):
    clock, *_, guard = two
    with pytest.raises(CredentialError, match="nobody is trusted"):
        guard.acting_as(issued(Authority.create("stranger.example", clock=clock)))


@pytest.mark.parametrize("observed", [False, True])
@pytest.mark.parametrize("how", ["rotated", "revoked"])
@pytest.mark.parametrize("first", [True, False])
def test_a_session_follows_the_keys_and_revocations_of_its_own_trust_domain_alone(two, how, observed, first):
    _, *authorities, _ = two
    own, other = authorities if first else authorities[::-1]
    guard = Guard(TrustAnchors(a.trust for a in authorities), observers=[lambda _record: None] if observed else [])
    agent = issued(own)
    with guard.acting_as(agent) as session:
        look_up("c-1")
        generation = session.generation
        other.rotate(overlap=EMERGENCY)
        other.revoke(issued(other))
        assert "c-1" == look_up("c-1") == look_up("c-1")
        assert generation == session.generation
        ran.clear()
        if how == "rotated":
            own.rotate(overlap=EMERGENCY)
        else:
            own.revoke(agent)
        with pytest.raises(CredentialError):
            look_up("c-1")

    assert [] == ran


@pytest.mark.parametrize("kind", [Guard, ObserveOnlyGuard])
@pytest.mark.parametrize("junk", [None, [], "acme.example"])
def test_a_guard_needs_trust(kind, junk):
    with pytest.raises(ConfigurationError, match="no trust anchor"):
        kind(junk)
