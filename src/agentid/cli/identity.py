"""`agentid identity`: issue, show and verify agents. The other commands have files of their own."""

from __future__ import annotations

import argparse
import re
import stat
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentid.cli import identity_delegate, identity_keys, identity_revoke, passphrase
from agentid.cli.authority import add_options, configuration, open_authority
from agentid.cli.identity_delegate import print_agent
from agentid.cli.output import plain, print_json, print_line, table
from agentid.cli.parser import minutes
from agentid.cli.passphrase import load_agent
from agentid.errors import ConfigurationError, CredentialError, nearest, quote

if TYPE_CHECKING:
    from agentid.identity import Agent, Authority, TrustAnchor

__all__ = ["add_to"]

_MAX_KEYS: Final = 1 << 20
_MAX_TOKEN: Final = 1 << 20
_TOKEN: Final = re.compile(r"[\w=-]*\.[\w=-]*\.[\w=-]*", re.ASCII)  # perhaps a broken one


def add_to(parser: argparse.ArgumentParser) -> None:
    """Say what the commands take."""
    parser.description = (
        "Issue, show and verify agents, and hand on what they may do. The authority is the one that agentid.toml "
        "names, or .agentid/authority.pem below the current folder."
    )
    actions = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    issue = actions.add_parser(
        "issue",
        help="issue an agent and save it, key and all, to a file",
        description="Issue an agent: as agentid.toml says, or with the permissions given here. The file holds its "
        "private key and is readable by you alone. The authority is made when it is missing.",
    )
    issue.add_argument("name", metavar="NAME", help="of the agent, such as support-bot")
    issue.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="PERMISSION",
        help="such as read:crm/customers/*; may be repeated",
    )
    issue.add_argument(
        "--ask",
        action="append",
        default=[],
        metavar="PERMISSION",
        help="needs a person's yes each time; may be repeated",
    )
    issue.add_argument("--owner", default="", metavar="NAME", help="who answers for it, such as team:support")
    issue.add_argument("--purpose", default="", metavar="TEXT", help="what it is for")
    issue.add_argument(
        "--ttl", type=minutes, metavar="MINUTES", help="how long it lives; by default an hour, at most a day"
    )
    issue.add_argument(
        "--out", type=Path, metavar="FILE", help="by default agents/NAME.json next to the authority's key"
    )
    issue.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    passphrase.add_options(issue, by_default="")
    issue.set_defaults(run=_issue)

    identity_delegate.add_to(actions)

    show = actions.add_parser(
        "show",
        help="show an agent file, or the authority and the agents that are configured",
        description="Show what anyone may know: never a private key, never a token.",
    )
    show.add_argument("file", nargs="?", type=Path, metavar="FILE", help="an agent file; without one, the authority")
    show.set_defaults(run=_show)

    verify = actions.add_parser(
        "verify",
        help="verify an agent file or a credential; exit code 1 if it is not good",
        description="Verify that an agent file, or a credential token, was issued by the authority and is good now.",
    )
    verify.add_argument("subject", metavar="FILE|TOKEN|-", help="an agent file, a token, or - to read a token")
    verify.add_argument(
        "--jwks", type=Path, metavar="FILE", help="trust the public keys in this file instead of the authority's"
    )
    verify.add_argument("--trust-domain", metavar="NAME", help="of the keys in that file")
    verify.add_argument(
        "--status", type=Path, metavar="FILE", help="what was revoked, as the authority of those keys publishes it"
    )
    verify.set_defaults(run=_verify)

    identity_keys.add_to(actions)
    identity_revoke.add_to(actions)
    add_options(issue, show, verify)


def _issue(args: argparse.Namespace) -> int:
    from agentid.identity import Authority

    config = configuration(args)
    configured = config.agents.get(args.name)
    given = bool(args.allow or args.ask)
    if configured is None and not given and config.agents:
        raise ConfigurationError(
            f"the configuration has no agent {quote(args.name)}",
            fix=f"{nearest(args.name, config.agents)} Or give its permissions with --allow and --ask",
        )
    ttl = timedelta(minutes=args.ttl) if args.ttl is not None else configured.ttl if configured else timedelta(hours=1)

    def issue(authority: Authority) -> Agent:
        return authority.issue(
            args.name,
            allow=args.allow if given or configured is None else configured.allow,
            ask=args.ask if given or configured is None else configured.ask,
            owner=args.owner or (configured.owner if configured else ""),
            purpose=args.purpose or (configured.purpose if configured else ""),
            ttl=ttl,
        )

    # Tried in memory first: a slip in an argument must not leave a new authority behind.
    issue(Authority.create(config.trust_domain))
    out: Path = args.out or config.authority.parent / "agents" / f"{args.name}.json"
    chosen = passphrase.choose_passphrase(args, out)
    agent = issue(Authority.open(config.authority, trust_domain=config.trust_domain, status_uri=config.status_uri))
    agent.save(out, passphrase=chosen, overwrite=args.overwrite)
    if args.json:
        print_json({**agent.describe(), "file": str(out)})
    else:
        print_agent(agent)
        print_line(f"saved to {plain(out)}")
    return 0


def _show(args: argparse.Namespace) -> int:
    if args.file is not None:
        agent = load_agent(args.file)
        if args.json:
            print_json(agent.describe())
        else:
            print_agent(agent)
        return 0
    config = configuration(args)
    authority = open_authority(config)
    jwks = authority.trust.to_jwks()
    if args.json:
        print_json(
            {
                "trust_domain": authority.trust_domain,
                "authority": str(config.authority),
                "jwks": jwks,
                "agents": sorted(config.agents),
            }
        )
        return 0
    rows = [("trust domain", authority.trust_domain), ("authority", plain(config.authority))]
    rows += [("public key", f"{key['kid']}  {key['use']}") for key in jwks["keys"]]
    for name, entry in config.agents.items():
        rows.append(("agent", f"{name}  {entry.owner or 'nobody owns it'}"))
        rows += [("  allow", str(permission)) for permission in entry.allow]
        rows += [("  ask", str(permission)) for permission in entry.ask]
    _print(rows)
    return 0


def _verify(args: argparse.Namespace) -> int:

    token = None if args.subject != "-" and _is_file(args.subject) else _token(args.subject)
    trust = _trust(args)
    try:
        if token is None:
            verified = trust.verify_agent(load_agent(args.subject))
            credential, until = verified.credential, verified.expires_at
        else:
            credential = trust.verify_credential(token)
            until = credential.expires_at
    except CredentialError as error:
        if args.json:
            print_json({"valid": False, "code": error.code, "error": str(error)})
            return 1
        raise
    ends = datetime.fromtimestamp(until, tz=timezone.utc).isoformat()
    # The keys alone do not say what was revoked, and nobody should take that for a yes.
    is_known = args.jwks is None or args.status is not None
    if args.json:
        facts = {"valid": True, "id": str(credential.id), "owner": credential.owner, "expires_at": ends}
        print_json({**facts, "revocation_checked": is_known})
    else:
        doubt = "" if is_known else "; whether it was revoked is not known without --status"
        print_line(f"good: {credential.id}, owner {credential.owner or 'nobody'}, until {ends}{doubt}")
    return 0


def _trust(args: argparse.Namespace) -> TrustAnchor:
    from agentid.identity import TrustAnchor

    if (args.jwks is None) != (args.trust_domain is None):
        raise ConfigurationError("--jwks and --trust-domain go together", why="keys are trusted for one trust domain")
    if args.jwks is None:
        if args.status is not None:
            raise ConfigurationError("--status goes with --jwks", why="the authority itself knows what it revoked")
        return open_authority(configuration(args)).trust
    try:
        return TrustAnchor.from_jwks(_read(args.jwks), trust_domain=args.trust_domain, status=args.status)
    except CredentialError as error:
        # The answer is not no: there is nothing yet to ask.
        raise ConfigurationError(error.what, why=error.why, fix=error.fix) from None


def _is_file(text: str) -> bool:
    # A token can be longer than any file name may be, and asking for such a name is an error of its own.
    try:
        return Path(text).is_file()
    except (OSError, ValueError):
        return False


def _token(subject: str) -> str:
    if subject == "-":
        data = sys.stdin.buffer.read(_MAX_TOKEN)
        return data.decode("ascii", "replace").strip()
    if not _TOKEN.fullmatch(subject):
        # Not repeated here: it may be a token with something around it.
        raise ConfigurationError(
            "there is nothing to verify", why="the argument names no file, and it is no token", fix="Check the path"
        )
    return subject


def _read(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigurationError(f"{quote(path)} cannot be read", why="it is not an ordinary file")
        with path.open("rb") as file:
            return file.read(_MAX_KEYS).decode("utf-8")
    except FileNotFoundError:
        raise ConfigurationError(f"{quote(path)} cannot be read", why="there is no such file") from None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{quote(path)} cannot be read", why=type(error).__name__) from None


def _print(rows: list[tuple[str, str]]) -> None:
    for line in table(rows, indent=""):
        print_line(line)
