"""
The grant: what the holder of a key may do, and what only after a person said yes.

A grant travels as a chain of tokens. The first is signed by the authority and read here; each later one hands
a part on, and is read in `delegation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from agentid import names
from agentid.errors import ConfigurationError, DelegationError
from agentid.identity.credential import holder_key
from agentid.identity.revocation.revoked import StatusReference, link_ids
from agentid.identity.token import GRANT, Shape, check_text, refused
from agentid.permission import Permission
from agentid.signing import PublicKey

if TYPE_CHECKING:
    from agentid.identity.claims import AccessDetail, GrantClaims

__all__ = ["DEFAULT_MAX_DEPTH", "MAX_DEPTH", "Grant", "access_details", "chain_links", "read_permissions", "root_shape"]

MAX_DEPTH: Final = 8
"""How often any grant may be handed on."""

_MAX_REMEMBERED: Final = 256

DEFAULT_MAX_DEPTH: Final = 2
"""How often a grant may be handed on: an agent, its sub-agent, and that one's helper."""


@dataclass(frozen=True, slots=True)
class Grant:
    """
    What the holder of a key may do. Only the code that verified a chain, or is about to sign one, makes it.

    Attributes:
        token_id: The `jti` of the last link.
        trust_domain: Whose authority granted it.
        allow: What may be done.
        ask: What may be done after a person said yes; where both match, asking wins.
        issued_at: Unix seconds.
        expires_at: Unix seconds; at this moment it is over.
        depth: How often it was handed on.
        max_depth: How often it may be.
        chain_ids: The `jti` of each link, the authority's first; one revoked kills the grant.
        keys: The keys that hold each link; whoever proves the last one holds the grant.
        names: What the later links call their holders, outermost first.
        must_ask: What those above must ask about: narrows `allow`, and grants nothing.
        on_behalf_of: The person for whom the agent acts.
        purpose: What the last link says that its holder is for.
        status: Where it is published whether the authority's link was revoked, if it is.
    """

    token_id: str
    trust_domain: str
    allow: tuple[Permission, ...]
    ask: tuple[Permission, ...]
    issued_at: int
    expires_at: int
    depth: int
    max_depth: int
    chain_ids: tuple[str, ...]
    keys: tuple[PublicKey, ...]
    names: tuple[str, ...] = ()
    must_ask: tuple[Permission, ...] = ()
    on_behalf_of: str | None = None
    purpose: str = ""
    status: StatusReference | None = None

    @property
    def holder_key(self) -> PublicKey:
        """The key that holds the grant."""
        return self.keys[-1]

    @property
    def holder(self) -> str:
        """The thumbprint of that key."""
        return self.holder_key.thumbprint

    @property
    def holders(self) -> tuple[str, ...]:
        """The thumbprints of the keys that hold each link."""
        return tuple([key.thumbprint for key in self.keys])

    @property
    def token_ids(self) -> tuple[str, ...]:
        """The ids of which any one, revoked, takes this back: the whole chain's, as `link_ids` says."""
        return link_ids(self.chain_ids)

    def to_claims(self) -> dict[str, Any]:
        """Give the claims of the authority's link that says this."""
        claims: dict[str, Any] = {
            "iss": names.grant_issuer(self.trust_domain),
            "jti": self.token_id,
            "iat": self.issued_at,
            "exp": self.expires_at,
            "cnf": {"jwk": self.holder_key.jwk},
            "del_depth": self.depth,
            "del_max_depth": self.max_depth,
            "authorization_details": access_details(self.allow, self.ask),
        }
        if self.on_behalf_of is not None:
            claims[names.ON_BEHALF_OF_CLAIM] = {"sub": self.on_behalf_of}
        if self.status is not None:
            claims["status"] = self.status.to_claim()
        return claims

    @classmethod
    def from_root_claims(cls, link: GrantClaims, *, trust_domain: str) -> Grant:
        """
        Read the claims of the authority's link.

        Raises:
            CredentialError: They are not of *trust_domain*, or name an action, pattern or constraint that is not known.
            DelegationError: It is a later link of a chain.
        """
        if link["iss"] != names.grant_issuer(trust_domain):
            raise refused(GRANT, "it is not of the authority of this trust domain")
        if link["del_depth"] != 0:
            raise DelegationError("The grant was refused", why="its first link is not the authority's")
        key = holder_key(link["cnf"]["jwk"], GRANT)
        allow, ask = read_permissions(link["authorization_details"])
        return cls(
            token_id=link["jti"],
            trust_domain=trust_domain,
            allow=allow,
            ask=ask,
            issued_at=link["iat"],
            expires_at=link["exp"],
            depth=0,
            max_depth=link["del_max_depth"],
            chain_ids=(link["jti"],),
            keys=(key,),
            on_behalf_of=link["person"]["sub"] if "person" in link else None,
            status=StatusReference.of(link.get("status")),
        )


def chain_links(chain: object) -> tuple[str, ...]:
    """
    Give the tokens of a chain, of which a lone token is one; what they say is not looked at.

    Raises:
        CredentialError: It is neither a token nor a list of tokens, or too long to be read.
        DelegationError: It has more links than any chain may have.
    """
    links: tuple[object, ...]
    if type(chain) is str:
        links = (chain,)
    elif type(chain) in {tuple, list}:  # a subclass may do anything
        links = tuple(cast("Sequence[object]", chain))
    else:
        raise refused(GRANT, "it is neither a token nor a list of tokens")
    if len(links) == 1:
        # Nearly every chain, and each is looked up at each new session: no detours.
        return (check_text(links[0], GRANT),)
    if not links:
        raise refused(GRANT, "it is an empty chain")
    if len(links) > MAX_DEPTH + 1:
        raise DelegationError(
            "The grant was refused", why=f"it was handed on more than {MAX_DEPTH} times", fix="Issue the agent itself"
        )
    texts = tuple([check_text(link, GRANT) for link in links])
    if sum(map(len, texts)) > GRANT.max_size:
        raise refused(GRANT, f"its links together are longer than {GRANT.max_size} characters")
    return texts


def access_details(allow: Iterable[Permission], ask: Iterable[Permission]) -> list[dict[str, Any]]:
    """Write permissions as RFC 9396 `authorization_details`."""
    return [*_details(allow, "allow"), *_details(ask, "ask")]


def read_permissions(details: Sequence[AccessDetail]) -> tuple[tuple[Permission, ...], tuple[Permission, ...]]:
    """
    Read what is allowed, and what is allowed after a person said yes.

    Raises:
        CredentialError: An action, pattern or constraint is not known.
    """
    allow: list[Permission] = []
    ask: list[Permission] = []
    for detail in details:
        permissions = allow if detail["effect"] == "allow" else ask
        constraints = detail.get("constraints")
        actions, locations = detail["actions"], detail["locations"]
        # Said twice, a few kilobytes would stand for millions of permissions.
        if len(set(actions)) != len(actions) or len(set(locations)) != len(locations):
            raise refused(GRANT, "of a permission in it, an action or a pattern is said twice")
        for action in actions:
            for location in locations:
                # Where an agent hands on what it holds, most of it is spelled alike in each link.
                if constraints or len(location) > _MAX_REMEMBERED:
                    permissions.append(_permission(action, location, constraints or {}))
                else:
                    permissions.append(_unconstrained(action, location))
    return tuple(allow), tuple(ask)


def _details(permissions: Iterable[Permission], effect: Literal["allow", "ask"]) -> Iterator[dict[str, Any]]:
    # Neighbours that differ only in the pattern share an entry; the order in which they were given stays.
    # Compared as constraints and not as JSON, where Python takes `true`, `1` and `1.0` for the same.
    # Each once: a reader takes what is said twice for an attempt to keep it busy.
    for (action, _), group in groupby(dict.fromkeys(permissions), key=lambda p: (p.action, p.constraints)):
        alike = list(group)
        detail: dict[str, Any] = {
            "type": names.AUTHORIZATION_TYPE,
            "actions": [action],
            "locations": [str(permission.resource) for permission in alike],
            "effect": effect,
        }
        if constraints := alike[0].constraints_data():
            detail["constraints"] = constraints
        yield detail


@lru_cache(maxsize=1024)
def _unconstrained(action: str, location: str) -> Permission:
    return _permission(action, location, {})


def _permission(action: str, location: str, constraints: dict[str, Any]) -> Permission:
    try:
        return Permission.build(action, location, constraints)
    except ConfigurationError as error:
        raise refused(GRANT, f"of a permission in it, {error.what}") from None


@cache
def root_shape() -> Shape[GrantClaims]:
    """Give the shape of the authority's link."""
    from agentid.identity.claims import GRANT_SHAPE  # loads pydantic

    return GRANT_SHAPE
