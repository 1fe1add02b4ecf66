"""`agentid suggest`: the least-privilege `agentid.toml`, from recorded runs."""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agentid.cli.authority import audit_folder, configuration
from agentid.cli.output import paint, plain, print_json, print_line
from agentid.cli.recorded import count, progress_bar, trust_of
from agentid.errors import ConfigurationError, nearest, quote

if TYPE_CHECKING:
    from agentid.assurance.evidence import Evidence, Runs
    from agentid.assurance.least_privilege import AgentSuggestion, Line, Suggestion
    from agentid.config import Config
    from agentid.record.audit.reader import Record

__all__ = ["add_to"]

_FILE: Final = "agentid.toml"
_LEAST_NAMES: Final = 3
_MOST_NAMES: Final = 100_000


def add_to(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.description = (
        "Print the least-privilege agentid.toml for what agents did in recorded runs, each line with the evidence it "
        "rests on. Ids become `*` once three different ones were seen in a place; `**` is only used with --deep. What "
        "is granted already and was used stays, what was not used is listed and left out."
    )
    parser.add_argument(
        "places",
        nargs="*",
        type=Path,
        metavar="LOG",
        help="audit folders, or files in them for one run each; by default the folder that agentid.toml names, or "
        ".agentid/audit",
    )
    parser.add_argument("--agent", action="append", default=[], metavar="NAME", help="only this one; may be repeated")
    parser.add_argument(
        "--generalise",
        type=_names,
        metavar="N",
        help="let N different names in one place become `*`, not ids alone; by default 8",
    )
    parser.add_argument("--deep", action="store_true", help="let `**` stand for what is of different depths")
    parser.add_argument(
        "--write", action="store_true", help="put the lists into the nearest agentid.toml, and keep the rest of it"
    )
    parser.add_argument("--unverified", action="store_true", help="take records that nothing proves to be unchanged")
    parser.add_argument(
        "--jwks", type=Path, metavar="FILE", help="trust the public keys in this file instead of the authority's"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="by default the nearest agentid.toml")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run, parser=parser)


def run(args: argparse.Namespace) -> int:
    """Read the runs, suggest, and print or write it."""
    from agentid.assurance.generalise import MANY_NAMES
    from agentid.assurance.least_privilege import suggest
    from agentid.assurance.suggested_toml import text_of

    config = configuration(args)
    known = None if config.source is None else config
    runs = _read(args, config)
    for name in args.agent:
        if name not in runs.agents:
            raise ConfigurationError(f"no run of an agent {quote(name)} is recorded", fix=nearest(name, runs.agents))
    suggestion = suggest(runs, known, agents=args.agent, names=args.generalise or MANY_NAMES, deep=args.deep)
    text = text_of(suggestion, is_new=known is None)
    _check(text)
    written = _write(suggestion, config, text) if args.write else None
    if args.json:
        print_json(_as_json(suggestion, written))
    elif written is not None:
        _print_written(suggestion, written)
    else:
        _print(suggestion, text, is_new=known is None)
    return 0


def _print(suggestion: Suggestion, text: str, *, is_new: bool) -> None:
    from agentid.assurance.suggested_toml import text_of

    # A character that was replaced because the output cannot show it would name another resource.
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        text = text_of(suggestion, only_ascii=True, is_new=is_new)
    print_line(text.removesuffix("\n"))


def _print_written(suggestion: Suggestion, path: Path) -> None:
    lines = [(agent, line) for agent in suggestion.agents for line in (*agent.allow, *agent.ask)]
    print_line(
        f"{paint('written', 'green')}: {count(len(lines), 'permission')} of {count(len(suggestion.agents), 'agent')} "
        f"to {plain(path)}"
    )
    for agent, line in lines:
        if line.dangers:
            print_line(
                f"  {paint('look at', 'yellow')} {plain(agent.name)} {plain(line.permission)}: {line.dangers[0]}"
            )


def _names(text: str) -> int:
    value = int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else 0
    if not _LEAST_NAMES <= value <= _MOST_NAMES:
        raise argparse.ArgumentTypeError(f"it takes a whole number from {_LEAST_NAMES} to {_MOST_NAMES}")
    return value


# --- reading --------------------------------------------------------------------------------------


def _read(args: argparse.Namespace, config: Config) -> Runs:
    from agentid.assurance.evidence import Runs

    places: list[Path] = args.places or [audit_folder(config)]
    runs = Runs()
    try:
        for place in dict.fromkeys(place.resolve() for place in places):
            for record in _records(place, args):
                runs.add(record)
    except OSError as failure:
        raise ConfigurationError(
            "The audit log cannot be read", why=failure.strerror or type(failure).__name__
        ) from None
    runs.settle()
    if not runs.calls:
        raise ConfigurationError(
            "there is nothing to suggest",
            why=f"nothing that anybody is asked about is recorded at {quote(_from_here(places[0]))}",
            fix="Record another with `agentid run --observe`, or name the folder of one",
        )
    return runs


def _records(place: Path, args: argparse.Namespace) -> Iterator[Record]:
    from agentid.record.audit.chain_files import chain_of_file, origin_of
    from agentid.record.audit.reader import AuditReader, read_lines

    if place.is_dir():
        _verify(place, args)
        yield from AuditReader(place).read()
        return
    if not place.exists():
        raise _no_run(place, "there is no such folder")
    chain = chain_of_file(place.name)
    if chain is not None:
        _verify(place.parent, args)
        origin = origin_of(chain)
        yield from (record for record in AuditReader(place.parent).read() if record.get("source") == origin)
    elif args.unverified:
        yield from read_lines(place)
    else:
        raise ConfigurationError(
            f"{quote(place.name)} is no file of an audit log, so nothing proves what it says",
            fix="Name the audit folder, or take its records as they are with --unverified",
        )


def _verify(folder: Path, args: argparse.Namespace) -> None:
    """
    Check that the log is what was written: who could add a record could choose what is granted.

    Raises:
        AuditTamperedError: It is not.
    """
    from agentid.record.audit import verify_audit_log

    if args.unverified:
        return
    report = verify_audit_log(folder, trust_of(args), progress=progress_bar())
    report.raise_if_tampered()
    if report.unsigned:
        sys.stderr.write(
            f"agentid: not signed yet, at the end of the log: {count(report.unsigned, 'record')}; who can write there "
            "could have added them\n"
        )


def _from_here(place: Path) -> Path:
    here = Path.cwd()
    return place.relative_to(here) if place.is_relative_to(here) else place


def _no_run(place: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"there is no recorded run at {quote(_from_here(place))}",
        why=why,
        fix="Record one with `agentid run --observe`, or name the folder of one",
    )


# --- writing --------------------------------------------------------------------------------------


def _check(text: str) -> None:
    """Check that a guard could read it."""
    from agentid.config.reader import MAX_BYTES, parse

    parse(text, source=Path(_FILE))
    if len(text.encode()) > MAX_BYTES:
        raise ConfigurationError(
            "there is too much to grant one by one",
            why=f"the suggestion is larger than {MAX_BYTES // 1024} KiB, which is the most for a configuration",
            fix="Take any depth together with --deep, generalise names with --generalise, or use --agent",
        )


def _write(suggestion: Suggestion, config: Config, text: str) -> Path:
    from agentid.assurance.suggested_toml import is_suggested, lists_of, quoted
    from agentid.config.editing import with_grants

    if config.source is None:
        path = Path.cwd() / _FILE
        _replace(path, None, text.encode())
        return path
    path = config.source.resolve()
    try:
        before = path.read_bytes()
    except OSError as failure:
        raise _cannot_write(path, failure) from None
    lists: dict[str, dict[str, str]] = {}
    wanted: dict[str, dict[str, Any]] = {}
    for agent in suggestion.agents:
        lists[agent.name] = lists_of(agent)
        wanted[agent.name] = {
            name: tuple(line.permission for line in lines)
            for name, lines in (("allow", agent.allow), ("ask", agent.ask))
        }
        if agent.name not in config.agents and agent.owner:
            lists[agent.name] = {"owner": quoted(agent.owner), **lists[agent.name]}
            wanted[agent.name]["owner"] = agent.owner
    after = with_grants(before.decode(), config.source, lists, wanted, may_go=is_suggested)
    _check_size(after, config.source)
    _replace(path, before, after.encode())
    return path


def _check_size(text: str, source: Path) -> None:
    from agentid.config.reader import MAX_BYTES, MAX_PYPROJECT, PYPROJECT

    if len(text.encode()) > (MAX_PYPROJECT if source.name == PYPROJECT else MAX_BYTES):
        raise ConfigurationError(f"{source.name} was not changed", why="it would be too large to be read")


def _replace(path: Path, before: bytes | None, after: bytes) -> None:
    """
    Write a file as a whole or not at all, with the mode that it had.

    Raises:
        ConfigurationError: It cannot be written, or is not any more what it was *before*.
    """
    draft = path.parent / f".{path.name}.{secrets.token_hex(8)}.tmp"
    try:
        try:
            with draft.open("xb") as file:
                file.write(after)
                file.flush()
                os.fsync(file.fileno())
            if before is None:
                os.link(draft, path)  # fails where somebody has made one meanwhile
            elif path.read_bytes() != before:
                raise ConfigurationError(
                    f"{quote(path.name)} was not changed", why="somebody else has changed it meanwhile", fix="Try again"
                )
            else:
                shutil.copymode(path, draft)
                draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as failure:
        raise _cannot_write(path, failure) from None


def _cannot_write(path: Path, failure: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"{quote(path.name)} cannot be written", why=(failure.strerror or type(failure).__name__).lower()
    )


# --- JSON -----------------------------------------------------------------------------------------


def _as_json(suggestion: Suggestion, written: Path | None) -> dict[str, Any]:
    return {
        "runs": suggestion.runs,
        "calls": suggestion.calls,
        "unnamed": sum(suggestion.unnamed.values()),
        "second_doors": suggestion.second_doors,
        "unreadable": suggestion.unreadable,
        "unseen": list(suggestion.unseen),
        "strangers": list(suggestion.strangers),
        "agents": [_agent_as_json(agent) for agent in suggestion.agents],
        "written": None if written is None else str(written),
    }


def _agent_as_json(agent: AgentSuggestion) -> dict[str, Any]:
    return {
        "name": agent.name,
        "owner": agent.owner,
        "ids": list(agent.ids),
        "sub_agents": list(agent.sub_agents),
        "allow": [_line_as_json(line) for line in agent.allow],
        "ask": [_line_as_json(line) for line in agent.ask],
        "unused": {name: list(map(str, unused)) for name, unused in agent.unused.items()},
        "refused": [
            {"access": str(one.access), "reason": one.reason, **_evidence_as_json(one.evidence)}
            for one in agent.refused
        ],
    }


def _line_as_json(line: Line) -> dict[str, Any]:
    return {
        "permission": str(line.permission),
        "dangers": list(line.dangers),
        "kept": line.is_kept,
        "by_name": line.by_name,
        **_evidence_as_json(line.evidence),
    }


def _evidence_as_json(evidence: Evidence) -> dict[str, Any]:
    return {
        "times": evidence.times,
        "resources": len(evidence.resources),
        "runs": len(evidence.runs),
        "first": evidence.first,
        "last": evidence.last,
    }
