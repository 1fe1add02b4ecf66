"""
The record of one access: who touched what, what was decided and why, and what came of it.

It holds no argument and no result. The resource is there, because what was touched is what a record is
for; a tool that puts a secret into a resource's name has put it into its records.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from agentid.permission import Action
from agentid.resource import Resource

__all__ = ["Access", "AccessRecord", "Audit", "Holder", "Observer", "Phase", "Status"]

Phase = Literal["decision", "outcome"]
Status = Literal["pending", "success", "failure", "denied", "stopped", "cancelled", "closed", "abandoned"]
"""
What came of it. `denied`: the body never ran. `stopped`: a stream that was refused its next item, or a body
whose arguments were not any more what was allowed.
`closed`: a stream that its reader closed early. `abandoned`: lazy work that nobody ran, or nobody finished.
"""


class Access(NamedTuple):
    """One thing done to one resource."""

    action: Action
    resource: Resource

    def __str__(self) -> str:
        return f"{self.action}:{self.resource}"


class Holder(NamedTuple):
    """
    One agent of a chain of delegation.

    Attributes:
        agent_id: Its SPIFFE ID.
        grant_id: Id of the link of the grant that it holds.
        key_id: Thumbprint of the key that holds it.
    """

    agent_id: str
    grant_id: str
    key_id: str


@dataclass(slots=True)
class AccessRecord:
    """
    One guarded call, or one data access.

    Attributes:
        id: Unique, 32 hexadecimal digits.
        session: Id of the session it happened in; empty if nobody was acting.
        time_ns: When it began, nanoseconds since 1970 by the guard's clock.
        agent_id: SPIFFE ID of the acting agent; empty if nobody was acting.
        agent_name: Its name.
        owner: Who answers for the agent.
        credential_id: Id of the credential that proved it; of a sub-agent, of the link that names it.
        delegation: Of a sub-agent, everybody from the agent at its root to itself; else empty.
        tool: Name of the tool, or of the access for code that is no function.
        accesses: What is done to which resources; empty if the arguments named none.
        effect: `allow`, `deny` or, when only observed, `would_deny` and `would_ask`.
        reason: Why, as one word of `agentid.policy.REASONS`.
        permission: Text of the permission that decided; empty if none did.
        enforcement: `enforced`, or `monitor` when only observed.
        approval: Id of the approval, if a person was asked and said yes.
        status: What came of it.
        error_type: Class of the exception that ended it; empty if none did.
        duration_ns: From the call to its end; None until then.
        trace_id: Of its span, 32 hexadecimal digits; empty if there is none.
        span_id: Of its span, 16 hexadecimal digits; empty if there is none.
        labels: Labels of the data it touched, as configured.
        rows: How many records went in or came out, where that is known.
        size: How many bytes, where that is known.
        task: What the agent was asked to do, as the session says.
    """

    id: str
    session: str
    time_ns: int
    agent_id: str
    agent_name: str
    tool: str
    owner: str = ""
    credential_id: str = ""
    delegation: tuple[Holder, ...] = ()
    accesses: tuple[Access, ...] = ()
    effect: Literal["allow", "deny", "would_deny", "would_ask"] = "deny"
    reason: str = "error"
    permission: str = ""
    enforcement: Literal["enforced", "monitor"] = "enforced"
    approval: str = ""
    status: Status = "pending"
    error_type: str = ""
    duration_ns: int | None = None
    trace_id: str = ""
    span_id: str = ""
    labels: tuple[str, ...] = ()
    rows: int | None = None
    size: int | None = None
    task: str = field(default="", repr=False)

    @property
    def action(self) -> str:
        """The action of the first access; empty if there is none."""
        return self.accesses[0].action if self.accesses else ""

    @property
    def resource(self) -> str:
        """Text of the first resource; empty if there is none."""
        return str(self.accesses[0].resource) if self.accesses else ""


class Audit(Protocol):
    """
    Where decisions are written before the act, and outcomes after. Raising refuses the call.

    It may be entered again by the thread that is in it: a stream that the garbage collector closes ends wherever
    that thread happens to be. A plain lock would then wait for itself.
    """

    def write(self, phase: Phase, record: AccessRecord) -> None:
        """Write *record*; when this returns, it must be written."""
        ...


Observer = Callable[[AccessRecord], None]
"""Gets each record when it is complete, best effort: what it raises is logged and changes nothing."""
