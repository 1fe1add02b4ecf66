"""
DO IT: the only place that joins who, may and record.

- `enforce`: the seven steps; read this file first.
- `call`: one guarded call, from its decision to its end.
- `calls`: every kind of call, wrapped the same way. `lazy`: results whose body runs later.
- `guard`, `session`: what an application opens.
- `requires`, `data_access`: what a tool's author writes. `touch`: what a block or a wrapped library is about to do.
- `tool`, `signature`, `binding`: from a call's arguments to the resources it is about.
- `approval`: asking a person. `terminal`: asking on the terminal.
- `explain`: the text of refusals. `telemetry`: the attributes of spans.
- `configured`: from `agentid.toml` to a guard.
"""

from __future__ import annotations

from agentid.guard.approval import Approval, ApprovalRequest, Approver
from agentid.guard.guard import Guard, ObserveOnlyGuard
from agentid.guard.requires import requires
from agentid.guard.session import Session, current_session, propagate
from agentid.guard.terminal import TerminalApprover

__all__ = [
    "Approval",
    "ApprovalRequest",
    "Approver",
    "Guard",
    "ObserveOnlyGuard",
    "Session",
    "TerminalApprover",
    "current_session",
    "propagate",
    "requires",
]
