"""
Another implementation of SPIFFE accepts what we issue, and we what it accepts.

`spiffe` looks at the system's clock, so these tests do, too.
"""

from __future__ import annotations

import json
import time
from datetime import timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from agentid.errors import CredentialError
from agentid.identity import Authority, TrustAnchor

spiffe = pytest.importorskip("spiffe", reason="py-spiffe is not installed: it needs a newer cryptography than 43")

AUDIENCE = "spiffe://acme.example/agent/mailer"


@pytest.fixture
def authority():
    return Authority.create("acme.example")


@pytest.fixture
def bot(authority):
    return authority.issue("support-bot", owner="team:support")


def bundle_of(authority, trust_domain="acme.example"):
    """Our published keys, as py-spiffe reads them."""
    published = json.dumps(authority.trust.to_jwks()).encode()
    return spiffe.JwtBundle.parse(spiffe.TrustDomain(trust_domain), published)


def accepts(token, bundle, audience=AUDIENCE):
    """The id that py-spiffe reads; None where it refuses."""
    from spiffe.bundle.jwt_bundle.errors import JwtBundleError
    from spiffe.svid.errors import JwtSvidError

    try:
        svid = spiffe.JwtSvid.parse_and_validate(token, bundle, {audience})
    except (JwtSvidError, JwtBundleError):
        return None
    return str(svid.spiffe_id)


# --- ours -------------------------------------------------------------------------------------------


def test_py_spiffe_accepts_our_svid_with_our_bundle(authority, bot):
    token = authority.jwt_svid(bot, audience=AUDIENCE)

    assert str(bot.id) == accepts(token, bundle_of(authority))


def test_it_accepts_one_of_before_and_one_of_after_a_rotation(authority, bot):
    old = authority.jwt_svid(bot, audience=AUDIENCE)
    authority.rotate()
    new = authority.jwt_svid(bot, audience=AUDIENCE)

    assert [str(bot.id)] * 2 == [accepts(token, bundle_of(authority)) for token in (old, new)]


def test_it_refuses_one_of_before_an_emergency(authority, bot):
    token = authority.jwt_svid(bot, audience=AUDIENCE)
    authority.rotate(overlap=timedelta(0))

    assert None is accepts(token, bundle_of(authority))


def test_it_refuses_our_svid_for_another_audience(authority, bot):
    assert None is accepts(authority.jwt_svid(bot, audience="other"), bundle_of(authority))


def test_it_refuses_our_svid_once_it_has_expired():
    """It was issued ten minutes ago."""
    past = Authority.create("acme.example", clock=lambda: time.time() - 600)
    token = past.jwt_svid(past.issue("bot"), audience=AUDIENCE)

    assert None is accepts(token, bundle_of(past))


def test_it_refuses_our_svid_for_another_trust_domain(authority, bot):
    """With the very same keys."""
    token = authority.jwt_svid(bot, audience=AUDIENCE)

    assert None is accepts(token, bundle_of(authority, "other.example"))


def test_it_refuses_our_svid_with_the_bundle_of_another_authority(authority, bot):
    token = authority.jwt_svid(bot, audience=AUDIENCE)

    assert None is accepts(token, bundle_of(Authority.create("acme.example")))


def test_it_takes_no_credential_and_no_grant_for_an_svid(authority, bot):
    for token in (bot.credential_token, bot.grant_chain[0]):
        assert None is accepts(token, bundle_of(authority))


# --- theirs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("audience", [AUDIENCE, [AUDIENCE]])
@pytest.mark.parametrize("extra", [{}, {"iat": int(time.time()), "iss": "https://spire.example"}])
def test_we_accept_what_py_spiffe_accepts_of_another_issuer(audience, extra):
    """The same token, the same bundle."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    bundle = {"keys": [{**public, "use": "jwt-svid", "kid": "one"}], "spiffe_sequence": 3, "spiffe_refresh_hint": 600}
    claims = {"sub": "spiffe://spire.example/web", "aud": audience, "exp": int(time.time()) + 300, **extra}
    token = jwt.encode(claims, key, algorithm="ES256", headers={"kid": "one"})
    theirs = spiffe.JwtBundle.parse(spiffe.TrustDomain("spire.example"), json.dumps(bundle).encode())
    ours = TrustAnchor.from_jwks(bundle, trust_domain="spire.example")

    assert "spiffe://spire.example/web" == accepts(token, theirs)
    assert "spiffe://spire.example/web" == str(ours.verify_jwt_svid(token, audience=AUDIENCE).id)
    with pytest.raises(CredentialError):
        ours.verify_jwt_svid(token, audience="other")
    with pytest.raises(CredentialError):
        TrustAnchor.from_jwks(bundle, trust_domain="other.example").verify_jwt_svid(token, audience=AUDIENCE)
