"""`agentid identity revoke` and `status`: take agents back, and publish what was taken back."""

from __future__ import annotations

import argparse
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agentid.cli.authority import add_options, configuration, open_authority
from agentid.cli.output import plain, print_json, print_line
from agentid.cli.publish import write_public
from agentid.errors import ConfigurationError, nearest, quote

if TYPE_CHECKING:
    from agentid.config import Config

__all__ = ["add_to"]

_MOST_SECONDS: Final = 3600


def add_to(actions: Any) -> None:
    """Say what the commands take."""
    revoke = actions.add_parser(
        "revoke",
        help="take back an agent file, or every agent of a name",
        description="Take back the agent of a file, or every agent of a name and what is below it, issued already or "
        "later: a kill switch. Running processes follow within a second. The passphrase of a file is not needed.",
    )
    revoke.add_argument(
        "subject",
        metavar="NAME|FILE",
        help="such as support-bot or support-bot/summariser, or an agent file; also an id of the audit log",
    )
    revoke.add_argument("--lift", action="store_true", help="accept agents of the name again")
    revoke.set_defaults(run=_revoke)

    status = actions.add_parser(
        "status",
        help="print what was revoked as a signed list, for others to read",
        description="Print what was revoked as a Token Status List, which any server of files can publish. It is good "
        "for five times --ttl: publish a new one each time that has passed.",
    )
    status.add_argument("--out", type=Path, metavar="FILE", help="write it to a file, in one step")
    status.add_argument("--uri", metavar="URI", help="where it is published; by default status_uri of agentid.toml")
    status.add_argument(
        "--ttl", type=_seconds, default=60, metavar="SECONDS", help="when the next one is there; by default 60"
    )
    status.set_defaults(run=_status)
    add_options(revoke, status)


def _revoke(args: argparse.Namespace) -> int:
    from agentid.identity.revocation.issued import Issued
    from agentid.identity.revocation.revoker import is_token_id

    config = configuration(args)
    authority = open_authority(config)
    path = Path(args.subject)
    if _is_file(path):
        if args.lift:
            raise ConfigurationError(
                "an agent that was revoked by its file stays revoked",
                why="only a name is lifted",
                fix="Issue the agent again: `agentid identity issue NAME`",
            )
        try:
            issued = Issued.read(path, authority.trust)
        except ConfigurationError as error:
            # Whoever stops an agent is not to be stopped by a file that happens to be called like it.
            fix = f"{error.fix}; where a file is called like an agent, its SPIFFE ID, such as {_example(config)}"
            raise ConfigurationError(error.what, why=error.why, fix=fix) from None
        authority.revoke(issued)
        done = {"revoked": str(issued.id), "ids": list(issued.ids)}
        line = f"revoked {issued.id}, as it was issued to {plain(path)}"
    elif args.lift:
        authority.reinstate(args.subject)
        done, line = {"reinstated": args.subject}, f"agents called {plain(args.subject)} are accepted again"
        if is_token_id(args.subject):
            line += "; what has that id stays revoked"
    else:
        is_id = "://" in args.subject
        if not is_id and (path.suffix == ".json" or (len(path.parts) > 1 and path.parent.is_dir())):
            # A slip in the name of a file would revoke an agent of that name, and not the one that was meant.
            raise ConfigurationError(
                f"nothing was revoked: there is no file {quote(args.subject)}",
                why="it looks like one",
                fix=f"Name an agent file that is there, or an agent by its SPIFFE ID, such as {_example(config)}",
            )
        authority.revoke(args.subject)
        done = {"revoked": args.subject}
        line = (
            f"revoked what has the id {args.subject}, and what is below it"
            if is_token_id(args.subject)
            else f"revoked everything called {plain(args.subject)}{_doubt(args.subject, config)}"
        )
    if args.json:
        print_json(done)
    else:
        print_line(line)
    return 0


def _example(config: Config) -> str:
    return f"spiffe://{config.trust_domain}/agent/support-bot"


def _doubt(name: str, config: Config) -> str:
    # It counts also for agents that nobody configured. A slip of the pen should show all the same.
    root = name.rpartition("://")[2].removeprefix(f"{config.trust_domain}/").removeprefix("agent/").partition("/")[0]
    if root in config.agents:
        return ""
    if not config.agents:
        return "; no agent is configured, so the name was not checked"
    return f"; no agent of that name is configured. {nearest(root, config.agents)}"


def _status(args: argparse.Namespace) -> int:
    authority = open_authority(configuration(args), status_uri=args.uri)
    token = authority.status_list(ttl=timedelta(seconds=args.ttl))
    if args.out is not None:
        write_public(args.out, token + "\n")
    if args.json:
        print_json({"file": str(args.out)} if args.out is not None else {"status_list": token})
    else:
        print_line(token if args.out is None else f"written to {plain(args.out)}, good for {5 * args.ttl} seconds")
    return 0


def _is_file(path: Path) -> bool:
    # A name can be longer than any file name may be, and asking for such a file is an error of its own.
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _seconds(text: str) -> int:
    try:
        value = int(text) if text.isascii() and len(text) <= 9 else 0
    except ValueError:
        value = 0
    if not 1 <= value <= _MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"it takes a whole number of seconds from 1 to {_MOST_SECONDS}")
    return value
