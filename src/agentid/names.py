"""
The names that `agentid` puts into tokens, keys and files, all derived from one constant.

Whoever renames something here renames it everywhere. OpenTelemetry attributes are not here: only
`agentid.record` knows those.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "AGENT_CLAIM",
    "AUDIT_USE",
    "AUTHORIZATION_TYPE",
    "CREDENTIAL_TYP",
    "CREDENTIAL_USE",
    "DELEGATE_ISSUER",
    "GRANT_TYP",
    "GRANT_USE",
    "JWT_SVID_TYP",
    "JWT_SVID_USE",
    "KEY_USES",
    "ON_BEHALF_OF_CLAIM",
    "POSSESSION_CONTEXT",
    "REVOKED_CLAIM",
    "STATUS_LIST_TYP",
    "STATUS_USE",
    "URN",
    "grant_issuer",
]

URN: Final = "urn:x-agentid"
"""The root of every name of our own."""

AGENT_CLAIM: Final = f"{URN}:agent"
"""The claim of a credential that says who the agent is: name, owner, purpose, instance."""

ON_BEHALF_OF_CLAIM: Final = f"{URN}:obo"
"""The claim of a grant that names the person for whom the agent acts."""

REVOKED_CLAIM: Final = f"{URN}:revoked"
"""The claim of a published list of statuses that names what has no place in the list."""

POSSESSION_CONTEXT: Final = f"{URN}:possession".encode()
"""Comes before a challenge that an agent signs, so that the signature can never pass for a token's."""

DELEGATE_ISSUER: Final = "urn:ietf:params:oauth:jwk-thumbprint:sha-256:"
"""Comes before the thumbprint of the key that issues a later link of a grant (RFC 9278)."""

CREDENTIAL_TYP: Final = "wit+jwt"
GRANT_TYP: Final = "agentid-del+jwt"
JWT_SVID_TYP: Final = "JWT"
STATUS_LIST_TYP: Final = "statuslist+jwt"

CREDENTIAL_USE: Final = "wit-svid"
JWT_SVID_USE: Final = "jwt-svid"
GRANT_USE: Final = "agentid-grant"
AUDIT_USE: Final = "agentid-audit"
STATUS_USE: Final = "agentid-status"

KEY_USES: Final = (CREDENTIAL_USE, JWT_SVID_USE, GRANT_USE, STATUS_USE, AUDIT_USE)
"""What a key of an authority can be for. One key, one use."""

AUTHORIZATION_TYPE: Final = "agentid_access"
"""The RFC 9396 `type` of one entry of a grant's `authorization_details`."""


def grant_issuer(trust_domain: str) -> str:
    """
    Say who issues the grants of *trust_domain*.

    It differs from the issuer of credentials on purpose: a token of one kind names an issuer that
    the other kind does not know.
    """
    return f"{URN}:authority:{trust_domain}"
