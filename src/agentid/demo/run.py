"""The demo put together: an authority, an agent with least privilege, a guard, an audit log, and a world to work in."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agentid.demo.agent import GullibleAgent, Order, Refusal
from agentid.demo.tools import file_resource, make_tools, table_resource
from agentid.demo.world import World, make_world
from agentid.guard import Guard
from agentid.identity import Authority
from agentid.record import AccessRecord
from agentid.record.audit import AuditLog, AuditReport, verify_audit_log
from agentid.record.pipeline import Pipeline, SpanNode
from agentid.resource import Resource

if TYPE_CHECKING:
    from agentid.guard import Approver

__all__ = ["AUDIT", "KEYS", "TASK", "Outcome", "run_demo"]

TASK: Final = "Summarise the folder and answer Ada about order 17"
_OURS: Final = "acme.example"
AUDIT: Final = "audit"
KEYS: Final = "keys.json"


@dataclass(frozen=True)
class Outcome:
    """
    What happened.

    Attributes:
        records: One for each access.
        refusals: What was refused, and which order the agent was following.
        orders: The instructions that the agent found in what it read.
        tables_before: Rows of each table, before the agent worked.
        tables_after: The same, afterwards.
        mails: To whom mails were really sent.
        spans: How many were made.
        endpoint: Where they were also sent; empty if nowhere.
        spans_sent: How many of them reached it.
        audit: What verifying the audit log found, with the public keys alone.
        checkpoint: The last checkpoint of the audit log, a signed note.
        world: What it worked with.
    """

    records: tuple[AccessRecord, ...]
    refusals: tuple[Refusal, ...]
    orders: tuple[Order, ...]
    tables_before: dict[str, int]
    tables_after: dict[str, int]
    mails: tuple[str, ...]
    spans: int
    endpoint: str
    spans_sent: int
    audit: AuditReport
    checkpoint: str
    world: World

    @property
    def attack_refused(self) -> bool:
        """Whether no table lost anything and no mail went to anybody outside."""
        return self.tables_after == self.tables_before and all(to.endswith(f"@{_OURS}") for to in self.mails)


def grants(world: World) -> tuple[list[str], list[str]]:
    """
    Least privilege for the task: what is allowed, and what a person is asked about.

    Raises:
        ConfigurationError: The path of the folder has a part that no resource can have.
    """
    folder, inbox, reports = (file_resource(path) for path in (world.folder, world.inbox, world.reports))
    allow = [
        "read:documents/**",
        f"read:{folder}/**",
        "read:inbox/*",
        f"read:{inbox}/*",
        f"read:{Resource.of('', '', 'crm', world.table)}",
        f"read:{table_resource(world.database, world.table)}",
        "write:reports/*",
        f"write:{reports}/*",
    ]
    return allow, [f"write:mail/outbox/*@{_OURS}"]


def run_demo(
    folder: Path | None = None,
    *,
    on_start: Callable[[World, list[dict[str, Any]]], None] | None = None,
    on_tree: Callable[[SpanNode], None] | None = None,
    approver: Approver | None = None,
    evidence: Path | None = None,
) -> Outcome:
    """
    Let the agent work over *folder*, or over samples.

    Args:
        folder: Only read.
        on_start: Called with the world and the public descriptions of the agent and its sub-agent before they begin.
        on_tree: Called with each tool call and what it touched, once it has ended.
        approver: Is asked before a mail goes out.
        evidence: A folder that keeps the audit log and the public keys that it can be verified with. By default they
            are removed with everything else.

    Raises:
        ConfigurationError: The folder holds nothing to work with, or OpenTelemetry is switched off.
        MissingExtraError: Spans should go to an OTLP endpoint, and the exporter is not installed.
    """
    trees: list[SpanNode] = []
    records: list[AccessRecord] = []
    spans = 0

    def show() -> None:
        # Not from inside of the call: what goes wrong while printing must not look as if a tool had failed.
        nonlocal spans
        for tree in trees:
            spans += _size(tree)
            if on_tree is not None:
                on_tree(tree)
        trees.clear()

    with ExitStack() as cleaning:
        pipeline = Pipeline("agentid-demo", trees.append)
        cleaning.callback(pipeline.close)
        world = make_world(folder)
        cleaning.callback(world.remove)
        authority = Authority.create(_OURS)
        allow, ask = grants(world)
        bot = authority.issue(
            "support-bot", allow=allow, ask=ask, owner="team:support", purpose="answers customers' questions"
        )
        kept = evidence or world.workspace
        log = AuditLog(kept / AUDIT, signer=authority.audit_signer())
        cleaning.callback(log.close)
        guard = Guard(
            authority.trust,
            approver=approver,
            audit=log,
            observers=[records.append],
            tracer_provider=pipeline.provider,
        )
        # Documents are read by a sub-agent that may do nothing else, whatever they tell it to do.
        reader = bot.delegate("reader", allow=allow[:2], purpose="reads documents")
        worker = GullibleAgent(make_tools(guard, world), world, show, lambda: guard.acting_as(reader, task=TASK))
        before = world.tables()
        if on_start is not None:
            on_start(world, [bot.describe(), reader.describe()])
        with guard.acting_as(bot, task=TASK):
            worker.work()
        after, mails = world.tables(), tuple(world.mails())
        log.close()
        (kept / KEYS).write_text(json.dumps(authority.trust.to_jwks(), indent=1) + "\n", encoding="utf-8")
        audit = verify_audit_log(kept / AUDIT, authority.trust.to_jwks(), anchors=[log.latest_checkpoint])
    return Outcome(
        records=tuple(records),
        refusals=tuple(worker.refusals),
        orders=tuple(worker.orders),
        tables_before=before,
        tables_after=after,
        mails=mails,
        spans=spans,
        endpoint=pipeline.endpoint,
        spans_sent=pipeline.sent,
        audit=audit,
        checkpoint=log.latest_checkpoint,
        world=world,
    )


def _size(tree: SpanNode) -> int:
    return 1 + sum(map(_size, tree.children))
