"""What is said once a program has ended: a table on a terminal, a report in a file, and nothing anywhere else."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING, Any, Final, TextIO

from agentid.cli.output import paint, plain, print_line, shorten, table

if TYPE_CHECKING:
    from agentid.cli.program.handoff import Settings
    from agentid.cli.program.touched import Row, Touched
    from agentid.identity import Agent

__all__ = ["report", "say"]

_SHOWN: Final = 25
_WIDTHS: Final = (60, 100, 140)
_COLUMNS: Final = 40
"""Characters of a line that are no resource."""

_WORDS: Final = {
    "allow": ("✓", "allowed", "green"),
    "deny": ("✗", "refused", "red"),
    "would_deny": ("✗", "would be refused", "yellow"),
    "would_ask": ("?", "would be asked", "yellow"),
}


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
    rows = touched.rows()
    if not rows:
        return [f"agentid: {plain(agent.name)} touched nothing that is seen"]
    least, usual, most = _WIDTHS
    width = min(max(shutil.get_terminal_size((usual, 24)).columns, least), most)
    total = sum(times for _, times in rows) + touched.left_out
    lines = [f"agentid: {paint(plain(agent.name), 'bold', err)} touched, {_many(total, 'time')} in all:"]
    shown = rows[:_SHOWN]
    cells = table([_cells(row, times, width - _COLUMNS) for row, times in shown])
    lines += [paint(line, _word(row)[2], err) for (row, _), line in zip(shown, cells, strict=True)]
    if len(rows) > len(shown) or touched.left_out:
        lines.append(f"  … and {len(rows) - len(shown)} more")
    lines.append(_next(settings, rows))
    return lines


def _cells(row: Row, times: int, room: int) -> tuple[str, ...]:
    sign, words, _ = _word(row)
    return sign, row.action or "?", shorten(plain(row.resource), room), f"{times}x", words


def _word(row: Row) -> tuple[str, str, str]:
    return _WORDS.get(row.decision, ("?", plain(row.decision), "yellow"))


def _next(settings: Settings, rows: list[tuple[Row, int]]) -> str:
    refused = any(row.decision != "allow" for row, _ in rows)
    if refused:
        return "What it needs, as an agentid.toml: `agentid suggest`. Each access: `agentid audit show`."
    again = f" To enforce it: `{settings.command}`." if settings.observes and settings.command else ""
    return f"Nothing was refused.{again} Each access: `agentid audit show`."


def _many(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
