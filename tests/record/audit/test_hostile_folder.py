"""Whoever can write to the folder of a log can put anything there: the verifier neither waits nor falls over."""

from __future__ import annotations

import json
import os
import shutil
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from systems import needs_posix

from agentid.cli import main
from agentid.errors import ConfigurationError
from agentid.record.audit import FileAnchor, verify_audit_log
from agentid.signing import ED25519, PrivateKey

pytestmark = needs_posix


@pytest.fixture
def folder(tmp_path, open_log, write, clock):
    """A closed log of three files, of which retention removed the first."""
    folder = tmp_path / "audit"
    log = open_log(folder, segment_bytes=6_000, checkpoint_records=4)
    write(log, 18)
    clock.step(timedelta(days=200))
    write(log, 2, start=18)
    log.close()
    open_log(folder, retention=timedelta(days=190)).close()
    return folder


def pipe(path):
    os.mkfifo(path)


HARMS = {
    "pipe": pipe,
    "folder": lambda path: path.mkdir(),
    "device without end": lambda path: path.symlink_to("/dev/zero"),
    "device without anything": lambda path: path.symlink_to("/dev/null"),
    "link to itself": lambda path: path.symlink_to(path),
    "link to nothing": lambda path: path.symlink_to("/nothing/there"),
    "link to a folder": lambda path: path.symlink_to("/"),
    "link to another file": lambda path: path.symlink_to("/etc/passwd"),
}


@pytest.mark.parametrize(
    ("harm", "which", "workers"),
    [(harm, which, 1) for harm in HARMS for which in (".jsonl", ".checkpoint", ".removed")] + [("pipe", ".jsonl", 2)],
)
@pytest.mark.timeout(20)
def test_what_is_no_file_is_named_and_nobody_waits_for_it(folder, trust, harm, which, workers):
    path = max(folder.glob(f"*{which}"))
    path.unlink()
    HARMS[harm](path)
    report = verify_audit_log(folder, trust, workers=workers)

    assert not report.ok


@pytest.mark.parametrize("harm", ["pipe", "folder", "device without end", "link to itself"])
@pytest.mark.parametrize("command", [["show"], ["prove", "1" * 32]])
@pytest.mark.timeout(20)
def test_the_commands_that_read_say_so_and_do_not_wait(folder, trust, tmp_path, harm, command, capsys):
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps(trust.to_jwks()), encoding="utf-8")
    path = max(folder.glob("*.jsonl"))
    path.unlink()
    HARMS[harm](path)
    jwks = ["--jwks", str(keys)] if command[0] == "prove" else []

    assert 2 == main(["audit", *command, "--folder", str(folder), *jwks])
    assert "The audit log cannot be read" in capsys.readouterr().err


def test_the_same_log_behind_a_link_verifies(folder, trust, tmp_path):
    """An old file may well lie on another volume: what counts is what it says."""
    path = min(folder.glob("*.jsonl"))
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")

    assert verify_audit_log(folder, trust).ok


# --- whole chains -----------------------------------------------------------------------------------------------------


@pytest.fixture
def other(tmp_path, open_log, write):
    """Another log of the same signer."""
    log = open_log(tmp_path / "other", checkpoint_records=4)
    write(log, 6)
    log.close()
    return tmp_path / "other"


def replace(folder, other):
    for path in folder.iterdir():
        path.unlink()
    for path in other.iterdir():
        shutil.copy(path, folder)


def test_a_log_that_was_exchanged_for_another_of_the_same_key_shows_against_an_anchor(
    tmp_path, open_log, write, other, trust
):
    folder = tmp_path / "audit"
    log = open_log(folder, anchors=[FileAnchor(tmp_path / "anchors")])
    write(log, 5)
    log.close()
    replace(folder, other)
    report = verify_audit_log(folder, trust, anchors=[tmp_path / "anchors"])

    assert ["missing"] == [problem.kind for problem in report.problems]
    assert "the whole chain is missing" in report.problems[0].what
    assert verify_audit_log(folder, trust).ok  # nothing in the folder could tell: it is a log


@pytest.mark.parametrize("which", [".jsonl", ".checkpoint"])
def test_files_that_were_exchanged_between_logs_of_the_same_key_are_found(folder, other, trust, which):
    [theirs] = other.glob(f"*{which}")
    ours = max(folder.glob(f"*{which}"))
    shutil.copy(theirs, ours)

    assert not verify_audit_log(folder, trust).ok


def test_the_newest_file_of_records_cannot_be_taken_away(folder, trust):
    max(folder.glob("*.jsonl")).unlink()

    assert ["truncated"] == [problem.kind for problem in verify_audit_log(folder, trust).problems]


def test_a_stranger_who_signs_a_whole_log_with_a_key_of_his_own_is_found(folder, trust, open_log, write, tmp_path):
    log = open_log(tmp_path / "forged", signer=PrivateKey.generate(ED25519))
    write(log, 3)
    log.close()
    replace(folder, tmp_path / "forged")

    assert ["checkpoint"] == [problem.kind for problem in verify_audit_log(folder, trust).problems]


# --- anchors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [None, b""])
def test_an_anchor_that_somebody_emptied_does_not_look_like_a_comparison(folder, trust, tmp_path, content):
    anchor = tmp_path / "anchors"
    if content is None:
        anchor = Path("/dev/null")
    else:
        anchor.write_bytes(content)

    with pytest.raises(ConfigurationError, match="holds no checkpoint"):
        verify_audit_log(folder, trust, anchors=[anchor])


@pytest.mark.timeout(20)
def test_an_anchor_may_come_through_a_pipe(tmp_path, open_log, write, trust):
    """As in `agentid audit verify --anchor <(curl …)`."""
    log = open_log(tmp_path / "audit", anchors=[FileAnchor(tmp_path / "anchors")], checkpoint_records=2)
    write(log, 5)
    log.close()
    os.mkfifo(tmp_path / "pipe")
    notes = (tmp_path / "anchors").read_bytes()
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=[notes])
    writer.start()
    report = verify_audit_log(tmp_path / "audit", trust, anchors=[tmp_path / "pipe"])
    writer.join()

    assert (True, 4) == (report.ok, report.anchored)
