"""Checkpoints and proofs hold for two independent implementations, those of Go's checksum database and of CT."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from agentid.record.audit.checkpoint import Checkpoint
from agentid.record.audit.proof import prove_consistency, prove_inclusion
from agentid.record.audit.signed_note import vkey

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SIZES = [0, 1, 2, 3, 4, 5, 7, 8, 13, 16, 31, 32, 33, 60, 64, 70]


@pytest.fixture(scope="session")
def checker(tmp_path_factory):
    """The program in `interop`, built; skipped where there is no Go, or nowhere to get its modules from."""
    if shutil.which("go") is None:
        pytest.skip("there is no Go here")
    folder = tmp_path_factory.mktemp("interop")
    shutil.copytree(Path(__file__).with_name("interop"), folder, dirs_exist_ok=True)
    built = subprocess.run(
        ["go", "build", "-o", "checker", "."], cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"},
    )  # fmt: skip
    if built.returncode != 0 and ("dial tcp" in built.stderr or "proxy" in built.stderr):
        pytest.skip(f"the Go modules cannot be fetched here: {built.stderr[-200:]}")
    assert 0 == built.returncode, built.stderr

    def check(request):
        return subprocess.run(
            [folder / "checker"], input=json.dumps(request), capture_output=True, text=True, check=False
        )

    return check


@pytest.fixture
def request_for_checker(tmp_path, open_log, make_record, signer, trust):
    """A log of 70 records with checkpoints of many sizes, and every kind of proof from it."""
    log = open_log(tmp_path / "audit", segment_bytes=9_000)
    notes = []
    for number in range(SIZES[-1] + 1):
        if number in SIZES[1:]:
            notes.append(log.checkpoint())
        if number < SIZES[-1]:
            log.write("decision", make_record(number, tool="näme\U0001f600\x01"))
    log.close()
    folder = tmp_path / "audit"
    origin = Checkpoint.parse(notes[0]).origin
    chain = origin.rpartition(":")[2]
    lines = [line for path in sorted(folder.glob("*.jsonl")) for line in path.read_text(encoding="utf-8").splitlines()]
    proofs = [prove_inclusion(folder, f"{number:032x}", trust) for number in range(SIZES[-1])]
    growth = [
        prove_consistency(folder, chain, trust, old=old, new=new).text
        for index, old in enumerate(SIZES)
        for new in SIZES[index + 1 :]
    ]
    return {
        "VKey": vkey(origin, signer.public_jwk),
        "Lines": lines,
        "Checkpoints": notes,
        "Inclusions": [{"Record": proof.record.decode(), "Proof": proof.text} for proof in proofs],
        "Consistency": growth,
    }


def test_checkpoints_and_proofs_hold_for_implementations_that_know_nothing_of_ours(checker, request_for_checker):
    done = checker(request_for_checker)

    assert "" == done.stderr
    assert 0 == done.returncode
    said = [line.split()[1] for line in done.stdout.splitlines()]
    assert len(SIZES) - 1 == said.count("checkpoint")
    assert SIZES[-1] == said.count("inclusion")
    assert len(SIZES) * (len(SIZES) - 1) // 2 == said.count("consistency")


@pytest.mark.parametrize("part", ["Lines", "Checkpoints", "Inclusions", "Consistency"])
def test_the_other_implementations_do_refuse_what_is_wrong(checker, request_for_checker, part):
    """So that their agreement means something."""
    if part == "Lines":
        request_for_checker["Lines"][3] += " "
    elif part == "Checkpoints":
        request_for_checker["Checkpoints"][3] = request_for_checker["Checkpoints"][3].replace("\n4\n", "\n5\n")
    elif part == "Inclusions":
        request_for_checker["Inclusions"][3]["Record"] += " "
    else:
        text = request_for_checker["Consistency"][-5]
        request_for_checker["Consistency"][-5] = text.replace("old ", "old 1", 1)

    assert 0 != checker(request_for_checker).returncode
