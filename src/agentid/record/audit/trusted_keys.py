"""The keys that may sign an audit log, out of whatever a caller trusts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol, cast, runtime_checkable

from agentid import names
from agentid.errors import ConfigurationError
from agentid.signing import ED25519, KeySet, PublicKey

__all__ = ["PublishesKeys", "Trust", "audit_keys"]


@runtime_checkable
class PublishesKeys(Protocol):
    """A trust anchor, as far as it matters here."""

    def to_jwks(self) -> dict[str, object]:
        """Give its public keys as a JWK set."""
        ...


Trust = PublishesKeys | KeySet | Mapping[str, object] | Iterable[PublicKey]
"""A trust anchor, a key set, a decoded JWK set, or public keys."""


def audit_keys(trust: Trust) -> tuple[PublicKey, ...]:
    """
    Give the Ed25519 keys that *trust* has for audit logs.

    Raises:
        ConfigurationError: It has none, so nothing could be verified.
        CredentialError: It is a malformed set of keys.
    """
    if isinstance(trust, KeySet):
        found = trust.with_use(names.AUDIT_USE).values()
    elif isinstance(trust, Mapping):
        found = KeySet.from_jwks(cast("object", trust)).with_use(names.AUDIT_USE).values()
    elif isinstance(trust, PublishesKeys):
        found = KeySet.from_jwks(trust.to_jwks()).with_use(names.AUDIT_USE).values()
    else:
        # Whatever else is in there, such as the anchors of several trust domains, is no key: a log is of one of them.
        listed = cast("Iterable[object]", trust) if isinstance(cast("object", trust), Iterable) else ()
        found = [key for key in listed if isinstance(key, PublicKey) and key.use in {"", names.AUDIT_USE}]
    keys = tuple(key for key in found if key.alg == ED25519)
    if not keys:
        raise ConfigurationError(
            "The audit log cannot be verified",
            why="what is trusted has no key for audit logs",
            fix="Pass `authority.trust`, or the JWK set that the authority publishes",
        )
    return keys
