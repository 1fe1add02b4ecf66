"""`agentid identity delegate`: hand a part of what a saved agent may do to a sub-agent."""

from __future__ import annotations

import argparse
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentid.cli.output import plain, print_json, print_line, table
from agentid.cli.parser import minutes
from agentid.cli.passphrase import new_passphrase, passphrase_of
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
    encrypted = parser.add_mutually_exclusive_group()
    encrypted.add_argument(
        "--encrypt",
        action="store_true",
        default=None,
        help="with a passphrase of its own: asked for, or taken from AGENTID_PASSPHRASE; by default with that of FILE, "
        "if it has one",
    )
    encrypted.add_argument(
        "--no-encrypt",
        action="store_false",
        dest="encrypt",
        default=None,
        help="leave the key as it is, also where that of FILE is encrypted",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_delegate, parser=parser)


def _delegate(args: argparse.Namespace) -> int:
    from agentid.identity import Agent

    passphrase = passphrase_of(args.file)
    try:
        child = Agent.load(args.file, passphrase=passphrase).delegate(
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
    how = "" if passphrase is None else f", encrypted with the passphrase of {plain(args.file)}"
    if args.encrypt is not None:
        passphrase = new_passphrase() if args.encrypt else None
        how = ", encrypted" if args.encrypt else ", not encrypted"
    out: Path = args.out or args.file.with_name(f"{args.file.stem}.{args.name}.json")
    child.save(out, passphrase=passphrase, overwrite=args.overwrite)
    if args.json:
        print_json({**child.describe(), "file": str(out), "encrypted": passphrase is not None})
    else:
        print_agent(child)
        print_line(f"saved to {plain(out)}{how}")
    return 0


def print_agent(agent: Agent) -> None:
    """Print what anyone may know of an agent."""
    facts = agent.describe()
    rows = [("delegated by", above) for above in facts["delegated_by"]]
    rows += [(name, str(facts[name])) for name in ("id", "owner", "purpose", "expires_at") if facts[name]]
    rows += [(effect, permission) for effect in ("allow", "ask") for permission in facts[effect]]
    for line in table(rows, indent=""):
        print_line(line)
