"""A large log is written in flat memory, and verified in a stream that costs the same for each record."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, where only Linux says what a process takes"),
]

_PEAK = """
def peak():
    # Of this program alone: what getrusage says begins with the memory of whoever started it.
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))
"""

_WRITE = """
import json, sys
from agentid.record import AccessRecord
from agentid.record.audit import AuditLog
from agentid.signing import ED25519, PrivateKey

key = PrivateKey.generate(ED25519)
counts = list(map(int, sys.argv[2:]))
peaks = []
for count in counts:
    with AuditLog(f"{sys.argv[1]}/{count}", signer=key, segment_bytes=32 << 20) as log:
        for number in range(count):
            log.write("decision", AccessRecord(f"{number:032x}", "", 0, "spiffe://a.example/agent/b", "b", "t"))
    peaks.append(peak())
print(json.dumps([key.to_pem().decode(), peaks]))
"""

_VERIFY = """
import json, resource, sys, time
from agentid.record.audit import verify_audit_log
from agentid.signing import PrivateKey

folder, workers, pem = sys.argv[1], int(sys.argv[2]), sys.stdin.read()
began = time.perf_counter()
report = verify_audit_log(folder, [PrivateKey.from_pem(pem.encode()).public_key()], workers=workers)
took = time.perf_counter() - began
usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps({
    "ok": report.ok, "records": report.records, "unsigned": report.unsigned, "seconds": took,
    "processor": sum(u.ru_utime + u.ru_stime for u in usage), "here": usage[0].ru_utime + usage[0].ru_stime,
    "peak": peak(),
}))
"""

SMALL, LARGE = 50_000, 1_000_000
MEBIBYTE = 1024  # in the unit of /proc


def run(program, *arguments, stdin=""):
    done = subprocess.run(
        [sys.executable, "-c", _PEAK + program, *map(str, arguments)], input=stdin, capture_output=True, text=True,
        check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """A short and a long log, the key of both, and how much memory writing them took."""
    folder = tmp_path_factory.mktemp("logs")
    try:
        yield (folder, *run(_WRITE, folder, SMALL, LARGE))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_a_million_records_are_written_in_flat_memory(logs):
    _, _, (peak_small, peak_large) = logs

    assert peak_large - peak_small < 8 * MEBIBYTE


@pytest.mark.parametrize("workers", [1, 2])
def test_a_million_records_are_verified_in_flat_memory_and_at_the_same_price_each(logs, workers):
    folder, pem, _ = logs
    small = run(_VERIFY, folder / str(SMALL), workers, stdin=pem)
    large = run(_VERIFY, folder / str(LARGE), workers, stdin=pem)
    print(
        f"\n{LARGE} records verified in {large['seconds']:.1f} s by {workers} processes, {large['processor']:.1f} s of "
        f"processor time"
    )

    assert (True, SMALL, 0) == (small["ok"], small["records"], small["unsigned"])
    assert (True, LARGE, 0) == (large["ok"], large["records"], large["unsigned"])
    assert large["peak"] - small["peak"] < 24 * MEBIBYTE
    assert large["processor"] / LARGE < 1.5 * small["processor"] / SMALL


def test_a_second_process_shares_the_work_and_adds_next_to_none(logs):
    """In processor time, since nobody knows how many processors are idle: it is as much, and little of it here."""
    folder, pem, _ = logs
    alone, shared = (run(_VERIFY, folder / str(LARGE), workers, stdin=pem) for workers in (1, 2))

    assert shared["processor"] < 1.4 * alone["processor"]
    assert shared["here"] < 0.25 * alone["here"]
