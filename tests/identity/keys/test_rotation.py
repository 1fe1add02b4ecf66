"""Rotating the keys of an authority: with overlap, in an emergency, across restarts and processes."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta

import pytest
from systems import needs_fork, needs_posix

from agentid.errors import ConfigurationError, CredentialError
from agentid.identity import Authority, TrustAnchor
from agentid.identity.keys import key_store as key_store_module
from agentid.signing import PrivateKey

DAY = timedelta(hours=24)
EMERGENCY = timedelta(0)
USES = ["wit-svid", "jwt-svid", "agentid-grant"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys" / "authority.pem"


@pytest.fixture
def open_(path, clock):
    """Open the authority of that file, as another process would."""
    return lambda: Authority.open(path, trust_domain="acme.example", clock=clock)


@pytest.fixture(params=["in memory", "in a file"])
def any_authority(request, clock, open_):
    return Authority.create("acme.example", clock=clock) if request.param == "in memory" else open_()


def kids(trust, use="wit-svid"):
    return [key["kid"] for key in trust.to_jwks()["keys"] if key["use"] == use]


def is_good(trust, agent):
    try:
        trust.verify_agent(agent)
    except CredentialError as error:
        if "no key of its issuer" not in str(error):
            raise
        return False
    return True


# --- overlap ----------------------------------------------------------------------------------------


def test_agents_of_before_stay_good_until_the_overlap_is_over(any_authority, clock):
    """By the clock alone; new ones are good from the start."""
    old = any_authority.issue("bot", ttl=DAY)
    clock.forward(3600)
    any_authority.rotate(overlap=timedelta(hours=1))
    new = any_authority.issue("bot", ttl=timedelta(hours=4))
    trust = any_authority.trust

    assert [True, True] == [is_good(trust, old), is_good(trust, new)]
    clock.forward(3599.9)
    assert [True, True] == [is_good(trust, old), is_good(trust, new)]
    clock.forward(0.1)
    assert [False, True] == [is_good(trust, old), is_good(trust, new)]


def test_by_default_every_agent_lives_out_its_time(any_authority, clock):
    agent = any_authority.issue("bot", ttl=DAY)
    any_authority.rotate()
    clock.forward(86_399)

    assert is_good(any_authority.trust, agent)


def test_without_an_overlap_agents_of_before_are_refused_at_once(any_authority):
    """Also where an earlier overlap is not over."""
    first = any_authority.issue("bot")
    any_authority.rotate()
    second = any_authority.issue("bot")
    any_authority.rotate(overlap=EMERGENCY)
    trust = any_authority.trust

    assert [False, False, True] == [is_good(trust, agent) for agent in (first, second, any_authority.issue("bot"))]


@pytest.mark.parametrize("what", ["credential", "grant", "svid"])
def test_each_kind_of_token_has_a_new_key(any_authority, clock, what):
    """And is refused without its old one."""
    agent = any_authority.issue("bot")
    svid = any_authority.jwt_svid(agent, audience="me")
    trust = any_authority.trust
    verify = {
        "credential": lambda: trust.verify_credential(agent.credential_token),
        "grant": lambda: trust.verify_grant(agent.grant_chain),
        "svid": lambda: trust.verify_jwt_svid(svid, audience="me"),
    }[what]
    any_authority.rotate(overlap=timedelta(minutes=1))
    verify()
    clock.forward(60)

    with pytest.raises(CredentialError, match="no key of its issuer"):
        verify()


def test_what_is_published_has_both_keys_during_the_overlap(any_authority, clock):
    trust = any_authority.trust
    before = {use: kids(trust, use) for use in USES}
    any_authority.rotate(overlap=timedelta(hours=1))
    during = {use: kids(trust, use) for use in USES}
    clock.forward(3600)
    after = {use: kids(trust, use) for use in USES}

    for use in USES:
        assert before[use][0] == during[use][1]
        assert during[use][:1] == after[use] != before[use]
        assert (1, 2, 1) == (len(before[use]), len(during[use]), len(after[use]))


def test_the_number_of_what_is_published_grows_with_each_change(any_authority, clock):
    numbers = []

    def note():
        numbers.append(any_authority.trust.to_jwks()["spiffe_sequence"])

    note()
    for overlap in (timedelta(hours=1), timedelta(hours=2), EMERGENCY, timedelta(hours=1)):
        any_authority.rotate(overlap=overlap)
        note()
        clock.forward(10)
    clock.forward(3600)
    note()

    assert [1, 2, 4, 7, 8, 9] == numbers  # as if each end had come already, and one more


def test_a_rotation_counts_up_the_generation_and_so_does_an_end(any_authority, clock):
    """Whoever remembers a result compares that number."""
    trust = any_authority.trust
    seen = [trust.generation]
    any_authority.rotate(overlap=timedelta(hours=1))
    seen.append(trust.generation)
    clock.forward(3600)
    trust.look()
    seen.append(trust.generation)
    trust.look()

    assert sorted(set(seen)) == seen
    assert seen[-1] == trust.generation


def test_a_clock_that_is_set_back_makes_an_old_key_good_again(any_authority, clock):
    """As it does the tokens that it signed; nothing is lost because a clock was wrong for a while."""
    agent = any_authority.issue("bot")
    any_authority.rotate(overlap=timedelta(minutes=1))
    clock.forward(3000)
    assert not is_good(any_authority.trust, agent)
    clock.forward(-3000)

    assert is_good(any_authority.trust, agent)


def test_a_clock_that_is_set_back_does_not_make_anybody_look_away(open_, clock):
    """Until it is as late again, that would be."""
    here, there = open_(), open_()
    agent = there.issue("bot")
    clock.forward(-600)
    here.rotate(overlap=EMERGENCY)

    assert not is_good(there.trust, agent)


@pytest.mark.parametrize("overlap", [timedelta(seconds=-1), timedelta(days=31), 24, None])
def test_an_overlap_that_is_none_rotates_nothing(any_authority, overlap):
    before = any_authority.trust.to_jwks()
    with pytest.raises(ConfigurationError, match="overlap"):
        any_authority.rotate(overlap=overlap)

    assert before == any_authority.trust.to_jwks()


# --- the audit log ----------------------------------------------------------------------------------


def test_a_rotation_leaves_the_key_of_the_audit_log_and_an_emergency_keeps_it_published(any_authority, clock):
    signer = any_authority.audit_signer()
    any_authority.rotate()
    assert signer is any_authority.audit_signer() or signer.kid == any_authority.audit_signer().kid

    any_authority.rotate(overlap=EMERGENCY)
    clock.forward(10**9)

    assert signer.kid != any_authority.audit_signer().kid
    assert [any_authority.audit_signer().kid, signer.kid] == kids(any_authority.trust, "agentid-audit")


def test_a_log_from_before_an_emergency_is_verified_after_it(tmp_path, any_authority):
    """One that was open meanwhile as well."""
    from agentid import AuditLog, Guard, requires, verify_audit_log

    @requires("read:crm/customers/{customer_id}")
    def get_customer(customer_id):
        return customer_id

    def act(log):
        with Guard(any_authority.trust, audit=log).acting_as(any_authority.issue("b", allow=["read:**"])):
            get_customer("c-1")

    old = AuditLog(tmp_path / "audit", signer=any_authority.audit_signer())
    act(old)
    any_authority.rotate(overlap=EMERGENCY)
    act(old)
    old.close()
    new = AuditLog(tmp_path / "audit", signer=any_authority.audit_signer())
    act(new)
    new.close()
    published = TrustAnchor.from_jwks(any_authority.trust.to_jwks(), trust_domain="acme.example")

    assert verify_audit_log(tmp_path / "audit", published).ok
    stranger = Authority.create("acme.example").trust
    assert not verify_audit_log(tmp_path / "audit", stranger).ok


# --- restarts and other processes -------------------------------------------------------------------


def test_the_keys_and_their_number_survive_a_restart(open_, clock):
    authority = open_()
    old = authority.issue("bot", ttl=DAY)
    authority.rotate(overlap=timedelta(hours=1))
    again = open_()

    assert authority.trust.to_jwks() == again.trust.to_jwks()
    assert is_good(again.trust, old)
    clock.forward(3600)
    third = open_()
    assert 3 == third.trust.to_jwks()["spiffe_sequence"] == authority.trust.to_jwks()["spiffe_sequence"]
    assert [False] * 3 == [is_good(a.trust, old) for a in (authority, again, third)]


@pytest.mark.parametrize("overlap", [DAY, EMERGENCY])
def test_another_process_follows_within_a_second(open_, clock, overlap):
    """Its trust anchor, and what it issues."""
    here, there = open_(), open_()
    old = there.issue("bot")
    here.rotate(overlap=overlap)
    clock.forward(1)

    assert here.trust.to_jwks() == there.trust.to_jwks()
    assert bool(overlap) is is_good(there.trust, old)
    assert is_good(here.trust, there.issue("bot"))
    assert is_good(there.trust, here.issue("bot"))
    assert here.audit_signer().kid == there.audit_signer().kid


def test_what_is_issued_by_old_keys_within_that_second_is_good_where_it_was_issued(open_, clock):
    here, there = open_(), open_()
    there.issue("bot")
    here.rotate()

    assert is_good(there.trust, there.issue("bot"))


def test_what_is_issued_is_good_at_once_whoever_looked_last(open_, clock):
    """Issuing and verifying look at the same file, and one of them may be the first to see that it has changed."""
    here, there = open_(), open_()
    there.audit_signer()
    clock.forward(0.3)
    there.trust.look()
    clock.forward(0.1)
    here.rotate()
    clock.forward(0.15)

    assert is_good(there.trust, there.issue("bot"))


def test_the_file_is_looked_at_twice_a_second_and_read_when_it_has_changed(open_, clock, monkeypatch):
    authority = open_()
    agent = authority.issue("bot")
    looked, read = [], []
    real_mark, real_read = key_store_module._mark, key_store_module.read_keys
    monkeypatch.setattr(key_store_module, "_mark", lambda path: looked.append(1) or real_mark(path))
    monkeypatch.setattr(key_store_module, "read_keys", lambda path: read.append(1) or real_read(path))
    for _ in range(100):
        authority.trust.verify_agent(agent)
        authority.audit_signer()
        clock.forward(0.1)

    assert 15 <= len(looked) <= 25
    assert [] == read
    open_().rotate()
    clock.forward(1)
    authority.trust.verify_agent(agent)
    assert [1, 1] == read[-2:]


def test_a_file_that_was_written_again_with_the_same_keys_changes_nothing(open_, path, clock):
    """Whoever remembers a result goes on with it."""
    authority = open_()
    agent = authority.issue("bot")
    verified = authority.trust.verify_agent(agent)
    path.write_bytes(path.read_bytes() + b"# looked at by ops\n")
    clock.forward(1)

    assert verified.generation == authority.trust.verify_agent(agent).generation
    assert verified.credential is authority.trust.verify_agent(agent).credential


def test_an_authority_in_memory_has_nothing_to_look_at(clock):
    """It costs nothing until a key ends."""
    authority = Authority.create("acme.example", clock=clock)
    authority.issue("bot")
    authority.trust.look()

    assert float("inf") == authority.trust.due
    authority.rotate(overlap=timedelta(hours=1))
    authority.trust.look()
    assert clock.now + 3600 == authority.trust.due


@pytest.mark.parametrize("harm", ["gone", "others", "junk"])
def test_a_key_file_that_cannot_be_read_any_more_refuses_everything(open_, path, clock, harm):
    """The keys may have been replaced in an emergency. When it is back, all is well."""
    authority = open_()
    agent = authority.issue("bot")
    content = path.read_bytes()
    if harm == "gone":
        path.unlink()
    elif harm == "others":
        path.chmod(0o644)
    else:
        path.write_bytes(b"junk")
    clock.forward(1)
    for attempt in (
        lambda: authority.trust.verify_agent(agent),
        lambda: authority.trust.verify_credential(agent.credential_token),
        lambda: authority.trust.verify_grant(agent.grant_chain),
        authority.trust.to_jwks,
        lambda: authority.trust.keys,
    ):
        with pytest.raises(CredentialError, match="key file"):
            attempt()
    for attempt in (lambda: authority.issue("bot"), authority.audit_signer, authority.rotate):
        with pytest.raises(ConfigurationError, match="key file"):
            attempt()
    path.write_bytes(content)
    path.chmod(0o600)

    assert is_good(authority.trust, agent)


def test_a_real_other_process_rotates_and_is_followed(tmp_path):
    """With the real clock, and nothing shared but the file."""
    path = tmp_path / "authority.pem"
    clock = iter(range(10**6)).__next__  # each look is a second after the one before
    authority = Authority.open(path, trust_domain="acme.example", clock=lambda: 1_795_392_000.0 + clock())
    agent = authority.issue("bot")
    code = (
        "import sys; from datetime import timedelta; from agentid import Authority;"
        "Authority.open(sys.argv[1], trust_domain='acme.example').rotate(overlap=timedelta(0))"
    )
    assert is_good(authority.trust, agent)
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)

    assert not is_good(authority.trust, agent)


# --- one key, one use -------------------------------------------------------------------------------


def test_an_authority_has_no_key_for_two_uses(keys):
    with pytest.raises(CredentialError):
        Authority("acme.example", {**keys, "jwt-svid": keys["wit-svid"]}, clock=lambda: 0)


def test_what_is_published_is_json_with_one_id_for_each_key_the_thumbprint(any_authority):
    any_authority.rotate()
    jwks = json.loads(json.dumps(any_authority.trust.to_jwks()))
    ids = [key["kid"] for key in jwks["keys"]]
    trust = TrustAnchor.from_jwks(jwks, trust_domain="acme.example")

    assert 8 == len(set(ids)) == len(ids)
    assert ids == [key.thumbprint for key in trust.keys]
    assert {"spiffe_sequence", "spiffe_refresh_hint", "keys"} == jwks.keys()
    assert all({"kty", "crv", "alg", "use", "kid", "x"} <= key.keys() for key in jwks["keys"])


def test_keys_that_are_kept_elsewhere_are_not_rotated_here(keys, clock):
    class Elsewhere:
        def __init__(self, key: PrivateKey) -> None:
            self.alg, self.kid, self.public_jwk, self.sign = key.alg, key.kid, key.public_jwk, key.sign

    authority = Authority("acme.example", {use: Elsewhere(key) for use, key in keys.items()}, clock=clock)
    agent = authority.issue("bot")
    with pytest.raises(ConfigurationError, match="not kept here"):
        authority.rotate()

    assert is_good(authority.trust, agent)


@needs_fork
def test_a_child_process_follows_whatever_a_thread_of_its_parent_was_doing(tmp_path):
    """Locks that it inherited are held by nobody."""
    code = """
import os, signal, sys
from datetime import timedelta
from agentid import Authority
now = [1_795_392_000.0]
authority = Authority.open(sys.argv[1], trust_domain="acme.example", clock=lambda: now[0])
agent = authority.issue("bot")
authority._store._lock.acquire()
authority.trust._watch._lock.acquire()
if not os.fork():
    signal.alarm(20)
    Authority.open(sys.argv[1], trust_domain="acme.example").rotate(overlap=timedelta(0))
    now[0] += 1
    authority.trust.verify_agent(authority.issue("bot"))
    try:
        authority.trust.verify_agent(agent)
    except Exception as error:
        print(error)
    sys.stdout.flush()
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "authority.pem")], check=True, capture_output=True, text=True
    )

    assert "no key of its issuer" in done.stdout


def test_a_key_file_that_is_put_back_to_an_older_state_is_refused(tmp_path, clock):
    """Keys that somebody else has must not come back with a backup."""
    path = tmp_path / "authority.pem"
    authority = Authority.open(path, trust_domain="acme.example", clock=clock)
    backup, leaked = path.read_bytes(), authority.issue("bot")
    authority.rotate(overlap=timedelta(0))
    new = authority.issue("bot")
    assert authority.trust.verify_agent(new)
    path.write_bytes(backup)
    clock.forward(1)

    for agent in (leaked, new):
        with pytest.raises(CredentialError, match="put back to an older state"):
            authority.trust.verify_agent(agent)


# --- which file -------------------------------------------------------------------------------------


def test_a_program_that_changes_its_folder_keeps_its_keys(tmp_path, monkeypatch, clock):
    """There may be a file of the same name, and its keys are somebody else's."""
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (there, here):
        folder.mkdir()
        monkeypatch.chdir(folder)
        authority = Authority.open("authority.pem", trust_domain="acme.example", clock=clock)
        authority.rotate()
    agent = authority.issue("bot")
    stranger = Authority.open(there / "authority.pem", trust_domain="acme.example", clock=clock).issue("stranger")

    monkeypatch.chdir(there)
    clock.forward(1)
    assert authority.trust.verify_agent(agent)
    assert not is_good(authority.trust, stranger)
    before = (there / "authority.pem").read_bytes()
    authority.rotate()
    assert before == (there / "authority.pem").read_bytes()
    (here / "authority.pem").unlink()
    clock.forward(1)
    with pytest.raises(CredentialError, match="cannot be read any more"):
        authority.trust.verify_agent(agent)


@needs_posix
@pytest.mark.parametrize("link", ["file", "folder"])
def test_a_link_that_leads_to_another_file_is_refused(tmp_path, clock, link):
    """What was revoked there is not known here, and the keys of before may have been taken away."""
    for name in ("old", "new"):
        Authority.open(tmp_path / name / "keys.pem", trust_domain="acme.example", clock=clock)
    current = tmp_path / "current"
    if link == "folder":
        current.symlink_to("old")
        authority = Authority.open(current / "keys.pem", trust_domain="acme.example", clock=clock)
    else:
        current.symlink_to(tmp_path / "old" / "keys.pem")
        authority = Authority.open(current, trust_domain="acme.example", clock=clock)
    agent = authority.issue("bot")
    current.unlink()
    current.symlink_to("new" if link == "folder" else tmp_path / "new" / "keys.pem")
    before = (tmp_path / "new" / "keys.pem").read_bytes()

    with pytest.raises(ConfigurationError, match="leads to another file"):
        authority.rotate()
    clock.forward(1)
    with pytest.raises(CredentialError, match="leads to another file"):
        authority.trust.verify_agent(agent)
    assert before == (tmp_path / "new" / "keys.pem").read_bytes()
