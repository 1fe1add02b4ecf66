"""The demo ends with evidence: its audit log, verified, and all that it takes to verify it again."""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
from pathlib import Path

import pytest

from agentid.cli import demo as demo_command
from agentid.cli import main
from agentid.demo import run as run_module
from agentid.demo import run_demo
from agentid.record.audit.checkpoint import Checkpoint
from agentid.record.audit.trusted_keys import audit_keys


@pytest.fixture
def printed(capsys):
    """What the demo prints."""

    def printed(*arguments, code=0):
        assert code == main(["demo", *map(str, arguments)])
        return capsys.readouterr().out

    return printed


def parts(text):
    """The checkpoint and the command of the last lines."""
    found = re.search(
        r"\n\n(urn:[^\n]+\n\d+\n[^\n]+\n\n\u2014 [^\n]+\n)\nverify it again[^\n]*\n  agentid ([^\n]+)\n\Z", text
    )
    return found[1], shlex.split(found[2])


def test_the_demo_ends_by_verifying_its_own_log_and_printing_the_checkpoint(printed):
    text = printed()
    note, command = parts(text)
    records = int(re.search(r"\naudit log: good, (\d+) records and a checkpoint of them, signed:\n", text)[1])
    keys = audit_keys(json.loads(Path(command[-1]).read_text(encoding="utf-8")))

    assert records == Checkpoint.open(note, keys).size
    # A decision for each line of the trace, and an outcome for each that was allowed.
    assert 17 + 14 == records


def test_the_command_that_it_prints_verifies_the_log_that_it_left(printed, capsys):
    _, command = parts(printed())

    assert ["audit", "verify"] == command[:2]
    assert 0 == main(command)
    assert "good: 31 records in 1 chain, 2 checkpoints signed\n" in capsys.readouterr().out


def test_that_command_finds_a_changed_byte(printed, capsys):
    _, command = parts(printed())
    [path] = Path(command[2]).glob("*.jsonl")
    path.write_bytes(path.read_bytes().replace(b"attacker.example", b"attackerXexample", 1))

    assert 1 == main(command)
    assert "the record was changed" in capsys.readouterr().out


def test_the_checkpoint_that_it_prints_shows_that_the_end_was_cut_off(printed, capsys, tmp_path):
    """Together with its own checkpoints, so that nothing but the printed one tells."""
    note, command = parts(printed())
    (tmp_path / "printed").write_text(note, encoding="utf-8")
    for path in Path(command[2]).iterdir():
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[:6] if path.suffix == ".checkpoint" else lines[:-3]))

    assert 0 == main(command)
    assert 0 == main([*command[:2], "--folder", *command[2:]])
    assert 1 == main([*command, "--anchor", str(tmp_path / "printed")])
    assert "the end was cut off" in capsys.readouterr().out


def test_the_log_says_of_each_access_what_the_trace_says(temporary, notes, tmp_path):
    outcome = run_demo(notes, evidence=tmp_path)
    [path] = (tmp_path / "audit").glob("*.jsonl")
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    decided = {line["data"]["call"]["id"]: line for line in lines if line["data"]["phase"] == "decision"}

    assert outcome.audit.ok
    assert outcome.audit.records == len(lines)
    assert 1 == outcome.audit.anchored
    assert {record.id: record.effect for record in outcome.records} == {
        call: line["data"]["decision"]["effect"] for call, line in decided.items()
    }
    assert [] == list(temporary.iterdir())


def test_nothing_but_what_verifies_the_log_is_kept_and_nobody_else_may_read_it(printed, temporary):
    printed()
    [folder] = temporary.iterdir()

    assert ["audit", "keys.json"] == sorted(path.name for path in folder.iterdir())
    if os.name == "posix":
        assert 0o700 == stat.S_IMODE(folder.stat().st_mode)
    assert '"d"' not in (folder / "keys.json").read_text(encoding="utf-8")


def test_a_demo_that_cannot_begin_leaves_no_log(temporary, tmp_path, capsys):
    assert 2 == main(["demo", str(tmp_path / "missing")])
    assert [] == list(temporary.iterdir())


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_log_that_was_changed_while_the_agent_worked_is_said_to_be(monkeypatch, printed, temporary, arguments):
    real = run_module.verify_audit_log

    def change(folder, *args, **options):
        [path] = folder.glob("*.jsonl")
        data = path.read_bytes()
        path.write_bytes(data.replace(b"support-bot", b"Support-bot", 1))
        return real(folder, *args, **options)

    monkeypatch.setattr(run_module, "verify_audit_log", change)
    text = printed(*arguments, code=1)

    if arguments:
        assert json.loads(text.splitlines()[-1])["audit"]["ok"] is False
    else:
        assert "\naudit log: tampered, " in text
        assert ".jsonl, line 1 (record 0): the record was changed" in text


def test_json_says_where_the_log_is_and_what_was_signed(printed, capsys):
    audit = json.loads(printed("--json").splitlines()[-1])["audit"]

    assert (True, 31) == (audit["ok"], audit["records"])
    assert 0 == main(["audit", "verify", audit["folder"], "--jwks", audit["keys"]])
    assert "\n31\n" in audit["checkpoint"]


def test_the_folder_of_the_log_is_written_so_that_a_shell_takes_it(monkeypatch, printed, temporary, tmp_path, capsys):
    odd = tmp_path / "a b'c"
    odd.mkdir()
    monkeypatch.setattr(demo_command.tempfile, "mkdtemp", lambda prefix: str(odd))
    monkeypatch.setattr("agentid.demo.world.tempfile.mkdtemp", lambda prefix: str(temporary / prefix))
    (temporary / "agentid-demo-").mkdir()

    assert 0 == main(parts(printed())[1])


def test_two_folders_are_one_too_many(capsys, tmp_path):
    assert 2 == main(["audit", "verify", str(tmp_path), "--folder", str(tmp_path)])
    assert "two audit logs are named" in capsys.readouterr().err
