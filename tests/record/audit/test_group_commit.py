"""Many threads hand in what they have, one does the work for all, and none returns before its own is done."""

from __future__ import annotations

import ctypes
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from agentid.record.audit.group_commit import Entry, GroupCommit


class Disk:
    """Takes batches; one takes as long as the test wants it to."""

    def __init__(self):
        self.batches = []
        self.afterwards = []
        self.broken = set()
        self.fails = None
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.at_work = 0
        self.commit = GroupCommit(self.work)

    def work(self, entries):
        self.at_work += 1
        assert 1 == self.at_work
        try:
            self.entered.set()
            assert self.gate.wait(20)
            if self.fails is not None:
                raise self.fails
            for entry in entries:
                if entry.item in self.broken:
                    entry.failure = OSError(28, f"no room for {entry.item}")
            self.batches.append([entry.item for entry in entries])
        finally:
            self.at_work -= 1
        return lambda: self.afterwards.append(len(entries))

    def write(self, item):
        self.commit.submit(item)
        return any(item in batch for batch in self.batches)

    def wait_for(self, count):
        """Until so many wait for the next batch."""
        while len(self.commit._entries) < count:
            threading.Event().wait(0.001)


@pytest.fixture
def disk():
    return Disk()


@pytest.fixture
def pool():
    with ThreadPoolExecutor(8) as pool:
        yield pool


def test_one_thread_makes_a_batch_of_each_and_waits_for_nobody(disk, monkeypatch):
    monkeypatch.setattr(disk.commit.__class__, "_is_done", lambda *_, **__: pytest.fail("it waited"))

    assert all(disk.write(number) for number in range(50))
    assert [[number] for number in range(50)] == disk.batches


def test_no_thread_returns_before_its_own_is_done_and_nothing_is_done_twice_or_forgotten(disk, pool):
    done = list(pool.map(disk.write, range(4000)))

    assert 4000 == sum(done)
    assert list(range(4000)) == sorted(item for batch in disk.batches for item in batch)
    assert [len(batch) for batch in disk.batches] == disk.afterwards


def test_those_who_come_during_the_work_share_the_next_batch_in_the_order_in_which_they_came(disk, pool):
    disk.gate.clear()
    first = pool.submit(disk.write, 0)
    assert disk.entered.wait(20)
    others = []
    for number in range(1, 8):
        others.append(pool.submit(disk.write, number))
        disk.wait_for(number)
    disk.gate.set()

    assert all(future.result(20) for future in [first, *others])
    assert [[0], [1, 2, 3, 4, 5, 6, 7]] == disk.batches


def test_whoever_makes_a_batch_complete_leads_it_and_the_first_does_not_wait_for_its_time(disk, pool, monkeypatch):
    monkeypatch.setattr("agentid.record.audit.group_commit.LONGEST", 60.0)
    disk.commit._expected, disk.commit._took = 3, 1000.0
    first, second = pool.submit(disk.write, 0), pool.submit(disk.write, 1)
    disk.wait_for(2)

    assert pool.submit(disk.write, 2).result(20)
    assert first.result(20)
    assert second.result(20)
    assert [3] == [len(batch) for batch in disk.batches]


def test_a_batch_does_not_wait_for_those_who_do_not_come_back(disk, pool):
    """Eight were there, and now there is one: it waits a moment once, and then knows."""
    disk.commit._expected, disk.commit._took = 8, 1000.0

    assert disk.write(0)
    assert disk.write(1)
    assert [[0], [1]] == disk.batches
    assert 1 == disk.commit._expected


def test_a_failure_of_one_is_none_of_the_others(disk, pool):
    disk.broken = {3}
    disk.gate.clear()
    first = pool.submit(disk.write, 0)
    assert disk.entered.wait(20)
    others = {number: pool.submit(disk.write, number) for number in range(1, 6)}
    disk.wait_for(5)
    disk.gate.set()

    assert first.result(20)
    assert [True] * 4 == [others[number].result(20) for number in (1, 2, 4, 5)]
    assert (28, "no room for 3") == others[3].exception(20).args


def test_everybody_in_a_batch_hears_that_the_work_failed_by_an_error_of_its_own(disk, pool):
    disk.gate.clear()
    first = pool.submit(disk.write, 0)
    assert disk.entered.wait(20)
    others = [pool.submit(disk.write, number) for number in range(1, 4)]
    disk.wait_for(3)
    disk.fails = OSError(5, "broken")
    disk.gate.set()
    errors = [future.exception(20) for future in [first, *others]]

    assert [(5, "broken")] * 4 == [error.args for error in errors]
    assert 4 == len(set(map(id, errors)))
    assert [] == disk.afterwards


def test_a_leader_that_is_interrupted_leaves_the_lead_to_another_and_its_followers_hear_of_it(disk, pool):
    disk.gate.clear()
    first = pool.submit(disk.write, 0)
    assert disk.entered.wait(20)
    others = [pool.submit(disk.write, number) for number in range(1, 4)]
    disk.wait_for(3)
    real = disk.commit._work
    left = [1]

    def interrupted(entries):
        if left:
            left.pop()
            raise KeyboardInterrupt
        return real(entries)

    disk.commit._work = interrupted
    disk.gate.set()
    outcomes = [type(future.exception(20)) for future in others]

    assert first.result(20)
    assert [KeyboardInterrupt, OSError, OSError] == sorted(outcomes, key=lambda kind: kind.__name__)
    assert disk.write(9)


@pytest.fixture
def interrupt(monkeypatch):
    """Lets an interrupt reach the thread that waits at a gate."""
    interrupted = set()

    class Gate:
        def __init__(self):
            lock = threading.Lock()
            self.wait, self.release, self.locked = lock.acquire, lock.release, lock.locked

        def acquire(self, timeout=-1):
            left = timeout
            while not self.wait(timeout=0.002):
                left -= 0.002
                if self in interrupted:
                    raise KeyboardInterrupt
                if 0 <= timeout and left <= 0:
                    return False
            return True

    monkeypatch.setattr("agentid.record.audit.group_commit.Lock", Gate)
    return lambda entry: interrupted.add(entry.gate)


def test_a_leader_that_is_interrupted_before_it_began_leaves_nobody_waiting(disk, pool, monkeypatch):
    disk.gate.clear()
    first = pool.submit(disk.write, 0)
    assert disk.entered.wait(20)
    others = [pool.submit(disk.write, number) for number in range(1, 4)]
    disk.wait_for(3)
    real, left = GroupCommit._lead, [1]

    def interrupted(commit, mine):
        if left:
            left.pop()
            raise KeyboardInterrupt
        real(commit, mine)

    monkeypatch.setattr(GroupCommit, "_lead", interrupted)
    disk.gate.set()
    outcomes = [type(future.exception(20)) for future in others]

    assert first.result(20)
    assert [KeyboardInterrupt, OSError, OSError] == sorted(outcomes, key=lambda kind: kind.__name__)
    assert [[0]] == disk.batches
    assert disk.write(9)


@pytest.mark.parametrize("who", [0, 1], ids=["the one that keeps the time", "another"])
def test_one_that_is_interrupted_while_it_waits_takes_back_what_it_has_and_stops_nobody(
    disk, pool, interrupt, monkeypatch, who
):
    monkeypatch.setattr("agentid.record.audit.group_commit.LONGEST", 60.0)
    disk.commit._expected, disk.commit._took = 3, 1000.0
    waiting = []
    for number in range(2):
        waiting.append(pool.submit(disk.write, number))
        disk.wait_for(number + 1)
    interrupt(disk.commit._entries[who])

    assert KeyboardInterrupt is type(waiting[who].exception(20))
    assert all(future.result(20) for future in [pool.submit(disk.write, number) for number in (2, 3)])
    assert waiting[1 - who].result(20)
    assert [[1 - who, 2, 3]] == [sorted(batch) for batch in disk.batches]


@pytest.mark.parametrize("who", [1, 2, 3, 4])
def test_one_that_is_interrupted_while_its_batch_is_done_keeps_nobody_asleep(disk, pool, interrupt, who):
    """Those of a batch wake each other, one after the other, and one of them is not there any more."""
    disk.gate.clear()
    first = pool.submit(disk.write, 0)
    assert disk.entered.wait(20)
    others = []
    for number in range(1, 6):
        others.append(pool.submit(disk.write, number))
        disk.wait_for(number)
    entries = list(disk.commit._entries)
    real = disk.commit._work

    def work(batch):
        if len(batch) == 5 and entries[who].gate.locked():
            interrupt(entries[who])
            others[who].exception(20)
        return real(batch)

    disk.commit._work = work
    disk.gate.set()
    outcomes = [type(future.exception(20)) for future in [first, *others]]

    assert outcomes.count(KeyboardInterrupt) <= 1
    assert {type(None), KeyboardInterrupt} >= set(outcomes)
    assert [[0], [1, 2, 3, 4, 5]] == disk.batches


@pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="raises in another thread by a function of CPython that others lack"
)
def test_interrupts_at_any_moment_stop_only_the_threads_that_they_reach(disk):
    """Wherever they come, nobody waits for ever, nothing is done twice, and what was done is known to be."""
    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
    interrupted, done, real = [], [], disk.commit._work

    def slow(entries):
        threading.Event().wait(0.0005)
        return real(entries)

    disk.commit._work = slow

    class Interrupt(BaseException):
        pass

    def write_on(first, numbers):
        for number in numbers:
            with suppress(OSError):  # of one that led and was interrupted
                disk.commit.submit((first, number))
                done.append((first, number))

    def again_and_again(first, numbers, depth=3):
        """Interrupts come where this says that one came, too."""
        while True:
            try:
                if depth:
                    again_and_again(first, numbers, depth - 1)
                else:
                    write_on(first, numbers)
            except Interrupt:
                interrupted.append(first)
            else:
                return

    def guarded(first):
        again_and_again(first, iter(range(150)))

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads[1:]):
        for thread in threads[1:]:
            raise_in(ctypes.c_ulong(thread.ident), ctypes.py_object(Interrupt))
            threading.Event().wait(0.0005)
    for thread in threads:
        thread.join(20)
    written = [item for batch in disk.batches for item in batch]

    assert [] == [thread for thread in threads if thread.is_alive()]
    assert len(written) == len(set(written))
    assert set(done) <= set(written)
    assert disk.write("after all that")
    assert len(interrupted) > 5


def test_a_thread_that_is_woken_twice_before_it_looks_looks_once():
    entry = Entry(1)
    entry.wake()
    entry.wake()

    assert entry.gate.acquire(timeout=0)
    assert not entry.gate.acquire(timeout=0)


def test_threads_that_write_on_and_on_are_taken_together():
    """
    Whoever a batch released needs a moment to come back with its next one.

    Without waiting for them every other batch would be for one record, and the rest half full.
    """

    def size():
        disk = Disk()
        real = disk.commit._work

        def slow(entries):
            threading.Event().wait(0.005)
            return real(entries)

        disk.commit._work = slow
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda first: [disk.write((first, number)) for number in range(30)], range(8)))
        return 8 * 30 / len(disk.batches)

    assert any(size() >= 6 for _ in range(5))
