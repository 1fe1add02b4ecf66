"""
Signed tokens: the compact form that a credential, a grant or a JWT-SVID travels in.

Decoding applies RFC 8725 in full, in this order, and refuses at the first doubt:

1. text, and not too long;
2. three segments of canonical base64url, so that no token can be spelled otherwise;
3. a header of exactly `alg`, `kid` and `typ`: nothing that names, embeds or locates a key, no `crit`, no `zip`;
4. the `typ` of this kind of token, and an `alg` that is allowed for it;
5. a key of the right use with that `kid`, whose own algorithm is that `alg`;
6. the signature; only then are the claims read, as strict JSON;
7. `iat`, `nbf` and `exp`, whole numbers, within the longest lifetime of this kind.

A JWT-SVID may be of another issuer, and SPIFFE asks for less: `kid`, `typ` and `iat` may be missing.

What a claim means is not known here. PyJWT does the signature (`agentid.signing`), and none of the
rest: it accepts any `typ`, repeated members, `NaN`, padding, a missing `exp` and a string for `exp`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from agentid import names
from agentid.errors import ConfigurationError, CredentialError, CredentialExpiredError
from agentid.identity.strict_json import StrictJSONError, parse_object
from agentid.signing import ED25519, ES256, PublicKey, Signer, b64url, is_key_id

__all__ = [
    "CREDENTIAL",
    "GRANT",
    "JWT_SVID",
    "TOKEN_ID",
    "UNREAD",
    "Lifetime",
    "Shape",
    "TokenKind",
    "decode",
    "encode",
    "read_unverified",
]

MAX_TIME: Final = 253_402_300_799
"""The last second of the year 9999; what lies beyond cannot be shown as a date."""

MAX_OWN_SVID: Final = 300
"""Seconds that a JWT-SVID of ours lives, at most: whoever has it can pass for the agent."""

TOKEN_ID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
"""The ids of what we sign: UUIDs in their usual spelling, and none looks like the name of an agent."""

UNKNOWN_KEY: Final = "no key of its issuer has its `kid`"

_MAX_HEADER: Final = 1024
_SHAPE: Final = "it is not three segments of base64url"
_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_HEADER: Final = {"alg", "kid", "typ"}


# How a segment of some length may end. Its last character carries bits that no byte uses: they must be zero, or one
# token had many spellings.
_ENDS: Final = {0: _ALPHABET, 2: b"AQgw", 3: b"AEIMQUYcgkosw048"}


class _Header(NamedTuple):
    """What a header says that passed: with which key it was signed, and how."""

    alg: str
    kid: str | None


@dataclass(frozen=True, slots=True, eq=False)
class TokenKind:
    """
    What sets one kind of token apart from every other: `typ`, signing key, algorithms, limits.

    INVARIANT: no two kinds share a `typ` or a key use, so no token passes for another kind.

    Attributes:
        name: What error texts call it.
        typ: Its media type, without `application/`.
        use: Which keys sign it.
        algs: Which algorithms may sign it.
        max_lifetime: Seconds from `iat` to `exp`, at most.
        max_size: Characters, at most.
        is_standard: Others issue it, too: `kid`, `typ` and `iat` may be missing, and `typ` may be `JOSE`.
    """

    name: str
    typ: str
    use: str
    algs: frozenset[str]
    max_lifetime: int
    max_size: int = 16 * 1024
    is_standard: bool = False


# SPIFFE allows no EdDSA for credentials and SVIDs.
CREDENTIAL: Final = TokenKind("credential", names.CREDENTIAL_TYP, names.CREDENTIAL_USE, frozenset({ES256}), 24 * 3600)
# Ours live no longer than `MAX_OWN_SVID`; how long others let theirs live is theirs to say, within a day.
JWT_SVID: Final = TokenKind(
    "JWT-SVID", names.JWT_SVID_TYP, names.JWT_SVID_USE, frozenset({ES256}), 24 * 3600, is_standard=True
)
# A hundred thousand permissions fit into a grant, which is what the index of `agentid.policy` is built for.
GRANT: Final = TokenKind(
    "grant", names.GRANT_TYP, names.GRANT_USE, frozenset({ES256, ED25519}), 24 * 3600, max_size=8 * 1024 * 1024
)


class Lifetime(NamedTuple):
    """
    From when to when a token is good, in Unix seconds.

    The leeway for clocks that differ is given once, to a token that has not started: `exp` means what
    it says, and nothing outlives it.
    """

    starts: int
    ends: int

    @classmethod
    def of(cls, claims: Mapping[str, Any], kind: TokenKind) -> Lifetime:
        """Read `iat`, `nbf` and `exp`; a `bool`, a fraction or text is none of them."""
        expires = _second(claims, "exp", kind)
        if kind.is_standard and "iat" not in claims:
            # It was issued at some time: no earlier than the longest lifetime of its kind before its end.
            issued = max(expires - kind.max_lifetime, 0)
        else:
            issued = _second(claims, "iat", kind)
        starts = _second(claims, "nbf", kind) if "nbf" in claims else issued
        if not 0 < expires - issued <= kind.max_lifetime:
            raise refused(kind, f"it must end after it was issued and within {kind.max_lifetime} seconds")
        return cls(max(starts, issued), expires)

    def within(self, other: Lifetime) -> Lifetime:
        """From when to when both are good."""
        return Lifetime(max(self.starts, other.starts), min(self.ends, other.ends))

    def check(self, kind: TokenKind, now: float, leeway: float) -> None:
        """Refuse a token that has not started or is over; `now` is one moment for the whole check."""
        # Written so that a clock that answers NaN refuses.
        if not now < self.ends:
            raise CredentialExpiredError(
                f"The {kind.name} has expired", why=f"it was good until {self.ends}", fix="Issue the agent again"
            )
        if not now + leeway >= self.starts:
            raise refused(kind, f"it is not good before {self.starts}")


Claims = TypeVar("Claims")
Claims_co = TypeVar("Claims_co", covariant=True)


class Shape(Protocol[Claims_co]):
    """What the claims of some kind of token have to be; `agentid.identity.claims` has them."""

    def quick(self, data: bytes) -> Claims_co | None:
        """Read JSON in its usual spelling at once, and as both steps would; `None` for whatever is not so."""
        ...

    def read(self, claims: dict[str, Any]) -> Claims_co:
        """
        Read claims that were read as strict JSON.

        Raises:
            CredentialError: A member is missing, unknown or of another type.
        """
        ...


class _Unread:
    """Claims as they are, for whoever looks at each of them."""

    def quick(self, data: bytes) -> dict[str, Any] | None:  # noqa: ARG002 -- as `Shape` has it
        return None

    def read(self, claims: dict[str, Any]) -> dict[str, Any]:
        return claims


UNREAD: Final = _Unread()
"""No shape: whatever strict JSON says."""


def encode(signer: Signer, kind: TokenKind, claims: Mapping[str, Any]) -> str:
    """
    Sign *claims* as a token of *kind*.

    Raises:
        ConfigurationError: The claims are not JSON, or the token would be longer than its reader accepts.
    """
    header = {"alg": signer.alg, "kid": signer.kid, "typ": kind.typ}
    try:
        signing_input = f"{_segment(header)}.{_segment(claims)}"
    except (TypeError, ValueError, RecursionError):
        raise ConfigurationError(
            f"The {kind.name} was not issued",
            why="it has a value that JSON cannot carry, such as infinity or half a character",
        ) from None
    token = f"{signing_input}.{b64url(signer.sign(signing_input.encode('ascii')))}"
    if len(token) > kind.max_size:
        raise ConfigurationError(
            f"The {kind.name} was not issued",
            why=f"it would be longer than {kind.max_size} characters",
            fix="Write fewer or wider permissions, or shorter texts",
        )
    return token


def decode(
    token: object,
    kind: TokenKind,
    keys: Mapping[str, PublicKey],
    shape: Shape[Claims],
    *,
    now: float,
    leeway: float,
) -> tuple[Claims, Lifetime]:
    """
    Give the claims of a token of *kind* that one of *keys* signed and that is good *now*, and for how long.

    Args:
        token: Anything; only text can be a token.
        kind: What it has to be.
        shape: What its claims have to be.
        keys: By id; only keys that may sign this kind.
        now: Unix seconds.
        leeway: Seconds by which the issuer's clock may be ahead of ours.

    Raises:
        CredentialError: It is not such a token. Says why, never what was in it.
        CredentialExpiredError: It was one and is over.
    """
    head, payload, signature, signing_input = _split(token, kind)
    alg, kid = _header(head, kind)
    if alg not in kind.algs:
        raise refused(kind, "its algorithm is not allowed")
    if kid is not None:
        is_signed = _key(kid, alg, keys, kind).verify(signing_input, signature)
    else:
        is_signed = any(key.verify(signing_input, signature) for key in keys.values() if key.alg == alg)
    if not is_signed:
        raise refused(kind, "its signature does not verify")
    # Nearly every payload is spelled as we would spell it. Of any other, time is looked at before all the rest.
    claims = shape.quick(payload)
    unread: Any = claims if claims is not None else _object(payload, kind)
    lifetime = Lifetime.of(unread, kind)
    lifetime.check(kind, now, leeway)
    return claims if claims is not None else shape.read(unread), lifetime


def read_unverified(token: object, kind: TokenKind, shape: Shape[Claims]) -> Claims:
    """
    Give what a token says without believing it: for showing one's own, never for deciding.

    Raises:
        CredentialError: It does not have the shape of such a token.
    """
    head, payload, _, _ = _split(token, kind)
    _header(head, kind)
    claims = _object(payload, kind)
    Lifetime.of(claims, kind)
    return shape.read(claims)


def refused(kind: TokenKind, why: str, *, fix: str = "") -> CredentialError:
    """Make the error for a token that is not accepted; *why* is a fixed phrase, never a part of the token."""
    return CredentialError(f"The {kind.name} was refused", why=why, fix=fix)


def check_text(token: object, kind: TokenKind) -> str:
    """Give the token if it is text of bearable length: the one thing to know before it is even looked up."""
    # Exactly `str`: a subclass could compare equal to a token that was verified before.
    if type(token) is not str:
        raise refused(kind, "it is not text")
    if len(token) > kind.max_size:
        raise refused(kind, f"it is longer than {kind.max_size} characters")
    return token


def _split(token: object, kind: TokenKind) -> tuple[bytes, bytes, bytes, bytes]:
    text = check_text(token, kind)
    # What is left when all of base64url is taken out: two dots, and no other character anywhere.
    data = text.encode("ascii") if text.isascii() else b""
    if data.translate(None, _ALPHABET) != b"..":
        raise refused(kind, _SHAPE)
    head, payload, signature = data.split(b".")
    if not (head and payload and signature):
        raise refused(kind, _SHAPE)
    if len(head) > _MAX_HEADER:
        raise refused(kind, "its header is too long")
    return head, _unsegment(payload, kind), _unsegment(signature, kind), data[: -1 - len(signature)]


# One authority writes one header into all that it signs, so that few are ever seen. Only what passed is remembered.
@lru_cache(maxsize=128)
def _header(segment: bytes, kind: TokenKind) -> _Header:
    header = _object(_unsegment(segment, kind), kind)
    wanted = (_HEADER & header.keys()) | {"alg"} if kind.is_standard else _HEADER
    if header.keys() != wanted or not all(isinstance(value, str) for value in header.values()):
        raise refused(kind, "its header must have `alg`, `kid` and `typ`, and nothing else")
    typ = header.get("typ", kind.typ).lower().removeprefix("application/")
    if typ != kind.typ.lower() and not (kind.is_standard and typ == "jose"):
        raise refused(kind, f"its `typ` is not `{kind.typ}`")
    if "kid" in header and not is_key_id(header["kid"]):
        raise refused(kind, "its `kid` is not one")
    return _Header(header["alg"], header.get("kid"))


def _key(kid: str, alg: str, keys: Mapping[str, PublicKey], kind: TokenKind) -> PublicKey:
    key = keys.get(kid)
    if key is None:
        raise refused(kind, UNKNOWN_KEY)
    if key.alg != alg:
        raise refused(kind, "its algorithm is not its key's")
    return key


def _object(data: bytes, kind: TokenKind) -> dict[str, Any]:
    try:
        return parse_object(data)
    except StrictJSONError as error:
        raise refused(kind, f"of a part of it, {error}") from None


def _segment(value: Mapping[str, Any]) -> str:
    return b64url(json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8"))


def _unsegment(segment: bytes, kind: TokenKind) -> bytes:
    if segment[-1] not in _ENDS.get(len(segment) % 4, b""):
        raise refused(kind, "a segment is not canonical base64url")
    return _fast_base64url()(b'"' + segment + b'"')


@cache
def _fast_base64url() -> Callable[[bytes], bytes]:
    # Comes with pydantic, which the first token loads anyway, and takes a quarter of the time of `binascii`. What it is
    # given was checked to be base64url, and nothing that means anything in JSON.
    from pydantic_core import CoreConfig, SchemaValidator, core_schema

    return SchemaValidator(core_schema.bytes_schema(), CoreConfig(val_json_bytes="base64")).validate_json


def _second(claims: Mapping[str, Any], name: str, kind: TokenKind) -> int:
    value = claims.get(name)
    if type(value) is not int or not 0 <= value <= MAX_TIME:
        raise refused(kind, f"its `{name}` is not a whole number of seconds")
    return value
