"""A disk that is full, or cannot be written: the record is refused, the log stays good and goes on later."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from systems import needs_posix

from agentid.errors import AuditUnavailableError
from agentid.record.audit import verify_audit_log

pytestmark = needs_posix

_LIMITED = """
import json, resource, sys
from agentid.errors import AuditUnavailableError
from agentid.record import AccessRecord
from agentid.record.audit import AuditLog, verify_audit_log
from agentid.signing import ED25519, PrivateKey

folder, limit, durability = sys.argv[1], int(sys.argv[2]), sys.argv[3]
key = PrivateKey.generate(ED25519)
log = AuditLog(folder, signer=key, durability=durability, checkpoint_records=3)
acknowledged, refused = [], []

def write(first, last):
    for number in range(first, last):
        try:
            log.write("decision", AccessRecord(f"{number:032x}", "", 0, "spiffe://a/agent/b", "b", "t"))
            acknowledged.append(number)
        except AuditUnavailableError as error:
            refused.append(str(error))

write(0, 2)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
write(2, 12)
during = verify_audit_log(folder, [key.public_key()])
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
write(12, 15)
log.close()
after = verify_audit_log(folder, [key.public_key()])
print(json.dumps([acknowledged, refused, [during.ok, during.records], [after.ok, after.records, after.unsigned]]))
"""


@pytest.mark.parametrize("durability", ["process", "disk"])
@pytest.mark.parametrize("limit", [1_300, 2_047, 2_048, 3_001, 4_000])
def test_a_record_that_no_longer_fits_is_refused_and_the_log_stays_good(tmp_path, limit, durability):
    """The limit of the system cuts a write anywhere; the checkpoint of three records is hit by it, too."""
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, tmp_path / "audit", str(limit), durability],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    acknowledged, refused, during, after = json.loads(done.stdout)

    assert [0, 1] == acknowledged[:2]
    assert [12, 13, 14] == acknowledged[-3:]
    assert {True} == {error.startswith("[audit.unavailable] The audit log cannot be written") for error in refused}
    assert 15 == len(acknowledged) + len(refused)
    assert len(refused) >= 4
    assert [True, len(acknowledged) - 3] == during
    assert [True, len(acknowledged), 0] == after


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("a small file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_file_system_refuses_records_and_the_log_goes_on_once_there_is_room(
    small_disk, open_log, make_record, trust
):
    (small_disk / "ballast").write_bytes(b"x" * 20_000)
    log = open_log(small_disk, segment_bytes=9_000, checkpoint_records=8)
    written = 0

    def fill():
        nonlocal written
        for number in range(1000):
            log.write("decision", make_record(number))
            written += 1

    with pytest.raises(AuditUnavailableError, match="No space left"):
        fill()
    for _ in range(20):
        with pytest.raises(AuditUnavailableError):
            log.write("decision", make_record(0))
    report = verify_audit_log(small_disk, trust)
    assert ((), written) == (report.problems, report.records)

    (small_disk / "ballast").unlink()
    for number in range(5):
        log.write("decision", make_record(number))
    log.close()
    report = verify_audit_log(small_disk, trust)
    assert ((), written + 5, 1) == (report.problems, report.records, report.chains)


def test_a_file_system_that_becomes_read_only_refuses_records(small_disk, open_log, make_record, trust):
    log = open_log(small_disk)
    log.write("decision", make_record(1))
    log.close()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    again = open_log(small_disk)
    with pytest.raises(AuditUnavailableError, match="Read-only"):
        again.write("decision", make_record(2))
    report = verify_audit_log(small_disk, trust)
    assert (True, 1) == (report.ok, report.records)

    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    again.write("decision", make_record(3))
    again.close()
    assert (True, 2) == ((report := verify_audit_log(small_disk, trust)).ok, report.records)


@pytest.mark.parametrize("call", ["write", "fstat", "fdatasync"])
def test_a_disk_that_reports_an_error_refuses_the_record(open_log, make_record, trust, tmp_path, monkeypatch, call):
    log = open_log(durability="disk")
    log.write("decision", make_record(1))

    def broken(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, call, broken)
    with pytest.raises(AuditUnavailableError):
        log.write("decision", make_record(2))
    monkeypatch.undo()
    log.write("decision", make_record(3))
    log.close()
    report = verify_audit_log(tmp_path / "audit", trust)

    assert () == report.problems
    assert report.records >= 2
