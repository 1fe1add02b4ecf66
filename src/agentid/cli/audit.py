"""`agentid audit`: verify, show and prove the audit log."""

from __future__ import annotations

import argparse
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agentid.cli.output import paint, plain, print_json, print_line, shorten
from agentid.cli.recorded import count, folder_of, progress_bar, trust_of
from agentid.errors import ConfigurationError, quote

if TYPE_CHECKING:
    from agentid.record.audit.reader import Filter, Record
    from agentid.record.audit.report import AuditReport

__all__ = ["add_to"]

_COLOUR: Final = {"allow": "green", "deny": "red", "would_deny": "yellow", "would_ask": "yellow"}
_PAUSE: Final = 0.5


def add_to(parser: argparse.ArgumentParser) -> None:
    """Say what the commands take."""
    parser.description = (
        "Verify, show and prove the audit log: the folder that agentid.toml names, or .agentid/audit below the "
        "current folder."
    )
    actions = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    verify = actions.add_parser(
        "verify",
        help="verify the log; exit code 1 and the first bad record if it is not what was written",
        description="Verify every record, link and checkpoint. Checkpoints that were kept elsewhere show besides "
        "whether the end of the log, or all of it, was replaced.",
    )
    verify.add_argument("place", nargs="?", type=Path, metavar="FOLDER", help="the log; the same as --folder")
    verify.add_argument(
        "--anchor",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="checkpoints that were kept elsewhere; may be repeated",
    )
    verify.set_defaults(run=_verify)

    show = actions.add_parser(
        "show",
        help="show records, oldest first",
        description="Show records, oldest first. This does not verify them.",
    )
    show.add_argument("--agent", default="", metavar="NAME|ID", help="of this agent")
    show.add_argument("--resource", metavar="PATTERN", help="that touch such a resource: crm/customers/*")
    show.add_argument("--decision", choices=sorted(_COLOUR), metavar="DECISION", help=f"one of {', '.join(_COLOUR)}")
    show.add_argument(
        "--since", type=_time, metavar="TIME", help="written then or later: 2026-11-25 or 2026-11-25T10:00"
    )
    show.add_argument("--until", type=_time, metavar="TIME", help="written before")
    show.add_argument("--follow", action="store_true", help="go on with what is added, until interrupted")
    show.set_defaults(run=_show)

    prove = actions.add_parser(
        "prove",
        help="print a proof that a third party can check: of a record, or that the log only grew",
        description="Prove with ID that a record is in the log (c2sp.org/tlog-proof), or with --chain and --old that "
        "a chain only grew between two checkpoints (as in a request of c2sp.org/tlog-witness).",
    )
    prove.add_argument("record", nargs="?", metavar="ID", help="of a record, or of a call")
    prove.add_argument("--save-record", type=Path, metavar="FILE", help="write the bytes that are proven to a file")
    prove.add_argument("--chain", metavar="ID", help="the name of its files up to the first dot")
    prove.add_argument("--old", type=int, metavar="SIZE", help="how many records the earlier checkpoint has")
    prove.add_argument("--new", type=int, metavar="SIZE", help="how many the later one has; by default the last")
    prove.set_defaults(run=_prove)

    for action in (verify, show, prove):
        action.add_argument("--folder", type=Path, metavar="FOLDER", help="the log, instead of what agentid.toml names")
        action.add_argument("--config", type=Path, metavar="FILE", help="by default the nearest agentid.toml")
        action.add_argument("--json", action="store_true", help="print JSON")
        action.set_defaults(parser=action)
    for action in (verify, prove):
        action.add_argument(
            "--jwks", type=Path, metavar="FILE", help="trust the public keys in this file instead of the authority's"
        )


# --- verify ---------------------------------------------------------------------------------------


def _verify(args: argparse.Namespace) -> int:
    from agentid.record.audit.verify import verify_audit_log

    folder = folder_of(args)
    report = verify_audit_log(folder, trust_of(args), anchors=args.anchor, progress=progress_bar())
    if args.json:
        print_json(
            {
                "ok": report.ok,
                "folder": str(folder),
                "records": report.records,
                "chains": report.chains,
                "checkpoints": report.checkpoints,
                "unsigned": report.unsigned,
                "anchored": report.anchored,
                "removed": report.removed,
                "problems": [
                    {"file": p.file, "record": p.record, "line": p.line, "kind": p.kind, "what": p.what}
                    for p in report.problems
                ],
                "recovered": [{"file": torn.file, "bytes": torn.size} for torn in report.recovered],
            }
        )
    else:
        _print_report(report)
    return 0 if report.ok else 1


def _print_report(report: AuditReport) -> None:
    counted = (
        f"{count(report.records, 'record')} in {count(report.chains, 'chain')}, "
        f"{count(report.checkpoints, 'checkpoint')} signed"
    )
    if report.anchored:
        counted += f", {report.anchored} kept elsewhere"
    if report.ok:
        print_line(f"{paint('good', 'green')}: {counted}")
    else:
        print_line(f"{paint('tampered', 'red')}: {counted}")
    for problem in report.problems:
        print_line(f"  {plain(problem)}")
    for torn in report.recovered:
        print_line(f"  recovered: {plain(torn)}")
    if report.unsigned:
        print_line(f"  {count(report.unsigned, 'record')} after the last checkpoint: linked, not signed yet")
    if report.removed:
        print_line(f"  {count(report.removed, 'record')} removed by retention, as signed statements say")
    if report.ok and not report.anchored:
        print_line("  not compared with a checkpoint kept elsewhere (--anchor): a cut-off end would not show")


# --- show -----------------------------------------------------------------------------------------


def _show(args: argparse.Namespace) -> int:
    from agentid.record.audit.reader import AuditReader

    reader = AuditReader(folder_of(args), _filter(args))
    try:
        for record in reader.read():
            _print_record(record, as_json=args.json)
        while args.follow:
            time.sleep(_PAUSE)
            for record in reader.read_new():
                _print_record(record, as_json=args.json)
    except BrokenPipeError:
        raise  # whoever read the output has read enough
    except OSError as failure:
        raise ConfigurationError(
            "The audit log cannot be read", why=failure.strerror or type(failure).__name__
        ) from None
    finally:
        if reader.odd:
            sys.stderr.write(
                f"agentid: {count(reader.odd, 'line')} passed over: no records; run `agentid audit verify`\n"
            )
    return 0


def _filter(args: argparse.Namespace) -> Filter:
    from agentid.record.audit.reader import Filter
    from agentid.resource import ResourcePattern

    return Filter(
        agent=args.agent,
        resource=ResourcePattern.parse(args.resource) if args.resource else None,
        effect=args.decision or "",
        since=args.since,
        until=args.until,
    )


def _print_record(record: Record, *, as_json: bool) -> None:
    if as_json:
        print_json(record)
        return
    data: dict[str, Any] = record["data"]
    decision, outcome = data["decision"], data.get("outcome", {})
    touched = [f"{access['action']}:{access['resource']}" for access in data["accesses"]]
    what = ", ".join(touched[:3]) + (f" and {len(touched) - 3} more" if len(touched) > 3 else "")
    came = f" {outcome.get('status')}" if data.get("phase") == "outcome" else ""
    effect = str(decision["effect"])
    print_line(
        f"{plain(record['time'])}  {paint(f'{plain(effect):<10}', _COLOUR.get(effect, 'dim'))} "
        f"{plain(data['agent']['name']):<16}  {plain(shorten(what, 70)) or '-'}  "
        f"{plain(decision.get('reason', ''))}{plain(came)}"
    )


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.removesuffix("Z"))
    except ValueError:
        raise argparse.ArgumentTypeError("it takes a time such as 2026-11-25 or 2026-11-25T10:00, in UTC") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


# --- prove ----------------------------------------------------------------------------------------


def _prove(args: argparse.Namespace) -> int:
    try:
        return _print_proofs(args)
    except BrokenPipeError:
        raise  # whoever read the output has read enough
    except OSError as failure:
        raise ConfigurationError(
            "The audit log cannot be read", why=failure.strerror or type(failure).__name__
        ) from None


def _print_proofs(args: argparse.Namespace) -> int:
    from agentid.record.audit.proof import prove_consistency, prove_inclusion

    if args.record is None and args.chain is not None and args.old is not None:
        grown = prove_consistency(folder_of(args), args.chain, trust_of(args), old=args.old, new=args.new)
        _print_proof(args, grown.text, {"old": grown.old})
        return 0
    if args.record is None or args.chain is not None or args.old is not None:
        raise ConfigurationError(
            "say what to prove", fix="Give the id of a record, or --chain and --old for a proof that a chain only grew"
        )
    found = prove_inclusion(folder_of(args), args.record, trust_of(args))
    if args.save_record is not None:
        try:
            args.save_record.write_bytes(found.record)
        except OSError as failure:
            raise ConfigurationError(
                f"{quote(args.save_record)} cannot be written", why=failure.strerror or type(failure).__name__
            ) from None
    _print_proof(args, found.text, {"index": found.index, "record": found.record.decode()})
    return 0


def _print_proof(args: argparse.Namespace, text: str, facts: dict[str, Any]) -> None:
    if args.json:
        print_json({**facts, "proof": text})
    else:
        print_line(text.removesuffix("\n"))
