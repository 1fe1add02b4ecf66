"""No acknowledged record is lost when writers are killed, and what they leave verifies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from systems import needs_posix

from agentid.record.audit import verify_audit_log

pytestmark = needs_posix


KILL_WRITERS = Path(__file__).with_name("kill_writers.py")


def kill_writers(folder, rounds, writers, durability, seed):
    done = subprocess.run(
        [sys.executable, KILL_WRITERS, folder, *map(str, (rounds, writers, durability, seed))],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("durability", ["process", "disk"])
def test_killed_writers_lose_nothing_that_they_acknowledged(tmp_path, durability):
    found = kill_writers(tmp_path, 4, 3, durability, seed=1)

    assert ([], [], 12) == (found["lost"], found["problems"], found["kills"])
    assert found["acknowledged"] > 0


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("durability", "rounds"), [("process", 100), ("disk", 25)])
def test_hundreds_of_killed_writers_lose_nothing_that_they_acknowledged(tmp_path, durability, rounds):
    found = kill_writers(tmp_path, rounds, 4, durability, seed=rounds)

    assert ([], [], 4 * rounds) == (found["lost"], found["problems"], found["kills"])
    assert found["acknowledged"] > rounds
    assert found["records"] >= found["acknowledged"]


@pytest.mark.parametrize("cut", [0, 1, 17, 400, -2, -1])
def test_an_unfinished_last_line_of_a_killed_writer_is_reported_and_is_no_tampering(
    tmp_path, open_log, write, segments, trust, cut
):
    log = open_log(tmp_path)
    write(log, 5)
    (path,) = segments(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    unfinished = lines[4][:cut]
    path.write_bytes(b"".join(lines[:4]) + unfinished)
    report = verify_audit_log(tmp_path, trust)

    assert (True, 4, 4) == (report.ok, report.records, report.unsigned)
    assert ([(path.name, len(unfinished))] if unfinished else []) == [(t.file, t.size) for t in report.recovered]


def test_what_a_power_failure_leaves_of_a_line_is_reported_and_is_no_tampering(
    tmp_path, open_log, write, segments, trust
):
    """Some file systems leave zeros where the end of a file was not written yet."""
    write(open_log(tmp_path), 3)
    (path,) = segments(tmp_path)
    path.write_bytes(path.read_bytes() + bytes(512))
    report = verify_audit_log(tmp_path, trust)

    assert (True, 3, [512]) == (report.ok, report.records, [torn.size for torn in report.recovered])
