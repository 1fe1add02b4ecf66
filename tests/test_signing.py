"""Keys: signing, verifying, publishing, and keeping the private half private."""

from __future__ import annotations

import copy
import json
import pickle

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm

from agentid.errors import ConfigurationError, CredentialError
from agentid.signing import ED25519, ES256, KeySet, PrivateKey, PublicKey, Signer, b64url

PRIME = 2**256 - 2**224 + 2**192 + 2**96 - 1
ALGS = pytest.mark.parametrize("alg", [ES256, ED25519])


@pytest.fixture(scope="module")
def key() -> PrivateKey:
    """One P-256 key."""
    return PrivateKey.generate()


def published(key: PrivateKey, use: str = "wit-svid", **changes: object) -> dict[str, object]:
    """An entry of a JWKS, with *changes*; `None` takes a member out."""
    entry = key.public_jwk | {"kid": key.kid, "use": use} | changes
    return {name: value for name, value in entry.items() if value is not None}


# --- signing ----------------------------------------------------------------------------------------


@ALGS
def test_what_a_key_signs_its_public_half_verifies(alg):
    """And nothing else: no other data, signature or key."""
    key, other = PrivateKey.generate(alg), PrivateKey.generate(alg)
    signature = key.sign(b"data")

    assert key.public_key().verify(b"data", signature)
    assert not key.public_key().verify(b"Data", signature)
    assert not key.public_key().verify(b"data", signature[:-1] + bytes([signature[-1] ^ 1]))
    assert not other.public_key().verify(b"data", signature)


@ALGS
@pytest.mark.parametrize("signature", [b"", b"\x00", bytes(63), bytes(64), bytes(65), b"\xff" * 64, bytes(10_000)])
def test_a_malformed_signature_does_not_verify(alg, signature):
    """It is an answer, not an accident."""
    assert PrivateKey.generate(alg).public_key().verify(b"data", signature) is False


def test_a_signature_has_numbers_of_the_group():
    """Neither nothing nor more than there is, also where it would be the same number counted around."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    key = PrivateKey.generate()
    signature = key.sign(b"data")
    r, s = signature[:32], signature[32:]

    for number in (0, order, order + 1, 2**256 - 1):
        wrong = number.to_bytes(32, "big")
        assert key.public_key().verify(b"data", wrong + s) is False
        assert key.public_key().verify(b"data", r + wrong) is False
    # What needs more than 32 bytes has no spelling at all.
    assert key.public_key().verify(b"data", (int.from_bytes(r, "big") + order).to_bytes(33, "big") + s[:31]) is False
    assert key.public_key().verify(b"data", bytearray(signature)) is True
    assert key.public_key().verify(b"data", memoryview(signature)) is True


def test_signatures_have_the_form_of_jose():
    """For ES256 that is r || s, which any JOSE library reads."""
    key = PrivateKey.generate()
    signature = key.sign(b"data")

    assert 64 == len(signature)
    algorithm = ECAlgorithm(ECAlgorithm.SHA256)
    assert algorithm.verify(b"data", algorithm.from_jwk(key.public_jwk), signature)


def test_ed25519_signatures_have_the_form_of_jose():
    """As RFC 8037 has them."""
    key = PrivateKey.generate(ED25519)

    assert OKPAlgorithm().verify(b"data", OKPAlgorithm().from_jwk(key.public_jwk), key.sign(b"data"))


@pytest.mark.parametrize("junk", [None, "text", 1, ["x"]])
def test_only_bytes_are_signed(key, junk):
    """Text has no one encoding."""
    with pytest.raises(ConfigurationError):
        key.sign(junk)


def test_a_private_key_is_a_signer(key):
    """The protocol is what others implement for keys that they do not hold."""
    assert isinstance(key, Signer)


@pytest.mark.parametrize("alg", ["HS256", "none", "RS256", "EdDSA", "es256", "", None])
def test_no_key_is_made_for_another_algorithm(alg):
    """Two algorithms, by their exact names."""
    with pytest.raises(ConfigurationError):
        PrivateKey.generate(alg)


# --- ids and JWKs -----------------------------------------------------------------------------------


def test_the_id_of_a_key_is_its_rfc_7638_thumbprint():
    """The vector is RFC 8037, appendix A.3."""
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}

    assert "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" == PublicKey.from_jwk(jwk).kid


@ALGS
def test_a_jwk_reads_back_as_the_same_key(alg):
    """With and without an id of its own."""
    key = PrivateKey.generate(alg).public_key(use="agentid-grant")

    assert key == PublicKey.from_jwk(key.jwk, use="agentid-grant")
    assert "other" == PublicKey.from_jwk({**key.jwk, "kid": "other"}).kid


@pytest.mark.parametrize(
    "changes",
    [
        {"d": "AAAA"},
        {"p": ""},
        {"q": 1},
        {"dp": "x"},
        {"dq": "x"},
        {"qi": "x"},
        {"oth": []},
        {"k": "AAAA"},
        {"kty": None},
        {"kty": "RSA"},
        {"kty": "oct"},
        {"kty": "ec"},
        {"kty": 1},
        {"kty": []},
        {"kty": "OKP"},
        {"crv": None},
        {"crv": "P-384"},
        {"crv": "secp256k1"},
        {"crv": "Ed25519"},
        {"crv": []},
        {"alg": "ES384"},
        {"alg": "none"},
        {"alg": "HS256"},
        {"kid": ""},
        {"kid": "a" * 129},
        {"kid": "a b"},
        {"kid": "a\n"},
        {"kid": "../x"},
        {"kid": "é"},
        {"kid": 1},
        {"kid": True},
        {"use": 1},
        {"x": None},
        {"x": 1},
        {"x": ""},
        {"x": "A" * 42},
        {"x": "A" * 44},
        {"x": "A" * 42 + "B"},
        {"x": "A" * 42 + "="},
        {"x": "A" * 43},
        {"x": "!" * 43},
        {"y": None},
        {"y": "A" * 43},
        {"x": b64url(PRIME.to_bytes(32, "big"))},
        {"x": "_" * 42 + "8"},
    ],
)
def test_a_jwk_that_is_not_a_public_p256_key_is_refused(key, changes):
    """By its own members, its curve, its spelling and its id."""
    with pytest.raises(CredentialError) as caught:
        PublicKey.from_jwk(published(key, **changes))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("junk", [None, 1, "x", [], [1], b"{}", {}, {1: 2}])
def test_what_is_no_jwk_is_refused(junk):
    """Whatever it is."""
    with pytest.raises(CredentialError):
        PublicKey.from_jwk(junk)


@pytest.mark.parametrize("changes", [{"crv": "Ed448"}, {"crv": "X25519"}, {"x": None}, {"x": "AA"}, {"alg": "EdDSA"}])
def test_a_jwk_that_is_not_a_public_ed25519_key_is_refused(changes):
    """`EdDSA` does not say which curve, so it is no algorithm of ours."""
    with pytest.raises(CredentialError):
        PublicKey.from_jwk(published(PrivateKey.generate(ED25519), **changes))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**256 - 1), st.integers(0, 2**256 - 1), st.integers(0, 3))
def test_our_check_of_the_curve_agrees_with_that_of_cryptography(x, y, nudge):
    """For any point, and for points next to those on the curve."""
    numbers = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
    for a, b in (
        (x, y),
        (numbers.x, numbers.y + nudge),
        (numbers.x, PRIME - numbers.y),
        (numbers.x + nudge, numbers.y),
    ):
        points = [value.to_bytes(33, "big")[1:] for value in (a, b)]
        try:
            ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + points[0] + points[1])
        except ValueError:
            with pytest.raises(CredentialError):
                PublicKey.from_jwk({"kty": "EC", "crv": "P-256", "x": b64url(points[0]), "y": b64url(points[1])})
        else:
            PublicKey.from_jwk({"kty": "EC", "crv": "P-256", "x": b64url(points[0]), "y": b64url(points[1])})


@pytest.mark.parametrize("name", ["x", "y"])
@pytest.mark.parametrize("alg", [ES256, ED25519])
def test_a_coordinate_has_one_spelling(alg, name):
    """A reader that is lenient would take each of these for the same key."""
    jwk = PrivateKey.generate(alg).public_jwk
    value = jwk.get(name)
    if value is None:
        return
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    unused = [value[:-1] + alphabet[alphabet.index(value[-1]) | bits] for bits in (1, 2, 3)]

    PublicKey.from_jwk(jwk)
    for other in (*unused, value + "\n", value + "=", value + "A", " " + value, value[:20] + "\n" + value[20:]):
        with pytest.raises(CredentialError, match="canonical base64url"):
            PublicKey.from_jwk({**jwk, name: other})


def test_a_coordinate_beyond_the_prime_is_refused(key):
    """It is the same point to arithmetic, and another key by its text."""
    number = 0
    while True:  # the few points with an x below 2**256 - prime can be written in two ways
        square = (number**3 - 3 * number + 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B) % PRIME
        root = pow(square, (PRIME + 1) // 4, PRIME)
        if root * root % PRIME == square:
            break
        number += 1
    jwk = {"kty": "EC", "crv": "P-256", "x": b64url(number.to_bytes(32, "big")), "y": b64url(root.to_bytes(32, "big"))}
    PublicKey.from_jwk(jwk)

    with pytest.raises(CredentialError):
        PublicKey.from_jwk({**jwk, "x": b64url((number + PRIME).to_bytes(32, "big"))})


def test_a_public_key_can_be_pickled_and_copied(key):
    """It is no secret."""
    public = key.public_key(use="wit-svid")

    assert public == pickle.loads(pickle.dumps(public)) == copy.deepcopy(public)
    assert pickle.loads(pickle.dumps(public)).verify(b"data", key.sign(b"data"))


# --- key sets ---------------------------------------------------------------------------------------


def test_a_key_set_reads_back_what_it_publishes():
    """Each key with its id, its use and its algorithm."""
    keys = KeySet(
        [PrivateKey.generate().public_key(use="wit-svid"), PrivateKey.generate(ED25519).public_key(use="agentid-audit")]
    )

    assert list(keys) == list(KeySet.from_jwks({"keys": keys.to_jwks()}))
    assert [("wit-svid", ES256), ("agentid-audit", ED25519)] == [(k["use"], k["alg"]) for k in keys.to_jwks()]


def test_a_key_is_found_among_those_of_its_use_only(key):
    """Its id alone is not enough."""
    keys = KeySet([key.public_key(use="wit-svid")])

    assert key.kid in keys.with_use("wit-svid")
    for use in ("jwt-svid", "agentid-grant", "agentid-audit", "", "x509-svid", "no such use"):
        assert key.kid not in keys.with_use(use)


def test_a_key_set_shows_uses_and_ids(key):
    """For people who look for the right one."""
    assert f"KeySet(wit-svid:{key.kid})" == repr(KeySet([key.public_key(use="wit-svid")]))


def test_what_we_do_not_know_is_skipped(key):
    """A SPIFFE bundle has keys for other purposes, and of kinds that we cannot use."""
    entries = [
        published(key),
        published(PrivateKey.generate(), use="x509-svid", kid=None),
        published(PrivateKey.generate(), use="something-new"),
        published(PrivateKey.generate(), use=None),
        {"kty": "RSA", "use": "jwt-svid", "kid": "r", "n": "AQAB", "e": "AQAB"},
        {"kty": "AKP", "use": "wit-svid", "kid": "pq", "pub": "AAAA"},
        published(key, crv="P-384", kid="p384"),
        published(key, crv="P-521", kid="p521"),
        {"use": "wit-svid"},
        {},
    ]

    assert [key.kid] == [k.kid for k in KeySet.from_jwks({"keys": entries})]


@pytest.mark.parametrize(
    "entries",
    [
        lambda key: [published(key), published(key)],
        lambda key: [published(key), published(PrivateKey.generate(), kid=key.kid)],
        lambda key: [published(key), published(PrivateKey.generate(), use="jwt-svid", kid=key.kid)],
        lambda key: [published(key), published(key, use="jwt-svid", kid="other")],
        lambda key: [published(key), published(key, use="agentid-audit", kid="other")],
        lambda key: [published(key, kid=None)],
        lambda key: [published(key, y="A" * 43)],
        lambda key: [published(key, d="AAAA")],
        lambda key: [published(key), {"kty": "oct", "use": "sig", "k": "AAAA"}],
        lambda key: [published(key), published(PrivateKey.generate(), use="x509-svid", d="AAAA")],
        lambda key: [published(key), 1],
        lambda key: [published(key), None],
        lambda key: [published(key), [published(key)]],
        published,
        lambda _: None,
        lambda _: "keys",
        lambda key: [published(PrivateKey.generate(), kid=str(n)) for n in range(65)],
    ],
    ids=range(17),
)
def test_a_key_set_that_contradicts_itself_is_refused(key, entries):
    """A repeated key or id, a private key, a key that is not what it says, and what is no set."""
    with pytest.raises(CredentialError) as caught:
        KeySet.from_jwks({"keys": entries(key)})
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("junk", [None, 1, "x", [], {}, {"Keys": []}, b"{}"])
def test_what_is_no_key_set_is_refused(junk):
    """Whatever it is."""
    with pytest.raises(CredentialError):
        KeySet.from_jwks(junk)


# --- private keys stay private ----------------------------------------------------------------------


@ALGS
def test_a_key_reads_back_from_its_pem(alg):
    """PKCS#8, which other tools read, too."""
    key = PrivateKey.generate(alg)
    pem = key.to_pem()

    assert pem.startswith(b"-----BEGIN PRIVATE KEY-----\n")
    assert (key.kid, alg) == (PrivateKey.from_pem(pem).kid, PrivateKey.from_pem(pem).alg)
    assert key.public_key().verify(b"data", PrivateKey.from_pem(pem).sign(b"data"))


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"junk",
        "-----BEGIN PRIVATE KEY-----",
        None,
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        ed448.Ed448PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        ec.generate_private_key(ec.SECP384R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")
        ),
    ],
    ids=range(9),
)
def test_a_pem_that_holds_no_key_of_ours_is_refused(pem):
    """Another kind of key, another curve, an encrypted one, or none."""
    with pytest.raises(ConfigurationError) as caught:
        PrivateKey.from_pem(pem)

    assert caught.value.__cause__ is None


@pytest.mark.parametrize("junk", [None, "x", object(), ec.generate_private_key(ec.SECP384R1())])
def test_a_private_key_is_made_of_a_key(junk):
    """For P-256 or Ed25519."""
    with pytest.raises(ConfigurationError):
        PrivateKey(junk)


@ALGS
def test_a_private_key_does_not_show_itself(alg):
    """Not in `repr`, `str`, formatting or JSON, and there is no `__dict__` to look into."""
    key = PrivateKey.generate(alg)
    secret = "".join(key.to_pem().decode().splitlines()[1:-1])
    shown = f"{key} {key!r} {[key]} {key.public_jwk} {key.public_key()!r}"

    assert not any(secret[i : i + 16] in shown for i in range(len(secret) - 16))
    assert "'d'" not in shown
    with pytest.raises(TypeError):
        vars(key)
    with pytest.raises(TypeError):
        json.dumps(key)


@pytest.mark.parametrize("attempt", [pickle.dumps, copy.copy, copy.deepcopy, lambda key: pickle.dumps([key], 0)])
def test_a_private_key_is_not_pickled_or_copied(key, attempt):
    """A pickle of a session or a queue must not carry it away by accident."""
    with pytest.raises(ConfigurationError, match="private key"):
        attempt(key)
