"""`agentid doctor`: is this installation and configuration sound?"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from agentid._version import __version__
from agentid.cli.output import paint, plain, print_json, print_line, table
from agentid.errors import Error

__all__ = ["add_to"]

_CORE: Final = ("opentelemetry-api", "opentelemetry-sdk", "pyjwt", "cryptography", "pydantic", "wrapt")
_COLOUR: Final = {"ok": "green", "warn": "yellow", "fail": "red"}

Level = Literal["ok", "warn", "fail"]


class Finding(NamedTuple):
    """One thing that was looked at."""

    level: Level
    what: str
    detail: str


def add_to(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.description = (
        "Check the installation, the nearest configuration, its authority and where spans go. "
        "Changes nothing. Exit code 1 if something is wrong, 2 if it is the configuration."
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="by default the nearest agentid.toml")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run, parser=parser)


def run(args: argparse.Namespace) -> int:
    """Look at everything; 1 if something failed, 2 if the configuration did."""
    findings = [
        *_installation(),
        *_unless_broken("configuration", _configuration(args.config)),
        *_unless_broken("spans", _telemetry()),
    ]
    if args.json:
        print_json([finding._asdict() for finding in findings])
    else:
        for finding, line in zip(findings, table([(f.what, f.detail) for f in findings], indent=""), strict=True):
            print_line(f"{paint(f'{finding.level:<5}', _COLOUR[finding.level])} {line}")
    failed = {finding.what for finding in findings if finding.level == "fail"}
    return 2 if "configuration" in failed else 1 if failed else 0


def _installation() -> Iterator[Finding]:
    yield Finding("ok", "agentid", __version__)
    supported = sys.version_info >= (3, 10)
    yield Finding("ok" if supported else "fail", "python", platform.python_version())
    for name in _CORE:
        try:
            yield Finding("ok", name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Finding("fail", name, "not installed; install agentid from its checkout with: pip install .")


def _unless_broken(what: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    """Findings that need packages which may be what is missing."""
    try:
        yield from findings
    except ImportError as error:
        yield Finding("fail", what, f"cannot be looked at: {error.name or 'a package'} cannot be imported")


def _configuration(path: Path | None) -> Iterator[Finding]:
    from agentid.config import DEFAULT_AUTHORITY, DEFAULT_TRUST_DOMAIN, Config

    try:
        config = Config.load(path) if path else Config.find()
    except Error as error:
        yield Finding("fail", "configuration", str(error))
        return
    if config is None:
        yield Finding("warn", "configuration", "no agentid.toml here or above; defaults are used")
        authority, trust_domain = Path.cwd() / DEFAULT_AUTHORITY, DEFAULT_TRUST_DOMAIN
    else:
        yield Finding("ok", "configuration", plain(config.source))
        authority, trust_domain = config.authority, config.trust_domain
        for name, entry in config.agents.items():
            level: Level = "ok" if entry.owner else "warn"
            detail = f"{len(entry.allow)} allowed, {len(entry.ask)} asked, owner {entry.owner or 'nobody: add one'}"
            yield Finding(level, f"agent {name}", detail)
        yield from _unenforced(config)
    yield _authority(authority, trust_domain)


def _authority(path: Path, trust_domain: str) -> Finding:
    # `Authority.open` makes the file when it is missing, and nothing is to be changed here.
    if not os.path.lexists(path):
        return Finding("warn", "authority", f"{plain(path)} does not exist yet; it is made when first used")
    from agentid.identity import Authority

    try:
        Authority.open(path, trust_domain=trust_domain)
    except Error as error:
        return Finding("fail", "authority", str(error))
    return Finding("ok", "authority", f"{plain(path)}, trust domain {trust_domain}")


def _unenforced(config: Any) -> Iterator[Finding]:
    for table_name, there in (("[[flow]]", config.flows), ("[limits]", config.limits)):
        if there:
            yield Finding("warn", table_name, "is read and kept, but this version does not act on it")


def _telemetry() -> Iterator[Finding]:
    from agentid.record.pipeline import is_web_address, otlp_endpoint, sdk_is_disabled

    endpoint = otlp_endpoint()
    if sdk_is_disabled():
        yield Finding("warn", "spans", "OTEL_SDK_DISABLED is true: nothing is recorded")
    elif not endpoint:
        yield Finding("ok", "spans", "go to the tracer provider that the program sets, if it sets one")
    elif not is_web_address(endpoint):
        yield Finding("fail", "spans", f"{plain(endpoint)} is no http or https address")
    else:
        try:
            version = importlib.metadata.version("opentelemetry-exporter-otlp-proto-http")
            yield Finding("ok", "spans", f"{plain(endpoint)}, exporter {version}")
        except importlib.metadata.PackageNotFoundError:
            missing = f"{plain(endpoint)} is set, and the exporter is missing; in the checkout: pip install '.[otlp]'"
            yield Finding("fail", "spans", missing)
