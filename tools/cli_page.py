"""Write the help of every command into docs/cli.md; what else stands there is kept. Run it after changing a command."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

from agentid.cli import main

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"


def commands(path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command as its words, the outer ones first."""
    yield path
    for name in re.findall(r"^    (\S+)(?:  |$)", _commands_part(help_of(path)), re.MULTILINE):
        if name != "COMMAND":
            yield from commands((*path, name))


def help_of(path: tuple[str, ...]) -> str:
    """What `--help` prints, at the width that the page has room for."""
    os.environ["COLUMNS"] = "100"
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        main([*path, "--help"])
    return out.getvalue().rstrip()


def _commands_part(text: str) -> str:
    return text.partition("\ncommands:\n")[2].partition("\n\n")[0]


def update(page: str) -> str:
    """The page with each command's help, and with a section for each command that had none."""
    after = 0
    for path in commands():
        heading = f"## `{' '.join(('agentid', *path))}`\n"
        block = f"```text\n{help_of(path)}\n```\n"
        found = page.find(heading)
        if found < 0:
            page = f"{page[:after].rstrip()}\n\n{heading}\n{block}\n{page[after:].lstrip()}"
            found = page.find(heading)
        start = page.index("```text\nusage: ", found)
        end = page.index("\n```\n", start) + len("\n```\n")
        page = page[:start] + block + page[end:]
        following = page.find("\n## ", found + 1)
        after = len(page) if following < 0 else following + 1
    return page.rstrip() + "\n"


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    PAGE.write_text(update(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
