"""`agentid identity rotate` and `bundle`: new keys for the authority, and the public ones for others."""

from __future__ import annotations

import json
import time
from datetime import datetime

import pytest
from command_line import agentid
from systems import needs_posix

from agentid import Agent, Authority, TrustAnchor

CONFIGURATION = 'trust_domain = "acme.example"\nauthority = "keys/authority.pem"\n'


@pytest.fixture
def saved(folder, run):
    """An agent that was issued here, by a configured authority."""
    (folder / "agentid.toml").write_text(CONFIGURATION, encoding="utf-8")
    assert 0 == run("identity", "issue", "bot", "--allow", "read:a").code
    return folder / "keys" / "agents" / "bot.json"


def bundle(run):
    return json.loads(run("identity", "bundle", "--json").out)


def kids(jwks, use):
    return [key["kid"] for key in jwks["keys"] if key["use"] == use]


# --- rotate -----------------------------------------------------------------------------------------


def test_a_rotation_leaves_agents_good_for_a_day(saved, run):
    before = bundle(run)
    ran = run("identity", "rotate")
    after = bundle(run)

    assert (0, "") == (ran.code, ran.err)
    assert 0 == run("identity", "verify", saved).code
    for use in ("wit-svid", "jwt-svid", "agentid-grant"):
        new, old = kids(after, use)
        assert [old] == kids(before, use)
        assert f"{new}  {use}" in ran.out
    assert kids(before, "agentid-audit") == kids(after, "agentid-audit")
    assert "good until" in ran.out


def test_an_emergency_refuses_agents_at_once(saved, run):
    audit = kids(bundle(run), "agentid-audit")
    ran = run("identity", "rotate", "--overlap", "0")

    assert 0 == ran.code
    assert "refused from now on: issue every agent again" in ran.out
    assert 1 == run("identity", "verify", saved).code
    assert audit == kids(bundle(run), "agentid-audit")[1:]
    assert 0 == run("identity", "issue", "bot", "--allow", "read:a", "--overwrite").code
    assert 0 == run("identity", "verify", saved).code


def test_a_rotation_tells_machines_the_same(saved, folder, run):
    before = {key["kid"] for key in bundle(run)["keys"]}
    told = json.loads(run("identity", "rotate", "--overlap", "1", "--json").out)
    after = bundle(run)

    assert {"trust_domain", "authority", "sequence", "new", "old_until"} == told.keys()
    assert ("acme.example", str(folder / "keys" / "authority.pem")) == (told["trust_domain"], told["authority"])
    assert after["spiffe_sequence"] == told["sequence"] == 2
    assert {key["kid"] for key in after["keys"]} - before == {key["kid"] for key in told["new"]}
    assert 3500 < datetime.fromisoformat(told["old_until"]).timestamp() - time.time() < 3700
    assert json.loads(run("identity", "rotate", "--overlap=0", "--json").out)["old_until"] is None


@pytest.mark.parametrize("overlap", ["-1", "721", "1.5", "soon", "", "9" * 5000, "１", "nan"])
def test_an_overlap_that_is_none_is_refused(saved, run, overlap):
    before = bundle(run)
    ran = run("identity", "rotate", f"--overlap={overlap}")

    assert (2, "") == (ran.code, ran.out)
    assert "a whole number of hours from 0 to 720" in ran.err
    assert before == bundle(run)


@pytest.mark.parametrize("command", ["rotate", "bundle"])
def test_without_an_authority_nothing_is_made(folder, run, command):
    """Keys are made by issuing, and not by asking for them."""
    ran = run("identity", command)

    assert (2, "") == (ran.code, ran.out)
    assert "there is no authority" in ran.err
    assert [] == list(folder.iterdir())


@needs_posix
@pytest.mark.parametrize("command", ["rotate", "bundle"])
def test_a_key_file_that_others_can_get_at_is_refused(saved, folder, run, command):
    (folder / "keys" / "authority.pem").chmod(0o644)
    ran = run("identity", command)

    assert 2 == ran.code
    assert "chmod 600" in ran.err


def test_a_running_process_follows(saved, folder, run):
    """One that opened the key file before."""
    now = [time.time()]
    authority = Authority.open(folder / "keys" / "authority.pem", trust_domain="acme.example", clock=lambda: now[0])
    assert authority.trust.verify_agent(Agent.load(saved))
    assert 0 == run("identity", "rotate", "--overlap", "0").code
    now[0] += 1

    with pytest.raises(Exception, match="no key of its issuer"):
        authority.trust.verify_agent(Agent.load(saved))


# --- bundle -----------------------------------------------------------------------------------------


def test_what_is_printed_is_enough_to_verify(saved, folder, run):
    ran = run("identity", "bundle")
    (folder / "keys.json").write_text(ran.out, encoding="utf-8")

    assert json.loads(ran.out) == bundle(run)
    assert TrustAnchor.from_jwks(ran.out, trust_domain="acme.example").verify_agent(Agent.load(saved))
    assert 0 == run("identity", "verify", saved, "--jwks", "keys.json", "--trust-domain", "acme.example").code
    assert "PRIVATE" not in ran.out
    assert not any("d" in key for key in bundle(run)["keys"])


def test_a_file_is_written_whole_and_replaced(saved, folder, run):
    ran = run("identity", "bundle", "--out", "public/keys.json")
    assert 2 == ran.code
    assert "`public/keys.json` could not be written: no such file" in ran.err

    for _ in range(2):
        ran = run("identity", "bundle", "--out", "keys.json")
        assert (0, "") == (ran.code, ran.err)
        assert json.loads((folder / "keys.json").read_text()) == bundle(run)
        assert 0 == run("identity", "rotate").code
    assert "8 public keys, number 2, written to keys.json" in ran.out
    told = json.loads(run("identity", "bundle", "--out", "keys.json", "--json").out)
    assert {"file": "keys.json", "sequence": 4, "keys": 11} == told
    assert ["agentid.toml", "keys", "keys.json"] == sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", [".", "a\x00b", "x" * 300])
def test_a_file_that_cannot_be_written_is_one_line(saved, folder, run, name):
    before = sorted(folder.iterdir())
    ran = run("identity", "bundle", "--out", name)

    assert (2, "") == (ran.code, ran.out)
    assert "could not be written" in ran.err
    assert 1 == ran.err.count("\n")
    assert before == sorted(folder.iterdir())


def test_it_works_as_a_program(saved, folder):
    ran = agentid("identity", "rotate", "--json", folder=folder)
    printed = agentid("identity", "bundle", "--json", folder=folder)

    assert [0, 0] == [ran.code, printed.code]
    assert json.loads(ran.out)["sequence"] == json.loads(printed.out)["spiffe_sequence"] == 2
