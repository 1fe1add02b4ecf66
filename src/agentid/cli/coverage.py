"""`agentid coverage`: which installed libraries are enforced, seen only, or invisible."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from agentid.cli.output import paint, plain, print_json, print_line

if TYPE_CHECKING:
    from agentid.access.coverage import Coverage

__all__ = ["add_to"]

_COLOUR: Final = {"enforced": "green", "seen only": "yellow", "invisible": "red"}


def add_to(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.description = (
        "Print which data libraries of this environment are enforced, which are only seen, and which go around both, "
        "and why. Nothing is imported to find out, and a library that is in no table here is not spoken of."
    )
    parser.add_argument("--strict", action="store_true", help="exit code 1 if something invisible is installed")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run, parser=parser)


def run(args: argparse.Namespace) -> int:
    """Print what is known; 1 if that is not enough."""
    from agentid.access.coverage import coverage

    found = coverage()
    invisible = sum(one.level == "invisible" for one in found)
    if args.json:
        print_json([asdict(one) for one in found])
    else:
        _print(found, invisible)
    return 1 if args.strict and invisible else 0


def _print(found: list[Coverage], invisible: int) -> None:
    names = max(len(one.name) for one in found)
    versions = max(len(_version(one)) for one in found)
    for one in found:
        line = f"{one.name:<{names}}  {_version(one):<{versions}}  {plain(one.why)}".rstrip()
        if one.installed:
            print_line(f"{paint(f'{one.level:<9}', _COLOUR[one.level])}  {line}")
        else:
            print_line(paint(f"{'-':<9}  {line}", "dim"))
    if invisible:
        them = "1 installed library" if invisible == 1 else f"{invisible} installed libraries"
        print_line(f"{them} cannot be seen at work: nobody decides what an agent does with what is invisible.")


def _version(one: Coverage) -> str:
    return plain(one.version) or ("?" if one.distribution else "python") if one.installed else "not installed"
