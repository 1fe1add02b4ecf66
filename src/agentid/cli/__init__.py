"""
The command line: one file for each group of commands.

Exit codes: 0 good, 1 the answer is no, 2 usage or configuration, 3 waiting for a person, 4 internal error.
Every command takes `--json`, except `run`, whose output is its program's. Errors are one line on the standard error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

from agentid._version import __version__
from agentid.cli.parser import Parser
from agentid.errors import ConfigurationError, Error, MissingExtraError

__all__ = ["main"]

_COMMANDS: Final = {
    "audit": "verify, show and prove the audit log",
    "coverage": "say which installed libraries are enforced, seen only, or invisible",
    "demo": "see an agent attacked and the attack refused, on samples or on your folder",
    "doctor": "check the installation, the configuration and the keys",
    "identity": "issue, show, verify and revoke agents",
    "run": "run a program that nobody changed as an agent: each data access is decided and recorded",
    "suggest": "suggest the least that agents need, from recorded runs",
}
"""Each has a module of its name here, which is loaded only when the command is called."""

# As shells report a program that was interrupted, or whose reader went away.
_INTERRUPTED: Final = 130
_NOBODY_READS: Final = 141


def _parser(arguments: Sequence[str]) -> Parser:
    parser = Parser(
        prog="agentid",
        description="Every AI agent is an identity: who it is, what it may do, what it did.",
        epilog="Exit codes: 0 good, 1 the answer is no, 2 usage or configuration, 3 waiting for a person, "
        "4 internal error. Start with `agentid demo`.",
    )
    parser.add_argument("--version", action="version", version=f"agentid {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    called = next((word for word in arguments if not word.startswith("-")), "")
    for name, summary in _COMMANDS.items():
        command = commands.add_parser(name, help=summary)
        if name == called:
            import_module(f"agentid.cli.{name}").add_to(command)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        args = _parser(given).read(given)
        return int(args.run(args))
    except SystemExit as stop:  # after --help and --version
        return stop.code if isinstance(stop.code, int) else 0
    except (ConfigurationError, MissingExtraError) as error:
        return _say(error, 2)
    except Error as error:
        return _say(error, 1)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has read enough. Point it elsewhere, so that closing it is quiet too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _NOBODY_READS
    except Exception as error:
        if os.environ.get("AGENTID_DEBUG"):
            raise
        sys.stderr.write(
            f"agentid: internal error ({type(error).__name__}); set AGENTID_DEBUG=1 to see where it happened\n"
        )
        return 4


def _say(error: Error, code: int) -> int:
    sys.stderr.write(f"agentid: {error}\n")
    return code
