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
    pytest.mark.skipif(os.name != "posix", reason="memory and processor time of POSIX"),
]

_WRITE = """
import json, resource, sys
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
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
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
    "processor": sum(u.ru_utime + u.ru_stime for u in usage), "peaks": [u.ru_maxrss for u in usage],
}))
"""

SMALL, LARGE = 50_000, 1_000_000
MEBIBYTE = 1024  # in the unit of ru_maxrss, on Linux


def run(program, *arguments, stdin=""):
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], input=stdin, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)


def test_a_million_records_are_written_and_verified_in_flat_memory(tmp_path):
    try:
        pem, (peak_small, peak_large) = run(_WRITE, tmp_path, SMALL, LARGE)
        small = run(_VERIFY, tmp_path / str(SMALL), 2, stdin=pem)
        large = run(_VERIFY, tmp_path / str(LARGE), 2, stdin=pem)
    finally:
        for count in (SMALL, LARGE):
            shutil.rmtree(tmp_path / str(count), ignore_errors=True)
    print(
        f"\n{LARGE} records verified in {large['seconds']:.0f} s by two processes, {large['processor']:.0f} s of "
        f"processor time: ten million take {10_000_000 / LARGE * large['processor'] / 2:.0f} s on two idle processors"
    )

    assert (True, SMALL, 0) == (small["ok"], small["records"], small["unsigned"])
    assert (True, LARGE, 0) == (large["ok"], large["records"], large["unsigned"])
    if sys.platform == "linux":
        assert peak_large - peak_small < 8 * MEBIBYTE
        for few, many in zip(small["peaks"], large["peaks"], strict=True):
            assert many - few < 24 * MEBIBYTE
    assert large["processor"] / LARGE < 1.5 * small["processor"] / SMALL
