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
from typing import Any, Final, TypeVar, cast
from weakref import WeakKeyDictionary

from agentid import names
from agentid.errors import ConfigurationError, CredentialError, CredentialRevokedError
from agentid.identity.agent import Agent
from agentid.identity.agent_id import parse_trust_domain
from agentid.identity.credential import Credential
from agentid.identity.delegation import sub_agent
from agentid.identity.grant import Grant
from agentid.identity.strict_json import StrictJSONError, parse_object
from agentid.identity.token import CREDENTIAL, GRANT, JWT_SVID, TokenKind
from agentid.identity.verifier import Verified, Verifier
from agentid.signing import KeySet, PublicKey

__all__ = ["TrustAnchor", "VerifiedAgent"]

MAX_JWKS: Final = 256 * 1024
MAX_LEEWAY: Final = 60
REFRESH_HINT: Final = 300
_MAX_SEQUENCE: Final = 2**53

Now = float | datetime | None
Result = TypeVar("Result", Credential, Grant)


@dataclass(frozen=True, slots=True)
class VerifiedAgent:
    """
    An agent whose credential, grant and key were verified together.

    Attributes:
        credential: Who it is; of a sub-agent, what the links of its grant say below its root's credential.
        grant: What it may do.
        expires_at: Unix seconds; the earlier end of both.
        generation: The anchor's `generation` when this was verified; it stands while that has not changed.
    """

    credential: Credential
    grant: Grant
    expires_at: int
    generation: int


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
        "_keys",
        "_lock",
        "_revoked",
        "_sequence",
        "_verifier",
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
        self._sequence = sequence
        self._lock = Lock()
        self._revoked: set[str] = set()
        self._verifier = Verifier(self.trust_domain, leeway)
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
        self._verifier.forget()

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
        return self._unless_revoked(self._verifier.credential(token, self._keys, moment), CREDENTIAL)

    def verify_jwt_svid(self, token: str, *, audience: str, now: Now = None) -> Credential:
        """
        Verify who an agent is by its JWT-SVID, which has to be for *audience* and nobody else.

        Raises:
            CredentialExpiredError: It was good once.
            CredentialRevokedError: The agent was taken back.
            CredentialError: It is anything but a JWT-SVID of this trust domain for *audience*.
        """
        moment = self._moment(now)
        return self._unless_revoked(self._verifier.svid(token, audience, self._keys, moment), JWT_SVID)

    def verify_grant(self, chain: str | Sequence[str], *, now: Now = None) -> Grant:
        """
        Verify what the holder of a key may do.

        Args:
            chain: The links, the authority's first; a lone token is a chain of one.
            now: Unix seconds or an aware time; the anchor's clock when left out.

        Raises:
            CredentialExpiredError: It was good once.
            CredentialRevokedError: A link of it was taken back.
            DelegationError: The chain is broken, or a link hands on what it must not.
            CredentialError: It is anything but a grant of this trust domain.
        """
        moment = self._moment(now)
        return self._unless_revoked(self._verifier.grant(chain, self._keys, moment), GRANT)

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
        if grant.holders[0] != credential.key_id:
            raise CredentialError("The agent was refused", why="its grant was issued to another agent")
        if grant.names:
            credential = sub_agent(credential, grant, grant.names)
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

    def _unless_revoked(self, found: Verified[Result], kind: TokenKind) -> Result:
        if self._revoked and not self._revoked.isdisjoint(found.token_ids):
            raise CredentialRevokedError(
                f"The {kind.name} was revoked", fix="Issue the agent again, if it may act again"
            )
        return found.value

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
