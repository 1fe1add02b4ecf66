"""From a session, a subject and a record to the attributes of a span. Nothing of an argument or a result."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from agentid.guard.touch import Door
from agentid.record import AccessRecord, OpenSpan, Tracing, add_event, start_publicly
from agentid.record import attributes as names

if TYPE_CHECKING:
    from agentid.guard.session import Session
    from agentid.policy import Decision
    from agentid.record import Access

__all__ = [
    "Subject",
    "agent_attributes",
    "captures_content",
    "content",
    "decision_attributes",
    "error_type",
    "open_span",
    "plan_attributes",
    "record_nobody",
]

_MAX_CONTENT: Final = 8192
_MAX_SHOWN: Final = 20


class Subject(Protocol):
    """What is called: a decorated tool, or a data access that is no function."""

    @property
    def name(self) -> str:
        """Its name in records."""
        ...

    @property
    def span_name(self) -> str:
        """The name of its spans, of low cardinality."""
        ...

    @property
    def attributes(self) -> Mapping[str, Any]:
        """What is the same in each of its spans."""
        ...

    @property
    def is_tool(self) -> bool:
        """Whether it is a tool, with a requirement and arguments of its own."""
        ...

    @property
    def is_client(self) -> bool:
        """Whether it is a call of another system."""
        ...

    def accesses(self, arguments: Mapping[str, Any]) -> tuple[Access, ...]:
        """What a call does to which resources."""
        ...


def agent_attributes(session: Session) -> dict[str, Any]:
    """What is the same in each span of a session."""
    agent, grant = session.agent, session.grant
    attributes: dict[str, Any] = {
        names.ID: str(agent.id),
        names.AGENT_ID: str(agent.id),
        names.AGENT_NAME: agent.name,
        names.PRINCIPAL_TYPE: "agent",
        names.CREDENTIAL_ID: agent.token_id,
        names.CREDENTIAL_TYPE: agent.type,
        names.GRANT_ID: grant.token_id,
        names.DEPTH: grant.depth,
        names.ENGINE: names.BUILTIN,
        names.ENFORCEMENT: session.guard.enforcement,
    }
    if session.delegation:
        attributes[names.CHAIN] = tuple(holder.agent_id for holder in session.delegation)
    if agent.owner:
        attributes[names.OWNER] = agent.owner
    if agent.instance:
        attributes[names.INSTANCE] = agent.instance
    return attributes


def open_span(session: Session, subject: Subject, record: AccessRecord) -> OpenSpan | None:
    """The span of one call, with the decision in it; None while nobody records, or for an event of the current one."""
    if isinstance(subject, Door):
        record.trace_id, record.span_id = add_event(names.SECOND_DOOR, subject.attributes)
        return None
    if session.spans is None:
        return None
    attributes = {**subject.attributes, **session.attributes, **decision_attributes(record)}
    started = session.spans.start(subject.span_name, attributes, record.time_ns or None, is_client=subject.is_client)
    span = OpenSpan(started)
    record.trace_id, record.span_id = span.ids
    return span


def decision_attributes(record: AccessRecord) -> dict[str, Any]:
    """What was decided about which resources."""
    attributes: dict[str, Any] = {
        names.DECISION: "allow" if record.effect == "allow" else _DECISION_OF[record.effect],
    }
    if record.id:
        attributes[names.RECORD_ID] = record.id
    if record.effect != "allow":
        attributes[names.REASON] = record.reason
    if record.accesses:
        first = record.accesses[0]
        attributes[names.PERMISSION] = _shown(record.accesses)
        attributes[names.DATASET] = str(first.resource)
        operation = names.OPERATION_OF.get(first.action)
        if operation:
            attributes[names.OPERATION] = operation
        attributes[names.CLASSIFICATION] = names.UNKNOWN
    if record.labels:
        attributes[names.LABELS] = record.labels
    if record.approval:
        attributes[names.APPROVAL_ID] = record.approval
    return attributes


def plan_attributes(
    session: Session, subject: Subject, accesses: tuple[Access, ...], decision: Decision
) -> dict[str, Any]:
    """All attributes of a span that is prepared once, for calls that nobody is asked about."""
    effect = "allow" if decision.effect == "allow" else "deny"
    record = AccessRecord("", "", 0, "", "", "", accesses=accesses, effect=effect, reason=decision.reason)
    record.labels = session.guard.labels(accesses)
    attributes = {**subject.attributes, **session.attributes, **decision_attributes(record)}
    if effect == "deny":
        attributes[names.ERROR_TYPE] = names.PERMISSION_DENIED
    return attributes


_DECISION_OF: Final[Mapping[str, str]] = {"deny": "deny", "would_deny": "deny", "would_ask": "escalate"}


def _shown(accesses: tuple[Access, ...]) -> str:
    text = ", ".join(map(str, accesses[:_MAX_SHOWN]))
    return text if len(accesses) <= _MAX_SHOWN else f"{text} and {len(accesses) - _MAX_SHOWN} more"


def record_nobody(subject: Subject) -> None:
    """A span for a call that nobody made: without a session there is no guard whose records could tell."""
    tracer = Tracing().tracer()
    if tracer is None:
        return
    attributes = {
        **subject.attributes,
        names.DECISION: "deny",
        names.ENFORCEMENT: names.ENFORCED,
        names.REASON: "no_identity",
    }
    span = start_publicly(tracer, subject.span_name, attributes, is_client=subject.is_client)
    OpenSpan(span).end(names.PERMISSION_DENIED)


def captures_content() -> bool:
    """Whether the environment opts in to arguments and results in spans."""
    return os.environ.get(names.CAPTURE_CONTENT, "").strip().lower() in {"true", "1", "span_only", "span_and_event"}


def content(value: Any) -> str:
    """Arguments or a result as JSON of bounded length, for those who opted in."""
    try:
        text = json.dumps(value, default=lambda odd: f"<{type(odd).__name__}>", ensure_ascii=False)
    except Exception:  # noqa: BLE001 -- a circle, an odd key, a subclass that lies: no reason for a call to fail
        return f"<{type(value).__name__}>"
    return text if len(text) <= _MAX_CONTENT else text[:_MAX_CONTENT] + "…"


def error_type(error: BaseException) -> str:
    """The class of an exception, qualified unless it is a built-in one."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
