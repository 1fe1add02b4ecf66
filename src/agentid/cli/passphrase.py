"""
Passphrases of agent files: from the environment, or asked for on the terminal; never an argument.

Arguments stand in the history of the shell, and other users of the machine can see them.
"""

from __future__ import annotations

import argparse
import getpass
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentid.errors import ConfigurationError, CredentialError, quote

if TYPE_CHECKING:
    from agentid.identity import Agent

__all__ = ["add_options", "choose_passphrase", "load_agent", "passphrase_of"]

_VARIABLE: Final = "AGENTID_PASSPHRASE"


def load_agent(path: str | Path) -> Agent:
    """
    Read an agent file, with its passphrase if it needs one.

    Raises:
        ConfigurationError: The file cannot be read, or the passphrase is wrong or not to be had.
        CredentialError: It does not hold an agent.
    """
    from agentid.identity import Agent

    return Agent.load(path, passphrase=passphrase_of(path))


def passphrase_of(path: str | Path) -> str | bytes | None:
    """
    Give what an agent file is said to be encrypted with; `None` where it is not encrypted.

    Raises:
        ConfigurationError: The file cannot be read, or the passphrase is not to be had.
        CredentialError: It does not hold an agent.
    """
    from agentid.identity.agent_file import is_encrypted

    return _passphrase("passphrase: ") if is_encrypted(path) else None


def add_options(parser: argparse.ArgumentParser, *, by_default: str) -> None:
    """Give a command that writes an agent file the options that say whether it is encrypted."""
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        "--encrypt",
        action="store_true",
        default=None,
        help=f"with a passphrase: asked for, or taken from {_VARIABLE}{by_default}",
    )
    choice.add_argument(
        "--no-encrypt", action="store_false", dest="encrypt", default=None, help="write the key as it is"
    )


def choose_passphrase(
    args: argparse.Namespace, out: Path, *, of_parent: str | bytes | None = None
) -> str | bytes | None:
    """
    Give the passphrase for a file that is about to be written, as the options say; on a terminal it is asked for twice.

    Args:
        args: The options, with `overwrite`.
        out: The file.
        of_parent: What it is encrypted with where no option says anything.

    Raises:
        ConfigurationError: There is none, it was not the same twice, or an encrypted file would be replaced by one
            that is not, and nobody said so.
    """
    if args.encrypt is None and of_parent is None and args.overwrite and _would_be_bared(out):
        raise ConfigurationError(
            f"{quote(out)} was not replaced",
            why="it is encrypted, and what replaces it would not be",
            fix="Pass --encrypt, or --no-encrypt if that is meant",
        )
    if args.encrypt is None:
        return of_parent
    return _new_passphrase() if args.encrypt else None


def _would_be_bared(out: Path) -> bool:
    from agentid.identity.agent_file import is_encrypted

    try:
        return is_encrypted(out)
    except (ConfigurationError, CredentialError):
        return False  # there is none, or it is no agent: whether it may be written is decided elsewhere


def _new_passphrase() -> str | bytes:
    passphrase = _passphrase("new passphrase: ")
    if isinstance(passphrase, str) and passphrase != _ask("the same again: "):
        raise ConfigurationError("the passphrase was not the same twice", fix="Start again")
    return passphrase


def _passphrase(prompt: str) -> str | bytes:
    """Give what the environment says, as bytes, or else what is typed, as text."""
    from_environment = os.environ.get(_VARIABLE)
    return _ask(prompt) if from_environment is None else os.fsencode(from_environment)


def _ask(prompt: str) -> str:
    if not sys.stdin or not sys.stdin.isatty():
        raise ConfigurationError(
            "there is no passphrase", why="there is no terminal to ask on", fix=f"Set {_VARIABLE} in the environment"
        )
    try:
        with warnings.catch_warnings():
            # Where what is typed would show, nothing is to be typed.
            warnings.simplefilter("error", getpass.GetPassWarning)
            return getpass.getpass(prompt)
    except (EOFError, getpass.GetPassWarning, UnicodeError) as error:
        why = "nothing was typed" if isinstance(error, EOFError) else "it cannot be read unseen from this terminal"
        raise ConfigurationError("there is no passphrase", why=why, fix=f"Set {_VARIABLE} in the environment") from None
