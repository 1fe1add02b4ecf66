"""An application as a user writes it: wiring, sessions, approvers, observers and audit logs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from opentelemetry.trace import TracerProvider
from typing_extensions import assert_type

from agentid import (
    Agent,
    AgentId,
    Approval,
    ApprovalRequest,
    Authority,
    Guard,
    ObserveOnlyGuard,
    Permission,
    Policy,
    TerminalApprover,
    TrustAnchor,
    at_most,
    one_of,
)
from agentid.errors import AccessDeniedError, Error
from agentid.guard import Session, current_session
from agentid.policy import Decision
from agentid.record import Access, AccessRecord, Phase


def ask_me(request: ApprovalRequest) -> bool:
    assert_type(request.arguments, Mapping[str, Any])
    assert_type(request.accesses, tuple[Access, ...])
    assert_type(request.timeout, timedelta)
    return request.agent == "bot"


async def ask_later(request: ApprovalRequest) -> Approval:
    return Approval(approved=request.tool == "send", approver="ada", why="looks right")


class Asker:
    async def __call__(self, request: ApprovalRequest) -> bool:
        return bool(request.task)


class Log:
    def write(self, phase: Phase, record: AccessRecord) -> None:
        print(phase, record.agent_name, record.effect, record.resource)


def watch(record: AccessRecord) -> None:
    if record.effect == "would_deny":
        print(record.reason, record.duration_ns or 0)


def wire(provider: TracerProvider) -> Guard:
    authority = Authority.open("keys/authority.pem", trust_domain="acme.example")
    assert_type(authority.trust, TrustAnchor)
    bot = authority.issue(
        "support-bot",
        allow=["read:crm/customers/*", Permission.parse("write:bank/*").where(amount=at_most(100), to=one_of("a"))],
        ask=["write:mail/outbox/*"],
        ttl=timedelta(minutes=5),
        owner="team:support",
    )
    assert_type(bot, Agent)
    assert_type(bot.id, AgentId)

    Guard(authority.trust)
    Guard(authority.trust, approver=ask_me)
    Guard(authority.trust, approver=ask_later)
    Guard(authority.trust, approver=Asker())
    Guard(authority.trust, approver=TerminalApprover())
    Guard(authority.trust, approver=lambda request: request.agent == "bot")
    ObserveOnlyGuard(authority.trust, observers=[watch, lambda record: None])
    Guard.from_config("agentid.toml", approver=ask_me, audit=Log(), observers=[watch]).agent("support-bot")
    return Guard(
        authority.trust,
        policy=Policy(forbid=["delete:**"], ask=["share:**"], approval_timeout=timedelta(minutes=1)),
        approver=ask_me,
        audit=Log(),
        observers=(watch,),
        tracer_provider=provider,
    )


async def act(guard: Guard, agent: Agent) -> None:
    with guard.acting_as(agent, task="Answer Ada") as session:
        assert_type(session, Session)
        assert_type(current_session(), "Session | None")
        with guard.access("read", "crm/customers/c-1", rows=3) as record:
            assert_type(record, AccessRecord)
    async with guard.acting_as(agent) as session:
        assert_type(session.task, str)
        async with guard.access("read", "crm/customers/c-1") as record:
            assert_type(record.accesses, tuple[Access, ...])
    try:
        guard.bind(agent, ask_me)
    except AccessDeniedError as error:
        decision: Decision = error.decision
        print(decision.reason, error.agent, error.for_model)
    except Error as error:
        print(error.code, error.what, error.why, error.fix)
