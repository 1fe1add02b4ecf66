"""
Verifying the tokens of one trust domain, and remembering what was verified.

A result is remembered by the exact token; of a chain, so is each beginning of it, so that a link more costs one
link. It counts only for the very set of keys that it was verified with. Time is looked at again each time; who was
taken back is not known here, and is the trust anchor's to look at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from agentid.identity.cache import Cache
from agentid.identity.credential import Credential, credential_shape, issuer
from agentid.identity.delegation import link_hash, verify_link
from agentid.identity.grant import Grant, chain_links, root_shape
from agentid.identity.token import (
    CREDENTIAL,
    GRANT,
    JWT_SVID,
    UNREAD,
    Lifetime,
    Shape,
    TokenKind,
    check_text,
    decode,
    refused,
)
from agentid.signing import KeySet

if TYPE_CHECKING:
    from agentid.identity.claims import CredentialClaims, GrantClaims

__all__ = ["Verified", "Verifier"]

Key = TypeVar("Key", str, "tuple[str, ...]")
Result = TypeVar("Result", Credential, Grant)
Claims = TypeVar("Claims")


@dataclass(slots=True)
class Verified(Generic[Result]):
    """
    A result with what has to be looked at again, each time that it is used.

    Attributes:
        value: What the token says.
        lifetime: From when to when it is good; of a chain, from when to when all of its links are.
        keys: The keys of the trust domain that it was verified with.
        hash: Of the last link of a chain, as the next one names it; empty until there was a next one.
    """

    value: Result
    lifetime: Lifetime
    keys: KeySet
    hash: str = ""


class Verifier:
    """
    Verifies the tokens of *trust_domain*. Safe in several threads.

    Args:
        trust_domain: In lower case.
        leeway: Seconds by which an issuer's clock may be ahead.
    """

    __slots__ = ("_credentials", "_grants", "_leeway", "_svids", "_trust_domain")

    def __init__(self, trust_domain: str, leeway: float) -> None:
        self._trust_domain = trust_domain
        self._leeway = leeway
        # Sizes are in characters. Grants are few and may be large.
        self._credentials: Cache[str, Verified[Credential]] = Cache(entries=4096, size=2**24)
        self._svids: Cache[tuple[str, ...], Verified[Credential]] = Cache(entries=4096, size=2**24)
        self._grants: Cache[tuple[str, ...], Verified[Grant]] = Cache(entries=4096, size=2**26)

    def anew(self) -> Verifier:
        """Give one that knows nothing yet."""
        return Verifier(self._trust_domain, self._leeway)

    def forget(self) -> None:
        """Forget what was verified, so that each signature is checked again."""
        for cache in (self._credentials, self._svids, self._grants):
            cache.clear()

    def credential(self, token: str, keys: KeySet, moment: float) -> Verified[Credential]:
        """
        Verify a WIT.

        Raises:
            CredentialError: It is not one of this trust domain, or not good at *moment*.
        """
        text = check_text(token, CREDENTIAL)
        return self._token(
            CREDENTIAL,
            text,
            keys,
            moment,
            cache=self._credentials,
            key=text,
            shape=credential_shape(),
            read=self._read_credential,
        )

    def svid(self, token: str, audience: str, keys: KeySet, moment: float) -> Verified[Credential]:
        """
        Verify a JWT-SVID for *audience*.

        Raises:
            CredentialError: It is not one of this trust domain for *audience*, or not good at *moment*.
        """
        text = check_text(token, JWT_SVID)
        if type(audience) is not str or audience in {"", "*"}:
            raise refused(JWT_SVID, "it was to be verified for no audience", fix="Pass your own id as `audience`")

        def read(claims: dict[str, Any]) -> Credential:
            credential = Credential.from_svid_claims(claims, audience=audience)
            # Not by its issuer: others call themselves what they like, and many say nothing.
            if credential.id.trust_domain != self._trust_domain:
                raise refused(JWT_SVID, "it is not of this trust domain")
            return credential

        return self._token(
            JWT_SVID, text, keys, moment, cache=self._svids, key=(text, audience), shape=UNREAD, read=read
        )

    def grant(self, chain: object, keys: KeySet, moment: float) -> Verified[Grant]:
        """
        Verify a grant, link by link, from the longest beginning of it that was verified before.

        Raises:
            CredentialError: It is not one of this trust domain, or not good at *moment*.
            DelegationError: The chain is broken, or a link hands on what it must not.
        """
        was_asked = False
        if type(chain) is tuple:
            for link in cast("tuple[object, ...]", chain):
                if type(link) is not str:  # a subclass could equal what it is not
                    break
            else:
                # Nearly every chain is known already, and was looked at then: no detours.
                was_asked, found = True, self._grants.get(cast("tuple[str, ...]", chain))
                if found is not None and found.keys is keys:
                    found.lifetime.check(GRANT, moment, self._leeway)
                    return found
        links = chain_links(cast("object", chain))
        known, found = len(links) + (not was_asked), None
        while found is None and known > 2:
            known -= 1
            found = self._known(self._grants, links[:known], keys)
        if found is None:
            known = 1
            found = self._token(
                GRANT,
                links[0],
                keys,
                moment,
                cache=self._grants,
                key=links[:1],
                shape=root_shape(),
                read=self._read_root_grant,
            )
        for number in range(known, len(links)):
            before = found
            before.hash = before.hash or link_hash(links[number - 1])
            grant, lifetime = verify_link(before.value, before.hash, links[number], now=moment, leeway=self._leeway)
            found = Verified(grant, lifetime.within(before.lifetime), keys)
            # Each remembers the whole chain by which it is found.
            self._grants.put(links[: number + 1], found, sum(map(len, links[: number + 1])))
        found.lifetime.check(GRANT, moment, self._leeway)
        return found

    def _token(
        self,
        kind: TokenKind,
        token: str,
        keys: KeySet,
        moment: float,
        *,
        cache: Cache[Key, Verified[Result]],
        key: Key,
        shape: Shape[Claims],
        read: Callable[[Claims], Result],
    ) -> Verified[Result]:
        """Verify one token that a key of the authority signed."""
        found = self._known(cache, key, keys)
        if found is None:
            claims, lifetime = decode(token, kind, keys.with_use(kind.use), shape, now=moment, leeway=self._leeway)
            found = Verified(read(claims), lifetime, keys)
            cache.put(key, found, len(token))
        else:
            found.lifetime.check(kind, moment, self._leeway)
        return found

    @staticmethod
    def _known(cache: Cache[Key, Verified[Result]], key: Key, keys: KeySet) -> Verified[Result] | None:
        found = cache.get(key)
        return found if found is not None and found.keys is keys else None

    def _read_credential(self, claims: CredentialClaims) -> Credential:
        # Whether the subject is of its issuer's trust domain is the credential's to check; both have to be of ours.
        if claims["iss"] != issuer(self._trust_domain):
            raise refused(CREDENTIAL, "it is not of this trust domain")
        return Credential.from_claims(claims)

    def _read_root_grant(self, claims: GrantClaims) -> Grant:
        return Grant.from_root_claims(claims, trust_domain=self._trust_domain)
