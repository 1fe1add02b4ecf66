"""A file that grows past 400 lines is split by concept. There are no exemptions."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
LIMIT = 400


def test_no_source_file_is_longer_than_400_lines():
    """A newcomer can read any one file in one sitting."""
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for folder in ("src", "benchmarks", "examples")
        for path in (ROOT / folder).rglob("*.py")
    }

    assert "src/agentid/errors.py" in lengths
    assert {} == {name: lines for name, lines in lengths.items() if lines > LIMIT}
