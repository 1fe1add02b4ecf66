"""`agentid run`: a program that nobody changed, as an agent."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from agentid.cli.authority import audit_folder, configuration
from agentid.cli.parser import Parser
from agentid.cli.program.command import flags_of, name_of
from agentid.errors import ConfigurationError, nearest, quote

if TYPE_CHECKING:
    from agentid.config import AgentEntry, Config
    from agentid.identity import Agent

__all__ = ["add_to", "again_of"]

_DESCRIPTION: Final = """\
Run a Python program as an agent: each data access that it makes is decided, recorded and, without a permission,
refused. Arguments, exit code, signals, standard input and tracebacks are as with plain `python`.

The agent is the one that agentid.toml names. Without a configuration it is a fresh one that may do nothing: start
with --observe, which lets everything through and records what would have been refused. At the end a terminal shows
what was touched. Options of `agentid run` stand before the program; what stands after it is the program's.
"""

_TTL: Final = timedelta(hours=24)


def add_to(parser: Parser) -> None:
    """Say what the command takes."""
    parser.description = _DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.usage = "%(prog)s [OPTIONS] SCRIPT|-m MODULE|-c CODE|- [ARG ...]"
    parser.add_argument(
        "--observe", action="store_true", help="let everything through, and record what would be refused"
    )
    parser.add_argument("--agent", metavar="NAME", help="which agent of the configuration; the only one by default")
    parser.add_argument("--config", type=Path, metavar="FILE", help="by default the nearest agentid.toml")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write what was touched to a file, as JSON")
    parser.add_argument("program", nargs="*", metavar="PROGRAM", help="and its arguments, as python takes them")
    parser.takes_program("program")
    parser.set_defaults(run=run, parser=parser)


def run(args: argparse.Namespace) -> int:
    """Turn into Python, which runs the program; in a process that is not `agentid` alone, start it and wait."""
    program: list[str] = args.program
    if not program or program in (["-m"], ["-c"]):
        raise ConfigurationError(
            "there is no program to run",
            fix="Name a script, a module after -m, code after -c, or - for the standard input",
        )
    _check_interpreter()

    from agentid.cli.program import handoff

    config = configuration(args)
    agent = _agent(config, args, program)
    settings = handoff.Settings(
        config=str(config.source.absolute()) if config.source is not None else "",
        trust_domain=config.trust_domain,
        authority=str(config.authority),
        audit=str(audit_folder(config)),
        observes=args.observe,
        report=str(args.report.absolute()) if args.report is not None else "",
        command=again_of(args),
    )
    handoff.remove_old(time.time())
    folder = handoff.Folder()
    try:
        file = folder.write(handoff.PROGRAM, settings, agent)
        python_path = handoff.with_startup(os.environ.get("PYTHONPATH", ""))
        environment = {**os.environ, handoff.VARIABLE: str(file), "PYTHONPATH": python_path}
        return _become([sys.executable, *flags_of(sys.orig_argv), *program], environment)
    except BaseException:
        shutil.rmtree(folder.path, ignore_errors=True)
        raise


def _check_interpreter() -> None:
    if sys.flags.ignore_environment or sys.flags.no_site:
        raise ConfigurationError(
            "no program can be run as an agent",
            why="this Python was started with -I, -E or -S, and its programs would not hear of us",
            fix="Start it without",
        )
    if not sys.executable:
        raise ConfigurationError("no program can be run", why="this Python does not know where its own file is")


# --- the agent ------------------------------------------------------------------------------------------------------


def _agent(config: Config, args: argparse.Namespace, program: Sequence[str]) -> Agent:
    from agentid.config import AgentEntry
    from agentid.identity import Authority
    from agentid.identity.grant import MAX_DEPTH

    entry = _entry(config, args.agent)
    if entry is None:
        if not args.observe:
            sys.stderr.write(
                "agentid: no agent is configured, so nothing is allowed; "
                "`agentid run --observe` lets everything through and shows what is needed\n"
            )
        entry = AgentEntry(name_of(program), ttl=_TTL)
    authority = Authority.open(config.authority, trust_domain=config.trust_domain, status_uri=config.status_uri)
    return authority.issue(
        entry.name,
        allow=entry.allow,
        ask=entry.ask,
        ttl=entry.ttl,
        owner=entry.owner,
        purpose=entry.purpose,
        # Processes start processes; each gets no more than the one that starts it.
        max_depth=MAX_DEPTH,
    )


def _entry(config: Config, name: str | None) -> AgentEntry | None:
    """The agent that acts; None for one that may do nothing."""
    if name is not None:
        if name not in config.agents:
            where = "the configuration has" if config.source is not None else "without a configuration there is"
            fix = nearest(name, config.agents) if config.agents else "Write it into `agentid.toml`"
            raise ConfigurationError(f"{where} no agent {quote(name)}", fix=fix)
        return config.agents[name]
    if len(config.agents) > 1:
        names = ", ".join(map(quote, config.agents))
        raise ConfigurationError(
            "several agents are configured, and none is named", why=f"there are {names}", fix="Name one with `--agent`"
        )
    return next(iter(config.agents.values()), None)


def again_of(args: argparse.Namespace) -> str:
    """How to run the program again, without its arguments: these may hold a secret, and are shown on a terminal."""
    named = ["--agent", args.agent] if args.agent is not None else []
    configured = ["--config", str(args.config)] if args.config is not None else []
    first, *rest = args.program
    program = [first, *rest[:1]] if first == "-m" else ["-c"] if first.startswith("-c") else [first]
    more = " …" if len(args.program) > len(program) or first.startswith("-c") else ""
    return shlex.join(["agentid", "run", *named, *configured, *program]) + more


# --- Python ---------------------------------------------------------------------------------------------------------


def _become(command: list[str], environment: dict[str, str]) -> int:
    # A process that was started for `agentid run` alone is not needed any more; one that does other things, is.
    if os.name == "posix" and sys.argv[1:2] == ["run"]:
        _exec(command, environment)
    done = subprocess.run(command, env=environment, check=False).returncode  # noqa: S603 -- what the user asked for
    return done if done >= 0 else 128 - done


def _exec(command: list[str], environment: dict[str, str]) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os.execve(command[0], command, environment)  # noqa: S606 -- what the user asked for
