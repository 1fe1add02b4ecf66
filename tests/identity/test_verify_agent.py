"""Verifying an agent: credential, grant and key belong together, and the key is really held."""

from __future__ import annotations

import gc
import threading

import pytest

from agentid.errors import CredentialError, CredentialExpiredError, CredentialRevokedError
from agentid.identity import Agent
from agentid.signing import PrivateKey


def rebuilt(agent, *, key=None, token=None, chain=None):
    """An agent put together from parts, as a thief would."""
    return Agent(
        key or agent._key,
        credential=agent._credential,
        token=token or agent.credential_token,
        grant=agent._grant,
        chain=chain or agent.grant_chain,
    )


class Signatures(PrivateKey):
    """A key that keeps what it was asked to sign."""

    __slots__ = ("answer", "asked")

    def sign(self, data):
        self.asked.append(data)
        return self.answer(data)


def test_an_agent_is_verified_whole(trust, bot, clock):
    """Who it is, what it may do, and until when."""
    verified = trust.verify_agent(bot)

    assert (bot.id, bot.allow, bot.ask) == (verified.credential.id, verified.grant.allow, verified.grant.ask)
    assert clock.now + 3600 == verified.expires_at
    assert trust.generation == verified.generation


def test_it_ends_with_the_earlier_of_credential_and_grant(authority, trust, make_forge, bot, holder):
    """Whichever that is."""
    credential, grant = make_forge("credential"), make_forge("grant")
    for ends in ((100, 200), (200, 100)):
        agent = rebuilt(
            bot,
            key=holder,
            token=credential.token(payload=credential.claims(exp=credential.now + ends[0])),
            chain=[grant.token(payload=grant.claims(exp=grant.now + ends[1]))],
        )
        assert grant.now + 100 == trust.verify_agent(agent).expires_at
        with pytest.raises(CredentialExpiredError):
            trust.verify_agent(agent, now=grant.now + 100)


def test_the_grant_of_another_agent_is_refused(authority, trust, bot):
    """A weak agent does not become a strong one by carrying its grant."""
    strong = authority.issue("admin", allow=["delete:crm/**"])

    with pytest.raises(CredentialError, match="issued to another agent"):
        trust.verify_agent(rebuilt(bot, chain=strong.grant_chain))
    with pytest.raises(CredentialError, match="issued to another agent"):
        trust.verify_agent(rebuilt(bot, token=strong.credential_token))


def test_stolen_tokens_are_refused_without_their_key(trust, bot):
    """Both are real and belong together; the thief's key does not."""
    trust.verify_agent(bot)

    with pytest.raises(CredentialError, match="does not hold the key"):
        trust.verify_agent(rebuilt(bot, key=PrivateKey.generate()))


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: b"",
        lambda _: bytes(64),
        lambda _: None,
        lambda _: "text",
        lambda data: data,
        lambda _: 1 / 0,
        lambda _: (_ for _ in ()).throw(OSError("no connection to the key")),
    ],
)
def test_whatever_a_signer_answers_wrongly_is_no_proof(trust, bot, answer):
    """Also when it raises."""
    key = Signatures.generate()
    key.asked, key.answer = [], answer

    with pytest.raises(CredentialError, match="does not hold the key"):
        trust.verify_agent(rebuilt(bot, key=key))


def test_each_challenge_is_new_and_can_be_no_token(trust, bot):
    """A signature given to one guard is of no use to another, and none is over what a token would sign."""
    key = Signatures(bot._key._key)
    key.asked, key.answer = [], bot._key.sign
    for _ in range(5):
        trust.verify_agent(rebuilt(bot, key=key))

    assert 5 == len(set(key.asked))
    assert all(data.startswith(b"urn:x-agentid:possession") and len(data) >= 24 + 32 for data in key.asked)


def test_an_old_proof_is_not_accepted_again(trust, bot):
    """Somebody who listened has a signature over another challenge."""
    overheard = bot.sign(b"urn:x-agentid:possession" + bytes(32))
    key = Signatures.generate()
    key.asked, key.answer = [], lambda _: overheard

    with pytest.raises(CredentialError, match="does not hold the key"):
        trust.verify_agent(rebuilt(bot, key=key))


def test_an_agent_proves_its_key_once(trust, bot):
    """Not at each call; another object with the same tokens proves it again."""
    key = Signatures(bot._key._key)
    key.asked, key.answer = [], bot._key.sign
    agent = rebuilt(bot, key=key)
    for _ in range(3):
        trust.verify_agent(agent)

    assert 1 == len(key.asked)
    trust.verify_agent(rebuilt(bot, key=key))
    assert 2 == len(key.asked)


def test_a_proof_is_for_one_key(authority, trust, bot):
    """An object whose tokens are exchanged afterwards has proven nothing about the new ones."""
    other = authority.issue("other", allow=["delete:crm/**"])
    trust.verify_agent(bot)
    bot._token, bot._chain = other.credential_token, other.grant_chain

    with pytest.raises(CredentialError, match="does not hold the key"):
        trust.verify_agent(bot)


def test_nothing_is_kept_of_an_agent_that_is_gone(authority, trust):
    """Memory stays flat over many agents."""
    for number in range(20):
        trust.verify_agent(authority.issue(f"bot-{number}"))
    gc.collect()

    assert 0 == len(trust._possession)


@pytest.mark.parametrize("part", ["credential", "grant"])
def test_a_part_that_was_revoked_is_refused(trust, bot, part):
    """Also after it was verified."""
    verified = trust.verify_agent(bot)
    trust.revoke({"credential": verified.credential, "grant": verified.grant}[part].token_id)

    with pytest.raises(CredentialRevokedError):
        trust.verify_agent(bot)


def test_a_revocation_in_between_shows_in_the_generation(trust, bot, monkeypatch):
    """What is verified carries the number from before, so that nobody takes it for newer than it is."""

    class Racing(type(trust)):
        __slots__ = ()

        def _unless_revoked(self, found, kind):
            value = super()._unless_revoked(found, kind)
            self.revoke(found.value.token_id)
            return value

    racing = object.__new__(Racing)
    for name in set(type(trust).__slots__) - {"__weakref__"}:
        setattr(racing, name, getattr(trust, name))
    verified = racing.verify_agent(bot)

    assert verified.generation != racing.generation


@pytest.mark.parametrize(
    "junk", [None, 1, "support-bot", object(), {}, [], type("Agent", (), {"credential_token": "x"})()]
)
def test_what_is_no_agent_is_refused(trust, junk):
    """A name is not an identity."""
    with pytest.raises(CredentialError, match="not an `Agent`"):
        trust.verify_agent(junk)


def test_threads_may_verify_and_revoke_at_once(authority, trust):
    """None sees anything but a verified agent or a revoked one."""
    agents = [authority.issue(f"bot-{n}", allow=["read:a/*"]) for n in range(8)]
    unexpected = []

    def work(mine):
        for _ in range(50):
            for agent in agents:
                try:
                    trust.verify_agent(agent)
                except CredentialRevokedError:
                    pass
                except BaseException as error:
                    unexpected.append(error)
        authority.revoke(agents[mine])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [] == unexpected
    assert 8 == trust.generation
    for agent in agents:
        with pytest.raises(CredentialRevokedError):
            trust.verify_agent(agent)
