"""
The one enforcement function. Read `_seven_steps` from top to bottom to know what this library does.

```text
call ──► 1 WHO      which agent is acting?                       none → NoActingAgentError
     ──► 2 WHAT     bound arguments → action + resource          odd value → refused
     ──► 3 MAY IT   allow | ask | deny                           deny by default
     ──► 4 ASK      a person says yes or no to exactly this call
     ──► 5 WRITE    the decision goes to the audit log           cannot write → refused
     ──► 6 DO IT    the body runs inside its span
     ──► 7 WRITE    outcome → span, audit log, observers, metrics
```

It ends with a `GuardedCall` that the wrappers in `calls` run the body through: steps 6 and 7. The decorator,
`Guard.access` and every integration come through here, and none of them decides anything itself.

What must never happen: a body that runs after a refusal; an exception in here that becomes a yes; an
argument in a record.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from agentid.errors import AuditUnavailableError, quote
from agentid.guard import telemetry
from agentid.guard.approval import Approval, ApprovalRequest, Approver, ask, ask_async
from agentid.guard.binding import Unbindable
from agentid.guard.call import GuardedCall, reason_of
from agentid.guard.explain import denied, no_agent
from agentid.guard.session import NobodyActing, acting
from agentid.guard.snapshot import snapshot
from agentid.guard.touch import Door
from agentid.policy import Decision
from agentid.record import Access

if TYPE_CHECKING:
    from agentid.guard.session import Session
    from agentid.guard.telemetry import Subject

__all__ = ["Enforcement"]

_UNCHANGEABLE: Final = frozenset({str, int, float, bool, bytes, type(None)})

Question = tuple["Approver | None", ApprovalRequest]


def _seven_steps(
    session: Session | None, subject: Subject, arguments: Mapping[str, Any]
) -> Generator[Question, Approval, GuardedCall]:
    # 1 WHO
    if session is None:
        telemetry.record_nobody(subject)
        raise no_agent(subject)
    call = GuardedCall(session, subject)
    try:
        call.record.time_ns = int(session.guard.clock() * 1e9)
        over = session.check(subject)
        if over is not None:
            call.refuse(Decision("deny", reason_of(over)), over)

        # 2 WHAT
        try:
            call.record.accesses = subject.accesses(arguments)
            call.record.labels = session.guard.labels(call.record.accesses)
        except Unbindable as odd:
            decision = Decision("deny", "resource_invalid")
            call.refuse(decision, denied(session, subject, None, decision, str(odd)))

        # 3 MAY IT
        decision, access = _decide(call, call.record.accesses, arguments)
        asked_about: dict[str, Any] | None = None
        if decision.effect == "deny":
            call.refuse(decision, denied(session, subject, access, decision, _hint(decision, arguments)))

        # 4 ASK
        elif decision.effect == "ask" and not call.observes_only:
            asked_about = snapshot(arguments)
            try:
                approval = yield session.guard.approver, _request(call, arguments)
            except BaseException:
                # Whoever waited for the answer is gone: cancelled, interrupted, or the stream was dropped.
                call.deny(Decision("deny", "approval_missing", decision.permission))
                raise
            unchanged = _is_still(arguments, asked_about, call)
            decision = _answered(call, approval, decision, access, unchanged=unchanged)

        # 5 WRITE
        call.decided(decision)
        # A body that runs later, as a stream's does, is decided again there: a list may have grown meanwhile.
        call.is_still = partial(_is_still, arguments, asked_about)
        call.begin(arguments)
        # Writing takes its time, in which somebody may have changed what was decided.
        if not all(type(value) in _UNCHANGEABLE for value in arguments.values()):
            call.check_again()
    except Exception as failure:  # noqa: BLE001 -- an error in here is a refusal, never a yes
        _refuse_error(call, failure)
        call.begin(arguments)
    except BaseException:
        call.deny(Decision("deny", "error"))
        raise
    return call


def _decide(
    call: GuardedCall, accesses: tuple[Access, ...], arguments: Mapping[str, Any]
) -> tuple[Decision, Access | None]:
    """
    Decide each access: the first `deny` counts, else the first `ask`. Nothing to decide is a deny.

    No permission is about a second door: it may have no name, and passes or not by how strict its installation is.
    """
    if isinstance(call.subject, Door):
        return call.subject.decision, accesses[0] if accesses else None
    worst: tuple[Decision, Access | None] = Decision("deny", "resource_invalid"), None
    rules = call.session.rules
    for access in accesses:
        one = rules.decide(access.action, access.resource.key, arguments)
        if one.effect == "deny":
            return one, access
        if worst[1] is None or (one.effect == "ask" and worst[0].effect == "allow"):
            worst = one, access
    return worst


def _is_still(arguments: Mapping[str, Any], asked_about: dict[str, Any] | None, call: GuardedCall) -> bool:
    """Whether *arguments* still say what was allowed; of a call that a person approved, whether they are the same."""
    try:
        accesses = call.subject.accesses(arguments)
        if accesses != call.record.accesses:
            return False
        if asked_about is not None:
            return snapshot(arguments) == asked_about
        return _decide(call, accesses, arguments)[0].effect == "allow"
    except Exception:  # noqa: BLE001 -- what cannot be looked at any more is not what it was
        return False


def _request(call: GuardedCall, arguments: Mapping[str, Any]) -> ApprovalRequest:
    record, session = call.record, call.session
    return ApprovalRequest(
        agent=record.agent_name,
        agent_id=record.agent_id,
        tool=record.tool,
        accesses=record.accesses,
        arguments=dict(arguments),
        task=session.task,
        timeout=session.guard.policy.approval_timeout,
    )


def _answered(
    call: GuardedCall, approval: Approval, asked: Decision, access: Access | None, *, unchanged: bool
) -> Decision:
    """Take the answer, to exactly the call that was asked about: what changed meanwhile was not approved."""
    over = call.session.check(call.subject)
    if over is not None:
        call.refuse(Decision("deny", reason_of(over)), over)
    why = ""
    if approval.approved is not True:
        why = approval.why or "the answer was no"
    elif not unchanged:
        why = "the arguments changed while a person was asked"
    if why:
        refusal = Decision("deny", "approval_missing", asked.permission)
        call.refuse(refusal, denied(call.session, call.subject, access, refusal, why))
    call.record.approval = approval.id
    return Decision("allow", "approved", asked.permission)


def _hint(decision: Decision, arguments: Mapping[str, Any]) -> str:
    """Name a constrained parameter that the tool does not have: a slip that would look like a plain no."""
    if decision.permission is None:
        return ""
    missing = [name for name in decision.permission.constraints if name not in arguments]
    return f"the call has no parameter {', '.join(map(quote, missing))}" if missing else ""


def _refuse_error(call: GuardedCall, failure: Exception) -> None:
    """Refuse for an exception inside the steps; one that is a refusal already goes on as it is."""
    if call.closed:
        raise failure
    if isinstance(failure, AuditUnavailableError):
        call.refuse(Decision("deny", "audit_unavailable"), failure)
    decision = Decision("deny", "error")
    # Only the type: the text of an exception may hold the argument that it stumbled over.
    error = denied(call.session, call.subject, None, decision, f"deciding failed with {type(failure).__name__}")
    error.__cause__ = _Withheld.of(failure)
    call.refuse(decision, error)


class _Withheld(Exception):  # noqa: N818 -- stands in a chain and is never raised
    """
    Stands in a chain for an exception: its type and where it happened, without its text.

    A traceback is printed into logs, and that text may hold the argument that the exception is about.
    """

    @classmethod
    def of(cls, failure: Exception) -> _Withheld:
        return cls(f"{type(failure).__name__}, its text withheld").with_traceback(failure.__traceback__)


class Enforcement:
    """
    The seven steps for one call, begun; refused in the constructor unless a person must be asked first.

    Args:
        subject: What is called.
        arguments: By parameter name, however they were passed.

    Raises:
        Error: The call is refused; which error says why.
    """

    __slots__ = ("_call", "_question", "_steps")

    _call: GuardedCall

    def __init__(self, subject: Subject, arguments: Mapping[str, Any]) -> None:
        self._steps = _seven_steps(acting.get(), subject, arguments)
        self._question: Question | None = None
        self._advance(None)

    def _advance(self, answer: Approval | None) -> None:
        try:
            with NobodyActing():
                self._question = self._steps.send(cast("Approval", answer))
        except StopIteration as done:
            self._question, self._call = None, done.value

    def wait(self) -> GuardedCall:
        """The call, cleared to run; asks a person first where that is needed."""
        if self._question is not None:
            try:
                with NobodyActing():
                    answer = ask(*self._question)
            except BaseException as error:
                self._steps.throw(error)  # records it, and raises it again
                raise
            self._advance(answer)
        return self._call

    async def wait_async(self) -> GuardedCall:
        """The same, without holding up the event loop."""
        if self._question is not None:
            try:
                with NobodyActing():
                    answer = await ask_async(*self._question)
            except BaseException as error:
                self._steps.throw(error)
                raise
            self._advance(answer)
        return self._call
