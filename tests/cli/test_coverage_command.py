"""`agentid coverage`: what it says of this environment, without importing any of it."""

from __future__ import annotations

import json

import pytest
from command_line import agentid, environment, on_terminal
from systems import needs_posix

from agentid.access.coverage import matrix
from agentid.access.installation import LIBRARIES


@pytest.fixture
def installed(tmp_path):
    """Put a distribution into a folder of its own, whose modules cannot be imported; give the path to search."""
    site = tmp_path / "site"
    site.mkdir()

    def install(distribution, module="", version="9.8.7"):
        info = site / f"{distribution}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        if module:
            (site / f"{module}.py").write_text("raise SystemExit('it was imported')\n")
        return f"{environment()['PYTHONPATH']}:{site}"

    return install


def said(folder, **changes):
    ran = agentid("coverage", "--json", folder=folder, **changes)
    assert (0, "") == (ran.code, ran.err)
    return {one["name"]: one for one in json.loads(ran.out)}


@needs_posix
def test_what_is_installed_is_named_with_its_version_and_the_reason_and_is_not_imported(folder, installed):
    path = installed("duckdb", "duckdb")
    found = said(folder, PYTHONPATH=path)
    text = agentid("coverage", folder=folder, PYTHONPATH=path).out

    assert ("invisible", True, "9.8.7") == tuple(found["duckdb"][key] for key in ("level", "installed", "version"))
    assert "C++" in found["duckdb"]["why"]
    [line] = [line for line in text.splitlines() if " duckdb " in line]
    assert ["invisible", "duckdb", "9.8.7", "a", "whole", "database"] == line.split()[:6]
    assert "nobody decides what an agent does with what is invisible" in text


@needs_posix
def test_strict_says_no_if_something_invisible_is_there(folder, installed):
    path = installed("duckdb")

    assert 1 == agentid("coverage", "--strict", folder=folder, PYTHONPATH=path).code
    assert 1 == agentid("coverage", "--strict", "--json", folder=folder, PYTHONPATH=path).code
    assert 0 == agentid("coverage", folder=folder, PYTHONPATH=path).code


def test_strict_says_yes_if_nothing_invisible_is_there(run, monkeypatch):
    seen = [one for one in matrix() if one.level == "enforced"]
    monkeypatch.setattr("agentid.access.coverage.coverage", lambda: seen)

    assert 0 == run("coverage", "--strict").code


def test_every_library_that_has_a_file_is_there_installed_or_not(folder):
    found = said(folder)

    assert len(LIBRARIES) <= sum(one["level"] == "enforced" for one in found.values())
    assert found["urllib"]["installed"]
    assert ("enforced", "") == (found["urllib"]["level"], found["urllib"]["version"])
    assert all(one["installed"] for one in found.values() if one["level"] != "enforced")


@needs_posix
def test_on_a_terminal_levels_have_colours(folder, installed):
    shown = on_terminal("coverage", folder=folder, PYTHONPATH=installed("duckdb")).out

    assert "\x1b[32menforced " in shown
    assert "\x1b[31minvisible\x1b[0m" in shown
