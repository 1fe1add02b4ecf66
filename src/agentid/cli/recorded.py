"""Where commands find the audit log, and whom they trust about it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from agentid.cli.authority import audit_folder, configuration
from agentid.errors import ConfigurationError, quote

__all__ = ["count", "folder_of", "progress_bar", "trust_of"]

_MAX_KEYS: Final = 1 << 20
_BAR: Final = 30


def folder_of(args: argparse.Namespace) -> Path:
    """
    The audit folder that the arguments name, or the configuration does.

    Raises:
        ConfigurationError: It is not there.
    """
    named = [place for place in (args.folder, getattr(args, "place", None)) if place is not None]
    if len(named) > 1:
        raise ConfigurationError("two audit logs are named", fix="Name the folder once")
    folder: Path = named[0] if named else audit_folder(configuration(args))
    if not folder.is_dir():
        raise ConfigurationError(
            f"there is no audit log at {quote(folder)}", fix="Name its folder with --folder, or in agentid.toml"
        )
    return folder


def trust_of(args: argparse.Namespace) -> Any:
    """
    Whose signatures count: the keys of a file, or the authority's.

    Raises:
        ConfigurationError: They cannot be read, or there is no authority.
    """
    if args.jwks is not None:
        try:
            with args.jwks.open("rb") as file:
                return dict(json.loads(file.read(_MAX_KEYS)))
        except (OSError, ValueError, TypeError) as failure:
            raise ConfigurationError(
                f"the keys in {quote(args.jwks)} cannot be read", why=type(failure).__name__
            ) from None
    from agentid.identity import Authority

    config = configuration(args)
    if not config.authority.exists():
        raise ConfigurationError(
            f"there is no authority at {quote(config.authority)}",
            fix="Name the public keys of the one that signed the log with --jwks",
        )
    return Authority.open(config.authority, trust_domain=config.trust_domain).trust


def progress_bar() -> Callable[[int, int], None] | None:
    """A bar on a terminal, nothing anywhere else."""
    if not sys.stderr or not sys.stderr.isatty():
        return None

    def show(done: int, total: int) -> None:
        full = _BAR * done // max(total, 1)
        sys.stderr.write(f"\r[{'#' * full}{'.' * (_BAR - full)}] {100 * done // max(total, 1):3d} %")
        if done >= total:
            sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()

    return show


def count(number: int, word: str) -> str:
    """A number of things, in words."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
