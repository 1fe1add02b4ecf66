"""
Who an agent is and what it was granted: issuing, proving and verifying.

- `Authority` issues agents and revokes them.
- `TrustAnchor`, its public half, verifies credentials and grants.
- `Agent` acts; `Credential` and `Grant` are what was verified about it.

Nothing is loaded before it is used: PyJWT, cryptography and pydantic come with the first name.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentid.identity.agent import Agent
    from agentid.identity.agent_id import AgentId
    from agentid.identity.authority import Authority
    from agentid.identity.credential import Credential
    from agentid.identity.grant import Grant
    from agentid.identity.trust import TrustAnchor, VerifiedAgent
    from agentid.identity.trust_anchors import TrustAnchors

__all__ = ["Agent", "AgentId", "Authority", "Credential", "Grant", "TrustAnchor", "TrustAnchors", "VerifiedAgent"]


def __getattr__(name: str) -> Any:
    modules = {
        "Agent": "agent",
        "AgentId": "agent_id",
        "Authority": "authority",
        "Credential": "credential",
        "Grant": "grant",
        "TrustAnchor": "trust",
        "TrustAnchors": "trust_anchors",
        "VerifiedAgent": "trust",
    }
    if name not in modules:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{modules[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
