"""
What PyJWT accepts and we do not: the table of `reference/standards.md` §2.5, a test for each row.

Each test shows as well that PyJWT takes the token, so that it tests something. Where a newer PyJWT has
become strict, that half is skipped.
"""

from __future__ import annotations

import json
import warnings

import jwt
import pytest

from agentid.errors import CredentialError
from agentid.signing import PrivateKey, PublicKey


@pytest.fixture
def pyjwt(forge):
    """Decode as PyJWT does when it is asked as its documentation shows."""
    key = jwt.PyJWK.from_dict(forge.key.public_jwk)

    def decode(token):
        options = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}
        audience = forge.claims().get("aud")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return jwt.decode(token, key, algorithms=["ES256"], audience=audience, options=options)
            except jwt.InvalidTokenError:
                pytest.skip("this PyJWT refuses it, too")

    return decode


def test_any_type(forge, pyjwt):
    """PyJWT does not look at `typ`."""
    token = forge.token(forge.header(typ="at+jwt"))

    assert "`typ` is not" in forge.refusal(token)
    assert pyjwt(token)


def test_no_expiry(forge, pyjwt):
    """To PyJWT a token without `exp` is good for ever."""
    token = forge.token(payload=forge.claims(exp=None))

    assert "`exp` is not" in forge.refusal(token)
    assert pyjwt(token)


@pytest.mark.parametrize("forge", ["jwt-svid"], indirect=True)
def test_several_audiences(forge, pyjwt):
    """To PyJWT one right audience among wrong ones is enough."""
    token = forge.token(payload=forge.claims(aud=[forge.claims()["aud"], "spiffe://evil.example/x"]))

    assert "`aud` is missing or wrong" in forge.refusal(token)
    assert pyjwt(token)


def test_a_claim_twice(forge, pyjwt):
    """PyJWT takes the last."""
    token = forge.token(payload=json.dumps(forge.claims())[:-1] + ',"jti":"other"}')

    assert "member twice" in forge.refusal(token)
    assert "other" == pyjwt(token)["jti"]


def test_not_a_number(forge, pyjwt):
    """PyJWT reads NaN, which JSON does not have."""
    token = forge.token(payload=json.dumps(forge.claims())[:-1] + ',"x":NaN}')

    assert "not finite" in forge.refusal(token)
    assert pyjwt(token)


@pytest.mark.parametrize("exp", ["1795392240", 1e12, 1795392240.0, True])
def test_a_time_that_is_no_whole_number(forge, pyjwt, exp):
    """PyJWT converts."""
    token = forge.token(payload=forge.claims(exp=exp))

    assert "`exp` is not" in forge.refusal(token)
    assert pyjwt(token)


@pytest.mark.parametrize("padding", ["=", "=="])
def test_padding(forge, padding):
    """PyJWT strips it, so that one token has several spellings; a list of revoked ones would miss them."""
    assert "three segments" in forge.refusal(forge.token() + padding)


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c"])
def test_an_embedded_key(forge, pyjwt, name):
    """PyJWT ignores it; the next reader may not."""
    token = forge.token(forge.header(**{name: PrivateKey.generate().public_jwk}))

    assert "nothing else" in forge.refusal(token)
    assert pyjwt(token)


@pytest.mark.parametrize("crv", ["Ed448", "X25519"])
def test_another_curve_for_edwards_keys(crv):
    """PyJWT's algorithm takes Ed448 keys as well."""
    jwk = PrivateKey.generate("Ed25519").public_jwk | {"crv": crv}

    with pytest.raises(CredentialError, match="`crv` is not `Ed25519`"):
        PublicKey.from_jwk(jwk)
