"""Many threads wait for the disk together, and none returns before its record is there."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from agentid.record.audit.group_commit import GroupCommit


class Disk:
    """Something to append to and to sync; a sync takes as long as the test wants it to."""

    def __init__(self):
        self.appended = 0
        self.safe = 0
        self.syncs = 0
        self.fails = False
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.lock = threading.Lock()
        self.commit = GroupCommit(self.sync)

    def sync(self):
        size = self.appended
        self.entered.set()
        assert self.gate.wait(20)
        if self.fails:
            raise OSError("broken")
        self.syncs += 1
        self.safe = max(self.safe, size)
        return size

    def write(self):
        with self.lock:
            self.appended += 1
            mine = self.appended
        self.commit.wait(mine)
        return self.safe >= mine


@pytest.fixture
def disk():
    return Disk()


def test_one_thread_syncs_once_for_each_record_and_waits_for_nobody(disk):
    assert all(disk.write() for _ in range(50))
    assert 50 == disk.syncs


def test_no_thread_returns_before_its_record_is_safe(disk):
    with ThreadPoolExecutor(8) as pool:
        safe = list(pool.map(lambda _: disk.write(), range(2000)))

    assert 2000 == sum(safe)


def test_those_who_come_during_a_sync_share_the_next_one(disk):
    disk.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(disk.write)
        assert disk.entered.wait(20)
        others = [pool.submit(disk.write) for _ in range(7)]
        while len(disk.commit._pending) < 7:
            threading.Event().wait(0.001)
        disk.gate.set()
        assert all(future.result(20) for future in [first, *others])

    assert 2 == disk.syncs


def test_a_record_that_an_earlier_sync_covered_needs_none(disk):
    disk.appended = 5
    disk.commit.wait(5)
    disk.commit.wait(3)

    assert 1 == disk.syncs


def test_a_disk_that_failed_once_is_believed_nothing_more(disk):
    """It may have dropped what it was given, and a later sync would not tell."""
    disk.fails = True
    with pytest.raises(OSError, match="broken"):
        disk.write()
    disk.fails = False

    with pytest.raises(OSError, match="broken"):
        disk.write()
    assert 0 == disk.syncs


def test_everybody_who_waits_hears_that_the_disk_failed(disk):
    disk.gate.clear()
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(disk.write)
        assert disk.entered.wait(20)
        others = [pool.submit(disk.write) for _ in range(3)]
        while len(disk.commit._pending) < 3:
            threading.Event().wait(0.001)
        disk.fails = True
        disk.gate.set()
        errors = [type(future.exception(20)) for future in [first, *others]]

    assert [OSError] * 4 == errors


def test_a_leader_that_is_interrupted_leaves_the_lead_to_another(disk):
    real = disk.sync
    calls = []

    def interrupted():
        if not calls:
            calls.append(1)
            raise KeyboardInterrupt
        return real()

    disk.commit._sync = interrupted
    with pytest.raises(KeyboardInterrupt):
        disk.write()

    assert disk.write()


def test_threads_that_write_on_and_on_are_taken_together():
    """
    Whoever a sync released needs a moment to come back with its next record.

    Without waiting for them every other sync would be for one record, and a batch of half of the threads.
    """

    def batch():
        disk = Disk()
        real = disk.sync

        def slow():
            size = real()
            threading.Event().wait(0.005)
            return size

        disk.commit._sync = slow
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: [disk.write() for _ in range(30)], range(8)))
        return 8 * 30 / disk.syncs

    assert any(batch() >= 5 for _ in range(5))
