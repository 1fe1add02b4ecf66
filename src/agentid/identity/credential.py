"""
The credential: who an agent is, as facts that were checked.

A credential says nothing about what the agent may do; that is the grant's. It comes in two forms that
are never mixed up: a WIT, proven by the key it names, and a JWT-SVID, for peers that want one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from agentid import names
from agentid.errors import CredentialError
from agentid.identity.agent_id import AgentId
from agentid.identity.token import CREDENTIAL, JWT_SVID, TokenKind, refused
from agentid.signing import ES256, PublicKey

__all__ = ["Credential", "holder_key"]

_HOLDER_MEMBERS: Final[frozenset[str]] = frozenset({"kty", "crv", "alg", "x", "y"})


@dataclass(frozen=True, slots=True)
class Credential:
    """
    Who an agent is. Only the code that verified a token, or is about to sign one, makes it.

    Attributes:
        id: The agent's SPIFFE ID.
        token_id: The token's `jti`.
        instance: This issue of the agent; revoking the agent revokes it.
        owner: Who answers for the agent, such as `team:support`.
        purpose: What it is for.
        issued_at: Unix seconds.
        expires_at: Unix seconds; at this moment it is over.
        key_id: The thumbprint of the key that proves it.
        key: That key; a JWT-SVID only names it.
        type: `wit` or `jwt-svid`.
    """

    id: AgentId
    token_id: str
    instance: str
    owner: str
    purpose: str
    issued_at: int
    expires_at: int
    key_id: str
    key: PublicKey | None = None
    type: Literal["wit", "jwt-svid"] = "wit"

    @property
    def name(self) -> str:
        """What people call the agent."""
        return self.id.name

    @property
    def jwk(self) -> dict[str, str] | None:
        """The public key that proves it, as a JWK; `None` for a JWT-SVID."""
        return self.key.jwk if self.key is not None else None

    @property
    def token_ids(self) -> tuple[str, ...]:
        """The ids of which any one, revoked, takes this back."""
        return (self.token_id, self.instance)

    def to_claims(self) -> dict[str, Any]:
        """Give the claims of the WIT that says this."""
        return {**self._common(), "cnf": {"jwk": self.jwk}}

    def to_svid_claims(self, *, audience: str, token_id: str, issued_at: int, expires_at: int) -> dict[str, Any]:
        """Give the claims of a JWT-SVID of this agent for *audience*."""
        return {
            **self._common(),
            "jti": token_id,
            "iat": issued_at,
            "exp": expires_at,
            "aud": audience,
            "cnf": {"jkt": self.key_id},
        }

    def _common(self) -> dict[str, Any]:
        return {
            "iss": issuer(self.id.trust_domain),
            "sub": str(self.id),
            "jti": self.token_id,
            "iat": self.issued_at,
            "exp": self.expires_at,
            names.AGENT_CLAIM: {
                "ver": 1,
                "name": self.name,
                "instance": self.instance,
                "owner": self.owner,
                "purpose": self.purpose,
            },
        }

    @classmethod
    def from_claims(cls, claims: dict[str, Any]) -> Credential:
        """
        Read the claims of a WIT.

        Raises:
            CredentialError: They are not a WIT's, contradict each other, or the key is not a public P-256 key.
        """
        from agentid.identity.claims import CredentialClaims, read  # loads pydantic

        read_claims = read(CredentialClaims, claims, CREDENTIAL)
        key = holder_key(read_claims.cnf.jwk, CREDENTIAL)
        return cls(
            id=_subject(read_claims.sub, read_claims.iss, read_claims.agent.name, CREDENTIAL),
            token_id=read_claims.jti,
            instance=read_claims.agent.instance,
            owner=read_claims.agent.owner,
            purpose=read_claims.agent.purpose,
            issued_at=read_claims.iat,
            expires_at=read_claims.exp,
            key_id=key.thumbprint,
            key=key,
        )

    @classmethod
    def from_svid_claims(cls, claims: dict[str, Any], *, audience: str) -> Credential:
        """
        Read the claims of a JWT-SVID for *audience*.

        Raises:
            CredentialError: They are not a JWT-SVID's, contradict each other, or are for somebody else.
        """
        from agentid.identity.claims import JwtSvidClaims, read  # loads pydantic

        read_claims = read(JwtSvidClaims, claims, JWT_SVID)
        if read_claims.aud != audience:
            raise refused(JWT_SVID, "it is for another audience")
        return cls(
            id=_subject(read_claims.sub, read_claims.iss, read_claims.agent.name, JWT_SVID),
            token_id=read_claims.jti,
            instance=read_claims.agent.instance,
            owner=read_claims.agent.owner,
            purpose=read_claims.agent.purpose,
            issued_at=read_claims.iat,
            expires_at=read_claims.exp,
            key_id=read_claims.cnf.jkt,
            type="jwt-svid",
        )


def issuer(trust_domain: str) -> str:
    """Say who issues the credentials of *trust_domain*: its own id, which no OIDC client takes for an issuer."""
    return f"spiffe://{trust_domain}"


def holder_key(jwk: Mapping[str, str], kind: TokenKind) -> PublicKey:
    """
    Read the public key in `cnf`: of exactly its own members, with its algorithm.

    Raises:
        CredentialError: It has another member, such as a private one, or is not a public P-256 key.
    """
    # An agent's key is always P-256: what SPIFFE, key management services and HSMs have in common.
    if _HOLDER_MEMBERS.symmetric_difference(jwk) or jwk["alg"] != ES256:
        raise refused(kind, f"the key it names is not a public `{ES256}` key with nothing else")
    try:
        return PublicKey.from_jwk(jwk)
    except CredentialError as error:
        raise refused(kind, f"of the key it names, {error.why}") from None


def _subject(subject: str, claimed_issuer: str, name: str, kind: TokenKind) -> AgentId:
    try:
        agent_id = AgentId.parse(subject)
    except CredentialError:
        raise refused(kind, "its `sub` is not a SPIFFE ID") from None
    if str(agent_id) != subject or not agent_id.path:
        raise refused(kind, "its `sub` is not the SPIFFE ID of an agent in its one spelling")
    if claimed_issuer != issuer(agent_id.trust_domain):
        raise refused(kind, "its `sub` is not of its issuer's trust domain")
    if name != agent_id.name:
        raise refused(kind, "its name is not the one in its `sub`")
    return agent_id
