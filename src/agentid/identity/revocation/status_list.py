"""
The Token Status List (draft-ietf-oauth-status-list): a signed list with one status for each place.

A token names its place and the list; whoever can fetch the list learns whether the token was taken back, without
asking the authority. Any server of static files can publish it, as it is signed by a key for that alone.

What has no place in the list, such as a link that an agent signed, stands in a claim of our own, which readers that
do not know it skip.

A list is read strictly, and nothing of it counts before its signature was checked. Where it comes from, and for how
long it counts, is not known here.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, cast

from agentid import names
from agentid.identity.credential import issuer
from agentid.identity.revocation.revoked import Revoked, StatusReference
from agentid.identity.token import UNREAD, TokenKind, decode, encode, refused
from agentid.signing import ES256, PublicKey, Signer, b64url

if TYPE_CHECKING:
    from agentid.errors import CredentialError
    from agentid.identity.revocation.store import Listed

__all__ = ["STATUS_LIST", "Published", "StatusList", "read_status_list", "write_status_list"]

STATUS_LIST: Final = TokenKind(
    "status list", names.STATUS_LIST_TYP, names.STATUS_USE, frozenset({ES256}), 24 * 3600, max_size=8 * 1024 * 1024
)

MAX_BYTES: Final = 16 * 1024 * 1024
"""What a list may unpack to: a few bytes can stand for any number."""

LIFETIMES: Final = 5
"""A list is good for this many times its `ttl`, so that a publisher who is late once or twice stops nobody."""

_BITS: Final = (1, 2, 4, 8)
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class StatusList:
    """
    A status for each place; never changed.

    Attributes:
        uri: What tokens call it.
        bits: How many a status has: 1, 2, 4 or 8.
        packed: The statuses, the first in the lowest bits of the first byte.
    """

    uri: str
    bits: int
    packed: bytes = field(repr=False)

    @classmethod
    def of(cls, uri: str, places: Iterable[int], size: int) -> StatusList:
        """Make a list with one bit for each of *size* places, set for *places*."""
        packed = bytearray(-(-size // 8))
        for place in places:
            packed[place >> 3] |= 1 << (place & 7)
        return cls(uri, 1, bytes(packed))

    @classmethod
    def unpacked(cls, uri: str, claim: object) -> StatusList:
        """
        Read the claim `status_list`.

        Raises:
            CredentialError: It is not one, or unpacks to more than anyone needs.
        """
        members = _object(claim)
        bits, text = members.get("bits"), members.get("lst")
        if type(bits) is not int or bits not in _BITS or not isinstance(text, str):
            raise refused(STATUS_LIST, "its `status_list` is not one")
        return cls(uri, bits, _inflate(text))

    def to_claim(self) -> dict[str, Any]:
        """Give the claim `status_list`."""
        return {"bits": self.bits, "lst": b64url(zlib.compress(self.packed, 9))}

    def value(self, reference: StatusReference, kind: TokenKind) -> int:
        """
        Give the status of the token of *kind* that says *reference*: 0 if it is valid.

        Raises:
            CredentialError: Its status is in another list, or at a place that this one does not have.
        """
        if reference.uri != self.uri:
            raise refused(kind, "its status is published in another list than the one that is read")
        per_byte = 8 // self.bits
        byte, position = divmod(reference.idx, per_byte)
        if not 0 <= byte < len(self.packed):
            raise refused(kind, "its status is at a place that the list does not have")
        return (self.packed[byte] >> (position * self.bits)) & ((1 << self.bits) - 1)


@dataclass(frozen=True, slots=True)
class Published:
    """
    A list as it was published, and verified.

    Attributes:
        revoked: What it says.
        order: Grows from one list to the next: when it was issued, and the version of what it says.
        ttl: Seconds after which the next one may be there.
        expires_at: Unix seconds.
    """

    revoked: Revoked
    order: tuple[int, int]
    ttl: float
    expires_at: int


def write_status_list(listed: Listed, signer: Signer, *, uri: str, trust_domain: str, now: int, ttl: int) -> str:
    """
    Sign a list.

    Args:
        listed: What it says.
        signer: For that use only.
        uri: What tokens call it.
        trust_domain: Whose list it is.
        now: Unix seconds.
        ttl: Seconds after which the next one will be there.

    Raises:
        ConfigurationError: It would be longer than its reader accepts.
    """
    statuses = StatusList.of(uri, listed.places, listed.size)
    claims = {
        "iss": issuer(trust_domain),
        "sub": uri,
        "iat": now,
        "exp": now + LIFETIMES * ttl,
        "ttl": ttl,
        "status_list": statuses.to_claim(),
        names.REVOKED_CLAIM: {"version": listed.version, "ids": listed.ids, "names": listed.names},
    }
    return encode(signer, STATUS_LIST, claims)


def read_status_list(
    token: str, keys: Mapping[str, PublicKey], *, trust_domain: str, now: float, leeway: float
) -> Published:
    """
    Verify a list that is good *now*, and read it.

    Args:
        token: The signed list.
        keys: By id; only keys that may sign lists.
        trust_domain: Whose list it has to be.
        now: Unix seconds.
        leeway: Seconds by which the authority's clock may be ahead of ours.

    Raises:
        CredentialError: It is not a list of *trust_domain*, or not good now.
    """
    claims, lifetime = decode(token, STATUS_LIST, keys, UNREAD, now=now, leeway=leeway)
    uri, ttl = claims.get("sub"), claims.get("ttl")
    if claims.get("iss") != issuer(trust_domain):
        raise refused(STATUS_LIST, "it is not of this trust domain")
    if not isinstance(uri, str):
        raise refused(STATUS_LIST, "its `sub` is not text")
    if type(ttl) is not int or ttl <= 0:
        raise refused(STATUS_LIST, "its `ttl` is not a number of seconds")
    version, ids, revoked_names = _also_revoked(claims.get(names.REVOKED_CLAIM))
    statuses = StatusList.unpacked(uri, claims.get("status_list"))
    return Published(Revoked(ids, revoked_names, statuses), (claims["iat"], version), ttl, lifetime.ends)


def _also_revoked(claim: object) -> tuple[int, frozenset[str], frozenset[str]]:
    # Without it we would know less than the authority said; so, unlike others, we do not read a list that has none.
    members = _object(claim)
    version = members.get("version")
    if type(version) is not int:
        raise _wrong_claim()
    return version, _texts(members.get("ids")), _texts(members.get("names"))


def _object(claim: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", claim) if isinstance(claim, Mapping) else MappingProxyType({})


def _texts(value: object) -> frozenset[str]:
    entries = cast("list[object]", value) if isinstance(value, list) else [None]
    texts = frozenset(entry for entry in entries if isinstance(entry, str))
    if not all(isinstance(entry, str) for entry in entries):
        raise _wrong_claim()
    return texts


def _wrong_claim() -> CredentialError:
    return refused(STATUS_LIST, f"its `{names.REVOKED_CLAIM}` is missing or wrong")


def _inflate(text: str) -> bytes:
    # `urlsafe_b64decode` skips what is not in its alphabet.
    if _BASE64URL.fullmatch(text) is None:
        raise refused(STATUS_LIST, "its `lst` is not base64url")
    unpacker = zlib.decompressobj()
    try:
        packed = unpacker.decompress(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), MAX_BYTES + 1)
    except (binascii.Error, zlib.error):
        raise refused(STATUS_LIST, "its `lst` cannot be unpacked") from None
    if len(packed) > MAX_BYTES:
        raise refused(STATUS_LIST, f"its `lst` unpacks to more than {MAX_BYTES} bytes")
    if not unpacker.eof or unpacker.unused_data:
        raise refused(STATUS_LIST, "its `lst` is not one whole list")
    return packed
