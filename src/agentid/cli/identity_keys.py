"""`agentid identity rotate` and `bundle`: replace the keys of the authority, and publish the public ones."""

from __future__ import annotations

import argparse
import json
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

from agentid.cli.authority import add_options, configuration, open_authority
from agentid.cli.output import plain, print_json, print_line, table
from agentid.cli.publish import write_public

__all__ = ["add_to"]

_MOST_HOURS: Final = 30 * 24


def add_to(actions: Any) -> None:
    """Say what the commands take."""
    rotate = actions.add_parser(
        "rotate",
        help="replace the keys of the authority by new ones",
        description="Replace the keys that sign agents by new ones. What the old keys signed stays good for a while; "
        "with --overlap 0, for an emergency, it is refused at once, and the key of the audit log is replaced as well. "
        "Running processes follow within a second.",
    )
    rotate.add_argument(
        "--overlap", type=_hours, default=24, metavar="HOURS", help="how long the old keys stay good; by default 24"
    )
    rotate.set_defaults(run=_rotate)

    bundle = actions.add_parser(
        "bundle",
        help="print the public keys of the authority, for others to verify with",
        description="Print the public keys of the authority as a JWK set in the form of a SPIFFE bundle: those that "
        "sign, and those that did and are still good. Whoever verifies with them has to get them again every few "
        "minutes.",
    )
    bundle.add_argument("--out", type=Path, metavar="FILE", help="write them to a file, in one step")
    bundle.set_defaults(run=_bundle)
    add_options(rotate, bundle)


def _rotate(args: argparse.Namespace) -> int:
    config = configuration(args)
    authority = open_authority(config)
    before = {key.kid for key in authority.trust.keys}
    ends = datetime.fromtimestamp(time.time() + args.overlap * 3600, tz=timezone.utc).isoformat(timespec="seconds")
    authority.rotate(overlap=timedelta(hours=args.overlap))
    new = [{"use": key.use, "kid": key.kid} for key in authority.trust.keys if key.kid not in before]
    sequence = authority.trust.to_jwks()["spiffe_sequence"]
    if args.json:
        print_json(
            {
                "trust_domain": authority.trust_domain,
                "authority": str(config.authority),
                "sequence": sequence,
                "new": new,
                "old_until": ends if args.overlap else None,
            }
        )
        return 0
    rows = [("new key", f"{key['kid']}  {key['use']}") for key in new]
    rows.append(("old keys", f"good until {ends}" if args.overlap else "refused from now on: issue every agent again"))
    rows.append(("published", f"number {sequence}: hand it out again with `agentid identity bundle`"))
    for line in table(rows, indent=""):
        print_line(line)
    return 0


def _bundle(args: argparse.Namespace) -> int:
    jwks = open_authority(configuration(args)).trust.to_jwks()
    if args.out is None:
        if args.json:
            print_json(jwks)
        else:
            print_line(json.dumps(jwks, indent=2))
        return 0
    write_public(args.out, json.dumps(jwks, indent=2) + "\n")
    facts = {"file": str(args.out), "sequence": jwks["spiffe_sequence"], "keys": len(jwks["keys"])}
    if args.json:
        print_json(facts)
    else:
        print_line(f"{facts['keys']} public keys, number {facts['sequence']}, written to {plain(args.out)}")
    return 0


def _hours(text: str) -> int:
    try:
        value = int(text) if text.isascii() and len(text) <= 9 else -1
    except ValueError:
        value = -1
    if not 0 <= value <= _MOST_HOURS:
        raise argparse.ArgumentTypeError(f"it takes a whole number of hours from 0 to {_MOST_HOURS}")
    return value
