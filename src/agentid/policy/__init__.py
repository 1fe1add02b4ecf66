"""
MAY IT: pure rules. No I/O, no clock, no globals; the same question always has the same answer.

- `request`: the question, as subject, action, resource and context.
- `decision`: the answer, with a reason from a closed list.
- `index`: permissions compiled so that finding one costs the same among ten and among a hundred thousand.
- `exclusion`: whether a value provably lies outside of a constraint.
- `policy`: the guard's own rules, which only narrow what a grant allows.
- `rules`: a grant and a policy put together; `Rules.decide` is the decision.
"""

from __future__ import annotations

from agentid.policy.decision import REASONS, Decision, Effect, Reason
from agentid.policy.index import PermissionIndex
from agentid.policy.policy import Policy
from agentid.policy.request import NO_ARGUMENTS, AccessRequest
from agentid.policy.rules import Rules

__all__ = [
    "NO_ARGUMENTS",
    "REASONS",
    "AccessRequest",
    "Decision",
    "Effect",
    "PermissionIndex",
    "Policy",
    "Reason",
    "Rules",
]
