"""
Draw `docs/trace.svg`: what the demo prints on a terminal, as a picture.

```console
$ .venv/bin/python tools/trace_picture.py
```

The demo really runs, on its samples; the picture is its output, with its colours. It has no fonts, scripts or
links, so that it shows the same wherever it is looked at. Run it again when the demo prints something else: a
test compares the picture with a fresh run.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

PICTURE = Path(__file__).parents[1] / "docs" / "trace.svg"

COLUMNS = 100
CHARACTER, LINE, MARGIN, BAR = 8.6, 19, 22, 34
STYLE = {"": "#c9d1d9", "31": "#ff7b72", "32": "#7ee787", "33": "#e3b341", "2": "#8b949e", "1": "#ffffff"}
BACKGROUND, FRAME, FAINT = "#0d1117", "#30363d", "#6e7681"
FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
ESCAPE = re.compile(r"\x1b\[(\d+)m")


class Terminal(io.StringIO):
    """Text that is taken for a terminal, so that it gets colours."""

    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        """Say yes."""
        return True


def run_demo() -> str:
    """Run the demo on its samples and give what it printed, with the codes for colours."""
    from agentid.cli import main

    screen = Terminal()
    for name in list(os.environ):
        if name.startswith("OTEL_") or name in {"NO_COLOR", "TERM"}:
            del os.environ[name]
    os.environ["COLUMNS"] = str(COLUMNS)
    with contextlib.redirect_stdout(screen):
        code = main(["demo"])
    if code:
        raise SystemExit(f"trace_picture: the demo ended with exit code {code}")
    return up_to_the_checkpoint(screen.getvalue())


def up_to_the_checkpoint(printed: str) -> str:
    """Leave out what follows the last colon: a checkpoint and a folder are of one run alone."""
    return printed.partition("\n\nurn:")[0]


def pieces(line: str) -> Iterator[tuple[str, str]]:
    """Cut a line into pieces of one colour: code and text."""
    colour = ""
    for number, part in enumerate(ESCAPE.split(line)):
        if number % 2:
            colour = "" if part == "0" else part
        elif part:
            yield colour, part


def draw(printed: str) -> str:
    """Draw lines as a picture."""
    lines = printed.rstrip("\n").splitlines()
    width = round(COLUMNS * CHARACTER + 2 * MARGIN)
    height = BAR + len(lines) * LINE + MARGIN
    size = f'width="{width}" height="{height}"'
    title = "agentid demo: the trace of an agent whose attack was refused"
    svg = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {size} role="img">',
        f"<title>{title}</title>",
        f'<rect {size} rx="9" fill="{BACKGROUND}" stroke="{FRAME}"/>',
        *(f'<circle cx="{MARGIN + 17 * n}" cy="17" r="5" fill="{FRAME}"/>' for n in range(3)),
        f'<g font-family="{FONTS}" font-size="14">',
        f'<text x="{width / 2:g}" y="21" fill="{FAINT}" text-anchor="middle">$ make demo</text>',
    ]
    for number, line in enumerate(lines):
        svg += draw_line(line, BAR + LINE * (number + 1) - 4)
    return "\n".join([*svg, "</g>", "</svg>"]) + "\n"


def draw_line(line: str, y: int) -> Iterator[str]:
    """Draw one line: a text for it, and in it a span for each piece, at its column whatever the font is."""
    spans: list[str] = []
    column = 0
    for colour, text in pieces(line):
        # Columns are kept by position: a font whose signs are wider than its letters must not shift the rest.
        for found in re.finditer(r"\S+(?: \S+)*", text):
            start = column + found.start()
            fill = STYLE[colour] if found[0].strip("│├└─ ") else FAINT
            spans.append(f'<tspan x="{MARGIN + start * CHARACTER:g}" fill="{fill}">{escape(found[0])}</tspan>')
        column += len(text)
    if spans:
        yield f'<text y="{y}">{"".join(spans)}</text>'


def main() -> None:
    """Write the picture."""
    picture = draw(run_demo())
    if tempfile.gettempdir() in picture:
        raise SystemExit("trace_picture: a path of this machine would be in the picture")
    PICTURE.write_text(picture, encoding="utf-8")
    sys.stdout.write(f"wrote {PICTURE.name}: {len(picture)} characters\n")


if __name__ == "__main__":
    main()
