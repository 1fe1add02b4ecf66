"""What is said once a program has ended: a table on a terminal, a report in a file, and nothing anywhere else."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final, TextIO

from agentid.cli.output import paint, plain, print_line, shorten

if TYPE_CHECKING:
    from agentid.cli.program.handoff import Settings
    from agentid.cli.program.touched import Row, Touched
    from agentid.identity import Agent

__all__ = ["report", "say"]

_SHOWN: Final = 15
_WIDTH: Final = 100
_LEAST_WIDTH: Final = 40
_SECOND_DOOR: Final = "second_door"


class _Kind:
    """How a decision is shown: the sign, the words over all of its rows, and the colour of the rows."""

    # No named tuple and no data class: these evaluate text, after which Python has forgotten that the program that has
    # just ended was interrupted.
    __slots__ = ("colour", "sign", "words")

    def __init__(self, sign: str, words: str, colour: str) -> None:
        self.sign = sign
        self.words = words
        self.colour = colour


_DENIED: Final = _Kind("✗", "refused", "red")
_KINDS: Final = {
    "deny": _DENIED,
    "would_deny": _Kind("✗", "would be refused", "yellow"),
    "would_ask": _Kind("?", "would be asked", "yellow"),
    "allow": _Kind("✓", "allowed", ""),
}
_SEEN: Final = _Kind("!", "seen, and nobody was asked", "yellow")


def say(settings: Settings, agent: Agent, touched: Touched) -> None:
    """Say what was touched, on the standard error if that is a terminal, and in the report if there is to be one."""
    if settings.report:
        _write_report(settings.report, report(settings, agent, touched))
    err = sys.__stderr__
    if err is not None and _is_terminal(err):
        for line in _lines(settings, agent, touched, err):
            print_line(line, err)


def report(settings: Settings, agent: Agent, touched: Touched) -> dict[str, Any]:
    """Give what was touched, ready for JSON."""
    return {
        "agent": str(agent.id),
        "observed": settings.observes,
        "audit": settings.audit,
        "accesses": [{**row._asdict(), "times": times} for row, times in touched.rows()],
        "not_listed": touched.left_out,
    }


def _write_report(path: str, value: dict[str, Any]) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=1) + "\n"
    try:
        with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123 -- as the program that has just ended would
            file.write(text)
    except OSError as failure:
        sys.stderr.write(f"agentid: the report could not be written to {plain(path)}: {failure.strerror}\n")


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # closed by the program
        return False


def _lines(settings: Settings, agent: Agent, touched: Touched, err: TextIO) -> list[str]:
    groups: dict[_Kind, list[tuple[Row, int]]] = {}
    for row, times in touched.rows():
        groups.setdefault(_kind(row), []).append((row, times))
    if not groups:
        return [f"agentid: {plain(agent.name)} touched nothing that is seen"]
    # The last column is as wide as what is left, so nothing has to stand behind it.
    order = sorted(groups, key=[*_KINDS.values(), _SEEN].index)
    total = sum(times for rows in groups.values() for _, times in rows) + touched.left_out
    lines = [f"agentid: {paint(plain(agent.name), 'bold', err)} made {_many(total, 'access')}"]
    columns = _widths(touched.rows())
    for kind in order:
        rows = groups[kind]
        times = sum(times for _, times in rows)
        head = f"{kind.sign} {kind.words}: {_many(times, 'time')}" + (f", {len(rows)} places" if len(rows) > 1 else "")
        lines.append(paint(f"  {head}", kind.colour or "green", err))
        for row, often in rows[:_SHOWN]:
            line = _row(row, often, columns, _width(err))
            lines.append(paint(line, kind.colour, err) if kind.colour else line)
        if len(rows) > _SHOWN:
            lines.append(f"      … and {len(rows) - _SHOWN} more")
    if touched.left_out:
        lines.append(f"  … and {_many(touched.left_out, 'access')} that there was no room to count by name")
    return [*lines, *_next(settings, groups)]


def _kind(row: Row) -> _Kind:
    if row.decision == "allow" and row.reason == _SECOND_DOOR:
        return _SEEN
    return _KINDS.get(row.decision, _DENIED)


def _widths(rows: list[tuple[Row, int]]) -> tuple[int, int]:
    return max(len(f"{times}x") for _, times in rows), max(len(row.action) for row, _ in rows)


def _row(row: Row, times: int, columns: tuple[int, int], width: int) -> str:
    often, action = columns
    start = f"    {f'{times}x':>{often}}  {row.action:<{action}}  "
    # One column is left free: some terminals go on on the next line once the last one is written.
    return start + shorten(plain(row.resource), max(width - len(start) - 1, 8))


def _width(err: TextIO) -> int:
    wanted = os.environ.get("COLUMNS", "")
    try:
        columns = int(wanted) if wanted.isdecimal() else os.get_terminal_size(err.fileno()).columns
    except (OSError, ValueError):
        columns = 0
    return max(columns or _WIDTH, _LEAST_WIDTH)


def _next(settings: Settings, groups: Collection[_Kind]) -> list[str]:
    run = settings.command
    found: list[str] = []
    if settings.observes and any(kind.sign in "✗?" for kind in groups):
        found.append("`agentid suggest --write` writes what it needs into agentid.toml: read that")
        found.append(f"`{run}` then enforces it")
    elif settings.observes:
        found.append(f"`{run}` enforces it: nothing would be refused")
    elif _DENIED in groups:
        observe = run.replace("agentid run", "agentid run --observe", 1)
        found.append("write into agentid.toml what it may do")
        found.append(f"`{observe}` refuses nothing and shows all that it needs")
    return ["Next:", *(f"  {line}" for line in (*found, "`agentid audit show` lists each access"))]


def _many(number: int, what: str) -> str:
    many = f"{what}es" if what.endswith("s") else f"{what}s"
    return f"{number} {what if number == 1 else many}"
