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

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from threading import Lock
from typing import Any, Final, TypeVar

from agentid.errors import ConfigurationError, CredentialError
from agentid.identity.agent import Agent
from agentid.identity.agent_id import parse_trust_domain
from agentid.identity.credential import Credential
from agentid.identity.delegation import sub_agent
from agentid.identity.grant import Grant
from agentid.identity.keys.bundle import Bundle, refused
from agentid.identity.moment import Now, seconds
from agentid.identity.possession import Possession
from agentid.identity.process_lock import call_in_children
from agentid.identity.revocation.revoked import Revocations, RevocationSource
from agentid.identity.token import CREDENTIAL, GRANT, JWT_SVID, TokenKind
from agentid.identity.verified_agent import VerifiedAgent
from agentid.identity.verifier import Verified, Verifier
from agentid.identity.watch import Source, Watch
from agentid.signing import KeySet, PublicKey

__all__ = ["TrustAnchor", "VerifiedAgent"]

MAX_LEEWAY: Final = 60

Result = TypeVar("Result", Credential, Grant)


class TrustAnchor:
    """
    What verifies credentials and grants of one trust domain. Safe in several threads.

    Args:
        trust_domain: Such as `acme.example`.
        keys: The authority's public keys, each with its use.
        clock: Gives Unix seconds.
        leeway: Seconds by which the authority's clock may be ahead; never makes a token live longer.
        sequence: The number of this state of the keys, as published; `None` where its publisher does not count.
        source: Knows what was revoked elsewhere. While it cannot say, nothing is accepted.

    Attributes:
        trust_domain: In lower case.
        clock: Gives Unix seconds.
        generation: Grows with each revocation and each change of keys. To be read, never set.

    Raises:
        ConfigurationError: There is no key, or the leeway is over a minute.
        CredentialError: The trust domain is not one, or two keys are the same.
    """

    __slots__ = (
        "__weakref__",
        "_bundle",
        "_lock",
        "_possession",
        "_revocations",
        "_verifier",
        "_watch",
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
        sequence: int | None = 1,
        source: RevocationSource | None = None,
    ) -> None:
        if not isinstance(leeway, int | float) or not 0 <= leeway <= MAX_LEEWAY:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError("The leeway was refused", fix=f"Use 0 to {MAX_LEEWAY} seconds")
        if not callable(clock):
            raise ConfigurationError(
                "The clock was refused",
                why="it cannot be called",
                fix="Leave it out, or pass a function without arguments",
            )
        self.trust_domain = parse_trust_domain(trust_domain)
        self.generation = 0
        self._bundle = Bundle(_some(keys), sequence)
        self.clock = clock
        self._lock = Lock()
        self._possession = Possession()
        self._revocations = Revocations(source)
        self._verifier = Verifier(self.trust_domain, leeway)
        self._watch = Watch()
        if source is not None:
            self._watch.add(self._look_at_revocations)
        call_in_children(self.forked)

    @classmethod
    def from_jwks(
        cls,
        jwks: object,
        *,
        trust_domain: str,
        clock: Callable[[], float] = time.time,
        leeway: float = 5,
        status: str | os.PathLike[str] | Callable[[], str | bytes] | None = None,
        max_status_age: timedelta = timedelta(minutes=5),
    ) -> TrustAnchor:
        """
        Read published keys, a JWKS as text or decoded, for one trust domain.

        Args:
            jwks: The keys.
            trust_domain: Whose they are.
            clock: Gives Unix seconds.
            leeway: Seconds by which the authority's clock may be ahead.
            status: What was revoked, as the authority publishes it: a file, which is read twice a second, or a
                function that gives the list, which is called when a new one is due. Without it, nothing is known.
            max_status_age: How old the list may be. Nothing is accepted without one that is younger.

        Raises:
            CredentialError: It is not a JWKS, it has no key that we can use, or a key in it is not what it says.
            ConfigurationError: `status` or its age cannot be one.
        """
        bundle = Bundle.parse(jwks)
        if not bundle.keys:
            raise refused("it has no key that can verify an agent")
        source: RevocationSource | None = None
        if status is not None:
            # Most programs have the authority itself.
            from agentid.identity.revocation.status_source import StatusListSource

            source = StatusListSource(status, trust_domain=trust_domain, max_age=max_status_age, leeway=leeway)
        return cls(trust_domain, bundle.keys, clock=clock, leeway=leeway, sequence=bundle.sequence, source=source)

    def to_jwks(self) -> dict[str, Any]:
        """Give the keys for publication, as a SPIFFE bundle."""
        self.look()
        return self._bundle.to_jwks()

    def refresh(self, jwks: object, *, trust_domain: str | None = None) -> bool:
        """
        Take newer published keys of the same trust domain, and say whether they differ from those of before.

        Call it at least as often as `spiffe_refresh_hint` in the published keys says: what their authority does not
        trust any more is trusted here until then.

        Args:
            jwks: A JWKS, as text or decoded.
            trust_domain: Whose keys they are. Without it, one of them has to be one of those of before, because
                published keys do not say whose they are. With it, they may all be others, or none, after which
                nothing verifies.

        Raises:
            CredentialError: They are not a JWKS, are older than those of before, or are another trust domain's. Those
                of before are kept.
        """
        bundle = Bundle.parse(jwks)
        if trust_domain is not None and parse_trust_domain(trust_domain) != self.trust_domain:
            raise refused("it is of another trust domain")
        with self._lock:
            is_new = bundle.replaces(self._bundle, is_vouched_for=trust_domain is not None)
            # The keys of before are kept where they are the same, and what was verified with them.
            self._bundle = bundle if is_new else replace(self._bundle, sequence=bundle.sequence)
            self.generation += is_new
        self._watch.again()  # a list of statuses may hang on a key that is no more
        return is_new

    @property
    def keys(self) -> KeySet:
        """The authority's public keys, by use."""
        self.look()
        return self._bundle.keys

    @property
    def due(self) -> float:
        """Unix seconds from which on `look` asks its sources again; infinity where there is nothing to ask."""
        return self._watch.due

    def watch(self, source: Source) -> None:
        """Ask *source* whenever something is to be verified and it is due, so that it can bring this up to date."""
        self._watch.add(source)

    def look(self) -> None:
        """
        Look at what changes elsewhere, if it is time to; `generation` has grown where it matters.

        Raises:
            CredentialError: That cannot be looked at, so nobody knows what is good.
        """
        if self._watch.has_sources:
            self._watch.look(seconds(self.clock()))

    def look_again(self) -> None:
        """Make the next look one that asks, whatever the sources said before."""
        self._watch.again()

    def replace_keys(self, keys: Iterable[PublicKey]) -> None:
        """
        Take *keys* from now on, and no other; what only an old key verified is refused from the next call.

        Raises:
            ConfigurationError: There is no key.
        """
        replacement = _some(keys)
        with self._lock:
            before = self._bundle.sequence
            self._bundle = Bundle(replacement, None if before is None else before + 1)
            # Last, so that whoever sees the new number sees the new keys, too.
            self.generation += 1

    def follow(self, bundle: Bundle) -> None:
        """Take these keys from now on, if they are not the very ones of before; for the authority that it is of."""
        with self._lock:
            is_new = bundle.keys is not self._bundle.keys
            self._bundle = bundle
            # Last, so that whoever sees the new number sees the new keys, too.
            self.generation += is_new

    def revoke(self, *token_ids: str, names: Iterable[str] = ()) -> None:
        """
        Refuse from now on whatever has one of these ids: credentials, grants and all that hangs on them.

        Args:
            token_ids: Of tokens, and of issues of agents.
            names: Every agent of such a name, as `support-bot`, is refused as well, and what is below it.

        Raises:
            ConfigurationError: An id or a name is not text.
        """
        paths = tuple(names)
        if not all(isinstance(text, str) for text in (*token_ids, *paths)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError("Nothing was revoked", why="an id is not text", fix="Use `Authority.revoke`")
        self._revocations.add(token_ids, paths)
        self._count()

    def reinstate(self, name: str) -> None:
        """Accept agents with this name again, as far as nobody revoked it elsewhere."""
        self._revocations.lift(name)
        self.ask_again()

    def ask_again(self) -> None:
        """Look now what was revoked elsewhere, whether or not it is time to."""
        self._revocations.expire()
        self._watch.again()
        self.look()

    def forget(self) -> None:
        """Forget what was verified, so that each signature is checked again; nothing that was revoked comes back."""
        self._verifier.forget()

    def forked(self) -> None:
        """
        Begin anew in a child process; nothing that was revoked comes back.

        Who was acting in the parent is not acting in the child: whatever remembers that an agent was verified has to
        look again (`Session.check`). And a lock that somebody held there is held by nobody here.
        """
        self._lock = Lock()
        self._watch = self._watch.anew()
        self._verifier = self._verifier.anew()
        self._possession.forked()
        self.generation += 1

    def is_revoked(self, token_id: str) -> bool:
        """Say whether *token_id* is known to be revoked."""
        return type(token_id) is str and self._revocations.has(token_id)

    def is_name_revoked(self, name: str) -> bool:
        """Say whether the agents with this name are known to be revoked."""
        return self._revocations.has_name(name)

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
        return self._unless_revoked(self._verifier.credential(token, self._bundle.keys, moment), CREDENTIAL)

    def verify_jwt_svid(self, token: str, *, audience: str, now: Now = None) -> Credential:
        """
        Verify who an agent is by its JWT-SVID, ours or of another issuer, for *audience* and nobody else.

        Raises:
            CredentialExpiredError: It was good once.
            CredentialRevokedError: The agent was taken back.
            CredentialError: It is anything but a JWT-SVID of this trust domain for *audience*.
        """
        moment = self._moment(now)
        return self._unless_revoked(self._verifier.svid(token, audience, self._bundle.keys, moment), JWT_SVID)

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
        return self._unless_revoked(self._verifier.grant(chain, self._bundle.keys, moment), GRANT)

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
        generation, keys = self.generation, self._bundle.keys
        credential = self._unless_revoked(self._verifier.credential(agent.credential_token, keys, moment), CREDENTIAL)
        grant = self._unless_revoked(self._verifier.grant(agent.grant_chain, keys, moment), GRANT)
        if grant.keys[0] != credential.key:
            raise CredentialError("The agent was refused", why="its grant was issued to another agent")
        if grant.names:
            credential = sub_agent(credential, grant, grant.names)
            self._revocations.check_name(credential.id)
        self._possession.check(agent, credential)
        return VerifiedAgent(credential, grant, min(credential.expires_at, grant.expires_at), generation, self)

    def __repr__(self) -> str:
        return f"<TrustAnchor {self.trust_domain}, {len(self._bundle.keys)} keys>"

    def _moment(self, now: object) -> float:
        # Keys and revocations are those of the present, also for a question about another time.
        if now is not None:
            self.look()
            return seconds(now)
        moment = seconds(self.clock())
        self._watch.look(moment)
        return moment

    def _unless_revoked(self, found: Verified[Result], kind: TokenKind) -> Result:
        value = found.value
        if not self._revocations.is_quiet:
            if isinstance(value, Credential):
                self._revocations.check_name(value.id)
            self._revocations.check(kind, value.token_ids, value.status)
        return value

    def _look_at_revocations(self, now: float) -> float:
        if self._revocations.poll(now, self._bundle.keys, clock=self.clock):
            self._count()
        return self._revocations.ask_again

    def _count(self) -> None:
        # After the change, so that whoever sees the new number sees the change, too.
        with self._lock:
            self.generation += 1


def _some(keys: Iterable[PublicKey]) -> KeySet:
    try:
        found = keys if isinstance(keys, KeySet) else KeySet(keys)
    except (AttributeError, TypeError):
        raise ConfigurationError("The trust anchor was refused", why="its keys are not a list of `PublicKey`") from None
    if not found:
        raise ConfigurationError("The trust anchor was refused", why="it has no key, so it could verify nothing")
    return found
