"""
What evidence costs: records of the audit log against the same lines written by hand.

The suites on the disk are measured in wall-clock time, since waiting is what they are about: `fsync` takes no time of
the processor. Their yardstick waits for the same disk, and takes turns with them in each round.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from agentid import AuditLog
from agentid.record import Access, AccessRecord
from agentid.record.audit import append_file
from agentid.resource import Resource
from agentid.signing import ED25519, PrivateKey
from benchmarks.harness import Batch, Case, Measured, Suite

__all__ = ["measure_memory", "suites"]

FOLDER = Path("build/bench")
"""Below the current folder, which is more often on a disk than the folder for temporary files is."""

SLOWER = 0.002
"""What an ordinary SSD takes for an `fsync`, and a disk with a cache of its own does not."""

_RECORD = AccessRecord(
    id="3f2a9c5d7e8b4a10b2c3d4e5f6a7b8c9",
    session="77c1d2e3f4a5b6c7d8e9f0a1b2c3d4e5",
    time_ns=1_800_000_000_123_456_789,
    agent_id="spiffe://acme.example/agent/support-bot",
    agent_name="support-bot",
    tool="get_customer",
    owner="team:support",
    credential_id="019aaf10-7c04-7b01-a9d1-0050569c2e4f",
    accesses=(Access("read", Resource.parse("crm/customers/c-42")),),
    effect="allow",
    reason="granted",
    permission="read:crm/customers/*",
    labels=("customer", "pii"),
    trace_id="a" * 32,
    span_id="b" * 16,
)


def suites() -> list[Suite]:
    """The suites of this subject."""
    return [_in_the_file(), _on_the_disk(0.0), _on_the_disk(SLOWER)]


# --- written by hand ------------------------------------------------------------------------------


def by_hand(record: AccessRecord, prev: str, seq: int) -> bytes:
    """The line that `AuditLog` writes, as one would write it oneself."""
    value = {
        "data": {
            "accesses": [{"action": access.action, "resource": str(access.resource)} for access in record.accesses],
            "agent": {
                "credential": record.credential_id,
                "id": record.agent_id,
                "name": record.agent_name,
                "owner": record.owner,
            },
            "call": {
                "began": "2026-11-25T09:48:12.123Z",
                "id": record.id,
                "session": record.session,
                "tool": record.tool,
            },
            "chain": {"prev": f"sha256:{prev}", "seq": seq},
            "decision": {
                "approval": record.approval,
                "effect": record.effect,
                "enforcement": record.enforcement,
                "permission": record.permission,
                "reason": record.reason,
            },
            "labels": record.labels,
            "outcome": {
                "duration_ns": record.duration_ns,
                "error_type": record.error_type,
                "status": record.status,
            },
            "phase": "decision",
            "trace": {"id": record.trace_id, "span": record.span_id},
        },
        "id": f"{record.id}:decision",
        "source": "urn:x-agentid:audit:chain:20261125T094812Z-4711-9f86d081884c7d65",
        "specversion": "1.0",
        "time": "2026-11-25T09:48:12.124Z",
        "type": "urn:x-agentid:audit:access:v1",
    }
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _hand(folder: Callable[[], Path], *, every: int = 0) -> Batch:
    """Chain lines by their hashes and write them; wait for the disk after so many, or never."""
    opened: dict[Path, int] = {}

    def batch(count: int) -> None:
        path = folder()
        if path not in opened:
            opened[path] = os.open(path / f"hand-{every}", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        file, prev = opened[path], "0" * 64
        for number in range(1, count + 1):
            line = by_hand(_RECORD, prev, number)
            prev = hashlib.sha256(line).hexdigest()
            os.write(file, line + b"\n")
            if every and number % every == 0:
                append_file.sync_file(file)

    return batch


# --- suites ---------------------------------------------------------------------------------------


def _in_the_file() -> Suite:
    place = _Place()
    hand = "json, sha256 and os.write by hand"
    rarely = "a checkpoint every 1,024"
    return Suite(
        "audit record",
        [
            Case(hand, _hand(place.folder)),
            Case("audit record", place.log(), hand, 1.5),
            Case(rarely, place.log(checkpoint_records=1024)),
            Case("a checkpoint every 64, signature included", place.log(checkpoint_records=64), rarely, 1.1),
        ],
        rounds=31,
        per_batch_ns=20_000_000,
        around=place.around,
    )


def _on_the_disk(slower: float) -> Suite:
    place = _Place(slower)
    cases = [
        Case("by hand, an fsync for each", _hand(place.folder, every=1)),
        Case("eight threads", place.log(8), "by hand, an fsync for each", 0.2, gate=place.gate),
    ]
    for threads in (8, 64):
        hand = f"by hand, {threads} and then an fsync"
        cases += [
            Case(hand, _hand(place.folder, every=threads)),
            Case(f"group commit of {threads} threads", place.log(threads), hand, 2.0, gate=place.gate),
        ]
    disk = f"a disk that takes {slower * 1000:g} ms more" if slower else "this disk"
    return Suite(
        f"audit records, {disk}{place.remark}",
        cases,
        rounds=15,
        per_batch_ns=100_000_000,
        around=place.around,
        clock=time.perf_counter_ns,
    )


class _Place:
    """A folder and logs in it, there while a suite is measured; the disk takes *slower* seconds more for a sync."""

    def __init__(self, slower: float = 0.0) -> None:
        self._slower = slower
        self._folder: Path | None = None
        self._stack = ExitStack()
        FOLDER.mkdir(parents=True, exist_ok=True)
        kind = file_system(FOLDER)
        waits = kind not in {"tmpfs", "ramfs"}
        self.remark = "" if waits else f" ({kind}: waits for no disk)"
        # Where a sync takes a fifth of a millisecond, waking threads takes as long, and longer while others compute.
        self.gate = None if slower else math.inf

    def folder(self) -> Path:
        """The folder."""
        assert self._folder is not None
        return self._folder

    def log(self, threads: int = 0, **options: Any) -> Batch:
        """Write to a log that is opened when it is needed; with threads, each record waits for the disk."""
        logs: list[AuditLog] = []
        pools: list[ThreadPoolExecutor] = []

        def begin() -> None:
            # A key of its own for each, as each log of a real program has one.
            signer = PrivateKey.generate(ED25519)
            log = AuditLog(
                self.folder() / f"log-{threads}-{id(logs)}",
                signer=signer,
                durability="disk" if threads else "process",
                **options,
            )
            logs.append(self._stack.enter_context(log))
            if threads:
                pools.append(self._stack.enter_context(ThreadPoolExecutor(threads)))

        def some(count: int) -> None:
            write = logs[0].write
            for _ in range(count):
                write("decision", _RECORD)

        def batch(count: int) -> None:
            if not logs:
                begin()
            if not threads:
                some(count)
                return
            shares = [count // threads + (number < count % threads) for number in range(threads)]
            list(pools[0].map(some, shares))

        return batch

    @contextmanager
    def around(self) -> Generator[None, None, None]:
        """Make the folder, and remove it again."""
        real = append_file.sync_file

        def slow(descriptor: int) -> None:
            real(descriptor)
            time.sleep(self._slower)

        with tempfile.TemporaryDirectory(dir=FOLDER) as folder, self._stack:
            self._folder = Path(folder)
            if self._slower:
                append_file.sync_file = slow
                self._stack.callback(setattr, append_file, "sync_file", real)
            yield


def file_system(folder: Path) -> str:
    """The kind of file system that *folder* is on, where Linux says it."""
    try:
        mounts = [line.split(" ")[1:3] for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    except OSError:
        return "unknown"
    path = folder.resolve()
    over = [(len(place), kind) for place, kind in mounts if path.is_relative_to(place)]
    return max(over, key=lambda found: found[0], default=(0, "unknown"))[1]


# --- memory ---------------------------------------------------------------------------------------

_FEW, _MANY = 10_000, 100_000
_PEAK = f"""
import json, sys
from pathlib import Path
from agentid import AuditLog, verify_audit_log
from agentid.signing import ED25519, PrivateKey
from benchmarks.audit import _RECORD

def peak():
    # The high-water mark of this program alone: getrusage would count what started it as well.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024

key, peaks = PrivateKey.generate(ED25519), []
for count in ({_FEW}, {_MANY}):
    folder = Path(sys.argv[1]) / str(count)
    with AuditLog(folder, signer=key, segment_bytes=1 << 22) as log:
        for _ in range(count):
            log.write("decision", _RECORD)
    assert verify_audit_log(folder, [key.public_key()], workers=1).records == count
    peaks.append(peak())
print(json.dumps(peaks))
"""


def measure_memory(rounds: int = 3) -> list[Measured]:
    """The most memory that processes took which wrote and verified logs, a short and then a long one."""
    if not Path("/proc/self/status").exists():
        return []
    peaks = [_peaks() for _ in range(rounds)]
    ratios = sorted(many / few for few, many in peaks)
    few = Case(f"{_FEW:,} written and verified", lambda _count: None, unit="bytes")
    many = Case(f"{_MANY:,} written and verified", lambda _count: None, few.name, 1.15, unit="bytes")
    low, ratio, high = statistics.quantiles(ratios, n=4)
    suite = "audit log, peak of memory"
    return [
        Measured(suite, few, statistics.median(few for few, _ in peaks), rounds=rounds),
        Measured(suite, many, statistics.median(many for _, many in peaks), ratio, low, high, rounds, ratios),
    ]


def _peaks() -> tuple[int, int]:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        done = subprocess.run([sys.executable, "-c", _PEAK, folder], check=True, capture_output=True, text=True)
    few, many = json.loads(done.stdout)
    return few, many
