"""The published list of statuses: packed as the standard says, read strictly, and good for a while only."""

from __future__ import annotations

import base64
import json
import os
import random
import zlib
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentid.errors import ConfigurationError, CredentialError, CredentialRevokedError
from agentid.identity import Authority, TrustAnchor
from agentid.identity.keys.key_ring import KeyRing
from agentid.identity.revocation import status_list as module
from agentid.identity.revocation.revoked import POLL, StatusReference
from agentid.identity.revocation.status_list import STATUS_LIST, StatusList, read_status_list, write_status_list
from agentid.identity.revocation.store import Listed
from agentid.identity.token import CREDENTIAL
from agentid.signing import PrivateKey

NOW = 1_795_392_000
URI = "https://acme.example/status/1"
FILE = json.loads((Path(__file__).parents[2] / "conformance" / "status_list.json").read_text("utf-8"))


def segment(content):
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims_of(token):
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def value(statuses, idx):
    return statuses.value(StatusReference(idx, URI), CREDENTIAL)


# --- packing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", FILE["lists"], ids=[vector["comment"] for vector in FILE["lists"]])
def test_the_lists_of_the_standard_are_read(vector):
    statuses = StatusList.unpacked(URI, {"bits": vector["bits"], "lst": vector["lst"]})
    expected = {int(idx): status for idx, status in vector["statuses"].items()}
    rest = random.Random(1).sample(range(vector["size"]), min(2000, vector["size"]))

    assert vector["size"] == len(statuses.packed) * 8 // vector["bits"]
    assert expected == {idx: value(statuses, idx) for idx in expected}
    assert {0} >= {value(statuses, idx) for idx in rest if idx not in expected}
    for idx in (-1, vector["size"], 2**31 - 1):
        with pytest.raises(CredentialError, match="does not have"):
            value(statuses, idx)


@pytest.mark.parametrize("vector", [v for v in FILE["lists"] if v["bits"] == 1], ids=lambda v: v["comment"])
def test_the_lists_of_the_standard_are_written(vector):
    """The same bytes; how they are compressed may differ."""
    revoked = [int(idx) for idx, status in vector["statuses"].items() if status]
    made = StatusList.of(URI, revoked, vector["size"])

    assert StatusList.unpacked(URI, {"bits": 1, "lst": vector["lst"]}).packed == made.packed
    assert made == StatusList.unpacked(URI, made.to_claim())


@given(size=st.integers(1, 300), data=st.data())
def test_what_is_packed_is_unpacked(size, data):
    places = data.draw(st.sets(st.integers(0, size - 1)))
    statuses = StatusList.unpacked(URI, StatusList.of(URI, places, size).to_claim())

    assert places == {idx for idx in range(size) if value(statuses, idx)}


def test_a_status_in_another_list_is_refused():
    """Its place says nothing in this one."""
    with pytest.raises(CredentialError, match="another list"):
        StatusList.of(URI, [], 8).value(StatusReference(0, f"{URI}0"), CREDENTIAL)


def raw_deflate(data):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def packed(data, **changes):
    return {"bits": 1, "lst": segment(zlib.compress(data)), **changes}


@pytest.mark.parametrize(
    ("claim", "why"),
    [
        (None, "is not one"),
        ([], "is not one"),
        ({}, "is not one"),
        ({"bits": 1}, "is not one"),
        (packed(b"", bits=3), "is not one"),
        (packed(b"", bits=0), "is not one"),
        (packed(b"", bits=True), "is not one"),
        (packed(b"", bits=1.0), "is not one"),
        (packed(b"", bits="1"), "is not one"),
        (packed(b"", lst=None), "is not one"),
        (packed(b"", lst=""), "not base64url"),
        (packed(b"", lst="eNo="), "not base64url"),
        (packed(b"", lst="eN o"), "not base64url"),
        (packed(b"", lst="e+/A"), "not base64url"),
        (packed(b"", lst="eNrbuRgAAhcBXQ\n"), "not base64url"),
        (packed(b"", lst="A"), "cannot be unpacked"),
        (packed(b"", lst=segment(b"junk")), "cannot be unpacked"),
        (packed(b"", lst=segment(zlib.compress(b"x" * 100)[:-5])), "not one whole list"),
        (packed(b"", lst=segment(zlib.compress(b"x") + b"y")), "not one whole list"),
        (packed(b"", lst=segment(raw_deflate(b"x" * 100))), "cannot be unpacked"),
        (packed(bytes(module.MAX_BYTES + 1)), "unpacks to more than"),
        (packed(bytes(10 * module.MAX_BYTES)), "unpacks to more than"),
    ],
    ids=range(22),
)
def test_a_list_that_is_none_is_refused(claim, why):
    with pytest.raises(CredentialError, match=why):
        StatusList.unpacked(URI, claim)


# --- the signed list ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ring():
    return KeyRing.generate()


@pytest.fixture(scope="module")
def key(ring):
    return ring.signers["agentid-status"]


def listed(**changes):
    return Listed(**{"version": 7, "size": 16, "places": (3,), "ids": ("link",), "names": ("bot",), **changes})


def signed(key, *, header=None, **changes):
    """A list, signed, with other claims or another header."""
    token = write_status_list(listed(), key, uri=URI, trust_domain="acme.example", now=NOW, ttl=60)
    head = {"alg": "ES256", "kid": key.kid, "typ": "statuslist+jwt", **(header or {})}
    claims = {name: value for name, value in {**claims_of(token), **changes}.items() if value is not None}
    signing_input = f"{segment(head)}.{segment(claims)}"
    return f"{signing_input}.{segment(key.sign(signing_input.encode()))}"


def read(token, ring, *, now=NOW, trust_domain="acme.example"):
    keys = {key.kid: key for key in ring.public_keys(NOW) if key.use == "agentid-status"}
    return read_status_list(token, keys, trust_domain=trust_domain, now=now, leeway=5)


def test_a_list_has_the_claims_of_the_standard(key, ring):
    """And one of ours, for what has no place in it."""
    token = write_status_list(listed(), key, uri=URI, trust_domain="acme.example", now=NOW, ttl=60)
    head = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))

    assert {"alg": "ES256", "kid": key.kid, "typ": "statuslist+jwt"} == head
    assert {
        "iss": "spiffe://acme.example",
        "sub": URI,
        "iat": NOW,
        "exp": NOW + 300,
        "ttl": 60,
        "status_list": {"bits": 1, "lst": segment(zlib.compress(b"\x08\x00", 9))},
        "urn:x-agentid:revoked": {"version": 7, "ids": ["link"], "names": ["bot"]},
    } == claims_of(token)
    published = read(token, ring)
    assert ((NOW, 7), 60, NOW + 300) == (published.order, published.ttl, published.expires_at)
    assert ({"link"}, {"bot"}) == (published.revoked.ids, published.revoked.names)
    assert 1 == value(published.revoked.statuses, 3)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"header": {"typ": "JWT"}}, "its `typ` is not"),
        ({"header": {"typ": "wit+jwt"}}, "its `typ` is not"),
        ({"header": {"alg": "none"}}, "its algorithm is not allowed"),
        ({"header": {"zip": "DEF"}}, "nothing else"),
        ({"iss": None}, "not of this trust domain"),
        ({"iss": "spiffe://other.example"}, "not of this trust domain"),
        ({"sub": 1}, "its `sub`"),
        ({"sub": None}, "its `sub`"),
        ({"iat": None}, "its `iat`"),
        ({"exp": None}, "its `exp`"),
        ({"exp": NOW + 25 * 3600}, "within"),
        ({"iat": NOW + 6, "exp": NOW + 66}, "not good before"),
        ({"ttl": None}, "its `ttl`"),
        ({"ttl": 0}, "its `ttl`"),
        ({"ttl": -1}, "its `ttl`"),
        ({"ttl": True}, "its `ttl`"),
        ({"ttl": "60"}, "its `ttl`"),
        ({"ttl": 1.5}, "its `ttl`"),
        ({"status_list": None}, "its `status_list`"),
        ({"status_list": {"bits": 1}}, "its `status_list`"),
        ({"urn:x-agentid:revoked": None}, "missing or wrong"),
        ({"urn:x-agentid:revoked": []}, "missing or wrong"),
        ({"urn:x-agentid:revoked": {"version": 1, "ids": []}}, "missing or wrong"),
        ({"urn:x-agentid:revoked": {"version": 1, "ids": [1], "names": []}}, "missing or wrong"),
        ({"urn:x-agentid:revoked": {"version": 1, "ids": {}, "names": []}}, "missing or wrong"),
        ({"urn:x-agentid:revoked": {"version": True, "ids": [], "names": []}}, "missing or wrong"),
        ({"urn:x-agentid:revoked": {"ids": [], "names": []}}, "missing or wrong"),
    ],
    ids=range(27),
)
def test_a_list_that_is_wrong_is_refused(key, ring, changes, why):
    assert read(signed(key), ring)
    with pytest.raises(CredentialError, match=why):
        read(signed(key, **changes), ring)


def test_claims_that_are_not_known_are_skipped(key, ring):
    """The standard allows them."""
    assert read(signed(key, aggregation="x", aud="anyone"), ring)


@pytest.mark.parametrize("use", ["wit-svid", "jwt-svid", "agentid-grant"])
def test_a_list_signed_by_a_key_for_something_else_is_refused(ring, use):
    """One key, one use."""
    with pytest.raises(CredentialError, match="no key of its issuer"):
        read(signed(ring.signers[use]), ring)


def test_a_list_signed_by_another_authority_is_refused(ring):
    with pytest.raises(CredentialError, match="no key of its issuer"):
        read(signed(PrivateKey.generate()), ring)


def test_a_list_that_was_changed_is_refused(key, ring):
    head, body, signature = signed(key).split(".")
    other = segment({**claims_of(f".{body}."), "urn:x-agentid:revoked": {"version": 7, "ids": [], "names": []}})

    with pytest.raises(CredentialError, match="signature"):
        read(f"{head}.{other}.{signature}", ring)


def test_the_key_of_lists_signs_no_credential(authority, keys, make_forge):
    for kind in ("credential", "jwt-svid", "grant"):
        forge = make_forge(kind)
        header = forge.header(kid=keys["agentid-status"].kid)
        assert "no key of its issuer" in forge.refusal(forge.token(header, key=keys["agentid-status"]))


# --- what tokens say ------------------------------------------------------------------------------------


@pytest.fixture
def publisher(clock):
    return Authority.create("acme.example", clock=clock, status_uri=URI)


def test_a_credential_and_a_grant_say_where_their_status_is(publisher):
    """Each at a place of its own; a link that an agent signed has none."""
    bot = publisher.issue("bot")
    helper = bot.delegate("helper")
    credential, grant, link = (claims_of(token) for token in (bot.credential_token, *helper.grant_chain))

    assert {"idx", "uri"} == credential["status"]["status_list"].keys() == grant["status"]["status_list"].keys()
    assert {URI} == {claims["status"]["status_list"]["uri"] for claims in (credential, grant)}
    assert credential["status"] != grant["status"]
    assert "status" not in link
    assert "status" not in claims_of(publisher.jwt_svid(bot, audience="peer"))
    assert credential["status"] == publisher.trust.verify_credential(bot.credential_token).status.to_claim()
    assert grant["status"] == publisher.trust.verify_grant(helper.grant_chain).status.to_claim()


def test_without_a_list_nothing_is_said_about_one(authority):
    bot = authority.issue("bot")

    assert "status" not in claims_of(bot.credential_token)
    assert "status" not in claims_of(bot.grant_chain[0])


@pytest.mark.parametrize("kind", ["credential", "grant"])
@pytest.mark.parametrize(
    "status",
    [
        {},
        [],
        "x",
        {"status_list": {}},
        {"status_list": {"idx": 1}},
        {"status_list": {"uri": URI}},
        {"status_list": {"idx": -1, "uri": URI}},
        {"status_list": {"idx": True, "uri": URI}},
        {"status_list": {"idx": 1.0, "uri": URI}},
        {"status_list": {"idx": "1", "uri": URI}},
        {"status_list": {"idx": 2**31, "uri": URI}},
        {"status_list": {"idx": 1, "uri": ""}},
        {"status_list": {"idx": 1, "uri": 1}},
        {"status_list": {"idx": 1, "uri": "a\nb"}},
        {"status_list": {"idx": 1, "uri": URI, "more": 1}},
        {"status_list": {"idx": 1, "uri": URI}, "another_list": {}},
    ],
    ids=range(16),
)
def test_a_status_that_is_none_is_refused(make_forge, kind, status):
    """What is not understood might be what takes the token back."""
    forge = make_forge(kind)
    assert forge.verify(forge.token(payload=forge.claims(status={"status_list": {"idx": 1, "uri": URI}})))

    assert "`status`" in forge.refusal(forge.token(payload=forge.claims(status=status)))


def test_a_jwt_svid_has_no_status(make_forge):
    """It lives for minutes, and is taken back with its agent."""
    forge = make_forge("jwt-svid")

    assert "must not have" in forge.refusal(
        forge.token(payload=forge.claims(status={"status_list": {"idx": 1, "uri": URI}}))
    )


def test_a_status_shows_in_the_bits_for_readers_that_know_no_claim_of_ours(publisher):
    """Also those of an agent that was taken back by its name, until that is lifted."""
    bot, named, other = publisher.issue("bot"), publisher.issue("named"), publisher.issue("other")
    publisher.revoke(bot)
    publisher.revoke("named")

    def bits():
        statuses = StatusList.unpacked(URI, claims_of(publisher.status_list())["status_list"])
        return [
            statuses.value(StatusReference(**claims_of(token)["status"]["status_list"]), CREDENTIAL)
            for agent in (bot, named, other)
            for token in (agent.credential_token, agent.grant_chain[0])
        ]

    assert [1, 1, 1, 1, 0, 0] == bits()
    publisher.reinstate("named")
    assert [1, 1, 0, 0, 0, 0] == bits()


@pytest.mark.parametrize(
    "uri",
    [
        "", "acme.example/status", "/status", "https://acme.example/a b", "https://acme.example/\n", "é:x", 1,
        b"https://a/b", "https://a/" + "x" * 512,
    ],
)  # fmt: skip
def test_a_list_is_published_at_a_uri(tmp_path, uri):
    for attempt in (
        lambda: Authority.create("acme.example", status_uri=uri),
        lambda: Authority.open(tmp_path / "authority.pem", trust_domain="acme.example", status_uri=uri),
    ):
        with pytest.raises(ConfigurationError, match="`status_uri` was refused"):
            attempt()
    assert [] == list(tmp_path.iterdir())


def test_an_authority_that_does_not_know_where_has_no_list(authority):
    with pytest.raises(ConfigurationError, match="status_uri="):
        authority.status_list()


@pytest.mark.parametrize("ttl", [timedelta(0), timedelta(hours=1, seconds=1), 60, None])
def test_the_time_until_the_next_list_is_bounded(publisher, ttl):
    with pytest.raises(ConfigurationError, match="lifetime"):
        publisher.status_list(ttl=ttl)


def test_a_key_file_from_before_gets_a_key_for_lists_when_one_is_wanted(tmp_path, clock):
    """And keeps all others. Without lists it is left as it is."""
    path = tmp_path / "authority.pem"
    before = Authority.open(path, trust_domain="acme.example", clock=clock)
    kids = {key.use: key.kid for key in before.trust.keys}
    text = path.read_text()
    start = text.index("agentid-use: agentid-status")
    path.write_text(text[:start] + text[text.index("agentid-use: agentid-audit") :])
    old = path.read_bytes()
    again = Authority.open(path, trust_domain="acme.example", clock=clock)
    assert old == path.read_bytes()
    assert {use: kid for use, kid in kids.items() if use != "agentid-status"} == {
        k.use: k.kid for k in again.trust.keys
    }

    publisher = Authority.open(path, trust_domain="acme.example", clock=clock, status_uri=URI)
    now = {key.use: key.kid for key in publisher.trust.keys}
    assert kids.keys() == now.keys()
    assert ["agentid-status"] == [use for use in kids if kids[use] != now[use]]
    other = Authority.open(path, trust_domain="acme.example", clock=clock, status_uri=URI)
    assert now == {key.use: key.kid for key in other.trust.keys}
    assert publisher.status_list()


def test_an_authority_with_keys_from_elsewhere_may_have_none_for_lists(keys, clock):
    some = {use: key for use, key in keys.items() if use != "agentid-status"}
    authority = Authority("acme.example", some, clock=clock, status_uri=URI)

    with pytest.raises(ConfigurationError, match="no key for it"):
        authority.status_list()


# --- reading it -----------------------------------------------------------------------------------------


@pytest.fixture(params=["file", "function"])
def served(request, tmp_path, publisher, clock):
    """A list that can be replaced, an anchor that reads it, and how long until it looks again."""
    place = tmp_path / "status.jwt"

    class Served:
        delay = POLL if request.param == "file" else 60
        fetched = 0

        def fetch(self):
            self.fetched += 1
            return place.read_text()

        def put(self, text):
            place.write_text(text)

    found = Served()
    found.put(publisher.status_list())
    found.place = place
    found.anchor = TrustAnchor.from_jwks(
        publisher.trust.to_jwks(),
        trust_domain="ACME.example",
        clock=clock,
        status=place if request.param == "file" else found.fetch,
    )
    return found


def refusal(anchor, agent):
    with pytest.raises(CredentialError) as caught:
        anchor.verify_agent(agent)
    assert type(caught.value) is CredentialError
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_a_list_is_read_again_when_it_is_time(served, publisher, clock):
    bot = publisher.issue("bot")
    assert served.anchor.verify_agent(bot)
    publisher.revoke(bot)
    served.put(publisher.status_list())
    assert served.anchor.verify_agent(bot)
    clock.forward(served.delay)

    with pytest.raises(CredentialRevokedError):
        served.anchor.verify_agent(bot)


@pytest.mark.parametrize("where", ["text", "path", "bytes"])
def test_a_list_comes_as_text_or_bytes_from_a_path_or_a_function(publisher, tmp_path, clock, where):
    bot = publisher.issue("bot")
    publisher.revoke(bot)
    place = tmp_path / "status.jwt"
    place.write_text(publisher.status_list() + "\n")
    status = {"text": str(place), "path": place, "bytes": place.read_bytes}[where]
    anchor = TrustAnchor.from_jwks(publisher.trust.to_jwks(), trust_domain="acme.example", clock=clock, status=status)

    with pytest.raises(CredentialRevokedError):
        anchor.verify_agent(bot)


def test_a_list_that_is_too_old_is_no_answer(served, publisher, clock):
    """However often it is served; a new one is."""
    bot = publisher.issue("bot")
    clock.forward(299.5)
    assert served.anchor.verify_agent(bot)
    clock.forward(0.5)
    assert "cannot be known: the status list was refused: the last one was good until" in refusal(served.anchor, bot)
    assert "identity status" in refusal(served.anchor, bot)

    served.put(publisher.status_list())
    clock.forward(POLL)
    assert served.anchor.verify_agent(bot)


def test_a_list_is_good_for_no_longer_than_it_says(publisher, clock):
    token = publisher.status_list(ttl=timedelta(seconds=10))
    anchor = TrustAnchor.from_jwks(
        publisher.trust.to_jwks(), trust_domain="acme.example", clock=clock, status=lambda: token
    )
    bot = publisher.issue("bot")
    clock.forward(49.5)
    assert anchor.verify_agent(bot)
    clock.forward(0.5)

    assert "good until" in refusal(anchor, bot)


def test_a_list_is_good_for_no_longer_than_the_reader_says(publisher, clock):
    token = publisher.status_list(ttl=timedelta(hours=1))
    anchor = TrustAnchor.from_jwks(
        publisher.trust.to_jwks(),
        trust_domain="acme.example",
        clock=clock,
        status=lambda: token,
        max_status_age=timedelta(seconds=10),
    )
    bot = publisher.issue("bot")
    clock.forward(9.5)
    assert anchor.verify_agent(bot)
    assert clock.now + 0.5 == anchor.due
    clock.forward(0.5)

    assert "good until" in refusal(anchor, bot)


@pytest.mark.parametrize("order", ["older", "same second"])
def test_a_list_that_is_older_than_one_before_is_refused(served, publisher, clock, order):
    """Or whoever serves it could take a revocation back."""
    bot = publisher.issue("bot")
    old = publisher.status_list()
    if order == "older":
        clock.forward(1)
    publisher.revoke(bot)
    served.put(publisher.status_list())
    with pytest.raises(CredentialRevokedError):
        served.anchor.verify_agent(bot)
    served.put(old)
    clock.forward(served.delay)

    why = "older than one that was read before" if order == "older" else "its authority knew of more"
    assert why in refusal(served.anchor, bot)


def test_a_list_from_a_store_that_was_put_back_is_refused(tmp_path, clock):
    """It is newer, and knows of less: what was revoked would be good again everywhere."""

    def publisher():
        return Authority.open(tmp_path / "keys.pem", trust_domain="acme.example", clock=clock, status_uri=URI)

    authority, published = publisher(), tmp_path / "status.jwt"
    anchor = TrustAnchor.from_jwks(
        authority.trust.to_jwks(), trust_domain="acme.example", clock=clock, status=published
    )
    bot = authority.issue("bot")
    authority.revoke("other")
    store = tmp_path / "keys.pem.revoked"
    backup = store.read_bytes()
    authority.revoke(bot)
    published.write_text(authority.status_list())
    with pytest.raises(CredentialRevokedError):
        anchor.verify_agent(bot)
    store.write_bytes(backup)
    clock.forward(60)
    published.write_text(publisher().status_list())

    assert "its authority knew of more" in refusal(anchor, bot)


def test_the_list_of_an_authority_that_was_made_anew_is_read(served, publisher, clock):
    """It knows of nothing yet, and accepts nothing of before."""
    bot = publisher.issue("bot")
    publisher.revoke(bot)
    served.put(publisher.status_list())
    with pytest.raises(CredentialRevokedError):
        served.anchor.verify_agent(bot)
    anew = Authority.create("acme.example", clock=clock, status_uri=URI)
    clock.forward(served.delay)
    served.put(anew.status_list())
    jwks = anew.trust.to_jwks() | {"spiffe_sequence": 2}
    served.anchor.refresh(jwks, trust_domain="acme.example")

    assert served.anchor.verify_agent(anew.issue("bot"))
    assert "no key of its issuer" in refusal(served.anchor, bot)


def test_a_clock_that_was_set_back_makes_no_list_good_for_longer(served, publisher, clock):
    """Whoever holds a list back would have as much more time."""
    bot = publisher.issue("bot", ttl=timedelta(hours=24))
    clock.forward(6 * 3600)
    served.put(publisher.status_list())
    assert served.anchor.verify_agent(bot)
    clock.forward(-5)
    assert served.anchor.verify_agent(bot)  # the leeway
    clock.forward(-1)
    assert "is not good before" in refusal(served.anchor, bot)
    clock.forward(6)
    assert served.anchor.verify_agent(bot)


def test_a_clock_that_was_ahead_and_was_put_right_stops_nobody_for_longer_than_the_next_list(served, publisher, clock):
    """Nor does it take a revocation back."""
    clock.forward(24 * 3600)
    bot = publisher.issue("bot")
    knows_nothing = publisher.status_list()
    publisher.revoke(bot)
    served.put(publisher.status_list())
    with pytest.raises(CredentialRevokedError):
        served.anchor.verify_agent(bot)
    clock.forward(-20 * 3600)
    other = publisher.issue("other", ttl=timedelta(hours=24))
    right = publisher.status_list()
    assert "is not good before" in refusal(served.anchor, other)
    clock.forward(served.delay)
    served.put(right)
    assert served.anchor.verify_agent(other)
    assert served.anchor.is_revoked(bot.describe()["credential_id"])

    # From here on it is as with any other list.
    clock.forward(20 * 3600 - served.delay)
    served.put(knows_nothing)
    assert "its authority knew of more" in refusal(served.anchor, other)
    clock.forward(-20 * 3600 + 30)
    served.put(publisher.status_list())
    clock.forward(POLL)
    assert served.anchor.verify_agent(other)
    served.put(right)
    clock.forward(served.delay)
    assert "older than one that was read before" in refusal(served.anchor, other)


def test_what_is_no_list_is_no_answer(served, publisher, clock):
    bot = publisher.issue("bot")
    assert served.anchor.verify_agent(bot)
    for junk in ("", "x", "a.b.c", bot.credential_token, "\x00" * 100):
        served.put(junk)
        clock.forward(served.delay)
        assert "the status list was refused" in refusal(served.anchor, bot)
        served.put(publisher.status_list())
        clock.forward(served.delay)
        assert served.anchor.verify_agent(bot)


def test_a_token_whose_status_is_elsewhere_is_refused(publisher, clock):
    """It cannot be known."""
    other = Authority("acme.example", publisher._store, clock=clock, status_uri=f"{URI}2")
    bot = publisher.issue("bot")
    anchor = TrustAnchor.from_jwks(
        publisher.trust.to_jwks(), trust_domain="acme.example", clock=clock, status=other.status_list
    )

    assert "another list" in refusal(anchor, bot)


@pytest.mark.parametrize("size", [8, 16])
def test_a_place_that_the_list_does_not_have_is_refused(make_forge, keys, clock, size):
    token = write_status_list(
        listed(places=(), size=size), keys["agentid-status"], uri=URI, trust_domain="acme.example", now=NOW, ttl=60
    )
    forge = make_forge("credential")
    anchor = TrustAnchor.from_jwks(
        forge.trust.to_jwks(), trust_domain="acme.example", clock=clock, status=lambda: token
    )
    credential = forge.token(payload=forge.claims(status={"status_list": {"idx": size - 1, "uri": URI}}))
    assert anchor.verify_credential(credential)
    credential = forge.token(payload=forge.claims(status={"status_list": {"idx": size, "uri": URI}}))

    with pytest.raises(CredentialError, match="does not have"):
        anchor.verify_credential(credential)


def test_a_file_that_is_missing_is_no_answer_and_a_pipe_does_not_hang(publisher, tmp_path, clock):
    place = tmp_path / "status.jwt"
    anchor = TrustAnchor.from_jwks(publisher.trust.to_jwks(), trust_domain="acme.example", clock=clock, status=place)
    bot = publisher.issue("bot")
    assert "no such file" in refusal(anchor, bot)
    if hasattr(os, "mkfifo"):
        os.mkfifo(place)
        clock.forward(POLL)
        assert "not an ordinary file" in refusal(anchor, bot)
        place.unlink()
    place.mkdir()
    clock.forward(POLL)
    assert "directory" in refusal(anchor, bot)
    place.rmdir()
    place.write_text(publisher.status_list())
    clock.forward(POLL)
    assert anchor.verify_agent(bot)

    place.unlink()
    clock.forward(POLL)
    assert "no such file" in refusal(anchor, bot)


def test_a_file_that_is_too_long_is_not_read_whole(publisher, tmp_path, clock):
    place = tmp_path / "status.jwt"
    place.write_text("x" * (STATUS_LIST.max_size + 1000))
    anchor = TrustAnchor.from_jwks(publisher.trust.to_jwks(), trust_domain="acme.example", clock=clock, status=place)

    assert "longer than" in refusal(anchor, publisher.issue("bot"))


def test_a_function_that_fails_is_forgiven_until_the_list_is_too_old(publisher, clock):
    """Networks fail. It is called again soon."""
    answers = [publisher.status_list(), OSError("secret")]

    def fetch():
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    anchor = TrustAnchor.from_jwks(publisher.trust.to_jwks(), trust_domain="acme.example", clock=clock, status=fetch)
    bot = publisher.issue("bot")
    assert anchor.verify_agent(bot)
    clock.forward(60)
    assert anchor.verify_agent(bot)
    assert clock.now + 5 == anchor.due
    clock.forward(240)
    assert "good until" in refusal(anchor, bot)
    answers[:] = [publisher.status_list()]
    clock.forward(5)
    assert anchor.verify_agent(bot)


@pytest.mark.parametrize("answer", [None, 1, ["x"], OSError("secret")])
def test_a_function_that_never_gave_a_list_is_no_answer(publisher, clock, answer):
    def fetch():
        if isinstance(answer, Exception):
            raise answer
        return answer

    anchor = TrustAnchor.from_jwks(publisher.trust.to_jwks(), trust_domain="acme.example", clock=clock, status=fetch)

    assert "secret" not in refusal(anchor, publisher.issue("bot"))


def test_a_list_hangs_on_the_key_that_signed_it(publisher, clock):
    """Newer keys without it, and it is no answer any more."""
    token = publisher.status_list()
    anchor = TrustAnchor.from_jwks(
        publisher.trust.to_jwks(), trust_domain="acme.example", clock=clock, status=lambda: token
    )
    assert anchor.verify_agent(publisher.issue("bot"))
    publisher.rotate(overlap=timedelta(0))
    anchor.refresh(publisher.trust.to_jwks(), trust_domain="acme.example")

    assert "no key of its issuer" in refusal(anchor, publisher.issue("bot"))


def test_a_list_does_not_outlive_its_keys_where_a_new_one_cannot_be_fetched(publisher, clock):
    """It was verified with keys that are no more, and nobody knows whether it would be with these."""
    answers = [publisher.status_list()]
    anchor = TrustAnchor.from_jwks(
        publisher.trust.to_jwks(), trust_domain="acme.example", clock=clock, status=answers.pop
    )
    bot = publisher.issue("bot")
    assert anchor.verify_agent(bot)
    publisher.rotate()
    anchor.refresh(publisher.trust.to_jwks())

    assert "could not be fetched" in refusal(anchor, bot)


@pytest.mark.parametrize("use", ["wit-svid", "jwt-svid", "agentid-grant"])
def test_an_anchor_takes_no_list_that_a_key_for_something_else_signed(authority, keys, bot, clock, use):
    token = signed(keys[use])
    anchor = TrustAnchor.from_jwks(
        authority.trust.to_jwks(), trust_domain="acme.example", clock=clock, status=lambda: token
    )

    assert "no key of its issuer" in refusal(anchor, bot)


def test_a_list_is_read_also_where_the_key_of_the_credential_was_replaced(publisher, clock):
    anchor = TrustAnchor.from_jwks(
        publisher.trust.to_jwks(), trust_domain="acme.example", clock=clock, status=publisher.status_list
    )
    bot = publisher.issue("bot")
    publisher.rotate()
    publisher.revoke(bot)
    anchor.refresh(publisher.trust.to_jwks())

    with pytest.raises(CredentialRevokedError):
        anchor.verify_agent(bot)


@pytest.mark.parametrize("status", [1, b"status.jwt", object(), ["x"]])
def test_a_list_is_in_a_file_or_comes_from_a_function(authority, status):
    with pytest.raises(ConfigurationError, match="`status` was refused"):
        TrustAnchor.from_jwks(authority.trust.to_jwks(), trust_domain="acme.example", status=status)


@pytest.mark.parametrize("age", [timedelta(0), timedelta(seconds=-1), timedelta(hours=24, seconds=1), 300, None])
def test_the_age_of_a_list_is_bounded(authority, age):
    with pytest.raises(ConfigurationError, match="`max_status_age` was refused"):
        TrustAnchor.from_jwks(authority.trust.to_jwks(), trust_domain="acme.example", status="x", max_status_age=age)


def test_revoked_links_and_names_go_beyond_the_bits(publisher, clock):
    """What is in no list of the standard is known to our readers all the same."""
    bot = publisher.issue("bot")
    helper = bot.delegate("helper")
    publisher.revoke(helper)
    publisher.revoke("bot/other")
    claims = claims_of(publisher.status_list())

    assert {"version": 3, "ids": [helper.own_ids[0]], "names": ["bot/other"]} == claims["urn:x-agentid:revoked"]
    assert set(StatusList.unpacked(URI, claims["status_list"]).packed) == {0}


def test_a_list_that_is_too_long_is_not_published():
    with pytest.raises(ConfigurationError, match="longer than"):
        write_status_list(
            listed(ids=tuple(f"{n:036}" for n in range(250_000))),
            PrivateKey.generate(),
            uri=URI,
            trust_domain="acme.example",
            now=NOW,
            ttl=60,
        )
