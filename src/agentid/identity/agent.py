"""
The agent: its credential, its grant, and the key that proves both are its own.

An agent never shows its key: not in `repr`, not to `vars`, not by pickling or copying. Neither does it
show its tokens, except to the code that asks for them by name. It can be handed to another process as
a file that only its owner may read.

Nothing here verifies anything. Whoever wants to know whether an agent is what it says asks
`TrustAnchor.verify_agent`.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from agentid.errors import CredentialExpiredError, DelegationError, quote
from agentid.identity.agent_file import AgentFile, not_an_agent
from agentid.identity.credential import Credential, credential_shape
from agentid.identity.delegation import hand_on, link_claims, link_hash, link_shape, sub_agent
from agentid.identity.grant import Grant, chain_links, root_shape
from agentid.identity.inputs import agent_id, check_depth, one_line_text, times
from agentid.identity.token import CREDENTIAL, GRANT, encode, read_unverified
from agentid.permission import Permission, permissions
from agentid.secret import Secret
from agentid.signing import PrivateKey

if TYPE_CHECKING:
    from agentid.identity.agent_id import AgentId

__all__ = ["MAX_TTL", "Agent"]

MAX_TTL: Final = timedelta(hours=24)
_DEFAULT_TTL: Final = 15 * 60


class Agent(Secret):
    """
    One agent, able to act.

    `Authority.issue` makes it, `Agent.delegate` makes a sub-agent, and `Agent.load` reads one that was saved.
    """

    __slots__ = ("__weakref__", "_chain", "_clock", "_credential", "_grant", "_key", "_token")

    def __init__(
        self,
        key: PrivateKey,
        *,
        credential: Credential,
        token: str,
        grant: Grant,
        chain: Sequence[str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._key = key
        self._credential = credential
        self._token = token
        self._grant = grant
        self._chain = tuple(chain)

    @property
    def id(self) -> AgentId:
        """The agent's SPIFFE ID."""
        return self._credential.id

    @property
    def name(self) -> str:
        """What people call the agent."""
        return self._credential.name

    @property
    def owner(self) -> str:
        """Who answers for the agent; empty when nobody was named."""
        return self._credential.owner

    @property
    def purpose(self) -> str:
        """What the agent is for; empty when nothing was said."""
        return self._credential.purpose

    @property
    def on_behalf_of(self) -> str | None:
        """The person for whom the agent acts."""
        return self._grant.on_behalf_of

    @property
    def allow(self) -> tuple[Permission, ...]:
        """What the agent may do."""
        return self._grant.allow

    @property
    def ask(self) -> tuple[Permission, ...]:
        """What the agent may do after a person said yes; where both match, asking wins."""
        return self._grant.ask

    @property
    def expires_at(self) -> datetime:
        """When the agent's time is over, in UTC: the earlier end of credential and grant."""
        return datetime.fromtimestamp(min(self._credential.expires_at, self._grant.expires_at), tz=timezone.utc)

    @property
    def credential_token(self) -> str:
        """The signed credential, of a sub-agent that of the agent at its root. Not to be logged."""
        return self._token

    @property
    def grant_chain(self) -> tuple[str, ...]:
        """The signed grant, the authority's link first. Not to be logged."""
        return self._chain

    @property
    def own_ids(self) -> tuple[str, ...]:
        """The ids that are revoked to take back this agent and whatever is below it, and nobody above."""
        return tuple(dict.fromkeys((*self._credential.own_ids, self._grant.token_ids[-1])))

    def sign(self, data: bytes) -> bytes:
        """Sign *data* with the agent's key, to prove that it is the holder."""
        return self._key.sign(data)

    def describe(self) -> dict[str, Any]:
        """Give what anyone may know about the agent, ready for JSON: no token and no key."""
        return {
            "id": str(self.id),
            "name": self.name,
            "owner": self.owner,
            "purpose": self.purpose,
            "on_behalf_of": self.on_behalf_of,
            "delegated_by": [str(holder) for holder in self._credential.id.above(self._grant.depth)],
            "instance": self._credential.instance,
            "credential_id": self._credential.token_id,
            "grant_id": self._grant.token_id,
            "key_id": self._credential.key_id,
            "allow": [str(permission) for permission in self.allow],
            "ask": [str(permission) for permission in self.ask],
            "issued_at": datetime.fromtimestamp(self._credential.issued_at, tz=timezone.utc).isoformat(),
            "expires_at": self.expires_at.isoformat(),
        }

    def delegate(
        self,
        name: str,
        *,
        allow: Iterable[str | Permission] = (),
        ask: Iterable[str | Permission] = (),
        ttl: timedelta | None = None,
        purpose: str = "",
        max_depth: int | None = None,
    ) -> Agent:
        """
        Hand a part of what this agent may do to a sub-agent with a key and a name of its own; asks nobody.

        What this agent has to ask about, the sub-agent has to ask about. Whoever takes this agent back takes the
        sub-agent back.

        ```python
        from datetime import timedelta

        from agentid import Authority

        bot = Authority.create("acme.example").issue("support-bot", allow=["read:crm/customers/*"])
        helper = bot.delegate("summariser", allow=["read:crm/customers/c-42"], ttl=timedelta(minutes=5))
        ```

        Args:
            name: What to call it, such as `summariser`; comes below this agent's id.
            allow: What it may do. Nothing, when empty.
            ask: What it may do after a person said yes.
            ttl: How long it lives; by default a quarter of an hour, or until this agent's end.
            purpose: What it is for.
            max_depth: How deep a chain below it may get, counted from the authority, whose own agents are at depth 0:
                1 keeps a sub-agent of one of those from handing on. By default as deep as this agent's may.

        Raises:
            ConfigurationError: A permission, the name, the lifetime or the depth is not one.
            DelegationError: It would get more, live longer or hand on further than this agent.
            CredentialExpiredError: This agent's time is over.
        """
        may, may_ask = permissions(allow, where="allow"), permissions(ask, where="ask")
        now = self._clock()
        ends = min(self._credential.expires_at, self._grant.expires_at)
        if not now < ends:
            raise CredentialExpiredError(
                f"The agent {quote(self.name)} can hand nothing on", why="its time is over", fix="Issue it again"
            )
        if ttl is None:
            begins, expires_at = math.floor(now), min(math.floor(now + _DEFAULT_TTL), ends)
        else:
            begins, expires_at = times(now, ttl, MAX_TTL)
        # Where nothing may be handed on at all, that is what is said below, whatever was passed.
        depth = self._grant.depth + 1 if self._grant.depth < self._grant.max_depth else 0
        key = PrivateKey.generate()
        before = link_hash(self._chain[-1])
        claims = link_claims(
            self._grant,
            before,
            key=key.public_key(),
            name=agent_id(lambda: self.id.below(name)).name,
            purpose=one_line_text(purpose, "purpose"),
            allow=may,
            ask=may_ask,
            token_id=str(uuid4()),
            issued_at=max(begins, self._grant.issued_at),  # the authority's clock may be a little ahead
            expires_at=expires_at,
            max_depth=self._grant.max_depth if max_depth is None else check_depth(max_depth, holder=depth),
        )
        grant = hand_on(self._grant, before, link_shape().read(claims))
        if grant.expires_at > ends:
            raise DelegationError("The agent cannot hand this on", why="it would outlive the agent's own credential")
        chain = (*self._chain, encode(self._key, GRANT, claims))
        credential = sub_agent(self._credential, grant, grant.names[-1:])
        return Agent(key, credential=credential, token=self._token, grant=grant, chain=chain, clock=self._clock)

    def save(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        passphrase: str | bytes | None = None,
        overwrite: bool = False,
    ) -> Path:
        """
        Write the agent with its key to a file that only its owner may read, for another process to load.

        Args:
            path: The file; missing folders are made, for the owner alone. Without it, `.agentid/agents/` and the
                agent's name, below the current folder.
            passphrase: Encrypts the key. It is needed again to load the agent, and stands nowhere.
            overwrite: Replace a file that is there.

        Returns:
            The path of the file.

        Raises:
            ConfigurationError: There is a file already, it cannot be written, or the passphrase is not one.
        """
        file = AgentFile(self._key, self._token, self._chain)
        return file.write(path, name=self.name, passphrase=passphrase, overwrite=overwrite)

    @classmethod
    def load(cls, path: str | os.PathLike[str] | None = None, *, passphrase: str | bytes | None = None) -> Agent:
        """
        Read an agent that `Agent.save` wrote. What it may do is verified where it acts, not here.

        Args:
            path: The file. Without it, the only one in `.agentid/agents` below the current folder: what another
                process saved there without a path.
            passphrase: The one that the agent was saved with.

        Raises:
            ConfigurationError: The file cannot be read, others can get at it, the passphrase is missing or wrong,
                or there is not exactly one agent where no path says which.
            CredentialError: It does not hold an agent, or its parts do not belong together.
        """
        file = AgentFile.read(path, passphrase=passphrase)
        key, token, chain = file.key, file.credential, file.chain
        credential = Credential.from_claims(read_unverified(token, CREDENTIAL, credential_shape()))
        links = chain_links(chain)
        root = read_unverified(links[0], GRANT, root_shape())
        grant = Grant.from_root_claims(root, trust_domain=credential.id.trust_domain)
        for before, link in pairwise(links):
            grant = hand_on(grant, link_hash(before), read_unverified(link, GRANT, link_shape()))
        if not (credential.key_id == grant.holders[0] and key.kid == grant.holder):
            raise not_an_agent("its key, credential and grant do not belong together")
        if grant.names:
            credential = sub_agent(credential, grant, grant.names)
        return cls(key, credential=credential, token=token, grant=grant, chain=chain)

    def __repr__(self) -> str:
        return f"<Agent {self.name}, expires {self.expires_at.isoformat()}>"
