"""
WHO: the span of time in which one agent acts.

Which session is current is the only thing that is ambient here, and the only mutable state of the library
that belongs to no object. It follows asyncio tasks and `asyncio.to_thread` by itself; into other threads it
goes with `propagate` or `Session.bind`. Where it did not follow, there is no session, and the call is
refused.

A session closes when its block ends. Whatever still runs then, holds a closed session and is refused too.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar
from uuid import uuid4

from agentid.errors import (
    ConfigurationError,
    CredentialExpiredError,
    CredentialRevokedError,
    Error,
    NoActingAgentError,
    quote,
)
from agentid.guard.calls import Identity, around
from agentid.guard.explain import other_process, session_ended, title
from agentid.guard.telemetry import agent_attributes
from agentid.record import Holder

if TYPE_CHECKING:
    from agentid.guard.guard import Guard
    from agentid.guard.plan import Plan
    from agentid.guard.telemetry import Subject
    from agentid.guard.tool import Tool
    from agentid.identity import Agent, VerifiedAgent
    from agentid.policy import Rules
    from agentid.record import Metrics

__all__ = ["NobodyActing", "Session", "acting", "current_session", "propagate"]

F = TypeVar("F", bound=Callable[..., Any])

acting: ContextVar[Session | None] = ContextVar("agentid_session", default=None)
"""Who is acting here. None means nobody, and nobody may do anything."""


class NobodyActing:
    """
    A block in which nobody acts: what the guard does in it is the program's doing, and not the agent's.

    Wrapped libraries (`agentid.access`) let pass what nobody does: the audit log, the key file, whatever an approver
    asks a person with.
    """

    __slots__ = ("_token",)

    def __enter__(self) -> None:
        self._token = acting.set(None)

    def __exit__(self, *_error: object) -> None:
        acting.reset(self._token)


_NO_LEASE: Final = -1


class Session:
    """
    One agent, acting. Made by `Guard.acting_as`; use it as a context manager, sync or async.

    Attributes:
        id: Unique, 32 hexadecimal digits.
        task: What the agent was asked to do. Trusted text: shown to approvers.
        agent: The agent's credential as verified.
        grant: Its permissions as verified.
        delegation: Of a sub-agent, everybody from the agent at its root to itself; else empty.
    """

    __slots__ = (
        "_agent",
        "_before",
        "_entered",
        "_is_quick",
        "_process",
        "agent",
        "attributes",
        "clock",
        "closed",
        "delegation",
        "due",
        "expires_at",
        "generation",
        "grant",
        "guard",
        "id",
        "lease",
        "metrics",
        "plans",
        "rules",
        "spans",
        "task",
        "tracer",
        "trust",
    )

    def __init__(self, guard: Guard, agent: Agent, verified: VerifiedAgent, rules: Rules, task: str) -> None:
        self.id = uuid4().hex
        self.guard = guard
        self.trust = verified.anchor
        self.clock = guard.clock
        self.task = task
        self.agent = verified.credential
        self.grant = verified.grant
        self.delegation = _holders(verified)
        # A float, as the clock is: comparing one with a whole number costs three times as much.
        self.expires_at = float(verified.expires_at)
        # When `check` has to look at the time at the latest: at its end, or at what changes elsewhere.
        self.due = min(self.expires_at, self.trust.due)
        self.rules = rules
        self.metrics: Metrics | None = guard.metrics()
        self.closed = False
        self._agent = agent
        self._process = os.getpid()
        self.generation = verified.generation
        self.attributes = agent_attributes(self)
        self._entered = False
        self._before: Session | None = None
        self.spans = guard.tracing.spans()
        # The generation of the trust anchor for which calls may take the hot path; see `plan`. Where an allowed call
        # needs more than a span, none.
        self._is_quick = guard.is_quick and self.metrics is None
        self.lease = self.generation if self._is_quick else _NO_LEASE
        self.plans: dict[Tool, Plan] = {}

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise ConfigurationError(
            "A session was to be copied or pickled",
            why="the copy would not end when the session does",
            fix="Use the session itself, or open another one",
        )

    def check(self, subject: Subject) -> Error | None:
        """Why this agent may not act any more, or None while it may. Looked at before each call and item."""
        if self.closed:
            return session_ended(self.agent.name, subject)
        trust = self.trust
        try:
            with NobodyActing():
                trust.look()
        except Error as error:
            return error
        self.due = min(self.expires_at, trust.due)
        # Anything taken back, or any change of keys, makes the trust anchor count up.
        if trust.generation != self.generation:
            error = self._verify_again(subject)
            if error is not None:
                return error
        if not self.guard.clock() < self.expires_at:  # a clock that answers NaN refuses
            return CredentialExpiredError(
                f"the credential of {quote(self.agent.name)} expired before {title(subject)}",
                fix="Issue the agent again, with a longer ttl= if its work takes longer",
            )
        return None

    def _verify_again(self, subject: Subject) -> Error | None:
        if os.getpid() != self._process:
            # Forked: the trust anchor has counted up for this. Who acts in a process says so in that process.
            self.close()
            return other_process(self.agent.name, subject)
        trust = self.trust
        generation = trust.generation
        try:
            trust.verify_agent(self._agent, now=self.guard.clock())
        except CredentialRevokedError as error:
            return CredentialRevokedError(
                f"{quote(self.agent.name)} was revoked before {title(subject)}", why=error.why, fix=error.fix
            )
        except Error as error:
            return error
        self.generation = generation
        if self._is_quick and not self.closed:
            self.lease = generation
        return None

    def close(self) -> None:
        """End the session, for everything that still holds it. Closing twice is fine."""
        self.closed = True
        self.lease = _NO_LEASE

    def bind(self, function: F) -> F:
        """
        A version of *function* that always acts in this session, whatever context it is called from.

        For frameworks that run tools in threads of their own. Refused once the session has ended.
        """
        return around(function, lambda _args, _kwargs: Identity(self._or_current(), acting))

    def _or_current(self) -> Session | None:
        # A session that only observed must not, once it is over, take over from one that enforces.
        return acting.get() or self if self.closed else self

    def __enter__(self) -> Session:
        if self.closed or self._entered:
            raise ConfigurationError(
                "a session is entered once", fix="Write `with guard.acting_as(agent):` for each piece of work"
            )
        self._entered = True
        self._before = acting.get()
        acting.set(self)
        return self

    def __exit__(self, *_exc: object) -> None:
        # Closed first: if the rest fails, it fails with nobody acting.
        self.close()
        # Where another one is current, this one was left too early, or in another context than it was entered
        # in, as async fixtures are. There it stays behind closed, and is refused.
        if acting.get() is self:
            before = self._before
            while before is not None and before.closed:
                before = before._before
            acting.set(before)

    async def __aenter__(self) -> Session:
        return self.__enter__()

    async def __aexit__(self, *exc: object) -> None:
        self.__exit__(*exc)

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open"
        return f"<Session of {self.agent.id}, {state}>"


def _holders(verified: VerifiedAgent) -> tuple[Holder, ...]:
    agent, grant = verified.credential, verified.grant
    if not grant.depth:
        return ()
    ids = map(str, (*agent.id.above(grant.depth), agent.id))
    return tuple(map(Holder, ids, grant.chain_ids, grant.holders))


def current_session() -> Session | None:
    """The session that is current here, or None; it may have been closed."""
    return acting.get()


def propagate(function: F) -> F:
    """
    A version of *function* that acts in the session that is current now, whatever thread calls it.

    ```python
    with guard.acting_as(agent):
        executor.submit(propagate(get_customer), "c-42")
    ```

    Raises:
        NoActingAgentError: No session is current; there is nothing to take along.
    """
    session = acting.get()
    if session is None:
        raise NoActingAgentError(
            "there is no session to propagate",
            why="no agent is acting here",
            fix="Call `propagate` inside `with guard.acting_as(agent):`, where the work is handed over",
        )
    return session.bind(function)
