"""`agentid identity revoke` and `status`: a kill switch, and a list that others read."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest
from systems import needs_posix

from agentid import Agent, Authority, TrustAnchor
from agentid.errors import CredentialRevokedError

URI = "https://acme.example/status/1"
CONFIGURATION = f"""\
trust_domain = "acme.example"
authority = "keys/authority.pem"
status_uri = "{URI}"

[agents.support-bot]
allow = ["read:crm/customers/*"]
"""


@pytest.fixture
def saved(run, folder):
    """An agent that was issued on the command line, and its file."""
    (folder / "agentid.toml").write_text(CONFIGURATION, encoding="utf-8")
    assert 0 == run("identity", "issue", "support-bot").code
    return Path("keys/agents/support-bot.json")


def verifies(run, file):
    return run("identity", "verify", file).code == 0


def test_an_agent_file_is_revoked(run, saved):
    assert verifies(run, saved)
    ran = run("identity", "revoke", saved)

    assert (0, "") == (ran.code, ran.err)
    assert (
        "revoked spiffe://acme.example/agent/support-bot, as it was issued to keys/agents/support-bot.json\n" == ran.out
    )
    assert not verifies(run, saved)
    run("identity", "issue", "support-bot", "--overwrite")
    assert verifies(run, saved)


def test_a_name_is_revoked_until_it_is_lifted(run, saved):
    ran = run("identity", "revoke", "support-bot")
    assert (0, "revoked everything called support-bot\n") == (ran.code, ran.out)
    run("identity", "issue", "support-bot", "--overwrite")
    assert not verifies(run, saved)
    assert "--lift" in run("identity", "verify", saved).err

    ran = run("identity", "revoke", "support-bot", "--lift")
    assert (0, "agents called support-bot are accepted again\n") == (ran.code, ran.out)
    assert verifies(run, saved)
    ran = run("identity", "revoke", "support-bot", "--lift")
    assert (2, "") == (ran.code, ran.out)
    assert "is not revoked" in ran.err


def test_a_sub_agent_is_revoked_by_name_or_file(run, saved):
    helper = Path("keys/agents/support-bot.helper.json")
    assert 0 == run("identity", "delegate", saved, "helper", "--allow", "read:crm/customers/c-1").code
    run("identity", "revoke", "support-bot/helper")
    assert [True, False] == [verifies(run, saved), verifies(run, helper)]
    run("identity", "revoke", "support-bot/helper", "--lift")
    assert verifies(run, helper)
    run("identity", "revoke", helper)
    assert [True, False] == [verifies(run, saved), verifies(run, helper)]


def test_an_encrypted_file_is_revoked_without_its_passphrase(run, saved, monkeypatch):
    """Whoever has to take it back is not whoever uses it."""
    monkeypatch.setenv("AGENTID_PASSPHRASE", "correct horse battery")
    assert 0 == run("identity", "issue", "support-bot", "--overwrite", "--encrypt").code
    helper = Path("keys/agents/support-bot.helper.json")
    assert 0 == run("identity", "delegate", saved, "helper", "--encrypt").code
    monkeypatch.delenv("AGENTID_PASSPHRASE")

    ran = run("identity", "revoke", helper)
    assert (0, "") == (ran.code, ran.err)
    assert "revoked spiffe://acme.example/agent/support-bot/helper, as it was issued to" in ran.out
    monkeypatch.setenv("AGENTID_PASSPHRASE", "correct horse battery")
    assert [True, False] == [verifies(run, saved), verifies(run, helper)]
    monkeypatch.delenv("AGENTID_PASSPHRASE")
    assert 0 == run("identity", "revoke", saved).code
    monkeypatch.setenv("AGENTID_PASSPHRASE", "correct horse battery")
    assert not verifies(run, saved)


@needs_posix
def test_a_file_that_others_can_read_is_revoked(run, saved):
    """That it leaked is why."""
    saved.chmod(0o644)
    assert "chmod 600" in run("identity", "verify", saved).err

    assert 0 == run("identity", "revoke", saved).code
    saved.chmod(0o600)
    assert not verifies(run, saved)


@pytest.mark.parametrize("content", ["", "{}", "not json", '{"agentid_agent": 1}'])
def test_a_file_that_is_no_agent_is_not_revoked(run, saved, content):
    saved.write_text(content)
    ran = run("identity", "revoke", saved)

    assert (2, "") == (ran.code, ran.out)
    assert "The agent file was refused" in ran.err
    assert "Revoke its name" in ran.err


def test_what_was_done_is_told_as_json(run, saved):
    agent = Agent.load(saved)
    for arguments, told in (
        (("support-bot",), {"revoked": "support-bot"}),
        (("support-bot", "--lift"), {"reinstated": "support-bot"}),
        ((saved,), {"revoked": str(agent.id), "ids": list(agent.own_ids)}),
    ):
        assert told == json.loads(run("identity", "revoke", *arguments, "--json").out)


def test_a_name_that_nobody_configured_is_revoked_and_doubted(run, saved):
    """It may be issued elsewhere; it may also be a slip of the pen."""
    ran = run("identity", "revoke", "suport-bot")
    assert 0 == ran.code
    assert "no agent of that name is configured. Did you mean `support-bot`?" in ran.out
    for name in ("support-bot/helper", "spiffe://acme.example/agent/support-bot"):
        assert "configured" not in run("identity", "revoke", name).out


@pytest.mark.parametrize("name", ["", "a b", "..", "spiffe://other.example/agent/bot", "x" * 5000, "a\x00b"])
def test_a_name_that_is_none_is_refused(run, saved, name):
    ran = run("identity", "revoke", name)

    assert (2, "") == (ran.code, ran.out)
    assert 1 == ran.err.count("\n")
    assert not Path("keys/authority.pem.revoked").exists() or verifies(run, saved)


def test_an_agent_file_is_not_lifted(run, saved):
    ran = run("identity", "revoke", saved, "--lift")

    assert 2 == ran.code
    assert "only a name" in ran.err


@pytest.mark.parametrize("command", [("revoke", "bot"), ("status",)])
def test_without_an_authority_nothing_is_made(run, folder, command):
    ran = run("identity", *command)

    assert 2 == ran.code
    assert "there is no authority" in ran.err
    assert [] == list(folder.iterdir())


def test_a_list_is_printed_for_others_to_read(run, saved):
    agent = Agent.load(saved)
    run("identity", "revoke", saved)
    ran = run("identity", "status")
    assert 0 == ran.code
    assert ran.out == f"{ran.out.strip()}\n"
    jwks = json.loads(run("identity", "bundle").out)
    trust = TrustAnchor.from_jwks(jwks, trust_domain="acme.example", status=lambda: ran.out)

    with pytest.raises(CredentialRevokedError):
        trust.verify_agent(agent)
    assert {"status_list"} == json.loads(run("identity", "status", "--json").out).keys()


def test_a_list_is_written_whole_and_replaced(run, saved):
    """With the mode of any file that is published."""
    for _ in range(2):
        ran = run("identity", "status", "--out", "status.jwt", "--ttl", "30")
        assert (0, "written to status.jwt, good for 150 seconds\n") == (ran.code, ran.out)
    assert {"file": "status.jwt"} == json.loads(run("identity", "status", "--out", "status.jwt", "--json").out)
    if os.name == "posix":
        before = os.umask(0)
        os.umask(before)
        assert 0o666 & ~before == Path("status.jwt").stat().st_mode & 0o777
    jwks = json.loads(run("identity", "bundle").out)
    trust = TrustAnchor.from_jwks(jwks, trust_domain="acme.example", status="status.jwt")

    assert trust.verify_agent(Agent.load(saved))
    assert {"agentid.toml", "keys", "status.jwt"} == {path.name for path in Path().iterdir()}


def test_a_list_that_cannot_be_written_is_one_line(run, saved):
    for out in ("no/such/folder/status.jwt", "."):
        ran = run("identity", "status", "--out", out)
        assert (2, "") == (ran.code, ran.out)
        assert 1 == ran.err.count("\n")


def test_without_a_place_to_publish_there_is_no_list(run, saved, folder):
    (folder / "agentid.toml").write_text(CONFIGURATION.replace("status_uri", "# status_uri"), encoding="utf-8")
    ran = run("identity", "status")
    assert 2 == ran.code
    assert "--uri" in ran.err

    assert 0 == run("identity", "status", "--uri", URI).code
    assert 2 == run("identity", "status", "--uri", "status/1").code


@pytest.mark.parametrize("ttl", ["0", "-1", "3601", "1.5", "x", "٣", "9" * 100])
def test_the_time_until_the_next_list_is_whole_seconds(run, saved, ttl):
    ran = run("identity", "status", "--ttl", ttl)

    assert 2 == ran.code
    assert "whole number of seconds from 1 to 3600" in ran.err


@pytest.mark.parametrize("uri", ['"status/1"', "1", '""', '"https://a b"'])
def test_a_place_that_is_no_uri_is_an_error_with_its_line(run, saved, folder, uri):
    (folder / "agentid.toml").write_text(f'trust_domain = "acme.example"\nstatus_uri = {uri}\n', encoding="utf-8")
    ran = run("identity", "show")

    assert 2 == ran.code
    assert "line 2" in ran.err


def test_an_agent_that_is_issued_says_where_its_status_is(run, saved):
    authority = Authority.open("keys/authority.pem", trust_domain="acme.example")

    assert URI == authority.trust.verify_agent(Agent.load(saved)).credential.status.uri


@pytest.mark.parametrize("slip", ["bott.json", "agents/bot", "agents/bot.json"])
def test_a_slip_in_the_name_of_a_file_revokes_nothing(run, saved, folder, slip):
    (folder / "agents").mkdir(exist_ok=True)
    ran = run("identity", "revoke", slip)

    assert (2, "") == (ran.code, ran.out)
    assert f"nothing was revoked: there is no file `{slip}`" in ran.err
    assert 0 == run("identity", "verify", str(saved)).code


def test_a_file_whose_ids_were_changed_by_hand_is_not_revoked_without_effect(run, saved):
    good = saved.read_text()
    content = json.loads(good)
    head, payload, signature = content["credential"].split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    claims["jti"] = "another"
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    saved.write_text(json.dumps({**content, "credential": f"{head}.{payload}.{signature}"}))

    ran = run("identity", "revoke", saved)

    assert (2, "") == (ran.code, ran.out)
    assert "Nothing was revoked: this authority did not issue the agent like this" in ran.err
    saved.write_text(good)
    assert verifies(run, saved)


def test_an_id_of_the_audit_log_is_revoked(run, saved):
    """That of a sub-agent takes back the sub-agent alone."""
    helper = Path("keys/agents/support-bot.helper.json")
    shown = json.loads(run("identity", "delegate", saved, "helper", "--json").out)
    ran = run("identity", "revoke", shown["credential_id"])

    assert (0, "") == (ran.code, ran.err)
    assert f"revoked what has the id {shown['credential_id']}, and what is below it\n" == ran.out
    assert [True, False] == [verifies(run, saved), verifies(run, helper)]


def test_an_agent_that_is_called_like_a_file_is_revoked_by_its_spiffe_id(run, saved):
    assert "looks like one" in run("identity", "revoke", "bot.json").err
    assert 0 == run("identity", "issue", "bot.json", "--allow", "read:a/*", "--out", "x.json").code
    assert 0 == run("identity", "revoke", "spiffe://acme.example/agent/bot.json").code
    assert not verifies(run, "x.json")


@pytest.mark.parametrize("in_the_way", ["file", "folder"])
def test_what_is_called_like_an_agent_leaves_a_way_to_revoke_it(run, saved, folder, in_the_way):
    """A kill switch that is stopped by a file in the current folder says what works."""
    assert 0 == run("identity", "delegate", saved, "helper", "--allow", "read:crm/customers/c-1").code
    name = "support-bot"
    if in_the_way == "file":
        (folder / name).write_text("anything")
    else:
        (folder / name).mkdir()
        name += "/helper"
    ran = run("identity", "revoke", name)
    assert 2 == ran.code
    assert "its SPIFFE ID, such as spiffe://acme.example/agent/support-bot" in ran.err

    assert 0 == run("identity", "revoke", f"spiffe://acme.example/agent/{name}").code
    assert not verifies(run, "keys/agents/support-bot.helper.json")


def test_an_id_is_not_lifted_and_that_is_said(run, saved):
    """An agent may be called like an id, so the name is; nobody is to think that it was the token."""
    token_id = Agent.load(saved).describe()["grant_id"]
    run("identity", "revoke", token_id)
    ran = run("identity", "revoke", "--lift", token_id)

    assert f"agents called {token_id} are accepted again; what has that id stays revoked\n" == ran.out
    assert not verifies(run, saved)
