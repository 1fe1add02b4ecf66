"""
How commands print: JSON for machines, aligned text for people, colour only on a terminal that wants it.

Text from outside is made plain first: it may not move a cursor, fake a line, or stop a command because the
terminal has no such character.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from typing import Any, Final, TextIO

__all__ = ["paint", "plain", "print_json", "print_line", "shorten", "table"]

_COLOURS: Final = {"red": "31", "green": "32", "yellow": "33", "dim": "2", "bold": "1"}
_PLAIN_SIGNS: Final = str.maketrans("✓✗…├└│─", "+x~|`|-")


def print_json(value: Any) -> None:
    """One line of JSON, with escapes where the output cannot take a character."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    try:
        text.encode(_encoding())
    except UnicodeEncodeError:
        text = json.dumps(value, default=str)
    _write(text)


def print_line(text: str = "", to: TextIO | None = None) -> None:
    """One line of text, written at once; a character that the output cannot take is replaced by a plain one."""
    encoding = _encoding(to)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(_PLAIN_SIGNS).encode(encoding, "replace").decode(encoding)
    _write(text, to)


def plain(text: object) -> str:
    """*text* on one line, with control and invisible characters escaped."""
    raw = str(text)
    if raw.isprintable():
        return raw
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in raw)


def paint(text: str, colour: str, to: TextIO | None = None) -> str:
    """Colour *text* if the output is a terminal and `NO_COLOR` is not set."""
    output = to or sys.stdout
    wanted = output and output.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if wanted else text


def shorten(text: str, limit: int) -> str:
    """Take characters out until *text* fits: of a URI all but its last segments, of other text the middle."""
    if len(text) <= limit:
        return text
    scheme, separator, rest = text.partition("://")
    if separator:
        for segments in (2, 1):
            short = f"{scheme}://…/{'/'.join(rest.split('/')[-segments:])}"
            if len(short) <= limit:
                return short
    tail = (limit - 1) - (limit - 1) // 3
    return f"{text[: (limit - 1) // 3]}…{text[-tail:]}"


def table(rows: Iterable[tuple[str, ...]], *, indent: str = "  ") -> list[str]:
    """Rows as aligned lines."""
    filled = list(rows)
    widths = [max(map(len, column)) for column in zip(*filled, strict=True)]
    return [
        (indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))).rstrip()
        for row in filled
    ]


def _encoding(to: TextIO | None = None) -> str:
    return getattr(to or sys.stdout, "encoding", None) or "utf-8"


def _write(text: str, to: TextIO | None = None) -> None:
    # There is no output at all where somebody closed it.
    output = to or sys.stdout
    if output:
        output.write(text + "\n")
        output.flush()
