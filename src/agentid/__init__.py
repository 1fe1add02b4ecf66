"""
Every AI agent is an identity: who it is, what it may do, what it did.

```python
from agentid import Authority, Guard, requires

@requires("read:crm/customers/{customer_id}")
def get_customer(customer_id: str) -> dict[str, str]: ...

authority = Authority.open("keys/authority.pem", trust_domain="acme.example")
bot = authority.issue("support-bot", allow=["read:crm/customers/*"])

with Guard(authority.trust).acting_as(bot, task="Answer Ada about order 17"):
    get_customer("c-42")
```

Names are loaded when they are used, so that importing this costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agentid._version import __version__

if TYPE_CHECKING:
    from agentid.constraint import (
        all_of,
        any_of,
        at_least,
        at_most,
        between,
        contains,
        ends_with,
        exactly,
        matches_resource,
        none_of,
        one_of,
        starts_with,
        subset_of,
    )
    from agentid.errors import AccessDeniedError, Error
    from agentid.guard import (
        Approval,
        ApprovalRequest,
        Guard,
        ObserveOnlyGuard,
        TerminalApprover,
        propagate,
    )
    from agentid.guard.requires import requires  # by its module: mypy would take that for the function
    from agentid.identity import Agent, AgentId, Authority, TrustAnchor, TrustAnchors
    from agentid.permission import Permission
    from agentid.policy import Policy
    from agentid.record.audit import AuditLog, verify_audit_log
    from agentid.resource import Resource

__all__ = [
    "AccessDeniedError",
    "Agent",
    "AgentId",
    "Approval",
    "ApprovalRequest",
    "AuditLog",
    "Authority",
    "Error",
    "Guard",
    "ObserveOnlyGuard",
    "Permission",
    "Policy",
    "Resource",
    "TerminalApprover",
    "TrustAnchor",
    "TrustAnchors",
    "__version__",
    "all_of",
    "any_of",
    "at_least",
    "at_most",
    "between",
    "contains",
    "ends_with",
    "exactly",
    "matches_resource",
    "none_of",
    "one_of",
    "propagate",
    "requires",
    "starts_with",
    "subset_of",
    "verify_audit_log",
]

_CONSTRAINTS: Final = (
    "all_of", "any_of", "at_least", "at_most", "between", "contains", "ends_with", "exactly",
    "matches_resource", "none_of", "one_of", "starts_with", "subset_of",
)  # fmt: skip
_HOME: Final = {
    "AccessDeniedError": "agentid.errors",
    "Agent": "agentid.identity",
    "AgentId": "agentid.identity",
    "Approval": "agentid.guard",
    "ApprovalRequest": "agentid.guard",
    "AuditLog": "agentid.record.audit",
    "Authority": "agentid.identity",
    "Error": "agentid.errors",
    "Guard": "agentid.guard",
    "ObserveOnlyGuard": "agentid.guard",
    "Permission": "agentid.permission",
    "Policy": "agentid.policy",
    "Resource": "agentid.resource",
    "TerminalApprover": "agentid.guard",
    "TrustAnchor": "agentid.identity",
    "TrustAnchors": "agentid.identity",
    "propagate": "agentid.guard",
    "requires": "agentid.guard",
    "verify_audit_log": "agentid.record.audit",
    **dict.fromkeys(_CONSTRAINTS, "agentid.constraint"),
}


def __getattr__(name: str) -> Any:
    # PEP 562: only a name that is asked for is loaded.
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
