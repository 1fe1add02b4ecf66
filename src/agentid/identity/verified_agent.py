"""An agent as a trust anchor has verified it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agentid.identity.credential import Credential
from agentid.identity.grant import Grant

if TYPE_CHECKING:
    from agentid.identity.trust import TrustAnchor

__all__ = ["VerifiedAgent"]


@dataclass(frozen=True, slots=True)
class VerifiedAgent:
    """
    An agent whose credential, grant and key were verified together.

    Attributes:
        credential: Who it is; of a sub-agent, what the links of its grant say below its root's credential.
        grant: What it may do.
        expires_at: Unix seconds; the earlier end of both.
        generation: The anchor's `generation` when this was verified; it stands while that has not changed.
        anchor: What verified it, and verifies it again.
    """

    credential: Credential
    grant: Grant
    expires_at: int
    generation: int
    anchor: TrustAnchor = field(repr=False, compare=False)
