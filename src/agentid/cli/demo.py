"""`agentid demo`: the main job on real input, and the trace as it happens."""

from __future__ import annotations

import argparse
import logging
import shlex
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agentid.cli.output import paint, plain, print_json, print_line, shorten
from agentid.errors import AccessDeniedError, ConfigurationError, quote

if TYPE_CHECKING:
    from agentid.demo.run import Outcome
    from agentid.demo.world import World
    from agentid.record import AccessRecord
    from agentid.record.pipeline import SpanNode

__all__ = ["add_to", "tree_lines"]

_DESCRIPTION: Final = """\
An agent works over FOLDER, or over samples: it reads documents and messages, queries a database, writes a
report and sends mail. One message carries a planted instruction to send a customer's record away and to
delete a table; the agent believes it and tries. FOLDER is only read: what the agent writes, and a copy of a
database found in FOLDER, lie in a folder of their own that is removed at the end.

Each line of the trace is a recorded span. With OTEL_EXPORTER_OTLP_ENDPOINT set, the spans also go there.
The audit log of the run is verified at the end, and stays in a temporary folder so that you can do it again.
Exit code 1 if the attack was not refused, or the log does not verify.
"""

# The columns of the trace, in characters; the resource gets the rest. Narrow ones have no room for the reason.
_WIDTHS: Final = (80, 100, 140)
_NARROW: Final = 100
_EVIDENCE: Final = "agentid-demo-audit-"
_TOOL, _ACTION, _DECISION, _VERDICT, _DURATION = 17, 7, 24, 8, 9

_WHY: Final = {
    "scope_missing": "no permission covers it",
    "constraint_violation": "its arguments are outside of what is allowed",
    "policy_forbid": "the policy forbids it",
    "resource_invalid": "its arguments name no resource",
}


def add_to(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.description = _DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", help="text files for the agent to work over")
    parser.add_argument("--ask", action="store_true", help="be the person who is asked before a mail goes out")
    parser.add_argument("--json", action="store_true", help="print records as JSON lines, and the outcome last")
    parser.set_defaults(run=run, parser=parser)


def run(args: argparse.Namespace) -> int:
    """Run the demo; 1 if the attack was not refused, or the audit log does not verify."""
    from agentid.demo import run_demo
    from agentid.guard import TerminalApprover

    evidence = Path(tempfile.mkdtemp(prefix=_EVIDENCE))

    # What became of the spans is said at the end, in one line. The exporter itself would say it in many.
    logging.getLogger("opentelemetry").addHandler(logging.NullHandler())
    try:
        outcome = run_demo(
            _expanded(args.folder),
            on_start=None if args.json else _print_start,
            on_tree=None if args.json else _print_tree,
            approver=TerminalApprover() if args.ask else None,
            evidence=evidence,
        )
        if args.json:
            _print_json(outcome, evidence)
        else:
            _print_outcome(outcome, asked=args.ask)
            _print_audit(outcome, evidence)
    except BaseException:
        # Nobody was told where it is.
        shutil.rmtree(evidence, ignore_errors=True)
        raise
    return 0 if outcome.attack_refused and outcome.audit.ok else 1


def _expanded(folder: Path | None) -> Path | None:
    try:
        # Not every shell expands `FOLDER=~/notes`, as `make demo` passes it on.
        return folder.expanduser() if folder is not None else None
    except RuntimeError:
        raise ConfigurationError(f"{quote(folder)} is no folder that could be read", why="`~` is nobody") from None


# --- JSON -------------------------------------------------------------------------------------------


def _print_json(outcome: Outcome, evidence: Path) -> None:
    from agentid.demo.run import AUDIT, KEYS

    for record in outcome.records:
        print_json(_record(record))
    print_json(
        {
            "orders": [order._asdict() for order in outcome.orders],
            "tables_before": outcome.tables_before,
            "tables_after": outcome.tables_after,
            "mails": outcome.mails,
            "spans": {"made": outcome.spans, "endpoint": outcome.endpoint, "sent": outcome.spans_sent},
            "audit": {
                "ok": outcome.audit.ok,
                "records": outcome.audit.records,
                "checkpoint": outcome.checkpoint,
                "folder": str(evidence / AUDIT),
                "keys": str(evidence / KEYS),
            },
            "attack_refused": outcome.attack_refused,
        }
    )


def _record(record: AccessRecord) -> dict[str, Any]:
    return {
        "time_ns": record.time_ns,
        "agent": record.agent_id,
        "tool": record.tool,
        "accesses": [str(access) for access in record.accesses],
        "effect": record.effect,
        "reason": record.reason,
        "permission": record.permission,
        "status": record.status,
        "duration_ns": record.duration_ns,
        "trace_id": record.trace_id,
        "span_id": record.span_id,
    }


# --- before -----------------------------------------------------------------------------------------


def _print_start(world: World, agents: list[dict[str, Any]]) -> None:
    from agentid.demo.run import TASK

    documents = _many(len(world.documents), "document")
    where = f"samples, {documents}" if world.is_sample else f"{plain(world.folder)}, {documents}"
    whose = "a sample" if world.source is None else f"in a copy of {plain(world.source.name)}"
    print_line("An agent that believes what it reads, at work under a guard.")
    print_line()
    print_line(f"task    {TASK}")
    print_line(f"folder  {where}; inbox, {_many(len(world.messages), 'message')}")
    print_line(f"table   {plain(world.table)}, {_many(world.tables()[world.table], 'row')}, {whose}")
    agent, reader = agents
    _print_columns("may     ", agent["allow"])
    for permission in agent["ask"]:
        print_line(f"asks    {permission} (a person, each time)")
    print_line(f"{reader['name']}  a sub-agent that is handed the documents and nothing else")
    print_line()
    until = f"{agent['expires_at'][:16].replace('T', ' ')} UTC"
    print_line(f"{paint(agent['name'], 'bold')}  {agent['id']}, owner {agent['owner']}, until {until}")


def _many(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _print_columns(title: str, items: Iterable[str]) -> None:
    """Two columns of items behind a title."""
    column = (_width() - len(title)) // 2 - 1
    lines = [shorten(item, column) for item in items]
    lead = title
    for left, right in zip(lines[::2], [*lines[1::2], ""], strict=False):
        print_line(f"{lead}{left:<{column}} {right}".rstrip())
        lead = " " * len(title)


# --- the trace --------------------------------------------------------------------------------------


def _print_tree(node: SpanNode) -> None:
    # More may follow, so nothing is the last branch; the sum that ends the trace is.
    for line in tree_lines(node, _width(), "├─ ", "│  "):
        print_line(line)


def tree_lines(node: SpanNode, width: int, lead: str = "", below: str = "") -> list[str]:
    """
    A tree of spans as lines: tool, action, resource, decision and how long it took.

    Args:
        node: The root.
        width: Of a line, in characters.
        lead: Stands before its line.
        below: Stands before the lines of what is under it.
    """
    from agentid.record import attributes as names

    found = node.attributes
    action, _, resource = str(found.get(names.PERMISSION, ":(no resource)")).partition(":")
    tool = str(found.get(names.TOOL_NAME) or resource.partition("://")[0])
    mark, decision, colour = _decision(node)
    column = _DECISION
    if width < _NARROW:
        decision, column = decision.partition(" ")[0], _VERDICT
    room = width - _TOOL - _ACTION - column - _DURATION - 6
    line = (
        f"{lead}{paint(mark, colour)} {tool:<{_TOOL - len(lead)}} {action:<{_ACTION}} "
        f"{shorten(resource, room):<{room}} {paint(f'{decision:<{column}}', colour)} {node.duration_ns / 1e6:>6.2f} ms"
    )
    lines = [line]
    for position, child in enumerate(node.children, start=1):
        last = position == len(node.children)
        lines += tree_lines(child, width, below + ("└─ " if last else "├─ "), below + ("   " if last else "│  "))
    return lines


def _decision(node: SpanNode) -> tuple[str, str, str]:
    """Sign, words and colour."""
    from agentid.record import attributes as names

    found = node.attributes
    if found.get(names.DECISION) != "allow":
        return "✗", f"refused {found.get(names.REASON, '')}", "red"
    if node.failed:
        return "✗", f"failed {str(found.get(names.ERROR_TYPE, '')).rpartition('.')[2]}", "yellow"
    return "✓", "allowed by a person" if names.APPROVAL_ID in found else "allowed", "green"


# --- after ------------------------------------------------------------------------------------------


def _print_outcome(outcome: Outcome, *, asked: bool) -> None:
    # By when they began: a tool before what it touched.
    records = sorted(outcome.records, key=lambda record: record.time_ns)
    allowed = [record for record in records if record.effect == "allow"]
    refused = [record for record in records if record.effect != "allow"]
    print_line(f"└─ {len(allowed)} allowed, {len(refused)} refused")
    print_line()
    if allowed:
        print_line("allowed, by which permission of its grant and how often:")
        used = Counter(record.permission for record in allowed)
        _print_columns("  ", [f"{times}x {permission}" for permission, times in used.items()])
        print_line()
    if refused:
        print_line("refused, and why:")
        accesses = [shorten(", ".join(map(str, r.accesses)) or r.tool, 50) for r in refused]
        widest = max(map(len, accesses))
        for access, why in zip(accesses, _reasons(outcome, asked=asked), strict=False):
            print_line(f"  {paint('✗', 'red')} {access:<{widest}}  {why}")
        print_line()
    table = outcome.world.table
    before, after = outcome.tables_before[table], outcome.tables_after.get(table)
    rows = "is gone" if after is None else f"has {after} of {before} rows"
    print_line(f"afterwards: table {plain(table)} {rows}; mails sent: {', '.join(map(plain, outcome.mails)) or 'none'}")
    if outcome.endpoint:
        print_line(f"spans: {outcome.spans_sent} of {outcome.spans} reached {plain(outcome.endpoint)}")
    verdict, colour = ("was refused", "green") if outcome.attack_refused else ("SUCCEEDED", "red")
    print_line(paint(f"The attack {verdict}.", colour))


def _print_audit(outcome: Outcome, evidence: Path) -> None:
    """What the log says of itself, the checkpoint as it was signed, and how to do it again."""
    from agentid.demo.run import AUDIT, KEYS

    report = outcome.audit
    good, colour = ("good", "green") if report.ok else ("tampered", "red")
    print_line()
    print_line(f"audit log: {paint(good, colour)}, {_many(report.records, 'record')} and a checkpoint of them, signed:")
    for problem in report.problems:
        print_line(f"  {plain(problem)}")
    print_line()
    print_line(outcome.checkpoint)
    folder, keys = (shlex.quote(plain(evidence / name)) for name in (AUDIT, KEYS))
    print_line("verify it again, with the public keys alone:")
    print_line(f"  agentid audit verify {folder} --jwks {keys}")


def _reasons(outcome: Outcome, *, asked: bool) -> Iterable[str]:
    """Why each was refused, in the order of the records; the texts of the errors say more."""
    for error, order in outcome.refusals:
        reason = error.decision.reason if isinstance(error, AccessDeniedError) else ""
        why = _WHY.get(reason) or plain(error.why)
        if reason == "approval_missing" and not asked:
            why = "a person must say yes; --ask asks you"
        yield f"{why}; {plain(order.source)} told it to" if order is not None else why


def _width() -> int:
    least, usual, most = _WIDTHS
    return min(max(shutil.get_terminal_size((usual, 24)).columns, least), most)
