"""
The agent: its credential, its grant, and the key that proves both are its own.

An agent never shows its key: not in `repr`, not to `vars`, not by pickling or copying. Neither does it
show its tokens, except to the code that asks for them by name. It can be handed to another process as
a file that only its owner may read.

Nothing here verifies anything. Whoever wants to know whether an agent is what it says asks
`TrustAnchor.verify_agent`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final, cast

from agentid.errors import ConfigurationError, CredentialError, quote
from agentid.identity.credential import Credential
from agentid.identity.grant import Grant, chain_too_long
from agentid.identity.private_file import read_private, write_private
from agentid.identity.strict_json import StrictJSONError, parse_object
from agentid.identity.token import CREDENTIAL, GRANT, read_unverified
from agentid.signing import PrivateKey, Secret

if TYPE_CHECKING:
    from agentid.identity.agent_id import AgentId
    from agentid.permission import Permission

__all__ = ["Agent"]

_WHAT: Final = "agent file"
_MAX_SIZE: Final = GRANT.max_size + 64 * 1024
_MEMBERS: Final = frozenset({"agentid_agent", "credential", "grant", "key"})


class Agent(Secret):
    """One agent, able to act. `Authority.issue` makes it; `Agent.load` reads one that was saved."""

    __slots__ = ("__weakref__", "_chain", "_credential", "_grant", "_key", "_token")

    def __init__(
        self, key: PrivateKey, *, credential: Credential, token: str, grant: Grant, chain: Sequence[str]
    ) -> None:
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
        """The signed credential. Not to be logged."""
        return self._token

    @property
    def grant_chain(self) -> tuple[str, ...]:
        """The signed grant, the authority's link first. Not to be logged."""
        return self._chain

    @property
    def token_ids(self) -> tuple[str, ...]:
        """The ids of which any one, revoked, takes this agent back: credential, instance and grant."""
        return (*self._credential.token_ids, *self._grant.token_ids)

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
            "instance": self._credential.instance,
            "credential_id": self._credential.token_id,
            "grant_id": self._grant.token_id,
            "key_id": self._credential.key_id,
            "allow": [str(permission) for permission in self.allow],
            "ask": [str(permission) for permission in self.ask],
            "issued_at": datetime.fromtimestamp(self._credential.issued_at, tz=timezone.utc).isoformat(),
            "expires_at": self.expires_at.isoformat(),
        }

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """
        Write the agent with its key to a file that only its owner may read, for another process to load.

        Args:
            path: The file; missing folders are made, for the owner alone.
            overwrite: Replace a file that is there.

        Raises:
            ConfigurationError: There is a file already, or it cannot be written.
        """
        content = {
            "agentid_agent": 1,
            "credential": self._token,
            "grant": list(self._chain),
            "key": self._key.to_pem().decode("ascii"),
        }
        data = json.dumps(content, indent=1).encode("ascii")
        if not write_private(_path(path), data, what=_WHAT, overwrite=overwrite):
            raise ConfigurationError(
                f"The {_WHAT} {quote(os.fspath(path))} was not written",
                why="there is a file already",
                fix="Choose another name, or replace it: `overwrite=True`, on the command line `--overwrite`",
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Agent:
        """
        Read an agent that `Agent.save` wrote. What it may do is verified where it acts, not here.

        Raises:
            ConfigurationError: The file cannot be read, or others can get at it.
            CredentialError: It does not hold an agent, or its parts do not belong together.
        """
        content = _content(read_private(_path(path), what=_WHAT, max_size=_MAX_SIZE))
        try:
            key = PrivateKey.from_pem(content["key"].encode("utf-8"))
        except (ConfigurationError, UnicodeError):
            raise _not_an_agent("its key cannot be read") from None
        token, chain = content["credential"], content["grant"]
        if len(chain) != 1:
            raise chain_too_long()
        credential = Credential.from_claims(read_unverified(token, CREDENTIAL))
        grant = Grant.from_root_claims(read_unverified(chain[0], GRANT), trust_domain=credential.id.trust_domain)
        if not key.kid == credential.key_id == grant.holder:
            raise _not_an_agent("its key, credential and grant do not belong together")
        return cls(key, credential=credential, token=token, grant=grant, chain=chain)

    def __repr__(self) -> str:
        return f"<Agent {self.name}, expires {self.expires_at.isoformat()}>"


def _path(path: object) -> str | os.PathLike[str]:
    if not isinstance(path, str | os.PathLike):
        raise ConfigurationError(f"The path of the {_WHAT} was refused", why="it is neither text nor a path")
    return cast("str | os.PathLike[str]", path)


def _content(data: bytes) -> dict[str, Any]:
    try:
        content = parse_object(data)
    except StrictJSONError as error:
        raise _not_an_agent(str(error)) from None
    if content.keys() != _MEMBERS or content["agentid_agent"] != 1:
        raise _not_an_agent("`Agent.save` did not write it")
    chain = content["grant"]
    texts = [
        content["credential"],
        content["key"],
        *(cast("list[object]", chain) if isinstance(chain, list) else [None]),
    ]
    if not all(isinstance(text, str) for text in texts):
        raise _not_an_agent("`Agent.save` did not write it")
    return content


def _not_an_agent(why: str) -> CredentialError:
    return CredentialError(f"The {_WHAT} was refused", why=why, fix="Save the agent again with `Agent.save`")
