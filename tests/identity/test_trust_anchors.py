"""Several trust domains side by side: each agent is verified by the keys of its own, and by no other."""

from __future__ import annotations

import json

import pytest

from agentid import TrustAnchors
from agentid.errors import ConfigurationError, CredentialError, CredentialRevokedError
from agentid.identity import Agent, Authority, TrustAnchor
from agentid.identity.keys.key_ring import KeyRing
from agentid.signing import PublicKey

from .conftest import segment  # isort: skip


@pytest.fixture
def ours(clock):
    return Authority.create("ours.example", clock=clock)


@pytest.fixture
def theirs(clock):
    return Authority.create("theirs.example", clock=clock)


@pytest.fixture
def both(ours, theirs):
    return TrustAnchors([ours.trust, theirs.trust])


def forged(payload, *, key, typ, kid=None):
    """A token of that payload, signed by *key*."""
    head = segment({"alg": "ES256", "kid": kid or key.kid, "typ": typ})
    body = segment(payload)
    return f"{head}.{body}.{segment(key.sign(f'{head}.{body}'.encode()))}"


def payload_of(token):
    import base64

    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def signer(authority, use):
    return authority._signers()[use]


def refusal(attempt):
    with pytest.raises(CredentialError) as caught:
        attempt()
    return str(caught.value)


# --- side by side -----------------------------------------------------------------------------------


def test_agents_of_each_trust_domain_are_verified_by_its_own_anchor(ours, theirs, both):
    for authority in (ours, theirs):
        agent = authority.issue("bot", allow=["read:a"])
        verified = both.verify_agent(agent)
        assert (agent.id, authority.trust) == (verified.credential.id, verified.anchor)


def test_an_agent_of_a_trust_domain_that_nobody_is_trusted_for_is_refused(both, clock):
    stranger = Authority.create("stranger.example", clock=clock)

    assert "nobody is trusted for its trust domain `stranger.example`" in refusal(
        lambda: both.verify_agent(stranger.issue("bot"))
    )


def test_a_stranger_with_a_known_name_is_refused(both, clock):
    """The name chooses the keys; the keys decide."""
    stranger = Authority.create("theirs.example", clock=clock)

    assert "no key of its issuer" in refusal(lambda: both.verify_agent(stranger.issue("bot")))


@pytest.mark.parametrize("junk", [None, "bot", object()])
def test_what_is_no_agent_is_refused(both, junk):
    assert "not an `Agent`" in refusal(lambda: both.verify_agent(junk))


def test_revoking_in_one_trust_domain_changes_nothing_in_another(ours, theirs, both):
    mine, other = ours.issue("bot"), theirs.issue("bot")
    generations = [anchor.generation for anchor in both]
    ours.revoke(mine)
    theirs.trust.look()

    assert [generations[0] + 1, generations[1]] == [anchor.generation for anchor in both]
    assert both.verify_agent(other)
    with pytest.raises(CredentialRevokedError):
        both.verify_agent(mine)


def test_an_id_that_is_revoked_in_one_trust_domain_is_good_in_another(ours, theirs, both):
    """Whoever may revoke there, may not here."""
    agent = theirs.issue("bot")
    ours.trust.revoke(*agent.own_ids)

    assert both.verify_agent(agent)


# --- never merged -----------------------------------------------------------------------------------


@pytest.mark.parametrize("same", ["kid", "key"])
def test_a_key_of_one_trust_domain_verifies_nothing_of_another(ours, clock, same):
    """Whether the other has a key of the same id, or even the very same keys."""
    if same == "key":
        twin = Authority("theirs.example", dict(ours._signers()), clock=clock)
        anchor = twin.trust
    else:
        # Other keys, under the ids of ours.
        others = KeyRing.generate().signers
        anchor = TrustAnchor(
            "theirs.example",
            [
                PublicKey.from_jwk({**key.public_jwk, "kid": signer(ours, use).kid}, use=use)
                for use, key in others.items()
            ],
            clock=clock,
        )
    both = TrustAnchors([ours.trust, anchor])
    agent = ours.issue("bot", allow=["read:a"])
    svid = ours.jwt_svid(agent, audience="me")
    if same == "key":
        assert both.verify_agent(twin.issue("bot"))

    assert both.verify_agent(agent).anchor is ours.trust
    wanted = "trust domain" if same == "key" else "signature does not verify"
    assert wanted in refusal(lambda: anchor.verify_agent(agent))
    assert wanted in refusal(lambda: anchor.verify_credential(agent.credential_token))
    assert wanted in refusal(lambda: anchor.verify_grant(agent.grant_chain))
    assert wanted in refusal(lambda: anchor.verify_jwt_svid(svid, audience="me"))


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": "spiffe://theirs.example/agent/bot", "iss": "spiffe://theirs.example"},
        {"sub": "spiffe://theirs.example/agent/bot"},
        {"iss": "spiffe://theirs.example"},
    ],
    ids=["all of it", "its subject", "its issuer"],
)
@pytest.mark.parametrize("kid", ["its own", "theirs"])
@pytest.mark.parametrize("kind", ["credential", "jwt-svid"])
def test_a_token_that_one_trust_domain_signed_for_another_is_refused_by_both(ours, theirs, changes, kid, kind):
    """With the key of ours, in the name of theirs."""
    use, typ = {"credential": ("wit-svid", "wit+jwt"), "jwt-svid": ("jwt-svid", "JWT")}[kind]
    agent = ours.issue("bot")
    original = agent.credential_token if kind == "credential" else ours.jwt_svid(agent, audience="me")
    key = signer(ours, use)
    token = forged(
        payload_of(original) | changes, key=key, typ=typ, kid=signer(theirs, use).kid if kid == "theirs" else None
    )
    for authority in (ours, theirs):
        refusal(
            lambda trust=authority.trust: (
                trust.verify_credential(token) if kind == "credential" else trust.verify_jwt_svid(token, audience="me")
            )
        )


def test_a_grant_that_one_trust_domain_signed_for_another_is_refused_by_both(ours, theirs):
    payload = payload_of(ours.issue("bot").grant_chain[0]) | {"iss": "urn:x-agentid:authority:theirs.example"}
    token = forged(payload, key=signer(ours, "agentid-grant"), typ="agentid-del+jwt")
    for authority in (ours, theirs):
        refusal(lambda trust=authority.trust: trust.verify_grant(token))


def test_an_agent_of_two_trust_domains_is_refused(ours, theirs, both):
    """With the credential of one and the grant of the other, for one key."""
    mine, other = ours.issue("bot", allow=["read:a"]), theirs.issue("bot", allow=["read:**"])
    mixed = Agent(
        mine._key,
        credential=mine._credential,
        token=mine.credential_token,
        grant=other._grant,
        chain=other.grant_chain,
    )
    refusal(lambda: both.verify_agent(mixed))
    # Also where theirs grants to the key of our agent.
    payload = payload_of(other.grant_chain[0]) | {"cnf": payload_of(mine.grant_chain[0])["cnf"]}
    granted = forged(payload, key=signer(theirs, "agentid-grant"), typ="agentid-del+jwt")
    mixed = Agent(
        mine._key, credential=mine._credential, token=mine.credential_token, grant=other._grant, chain=[granted]
    )
    assert theirs.trust.verify_grant(granted)
    assert "no key of its issuer" in refusal(lambda: both.verify_agent(mixed))


def test_an_agent_that_lies_about_its_trust_domain_is_refused(ours, theirs, both):
    """What it says chooses who verifies it, and no more."""
    from dataclasses import replace

    mine = ours.issue("bot")
    liar = Agent(
        mine._key,
        credential=replace(mine._credential, id=theirs.issue("bot").id),
        token=mine.credential_token,
        grant=mine._grant,
        chain=mine.grant_chain,
    )

    assert "no key of its issuer" in refusal(lambda: both.verify_agent(liar))


# --- making one -------------------------------------------------------------------------------------


def test_two_anchors_of_one_trust_domain_are_a_mistake(ours, clock):
    again = TrustAnchor.from_jwks(ours.trust.to_jwks(), trust_domain="OURS.example", clock=clock)
    for second in (ours.trust, again, Authority.create("ours.example").trust):
        with pytest.raises(ConfigurationError, match=r"two are of `ours\.example`"):
            TrustAnchors([ours.trust, second])


@pytest.mark.parametrize("junk", [[], (), [None], None, 1, "ours.example", {"keys": []}])
def test_what_is_no_list_of_anchors_is_a_mistake(junk):
    with pytest.raises(ConfigurationError, match="trust anchors were refused"):
        TrustAnchors(junk)


def test_one_anchor_alone_has_to_be_in_a_list(ours):
    with pytest.raises(ConfigurationError, match="Pass a list"):
        TrustAnchors(ours)


def test_they_are_looked_up_by_their_trust_domain(ours, theirs, both):
    assert [ours.trust, theirs.trust] == list(both)
    assert 2 == len(both)
    assert theirs.trust is both.of("theirs.example")
    assert "<TrustAnchors ours.example, theirs.example>" == repr(both)
    assert "nobody is trusted" in refusal(lambda: both.of("a\nb"))


def test_one_is_refreshed_without_the_other(ours, theirs, clock):
    both = TrustAnchors(
        TrustAnchor.from_jwks(a.trust.to_jwks(), trust_domain=a.trust_domain, clock=clock) for a in (ours, theirs)
    )
    theirs.rotate()
    new = theirs.issue("bot")
    refusal(lambda: both.verify_agent(new))
    refusal(lambda: both.of("ours.example").refresh(theirs.trust.to_jwks()))
    both.of("theirs.example").refresh(theirs.trust.to_jwks())

    assert both.verify_agent(new)
    assert both.verify_agent(ours.issue("bot"))


def test_an_audit_log_is_verified_by_one_of_them(both, ours, tmp_path):
    """It is of one trust domain; whichever key fits would merge them."""
    from agentid import AuditLog, verify_audit_log

    AuditLog(tmp_path, signer=ours.audit_signer()).close()
    with pytest.raises(ConfigurationError, match="no key for audit logs"):
        verify_audit_log(tmp_path, both)
