"""The trust anchor: what it remembers, what it looks at again, and how it is published."""

from __future__ import annotations

import json
import math
from datetime import datetime, timedelta, timezone

import pytest

from agentid.errors import (
    ConfigurationError,
    CredentialError,
    CredentialExpiredError,
    CredentialRevokedError,
)
from agentid.identity import Authority, TrustAnchor
from agentid.identity.cache import Cache
from agentid.signing import PrivateKey


@pytest.fixture
def counted(monkeypatch):
    """How often a signature was checked."""
    import agentid.identity.verifier as module

    calls = []
    real = module.decode
    monkeypatch.setattr(module, "decode", lambda *args, **kwargs: calls.append(1) or real(*args, **kwargs))
    return calls


# --- remembering ------------------------------------------------------------------------------------


def test_a_signature_is_checked_once(forge, counted):
    """The same token again gives the same result."""
    token = forge.token()

    assert forge.verify(token) is forge.verify(token)
    assert [1] == counted


def test_a_refusal_is_not_remembered(forge, counted):
    """Nobody can fill the memory with junk."""
    token = forge.token(key=PrivateKey.generate())
    for _ in range(3):
        forge.refusal(token)

    assert [1, 1, 1] == counted
    verifier = forge.trust._verifier
    for cache in (verifier._credentials, verifier._svids, verifier._grants):
        assert 0 == len(cache)


def test_what_is_remembered_expires_all_the_same(forge, clock):
    """The time is looked at each time."""
    token = forge.token()
    forge.verify(token)
    clock.forward(240)

    assert "CredentialExpiredError" in forge.refusal(token)


def test_what_is_remembered_has_to_have_started(forge, clock):
    """Also for a question about an earlier time."""
    token = forge.token()
    forge.verify(token)
    clock.forward(-6)

    assert "not good before" in forge.refusal(token)


def test_what_is_remembered_can_be_revoked(forge):
    """Revocation is looked at each time."""
    token = forge.token()
    forge.verify(token)
    forge.trust.revoke("token-1")

    assert "CredentialRevokedError" in forge.refusal(token)


def test_what_is_remembered_ends_with_its_key(forge, keys):
    """Keys are looked at each time, and another key with the same id does not do."""
    token = forge.token()
    forge.verify(token)
    others = [PrivateKey.generate().public_key(use="wit-svid")]
    forge.trust.replace_keys(others)

    assert "no key of its issuer" in forge.refusal(token)

    forge.trust.replace_keys(key.public_key(use=use) for use, key in keys.items())

    assert forge.verify(token)


def test_what_was_verified_can_be_forgotten(forge, counted):
    """Then each signature is checked again; what was revoked stays revoked."""
    token = forge.token()
    forge.verify(token)
    forge.trust.forget()

    assert forge.verify(token)
    assert [1, 1] == counted
    forge.trust.revoke("token-1")
    forge.trust.forget()
    assert "CredentialRevokedError" in forge.refusal(token)


def test_an_svid_is_remembered_for_its_audience_only(make_forge, authority, bot):
    """Another audience is refused, however often the right one was accepted."""
    token = authority.jwt_svid(bot, audience="me")
    authority.trust.verify_jwt_svid(token, audience="me")

    with pytest.raises(CredentialError, match="another audience"):
        authority.trust.verify_jwt_svid(token, audience="you")


def test_the_memory_is_bounded():
    """By the number of entries and by their size; what was not used for longest goes first."""
    cache = Cache(entries=3, size=100)
    for name in "abc":
        cache.put(name, name.upper(), 10)
    assert "A" == cache.get("a")
    cache.put("d", "D", 10)

    assert (["A", None, "C", "D"]) == [cache.get(name) for name in "abcd"]

    cache.put("e", "E", 95)
    assert (1, "E") == (len(cache), cache.get("e"))

    cache.put("f", "F", 101)
    assert (1, None, "E") == (len(cache), cache.get("f"), cache.get("e"))

    for _ in range(50):
        cache.put("e", "E2", 95)
    assert (1, "E2") == (len(cache), cache.get("e"))

    cache.clear()
    cache.put("g", "G", 100)
    assert (1, "G") == (len(cache), cache.get("g"))


# --- revocation -------------------------------------------------------------------------------------


def test_the_generation_grows_with_whatever_changes_an_answer(trust, keys):
    """Whoever remembers a result compares this one number."""
    seen = [trust.generation]
    trust.revoke("a")
    seen.append(trust.generation)
    trust.revoke("a", "b")
    seen.append(trust.generation)
    trust.replace_keys(key.public_key(use=use) for use, key in keys.items())
    seen.append(trust.generation)

    assert sorted(set(seen)) == seen


def test_the_generation_does_not_grow_by_asking(trust, bot):
    """It would cost every guard its plans."""
    before = trust.generation
    trust.verify_agent(bot)
    trust.is_revoked("x")

    assert before == trust.generation


def test_what_was_revoked_is_known(trust):
    """By its id."""
    trust.revoke("a", "b")

    assert [True, True, False] == [trust.is_revoked(i) for i in "abc"]


@pytest.mark.parametrize("junk", [None, 1, b"x", ["x"]])
def test_only_ids_are_revoked(trust, junk):
    """A slip must not look like a revocation that worked."""
    with pytest.raises(ConfigurationError):
        trust.revoke("a", junk)
    assert not trust.is_revoked("a")


@pytest.mark.parametrize("kind", ["credential", "jwt-svid"])
def test_revoking_an_instance_revokes_all_that_was_issued_for_it(make_forge, kind):
    """Whatever the id of the one token is."""
    forge = make_forge(kind)
    forge.trust.revoke("instance-1")

    assert "CredentialRevokedError" in forge.refusal(forge.token())


# --- time -------------------------------------------------------------------------------------------


def test_the_clock_is_the_anchors_unless_a_time_is_passed(make_forge, clock):
    """As seconds, or as a time with a time zone."""
    forge = make_forge("credential")
    token = forge.token()
    clock.now = 0

    assert "not good before" in forge.refusal(token)
    moment = datetime.fromtimestamp(forge.now, tz=timezone.utc)
    for now in (forge.now, float(forge.now), moment, moment.astimezone(timezone(timedelta(hours=9)))):
        assert forge.verify(token, now=now)
    with pytest.raises(CredentialExpiredError):
        forge.verify(token, now=moment + timedelta(hours=1))


@pytest.mark.parametrize(
    "now",
    [
        math.nan,
        math.inf,
        -math.inf,
        True,
        False,
        "1795392000",
        b"1",
        [],
        10**400,
        datetime(2026, 11, 25),  # noqa: DTZ001
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-23))),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=23))),
        object(),
    ],
    ids=range(13),
)
def test_a_time_that_is_none_is_refused(forge, now):
    """Also for what is remembered: nothing is good at no time."""
    token = forge.token()
    forge.verify(token)

    assert "Credential" in forge.refusal(token, now=now)


def test_a_time_without_a_zone_is_refused(forge):
    """It would mean another moment on each machine."""
    token = forge.token()
    naive = datetime.fromtimestamp(forge.now + 10)  # noqa: DTZ006

    assert "the time is neither" in forge.refusal(token, now=naive)
    assert forge.verify(token, now=naive.astimezone())


@pytest.mark.parametrize("broken", [math.nan, None, "now", True])
def test_a_clock_that_is_broken_refuses(forge, clock, broken):
    """It does not make everything good."""
    token = forge.token()
    forge.verify(token)
    clock.now = broken

    assert "the time is neither" in forge.refusal(token)


def test_the_leeway_is_at_most_a_minute(keys):
    """It is for clocks that differ, not for tokens that are late."""
    public = [keys["wit-svid"].public_key(use="wit-svid")]

    TrustAnchor("acme.example", public, leeway=60)
    for leeway in (61, -1, math.nan, "5", None):
        with pytest.raises(ConfigurationError, match="0 to 60"):
            TrustAnchor("acme.example", public, leeway=leeway)


# --- publishing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [lambda jwks: jwks, json.dumps, lambda jwks: json.dumps(jwks).encode()])
def test_published_keys_are_enough_to_verify(authority, bot, clock, form):
    """In another process, from a dict or from text."""
    trust = TrustAnchor.from_jwks(form(authority.trust.to_jwks()), trust_domain="acme.example", clock=clock)

    assert bot.id == trust.verify_agent(bot).credential.id
    assert trust.verify_jwt_svid(authority.jwt_svid(bot, audience="me"), audience="me")


def test_keys_are_published_as_a_spiffe_bundle(trust, keys):
    """With a number that grows, and every key by its use; the audit key is there, and no private one."""
    jwks = trust.to_jwks()

    assert {"spiffe_sequence", "spiffe_refresh_hint", "keys"} == jwks.keys()
    assert ["wit-svid", "jwt-svid", "agentid-grant", "agentid-status", "agentid-audit"] == [
        key["use"] for key in jwks["keys"]
    ]
    assert [keys[key["use"]].kid for key in jwks["keys"]] == [key["kid"] for key in jwks["keys"]]
    assert not any("d" in key for key in jwks["keys"])

    trust.replace_keys(key.public_key(use=use) for use, key in keys.items())
    assert jwks["spiffe_sequence"] + 1 == trust.to_jwks()["spiffe_sequence"]


def test_the_number_of_a_published_set_is_kept(trust):
    """Whoever republishes it does not make it look older."""
    again = TrustAnchor.from_jwks({**trust.to_jwks(), "spiffe_sequence": 41}, trust_domain="acme.example")

    assert 41 == again.to_jwks()["spiffe_sequence"]


@pytest.mark.parametrize("number", [-1, True, "1", 1.5, None, 2**60, []])
def test_a_number_that_is_none_is_refused(trust, number):
    """It orders the sets."""
    with pytest.raises(CredentialError, match="spiffe_sequence"):
        TrustAnchor.from_jwks({**trust.to_jwks(), "spiffe_sequence": number}, trust_domain="acme.example")


def test_keys_of_one_trust_domain_verify_nothing_of_another(authority, bot, clock):
    """Even when they are the very same keys."""
    other = TrustAnchor.from_jwks(authority.trust.to_jwks(), trust_domain="other.example", clock=clock)

    for attempt in (
        lambda: other.verify_credential(bot.credential_token),
        lambda: other.verify_grant(bot.grant_chain),
        lambda: other.verify_jwt_svid(authority.jwt_svid(bot, audience="x"), audience="x"),
    ):
        with pytest.raises(CredentialError, match=r"trust domain"):
            attempt()


@pytest.mark.parametrize(
    "jwks",
    [
        {"keys": []},
        {"keys": [{"kty": "RSA", "use": "jwt-svid", "kid": "x"}]},
        {},
        [],
        None,
        "",
        "{",
        "[]",
        "null",
        '{"keys":[],"keys":[]}',
        '{"keys":NaN}',
        b"\xff",
        "[" * 100_000,
        " " * 300_000,
        1,
        object(),
    ],
    ids=range(16),
)
def test_a_set_that_can_verify_nothing_is_refused(jwks):
    """Empty is not everything, and not nothing either."""
    with pytest.raises(CredentialError) as caught:
        TrustAnchor.from_jwks(jwks, trust_domain="acme.example")
    assert str(caught.value).isprintable()


def test_a_set_that_is_too_long_is_refused(trust):
    """However good it is."""
    with pytest.raises(CredentialError, match="longer than"):
        TrustAnchor.from_jwks(json.dumps(trust.to_jwks()) + " " * 256 * 1024, trust_domain="acme.example")


def test_an_anchor_without_keys_is_a_mistake(trust):
    """Made by hand, or emptied later."""
    with pytest.raises(ConfigurationError, match="no key"):
        TrustAnchor("acme.example", [])
    with pytest.raises(ConfigurationError, match="no key"):
        trust.replace_keys([])


@pytest.mark.parametrize("name", ["", "a/b", "acme.example\n", "spiffe://acme.example", None, 1])
def test_an_anchor_has_a_trust_domain(trust, name):
    """One that is a name."""
    with pytest.raises(CredentialError):
        TrustAnchor.from_jwks(trust.to_jwks(), trust_domain=name)


def test_a_live_anchor_is_shared(authority, bot):
    """The authority gives the same one each time, and a revocation shows in it at once."""
    trust = authority.trust
    trust.verify_agent(bot)
    authority.revoke(bot)

    assert trust is authority.trust
    with pytest.raises(CredentialRevokedError):
        trust.verify_agent(bot)


def test_an_anchor_of_its_own_knows_nothing_of_a_revocation(authority, bot, clock):
    """Within a process it is shared; beyond, lifetimes are short. Stated, so that nobody is surprised."""
    other = TrustAnchor.from_jwks(authority.trust.to_jwks(), trust_domain="acme.example", clock=clock)
    authority.revoke(bot)

    assert other.verify_agent(bot)


def test_two_authorities_do_not_verify_each_other(bot):
    """Though they have the same name."""
    other = Authority.create("acme.example", clock=lambda: 1_795_392_000)

    with pytest.raises(CredentialError, match="no key of its issuer"):
        other.trust.verify_agent(bot)


def test_what_it_shows_is_public(trust):
    """Its name and the number of its keys."""
    assert "<TrustAnchor acme.example, 5 keys>" == repr(trust)
