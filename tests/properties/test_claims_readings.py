"""
The claims of a token say the same, read in one step as in two: the one step is for the usual spelling, and only for it.

Tokens are really signed, and read by `decode`. The answer that is wanted comes from the two steps alone, which are
given text: strict JSON of text is always read by the careful reader.
"""

from __future__ import annotations

import copy
import json

from generated import enough, tried

from agentid import names
from agentid.errors import CredentialError
from agentid.identity.claims import CREDENTIAL_SHAPE, GRANT_SHAPE, LINK_SHAPE
from agentid.identity.strict_json import StrictJSONError, parse_object
from agentid.identity.token import CREDENTIAL, GRANT, Lifetime, decode
from agentid.signing import PrivateKey, b64url

NOW = 1_795_392_000
KEY = PrivateKey.generate()
JWK = {"crv": "P-256", "kty": "EC", "x": "A" * 43, "y": "A" * 43, "alg": "ES256"}
STATUS = {"status_list": {"idx": 7, "uri": "https://acme.example/status/1"}}
DETAIL = {
    "type": "agentid_access",
    "actions": ["read", "edit"],
    "locations": ["crm/customers/*", "caf\u00e9/\U0001f600"],
    "effect": "ask",
    "constraints": {"amount": [{"at_most": 5.5}, {"one_of": [1, 1.0, True, None, "1", -0.0, 2**62]}], "to": {}},
}
TIMES = {"iat": NOW, "exp": NOW + 240}

# Members in the order of the shapes, without which nothing is read in one step.
KINDS = {
    "credential": (
        CREDENTIAL,
        CREDENTIAL_SHAPE,
        {
            "iss": "spiffe://acme.example",
            "sub": "spiffe://acme.example/agent/bot",
            "jti": "token-1",
            **TIMES,
            names.AGENT_CLAIM: {"ver": 1, "name": "bot", "instance": "i-1", "owner": "team:a", "purpose": ""},
            "cnf": {"jwk": JWK},
            "status": STATUS,
        },
    ),
    "grant": (
        GRANT,
        GRANT_SHAPE,
        {
            "iss": "urn:x-agentid:authority:acme.example",
            "jti": "grant-1",
            **TIMES,
            "cnf": {"jwk": JWK},
            "del_depth": 0,
            "del_max_depth": 2,
            "authorization_details": [DETAIL],
            names.ON_BEHALF_OF_CLAIM: {"sub": "user:ada"},
            "status": STATUS,
        },
    ),
    "link": (
        GRANT,
        LINK_SHAPE,
        {
            "iss": "urn:ietf:params:oauth:jwk-thumbprint:sha-256:x",
            "jti": "11111111-2222-4333-8444-555555555555",
            **TIMES,
            "cnf": {"jwk": JWK},
            "del_depth": 1,
            "del_max_depth": 2,
            "par_hash": "A" * 43,
            "authorization_details": [DETAIL, {**DETAIL, "constraints": {"a": {"a": {"a": []}}}}],
            names.AGENT_CLAIM: {"ver": 1, "name": "sub", "purpose": "caf\u00e9"},
        },
    ),
}
MEMBERS = [
    "agent",
    "person",
    names.AGENT_CLAIM,
    names.ON_BEHALF_OF_CLAIM,
    "status",
    "nbf",
    "aud",
    "sub",
    "a",
    "",
    "ver",
]
MEMBERS += ["constraints", "jwk", "par_hash", "\u00e9", '"', "exp", "type"]

# What JSON can spell, and what it cannot, as it stands in the text.
SPELLINGS = [
    "1",
    "-1",
    "0",
    "-0",
    "1.0",
    "0.0",
    "-0.0",
    "1e2",
    "1E2",
    "1e16",
    "1e+16",
    "1.5e-7",
    "1e22",
    "5e-324",
    "1.50",
]
SPELLINGS += [
    "1e400",
    "-1e400",
    "1e-400",
    "NaN",
    "Infinity",
    "-Infinity",
    "01",
    "true",
    "null",
    "0.1",
    "0.30000000000000004",
]
SPELLINGS += ["9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616"]
SPELLINGS += [
    "9" * 20,
    "-" + "9" * 19,
    "-" + "9" * 20,
    "9" * 40,
    "9" * 5000,
    str(NOW),
    f"{NOW}.0",
    str(NOW - 9),
    str(NOW + 99),
]
SPELLINGS += [
    '"1"',
    '""',
    '"\\u0061"',
    '"\\ud800"',
    '"\\ud83d\\ude00"',
    '"\\/"',
    '"\\u007f"',
    '"\x7f"',
    '"\\b"',
    '"a\\n"',
]
SPELLINGS += ["[]", "{}", "[1]", "[[[]]]", '{"a":1}', '{"a":1,"a":1}', '[{"a":{"b":1,"b":2}}]', "[" * 150 + "]" * 150]
SPELLINGS += [
    "[" * 300 + "]" * 300,
    '{"a":' * 250 + "1" + "}" * 250,
    '["allow"]',
    '"allow"',
    '"agentid_access"',
    '"2026-01-01"',
]

FRAGMENTS = [
    b'"a":1,',
    b",",
    b":",
    b" ",
    b"\\u0061",
    b"\\",
    b'"',
    b"0",
    b"9" * 20,
    b"-",
    b".",
    b"e9",
    b"{",
    b"}",
    b"[",
    b"]",
]
FRAGMENTS += [
    b"\xff",
    b"\xed\xa0\x80",
    b"\xc0\x80",
    b"\x00",
    b"\xef\xbb\xbf",
    b"true",
    b"\n",
    b"1",
    b"\xf4\x90\x80\x80",
]


def test_what_is_read_in_one_step_is_read_like_in_two():
    """Over claims of each kind, good and changed, in several spellings, then damaged: the same answer, or a refusal."""

    def law(rng, counted):
        kind = rng.choice(list(KINDS))
        token_kind, shape, claims = KINDS[kind]
        data = _damaged(rng, _written(rng, _changed(rng, copy.deepcopy(claims))))

        answer = _told(lambda: _decoded(token_kind, shape, data))
        assert _told(lambda: _in_two_steps(token_kind, shape, data)) == answer, data

        is_quick = shape.quick(data) is not None
        counted["refused" if answer.startswith("refused") else "quick" if is_quick else "slow"] += 1
        counted[f"quick {kind}" if is_quick else "other"] += 1

    least = {"refused": 2000, "quick": 800, "slow": 400, "quick credential": 100, "quick grant": 100, "quick link": 100}
    assert {} == enough(tried(6000, law), **least)


def _decoded(kind, shape, data):
    head = json.dumps({"alg": KEY.alg, "kid": KEY.kid, "typ": kind.typ}).encode()
    signed = f"{b64url(head)}.{b64url(data)}"
    token = f"{signed}.{b64url(KEY.sign(signed.encode()))}"
    return decode(token, kind, {KEY.kid: KEY.public_key()}, shape, now=NOW, leeway=5)


def _in_two_steps(kind, shape, data):
    claims = parse_object(data.decode("utf-8"))
    lifetime = Lifetime.of(claims, kind)
    lifetime.check(kind, NOW, 5)
    return shape.read(claims), lifetime


def _told(read):
    """What is read, which tells `1`, `1.0` and `true` apart, and the order; or the kind of error."""
    try:
        return repr(read())
    except CredentialError as error:
        return f"refused: {error.code}"
    except (StrictJSONError, UnicodeDecodeError):
        return f"refused: {CredentialError.code}"


def _changed(rng, claims):
    """Put something else somewhere, or a member more, or take one out, or exchange two."""
    for _ in range(rng.choice([0, 1, 1, 1, 2])):
        places = list(_places(claims))
        inside, name = rng.choice(places)
        kind = rng.random()
        if kind < 0.5:
            inside[name] = _Spelled(rng.choice(SPELLINGS))
        elif kind < 0.6:
            del inside[name]
        elif isinstance(inside, dict) and kind < 0.8:
            inside[rng.choice(MEMBERS)] = _Spelled(rng.choice(SPELLINGS))
        elif isinstance(inside, dict) and kind < 0.9:
            inside[name] = inside.pop(name)  # at the end
        elif isinstance(inside, dict):
            inside[rng.choice(MEMBERS)] = inside.pop(name)
        else:
            inside.append(inside[name])
    return claims


class _Spelled(str):
    """What stands in the text as it is."""

    __slots__ = ()


def _places(value):
    """Each place at which there is a value: what it is in, and under which name or number."""
    for name in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, name
        if isinstance(value[name], dict | list):
            yield from _places(value[name])


def _written(rng, claims):
    ensure_ascii = rng.random() < 0.1
    comma, colon = (", ", ": ") if rng.random() < 0.1 else (",", ":")

    def text(value):
        if isinstance(value, _Spelled):
            return str(value)
        if isinstance(value, dict):
            return "{" + comma.join(text(name) + colon + text(value[name]) for name in value) + "}"
        if isinstance(value, list):
            return "[" + comma.join(map(text, value)) + "]"
        return json.dumps(value, ensure_ascii=ensure_ascii)

    return text(claims).encode("utf-8")


def _damaged(rng, data):
    for _ in range(rng.choice([0, 0, 0, 0, 1, 2])):
        at = rng.randrange(len(data) + 1)
        kind = rng.random()
        if kind < 0.4:
            data = data[:at] + rng.choice(FRAGMENTS) + data[at:]
        elif kind < 0.6:
            data = data[:at] + data[at + 1 :]
        elif kind < 0.8:
            data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
        else:  # a member more, of which there is one already
            data = data[:1] + rng.choice([b'"jti":"a",', b'"exp":1,', b'"cnf":{},', b'"agent":1,']) + data[1:]
    return data
