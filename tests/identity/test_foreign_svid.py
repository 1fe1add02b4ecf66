"""JWT-SVIDs of other issuers: SPIFFE asks for `sub`, `aud` and `exp`, and for nothing else that we would."""

from __future__ import annotations

import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from agentid.errors import ConfigurationError, CredentialError, CredentialExpiredError, CredentialRevokedError
from agentid.identity import TrustAnchor
from agentid.signing import PrivateKey

from .conftest import segment  # isort: skip

NOW = 1_795_392_000
DAY = 24 * 3600
AUDIENCE = "spiffe://acme.example/agent/mailer"


def jwk_of(key, **members):
    """A published key as SPIRE writes it: without `alg`."""
    public = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**{name: value for name, value in public.items() if name != "key_ops"}, "use": "jwt-svid", **members}


class Spire:
    """Writes JWT-SVIDs and a bundle, as another implementation does."""

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.kid = "C6vs25welZOx6WksNYfbMfiw9l96pMnD"
        certificate = {"use": "x509-svid", "kty": "RSA", "n": "sXch", "e": "AQAB", "x5c": ["MIIB"]}
        other = {"use": "x509-svid", "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "x5c": ["MIIB"]}
        self.bundle = {
            "keys": [certificate, other, jwk_of(self.key, kid=self.kid)],
            "spiffe_sequence": 12,
            "spiffe_refresh_hint": 300,
        }

    def svid(self, *, header=None, key=None, algorithm="ES256", **changes):
        """One as SPIRE issues it, with changes; `None` takes a claim out."""
        claims = {"sub": "spiffe://spire.example/ns/prod/sa/web", "aud": [AUDIENCE], "exp": NOW + 300, "iat": NOW}
        claims = {name: value for name, value in (claims | changes).items() if value is not None}
        headers = {"kid": self.kid} if header is None else header
        return jwt.encode(claims, key or self.key, algorithm=algorithm, headers=headers)

    def written(self, header, claims=None):
        """One of any header and claims, with a good signature."""
        claims = claims or {"sub": "spiffe://spire.example/web", "aud": AUDIENCE, "exp": NOW + 300}
        text = f"{segment(header)}.{segment(claims)}"
        signer = PrivateKey(self.key)
        return f"{text}.{segment(signer.sign(text.encode()))}"


@pytest.fixture(scope="module")
def spire():
    return Spire()


@pytest.fixture
def foreign(spire, clock):
    return TrustAnchor.from_jwks(json.dumps(spire.bundle), trust_domain="spire.example", clock=clock)


def refusal(foreign, token, **settings):
    with pytest.raises(CredentialError) as caught:
        foreign.verify_jwt_svid(token, **{"audience": AUDIENCE, **settings})
    return f"{type(caught.value).__name__}: {caught.value.why}"


# --- accepted ---------------------------------------------------------------------------------------


def test_an_svid_as_spire_issues_it_says_who_and_nothing_else(spire, foreign):
    credential = foreign.verify_jwt_svid(spire.svid(), audience=AUDIENCE)

    assert "spiffe://spire.example/ns/prod/sa/web" == str(credential.id)
    assert (NOW, NOW + 300, "jwt-svid") == (credential.issued_at, credential.expires_at, credential.type)
    assert ("", "", "", "", "") == (
        credential.owner,
        credential.purpose,
        credential.instance,
        credential.key_id,
        credential.token_id,
    )
    assert None is credential.key is credential.jwk
    assert () == credential.token_ids
    assert "ns/prod/sa/web" == credential.name


@pytest.mark.parametrize(
    "changes",
    [
        {"iat": None},
        {"aud": AUDIENCE},
        {"nbf": NOW - 10},
        {"iss": "https://spire.example"},
        {"iss": "spiffe://other.example"},
        {"iss": None, "iat": None, "aud": AUDIENCE},
        {"jti": "0190f3a8", "something.example/else": {"a": [1]}, "scope": "read"},
        {"sub": "spiffe://spire.example/a"},
        {"exp": NOW + DAY},
        {"exp": NOW + DAY, "iat": None},
    ],
    ids=range(10),
)
def test_what_spiffe_does_not_ask_for_may_be_missing_or_there(spire, foreign, changes):
    credential = foreign.verify_jwt_svid(spire.svid(**changes), audience=AUDIENCE)

    assert ("", "spire.example") == (credential.owner, credential.id.trust_domain)


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "ES256"},
        {"alg": "ES256", "typ": "JWT"},
        {"alg": "ES256", "typ": "JOSE"},
        {"alg": "ES256", "typ": "jose"},
        {"alg": "ES256", "typ": "application/jwt"},
        {"alg": "ES256", "kid": "C6vs25welZOx6WksNYfbMfiw9l96pMnD"},
        {"alg": "ES256", "kid": "C6vs25welZOx6WksNYfbMfiw9l96pMnD", "typ": "JWT"},
    ],
)
def test_kid_and_typ_may_be_missing_and_typ_may_be_jose(spire, foreign, header):
    assert foreign.verify_jwt_svid(spire.written(header), audience=AUDIENCE)


def test_without_a_kid_each_key_for_svids_may_have_signed_it_and_no_other(spire, clock):
    more = [jwk_of(ec.generate_private_key(ec.SECP256R1()), kid=f"k{n}") for n in range(3)]
    bundle = {"keys": [*more, *spire.bundle["keys"]]}
    foreign = TrustAnchor.from_jwks(bundle, trust_domain="spire.example", clock=clock)
    token = spire.svid(header={})

    assert foreign.verify_jwt_svid(token, audience=AUDIENCE)
    wrong_use = {"keys": [*more, jwk_of(spire.key, kid=spire.kid, use="wit-svid")]}
    foreign = TrustAnchor.from_jwks(wrong_use, trust_domain="spire.example", clock=clock)
    assert "signature does not verify" in refusal(foreign, token)


def test_it_is_remembered_and_its_time_is_looked_at_again(spire, foreign, clock):
    token = spire.svid(iat=None)
    assert foreign.verify_jwt_svid(token, audience=AUDIENCE) is foreign.verify_jwt_svid(token, audience=AUDIENCE)
    clock.forward(300)

    assert "CredentialExpiredError" in refusal(foreign, token)


def test_its_own_id_revokes_it_where_it_has_one(spire, foreign):
    """And the lack of one revokes nobody."""
    named, nameless = spire.svid(jti="token-7"), spire.svid()
    foreign.revoke("token-7", "")

    with pytest.raises(CredentialRevokedError):
        foreign.verify_jwt_svid(named, audience=AUDIENCE)
    assert foreign.verify_jwt_svid(nameless, audience=AUDIENCE)


def test_what_is_not_understood_of_a_bundle_is_skipped(spire, clock):
    """Certificates, and keys for algorithms that are not known here."""
    others = [
        jwk_of(ec.generate_private_key(ec.SECP384R1()), kid="p384"),
        jwk_of(ec.generate_private_key(ec.SECP521R1()), kid="p521"),
        {"kty": "RSA", "n": "sXch", "e": "AQAB", "use": "jwt-svid", "kid": "rsa"},
        {"kty": "EC", "use": "x509-svid"},
        {"kty": "AKP", "use": "jwt-svid", "kid": "pq", "pub": "AA"},
    ]
    foreign = TrustAnchor.from_jwks(
        {"keys": [*others, *spire.bundle["keys"]]}, trust_domain="spire.example", clock=clock
    )

    assert [spire.kid] == [key.kid for key in foreign.keys]
    with pytest.raises(CredentialError, match="no key that can verify"):
        TrustAnchor.from_jwks({"keys": others}, trust_domain="spire.example")


def test_a_newer_bundle_is_taken(spire, foreign):
    key = ec.generate_private_key(ec.SECP256R1())
    newer = {**spire.bundle, "spiffe_sequence": 13, "keys": [*spire.bundle["keys"], jwk_of(key, kid="next")]}
    token = spire.svid(key=key, header={"kid": "next"})
    assert "no key of its issuer" in refusal(foreign, token)

    assert foreign.refresh(newer)
    assert foreign.verify_jwt_svid(token, audience=AUDIENCE)


# --- refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("claim", ["sub", "aud", "exp"])
def test_what_spiffe_asks_for_may_not_be_missing(spire, foreign, claim):
    assert f"`{claim}`" in refusal(foreign, spire.svid(**{claim: None}))


@pytest.mark.parametrize(
    "audience",
    ["other", "", [], ["other"], [AUDIENCE, "other"], ["other", AUDIENCE], [AUDIENCE, AUDIENCE], [[AUDIENCE]], [1], {}],
    ids=range(10),
)
def test_it_is_for_one_receiver_and_that_is_us(spire, foreign, audience):
    """Whoever else it is for could show it to us."""
    claims = {"sub": "spiffe://spire.example/web", "aud": audience, "exp": NOW + 300}
    found = refusal(foreign, spire.written({"alg": "ES256", "kid": spire.kid}, claims))

    assert "another audience" in found or "`aud` is missing or wrong" in found


@pytest.mark.parametrize("audience", ["", "*", None, 1, [AUDIENCE]])
def test_whoever_verifies_says_who_they_are(spire, foreign, audience):
    assert "for no audience" in refusal(foreign, spire.svid(), audience=audience)


@pytest.mark.parametrize(
    "subject",
    [
        "spiffe://other.example/web",
        "spiffe://spire.example",
        "spiffe://spire.example/",
        "spiffe://SPIRE.example/web",
        "SPIFFE://spire.example/web",
        "spiffe://spire.example/a/../b",
        "spiffe://spire.example/web\n",
        "https://spire.example/web",
        "web",
        "",
        1,
        ["spiffe://spire.example/web"],
    ],
)
def test_its_subject_is_an_id_of_the_trust_domain_in_its_one_spelling(spire, foreign, subject):
    claims = {"sub": subject, "aud": AUDIENCE, "exp": NOW + 300}
    found = refusal(foreign, spire.written({"alg": "ES256", "kid": spire.kid}, claims))

    assert "its `sub`" in found or "not of this trust domain" in found


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "RS256"},
        {"alg": "ES384"},
        {"alg": "EdDSA"},
        {"alg": "Ed25519"},
        {"alg": "es256"},
        {"alg": "ES256", "typ": "wit+jwt"},
        {"alg": "ES256", "typ": "at+jwt"},
        {"alg": "ES256", "typ": ""},
        {"alg": "ES256", "typ": 1},
        {"alg": "ES256", "kid": ""},
        {"alg": "ES256", "kid": "../x"},
        {"alg": "ES256", "kid": 1},
        {"alg": "ES256", "kid": None},
        {"alg": "ES256", "kid": "other"},
        {"alg": "ES256", "crit": ["exp"]},
        {"alg": "ES256", "jku": "https://evil.example"},
        {"alg": "ES256", "jwk": {}},
        {"alg": "ES256", "x5c": ["MIIB"]},
        {"alg": "ES256", "cty": "JWT"},
        {"alg": "ES256", "zip": "DEF"},
        {"alg": "ES256", "b64": False},
        {"typ": "JWT"},
        {},
    ],
    ids=json.dumps,
)
def test_no_other_header_is_accepted(spire, foreign, header):
    refusal(foreign, spire.written(header))


@pytest.mark.parametrize(
    ("algorithm", "make"),
    [
        ("RS256", lambda: rsa.generate_private_key(65537, 2048)),
        ("ES384", lambda: ec.generate_private_key(ec.SECP384R1())),
        ("HS256", lambda: b"k" * 32),
    ],
)
def test_other_algorithms_are_not_verified_in_this_version(spire, foreign, algorithm, make):
    """However good the signature is."""
    assert "algorithm is not allowed" in refusal(foreign, spire.svid(key=make(), algorithm=algorithm))


def test_a_strangers_signature_is_refused_with_and_without_a_kid(spire, foreign):
    key = ec.generate_private_key(ec.SECP256R1())
    for header in (None, {}):
        assert "signature does not verify" in refusal(foreign, spire.svid(key=key, header=header))


@pytest.mark.parametrize("iat", [None, NOW])
def test_it_lives_a_day_at_most(spire, foreign, iat):
    assert "CredentialError" in refusal(foreign, spire.svid(exp=NOW + DAY + 6, iat=iat))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"exp": NOW, "iat": NOW - 9}, "CredentialExpiredError"),
        ({"exp": NOW, "iat": None}, "CredentialExpiredError"),
        ({"iat": NOW + 6}, "not good before"),
        ({"nbf": NOW + 6}, "not good before"),
        ({"nbf": NOW + 6, "iat": None}, "not good before"),
        ({"exp": NOW + 300.5}, "`exp` is not a whole number"),
        ({"exp": str(NOW + 300)}, "`exp` is not a whole number"),
        ({"exp": True}, "`exp` is not a whole number"),
        ({"iat": "x"}, "`iat` is not a whole number"),
        ({"nbf": "x"}, "`nbf` is not a whole number"),
        ({"jti": 7}, "`jti` is missing or wrong"),
        ({"jti": "a\nb"}, "`jti` is missing or wrong"),
    ],
    ids=range(12),
)
def test_times_and_ids_are_read_as_strictly_as_ours(spire, foreign, changes, why):
    claims = {"sub": "spiffe://spire.example/web", "aud": AUDIENCE, "exp": NOW + 300, "iat": NOW} | changes
    token = spire.written(
        {"alg": "ES256", "kid": spire.kid}, {name: value for name, value in claims.items() if value is not None}
    )

    assert why in refusal(foreign, token)


def test_an_iat_of_null_is_not_the_same_as_none(spire, foreign):
    claims = json.dumps({"sub": "spiffe://spire.example/web", "aud": AUDIENCE, "exp": NOW + 300, "iat": None})

    assert "`iat` is not a whole number" in refusal(foreign, spire.written({"alg": "ES256"}, claims))


def test_json_is_read_as_strictly_as_ours(spire, foreign):
    body = json.dumps({"sub": "spiffe://spire.example/web", "aud": AUDIENCE, "exp": NOW + 300})
    doubled = body[:-1] + ',"sub":"spiffe://spire.example/admin"}'

    assert "member twice" in refusal(foreign, spire.written({"alg": "ES256"}, doubled))


def test_one_that_says_what_ours_say_has_to_be_as_ours_are(spire, foreign):
    """Half of an own token is none."""
    agent = {"ver": 1, "name": "web", "instance": "i"}
    token = spire.svid(**{"urn:x-agentid:agent": agent})

    assert "is missing or wrong" in refusal(foreign, token)


def test_an_own_svid_lives_five_minutes_at_most(make_forge):
    """Whatever others may."""
    forge = make_forge("jwt-svid")

    assert "within 300 seconds" in forge.refusal(forge.token(payload=forge.claims(exp=NOW + 301)))


def test_an_svid_is_no_credential_and_no_grant(spire, foreign):
    for verify in (foreign.verify_credential, foreign.verify_grant):
        with pytest.raises(CredentialError):
            verify(spire.svid())


def test_an_expired_one_says_so(spire, foreign, clock):
    token = spire.svid()
    clock.forward(301)
    with pytest.raises(CredentialExpiredError):
        foreign.verify_jwt_svid(token, audience=AUDIENCE)


def test_what_has_no_id_is_not_revoked_by_it(spire, authority, clock):
    """It would look as if it had worked."""
    foreign = TrustAnchor.from_jwks(spire.bundle, trust_domain="acme.example", clock=clock)
    nameless, named = (
        foreign.verify_jwt_svid(spire.svid(sub="spiffe://acme.example/web", jti=jti), audience=AUDIENCE)
        for jti in (None, "token-7")
    )
    authority.revoke(named)
    with pytest.raises(
        ConfigurationError, match=r"issued it to `spiffe://acme\.example/web` gave it no id.*no name either"
    ):
        authority.revoke(nameless)
    agent = spire.svid(sub="spiffe://acme.example/agent/web")
    with pytest.raises(ConfigurationError, match=r"gave it no id\. Revoke the name instead"):
        authority.revoke(foreign.verify_jwt_svid(agent, audience=AUDIENCE))
    with pytest.raises(
        ConfigurationError, match=r"is called .* here: only what is below `/agent/` is revoked by its name"
    ):
        authority.revoke("spiffe://acme.example/web")

    assert authority.trust.is_revoked("token-7")


def test_what_another_trust_domain_issued_is_revoked_there(spire, foreign, authority):
    for changes in ({}, {"jti": "token-7"}):
        credential = foreign.verify_jwt_svid(spire.svid(**changes), audience=AUDIENCE)
        with pytest.raises(ConfigurationError, match=r"it was issued by that of `spire\.example`. Revoke it there"):
            authority.revoke(credential)
    assert not authority.trust.is_revoked("token-7")
