"""What `make bench` measures of wrapped libraries: every wrapper, and only calls that are decided and recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentid.access.installation import LIBRARIES
from benchmarks.access import WRAPPERS
from benchmarks.harness import Case, NotMeasuredError, Suite, measure

PAGE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"


def titled(wrapper):
    return f"{wrapper.name}: {wrapper.what}"


def test_every_wrapper_is_measured():
    assert set(LIBRARIES) == {file for wrapper in WRAPPERS for file in wrapper.files}
    assert len(WRAPPERS) == len({titled(wrapper) for wrapper in WRAPPERS})


def test_every_figure_is_in_the_docs():
    text = PAGE.read_text(encoding="utf-8")
    section = text.split("\n## Wrapped libraries\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| ")]
    assert [titled(wrapper) for wrapper in WRAPPERS] == rows[1:]


@pytest.mark.parametrize("wrapper", WRAPPERS, ids=titled)
def test_a_call_is_made_in_all_three_ways_and_recorded_in_one(wrapper):
    """Each way looks itself whether there was a span for each call, and none where nobody acts."""
    suite = wrapper.suite()
    try:
        with suite.around():
            for case in suite.cases:
                with case.around():
                    case.batch(2)
    except NotMeasuredError as error:
        pytest.skip(str(error))


def test_what_is_not_recorded_gives_no_figure(monkeypatch):
    wrapper = next(wrapper for wrapper in WRAPPERS if wrapper.name == "files")
    suite = wrapper.suite()
    acts = suite.cases[-1]

    def unwatched():
        with acts.around():
            monkeypatch.setattr("agentid.access.installation.Installation.watches", lambda *_: False)
            acts.batch(2)

    with suite.around(), pytest.raises(RuntimeError, match="0 spans of 2 calls"):
        unwatched()


def test_a_suite_that_cannot_be_measured_says_why():
    def missing():
        raise NotMeasuredError("no such server")

    figures = measure(Suite("s", [Case("a", lambda _: None), Case("b", lambda _: None, "a")], around=missing))
    assert ["no such server"] * 2 == [figure.reason for figure in figures]
