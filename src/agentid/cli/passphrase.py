"""
Passphrases of agent files: from the environment, or asked for on the terminal; never an argument.

Arguments stand in the history of the shell, and other users of the machine can see them.
"""

from __future__ import annotations

import getpass
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentid.errors import ConfigurationError

if TYPE_CHECKING:
    from agentid.identity import Agent

__all__ = ["load_agent", "new_passphrase", "passphrase_of"]

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


def new_passphrase() -> str | bytes:
    """
    Give the passphrase for a file that is about to be written; on a terminal it is asked for twice.

    Raises:
        ConfigurationError: There is none, or it was not the same twice.
    """
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
