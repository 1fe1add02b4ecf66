"""The text of refusals: what was refused, why, and how to allow it. Put together only when read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from agentid.errors import AccessDeniedError, ApprovalRefusedError, NoActingAgentError, one_line, quote
from agentid.policy import Decision
from agentid.record import Access

if TYPE_CHECKING:
    from agentid.guard.session import Session
    from agentid.guard.telemetry import Subject

__all__ = ["changed", "denial", "denied", "no_agent", "other_process", "session_ended", "title"]

_SHOWN = 5


def title(subject: Subject) -> str:
    """What a sentence calls it: a tool says that it is one, and what a library or a block does has its name alone."""
    return f"tool {quote(subject.name)}" if subject.is_tool else quote(subject.name)


def no_agent(subject: Subject) -> NoActingAgentError:
    """Nobody is acting here."""
    return NoActingAgentError(
        f"no agent is acting in {title(subject)}",
        why="it was called outside of a session, or in a thread that the session did not follow into",
        fix="Call it inside `with guard.acting_as(agent):`, or hand it over wrapped by `propagate` or `session.bind`",
    )


def session_ended(agent: str, subject: Subject) -> NoActingAgentError:
    """The session in which this was started is over."""
    return NoActingAgentError(
        f"the session of {quote(agent)} has ended before {title(subject)}",
        why="a task, thread or stream outlived the session it was started in",
        fix="Wait for it inside `with guard.acting_as(agent):`, or open a session of its own for it",
    )


def changed(session: Session, subject: Subject) -> AccessDeniedError:
    """What was allowed is not any more what would be done."""
    decision = Decision("deny", "resource_invalid")
    return denied(session, subject, None, decision, "its arguments changed between the call and its first item")


def other_process(agent: str, subject: Subject) -> NoActingAgentError:
    """The session was opened before this process was forked off."""
    return NoActingAgentError(
        f"the session of {quote(agent)} belongs to another process than {title(subject)}",
        why="this process was forked off while that agent was acting",
        fix="Open a session in this process: `with guard.acting_as(agent):`",
    )


def denied(
    session: Session, subject: Subject, access: Access | None, decision: Decision, why: str
) -> AccessDeniedError:
    """What to raise for *decision* about *access*; without one, the arguments named no resource."""
    return denial(session, subject, access, decision, why)()


def denial(
    session: Session, subject: Subject, access: Access | None, decision: Decision, why: str = ""
) -> Callable[[], AccessDeniedError]:
    """What makes that error, again and again: each raise needs one of its own, and none needs its text."""
    kind = ApprovalRefusedError if decision.reason == "approval_missing" else AccessDeniedError
    name = session.agent.name

    def explain() -> tuple[str, str, str, str]:
        return _explain(session, subject, access, decision, why)

    return lambda: kind.explained(decision, name, explain)


def _explain(
    session: Session, subject: Subject, access: Access | None, decision: Decision, why: str
) -> tuple[str, str, str, str]:
    name = session.agent.name
    if decision.reason == "error":
        return (
            f"{name} may not {_verb(subject)} {title(subject)}",
            why,
            "Look at the chained exception" + (", and at the requirement of the tool" if subject.is_tool else ""),
            "not permitted: it could not be decided",
        )
    if decision.reason == "second_door":
        return (
            f"{name} may not go around the wrapped libraries: {quote(subject.name)}"
            + (f", {quote(access, limit=200)}" if access else ""),
            "no wrapped library accounts for it, and the installation is strict",
            "Use a library that is wrapped, or install without `strict=True`",
            "not permitted: it goes around what is guarded",
        )
    if access is None and not subject.is_tool:
        return (
            f"{name} may not {_verb(subject)} {title(subject)}",
            why or "it cannot be said what it touches",
            "Write it so that it says plainly what it touches: that is what is allowed or not",
            "not permitted: it does not say plainly what it touches",
        )
    if access is None:
        return (
            f"{name} may not {_verb(subject)} {title(subject)}",
            why or "its arguments name no resource",
            "Use plain names: in a tool, for each placeholder of its requirement",
            "not permitted: the arguments name no resource",
        )
    wanted = quote(access, limit=200)
    what = f"{name} may not {wanted} in {title(subject)}"
    model = f"not permitted: {access.action} {one_line(access.resource, limit=200)}"
    match decision.reason:
        case "policy_forbid":
            return what, f"the policy forbids {quote(decision.permission)}", "Take that out of `forbid`", model
        case "constraint_violation":
            missing = _unknown_names(decision, why)
            return what, f"its grant allows only {quote(decision.permission, limit=300)}{missing}", (
                "Call it within these constraints, or issue the agent with wider ones"
            ), model  # fmt: skip
        case "approval_missing":
            return what, f"a person must approve, and {one_line(why, limit=200)}", (
                _ask_again(session)
            ), f"{model}: a person did not approve"  # fmt: skip
        case _:
            return what, f"its grant {_held(session, access)}", _fix(access), model


def _verb(subject: Subject) -> str:
    return "call" if subject.is_tool else "do"


def _ask_again(session: Session) -> str:
    if session.guard.approver is None:
        return "Pass approver= to `Guard`, such as `TerminalApprover()`"
    return "Call it again, and answer yes in time, if it should be done"


def _unknown_names(decision: Decision, why: str) -> str:
    return f"; {why}" if why and decision.permission else ""


def _held(session: Session, access: Access) -> str:
    held = [*session.grant.allow, *session.grant.ask]
    if not held:
        return "allows nothing"
    # What it may do with the same action tells most about what is missing.
    held.sort(key=lambda p: p.action != access.action)
    return f"allows {_list(map(str, held[:_SHOWN]))}" + (
        f" and {len(held) - _SHOWN} more" if len(held) > _SHOWN else ""
    )


def _list(items: Iterable[str]) -> str:
    return ", ".join(quote(item) for item in items)


def _fix(access: Access) -> str:
    text = one_line(access, limit=200)
    return f'To allow it, issue the agent with allow=["{text}"], or ask=["{text}"] to let a person decide'
