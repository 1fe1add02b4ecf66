"""
The authority: issues agents and takes them back.

It holds the root keys, one for each use, and shares one live trust anchor with every guard in the
process, so that a revocation counts from the next call on. What it took back stands in a store beside
its key file, which every process that opens the authority looks at twice a second.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Final
from uuid import uuid4

from agentid import names
from agentid.errors import ConfigurationError, CredentialError, quote
from agentid.identity.agent import MAX_TTL, Agent
from agentid.identity.agent_id import AgentId, parse_trust_domain
from agentid.identity.credential import Credential
from agentid.identity.grant import DEFAULT_MAX_DEPTH, Grant
from agentid.identity.inputs import agent_id, check_depth, one_line_text, times, uri
from agentid.identity.keys.key_ring import KeyRing
from agentid.identity.keys.key_store import KeyStore, PublishedKeys
from agentid.identity.private_file import file_path
from agentid.identity.revocation.issued import Issued
from agentid.identity.revocation.revoker import Revoker
from agentid.identity.revocation.store import RevocationStore
from agentid.identity.token import CREDENTIAL, GRANT, JWT_SVID, MAX_OWN_SVID, encode
from agentid.identity.trust import TrustAnchor
from agentid.permission import Permission, permissions
from agentid.secret import Secret
from agentid.signing import PrivateKey, Signer

__all__ = ["Authority"]

MAX_SVID_TTL: Final = timedelta(seconds=MAX_OWN_SVID)

_STORE_SUFFIX: Final = ".revoked"


class Authority(Secret):
    """Issues agents for one trust domain. Made by `Authority.create` or `Authority.open`."""

    __slots__ = ("_clock", "_revoker", "_store", "_trust")

    def __init__(
        self,
        trust_domain: str,
        signers: Mapping[str, Signer] | KeyStore,
        *,
        clock: Callable[[], float],
        revoked: RevocationStore | None = None,
        status_uri: str | None = None,
    ) -> None:
        self._store = signers if isinstance(signers, KeyStore) else KeyStore(KeyRing(MappingProxyType(dict(signers))))
        if not callable(clock):
            raise ConfigurationError("The clock was refused", why="it cannot be called", fix="Leave it out")
        self._clock = clock
        bundle = self._store.published(clock()).bundle
        self._trust = TrustAnchor(
            _trust_domain(trust_domain), bundle.keys, clock=clock, sequence=bundle.sequence, source=revoked
        )
        self._trust.watch(self._look)
        # Without a file, the places in a list are given out in memory, and there is nothing to be asked.
        store = RevocationStore(None) if revoked is None and status_uri is not None else revoked
        where = None if status_uri is None else uri(status_uri, "status_uri")
        self._revoker = Revoker(self._trust, store, where, clock)

    @classmethod
    def create(
        cls, trust_domain: str, *, clock: Callable[[], float] = time.time, status_uri: str | None = None
    ) -> Authority:
        """
        Make an authority in memory, which ends with the process.

        Args:
            trust_domain: Such as `acme.example`.
            clock: Gives Unix seconds.
            status_uri: As for `Authority.open`.

        Raises:
            ConfigurationError: The trust domain is not one, or `status_uri` is no URI.
        """
        return cls(_trust_domain(trust_domain), KeyStore(KeyRing.generate()), clock=clock, status_uri=status_uri)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        trust_domain: str,
        clock: Callable[[], float] = time.time,
        status_uri: str | None = None,
    ) -> Authority:
        """
        Load the authority whose keys are in a file; make the file with new keys when it is missing.

        Args:
            path: The key file, which only its owner may read. A missing folder is made likewise. What is revoked
                is kept beside it, in a file of the same name and `.revoked`; links are followed first.
            trust_domain: Such as `acme.example`. It stands in the file; an older file that does not say it is told.
            clock: Gives Unix seconds.
            status_uri: Where `status_list` will be published. Agents that are issued then say so.

        Raises:
            ConfigurationError: The file cannot be read or written, others can get at it, it is not a whole key file
                or that of another trust domain, the trust domain is not one, or `status_uri` is no URI.
        """
        # Before the file is made: a slip in the name must not leave keys behind.
        domain = _trust_domain(trust_domain)
        file = file_path(path, what="key file")
        if status_uri is not None:
            uri(status_uri, "status_uri")
        revoked = RevocationStore(Path(f"{os.path.realpath(file)}{_STORE_SUFFIX}"))
        keys = KeyStore.open(file, trust_domain=domain, complete=status_uri is not None)
        return cls(domain, keys, clock=clock, revoked=revoked, status_uri=status_uri)

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
        signers = self._signers()
        key = PrivateKey.generate()
        public = key.public_key()
        spiffe_id = agent_id(lambda: AgentId.make(self.trust_domain, name))
        credential_id, grant_id = str(uuid4()), str(uuid4())
        statuses = self._revoker.references(credential_id, grant_id, name=name, expires_at=expires_at)
        credential = Credential(
            id=spiffe_id,
            token_id=credential_id,
            instance=str(uuid4()),
            owner=one_line_text(owner, "owner"),
            purpose=one_line_text(purpose, "purpose"),
            issued_at=issued_at,
            expires_at=expires_at,
            key=public,
            status=statuses[0],
        )
        grant = Grant(
            token_id=grant_id,
            trust_domain=self.trust_domain,
            allow=may,
            ask=may_ask,
            issued_at=issued_at,
            expires_at=expires_at,
            depth=0,
            max_depth=check_depth(max_depth),
            chain_ids=(grant_id,),
            keys=(public,),
            on_behalf_of=None if on_behalf_of is None else one_line_text(on_behalf_of, "on_behalf_of", empty=False),
            status=statuses[1],
        )
        return Agent(
            key,
            credential=credential,
            token=encode(signers[CREDENTIAL.use], CREDENTIAL, credential.to_claims()),
            grant=grant,
            chain=[encode(signers[GRANT.use], GRANT, grant.to_claims())],
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
        return encode(self._signers()[JWT_SVID.use], JWT_SVID, claims)

    def revoke(self, target: Agent | Issued | Credential | Grant | str | os.PathLike[str]) -> None:
        """
        Take something back, and whatever was handed on from it: an agent, a credential, a grant, or all of a name.

        It counts from the next call on, and stops what is streaming: in this process at once, in every other that
        opened the authority from the same file within a second, and elsewhere with the next `status_list`.

        Args:
            target: An agent: its credential, its grant and its JWT-SVIDs, or of a sub-agent its own link. Also by
                the path of its file, as a `Path`, for which no passphrase is needed. One credential or grant, also by
                its id, as the audit log shows it. Or a name, such as `support-bot` or `support-bot/summariser`: every
                agent that is called so, and what is below it, issued already or later, until `reinstate`.

        Raises:
            ConfigurationError: It is none of these, not of this authority, or has nothing by which it could be
                revoked. Or it could not be written down: then it counts in this process, and nowhere else.
        """
        self._revoker.revoke(target)

    def reinstate(self, name: str) -> None:
        """
        Accept agents of a name again that was revoked.

        An agent that was revoked by itself, and not by its name, stays revoked.

        Raises:
            ConfigurationError: The name is not revoked, or this could not be written down.
        """
        self._revoker.reinstate(name)

    def status_list(self, *, ttl: timedelta = timedelta(minutes=1)) -> str:
        """
        Give what was revoked as a signed Token Status List, for any server of files to publish at `status_uri`.

        `TrustAnchor.from_jwks` reads it. It is good for five times *ttl*.

        Args:
            ttl: When the next one will be published: after a second at least, and an hour at most.

        Raises:
            ConfigurationError: The authority has no `status_uri`, the time is not one, what was revoked cannot be
                read, or it is more than a list can carry.
        """
        return self._revoker.status_list(self._signers().get(names.STATUS_USE), ttl)

    def rotate(self, *, overlap: timedelta = timedelta(hours=24)) -> None:
        """
        Replace the keys that sign tokens by new ones.

        What the old keys signed stays good until *overlap* is over, and is refused from then on. The old public keys
        are published as long. Other processes that opened the same key file follow within a second; whoever verifies
        with published keys follows when it refreshes them.

        The keys of the audit log and of the list of statuses stay, unless there is no overlap: then they are replaced
        as well, and of the audit log the old public key
        is published for good, because logs are verified long after they were written. A log that is open goes on with
        the key that it was opened with.

        Args:
            overlap: At most 30 days; a day is as long as any agent lives. `timedelta(0)` is for an emergency, when
                somebody else may have the keys: every agent has to be issued again, and what is running stops.

        Raises:
            ConfigurationError: The overlap is not one, the key file cannot be read or written, the keys are kept
                elsewhere, or there would be more old keys than can be published.
        """
        now = self._clock()
        self._store.rotate(now=now, overlap=overlap)
        self._follow(now)
        self._trust.look_again()  # the old keys end at another time now

    def audit_signer(self) -> Signer:
        """Give what signs the audit log: a key of its own, which `trust` publishes and no token is signed with."""
        return self._signers()[names.AUDIT_USE]

    def __repr__(self) -> str:
        return f"<Authority {self.trust_domain}>"

    def _signers(self) -> Mapping[str, Signer]:
        now = self._clock()
        # What is signed now has to be good now, also where another process has just replaced the keys.
        self._follow(now)
        return self._store.ring(now).signers

    def _follow(self, now: float) -> PublishedKeys:
        """Bring the trust anchor up to date with the keys."""
        return self._store.published(now, to=self._trust.follow)

    def _look(self, now: float) -> float:
        try:
            published = self._follow(now)
        except ConfigurationError as error:
            raise CredentialError(error.what, why=error.why, fix=error.fix) from None
        return published.due


def _trust_domain(text: str) -> str:
    try:
        return parse_trust_domain(text)
    except CredentialError as error:
        raise ConfigurationError(f"The trust domain {quote(text)} was refused", why=error.why) from None
