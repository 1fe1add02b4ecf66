"""
With durability `disk`, whatever was acknowledged survives a power failure at any moment, and what survives verifies.

The power cannot be cut here. Instead each wait for the disk notes what is safe from then on, and a folder is put
together of that and nothing else: what a disk would have that kept not one byte it had not promised to keep.
"""

from __future__ import annotations

import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agentid.record.audit import append_file, verify_audit_log

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="finds out in /proc, as only Linux has it, which file a descriptor is of"
)


class Disk:
    """Knows what is safe: names once their folder was synced, bytes once their file was."""

    def __init__(self, folder):
        self.folder = folder
        self.names = set()
        self.sizes = {}
        self.lock = threading.Lock()
        self.folder_synced = append_file.sync_folder
        self.file_synced = append_file.sync_file

    def sync_folder(self, folder):
        names = {path.name for path in folder.iterdir()}
        self.folder_synced(folder)
        with self.lock:
            self.names |= names

    def sync_file(self, descriptor):
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        size = os.fstat(descriptor).st_size
        self.file_synced(descriptor)
        with self.lock:
            self.sizes[name] = max(size, self.sizes.get(name, 0))

    def after_a_power_failure(self, target, chance):
        """A folder with what is safe, and perhaps with a part of what was on its way."""
        with self.lock:
            safe = {name: self.sizes.get(name, 0) for name in self.names}
        target.mkdir()
        for name, size in safe.items():
            data = (self.folder / name).read_bytes()
            lucky = 0 if name.endswith(".checkpoint") else chance.randrange(len(data) - size + 1)
            (target / name).write_bytes(data[: size + lucky])


@pytest.fixture
def disk(tmp_path, monkeypatch):
    disk = Disk(tmp_path / "audit")
    monkeypatch.setattr(append_file, "sync_folder", disk.sync_folder)
    monkeypatch.setattr(append_file, "sync_file", disk.sync_file)
    return disk


@pytest.mark.parametrize("threads", [1, 8])
def test_what_was_acknowledged_survives_a_power_failure_and_verifies(
    disk, tmp_path, open_log, make_record, trust, threads
):
    """Over several files, with a checkpoint every few records, looked at again and again while threads write."""
    log = open_log(disk.folder, durability="disk", segment_bytes=9_000, checkpoint_records=5)
    acknowledged = []

    def write(first):
        for number in range(first, first + 240 // threads):
            log.write("decision", make_record(number))
            acknowledged.append(f"{number:032x}")

    chance = random.Random(threads)
    looked = 0
    with ThreadPoolExecutor(threads) as pool:
        writing = [pool.submit(write, 1000 * number) for number in range(threads)]
        while looked < 10 or (looked < 60 and not all(future.done() for future in writing)):
            if looked % 2:
                log.checkpoint()
            promised = list(acknowledged)
            found = tmp_path / f"found-{looked}"
            disk.after_a_power_failure(found, chance)
            looked += 1
            kept = b"".join(path.read_bytes() for path in found.glob("*.jsonl"))
            report = verify_audit_log(found, trust, workers=1) if list(found.glob("*.checkpoint")) else None

            assert [] == [name for name in promised if name.encode() not in kept]
            assert report is None or [] == list(map(str, report.problems))
            assert report is not None or [] == promised
        for future in writing:
            future.result()
    log.close()

    assert 240 == len(acknowledged)
    disk.after_a_power_failure(tmp_path / "end", chance)
    assert (True, 240, 0) == (
        (report := verify_audit_log(tmp_path / "end", trust)).ok,
        report.records,
        report.unsigned,
    )


def test_without_waiting_for_the_disk_that_would_be_lost(disk, open_log, write, tmp_path):
    """The other durability promises less, and this test can tell."""
    log = open_log(disk.folder, durability="process")
    write(log, 3)
    disk.after_a_power_failure(tmp_path / "found", random.Random(0))

    assert [] == list((tmp_path / "found").iterdir())


def test_an_interrupt_of_the_thread_that_writes_for_others_loses_nothing_of_theirs(
    open_log, make_record, trust, tmp_path, monkeypatch
):
    """It is refused, and the others go on in a new chain."""
    log = open_log(durability="disk")
    log.write("decision", make_record(0))
    real, held, let_go, calls = append_file.sync_file, threading.Event(), threading.Event(), []

    def sync_file(descriptor):
        calls.append(descriptor)
        if len(calls) == 1:
            held.set()
            assert let_go.wait(20)
        elif len(calls) == 2:
            raise KeyboardInterrupt
        real(descriptor)

    monkeypatch.setattr(append_file, "sync_file", sync_file)
    commit = log._writing.chain._commit
    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(log.write, "decision", make_record(1))
        assert held.wait(20)
        others = [pool.submit(log.write, "decision", make_record(number)) for number in range(2, 6)]
        while len(commit._entries) < 4:
            threading.Event().wait(0.001)
        let_go.set()
        outcomes = [future.exception(20) for future in [first, *others]]
    log.close()
    report = verify_audit_log(tmp_path / "audit", trust)
    kept = b"".join(path.read_bytes() for path in (tmp_path / "audit").glob("*.jsonl"))

    assert [KeyboardInterrupt] == [type(outcome) for outcome in outcomes if outcome is not None]
    assert (True, 2) == (report.ok, report.chains)
    assert all(f"{number:032x}".encode() in kept for number in range(6) if number == 0 or outcomes[number - 1] is None)
