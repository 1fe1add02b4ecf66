"""`agentid identity`: issue, show and verify."""

from __future__ import annotations

import json
import os
from datetime import timedelta

import pytest
from command_line import agentid
from systems import needs_posix

from agentid import Agent, Authority
from agentid.testing import SteppingClock

CONFIGURATION = """\
trust_domain = "acme.example"
authority = "keys/authority.pem"

[agents.support-bot]
owner = "team:support"
purpose = "answers customers"
ttl_minutes = 30
allow = ["read:crm/customers/*"]
ask = ["write:mail/outbox/*"]
"""


@pytest.fixture
def configured(folder):
    (folder / "agentid.toml").write_text(CONFIGURATION, encoding="utf-8")
    return folder


@pytest.fixture
def saved(configured, run):
    """The file of a configured agent."""
    assert 0 == run("identity", "issue", "support-bot").code
    return configured / "keys" / "agents" / "support-bot.json"


# --- issue ------------------------------------------------------------------------------------------


def test_a_configured_agent_is_issued_as_the_file_says(configured, run):
    ran = run("identity", "issue", "support-bot")
    facts = dict(line.split(None, 1) for line in ran.out.splitlines())

    assert (0, "") == (ran.code, ran.err)
    assert "spiffe://acme.example/agent/support-bot" == facts["id"]
    assert "team:support" == facts["owner"]
    assert "read:crm/customers/*" == facts["allow"]
    assert "write:mail/outbox/*" == facts["ask"]
    assert f"to {configured / 'keys' / 'agents' / 'support-bot.json'}" == facts["saved"]


def test_issue_show_and_verify_tell_the_same_in_json(configured, run):
    """The round trip: what was issued is what is shown, and it is good."""
    issued = json.loads(run("identity", "issue", "support-bot", "--json").out)
    shown = json.loads(run("identity", "show", issued["file"], "--json").out)
    verified = json.loads(run("identity", "verify", issued["file"], "--json").out)
    file = issued.pop("file")

    assert issued == shown
    assert {
        "valid": True,
        "revocation_checked": True,
        "id": issued["id"],
        "owner": "team:support",
        "expires_at": issued["expires_at"],
    } == verified
    assert str(Agent.load(file).id) == issued["id"]


def test_without_a_configuration_permissions_come_from_the_command_line(folder, run):
    ran = run("identity", "issue", "bot", "--allow", "read:a/*", "--allow", "read:b", "--ask", "write:c", "--json")
    issued = json.loads(ran.out)

    assert "spiffe://localhost/agent/bot" == issued["id"]
    assert ["read:a/*", "read:b"] == issued["allow"]
    assert ["write:c"] == issued["ask"]
    assert str(folder / ".agentid" / "agents" / "bot.json") == issued["file"]
    assert (folder / ".agentid" / "authority.pem").is_file()


def test_given_permissions_replace_the_configured_ones(configured, run):
    issued = json.loads(run("identity", "issue", "support-bot", "--allow", "read:x", "--owner", "ada", "--json").out)

    assert (["read:x"], [], "ada", "answers customers") == tuple(
        issued[name] for name in ("allow", "ask", "owner", "purpose")
    )


@pytest.mark.parametrize(("arguments", "minutes"), [([], 30), (["--ttl", "5"], 5), (["--ttl", "1440"], 1440)])
def test_a_lifetime_is_configured_or_given(configured, run, arguments, minutes):
    from datetime import datetime

    issued = json.loads(run("identity", "issue", "support-bot", "--json", *arguments).out)
    lifetime = datetime.fromisoformat(issued["expires_at"]) - datetime.fromisoformat(issued["issued_at"])

    assert timedelta(minutes=minutes) == lifetime


@pytest.mark.parametrize("ttl", ["0", "-5", "1441", "1.5", "soon", "", "9" * 5000, "１"])
def test_a_lifetime_that_is_none_is_refused(configured, run, ttl):
    ran = run("identity", "issue", "support-bot", f"--ttl={ttl}")

    assert 2 == ran.code
    assert "a whole number of minutes from 1 to 1440" in ran.err


@needs_posix
def test_key_and_agent_files_are_for_their_owner_alone(saved, configured, run):
    assert 0 == run("identity", "issue", "support-bot", "--out", "deep/bot.json").code
    for file in (saved, configured / "keys" / "authority.pem", configured / "deep" / "bot.json"):
        assert 0o600 == file.stat().st_mode & 0o777
        assert 0 == file.parent.stat().st_mode & 0o077


def test_a_file_that_is_there_is_replaced_only_when_asked_to(saved, run):
    before = saved.read_bytes()
    ran = run("identity", "issue", "support-bot")

    assert 2 == ran.code
    assert before == saved.read_bytes()

    assert 0 == run("identity", "issue", "support-bot", "--overwrite").code
    assert before != saved.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["suport-bot"], "has no agent `suport-bot`. Did you mean `support-bot`? Or give its permissions with --allow"),
        (["bot", "--allow", "raed:x"], "unknown action `raed`. Did you mean `read`?"),
        (["bot", "--ask", "read"], "the action is missing"),
        (["a/../b", "--allow", "read:x"], "The agent name `a/../b` was refused"),
        (["bot\n", "--allow", "read:x"], r"The agent name `bot\n` was refused"),
        (["bot", "--allow", "read:x", "--owner", "a\nb"], "`owner` was refused"),
    ],
    ids=["agent", "action", "permission", "path", "newline", "owner"],
)
def test_a_slip_names_what_is_wrong_and_leaves_nothing_behind(configured, run, arguments, said):
    """Neither an agent nor a new authority."""
    ran = run("identity", "issue", *arguments)

    assert (2, "") == (ran.code, ran.out)
    assert said in ran.err
    assert 1 == ran.err.count("\n")
    assert ["agentid.toml"] == [path.name for path in configured.iterdir()]


def test_the_configuration_is_found_from_a_folder_below(configured, run, monkeypatch):
    (configured / "deep").mkdir()
    monkeypatch.chdir(configured / "deep")

    assert 0 == run("identity", "issue", "support-bot").code
    assert (configured / "keys" / "authority.pem").is_file()
    assert [] == list((configured / "deep").iterdir())


def test_a_configuration_can_be_named(configured, run, folder, monkeypatch):
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    (elsewhere / "agentid.toml").write_text("[agents.other]\n", encoding="utf-8")

    assert 2 == run("identity", "issue", "support-bot").code
    assert 0 == run("identity", "issue", "support-bot", "--config", configured / "agentid.toml").code


# --- show -------------------------------------------------------------------------------------------


def test_the_authority_is_shown_with_its_public_keys_and_agents(saved, configured, run):
    text = run("identity", "show").out
    shown = json.loads(run("identity", "show", "--json").out)

    assert {"trust_domain", "authority", "jwks", "agents"} == set(shown)
    assert ("acme.example", ["support-bot"]) == (shown["trust_domain"], shown["agents"])
    for key in shown["jwks"]["keys"]:
        assert f"{key['kid']}  {key['use']}" in text
        assert "d" not in key
    assert "  allow       read:crm/customers/*\n" in text
    assert "agent         support-bot  team:support\n" in text


def test_nothing_is_made_by_showing(configured, run):
    ran = run("identity", "show")

    assert 2 == ran.code
    assert "Run `agentid identity issue NAME`, which makes it" in ran.err
    assert not (configured / "keys").exists()


def test_an_agent_file_is_shown(saved, run):
    lines = run("identity", "show", saved).out.splitlines()

    assert "id          spiffe://acme.example/agent/support-bot" == lines[0]
    assert "allow       read:crm/customers/*" in lines


@pytest.mark.parametrize("content", ["", "{}", "nonsense", '{"agentid_agent": 1}'])
def test_a_file_that_is_no_agent_is_not_shown(folder, run, content):
    file = folder / "agent.json"
    file.touch(0o600)
    file.write_text(content, encoding="utf-8")
    ran = run("identity", "show", file)

    assert (1, "") == (ran.code, ran.out)
    assert ran.err.startswith("agentid: [credential.invalid] The agent file was refused")


@needs_posix
def test_an_agent_file_that_others_can_read_is_refused(saved, run):
    saved.chmod(0o640)

    for command in ("show", "verify"):
        ran = run("identity", command, saved)

        assert (2, "") == (ran.code, ran.out)
        assert "others can read or change it" in ran.err


# --- verify -----------------------------------------------------------------------------------------


def test_a_good_agent_is_good_as_a_file_and_by_its_token(saved, configured, run):
    token = Agent.load(saved).credential_token
    on_stdin = agentid("identity", "verify", "-", folder=configured, stdin=f"  {token}\n")

    for ran in (run("identity", "verify", saved), run("identity", "verify", token), on_stdin):
        assert (0, "") == (ran.code, ran.err)
        assert ran.out.startswith("good: spiffe://acme.example/agent/support-bot, owner team:support, until ")


def tampered(token):
    """The token with one character of its signature changed."""
    head, signature = token.rsplit(".", 1)
    return f"{head}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


def bad_tokens(authority_file, token):
    """Tokens that are not good, by what is wrong with them."""
    past = Authority.open(authority_file, trust_domain="acme.example", clock=SteppingClock(1_000_000_000.0))
    foreign = Authority.create("acme.example").issue("support-bot")
    return {
        "tampered": tampered(token),
        "expired": past.issue("support-bot", ttl=timedelta(minutes=1)).credential_token,
        "foreign": foreign.credential_token,
        "grant": foreign.grant_chain[0],
        "empty parts": "..",
        "no json": "e30.e30.e30",
    }


@pytest.mark.parametrize("what", ["tampered", "expired", "foreign", "grant", "empty parts", "no json"])
def test_a_bad_token_is_exit_code_1_and_is_not_repeated(saved, configured, run, what):
    token = bad_tokens(configured / "keys" / "authority.pem", Agent.load(saved).credential_token)[what]
    ran = run("identity", "verify", token)
    in_json = run("identity", "verify", token, "--json")

    assert (1, "") == (ran.code, ran.out)
    assert 1 == ran.err.count("\n")
    assert token[:20] not in ran.err + in_json.out or len(token) < 3
    assert (1, "") == (in_json.code, in_json.err)
    said = json.loads(in_json.out)
    assert {"valid": False, "code": said["code"], "error": ran.err[len("agentid: ") : -1]} == said
    assert ("credential.expired" if what == "expired" else "credential.invalid") == said["code"]


def test_an_agent_file_with_another_agents_grant_is_not_good(saved, configured, run):
    authority = Authority.open(configured / "keys" / "authority.pem", trust_domain="acme.example")
    content = json.loads(saved.read_text(encoding="utf-8"))
    content["grant"] = list(authority.issue("root-bot", allow=["delete:**"]).grant_chain)
    saved.write_text(json.dumps(content), encoding="utf-8")

    assert 1 == run("identity", "verify", saved).code


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"nonsense", b"a.b.c\n" * 100_000])
def test_whatever_is_on_the_standard_input_is_judged(configured, saved, run, monkeypatch, data):
    import io

    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
    ran = run("identity", "verify", "-")

    assert (1, "") == (ran.code, ran.out)
    assert 1 == ran.err.count("\n")


@pytest.mark.parametrize("subject", ["nothere.json", "keys", "Bearer a.b.c", "", "x" * 10_000])
def test_what_is_neither_a_file_nor_a_token_is_a_mistake_and_not_repeated(saved, run, subject):
    """It may be a token with something around it."""
    ran = run("identity", "verify", subject)

    assert (2, "") == (ran.code, ran.out)
    assert "the argument names no file, and it is no token" in ran.err


def test_published_keys_verify_without_the_authority(saved, configured, run, folder, monkeypatch):
    """The keys from `identity show --json` are enough, on a machine that has nothing else."""
    jwks = json.loads(run("identity", "show", "--json").out)["jwks"]
    token = Agent.load(saved).credential_token
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    (elsewhere / "keys.json").write_text(json.dumps(jwks), encoding="utf-8")
    trusting = ("--jwks", "keys.json", "--trust-domain")

    assert 0 == run("identity", "verify", token, *trusting, "acme.example").code
    assert 1 == run("identity", "verify", token, *trusting, "other.example").code
    assert 1 == run("identity", "verify", tampered(token), *trusting, "acme.example").code
    assert 2 == run("identity", "verify", token, *trusting[:2]).code
    assert 2 == run("identity", "verify", token, "--trust-domain", "acme.example").code


def test_published_keys_do_not_say_what_was_revoked_and_a_published_list_does(configured, run):
    """Nobody takes the one for the other."""
    toml = configured / "agentid.toml"
    toml.write_text(
        'status_uri = "https://acme.example/status/1"\n' + toml.read_text(encoding="utf-8"), encoding="utf-8"
    )
    run("identity", "issue", "support-bot", "--out", "bot.json")
    run("identity", "bundle", "--out", "keys.json")
    run("identity", "status", "--out", "before.jwt")
    run("identity", "revoke", "bot.json")
    run("identity", "status", "--out", "after.jwt")
    trusting = ("identity", "verify", "bot.json", "--jwks", "keys.json", "--trust-domain", "acme.example")

    assert "whether it was revoked is not known without --status" in run(*trusting).out
    assert not json.loads(run(*trusting, "--json").out)["revocation_checked"]
    before = run(*trusting, "--status", "before.jwt")
    assert (0, "") == (before.code, before.err)
    assert "not known" not in before.out
    assert json.loads(run(*trusting, "--status", "before.jwt", "--json").out)["revocation_checked"]
    for status, said in (("after.jwt", "was revoked"), ("keys.json", "cannot be known"), ("no.jwt", "cannot be known")):
        ran = run(*trusting, "--status", status)
        assert (1, "") == (ran.code, ran.out)
        assert said in ran.err
    assert 2 == run("identity", "verify", "bot.json", "--status", "after.jwt").code


@pytest.mark.parametrize("content", ["", "[]", '{"keys": []}', "nonsense", '{"keys": [{"kty": "EC"}]}', "\udcff"])
def test_keys_that_cannot_be_used_are_a_mistake_of_configuration(folder, run, content):
    (folder / "keys.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    ran = run("identity", "verify", "a.b.c", "--jwks", "keys.json", "--trust-domain", "acme.example")

    assert (2, "") == (ran.code, ran.out)
    assert 1 == ran.err.count("\n")


@needs_posix
def test_keys_are_read_from_ordinary_files_only(folder, run):
    """A device or a pipe would be read for ever."""
    os.mkfifo(folder / "pipe.json")
    for path in ("/dev/zero", folder, folder / "pipe.json", folder / "missing.json"):
        assert 2 == run("identity", "verify", "a.b.c", "--jwks", path, "--trust-domain", "acme.example").code


# --- secrets ----------------------------------------------------------------------------------------


def secrets_of(*files):
    """Every line of a private key, and the payload and signature of every token in these files."""
    found = set()
    for file in files:
        text = file.read_text(encoding="utf-8").replace("\\n", "\n")
        found |= {line for line in text.splitlines() if len(line) > 30 and line.isascii() and " " not in line}
        if file.suffix == ".json":
            content = json.loads(file.read_text(encoding="utf-8"))
            found |= {part for token in (content["credential"], *content["grant"]) for part in token.split(".")}
            found |= set(content["key"].splitlines()[1:-1])
    assert len(found) > 5
    return found


def test_no_command_prints_a_private_key_or_a_token(saved, configured, run):
    """Neither on the standard output nor in an error, also where a secret is what was given."""
    authority = configured / "keys" / "authority.pem"
    token = Agent.load(saved).credential_token
    secrets = secrets_of(saved, authority)
    commands = [
        ["identity", "show"],
        ["identity", "show", saved],
        ["identity", "verify", saved],
        ["identity", "verify", token],
        ["identity", "verify", tampered(token)],
        ["identity", "verify", f"Bearer {token}"],
        ["identity", "show", authority],
        ["identity", "verify", authority],
        ["identity", "verify", token, "--jwks", authority, "--trust-domain", "acme.example"],
        ["identity", "show", "--config", authority],
        ["identity", "issue", token, "--allow", "read:x"],
        ["identity", "issue", "bot", "--allow", token],
        ["doctor"],
        ["doctor", "--config", authority],
        ["doctor", "--config", saved],
    ]
    for command in commands:
        for form in ([], ["--json"]):
            ran = run(*command, *form)
            printed = ran.out + ran.err
            assert printed
            leaked = [secret for secret in secrets if secret in printed]
            assert [] == leaked, f"{command} printed a secret"

    issued = run("identity", "issue", "support-bot", "--overwrite", "--json")
    assert [] == [secret for secret in secrets_of(saved) if secret in issued.out + issued.err]


# --- delegate ---------------------------------------------------------------------------------------


def test_a_part_is_handed_on_from_file_to_file(saved, run):
    ran = run("identity", "delegate", str(saved), "summariser", "--allow", "read:crm/customers/c-42", "--ttl", "5")
    child = saved.with_name("support-bot.summariser.json")
    agent = Agent.load(child)

    assert (0, "") == (ran.code, ran.err)
    assert f"saved to {child}" in ran.out
    assert "delegated by  spiffe://acme.example/agent/support-bot\n" in ran.out
    assert "spiffe://acme.example/agent/support-bot/summariser" == str(agent.id)
    assert ["read:crm/customers/c-42"] == [str(permission) for permission in agent.allow]
    assert 0 == run("identity", "verify", str(child)).code
    shown = run("identity", "show", str(child), "--json")
    assert agent.describe() == json.loads(shown.out)

    grandchild = run("identity", "delegate", str(child), "reader", "--allow", "read:crm/customers/c-42", "--json")
    facts = json.loads(grandchild.out)
    assert "spiffe://acme.example/agent/support-bot/summariser/reader" == facts["id"]
    assert 2 == len(facts["delegated_by"])
    assert 0 == run("identity", "verify", facts["file"]).code


def test_more_than_is_held_is_refused_and_nothing_is_written(saved, run):
    ran = run("identity", "delegate", str(saved), "greedy", "--allow", "delete:crm/customers/c-42")

    assert (1, "") == (ran.code, ran.out)
    assert "[delegation.refused]" in ran.err
    assert [saved.name] == [path.name for path in saved.parent.iterdir()]


def test_a_refusal_to_hand_on_is_told_as_json(saved, run):
    past = Authority.open(saved.parents[1] / "authority.pem", trust_domain="acme.example", clock=lambda: 1e9)
    past.issue("support-bot").save(saved.with_name("past.json"))
    for file, permission, code in (
        (saved, "delete:crm/customers/c-42", "delegation.refused"),
        (saved.with_name("past.json"), "read:a", "credential.expired"),
    ):
        ran = run("identity", "delegate", str(file), "greedy", "--allow", permission)
        in_json = run("identity", "delegate", str(file), "greedy", "--allow", permission, "--json")
        assert (1, "") == (in_json.code, in_json.err)
        said = json.loads(in_json.out)
        assert {"delegated": False, "code": code, "error": ran.err[len("agentid: ") : -1]} == said


def test_handing_on_never_replaces_a_file_by_accident(saved, run):
    hand_on = ("identity", "delegate", str(saved), "a", "--allow", "read:crm/customers/c-1")
    assert 0 == run(*hand_on).code

    again = run(*hand_on)
    assert 2 == again.code
    assert "--overwrite" in again.err
    assert 0 == run(*hand_on, "--overwrite").code


@pytest.mark.parametrize(
    "wrong",
    [
        ("missing.json", "a"),
        ("SAVED", "a/b"),
        ("SAVED",),
        ("SAVED", "a", "--max-depth", "9"),
        ("SAVED", "a", "--max-depth", "0"),
    ],
)
def test_handing_on_what_makes_no_sense_is_a_mistake(wrong, saved, run):
    ran = run("identity", "delegate", *(str(saved) if word == "SAVED" else word for word in wrong))

    assert (2, "") == (ran.code, ran.out)
