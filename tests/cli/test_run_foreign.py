"""
Programs that know nothing of agents, as their authors published them: observed, suggested for, and then enforced.

They are installed from the package index for this test alone, and need no network after that.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PROGRAMS = ("black==26.10.1", "csvkit==2.2.0", "sqlite-utils==4.2.1")
SOURCE = str(Path(__file__).parents[2] / "src")


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """A folder with the programs and what they need."""
    folder = tmp_path_factory.mktemp("programs")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder), *PROGRAMS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"the programs cannot be installed here: {done.stderr.strip().splitlines()[-1]}")
    return folder


@pytest.fixture
def run(library, tmp_path):
    """Run Python in a folder of its own; give exit code and what was printed."""
    keep = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    path = os.pathsep.join([str(library), SOURCE])
    environment = {**keep, "PYTHONPATH": path, "BLACK_CACHE_DIR": str(tmp_path / "cache"), "NO_COLOR": "1"}

    def run(*arguments):
        command = [sys.executable, *arguments]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return done.returncode, done.stdout, done.stderr

    (tmp_path / "data.csv").write_text("id,name\n1,Ada\n2,Bob\n")
    (tmp_path / "ugly.py").write_text('x = {  "a":1 }\n')
    return run


def touched(run, tmp_path, *program):
    code, _, said = run("-m", "agentid", "run", "--observe", "--report", "report.json", "-m", *program)
    assert 0 == code, said
    report = json.loads((tmp_path / "report.json").read_text())
    return {f"{access['action']}:{access['resource']}" for access in report["accesses"]}


def test_sqlite_utils_is_seen_by_its_tables(run, tmp_path):
    here = tmp_path.resolve()
    seen = touched(run, tmp_path, "sqlite_utils", "insert", "people.db", "people", "data.csv", "--csv")

    assert {
        f"read:file://{here}/data.csv",
        f"write:sqlite://{here}/people.db/main/people",
        f"read:sqlite://{here}/people.db/main/sqlite_master",
    } <= seen
    assert '[{"id": 1, "name": "Ada"}' in run("-m", "sqlite_utils", "rows", "people.db", "people")[1]


def test_black_is_seen_by_its_files(run, tmp_path):
    here = tmp_path.resolve()
    seen = touched(run, tmp_path, "black", "ugly.py")

    assert {f"read:file://{here}/ugly.py", f"write:file://{here}/ugly.py"} <= seen
    assert 'x = {"a": 1}\n' == (tmp_path / "ugly.py").read_text()


def test_csvstat_does_under_its_suggestion_what_it_did_and_nothing_else(run, tmp_path):
    program = ("csvkit.utilities.csvstat", "data.csv")
    bare = run("-m", *program)
    assert f"read:file://{tmp_path.resolve()}/data.csv" in touched(run, tmp_path, *program)
    assert 0 == run("-m", "agentid", "suggest", "--write")[0]

    assert bare == run("-m", "agentid", "run", "-m", *program)
    (tmp_path / "other.csv").write_text("id\n1\n")
    code, out, said = run("-m", "agentid", "run", "-m", "csvkit.utilities.csvstat", "other.csv")
    assert (1, "") == (code, out)
    assert f"may not `read:file://{tmp_path.resolve()}/other.csv`" in said
