"""
ASK: a person's yes to one exact call.

Any callable is an approver, sync or async. Only `True`, or an `Approval` that says yes, is a yes.
No approver, no answer in time, an exception and any other value are a no: a question that could not be
asked was not answered.

A sync approver is asked in a thread of its own, so that the wait can end without it; what it answers after
that is ignored. No agent is acting in there: an approver is not the agent.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast
from uuid import uuid4

from agentid.errors import quote
from agentid.record import Access

__all__ = ["Approval", "ApprovalRequest", "Approver", "ask", "ask_async"]


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """
    What a person is asked: one call, with all of its arguments.

    Attributes:
        agent: Name of the agent.
        agent_id: Its SPIFFE ID.
        tool: Name of the tool.
        accesses: What would be done to which resources.
        arguments: By parameter name, as the tool would get them. They may hold secrets.
        task: What the agent was asked to do, as the session says.
        timeout: How long there is to answer.
    """

    agent: str
    agent_id: str
    tool: str
    accesses: tuple[Access, ...]
    arguments: Mapping[str, Any] = field(repr=False)
    task: str = ""
    timeout: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Approval:
    """
    An answer.

    Args:
        approved: Whether the call may be made, once.
        approver: Who answered.
        why: What they said.
        id: Unique; stands in the record.
    """

    approved: bool
    approver: str = ""
    why: str = ""
    id: str = field(default_factory=lambda: uuid4().hex)


Approver = Callable[[ApprovalRequest], "bool | Approval | Awaitable[bool | Approval]"]
"""Asks a person about one call. May be sync or async."""


def ask(approver: Approver | None, request: ApprovalRequest) -> Approval:
    """Ask, and wait for the answer or the timeout. Never raises an `Exception`: what went wrong is a no."""
    if approver is None:
        return _refused("no approver is set")
    answer = _in_thread(approver, request)
    try:
        return _read(answer.result(request.timeout.total_seconds()))
    except Exception as error:  # noqa: BLE001 -- whatever went wrong, nobody said yes
        return _failed(error) if answer.done() else _too_late(request)


async def ask_async(approver: Approver | None, request: ApprovalRequest) -> Approval:
    """Ask without holding up the event loop; an async approver runs in this loop."""
    if approver is None:
        return _refused("no approver is set")
    try:
        if _is_async(approver):
            answer: asyncio.Future[Any] = _outside(lambda: asyncio.ensure_future(cast("Any", approver)(request)))
        else:
            answer = asyncio.wrap_future(_in_thread(approver, request))
        # Not `wait_for`: it cannot tell an approver that was cancelled from a caller that was, and waits on
        # for one that does not let itself be cancelled.
        try:
            await asyncio.wait({answer}, timeout=request.timeout.total_seconds())
        finally:
            answer.add_done_callback(_look)
            in_time = not answer.cancel()
        if not in_time:
            return _too_late(request)
        return _refused("the approver was cancelled") if answer.cancelled() else _read(answer.result())
    except Exception as error:  # noqa: BLE001 -- whatever went wrong, nobody said yes
        return _failed(error)


def _look(answer: asyncio.Future[Any]) -> None:
    # An answer that nobody waits for any more may fail without a complaint.
    _ = answer.cancelled() or answer.exception()


def _is_async(approver: Any) -> bool:
    return inspect.iscoroutinefunction(approver) or inspect.iscoroutinefunction(type(approver).__call__)


def _outside(work: Callable[[], Any]) -> Any:
    """Run *work* in a context in which no agent is acting."""
    from agentid.guard.session import acting

    context = contextvars.copy_context()
    context.run(acting.set, None)
    return context.run(work)


def _in_thread(approver: Approver, request: ApprovalRequest) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()  # whoever stops waiting cannot cancel it, and its answer finds a place

    def work() -> None:
        try:
            answer: Any = approver(request)
            if inspect.isawaitable(answer):
                answer = asyncio.run(_await(answer))
        except BaseException as error:  # noqa: BLE001 -- carried over to whoever waits
            future.set_exception(error)
        else:
            future.set_result(answer)

    # A daemon, so that a question that nobody answers does not keep the program alive.
    threading.Thread(target=_outside, args=(work,), name="agentid-approval", daemon=True).start()
    return future


async def _await(answer: Awaitable[Any]) -> Any:
    return await answer


def _read(answer: Any) -> Approval:
    if answer is True:
        return Approval(approved=True)
    if isinstance(answer, Approval):
        return answer
    if answer is False or answer is None:
        return _refused("the answer was no")
    return _refused(f"the approver returned {quote(type(answer).__name__)}, and only True is a yes")


def _too_late(request: ApprovalRequest) -> Approval:
    return _refused(f"nobody answered within {request.timeout.total_seconds():g} seconds")


def _failed(error: Exception) -> Approval:
    # Only the type: the text of an exception may hold what it was given.
    return _refused(f"the approver failed with {type(error).__name__}")


def _refused(why: str) -> Approval:
    return Approval(approved=False, why=why)
