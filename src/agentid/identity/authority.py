"""
The authority: issues agents and takes them back.

It holds the root keys, one for each use, and shares one live trust anchor with every guard in the
process, so that a revocation counts from the next call on. Revocations are kept in memory: after a
restart an agent that was revoked is good again until its credential ends, so keep lifetimes short.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Final
from uuid import uuid4

from agentid import names
from agentid.errors import ConfigurationError, CredentialError, quote
from agentid.identity.agent import MAX_TTL, Agent
from agentid.identity.agent_id import AgentId, parse_trust_domain
from agentid.identity.credential import Credential
from agentid.identity.grant import DEFAULT_MAX_DEPTH, Grant
from agentid.identity.inputs import agent_id, check_depth, one_line_text, times
from agentid.identity.key_file import generate_keys, load_or_create_keys
from agentid.identity.token import CREDENTIAL, GRANT, JWT_SVID, encode
from agentid.identity.trust import TrustAnchor
from agentid.permission import Permission, permissions
from agentid.signing import PrivateKey, PublicKey, Secret, Signer

__all__ = ["Authority"]

MAX_SVID_TTL: Final = timedelta(seconds=JWT_SVID.max_lifetime)


class Authority(Secret):
    """Issues agents for one trust domain. Made by `Authority.create` or `Authority.open`."""

    __slots__ = ("_clock", "_signers", "_trust")

    def __init__(self, trust_domain: str, signers: Mapping[str, Signer], *, clock: Callable[[], float]) -> None:
        self._signers = dict(signers)
        self._clock = clock
        keys = [
            PublicKey.from_jwk({**signer.public_jwk, "kid": signer.kid}, use=use) for use, signer in signers.items()
        ]
        self._trust = TrustAnchor(_trust_domain(trust_domain), keys, clock=clock)

    @classmethod
    def create(cls, trust_domain: str, *, clock: Callable[[], float] = time.time) -> Authority:
        """
        Make an authority in memory, which ends with the process.

        Args:
            trust_domain: Such as `acme.example`.
            clock: Gives Unix seconds.

        Raises:
            ConfigurationError: The trust domain is not one.
        """
        return cls(_trust_domain(trust_domain), generate_keys(), clock=clock)

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], *, trust_domain: str, clock: Callable[[], float] = time.time
    ) -> Authority:
        """
        Load the authority whose keys are in a file; make the file with new keys when it is missing.

        Args:
            path: The key file, which only its owner may read. A missing folder is made likewise.
            trust_domain: Such as `acme.example`.
            clock: Gives Unix seconds.

        Raises:
            ConfigurationError: The file cannot be read or written, others can get at it, it is not a
                whole key file, or the trust domain is not one.
        """
        # Before the file is made: a slip in the name must not leave keys behind.
        domain = _trust_domain(trust_domain)
        if not isinstance(path, str | os.PathLike):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError("The path of the key file was refused", why="it is neither text nor a path")
        return cls(domain, load_or_create_keys(path), clock=clock)

    @property
    def trust(self) -> TrustAnchor:
        """The public half, live: each revocation shows in it at once. The same object each time."""
        return self._trust

    @property
    def trust_domain(self) -> str:
        """Whose authority it is."""
        return self._trust.trust_domain

    def issue(
        self,
        name: str,
        *,
        allow: Iterable[str | Permission] = (),
        ask: Iterable[str | Permission] = (),
        ttl: timedelta = timedelta(hours=1),
        owner: str = "",
        purpose: str = "",
        on_behalf_of: str | None = None,
        max_depth: int = DEFAULT_MAX_DEPTH,
    ) -> Agent:
        """
        Make an agent with a key, a credential and a grant of its own.

        Args:
            name: What to call it, such as `support-bot`; the last part of its id.
            allow: What it may do. Nothing, when empty.
            ask: What it may do after a person said yes; wins where `allow` matches, too.
            ttl: How long it lives, never longer: at most 24 hours.
            owner: Who answers for it, such as `team:support`.
            purpose: What it is for.
            on_behalf_of: The person for whom it acts, such as `user:ada`.
            max_depth: How often its grant may be handed on: at most 8, and not at all with 0.

        Raises:
            ConfigurationError: A permission, the name, the lifetime, the depth or a text is not one, or there are
                more permissions than a grant can carry.
        """
        may, may_ask = permissions(allow, where="allow"), permissions(ask, where="ask")
        issued_at, expires_at = times(self._clock(), ttl, MAX_TTL)
        key = PrivateKey.generate()
        public = key.public_key()
        credential = Credential(
            id=agent_id(lambda: AgentId.make(self.trust_domain, name)),
            token_id=str(uuid4()),
            instance=str(uuid4()),
            owner=one_line_text(owner, "owner"),
            purpose=one_line_text(purpose, "purpose"),
            issued_at=issued_at,
            expires_at=expires_at,
            key_id=public.thumbprint,
            key=public,
        )
        grant_id = str(uuid4())
        grant = Grant(
            token_id=grant_id,
            holder_key=public,
            allow=may,
            ask=may_ask,
            issued_at=issued_at,
            expires_at=expires_at,
            depth=0,
            max_depth=check_depth(max_depth),
            chain_ids=(grant_id,),
            holders=(public.thumbprint,),
            on_behalf_of=None if on_behalf_of is None else one_line_text(on_behalf_of, "on_behalf_of", empty=False),
        )
        return Agent(
            key,
            credential=credential,
            token=encode(self._signers[CREDENTIAL.use], CREDENTIAL, credential.to_claims()),
            grant=grant,
            chain=[encode(self._signers[GRANT.use], GRANT, grant.to_claims(self.trust_domain))],
            clock=self._clock,
        )

    def jwt_svid(self, agent: Agent, *, audience: str, ttl: timedelta = MAX_SVID_TTL) -> str:
        """
        Give a SPIFFE JWT-SVID of *agent*, for a peer that wants one.

        Whoever has it can pass for the agent at that peer until it ends. Revoking the agent revokes it.

        Args:
            agent: An agent of this authority that is good now.
            audience: The one peer that it is for, such as `spiffe://acme.example/agent/mailer`.
            ttl: How long it lives: at most 5 minutes, and no longer than the agent.

        Raises:
            ConfigurationError: The audience or the lifetime is not one.
            CredentialError: The agent is not good now, or not of this authority.
        """
        if one_line_text(audience, "audience", empty=False) == "*":
            raise ConfigurationError("The audience was refused", why="`*` is everybody", fix="Name the one peer")
        issued_at, expires_at = times(self._clock(), ttl, MAX_SVID_TTL)
        verified = self._trust.verify_agent(agent)
        claims = verified.credential.to_svid_claims(
            audience=audience,
            token_id=str(uuid4()),
            issued_at=issued_at,
            expires_at=min(expires_at, verified.expires_at),
        )
        return encode(self._signers[JWT_SVID.use], JWT_SVID, claims)

    def revoke(self, agent: Agent) -> None:
        """
        Take an agent back: its credential, its grant, its JWT-SVIDs and whatever was handed on from it.

        It counts from the next call on, and stops what is streaming.

        Raises:
            ConfigurationError: It is not an agent of this trust domain.
        """
        if not isinstance(agent, Agent) or agent.id.trust_domain != self.trust_domain:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError("Nothing was revoked", why="it is not an agent of this trust domain")
        self._trust.revoke(*agent.own_ids)

    def audit_signer(self) -> Signer:
        """Give what signs the audit log: a key of its own, which `trust` publishes and no token is signed with."""
        return self._signers[names.AUDIT_USE]

    def __repr__(self) -> str:
        return f"<Authority {self.trust_domain}>"


def _trust_domain(text: str) -> str:
    try:
        return parse_trust_domain(text)
    except CredentialError as error:
        raise ConfigurationError(f"The trust domain {quote(text)} was refused", why=error.why) from None
