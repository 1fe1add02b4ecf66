"""The answer to a request: allow, ask or deny, and why."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, get_args

from agentid.permission import Permission

__all__ = ["REASONS", "Decision", "Effect", "Reason"]

Effect = Literal["allow", "ask", "deny"]

Reason = Literal[
    "granted",
    "approved",
    "approval_required",
    "approval_missing",
    "scope_missing",
    "constraint_violation",
    "policy_forbid",
    "resource_invalid",
    "second_door",
    "no_identity",
    "session_ended",
    "expired",
    "revoked",
    "audit_unavailable",
    "error",
]
"""Why, as a word of low cardinality. The list is closed: dashboards and tests enumerate it."""

REASONS: Final[tuple[Reason, ...]] = get_args(Reason)


class Decision(NamedTuple):
    """
    What was decided.

    Attributes:
        effect: `allow`, `ask` (a person must say yes first) or `deny`.
        reason: One word of `REASONS`.
        permission: The permission that decided, or None where the lack of one did.
        obligations: What must be done besides; an enforcement point that cannot do one must deny.
    """

    effect: Effect
    reason: Reason
    permission: Permission | None = None
    obligations: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        # `if decision:` must never let an `ask` or a `deny` through, and a tuple is true by default.
        return self.effect == "allow"
