"""One guarded call, from its decision to its end: steps 5 to 7. A passage for `calls.around`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from agentid.errors import (
    AuditUnavailableError,
    CredentialError,
    CredentialExpiredError,
    CredentialRevokedError,
    Error,
    quote,
)
from agentid.guard import telemetry
from agentid.guard.explain import changed
from agentid.guard.session import NobodyActing, Session, acting
from agentid.policy import Decision, Reason
from agentid.record import AccessRecord, OpenSpan, Span, Status
from agentid.record import attributes as names

if TYPE_CHECKING:
    from contextvars import Token

    from agentid.guard.telemetry import Subject

__all__ = ["GuardedCall", "reason_of"]

log = logging.getLogger("agentid")


class GuardedCall:
    """
    One call that was or will be decided.

    Attributes:
        record: What is recorded about it.
        session: In which it happens.
        subject: What is called.
        closed: Whether it is over: its record is complete, and was given away.
        is_still: Whether the arguments still say what was allowed; None if they cannot have changed.
    """

    __slots__ = ("_acting", "_began", "_ran", "_span", "_token", "closed", "is_still", "record", "session", "subject")

    def __init__(self, session: Session, subject: Subject) -> None:
        self.closed = True  # until it has a record, there is nothing to close
        guard, agent = session.guard, session.agent
        self._span: OpenSpan | None = None
        self._token: Token[Session | None] | None = None
        self._acting: Session | None = session
        self._began = self._ran = guard.monotonic_ns()
        self.is_still: Callable[[GuardedCall], bool] | None = None
        self.session = session
        self.subject = subject
        self.record = AccessRecord(
            id=uuid4().hex,
            session=session.id,
            time_ns=0,
            agent_id=str(agent.id),
            agent_name=agent.name,
            owner=agent.owner,
            credential_id=agent.token_id,
            delegation=session.delegation,
            tool=subject.name,
            enforcement=guard.enforcement,
            task=session.task,
        )
        self.closed = False

    @classmethod
    def taken_over(cls, session: Session, subject: Subject, span: Span | None) -> GuardedCall:
        """A call that a plan allowed, and whose body turned out to run later."""
        call = cls(session, subject)
        call.decided(Decision("allow", "granted"))
        call._span = None if span is None else OpenSpan(span)
        return call

    @property
    def observes_only(self) -> bool:
        """Whether refusals are noted rather than enforced."""
        return self.record.enforcement == "monitor"

    def decided(self, decision: Decision) -> None:
        """Note a decision. In a guard that only observes, the first that is no yes stands."""
        record = self.record
        if record.effect in {"would_deny", "would_ask"}:
            return
        record.reason = decision.reason
        record.permission = "" if decision.permission is None else str(decision.permission)
        if decision.effect == "allow":
            record.effect = "allow"
        elif self.observes_only:
            record.effect = "would_ask" if decision.effect == "ask" else "would_deny"
        else:
            record.effect = "deny"

    def refuse(self, decision: Decision, error: Error) -> None:
        """Record a refusal and raise *error*. In a guard that only observes, note it and go on."""
        self.decided(decision)
        if not self.observes_only:
            self.deny(decision)
            raise error

    def deny(self, decision: Decision) -> None:
        """Record that it was refused before the body ran, and be done with it."""
        if self.closed:
            return
        self.decided(decision)
        self.record.status = "denied"
        self._begin_anyway()
        self._finish("denied", "")

    def begin(self, arguments: Mapping[str, Any]) -> None:
        """
        Step 5: open the span, write the decision to the audit log, count it.

        Raises:
            AuditUnavailableError: The decision could not be written.
            Exception: It could not be recorded elsewhere. The body must not run after either.
        """
        if self.observes_only:
            self._begin_anyway()
        else:
            self._open_span()
            self._write_decision()
            self._count()
        if self.session.guard.captures_content:
            self._capture(names.TOOL_ARGUMENTS, dict(arguments))
        self._ran = self.session.guard.monotonic_ns()

    def _begin_anyway(self) -> None:
        """Record as much of a decision as can be recorded, where failing to is no reason to refuse."""
        for step in (self._open_span, self._write_decision, self._count):
            try:
                step()
            except Exception as failure:  # noqa: BLE001 -- the call is refused anyway, or only observed
                cause = failure.__cause__ or failure
                log.warning("decision about %s could not be recorded: %s", self.record.tool, type(cause).__name__)

    def _open_span(self) -> None:
        if self._span is None:
            self._span = telemetry.open_span(self.session, self.subject, self.record)
        else:  # what was to be allowed is refused after all
            self._span.set(telemetry.decision_attributes(self.record))

    def _write_decision(self) -> None:
        audit = self.session.guard.audit
        if audit is None:
            return
        try:
            audit.write("decision", self.record)
        except Exception as failure:
            raise _unwritable(self.record.tool, "the decision about", "so it was not made") from failure

    def _count(self) -> None:
        if self.session.metrics is not None:
            self.session.metrics.decided(self.record, (self.session.guard.monotonic_ns() - self._began) / 1e9)

    def _capture(self, key: str, value: Any) -> None:
        """Put content into the span, for those who opted in."""
        if self._span is not None:
            self._span.set({key: telemetry.content(value)})

    # --- while it runs ----------------------------------------------------------------------------

    def check(self) -> None:
        """
        Raise if the body may not go on: the agent's session, credential or grant is over.

        Or may not begin: its arguments are not any more what was allowed.
        """
        is_still, self.is_still = self.is_still, None  # once it has begun, its arguments are its own business
        try:
            error: Error | None = self.session.check(self.subject)
            reason = None if error is None else reason_of(error)
            if error is None and is_still is not None and not is_still(self):
                error, reason = changed(self.session, self.subject), "resource_invalid"
        except Exception:
            if not self.observes_only:
                raise
            self._noted("error")
            return
        if error is None or reason is None:
            return
        if self.observes_only:
            self._noted(reason)
            return
        self.record.reason = reason
        if self._span is not None:
            self._span.set({names.REASON: reason})
        self._finish("stopped", telemetry.error_type(error))
        raise error

    def check_again(self) -> None:
        """The same, right before the body of a plain call; one that runs later is looked at there once more."""
        is_still = self.is_still
        self.check()
        self.is_still = is_still

    def _noted(self, reason: Reason) -> None:
        """Note that it would have been stopped here."""
        self.decided(Decision("deny", reason))
        if self._span is not None:
            self._span.set(telemetry.decision_attributes(self.record))

    def resume(self) -> None:
        """The body runs from here: as this agent, inside this span."""
        self._token = acting.set(self._acting)
        if self._span is not None:
            self._span.resume()

    def pause(self) -> None:
        """The caller runs from here: as whoever it was before."""
        token, self._token = self._token, None
        if token is None:
            return
        left = acting.get()
        try:
            acting.reset(token)
        except ValueError:
            # Paused in another context than it was resumed in, as a block in an async fixture is, or a task
            # that was thrown away. There is nothing of ours to undo in this one.
            return
        # A body that yields inside a session of its own goes on in that one, and not as its own parent.
        self._acting = left
        if self._span is not None:
            self._span.pause()

    def saw(
        self, *, rows: int | None = None, size: int | None = None, attributes: Mapping[str, Any] | None = None
    ) -> None:
        """
        Note what went in or came out, as far as it is known. Numbers add up.

        Args:
            rows: How many records.
            size: How many bytes.
            attributes: Of the span, known only now.
        """
        record, seen = self.record, dict(attributes or {})
        if rows is not None:
            record.rows = seen[names.RECORD_COUNT] = (record.rows or 0) + rows
        if size is not None:
            record.size = seen[names.DATA_SIZE] = (record.size or 0) + size
        if self._span is not None and seen:
            self._span.set(seen)

    # --- when it ends -----------------------------------------------------------------------------

    def close(self, error: BaseException | None = None, result: Any = None) -> None:
        """Step 7. The body is over; only the first call counts."""
        if error is None:
            if self.session.guard.captures_content and result is not None:
                self._capture(names.TOOL_RESULT, result)
            self._finish("success", "")
        elif isinstance(error, GeneratorExit):
            self._finish("closed", "")
        elif isinstance(error, asyncio.CancelledError):
            self._finish("cancelled", telemetry.error_type(error))
        else:
            self._finish("failure", telemetry.error_type(error))

    def __del__(self) -> None:
        # Lazy work that nobody ran: an iterator that was dropped, a coroutine that was never awaited. An interrupt may
        # have come before there was anything at all.
        if hasattr(self, "closed"):
            self._finish("abandoned", "")

    def _finish(self, status: Status, error_type: str) -> None:
        if self.closed:
            return
        self.closed = True
        with NobodyActing():
            self._write_outcome(status, error_type)

    def _write_outcome(self, status: Status, error_type: str) -> None:
        guard, record, metrics = self.session.guard, self.record, self.session.metrics
        now = guard.monotonic_ns()
        record.status, record.error_type = status, error_type
        record.duration_ns = now - self._began
        try:
            if self._span is not None:
                ended = record.time_ns + record.duration_ns if record.time_ns else None
                self._span.end(names.PERMISSION_DENIED if status == "denied" else error_type, ended)
            if metrics is not None and status != "denied":
                metrics.ran(record, (now - self._ran) / 1e9)
        except Exception as failure:  # noqa: BLE001 -- it has happened: telemetry changes nothing about it
            log.warning("outcome of %s is missing in telemetry: %s", record.tool, type(failure).__name__)
        try:
            if guard.audit is not None and status != "denied":
                guard.audit.write("outcome", record)
        except Exception as failure:
            if not self.observes_only and status in {"success", "closed"}:
                raise _unwritable(record.tool, "the outcome of", "although it was made") from failure
            # An exception is on its way already, and it says more.
            log.warning("outcome of %s could not be recorded: %s", record.tool, type(failure).__name__)
        finally:
            guard.observe(record)


def reason_of(error: Error) -> Reason:
    """The reason code for an agent that may not act any more."""
    if isinstance(error, CredentialExpiredError):
        return "expired"
    if isinstance(error, CredentialRevokedError):
        return "revoked"
    return "no_identity" if isinstance(error, CredentialError) else "session_ended"


def _unwritable(tool: str, what: str, consequence: str) -> AuditUnavailableError:
    return AuditUnavailableError(
        f"{what} a call of {quote(tool)} could not be written to the audit log, {consequence}",
        why="the audit log refused it",
        fix="Look at the chained exception: the disk may be full, or the folder gone",
    )
