"""Write the matrix of libraries into docs/coverage.md and keep the rest. Run it after adding a library."""

from __future__ import annotations

import argparse
from pathlib import Path

from agentid.access.coverage import Coverage, matrix

PAGE = Path(__file__).parents[1] / "docs" / "coverage.md"
HEAD = "| library | installed as | level | why, or what is not enforced |\n|---|---|---|---|\n"


def rows() -> str:
    """The matrix as a table."""
    return HEAD + "".join(map(_row, matrix()))


def _row(one: Coverage) -> str:
    installed = f"`{one.distribution}`" if one.distribution else "Python"
    return f"| {one.name} | {installed} | {one.level} | {one.why.replace('|', '/')} |\n"


def update(page: str) -> str:
    """The page with the matrix of now."""
    start = page.index("| library | installed as |")
    end = page.find("\n\n", start)
    return page[:start] + rows() + ("" if end < 0 else page[end + 1 :])


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    PAGE.write_text(update(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
