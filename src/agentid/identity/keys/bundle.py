"""
Published keys: a JWKS in the form of a SPIFFE bundle, read strictly.

- `spiffe_sequence` numbers the states of the keys, `spiffe_refresh_hint` says in how many seconds to look again.
- Entries for uses and kinds of keys that are not known here, such as certificates, are skipped.
- A map of several bundles, by trust domain, is never read as one.

When keys are asked for is not decided here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from agentid.errors import CredentialError
from agentid.identity.strict_json import StrictJSONError, parse_object
from agentid.signing import KeySet

__all__ = ["MAX_SEQUENCE", "Bundle"]

MAX_SIZE: Final = 256 * 1024
MAX_SEQUENCE: Final = 2**53
REFRESH_HINT: Final = 300


@dataclass(frozen=True, slots=True)
class Bundle:
    """
    The keys of one trust domain, as published.

    Attributes:
        keys: The keys that are understood here; perhaps none.
        sequence: The number of this state; `None` where its publisher does not count.
    """

    keys: KeySet
    sequence: int | None

    @classmethod
    def parse(cls, jwks: object) -> Bundle:
        """
        Read a JWKS, as text or decoded.

        Raises:
            CredentialError: It is not one, or a key in it is not what it says.
        """
        decoded = _decoded(jwks)
        if not isinstance(decoded, Mapping):
            raise refused("it is not a JSON object")
        members = cast("Mapping[object, object]", decoded)
        if "trust_domains" in members:
            raise refused("it is a map of several trust domains", fix="Pass the keys of one of them")
        keys = KeySet.from_jwks(members)
        sequence = members.get("spiffe_sequence")
        if "spiffe_sequence" in members and (type(sequence) is not int or not 0 <= sequence <= MAX_SEQUENCE):
            raise refused("its `spiffe_sequence` is not a number")
        return cls(keys, cast("int | None", sequence))

    def replaces(self, before: Bundle, *, is_vouched_for: bool) -> bool:
        """
        Say whether these keys are to be taken in the place of *before*, or are the same.

        Args:
            before: The keys of one trust domain.
            is_vouched_for: Somebody who knows said that these are of the same one. Otherwise a key that is in both
                has to say so: published keys do not name their trust domain.

        Raises:
            CredentialError: They are older, contradict those of before, or may be another trust domain's.
        """
        if before.sequence is not None and (self.sequence is None or self.sequence < before.sequence):
            raise refused("it is older than the keys of before, or does not say")
        keys, known = set(self.keys), set(before.keys)
        if keys == known:
            return False
        if before.sequence is not None and self.sequence == before.sequence:
            raise refused("it has the number of the keys of before, and other keys")
        if not is_vouched_for and keys.isdisjoint(known):
            raise refused(
                "it has none of the keys of before, so it may be of another trust domain",
                fix="Pass trust_domain= as well, if you know whose keys they are",
            )
        return True

    def to_jwks(self) -> dict[str, Any]:
        """Give it for publication."""
        numbered = {} if self.sequence is None else {"spiffe_sequence": self.sequence}
        return {**numbered, "spiffe_refresh_hint": REFRESH_HINT, "keys": self.keys.to_jwks()}


def refused(why: str, *, fix: str = "") -> CredentialError:
    """Make the error for published keys that are not taken; *why* is a fixed phrase, never a part of them."""
    return CredentialError("A set of public keys was refused", why=why, fix=fix)


def _decoded(jwks: object) -> object:
    if isinstance(jwks, str | bytes):
        if len(jwks) > MAX_SIZE:
            raise refused(f"it is longer than {MAX_SIZE} characters")
        try:
            return parse_object(jwks)
        except StrictJSONError as error:
            raise refused(str(error)) from None
    return jwks
