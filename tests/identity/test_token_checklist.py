"""
RFC 8725 and its revision, line by line: the numbers are those of `reference/standards.md` §2.5.

Each token here is signed with the right key of the real authority, unless the signature is what is wrong.

Line 14, replay, is about proofs of possession that travel; there are none yet. Within a process the proof
is a fresh challenge for each agent object, see `test_verify_agent.py`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from itertools import permutations
from typing import Any

import pytest

from agentid.errors import CredentialError
from agentid.signing import PrivateKey

AUDIENCE = "spiffe://acme.example/agent/mailer"
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
SIZES = {"credential": 16 * 1024, "jwt-svid": 16 * 1024, "grant": 8 * 1024 * 1024}
LIFETIMES = {"credential": 24 * 3600, "jwt-svid": 300, "grant": 24 * 3600}


def test_a_token_that_is_right_in_every_way_is_accepted(forge):
    """What is refused below is refused for the one thing that the test changes."""
    assert forge.now + 240 == forge.verify(forge.token()).expires_at


# --- 1: the compact form ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t + "=",
        lambda t: t + "==",
        lambda t: t + "\n",
        lambda t: "\n" + t,
        lambda t: " " + t,
        lambda t: t + ".",
        lambda t: "." + t,
        lambda t: t + ".AAAA",
        lambda t: t.rpartition(".")[0],
        lambda t: t.rpartition(".")[0] + ".",
        lambda t: "." + t.partition(".")[2],
        lambda t: t.replace(".", "..", 1),
        lambda t: t.partition(".")[0] + ".." + t.rpartition(".")[2],
        lambda t: t.replace(".", ",", 1),
        lambda t: t[:5] + "+" + t[6:],
        lambda t: t[:5] + "/" + t[6:],
        lambda t: t[:5] + "\x00" + t[6:],
        lambda t: t[:5] + "é" + t[6:],
        lambda t: t[:5] + "\uff21" + t[6:],
        lambda t: "{" + t + "}",
        lambda t: '"' + t + '"',
        lambda t: json.dumps({"protected": t.split(".")[0], "payload": t.split(".")[1], "signature": t.split(".")[2]}),
        lambda _: "",
        lambda _: "..",
    ],
)
def test_anything_but_three_segments_of_base64url_is_refused(forge, change):
    """1: No padding, white space, other alphabet, missing, empty or further segment, and no JSON serialization."""
    assert "three segments of base64url" in forge.refusal(change(forge.token()))


@pytest.mark.parametrize("junk", [None, 1, True, 1.5, b"a.b.c", object(), {}, ["a"], ("a", 1)])
def test_what_is_not_text_is_refused(forge, junk):
    """1: A token is text, and bytes are not."""
    assert "it is " in forge.refusal(junk)


def test_a_subclass_of_text_is_refused(forge):
    """1: It could claim to be equal to a token that was verified before."""

    class Equal(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = str.__hash__

    token = forge.token()
    forge.verify(token)

    assert "CredentialError" in forge.refusal(Equal(token))


@pytest.mark.parametrize("part", [0, 1, 2], ids=["header", "payload", "signature"])
def test_each_segment_has_one_spelling(forge, part):
    """1: The last character carries bits that no byte uses; a token that sets them is another spelling of the same."""
    spellings = 0
    for padding in ("", " ", "  "):
        payload = json.dumps(forge.claims()) + padding
        header = json.dumps(forge.header()) + padding
        head, body, signature = forge.token(header, payload).split(".")
        segments = [head, body, signature]
        unused = {0: 0, 2: 4, 3: 2}[len(segments[part]) % 4]
        for bits in range(1, 2**unused):
            segments[part] = [head, body, signature][part][:-1] + ALPHABET[
                ALPHABET.index([head, body, signature][part][-1]) | bits
            ]
            if part < 2:  # signed as it is sent, so that only the spelling is wrong
                signing_input = f"{segments[0]}.{segments[1]}"
                segments[2] = base64.urlsafe_b64encode(forge.key.sign(signing_input.encode())).rstrip(b"=").decode()
            spellings += 1

            assert "canonical base64url" in forge.refusal(".".join(segments))

    assert spellings > 0


def test_a_segment_of_impossible_length_is_refused(forge):
    """1: One character more than whole groups of four encodes no byte."""
    head, body, signature = forge.token().split(".")
    cut = body[: len(body) // 4 * 4 - 3]

    assert "canonical base64url" in forge.refusal(f"{head}.{cut}.{signature}")


# --- 2: size ----------------------------------------------------------------------------------------


def test_a_token_that_is_too_long_is_refused_before_anything_else(forge):
    """2: The length is looked at first: what is too long is not even split."""
    limit = SIZES[forge.kind]

    assert f"longer than {limit} characters" in forge.refusal("!" * (limit + 1))
    assert "three segments" in forge.refusal("!" * limit)


def test_a_long_but_signed_token_is_refused_too(forge):
    """2: A signature does not excuse the length."""
    token = forge.token(payload=json.dumps(forge.claims()) + " " * SIZES[forge.kind])

    assert "longer than" in forge.refusal(token)


def test_a_header_that_is_too_long_is_refused(forge):
    """2: A header is read before the signature is checked, so a stranger decides how long that takes."""
    assert "header is too long" in forge.refusal(forge.token(json.dumps(forge.header()) + " " * 1024))


@pytest.mark.parametrize(
    "make",
    [
        lambda n: "a" * n,
        lambda n: "." * n,
        lambda n: "a." * (n // 2),
        lambda n: "a" * (n - 4) + ".a.a",
        lambda n: "\u2603" * n,
        lambda n: "eyJh." + "A" * (n - 10) + ".AAAA",
    ],
)
def test_a_megabyte_of_junk_is_refused_in_no_time(forge, make):
    """2: By hand it takes under 20 ms; the limit here allows for a busy machine."""
    junk = make(2**20)
    start = time.thread_time()

    forge.refusal(junk)

    assert time.thread_time() - start < 1


# --- 3, 4: the algorithm ----------------------------------------------------------------------------


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES384", "ES512", "ES256K", "EdDSA", "es256", "ES256 ", "", "Es256"])
def test_an_algorithm_that_is_not_allowed_is_refused(forge, alg):
    """3: The list is per kind, compared by case, and never taken from the token."""
    assert "algorithm is not allowed" in forge.refusal(forge.token(forge.header(alg=alg)))


def test_the_algorithm_is_the_keys_own(make_forge):
    """3: Ed25519 may sign grants, but not in the name of a key that is for ES256."""
    forge = make_forge("grant")

    assert "not its key's" in forge.refusal(forge.token(forge.header(alg="Ed25519")))


def test_a_grant_may_be_signed_with_ed25519_by_a_key_for_it(make_forge, clock):
    """3: Verified, though nothing here issues it."""
    from agentid.identity import TrustAnchor

    key = PrivateKey.generate("Ed25519")
    forge = make_forge("grant")
    forge.trust = TrustAnchor("acme.example", [key.public_key(use="agentid-grant")], clock=clock)

    assert forge.verify(forge.token(forge.header(alg="Ed25519", kid=key.kid), key=key)).allow


@pytest.mark.parametrize("kind", ["credential", "jwt-svid"])
def test_a_credential_is_never_signed_with_ed25519(make_forge, clock, kind):
    """3: SPIFFE does not allow it, whatever key is published."""
    from agentid.identity import TrustAnchor

    forge = make_forge(kind)
    key = PrivateKey.generate("Ed25519")
    use = {"credential": "wit-svid", "jwt-svid": "jwt-svid"}[kind]
    forge.trust = TrustAnchor("acme.example", [key.public_key(use=use)], clock=clock)

    assert "algorithm is not allowed" in forge.refusal(forge.token(forge.header(alg="Ed25519", kid=key.kid), key=key))


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE"])
@pytest.mark.parametrize("signature", ["", "AAAA"])
def test_an_unsigned_token_is_refused(forge, alg, signature):
    """4: `none` is not an algorithm, in whatever case, with or without something in the place of a signature."""
    head, body, _ = forge.token(forge.header(alg=alg)).split(".")

    assert "CredentialError" in forge.refusal(f"{head}.{body}.{signature}")


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_a_public_key_is_never_taken_for_a_shared_secret(forge, alg):
    """4: Everyone has the public key; a MAC made with it proves nothing."""
    head, body, _ = forge.token(forge.header(alg=alg)).split(".")
    secret = json.dumps(forge.key.public_jwk).encode()
    digest = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}[alg]
    mac = hmac.new(secret, f"{head}.{body}".encode(), getattr(hashlib, digest)).digest()
    signature = base64.urlsafe_b64encode(mac).rstrip(b"=").decode()

    assert "algorithm is not allowed" in forge.refusal(f"{head}.{body}.{signature}")


# --- 5: the key -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256"])
def test_a_token_cannot_bring_its_own_key(forge, name):
    """5: Not even beside the right one: whoever reads the header must not be tempted."""
    stranger = PrivateKey.generate()
    value = stranger.public_jwk if name == "jwk" else "https://evil.example/keys"

    assert "nothing else" in forge.refusal(forge.token(forge.header(**{name: value}), key=stranger))
    assert "nothing else" in forge.refusal(forge.token(forge.header(**{name: value})))


@pytest.mark.parametrize("name", ["alg", "kid", "typ"])
def test_a_header_without_one_of_its_members_is_refused(forge, name):
    """5: There is no default for an algorithm, a key or a type. SPIFFE has one for the last two (test_foreign_svid)."""
    token = forge.token(forge.header(**{name: None}))
    if forge.kind == "jwt-svid" and name != "alg":
        assert forge.verify(token)
    else:
        assert "`alg`, `kid` and `typ`" in forge.refusal(token)


@pytest.mark.parametrize("name", ["alg", "kid", "typ"])
@pytest.mark.parametrize("value", [1, True, [], {}, ["ES256"]])
def test_a_header_member_that_is_not_text_is_refused(forge, name, value):
    """5: A list that holds the right value is not the right value."""
    assert "`alg`, `kid` and `typ`" in forge.refusal(forge.token(forge.header(**{name: value})))


@pytest.mark.parametrize("kid", ["", "a" * 129, "../../etc/passwd", "a b", "a\n", "é", "' OR 1=1 --"])
def test_a_key_id_that_is_not_one_is_refused(forge, kid):
    """5: A key id is 1 to 128 plain characters, so that it can be nothing but a key id."""
    assert "`kid` is not one" in forge.refusal(forge.token(forge.header(kid=kid)))


def test_a_key_of_a_stranger_is_refused(forge):
    """5: Only the keys of the trust domain count."""
    stranger = PrivateKey.generate()

    assert "no key of its issuer" in forge.refusal(forge.token(forge.header(kid=stranger.kid), key=stranger))


def test_a_signature_of_a_stranger_in_the_name_of_our_key_is_refused(forge):
    """5: The key id says which key it has to be, not which it was."""
    assert "signature does not verify" in forge.refusal(forge.token(key=PrivateKey.generate()))


# --- 6: crit ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("crit", [["exp"], ["b64"], ["urn:x:unknown"], [], "b64", {}, [1]])
def test_a_critical_extension_is_refused(forge, crit):
    """6: We understand none, so each is unknown; a malformed list is no better."""
    assert "nothing else" in forge.refusal(forge.token(forge.header(crit=crit)))


@pytest.mark.parametrize(
    "extra", [{"b64": False}, {"b64": True}, {"b64": False, "crit": ["b64"]}, {"cty": "JWT"}, {"x": 1}]
)
def test_any_other_header_member_is_refused(forge, extra):
    """6: An unencoded payload, a nested token and what nobody knows, alike."""
    assert "nothing else" in forge.refusal(forge.token(forge.header(**extra)))


# --- 7: the signature -------------------------------------------------------------------------------


def test_no_claim_is_read_before_the_signature_is_checked(forge):
    """7: What is wrong inside stays unsaid when the signature is wrong, too."""
    for payload in (b"\xff", "{", '{"exp":1}', "[]", json.dumps(forge.claims(exp=1, iat=0))):
        assert "signature does not verify" in forge.refusal(forge.token(payload=payload, key=PrivateKey.generate()))


def test_a_change_of_any_one_character_is_refused(forge):
    """7: Header, payload, signature or separator: no position of a token may vary."""
    token = forge.token()
    forge.verify(token)  # also when the right one is remembered

    for position, character in enumerate(token):
        other = "A" if character != "A" else "B"
        assert "CredentialError" in forge.refusal(token[:position] + other + token[position + 1 :])
        assert "CredentialError" in forge.refusal(token[:position] + token[position + 1 :])


@pytest.mark.parametrize("length", [0, 1, 63, 65, 70, 72, 128])
def test_a_signature_of_another_length_is_refused(forge, length):
    """7: r || s has 64 bytes; a DER signature, and half of one, does not verify."""
    head, body, signature = forge.token().split(".")
    data = (base64.urlsafe_b64decode(signature + "==") * 2)[:length]
    other = base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    assert "CredentialError" in forge.refusal(f"{head}.{body}.{other}")


@pytest.mark.parametrize("data", [bytes(64), b"\xff" * 64, bytes(32) + b"\x01" * 32, b"\x01" * 32 + bytes(32)])
def test_a_degenerate_signature_is_refused(forge, data):
    """7: Zero and numbers beyond the group's order are no r and no s (CVE-2022-21449)."""
    head, body, _ = forge.token().split(".")
    signature = base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    assert "signature does not verify" in forge.refusal(f"{head}.{body}.{signature}")


# --- 8: the type, and kinds that exclude each other -------------------------------------------------


@pytest.mark.parametrize(
    "typ",
    ["", "JOSE+x", "at+jwt", "wpt+jwt", "wit+jwt ", "wit", "text/wit+jwt", "application/application/jwt", "ＪＷＴ"],
)
def test_another_type_is_refused(forge, typ):
    """8: The type says what a token is for. There is one for each kind."""
    assert "`typ` is not" in forge.refusal(forge.token(forge.header(typ=typ)))


@pytest.mark.parametrize("kind", ["credential", "grant"])
def test_the_other_type_of_an_svid_is_none_of_another_kind(make_forge, kind):
    """8: SPIFFE allows `JOSE` for a JWT-SVID alone."""
    forge = make_forge(kind)

    assert "`typ` is not" in forge.refusal(forge.token(forge.header(typ="JOSE")))


def test_the_type_is_a_media_type(forge):
    """8: Its case does not matter, and `application/` may stand before it."""
    typ = forge.header()["typ"]

    for spelling in (typ.upper(), typ.lower(), f"application/{typ}", f"Application/{typ.title()}"):
        assert forge.verify(forge.token(forge.header(typ=spelling)))


@pytest.mark.parametrize("kinds", list(permutations(SIZES, 2)), ids=" as ".join)
def test_a_token_of_one_kind_never_passes_for_another(make_forge, kinds):
    """8: By its type, and by its key, and by its claims: each alone is enough."""
    foreign, forge = map(make_forge, kinds)

    assert "`typ` is not" in forge.refusal(foreign.token())
    assert "no key of its issuer" in forge.refusal(foreign.token(foreign.header(typ=forge.header()["typ"])))
    assert "signature does not verify" in forge.refusal(foreign.token(forge.header()))
    assert "CredentialError" in forge.refusal(forge.token(payload=foreign.claims()))


@pytest.mark.parametrize("kinds", list(permutations(SIZES, 2)), ids=" as ".join)
def test_a_header_that_passed_for_one_kind_does_not_pass_for_another(make_forge, kinds):
    """8: Headers are remembered by their exact text, and for the kind that they were read for."""
    foreign, forge = map(make_forge, kinds)
    token = foreign.token()

    assert foreign.verify(token)
    assert "`typ` is not" in forge.refusal(token)
    assert "`typ` is not" in forge.refusal(token)


def test_a_header_that_was_refused_stays_refused(forge):
    """8: Only a header that passed is remembered, and never its neighbour."""
    wrong = forge.header(typ="at+jwt")

    for _ in range(3):
        assert "`typ` is not" in forge.refusal(forge.token(wrong))
        assert forge.verify(forge.token())


def test_the_headers_that_are_remembered_are_bounded(forge):
    """8: A stranger can make up any number of them."""
    from agentid.identity import token as tokens

    bound = tokens._header.cache_info().maxsize
    for number in range(bound + 10):
        forge.refusal(forge.token(forge.header(kid=f"key-{number}")))

    assert bound == tokens._header.cache_info().currsize <= 1000


def test_the_audit_key_signs_no_token(forge, keys):
    """8: An audit key published in the same set is not a key for tokens."""
    audit = keys["agentid-audit"]

    assert "CredentialError" in forge.refusal(forge.token(forge.header(kid=audit.kid, alg="Ed25519"), key=audit))


# --- 9: issuer and subject --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "iss",
    [
        None,
        "",
        1,
        "https://acme.example",
        "spiffe://acme.example/",
        "spiffe://other.example",
        "SPIFFE://acme.example",
        "urn:x-agentid:authority:other.example",
        "urn:x-agentid:authority:acme.example.evil",
        ["spiffe://acme.example"],
    ],
)
def test_another_issuer_is_refused(forge, iss):
    """9: One issuer for each kind, compared as text: no prefix, no list, no other spelling."""
    assert "CredentialError" in forge.refusal(forge.token(payload=forge.claims(iss=iss)))


@pytest.mark.parametrize("kind", ["credential", "jwt-svid"])
@pytest.mark.parametrize(
    "sub",
    [
        None,
        "",
        1,
        "support-bot",
        "spiffe://acme.example",
        "spiffe://acme.example/",
        "spiffe://acme.example/agent/support-bot\n",
        "spiffe://acme.example/agent/support-bot/",
        "spiffe://acme.example/agent/../support-bot",
        "spiffe://ACME.example/agent/support-bot",
        "Spiffe://acme.example/agent/support-bot",
        "spiffe://other.example/agent/support-bot",
        "spiffe://acme.example.evil/agent/support-bot",
        "spiffe://acme.example@evil/agent/support-bot",
        "spiffe://acme.example:443/agent/support-bot",
        "spiffe://acme.example/agent/support%2dbot",
    ],
)
def test_a_subject_that_is_not_an_agent_of_the_trust_domain_is_refused(make_forge, kind, sub):
    """9: The subject is a SPIFFE ID of the issuer's trust domain, in its one spelling."""
    forge = make_forge(kind)

    assert "CredentialError" in forge.refusal(forge.token(payload=forge.claims(sub=sub)))


@pytest.mark.parametrize("kind", ["credential", "jwt-svid"])
@pytest.mark.parametrize("path", ["/bot", "/agents/bot", "/x/agent/bot"])
def test_what_is_no_agent_is_none_of_ours(make_forge, kind, path):
    """9: Our authority issues `/agent/<name>`; another path is somebody else's."""
    forge = make_forge(kind)
    token = forge.token(payload=forge.claims(sub=f"spiffe://acme.example{path}", agent__name=path[1:]))
    named = forge.token(payload=forge.claims(sub=f"spiffe://acme.example{path}", agent__name="bot"))

    assert "CredentialError" in forge.refusal(token)
    assert "CredentialError" in forge.refusal(named)


@pytest.mark.parametrize("kind", ["credential", "jwt-svid"])
def test_the_trust_domain_itself_is_no_agent(make_forge, kind):
    """9: Its id is the issuer's, and it has no name."""
    forge = make_forge(kind)
    payload = forge.claims(sub="spiffe://acme.example", agent__name="")

    assert "SPIFFE ID of an agent" in forge.refusal(forge.token(payload=payload))


@pytest.mark.parametrize(
    ("iss", "sub"),
    [
        ("acme.example", "acme.example/agent/support-bot"),
        ("https://acme.example", "https://acme.example/agent/support-bot"),
        ("SPIFFE://acme.example", "SPIFFE://acme.example/agent/support-bot"),
        ("spiffe://ACME.example", "spiffe://ACME.example/agent/support-bot"),
        ("spiffe://acme.example/agent", "spiffe://acme.example/agent/support-bot"),
        ("spiffe://acme.example/", "spiffe://acme.example//support-bot"),
        ("spiffe://acme.exampl", "spiffe://acme.example/agent/support-bot"),
        ("spiffe://", "spiffe:///support-bot"),
        ("", "/agent/support-bot"),
        ("spiffe://other.example", "spiffe://acme.example/agent/support-bot"),
    ],
)
def test_an_issuer_that_is_no_trust_domain_has_no_agents(make_forge, iss, sub):
    """9: Also where nobody asked yet whether the issuer is ours: the two have to be an id and the id that it is of."""
    from agentid.identity.credential import Credential, credential_shape

    with pytest.raises(CredentialError, match="SPIFFE ID of an agent"):
        Credential.from_claims(credential_shape().read(make_forge("credential").claims(iss=iss, sub=sub)))
    with pytest.raises(CredentialError, match="SPIFFE ID of an agent"):
        Credential.from_svid_claims(make_forge("jwt-svid").claims(iss=iss, sub=sub), audience=AUDIENCE)


@pytest.mark.parametrize("kind", ["credential", "jwt-svid"])
def test_a_token_of_another_trust_domain_is_refused_even_if_our_key_signed_it(make_forge, kind):
    """9: Issuer and subject agree with each other, but not with us."""
    forge = make_forge(kind)
    payload = forge.claims(iss="spiffe://other.example", sub="spiffe://other.example/agent/support-bot")

    assert "not of this trust domain" in forge.refusal(forge.token(payload=payload))


# --- 10: audience -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "aud",
    [
        None,
        "",
        "*",
        "spiffe://acme.example/agent/other",
        "spiffe://acme.example/agent/mailer/x",
        ["spiffe://acme.example/agent/mailer"],
        ["spiffe://acme.example/agent/mailer", "spiffe://evil.example/agent/x"],
        [],
        {"spiffe://acme.example/agent/mailer": 1},
        True,
    ],
)
def test_an_audience_that_is_not_exactly_me_is_refused(make_forge, aud):
    """10: One audience, as text: a list would let another audience use the token here."""
    forge = make_forge("jwt-svid")

    assert "CredentialError" in forge.refusal(forge.token(payload=forge.claims(aud=aud)))


@pytest.mark.parametrize("aud", ["a\nb", "\x1b[31mred", "\u202eevil", "a" * 513])
def test_an_audience_is_one_printable_line(make_forge, aud):
    """10: Also where somebody asks for just that."""
    forge = make_forge("jwt-svid")

    with pytest.raises(CredentialError, match="`aud` is missing or wrong"):
        forge.trust.verify_jwt_svid(forge.token(payload=forge.claims(aud=aud)), audience=aud)


@pytest.mark.parametrize("audience", [None, "", "*", 1, True, ["spiffe://acme.example/agent/mailer"], b"x"])
def test_verifying_for_no_audience_is_refused(make_forge, audience):
    """10: Whoever does not say who they are accepts nothing, also when the token was verified before."""
    from agentid.errors import CredentialError

    forge = make_forge("jwt-svid")
    token = forge.token()
    forge.verify(token)

    with pytest.raises(CredentialError):
        forge.trust.verify_jwt_svid(token, audience=audience)


@pytest.mark.parametrize("kind", ["credential", "grant"])
def test_what_is_no_bearer_token_has_no_audience(make_forge, kind):
    """10: A credential with an audience could be taken for a token that whoever has it may use."""
    forge = make_forge(kind)

    assert "must not have" in forge.refusal(forge.token(payload=forge.claims(aud="spiffe://acme.example/agent/mailer")))


# --- 11: time ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
@pytest.mark.parametrize(
    "value", ["1795392000", True, False, 1795392000.0, 1795392000.5, -1, 2**53, 253_402_300_800, [], {}, "", "soon"]
)
def test_a_time_that_is_not_a_whole_number_of_seconds_is_refused(forge, name, value):
    """11: Not text, not a fraction, not `true`, and nothing that no calendar has."""
    assert f"`{name}` is not a whole number" in forge.refusal(forge.token(payload=forge.claims(**{name: value})))


@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
def test_a_time_of_null_is_refused(forge, name):
    """11: `null` is not the same as leaving it out."""
    payload = json.dumps({**forge.claims(), name: None})

    assert f"`{name}` is not a whole number" in forge.refusal(forge.token(payload=payload))


@pytest.mark.parametrize("name", ["exp", "iat", "jti", "iss", "cnf"])
def test_a_claim_that_is_required_may_not_be_missing(forge, name):
    """11: A token without an end would be good for ever."""
    assert "CredentialError" in forge.refusal(forge.token(payload=forge.claims(**{name: None})))


def test_an_expired_token_is_refused_as_expired(forge):
    """11: At the second of `exp` it is over; the leeway for clocks does not prolong it."""
    token = forge.token()

    assert forge.verify(token, now=forge.now + 239.999)
    assert "CredentialExpiredError" in forge.refusal(token, now=forge.now + 240)
    assert "CredentialExpiredError" in forge.refusal(token, now=forge.now + 10**9)


def test_a_token_from_the_future_is_refused(forge):
    """11: Five seconds are forgiven to an issuer whose clock is ahead; once, not for each check."""
    token = forge.token()

    assert forge.verify(token, now=forge.now - 5)
    assert "not good before" in forge.refusal(token, now=forge.now - 6)
    assert "not good before" in forge.refusal(forge.token(), now=forge.now - 6)


def test_a_token_is_not_good_before_its_nbf(forge):
    """11: `nbf` counts besides `iat`; the later of both does."""
    late = forge.token(payload=forge.claims(nbf=forge.now + 100))
    early = forge.token(payload=forge.claims(nbf=forge.now - 1000))

    assert "not good before" in forge.refusal(late, now=forge.now + 94)
    assert forge.verify(late, now=forge.now + 95)
    assert "not good before" in forge.refusal(early, now=forge.now - 6)


def test_a_token_that_lives_too_long_is_refused(forge):
    """11: The longest lifetime is ours to say, whatever was signed."""
    longest = LIFETIMES[forge.kind]

    assert forge.verify(forge.token(payload=forge.claims(exp=forge.now + longest)))
    assert "within" in forge.refusal(forge.token(payload=forge.claims(exp=forge.now + longest + 1)))


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_token_that_ends_before_it_starts_is_refused(forge, seconds):
    """11: It was never good, so it is malformed and not expired."""
    payload = forge.claims(exp=forge.now + seconds)

    assert "must end after" in forge.refusal(forge.token(payload=payload), now=forge.now - 10)


# --- 12: JSON ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["first", "last"])
def test_a_claim_that_stands_twice_is_refused(forge, place):
    """12: Most readers take the last, some the first; neither of two is believed."""
    payload = json.dumps(forge.claims())
    doubled = '{"exp":9999999999,' + payload[1:] if place == "first" else payload[:-1] + ',"exp":9999999999}'

    assert "member twice" in forge.refusal(forge.token(payload=doubled))


def test_a_header_member_that_stands_twice_is_refused(forge):
    """12: The same for the header, where it would choose the key."""
    header = json.dumps(forge.header())

    assert "member twice" in forge.refusal(forge.token(header[:-1] + ',"alg":"ES256"}'))


def test_a_nested_member_that_stands_twice_is_refused(forge):
    """12: At any depth, and however it is escaped."""
    payload = json.dumps(forge.claims())
    doubled = payload.replace('"cnf": {', '"cnf": {"\\u006aw' + 'k": 1, "jkt": 1, ')

    assert "member twice" in forge.refusal(forge.token(payload=doubled))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_a_number_that_is_not_finite_is_refused(forge, number):
    """12: NaN is neither before nor after any time."""
    payload = json.dumps(forge.claims(exp=0)).replace('"exp": 0', f'"exp": {number}')

    assert "not finite" in forge.refusal(forge.token(payload=payload))


@pytest.mark.parametrize("digits", [21, 400, 5000])
def test_a_number_of_any_length_is_refused(forge, digits):
    """12: Reading it would take long, and no two readers agree on it."""
    payload = json.dumps(forge.claims(exp=0)).replace('"exp": 0', f'"exp": {"9" * digits}')

    assert "too long" in forge.refusal(forge.token(payload=payload))


@pytest.mark.parametrize(
    "payload",
    [
        b"\xff\xfe",
        b'{"a":"\xc0\xaf"}',
        b'{"a":"\xed\xa0\x80"}',
        '{"a":1}'.encode("utf-16"),
        '{"a":1}'.encode("utf-32"),
        b'\xef\xbb\xbf{"a":1}',
        r'{"a":"\ud800"}',
        b"",
        b" ",
        b"{",
        b"{}{}",
        b'{"a":1}\x0c',
        '\u00a0{"a":1}'.encode(),
        b"{'a':1}",
        b'{"a":1,}',
        b'{"a":01}',
        b"null",
        b"[]",
        b'"text"',
        b"1",
        b"[" * 8000,
        b'{"a":' * 1500,
    ],
)
def test_what_is_not_one_json_object_in_utf_8_is_refused(forge, payload):
    """12: No other encoding, no half characters, nothing after it, no list, and no depth that breaks the reader."""
    payload = payload or b" "

    assert "of a part of it" in forge.refusal(forge.token(payload=payload))
    assert "of a part of it" in forge.refusal(forge.token(header=payload[:700]))


# --- 13: the key that it names ----------------------------------------------------------------------


def _cnf(forge: Any, **changes: Any) -> dict[str, Any]:
    jwk = {name: value for name, value in (forge.holder.public_jwk | changes).items() if value is not None}
    return {"jwk": jwk}


@pytest.mark.parametrize("kind", ["credential", "grant"])
@pytest.mark.parametrize(
    "changes",
    [
        {"d": "AAAA"},
        {"d": ""},
        {"k": "AAAA"},
        {"kid": "x"},
        {"use": "wit-svid"},
        {"alg": None},
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "Ed25519"},
        {"kty": "oct"},
        {"kty": "RSA"},
        {"kty": "OKP"},
        {"crv": "P-384"},
        {"crv": "secp256k1"},
        {"crv": None},
        {"x": None},
        {"y": None},
        {"x": 1},
        {"x": ""},
        {"x": "A" * 43},
        {"y": "A" * 43},
        {"x": "A" * 42},
        {"x": "A" * 44},
        {"x": "A" * 42 + "="},
    ],
)
def test_a_key_that_is_not_a_public_p256_key_and_nothing_else_is_refused(make_forge, kind, changes):
    """13: On its curve, of its one spelling, with its algorithm, and without a private or any other member."""
    forge = make_forge(kind)

    assert "CredentialError" in forge.refusal(forge.token(payload=forge.claims(cnf=_cnf(forge, **changes))))


@pytest.mark.parametrize("kind", ["credential", "grant"])
def test_an_ed25519_key_is_no_agents_key(make_forge, kind):
    """13: SPIFFE does not allow it; not even dressed up with the members of a P-256 key."""
    forge = make_forge(kind)
    jwk = PrivateKey.generate("Ed25519").public_jwk
    for cnf in ({"jwk": jwk}, {"jwk": {**jwk, "y": jwk["x"]}}):
        assert "not a public `ES256` key" in forge.refusal(forge.token(payload=forge.claims(cnf=cnf)))


@pytest.mark.parametrize("kind", ["credential", "grant"])
def test_a_point_off_the_curve_is_refused(make_forge, kind):
    """13: With the coordinates of a real key exchanged, too."""
    forge = make_forge(kind)
    jwk = forge.holder.public_jwk

    assert "not a point on its curve" in forge.refusal(
        forge.token(payload=forge.claims(cnf=_cnf(forge, x=jwk["y"], y=jwk["x"])))
    )


@pytest.mark.parametrize("kind", ["credential", "grant"])
@pytest.mark.parametrize("extra", [{"jkt": "x"}, {"kid": "x"}, {"jku": "https://evil.example"}, {"x5t#S256": "x"}])
def test_a_token_names_one_key_in_one_way(make_forge, kind, extra):
    """13: Two ways of naming a key could name two keys."""
    forge = make_forge(kind)

    assert "CredentialError" in forge.refusal(forge.token(payload=forge.claims(cnf={**_cnf(forge), **extra})))


@pytest.mark.parametrize("jkt", [None, 1, True, "", "a b", "a\n", "\u00e9", "a" * 129, ["a"]])
def test_the_thumbprint_in_an_svid_is_one_plain_word(make_forge, jkt):
    """13: It is compared with others, and stands in logs."""
    forge = make_forge("jwt-svid")

    assert "`cnf` is missing or wrong" in forge.refusal(forge.token(payload=forge.claims(cnf={"jkt": jkt})))


@pytest.mark.parametrize("cnf", [{}, [], "x", None, {"jwk": []}, {"jwk": None}, {"jwk": "x"}])
def test_a_token_that_names_no_key_is_refused(forge, cnf):
    """13: Without a key anyone could use it."""
    assert "CredentialError" in forge.refusal(forge.token(payload=forge.claims(cnf=cnf)))


# --- 15: compression and encryption -----------------------------------------------------------------


@pytest.mark.parametrize("extra", [{"zip": "DEF"}, {"enc": "A256GCM"}, {"p2c": 10**9}])
def test_a_compressed_or_encrypted_token_is_refused(forge, extra):
    """15: Nothing is unpacked or derived for a stranger."""
    assert "nothing else" in forge.refusal(forge.token(forge.header(**extra)))


def test_five_segments_are_refused(forge):
    """15: That is an encrypted token."""
    assert "three segments" in forge.refusal(forge.token() + ".AAAA.AAAA")


# --- 16: what callers get to see --------------------------------------------------------------------


def test_no_error_shows_anything_of_the_token(forge):
    """16: Its text goes to logs and models: it says what is wrong and nothing of what was sent."""
    secret = "hunter2hunter2"
    header, claims = forge.header(), forge.claims()
    tokens = [
        secret,
        f"{secret}.{secret}.{secret}",
        forge.token(json.dumps(header)[:-1] + f',"{secret}":1}}'),
        forge.token(forge.header(typ=secret)),
        forge.token(forge.header(alg=secret)),
        forge.token(forge.header(kid=secret)),
        forge.token(payload={**claims, secret: secret}),
        forge.token(payload={**claims, "iss": secret}),
        forge.token(payload={**claims, "jti": {secret: secret}}),
        forge.token(payload={**claims, "cnf": {secret: secret}}),
        forge.token(payload={**claims, "sub": secret}),
        forge.token(payload=f'{{"{secret}":1,"{secret}":2}}'),
        forge.token(payload=f'{{"{secret}":'),
        forge.token(key=PrivateKey.generate()),
    ]

    for token in tokens:
        with pytest.raises(Exception) as caught:
            forge.verify(token)
        error = caught.value
        shown = f"{error}{error!r}{error.for_model}{error.__cause__!r}"
        assert secret not in shown
        assert not any(part in shown for part in token.split(".") if len(part) > 8)
        assert "CredentialError" in forge.refusal(token)
