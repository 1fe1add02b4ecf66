"""
The credential: who an agent is, as facts that were checked.

A credential says nothing about what the agent may do; that is the grant's. It comes in two forms that
are never mixed up: a WIT, proven by the key it names, and a JWT-SVID, for peers that want one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal

from agentid import names
from agentid.errors import CredentialError
from agentid.identity.agent_id import AgentId
from agentid.identity.revocation.revoked import StatusReference, link_ids
from agentid.identity.token import CREDENTIAL, JWT_SVID, MAX_OWN_SVID, Shape, TokenKind, refused
from agentid.signing import ES256, PublicKey

if TYPE_CHECKING:
    from agentid.identity.claims import CredentialClaims

__all__ = ["Credential", "credential_shape", "holder_key"]

_HOLDER_MEMBERS: Final = dict.fromkeys(("kty", "crv", "alg", "x", "y")).keys()
_HOLDER_TYPE: Final = ("EC", "P-256", ES256)
_AGENTS: Final = "/agent/"
_NO_SUBJECT: Final = "its `sub` is not, in its one spelling, the SPIFFE ID of an agent of its issuer's trust domain"


@dataclass(frozen=True, slots=True)
class Credential:
    """
    Who an agent is. Only the code that verified a token, or is about to sign one, makes it.

    Attributes:
        id: The agent's SPIFFE ID.
        token_id: The token's `jti`; a JWT-SVID that others issued may have none, and is empty in what follows.
        instance: This issue of the agent; revoking the agent revokes it.
        owner: Who answers for the agent, such as `team:support`.
        purpose: What it is for.
        issued_at: Unix seconds; 0 where its issuer does not say.
        expires_at: Unix seconds; at this moment it is over.
        key: The key that proves it; of a JWT-SVID `None`.
        named_key: The thumbprint of a key, which is all that a JWT-SVID says of it.
        type: `wit` or `jwt-svid`.
        status: Where it is published whether it was revoked, if it is.
        above: Of a sub-agent, what it was handed down from, outermost first: the issue of the agent at the root, its
            grant, and the links between.
    """

    id: AgentId
    token_id: str
    instance: str
    owner: str
    purpose: str
    issued_at: int
    expires_at: int
    key: PublicKey | None = None
    named_key: str = ""
    type: Literal["wit", "jwt-svid"] = "wit"
    status: StatusReference | None = None
    above: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What people call the agent."""
        return self.id.name

    @property
    def key_id(self) -> str:
        """The thumbprint of the key that proves it; empty where it names none."""
        return self.key.thumbprint if self.key is not None else self.named_key

    @property
    def jwk(self) -> dict[str, str] | None:
        """The public key that proves it, as a JWK; `None` for a JWT-SVID."""
        return self.key.jwk if self.key is not None else None

    @property
    def token_ids(self) -> tuple[str, ...]:
        """The ids of which any one, revoked, takes this back."""
        if not self.above:
            # What others issued has no instance, and perhaps no id: nothing is revoked for the lack of one.
            return tuple([text for text in (self.token_id, self.instance) if text])
        root, *links = self.above
        ids = (root, *link_ids((*links, self.instance)))
        # The token of a sub-agent is its link; only a JWT-SVID has an id that the authority chose.
        return ids if self.token_id == self.instance else (self.token_id, *ids)

    @property
    def own_ids(self) -> tuple[str, ...]:
        """The ids that are revoked to take this back, and nobody above."""
        if not self.above:
            return self.token_ids
        return (self.token_ids[-1],) if self.token_id == self.instance else (self.token_id, self.token_ids[-1])

    def to_claims(self) -> dict[str, Any]:
        """Give the claims of the WIT that says this."""
        claims = {**self._common(), "cnf": {"jwk": self.jwk}}
        return claims if self.status is None else {**claims, "status": self.status.to_claim()}

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
                **({"above": list(self.above)} if self.above else {}),
            },
        }

    @classmethod
    def from_claims(cls, wit: CredentialClaims) -> Credential:
        """
        Read the claims of a WIT.

        Raises:
            CredentialError: They contradict each other, or the key is not a public P-256 key.
        """
        agent = wit["agent"]
        key = holder_key(wit["cnf"]["jwk"], CREDENTIAL)
        return cls(
            id=_subject(wit["sub"], wit["iss"], agent["name"], CREDENTIAL),
            token_id=wit["jti"],
            instance=agent["instance"],
            owner=agent.get("owner", ""),
            purpose=agent.get("purpose", ""),
            issued_at=wit["iat"],
            expires_at=wit["exp"],
            key=key,
            status=StatusReference.of(wit.get("status")),
        )

    @classmethod
    def from_svid_claims(cls, claims: dict[str, Any], *, audience: str) -> Credential:
        """
        Read the claims of a JWT-SVID for *audience*.

        One that says what only ours say has to be as ours are. Any other needs what SPIFFE asks for and no more, and
        says who its holder is, and nothing else.

        Raises:
            CredentialError: They are not a JWT-SVID's, contradict each other, or are for somebody else.
        """
        from agentid.identity.claims import JWT_SVID_SHAPE  # loads pydantic

        if names.AGENT_CLAIM not in claims:
            return cls._foreign(claims, audience)
        svid = JWT_SVID_SHAPE.read(claims)
        if svid["aud"] != audience:
            raise refused(JWT_SVID, "it is for another audience")
        if svid["exp"] - svid["iat"] > MAX_OWN_SVID:
            raise refused(JWT_SVID, f"it must end within {MAX_OWN_SVID} seconds")
        agent = svid["agent"]
        return cls(
            id=_subject(svid["sub"], svid["iss"], agent["name"], JWT_SVID),
            token_id=svid["jti"],
            instance=agent["instance"],
            owner=agent.get("owner", ""),
            purpose=agent.get("purpose", ""),
            issued_at=svid["iat"],
            expires_at=svid["exp"],
            named_key=svid["cnf"]["jkt"],
            above=tuple(agent.get("above", ())),
            type="jwt-svid",
        )

    @classmethod
    def _foreign(cls, claims: dict[str, Any], audience: str) -> Credential:
        from agentid.identity.claims import FOREIGN_SVID_SHAPE  # loads pydantic

        svid = FOREIGN_SVID_SHAPE.read(claims)
        if svid["aud"] not in (audience, [audience]):
            raise refused(JWT_SVID, "it is for another audience")
        try:
            agent_id = AgentId.parse(svid["sub"])
        except CredentialError:
            raise refused(JWT_SVID, "its `sub` is not a SPIFFE ID") from None
        if str(agent_id) != svid["sub"] or not agent_id.path:
            raise refused(JWT_SVID, "its `sub` is not the SPIFFE ID of an agent in its one spelling")
        return cls(agent_id, svid.get("jti", ""), "", "", "", svid.get("iat", 0), svid["exp"], type="jwt-svid")


def issuer(trust_domain: str) -> str:
    """Say who issues the credentials of *trust_domain*: its own id, which no OIDC client takes for an issuer."""
    return f"spiffe://{trust_domain}"


_NO_DOMAIN: Final = issuer("")


def holder_key(jwk: Mapping[str, str], kind: TokenKind) -> PublicKey:
    """
    Read the public key in `cnf`: of exactly its own members, with its algorithm.

    Raises:
        CredentialError: It has another member, such as a private one, or is not a public P-256 key.
    """
    # An agent's key is always P-256: what SPIFFE, key management services and HSMs have in common.
    if jwk.keys() != _HOLDER_MEMBERS or (jwk["kty"], jwk["crv"], jwk["alg"]) != _HOLDER_TYPE:
        raise refused(kind, f"the key it names is not a public `{ES256}` key with nothing else")
    try:
        return _key(jwk["x"], jwk["y"])
    except CredentialError as error:
        raise refused(kind, f"of the key it names, {error.why}") from None


# A key is named by a credential, by each grant that its holder is given, and by all that is handed on below it. Reading
# and loading it costs a third of a signature check.
@lru_cache(maxsize=256)
def _key(x: str, y: str) -> PublicKey:
    return PublicKey.p256(x, y)


@cache
def credential_shape() -> Shape[CredentialClaims]:
    """Give the shape of a WIT."""
    from agentid.identity.claims import CREDENTIAL_SHAPE  # loads pydantic

    return CREDENTIAL_SHAPE


def _subject(subject: str, claimed_issuer: str, name: str, kind: TokenKind) -> AgentId:
    # An issuer is the id of its trust domain, and what it issues for begins with it, letter by letter.
    if not (claimed_issuer.startswith(_NO_DOMAIN) and subject.startswith(f"{claimed_issuer}/")):
        raise refused(kind, _NO_SUBJECT)
    try:
        agent_id = AgentId(claimed_issuer[len(_NO_DOMAIN) :], subject[len(claimed_issuer) :])
    except CredentialError:
        raise refused(kind, _NO_SUBJECT) from None
    if not agent_id.path.startswith(_AGENTS):
        raise refused(kind, _NO_SUBJECT)
    if name != subject[subject.rindex("/") + 1 :]:
        raise refused(kind, "its name is not the one in its `sub`")
    return agent_id
