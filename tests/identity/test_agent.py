"""The agent: what it shows, and how it is handed to another process."""

from __future__ import annotations

import copy
import json
import logging
import os
import pickle
import stat
import traceback

import pytest
from systems import needs_posix

from agentid.errors import ConfigurationError, CredentialError, Error
from agentid.identity import Agent, Authority
from agentid.signing import PrivateKey


@pytest.fixture
def saved(bot, tmp_path):
    """The file of a saved agent."""
    path = tmp_path / "bot.json"
    bot.save(path)
    return path


def rewrite(path, **changes):
    """Change the content of a saved agent."""
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))


# --- showing ----------------------------------------------------------------------------------------


def test_an_agent_describes_itself_in_public_facts(bot):
    """Ready for JSON."""
    facts = bot.describe()

    assert facts == json.loads(json.dumps(facts))
    assert ("spiffe://acme.example/agent/support-bot", "support-bot", "team:support") == (
        facts["id"],
        facts["name"],
        facts["owner"],
    )
    assert (["read:crm/customers/*"], ["write:mail/outbox/*"]) == (facts["allow"], facts["ask"])
    assert bot.expires_at.isoformat() == facts["expires_at"]
    assert {facts["credential_id"], facts["instance"], facts["grant_id"]} == set(bot.own_ids)


def test_an_agent_prints_its_name_and_its_end(bot):
    """Nothing else."""
    assert f"<Agent support-bot, expires {bot.expires_at.isoformat()}>" == repr(bot) == str(bot)


def secrets_of(agent):
    """Pieces of the key and of the tokens."""
    pem = "".join(agent._key.to_pem().decode().splitlines()[1:-1])
    scalar = agent._key._key.private_numbers().private_value
    texts = [pem, *agent.credential_token.split("."), *agent.grant_chain[0].split(".")]
    pieces = [text[i : i + 20] for text in texts for i in range(0, len(text) - 20, 7)]
    return [*pieces, str(scalar), f"{scalar:x}", "PRIVATE KEY"]


def test_an_agent_never_shows_its_key_or_tokens(bot, authority, trust, tmp_path, caplog):
    """Not in any text that is made of it, by itself or by what failed around it."""
    verified = trust.verify_agent(bot)
    shown = [repr(bot), str(bot), f"{bot:}", repr([bot]), json.dumps(bot.describe()), repr(verified), repr(trust)]
    shown += [repr(authority), repr(verified.credential), repr(verified.grant), repr(bot._key), repr(trust.to_jwks())]
    logging.getLogger("test").warning("acting as %s / %r", bot, verified)
    shown.append(caplog.text)
    path = tmp_path / "bot.json"
    bot.save(path)
    for attempt in (
        lambda: bot.save(path),
        lambda: pickle.dumps(bot),
        lambda: trust.verify_credential(bot.grant_chain[0]),
        lambda: trust.verify_credential(bot.credential_token[:-3]),
        lambda: trust.verify_credential(bot.credential_token, now=0),
        lambda: trust.verify_grant(bot.credential_token),
        lambda: trust.verify_grant([bot.grant_chain[0]] * 2),
        lambda: trust.verify_jwt_svid(bot.credential_token, audience="x"),
        lambda: authority.issue(bot.credential_token),
        lambda: Authority.create("other.example").trust.verify_agent(bot),
    ):
        with pytest.raises(Error) as caught:
            attempt()
        error = caught.value
        # The name of an agent is quoted, so a token given as a name shows its start, which is a header.
        assert not any(piece in error.for_model for piece in secrets_of(bot))
        if "agent name" not in error.what:
            shown += [str(error), repr(error), "".join(traceback.format_exception_only(type(error), error))]

    assert not [piece for piece in secrets_of(bot) for text in shown if piece in text]


def test_an_agent_cannot_be_looked_into(bot):
    """There is no `__dict__` for a debugger, a serializer or a logger to dump."""
    with pytest.raises(TypeError):
        vars(bot)
    with pytest.raises(TypeError):
        json.dumps(bot)
    with pytest.raises(AttributeError):
        bot.anything = 1


@pytest.mark.parametrize("attempt", [pickle.dumps, copy.copy, copy.deepcopy, lambda bot: pickle.dumps({"bot": bot}, 2)])
def test_an_agent_is_not_pickled_or_copied(bot, attempt):
    """The error says how it is handed on instead."""
    with pytest.raises(ConfigurationError, match=r"`Agent\.save`"):
        attempt(bot)


def test_what_an_agent_is_cannot_be_assigned(bot):
    """Its facts are read-only."""
    for name in ("id", "name", "owner", "allow", "ask", "expires_at", "credential_token", "grant_chain"):
        with pytest.raises(AttributeError):
            setattr(bot, name, None)


# --- saving and loading -----------------------------------------------------------------------------


def test_a_loaded_agent_is_the_same(bot, saved, trust):
    """Down to the key: it proves itself."""
    agent = Agent.load(saved)

    assert bot.describe() == agent.describe()
    assert trust.verify_agent(bot) == trust.verify_agent(agent)


@needs_posix
def test_a_saved_agent_is_for_its_owner_only(bot, tmp_path):
    """Whatever the umask says; and so are the folders that were made for it."""
    before = os.umask(0)
    try:
        bot.save(tmp_path / "a" / "b" / "bot.json")
    finally:
        os.umask(before)

    assert 0o600 == stat.S_IMODE((tmp_path / "a" / "b" / "bot.json").stat().st_mode)
    assert [0o700] * 2 == [stat.S_IMODE(folder.stat().st_mode) for folder in (tmp_path / "a", tmp_path / "a" / "b")]
    assert ["bot.json"] == [file.name for file in (tmp_path / "a" / "b").iterdir()]


@needs_posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o777])
def test_an_agent_that_others_can_get_at_is_not_loaded(saved, mode):
    """The error says what to do."""
    saved.chmod(mode)

    with pytest.raises(ConfigurationError, match="chmod 600"):
        Agent.load(saved)


def test_a_file_is_replaced_only_when_asked(authority, saved, bot):
    """A saved agent is not lost by accident."""
    before = saved.read_bytes()
    other = authority.issue("other")
    with pytest.raises(ConfigurationError, match="overwrite=True"):
        other.save(saved)
    assert before == saved.read_bytes()

    other.save(saved, overwrite=True)

    assert "other" == Agent.load(saved).name
    assert [saved] == list(saved.parent.iterdir())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b"{",
        b'{"agentid_agent":1,"agentid_agent":1}',
        b'{"agentid_agent":1,"credential":1,"grant":1,"key":1}',
        b'{"agentid_agent":1,"credential":"","grant":[],"key":""}',
        b'{"agentid_agent":1,"credential":"","grant":[1],"key":""}',
        b'{"agentid_agent":1,"credential":"","grant":[""],"key":"\\ud800"}',
        b"[" * 100_000,
    ],
)
def test_a_file_that_holds_no_agent_is_refused(saved, content):
    """With our error."""
    saved.write_bytes(content)

    with pytest.raises(CredentialError):
        Agent.load(saved)


@pytest.mark.parametrize(
    "changes",
    [
        {"agentid_agent": 2},
        {"agentid_agent": None},
        {"agentid_agent": True},
        {"agentid_agent": 1.0},
        {"extra": 1},
        {"key": None},
        {"key": "x"},
        {"key": PrivateKey.generate().to_pem().decode()},
        {"credential": "a.b.c"},
        {"credential": None},
        {"grant": "a.b.c"},
        {"grant": ["a.b.c"]},
        {"grant": []},
    ],
    ids=range(13),
)
def test_a_file_with_a_wrong_part_is_refused(saved, changes):
    """Unknown, missing, or of another agent."""
    rewrite(saved, **changes)

    with pytest.raises(CredentialError):
        Agent.load(saved)


def test_parts_of_two_agents_do_not_load(authority, saved):
    """Neither the credential nor the grant of another."""
    other = authority.issue("other")
    before = saved.read_bytes()
    for changes in ({"credential": other.credential_token}, {"grant": list(other.grant_chain)}):
        saved.write_bytes(before)
        rewrite(saved, **changes)
        with pytest.raises(CredentialError, match="do not belong together"):
            Agent.load(saved)


def test_a_chain_that_is_none_does_not_load(saved, bot):
    """With the error that says where it breaks."""
    rewrite(saved, grant=list(bot.grant_chain) * 2)

    with pytest.raises(CredentialError):
        Agent.load(saved)


def test_loading_does_not_verify(saved, clock, trust):
    """An agent that is over, or was never issued, loads; it is refused where it would act."""
    clock.forward(10**6)
    agent = Agent.load(saved)

    with pytest.raises(CredentialError):
        trust.verify_agent(agent)


@pytest.mark.parametrize("name", ["missing.json", "a\x00b", "x" * 300, ""])
def test_a_file_that_is_not_there_is_refused(tmp_path, name):
    """With our error, whatever the name is."""
    with pytest.raises(ConfigurationError, match=r"could not be read|not an ordinary file"):
        Agent.load(f"{tmp_path}/{name}")


@pytest.mark.parametrize("path", [1, b"bot.json", object(), []])
def test_a_path_is_text_or_a_path(bot, path):
    """Not a file descriptor, above all."""
    with pytest.raises(ConfigurationError, match="path"):
        bot.save(path)
    with pytest.raises(ConfigurationError, match="path"):
        Agent.load(path)
