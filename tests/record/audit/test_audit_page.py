"""What `docs/audit-log.md` tells an auditor to type works on a real log, and finds a real change."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from agentid.record.audit.proof import prove_inclusion

PAGE = Path(__file__).parents[3] / "docs" / "audit-log.md"
TOOLS = ("bash", "jq", "sha256sum", "base64", "xxd", "openssl")


def blocks():
    return re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def shell(tmp_path):
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    version = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True).stdout
    if re.match(r"OpenSSL [3-9]", version) is None:
        pytest.skip(f"needs OpenSSL 3, which signs Ed25519 on the command line, not {version}")

    def shell(script):
        return subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    return shell


@pytest.fixture
def log(tmp_path, open_log, write, trust):
    log = open_log(tmp_path / "audit", checkpoint_records=4, segment_bytes=6_000)
    write(log, 11, tool='näme \\ "q" \U0001f600')
    log.close()
    (tmp_path / "jwks.json").write_text(json.dumps(trust.to_jwks()), encoding="utf-8")
    proof = prove_inclusion(tmp_path / "audit", f"{9:032x}", trust)
    (tmp_path / "record").write_bytes(proof.record)
    (tmp_path / "record.tlog-proof").write_text(proof.text, encoding="utf-8")
    return tmp_path / "audit"


def test_an_auditor_without_python_can_check_a_log(log, shell):
    done = shell("\n".join(blocks()))

    assert 0 == done.returncode, done.stderr
    assert [
        "11",
        "11 records, each linked to the one before",
        "Signature Verified Successfully",
        "the root is the one that was signed",
        "Signature Verified Successfully",
        "the record is in the log",
    ] == done.stdout.splitlines()


@pytest.mark.parametrize(
    ("file", "before", "after", "said"),
    [
        (".jsonl", b'"allow"', b'"deny"', "bad link at record 1"),
        (".checkpoint", b"\n11\n", b"\n10\n", "Signature Verification Failure"),
    ],
)
def test_an_auditor_without_python_finds_a_change(log, shell, file, before, after, said):
    path = min(log.glob(f"*{file}"))
    path.write_bytes(path.read_bytes().replace(before, after, 1))
    done = shell("\n".join(blocks()))

    assert 0 != done.returncode
    assert said in done.stdout + done.stderr


def test_an_auditor_without_python_finds_another_record_in_a_proof(log, shell, tmp_path):
    (tmp_path / "record").write_bytes((tmp_path / "record").read_bytes() + b" ")

    assert "not proven" in shell("\n".join(blocks())).stdout


def test_the_page_shows_the_parts_of_a_record_that_there_are(log):
    shown = re.search(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
    line = min(log.glob("*.jsonl")).read_bytes().splitlines()[0]

    def keys(value):
        if isinstance(value, list):
            return [keys(item) for item in value[:1]]
        return {key: keys(item) for key, item in value.items()} if isinstance(value, dict) else None

    assert keys(json.loads(line)) | {"data": {**keys(json.loads(line))["data"], "labels": [None]}} == keys(
        json.loads(shown)
    )
