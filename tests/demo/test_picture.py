"""The picture in the README is the output of a real run, and shows the same wherever it is looked at."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from agentid.cli import main

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "trace.svg"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def tool():
    """The module `tools/trace_picture.py`."""
    spec = importlib.util.spec_from_file_location("trace_picture", ROOT / "tools" / "trace_picture.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lines_of(tool, svg):
    """The lines of a picture as text, each piece at its column."""
    lines = []
    for text in ET.fromstring(svg).iter(f"{SVG}text"):
        line = ""
        for piece in text.iter(f"{SVG}tspan"):
            column = round((float(piece.get("x")) - tool.MARGIN) / tool.CHARACTER)
            line = f"{line:<{column}}{piece.text}"
        if line:
            lines.append(line)
    return lines


def without_times(lines):
    """Lines without what differs from run to run: durations, and until when the agent lives."""
    return [re.sub(r" +[\d.]+ ms$|until .* UTC", "", line).rstrip() for line in lines]


def test_the_picture_shows_what_a_fresh_run_prints(tool):
    """Every tool, resource, decision and line of the summary; only the durations are of another day."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert 0 == main(["demo"])
    fresh = [line for line in tool.up_to_the_checkpoint(printed.getvalue()).splitlines() if line]
    shown = lines_of(tool, PICTURE.read_text(encoding="utf-8"))

    assert without_times(fresh) == without_times(shown)
    assert 17 == sum(line.endswith(" ms") for line in shown)


def test_refused_is_red_and_allowed_is_green(tool):
    texts = ET.parse(PICTURE).iter(f"{SVG}tspan")
    colours = {
        (word, piece.get("fill")) for piece in texts for word in ("allowed", "refused ") if piece.text.startswith(word)
    }

    assert {("allowed", tool.STYLE["32"]), ("refused ", tool.STYLE["31"])} <= colours
    assert not {("allowed", tool.STYLE["31"]), ("refused ", tool.STYLE["32"])} & colours


def test_the_picture_needs_nothing_from_elsewhere_and_names_no_machine():
    text = PICTURE.read_text(encoding="utf-8")

    assert 850 <= float(ET.fromstring(text).get("width")) <= 950
    assert 1 == text.count("http")
    for word in ("<script", "<image", "<use", "<foreignObject", "<style", "href", "url(", "@font", "onload", "tmp"):
        assert word not in text


def test_text_with_signs_of_markup_is_escaped(tool):
    svg = tool.draw('a <b> & "c" \x1b[31m</text><script>\x1b[0m d\n\n✗  e\n')

    assert ['a <b> & "c" </text><script> d', "✗  e"] == lines_of(tool, svg)
    assert "<script" not in svg


def test_every_piece_of_a_line_stands_at_its_column(tool):
    line = "│  └─ \x1b[32m✓\x1b[0m file        read    file://…/a.md     \x1b[32mallowed     \x1b[0m   0.15 ms"

    assert [re.sub(r"\x1b\[\d+m", "", line)] == lines_of(tool, tool.draw(line))
