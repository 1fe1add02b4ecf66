"""Which authority a command is about: the one that agentid.toml names, or the one below the current folder."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentid.errors import ConfigurationError, quote

if TYPE_CHECKING:
    from agentid.config import Config
    from agentid.identity import Authority

__all__ = ["add_options", "audit_folder", "configuration", "open_authority"]

_AUDIT: Final = "audit"
"""Where the audit log lies unless somebody says otherwise: beside the authority's key file."""


def add_options(*parsers: argparse.ArgumentParser) -> None:
    """Give commands the options that all of them take."""
    for parser in parsers:
        parser.add_argument("--config", type=Path, metavar="FILE", help="by default the nearest agentid.toml")
        parser.add_argument("--json", action="store_true", help="print JSON")
        parser.set_defaults(parser=parser)


def configuration(args: argparse.Namespace) -> Config:
    """
    Give the configuration: the file that was named, the nearest one, or what holds without one.

    Raises:
        ConfigurationError: The file is missing or wrong.
    """
    from agentid.config import DEFAULT_AUTHORITY, DEFAULT_TRUST_DOMAIN, Config

    found = Config.load(args.config) if args.config else Config.find()
    return found or Config(source=None, trust_domain=DEFAULT_TRUST_DOMAIN, authority=Path.cwd() / DEFAULT_AUTHORITY)


def audit_folder(config: Config) -> Path:
    """Give the folder of the audit log: the one that is configured, or the one that commands use without."""
    return config.audit or config.authority.parent / _AUDIT


def open_authority(config: Config, *, status_uri: str | None = None) -> Authority:
    """
    Open the authority, which has to be there.

    Args:
        config: Names it.
        status_uri: Where it publishes what was revoked, if not where the configuration says.

    Raises:
        ConfigurationError: There is none, or its key file cannot be used.
    """
    from agentid.identity import Authority

    if not os.path.lexists(config.authority):
        raise ConfigurationError(
            f"there is no authority at {quote(config.authority)}",
            why="nothing was issued here yet",
            fix="Run `agentid identity issue NAME`, which makes it",
        )
    uri = status_uri if status_uri is not None else config.status_uri
    return Authority.open(config.authority, trust_domain=config.trust_domain, status_uri=uri)
