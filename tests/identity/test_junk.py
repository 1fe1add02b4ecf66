"""
Generated junk: whatever is passed in, one of our errors comes out, and soon.

By hand, the slowest of these megabytes takes about 20 ms; the tests allow a second for a busy machine.
"""

from __future__ import annotations

import json
import time

import generated
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentid.errors import CredentialError
from agentid.identity import AgentId, TrustAnchor
from agentid.identity.agent_id import parse_trust_domain

many = settings(
    max_examples=generated.examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

SEGMENT = st.text("ABCDefgh0189-_", max_size=60)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.binary(max_size=30)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
COMPACT = st.lists(SEGMENT, min_size=1, max_size=5).map(".".join)
ANYTHING = JSON | COMPACT | st.text() | st.tuples(SCALARS) | st.sets(st.integers())

CLAIM_NAMES = st.sampled_from(
    [
        "iss",
        "sub",
        "aud",
        "exp",
        "iat",
        "nbf",
        "jti",
        "cnf",
        "del_depth",
        "del_max_depth",
        "authorization_details",
        "urn:x-agentid:agent",
        "urn:x-agentid:obo",
        "scope",
        "status",
        "act",
        "x",
    ]
)
HEADER_NAMES = st.sampled_from(["alg", "kid", "typ", "crit", "jwk", "b64", "zip", "x"])
PLAIN_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=10,
)
JWK = st.fixed_dictionaries(
    {},
    optional={
        "kty": st.sampled_from(["EC", "OKP", "RSA", "oct"]) | PLAIN_JSON,
        "crv": st.sampled_from(["P-256", "Ed25519", "P-384"]) | PLAIN_JSON,
        "use": st.sampled_from(["wit-svid", "jwt-svid", "agentid-grant", "agentid-audit"]) | PLAIN_JSON,
        "kid": st.just("k") | PLAIN_JSON,
        "alg": st.sampled_from(["ES256", "Ed25519"]) | PLAIN_JSON,
        "x": st.text("Aag-_8", min_size=43, max_size=43) | PLAIN_JSON,
        "y": st.text("Aag-_8", min_size=43, max_size=43) | PLAIN_JSON,
    },
)
JWKS = st.fixed_dictionaries({"keys": st.lists(JWK | PLAIN_JSON, max_size=4)}, optional={"spiffe_sequence": PLAIN_JSON})
MEGABYTES = [
    "a" * 2**20,
    "." * 2**20,
    "/" * 2**20,
    "a." * 2**19,
    "é" * 2**20,
    "\ud800" * 2**20,
    "\x00" * 2**20,
    "spiffe://" + "a" * 2**20,
    "spiffe://a" + "/a" * 2**19,
    "spiffe://a" + "/.." * 2**18,
    "[" * 2**20,
    '{"keys":[' + "{}," * 2**18,
    '{"keys":' + "9" * 2**20 + "}",
    '{"keys":["' + "\\u0000" * 2**17 + '"]}',
    '{"keys":[' + '{"kty":"EC"},' * 70_000 + "{}]}",
    "eyJhbGciOiJFUzI1NiJ9." + "A" * 2**20 + "." + "A" * 86,
    b"a" * 2**20,
    [["a"] * 1000] * 1000,
    {"keys": [{"kty": "EC", "use": "wit-svid", "kid": "k"}] * 200_000},
    {"keys": [{}] * 200_000},
    {str(n): n for n in range(100_000)},
]


def only_our_error(function, *args, **kwargs):
    """Call, and let nothing pass but a result or our error; say whether there was a result."""
    start = time.thread_time()
    try:
        function(*args, **kwargs)
    except CredentialError as error:
        if not str(error).isprintable():
            raise AssertionError("an error that breaks a line") from error
        return False
    finally:
        assert time.thread_time() - start < 1
    return True


@many
@given(ANYTHING | st.text("spiffe:/.aA\n%@?#", max_size=40) | st.text(max_size=20).map("spiffe://".__add__))
def test_junk_is_no_agent_id(junk):
    """Or it is one, and then reads back as itself."""
    only_our_error(parse_trust_domain, junk)
    if only_our_error(AgentId.parse, junk):
        assert AgentId.parse(junk) == AgentId.parse(str(AgentId.parse(junk)))
    only_our_error(AgentId.make, junk, "bot")
    only_our_error(AgentId.make, "acme.example", junk)


@many
@given(junk=ANYTHING)
def test_junk_is_no_token(trust, junk):
    """Of no kind, and no chain of tokens."""
    assert not only_our_error(trust.verify_credential, junk)
    assert not only_our_error(trust.verify_grant, junk)
    assert not only_our_error(trust.verify_grant, [junk])
    assert not only_our_error(trust.verify_jwt_svid, junk, audience="me")
    assert not only_our_error(trust.verify_jwt_svid, "a.b.c", audience=junk)
    assert not only_our_error(trust.verify_agent, junk)


@many
@given(now=ANYTHING | st.datetimes())
def test_junk_is_no_time(trust, bot, now):
    """`None` and numbers are; whatever else, one of our errors comes out."""
    only_our_error(trust.verify_credential, bot.credential_token, now=now)
    only_our_error(trust.verify_grant, bot.grant_chain, now=now)
    only_our_error(trust.verify_agent, bot, now=now)


@many
@given(data=st.data())
def test_signed_junk_is_refused_as_well(forge, data):
    """Even the authority's own key does not make sense of nonsense."""
    payload = data.draw(
        st.dictionaries(CLAIM_NAMES, PLAIN_JSON, max_size=6).map(lambda changes: json.dumps(forge.claims() | changes))
        | PLAIN_JSON.map(json.dumps)
        | st.binary(max_size=60)
    )
    header = data.draw(
        st.none()
        | st.dictionaries(HEADER_NAMES, PLAIN_JSON, max_size=3).map(
            lambda changes: json.dumps(forge.header() | changes)
        )
        | st.binary(max_size=60)
    )
    if header == b"" or payload == b"":
        return

    only_our_error(forge.verify, forge.token(header, payload))


@many
@given(data=st.data())
def test_signed_junk_inside_a_claim_is_refused_as_well(forge, data):
    """One level down."""
    claims = forge.claims()
    outer = data.draw(st.sampled_from([name for name, value in claims.items() if isinstance(value, dict)]))
    changed = claims[outer] | data.draw(st.dictionaries(st.sampled_from([*claims[outer], "x"]), PLAIN_JSON, max_size=3))

    only_our_error(forge.verify, forge.token(payload=claims | {outer: changed}))


@many
@given(data=st.data())
@pytest.mark.parametrize("forge", ["grant"], indirect=True)
def test_signed_junk_inside_a_permission_is_refused_as_well(forge, data):
    """In each member of an entry, and in constraints."""
    detail = forge.claims()["authorization_details"][0] | {"constraints": {"amount": {"at_most": 1}}}
    names = st.sampled_from([*detail, "x"])
    junk = PLAIN_JSON | st.lists(PLAIN_JSON, max_size=3) | st.dictionaries(st.just("amount"), PLAIN_JSON)
    detail |= data.draw(st.dictionaries(names, junk, max_size=2))

    only_our_error(forge.verify, forge.token(payload=forge.claims(authorization_details=[detail])))


@many
@given(junk=ANYTHING | JWKS | JWKS.map(json.dumps) | PLAIN_JSON.map(json.dumps))
def test_junk_is_no_key_set(junk):
    """Nor is what nearly is one."""
    only_our_error(TrustAnchor.from_jwks, junk, trust_domain="acme.example")


@many
@given(name=ANYTHING)
def test_junk_is_no_trust_domain(trust, name):
    """For an anchor."""
    only_our_error(TrustAnchor.from_jwks, trust.to_jwks(), trust_domain=name)


@pytest.mark.parametrize("junk", MEGABYTES, ids=range(len(MEGABYTES)))
def test_a_megabyte_of_junk_costs_nothing(trust, junk):
    """For no parser. Error texts stay short, too."""
    for attempt in (
        lambda: AgentId.parse(junk),
        lambda: AgentId.make(junk, "bot"),
        lambda: AgentId.make("acme.example", junk),
        lambda: trust.verify_credential(junk),
        lambda: trust.verify_grant(junk),
        lambda: trust.verify_grant([junk]),
        lambda: trust.verify_jwt_svid(junk, audience="me"),
        lambda: trust.verify_agent(junk),
        lambda: TrustAnchor.from_jwks(junk, trust_domain="acme.example"),
        lambda: TrustAnchor.from_jwks(trust.to_jwks(), trust_domain=junk),
    ):
        start = time.thread_time()
        with pytest.raises(CredentialError) as caught:
            attempt()
        assert time.thread_time() - start < 1
        assert len(str(caught.value)) < 1000
