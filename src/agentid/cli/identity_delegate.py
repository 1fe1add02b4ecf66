"""`agentid identity delegate`: hand a part of what a saved agent may do to a sub-agent."""

from __future__ import annotations

import argparse
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentid.cli import passphrase
from agentid.cli.output import plain, print_json, print_line, table
from agentid.cli.parser import minutes
from agentid.errors import CredentialError

if TYPE_CHECKING:
    from agentid.identity import Agent

__all__ = ["add_to", "print_agent"]


def add_to(actions: Any) -> None:
    """Say what the command takes."""
    parser = actions.add_parser(
        "delegate",
        help="hand a part of an agent's grant to a sub-agent, and save that to a file",
        description="Hand a part of what an agent may do to a sub-agent with a key and a name of its own. Needs the "
        "agent's file and nothing else: no authority is asked.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the file of the agent that hands on")
    parser.add_argument("name", metavar="NAME", help="of the sub-agent, such as summariser")
    for option, means in (("--allow", "such as read:crm/customers/c-42"), ("--ask", "needs a person's yes each time")):
        parser.add_argument(option, action="append", default=[], metavar="PERMISSION", help=f"{means}; may be repeated")
    parser.add_argument("--purpose", default="", metavar="TEXT", help="what it is for")
    parser.add_argument(
        "--ttl", type=minutes, metavar="MINUTES", help="how long it lives; by default 15, never longer than its parent"
    )
    parser.add_argument(
        "--max-depth", type=int, metavar="NUMBER", help="how deep chains below it may get, counted from the authority"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="by default FILE.NAME.json next to the agent's file")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    passphrase.add_options(parser, by_default="; by default with that of FILE, if it has one")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_delegate, parser=parser)


def _delegate(args: argparse.Namespace) -> int:
    from agentid.identity import Agent

    known = passphrase.passphrase_of(args.file)
    try:
        child = Agent.load(args.file, passphrase=known).delegate(
            args.name,
            allow=args.allow,
            ask=args.ask,
            ttl=None if args.ttl is None else timedelta(minutes=args.ttl),
            purpose=args.purpose,
            max_depth=args.max_depth,
        )
    except CredentialError as error:
        if args.json:
            print_json({"delegated": False, "code": error.code, "error": str(error)})
            return 1
        raise
    out: Path = args.out or args.file.with_name(f"{args.file.stem}.{args.name}.json")
    chosen = passphrase.choose_passphrase(args, out, of_parent=known)
    child.save(out, passphrase=chosen, overwrite=args.overwrite)
    if args.json:
        print_json({**child.describe(), "file": str(out), "encrypted": chosen is not None})
    else:
        print_agent(child)
        print_line(f"saved to {plain(out)}{_how(args, known)}")
    return 0


def _how(args: argparse.Namespace, known: str | bytes | None) -> str:
    if args.encrypt is None:
        return "" if known is None else f", encrypted with the passphrase of {plain(args.file)}"
    return ", encrypted" if args.encrypt else ", not encrypted"


def print_agent(agent: Agent) -> None:
    """Print what anyone may know of an agent."""
    facts = agent.describe()
    rows = [("delegated by", above) for above in facts["delegated_by"]]
    rows += [(name, str(facts[name])) for name in ("id", "owner", "purpose", "expires_at") if facts[name]]
    rows += [(effect, permission) for effect in ("allow", "ask") for permission in facts[effect]]
    for line in table(rows, indent=""):
        print_line(line)
