"""Credentials: what a verified one says, and what claims it may not have."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError

import pytest

from agentid.identity import AgentId
from agentid.identity.token import CREDENTIAL, JWT_SVID, UNREAD, read_unverified


@pytest.fixture(params=["credential", "jwt-svid"])
def forge(request, make_forge):
    """A forge for the two kinds that say who."""
    return make_forge(request.param)


def test_a_verified_credential_says_who(make_forge, holder):
    """All that was signed, as values."""
    forge = make_forge("credential")
    credential = forge.verify(
        forge.token(payload=forge.claims(agent__owner="team:support", agent__purpose="answers customers"))
    )

    assert AgentId.parse("spiffe://acme.example/agent/support-bot") == credential.id
    assert ("support-bot", "team:support", "answers customers") == (
        credential.name,
        credential.owner,
        credential.purpose,
    )
    assert ("token-1", "instance-1", "wit") == (credential.token_id, credential.instance, credential.type)
    assert (forge.now, forge.now + 240) == (credential.issued_at, credential.expires_at)
    assert (holder.kid, holder.public_jwk) == (credential.key_id, credential.jwk)


def test_a_verified_svid_names_the_key_and_does_not_have_it(make_forge, holder):
    """It is a bearer token: nobody proves the key."""
    credential = make_forge("jwt-svid").verify(make_forge("jwt-svid").token())

    assert ("jwt-svid", holder.kid, None) == (credential.type, credential.key_id, credential.jwk)


def test_a_credential_does_not_change(make_forge):
    """What was verified stays what was verified."""
    credential = make_forge("credential").verify(make_forge("credential").token())

    with pytest.raises(FrozenInstanceError):
        credential.owner = "somebody else"


@pytest.mark.parametrize(
    "extra",
    [
        {"scope": "read"},
        {"scp": ["read"]},
        {"authorization_details": []},
        {"permissions": ["read"]},
        {"roles": ["admin"]},
        {"act": {"sub": "x"}},
        {"may_act": {"sub": "x"}},
        {"urn:x-agentid:obo": {"sub": "user:ada"}},
        {"email": "ada@acme.example"},
        {"anything": 1},
    ],
    ids=lambda extra: next(iter(extra)),
)
def test_a_credential_says_who_and_nothing_more(forge, extra):
    """No permission and no person; and no claim that we would have to obey and do not know."""
    assert "it has a member that it must not have" in forge.refusal(forge.token(payload=forge.claims(**extra)))


@pytest.mark.parametrize(
    "changes",
    [
        {"agent__ver": None},
        {"agent__ver": 2},
        {"agent__ver": True},
        {"agent__ver": 1.0},
        {"agent__ver": "1"},
        {"agent__name": None},
        {"agent__name": "other-bot"},
        {"agent__name": ""},
        {"agent__name": 1},
        {"agent__name": "a" * 513, "sub": "spiffe://acme.example/agent/" + "a" * 513},
        {"agent__instance": None},
        {"agent__instance": ""},
        {"agent__instance": "a b"},
        {"agent__instance": "a\n"},
        {"agent__instance": "a" * 129},
        {"agent__owner": 1},
        {"agent__owner": "a\nb"},
        {"agent__owner": "\x1b[31mred"},
        {"agent__owner": "\u202eevil"},
        {"agent__owner": "a" * 513},
        {"agent__purpose": []},
        {"agent__purpose": "a" * 513},
        {"agent__scope": "read"},
        {"agent__unknown": 1},
        {"urn:x-agentid:agent": []},
        {"urn:x-agentid:agent": "support-bot"},
        {"urn:x-agentid:agent": {}},
    ],
)
def test_the_agent_claim_is_read_strictly(forge, changes):
    """Nothing is missing, unknown or converted, and no text can break a line."""
    assert "CredentialError" in forge.refusal(forge.token(payload=forge.claims(**changes)))


@pytest.mark.parametrize("jti", ["", "a b", "a\n", "é", "a" * 129, 1, True, [], {}])
def test_a_token_id_is_plain(forge, jti):
    """It stands in logs and lists."""
    assert "`jti` is missing or wrong" in forge.refusal(forge.token(payload=forge.claims(jti=jti)))


def test_what_is_issued_has_the_claims_of_the_profile(authority, bot):
    """Exactly these, for a WIT and for a JWT-SVID."""
    wit = read_unverified(bot.credential_token, CREDENTIAL, UNREAD)
    svid = read_unverified(authority.jwt_svid(bot, audience="spiffe://acme.example/agent/mailer"), JWT_SVID, UNREAD)

    assert {"iss", "sub", "iat", "exp", "jti", "cnf", "urn:x-agentid:agent"} == wit.keys()
    assert {"kty", "crv", "alg", "x", "y"} == wit["cnf"]["jwk"].keys()
    assert {"ver", "name", "instance", "owner", "purpose"} == wit["urn:x-agentid:agent"].keys()
    assert wit.keys() | {"aud"} == svid.keys()
    assert {"jkt"} == svid["cnf"].keys()
    assert "spiffe://acme.example" == wit["iss"] == svid["iss"]
    assert wit["jti"] != svid["jti"]


def test_what_is_issued_has_a_header_of_three_members(authority, bot):
    """As SPIFFE demands for JWT-SVIDs, and we for all."""
    import base64

    for token, typ in [
        (bot.credential_token, "wit+jwt"),
        (bot.grant_chain[0], "agentid-del+jwt"),
        (authority.jwt_svid(bot, audience="x"), "JWT"),
    ]:
        header = token.split(".")[0]
        members = json.loads(base64.urlsafe_b64decode(header + "=="))
        assert {"alg", "kid", "typ"} == members.keys()
        assert ("ES256", typ) == (members["alg"], members["typ"])
