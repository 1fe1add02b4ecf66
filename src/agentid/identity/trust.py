"""
The trust anchor: the public half of an authority, enough to verify all that it signed.

- Everything from outside either verifies or raises `CredentialError`; nothing else comes out.
- A result is remembered by the exact token. Time, revocation and keys are looked at again each time.
- `generation` grows with each revocation and each change of keys. Whoever remembers a result compares
  that one number to know whether it still stands.
- Holding tokens is not enough to act: an agent proves its key before it is accepted.

A trust anchor belongs to one trust domain. Two are never merged.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Any, Final, Generic, TypeVar, cast
from weakref import WeakKeyDictionary

from agentid import names
from agentid.errors import ConfigurationError, CredentialError, CredentialRevokedError
from agentid.identity.agent import Agent
from agentid.identity.agent_id import parse_trust_domain
from agentid.identity.cache import Cache
from agentid.identity.credential import Credential, issuer
from agentid.identity.grant import Grant, chain_links, chain_too_long
from agentid.identity.strict_json import StrictJSONError, parse_object
from agentid.identity.token import CREDENTIAL, GRANT, JWT_SVID, Lifetime, TokenKind, check_text, decode, refused
from agentid.signing import KeySet, PublicKey

__all__ = ["TrustAnchor", "VerifiedAgent"]

MAX_JWKS: Final = 256 * 1024
MAX_LEEWAY: Final = 60
REFRESH_HINT: Final = 300
_MAX_SEQUENCE: Final = 2**53

Now = float | datetime | None
Key = TypeVar("Key", str, "tuple[str, ...]")
Result = TypeVar("Result", Credential, Grant)


@dataclass(frozen=True, slots=True)
class VerifiedAgent:
    """
    An agent whose credential, grant and key were verified together.

    Attributes:
        credential: Who it is.
        grant: What it may do.
        expires_at: Unix seconds; the earlier end of both.
        generation: The anchor's `generation` when this was verified; it stands while that has not changed.
    """

    credential: Credential
    grant: Grant
    expires_at: int
    generation: int


@dataclass(frozen=True, slots=True)
class _Verified(Generic[Result]):
    """A result with what has to be looked at again, each time that it is used."""

    value: Result
    lifetime: Lifetime
    token_ids: tuple[str, ...]
    keys: KeySet


class TrustAnchor:
    """
    What verifies credentials and grants of one trust domain. Safe in several threads.

    Args:
        trust_domain: Such as `acme.example`.
        keys: The authority's public keys, each with its use.
        clock: Gives Unix seconds.
        leeway: Seconds by which the authority's clock may be ahead; never makes a token live longer.
        sequence: The number of this state of the keys, as published.

    Attributes:
        trust_domain: In lower case.
        clock: Gives Unix seconds.
        generation: Grows with each revocation and each change of keys. To be read, never set.

    Raises:
        ConfigurationError: There is no key, or the leeway is over a minute.
        CredentialError: The trust domain is not one, or two keys are the same.
    """

    __slots__ = (
        "_challenged",
        "_credentials",
        "_grants",
        "_keys",
        "_leeway",
        "_lock",
        "_revoked",
        "_sequence",
        "_svids",
        "clock",
        "generation",
        "trust_domain",
    )

    def __init__(
        self,
        trust_domain: str,
        keys: Iterable[PublicKey],
        *,
        clock: Callable[[], float] = time.time,
        leeway: float = 5,
        sequence: int = 1,
    ) -> None:
        if not isinstance(leeway, int | float) or not 0 <= leeway <= MAX_LEEWAY:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError("The leeway was refused", fix=f"Use 0 to {MAX_LEEWAY} seconds")
        self.trust_domain = parse_trust_domain(trust_domain)
        self.generation = 0
        self._keys = _some(KeySet(keys))
        self.clock = clock
        self._leeway = leeway
        self._sequence = sequence
        self._lock = Lock()
        self._revoked: set[str] = set()
        # Sizes are in characters. Grants are few and may be large.
        self._credentials: Cache[str, _Verified[Credential]] = Cache(entries=4096, size=2**24)
        self._svids: Cache[tuple[str, ...], _Verified[Credential]] = Cache(entries=4096, size=2**24)
        self._grants: Cache[tuple[str, ...], _Verified[Grant]] = Cache(entries=4096, size=2**26)
        self._challenged: WeakKeyDictionary[Agent, str] = WeakKeyDictionary()

    @classmethod
    def from_jwks(
        cls,
        jwks: object,
        *,
        trust_domain: str,
        clock: Callable[[], float] = time.time,
        leeway: float = 5,
    ) -> TrustAnchor:
        """
        Read published keys, a JWKS as text or decoded, for one trust domain.

        Raises:
            CredentialError: It is not a JWKS, it has no key that we can use, or a key in it is not what it says.
        """
        decoded = _decoded(jwks)
        keys = KeySet.from_jwks(decoded)
        sequence = cast("dict[str, object]", decoded).get("spiffe_sequence", 1)
        if type(sequence) is not int or not 0 <= sequence <= _MAX_SEQUENCE:
            raise CredentialError("A set of public keys was refused", why="its `spiffe_sequence` is not a number")
        if not keys:
            raise CredentialError("A set of public keys was refused", why="it has no key that can verify an agent")
        return cls(trust_domain, keys, clock=clock, leeway=leeway, sequence=sequence)

    def to_jwks(self) -> dict[str, Any]:
        """Give the keys for publication, as a SPIFFE bundle."""
        with self._lock:
            sequence, keys = self._sequence, self._keys
        return {"spiffe_sequence": sequence, "spiffe_refresh_hint": REFRESH_HINT, "keys": keys.to_jwks()}

    @property
    def keys(self) -> KeySet:
        """The authority's public keys, by use."""
        return self._keys

    def replace_keys(self, keys: Iterable[PublicKey]) -> None:
        """
        Take *keys* from now on, and no other; what only an old key verified is refused from the next call.

        Raises:
            ConfigurationError: There is no key.
        """
        replacement = _some(KeySet(keys))
        with self._lock:
            self._keys = replacement
            self._sequence += 1
            self.generation += 1

    def revoke(self, *token_ids: str) -> None:
        """
        Refuse from now on whatever has one of these ids: credentials, grants and all that hangs on them.

        Raises:
            ConfigurationError: An id is not text.
        """
        if not all(isinstance(token_id, str) for token_id in token_ids):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError("Nothing was revoked", why="an id is not text", fix="Use `Authority.revoke`")
        with self._lock:
            self._revoked.update(token_ids)
            # Last, so that whoever sees the new number sees the revocation, too.
            self.generation += 1

    def forget(self) -> None:
        """Forget what was verified, so that each signature is checked again; nothing that was revoked comes back."""
        for cache in (self._credentials, self._svids, self._grants):
            cache.clear()

    def is_revoked(self, token_id: str) -> bool:
        """Say whether *token_id* was revoked here."""
        return token_id in self._revoked

    def verify_credential(self, token: str, *, now: Now = None) -> Credential:
        """
        Verify who an agent is.

        Args:
            token: The signed credential.
            now: Unix seconds or an aware time; the anchor's clock when left out.

        Raises:
            CredentialExpiredError: It was good once.
            CredentialRevokedError: It was taken back.
            CredentialError: It is anything but a credential of this trust domain.
        """
        moment = self._moment(now)
        text = check_text(token, CREDENTIAL)
        return self._verify(CREDENTIAL, text, moment, cache=self._credentials, key=text, read=self._read_credential)

    def verify_jwt_svid(self, token: str, *, audience: str, now: Now = None) -> Credential:
        """
        Verify who an agent is by its JWT-SVID, which has to be for *audience* and nobody else.

        Raises:
            CredentialExpiredError: It was good once.
            CredentialRevokedError: The agent was taken back.
            CredentialError: It is anything but a JWT-SVID of this trust domain for *audience*.
        """
        moment = self._moment(now)
        text = check_text(token, JWT_SVID)
        if type(audience) is not str or audience in {"", "*"}:
            raise refused(JWT_SVID, "it was to be verified for no audience", fix="Pass your own id as `audience`")

        def read(claims: dict[str, Any]) -> Credential:
            self._check_issuer(claims, JWT_SVID)
            return Credential.from_svid_claims(claims, audience=audience)

        return self._verify(JWT_SVID, text, moment, cache=self._svids, key=(text, audience), read=read)

    def verify_grant(self, chain: str | Sequence[str], *, now: Now = None) -> Grant:
        """
        Verify what the holder of a key may do.

        Args:
            chain: The links, the authority's first; a lone token is a chain of one.
            now: Unix seconds or an aware time; the anchor's clock when left out.

        Raises:
            CredentialExpiredError: It was good once.
            CredentialRevokedError: A link of it was taken back.
            DelegationError: The chain is broken or longer than is supported.
            CredentialError: It is anything but a grant of this trust domain.
        """
        moment = self._moment(now)
        links = chain_links(chain)
        if len(links) != 1:
            raise chain_too_long()
        return self._verify(GRANT, links[0], moment, cache=self._grants, key=links, read=self._read_root_grant)

    def verify_agent(self, agent: Agent, *, now: Now = None) -> VerifiedAgent:
        """
        Verify that an agent is who it says, may do what it says, and holds the key of both.

        The key is proven once for each agent object, by signing a challenge that nobody knew before.

        Raises:
            CredentialExpiredError: Its credential or grant was good once.
            CredentialRevokedError: It was taken back.
            CredentialError: It cannot prove who it is.
        """
        if not isinstance(agent, Agent):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise CredentialError("The agent was refused", why="it is not an `Agent`")
        moment = self._moment(now)
        # Read first: what is revoked from here on makes the number differ, whether or not it was seen below.
        generation = self.generation
        credential = self.verify_credential(agent.credential_token, now=moment)
        grant = self.verify_grant(agent.grant_chain, now=moment)
        if grant.holder != credential.key_id:
            raise CredentialError("The agent was refused", why="its grant was issued to another agent")
        self._check_possession(agent, credential)
        return VerifiedAgent(credential, grant, min(credential.expires_at, grant.expires_at), generation)

    def __repr__(self) -> str:
        return f"<TrustAnchor {self.trust_domain}, {len(self._keys)} keys>"

    def _moment(self, now: object) -> float:
        moment: object = self.clock() if now is None else now
        if type(moment) is float and math.isfinite(moment):
            return moment
        try:
            if isinstance(moment, datetime) and moment.utcoffset() is not None:
                return moment.timestamp()
            if isinstance(moment, int | float) and not isinstance(moment, bool) and math.isfinite(moment):
                return moment
        except (OverflowError, ValueError):
            pass
        raise CredentialError(
            "Nothing can be verified",
            why="the time is neither a number of seconds nor a time with a time zone",
            fix="Pass `now` as Unix seconds, or leave it out",
        )

    def _verify(
        self,
        kind: TokenKind,
        token: str,
        moment: float,
        *,
        cache: Cache[Key, _Verified[Result]],
        key: Key,
        read: Callable[[dict[str, Any]], Result],
    ) -> Result:
        keys = self._keys
        found = cache.get(key)
        if found is None or found.keys is not keys:
            claims, lifetime = decode(token, kind, keys.with_use(kind.use), now=moment, leeway=self._leeway)
            value = read(claims)
            found = _Verified(value, lifetime, value.token_ids, keys)
            cache.put(key, found, len(token))
        else:
            found.lifetime.check(kind, moment, self._leeway)
        if self._revoked and not self._revoked.isdisjoint(found.token_ids):
            raise CredentialRevokedError(
                f"The {kind.name} was revoked", fix="Issue the agent again, if it may act again"
            )
        return found.value

    def _read_credential(self, claims: dict[str, Any]) -> Credential:
        self._check_issuer(claims, CREDENTIAL)
        return Credential.from_claims(claims)

    def _read_root_grant(self, claims: dict[str, Any]) -> Grant:
        return Grant.from_root_claims(claims, trust_domain=self.trust_domain)

    def _check_issuer(self, claims: dict[str, Any], kind: TokenKind) -> None:
        # Whether the subject is of its issuer's trust domain is the credential's to check; both have to be of ours.
        if claims.get("iss") != issuer(self.trust_domain):
            raise refused(kind, "it is not of this trust domain")

    def _check_possession(self, agent: Agent, credential: Credential) -> None:
        with self._lock:
            if self._challenged.get(agent) == credential.key_id:
                return
        challenge = names.POSSESSION_CONTEXT + secrets.token_bytes(32)
        key = credential.key
        try:
            proven = key is not None and key.verify(challenge, agent.sign(challenge))
        except Exception:  # noqa: BLE001 -- whatever a signer raises, the key was not proven
            proven = False
        if not proven:
            raise CredentialError("The agent was refused", why="it does not hold the key of its credential")
        with self._lock:
            self._challenged[agent] = credential.key_id


def _some(keys: KeySet) -> KeySet:
    if not keys:
        raise ConfigurationError("The trust anchor was refused", why="it has no key, so it could verify nothing")
    return keys


def _decoded(jwks: object) -> object:
    if isinstance(jwks, str | bytes):
        if len(jwks) > MAX_JWKS:
            raise CredentialError("A set of public keys was refused", why=f"it is longer than {MAX_JWKS} characters")
        try:
            return parse_object(jwks)
        except StrictJSONError as error:
            raise CredentialError("A set of public keys was refused", why=str(error)) from None
    return jwks
