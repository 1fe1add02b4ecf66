"""The authority: issuing, revoking, and JWT-SVIDs for peers."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
import time
from datetime import timedelta

import pytest

from agentid.errors import ConfigurationError, CredentialError, CredentialExpiredError, CredentialRevokedError
from agentid.identity import Authority
from agentid.permission import Permission
from agentid.signing import Signer


def test_an_agent_has_an_id_an_owner_and_permissions(authority, clock):
    """As it was asked for; text is read as a permission."""
    agent = authority.issue(
        "support-bot",
        allow=["read:crm/customers/*", Permission.parse("read:crm/orders/*")],
        ask=("write:mail/outbox/*",),
        owner="team:support",
        purpose="answers customers",
        on_behalf_of="user:ada",
        ttl=timedelta(minutes=10),
    )

    assert "spiffe://acme.example/agent/support-bot" == str(agent.id)
    assert ("support-bot", "team:support", "answers customers", "user:ada") == (
        agent.name,
        agent.owner,
        agent.purpose,
        agent.on_behalf_of,
    )
    assert ["read:crm/customers/*", "read:crm/orders/*"] == [str(p) for p in agent.allow]
    assert ["write:mail/outbox/*"] == [str(p) for p in agent.ask]
    assert clock.now + 600 == agent.expires_at.timestamp()


def test_an_agent_that_was_given_nothing_may_do_nothing(authority, trust):
    """Empty is not everything."""
    grant = trust.verify_agent(authority.issue("bot")).grant

    assert ((), ()) == (grant.allow, grant.ask)


def test_a_permission_may_be_allowed_and_asked_for(authority, trust):
    """Both stay; that asking wins is for whoever decides."""
    agent = authority.issue("bot", allow=["read:a/*"], ask=["read:a/*"])
    grant = trust.verify_agent(agent).grant

    assert grant.allow == grant.ask == (Permission.parse("read:a/*"),)


def test_two_agents_of_one_name_are_two(authority):
    """Each has its own key, tokens and instance, so that one can be revoked without the other."""
    one, two = authority.issue("bot"), authority.issue("bot")

    assert one.id == two.id
    assert not set(one.own_ids) & set(two.own_ids)
    assert one.describe()["key_id"] != two.describe()["key_id"]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "a\n", "é", "*", "a" * 129, None, 1])
def test_a_name_that_is_none_is_refused(authority, name):
    """With the characters that may be used."""
    with pytest.raises(ConfigurationError, match="letters, digits"):
        authority.issue(name)


@pytest.mark.parametrize("where", ["allow", "ask"])
@pytest.mark.parametrize(
    "given", ["read:crm/*", Permission.parse("read:crm/*"), b"read:crm/*", 1, None, ["fly:x"], [1], [None]]
)
def test_permissions_are_a_list_of_permissions(authority, where, given):
    """A lone text is not taken apart into its letters."""
    with pytest.raises(ConfigurationError):
        authority.issue("bot", **{where: given})


@pytest.mark.parametrize(
    "ttl",
    [timedelta(0), timedelta(seconds=-1), timedelta(hours=24, microseconds=1), timedelta.max, 60, 60.0, None, "1h"],
)
def test_a_lifetime_is_more_than_nothing_and_at_most_a_day(authority, ttl):
    """As a `timedelta`, so that nobody takes minutes for seconds."""
    with pytest.raises(ConfigurationError, match="lifetime"):
        authority.issue("bot", ttl=ttl)


@pytest.mark.parametrize(
    ("now", "ttl", "ends"),
    [(1000.0, 60, 1060), (1000.9, 60, 1060), (1000.9, 60.5, 1061), (1000.9, 86400, 87400), (1000.5, 0.001, 1001)],
)
def test_nothing_lives_longer_than_it_was_given(authority, trust, clock, now, ttl, ends):
    """Rounded down to whole seconds, of which one is the least."""
    clock.now = now
    agent = authority.issue("bot", ttl=timedelta(seconds=ttl))

    assert ends == agent.expires_at.timestamp() == trust.verify_agent(agent).expires_at


def test_an_agent_expires(authority, trust, clock):
    """By the injected clock."""
    agent = authority.issue("bot", ttl=timedelta(seconds=10))
    clock.forward(9.999)
    trust.verify_agent(agent)
    clock.forward(0.001)

    with pytest.raises(CredentialExpiredError):
        trust.verify_agent(agent)


@pytest.mark.parametrize("where", ["owner", "purpose", "on_behalf_of"])
@pytest.mark.parametrize("text", ["a\nb", "\x00", "\x1b[1m", "\u202e", "\ud800", "a" * 513, 1, b"x", []])
def test_a_text_is_one_printable_line(authority, where, text):
    """It is shown to people who approve, and in logs."""
    with pytest.raises(ConfigurationError, match=f"`{where}`"):
        authority.issue("bot", **{where: text})


def test_a_person_has_a_name(authority):
    """Nobody is `None`, not an empty text."""
    with pytest.raises(ConfigurationError, match="on_behalf_of"):
        authority.issue("bot", on_behalf_of="")


def test_the_longest_texts_fit(authority, trust):
    """What is issued is always accepted."""
    text = "ä" * 512
    agent = authority.issue("b" * 128, owner=text, purpose=text, on_behalf_of=text)

    assert (text, text) == (trust.verify_agent(agent).credential.owner, agent.on_behalf_of)


# --- revoking ---------------------------------------------------------------------------------------


def test_a_revoked_agent_is_refused_whole(authority, trust, bot):
    """Its credential, its grant and its SVIDs, each by itself."""
    svid = authority.jwt_svid(bot, audience="me")
    authority.revoke(bot)

    for attempt in (
        lambda: trust.verify_agent(bot),
        lambda: trust.verify_credential(bot.credential_token),
        lambda: trust.verify_grant(bot.grant_chain),
        lambda: trust.verify_jwt_svid(svid, audience="me"),
        lambda: authority.jwt_svid(bot, audience="me"),
    ):
        with pytest.raises(CredentialRevokedError):
            attempt()


def test_revoking_one_agent_leaves_the_others(authority, trust, bot):
    """Also those of the same name."""
    other = authority.issue("support-bot")
    authority.revoke(bot)

    assert trust.verify_agent(other)


@pytest.mark.parametrize("junk", [None, 1, b"support-bot", object()])
def test_only_what_has_an_id_or_a_name_is_revoked(authority, junk):
    """What does nothing must not look like a revocation."""
    with pytest.raises(ConfigurationError, match="Nothing was revoked"):
        authority.revoke(junk)


def test_an_agent_of_another_trust_domain_is_not_ours_to_revoke(authority):
    """It would have no effect where it counts."""
    with pytest.raises(ConfigurationError, match="Nothing was revoked"):
        authority.revoke(Authority.create("other.example").issue("bot"))


# --- JWT-SVID ---------------------------------------------------------------------------------------


def test_an_svid_is_for_one_audience_and_five_minutes(authority, trust, bot, clock):
    """And no longer than asked."""
    token = authority.jwt_svid(bot, audience="spiffe://acme.example/agent/mailer")
    credential = trust.verify_jwt_svid(token, audience="spiffe://acme.example/agent/mailer")

    assert (bot.id, clock.now + 300) == (credential.id, credential.expires_at)
    short = authority.jwt_svid(bot, audience="x", ttl=timedelta(seconds=10))
    assert clock.now + 10 == trust.verify_jwt_svid(short, audience="x").expires_at


def test_an_svid_ends_with_its_agent(authority, trust, clock):
    """At the latest."""
    agent = authority.issue("bot", ttl=timedelta(seconds=100))

    assert clock.now + 100 == trust.verify_jwt_svid(authority.jwt_svid(agent, audience="x"), audience="x").expires_at


@pytest.mark.parametrize("audience", ["", "*", "a\nb", "a" * 513, None, 1, ["x"], b"x"])
def test_an_svid_is_for_somebody(authority, bot, audience):
    """Everybody is nobody."""
    with pytest.raises(ConfigurationError, match="audience"):
        authority.jwt_svid(bot, audience=audience)


@pytest.mark.parametrize("ttl", [timedelta(minutes=5, microseconds=1), timedelta(0), 60])
def test_an_svid_lives_five_minutes_at_most(authority, bot, ttl):
    """Whoever has it can pass for the agent."""
    with pytest.raises(ConfigurationError, match="lifetime"):
        authority.jwt_svid(bot, audience="x", ttl=ttl)


def test_an_svid_is_given_to_good_agents_only(authority, bot, clock):
    """Not to one that is over, or of another authority."""
    with pytest.raises(CredentialError):
        authority.jwt_svid(Authority.create("acme.example", clock=clock).issue("bot"), audience="x")
    clock.forward(3600)
    with pytest.raises(CredentialExpiredError):
        authority.jwt_svid(bot, audience="x")


# --- the authority itself ---------------------------------------------------------------------------


def test_each_use_has_a_key_of_its_own(authority):
    """The audit key signs no token, and its algorithm differs."""
    signer = authority.audit_signer()
    published = {key.use: key for key in authority.trust.keys}

    assert isinstance(signer, Signer)
    assert ("Ed25519", signer.kid) == (published["agentid-audit"].alg, published["agentid-audit"].kid)
    assert 5 == len({key.thumbprint for key in authority.trust.keys})
    assert published["agentid-audit"].verify(b"checkpoint", signer.sign(b"checkpoint"))


@pytest.mark.parametrize("name", ["", "a/b", "a b", "acme.example\n", "spiffe://acme.example", "é", "a" * 256, None, 1])
def test_a_trust_domain_that_is_none_is_refused(tmp_path, name):
    """Before anything is made."""
    with pytest.raises(ConfigurationError, match="trust domain"):
        Authority.create(name)
    with pytest.raises(ConfigurationError, match="trust domain"):
        Authority.open(tmp_path / "authority.pem", trust_domain=name)
    assert [] == list(tmp_path.iterdir())


def test_a_trust_domain_has_no_case():
    """As in SPIFFE."""
    assert "acme.example" == Authority.create("ACME.Example").trust_domain


def test_an_opened_authority_is_the_same_again(tmp_path, clock):
    """Its agents are good after a restart."""
    path = tmp_path / "keys" / "authority.pem"
    agent = Authority.open(path, trust_domain="acme.example", clock=clock).issue("bot")
    again = Authority.open(str(path), trust_domain="acme.example", clock=clock)

    assert agent.id == again.trust.verify_agent(agent).credential.id


@pytest.mark.parametrize("attempt", [pickle.dumps, copy.copy, copy.deepcopy])
def test_an_authority_is_not_pickled_or_copied(authority, attempt):
    """It holds the root keys."""
    with pytest.raises(ConfigurationError, match="private key"):
        attempt(authority)


def test_an_authority_shows_its_name_only(authority):
    """And has no `__dict__` to look into."""
    assert "<Authority acme.example>" == repr(authority) == str(authority)
    with pytest.raises(TypeError):
        vars(authority)
    with pytest.raises(TypeError):
        json.dumps(authority)


def test_an_authority_in_memory_uses_the_real_clock_by_default():
    """Without one being passed."""
    authority = Authority.create("acme.example")

    assert abs(authority.issue("bot").expires_at.timestamp() - time.time() - 3600) < 60


def test_importing_the_package_loads_nothing():
    """PyJWT, cryptography and pydantic come with the first name that needs them."""
    code = (
        "import sys, agentid.identity; names = agentid.identity.__all__; dir(agentid.identity);"
        "from agentid.identity import AgentId; AgentId.parse('spiffe://a/b');"
        "assert not {'jwt', 'cryptography', 'pydantic'} & sys.modules.keys(), sorted(sys.modules);"
        "from agentid.identity import Authority; assert 'pydantic' not in sys.modules;"
        "[getattr(agentid.identity, name) for name in names]"
    )

    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ})


def test_the_package_lists_its_names():
    """Before they are loaded, too."""
    import agentid.identity

    assert set(agentid.identity.__all__) <= set(dir(agentid.identity))


def test_an_unknown_name_of_the_package_is_an_attribute_error():
    """As with any module."""
    import agentid.identity

    with pytest.raises(AttributeError, match="no_such_name"):
        agentid.identity.no_such_name  # noqa: B018
