"""
What an authority issued, as its tokens say that are signed: for taking it back, and for nothing else.

Time is not looked at, and neither is what was revoked: what has ended, or was taken back, may be taken back again.
INVARIANT: no id comes from here that the authority, or for a link the agent above it, did not sign.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentid.errors import ConfigurationError, CredentialError
from agentid.identity.agent_file import read_tokens
from agentid.identity.delegation import sub_agent
from agentid.identity.verifier import Verifier

if TYPE_CHECKING:
    from agentid.identity.agent_id import AgentId
    from agentid.identity.trust import TrustAnchor

__all__ = ["Issued"]

_ANY_TIME = math.inf
"""As a leeway, in which everything has begun already; at the moment 0, nothing is over."""


@dataclass(frozen=True, slots=True)
class Issued:
    """
    One issue of an agent.

    Attributes:
        id: Whose it is.
        ids: What is revoked to take it back with whatever is below it, and nobody above.
        expires_at: Unix seconds; nothing of it is alive any more.
    """

    id: AgentId
    ids: tuple[str, ...]
    expires_at: int

    @classmethod
    def of(cls, credential_token: str, grant_chain: Sequence[str], trust: TrustAnchor) -> Issued:
        """
        Read what the authority of *trust* issued.

        Args:
            credential_token: The signed credential.
            grant_chain: The signed grant, the authority's link first.
            trust: Has the authority's keys.

        Raises:
            ConfigurationError: The authority did not issue it, or its keys have been replaced since.
        """
        verifier = Verifier(trust.trust_domain, _ANY_TIME)
        try:
            keys = trust.keys
        except CredentialError as error:
            # A name needs no keys to be revoked.
            raise ConfigurationError(
                f"Nothing was revoked: {error.what[:1].lower()}{error.what[1:]}",
                why=error.why,
                fix="Revoke all of its name, until that is mended",
            ) from None
        try:
            credential = verifier.credential(credential_token, keys, 0).value
            grant = verifier.grant(grant_chain, keys, 0).value
            holder = sub_agent(credential, grant, grant.names) if grant.names else credential
        except CredentialError as error:
            raise _not_issued(f"{error.what[:1].lower()}{error.what[1:]}", error.why) from None
        if grant.keys[0] != credential.key:
            raise _not_issued("its grant was issued to another agent", "")
        ids = dict.fromkeys((*holder.own_ids, grant.token_ids[-1]))
        return cls(holder.id, tuple(ids), max(credential.expires_at, grant.expires_at))

    @classmethod
    def read(cls, path: str | os.PathLike[str], trust: TrustAnchor) -> Issued:
        """
        Read what the authority of *trust* issued from the file of an agent. Its passphrase is not needed.

        Raises:
            ConfigurationError: The file cannot be read, or the authority did not issue what is in it.
        """
        try:
            credential, chain = read_tokens(path)
        except CredentialError as error:
            raise ConfigurationError(error.what, why=error.why, fix="Revoke its name, or an id in it") from None
        return cls.of(credential, chain, trust)


def _not_issued(what: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        "Nothing was revoked",
        why="this authority did not issue the agent like this, so it is refused as it is: "
        + (f"{what}: {why}" if why else what),
        fix="Revoke what was issued, or all of its name",
    )
