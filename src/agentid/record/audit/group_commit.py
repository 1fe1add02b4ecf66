"""
Group commit: many threads have something to put on the disk, and one of them does it for all.

Each thread hands in what it has and sleeps. One of them, the leader, does the work for everything that was handed in
and wakes the first of the others, which wakes the next: as few changes between threads as there can be, since one costs
more than a record, and none that only finds the interpreter taken.

- Whoever makes a batch complete leads it at once. It is complete with as many as were there the last time: those whom
  the last work released come back with what they have next, and without them every other batch would be half full.
- When fewer come, the one that was there first leads what there is.
- Whoever is alone waits for nobody.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Lock
from typing import Final, Generic, TypeVar

__all__ = ["Entry", "GroupCommit"]

PATIENCE: Final = 0.5
"""How long a batch waits for one more, as a part of how long the last work took,"""

LONGEST: Final = 0.005
"""but never more than so many seconds, since a disk may take a second now and then,"""

LIMIT: Final = 16
"""and how many times as long in all, while more keep coming."""

T = TypeVar("T")


class Entry(Generic[T]):
    """
    What one thread handed in.

    Attributes:
        item: It.
        failure: Why it could not be done; whoever does the work sets it.
        following: Whom to wake next, once its own thread is awake.
    """

    __slots__ = ("done", "failure", "following", "gate", "item", "left")

    def __init__(self, item: T) -> None:
        self.item = item
        self.failure: OSError | None = None
        self.done = False
        self.left = False
        self.following: Entry[T] | None = None
        self.gate = Lock()
        self.gate.acquire()

    def wake(self) -> None:
        """Let its thread look again. Maybe it was woken before, and has not come to look yet."""
        with suppress(RuntimeError):
            self.gate.release()


Work = Callable[[Sequence[Entry[T]]], Callable[[], None] | None]
"""
Does the work for some entries, in order, and sets `failure` for those that could not be done. What it raises is the
failure of all others. What it gives is called by the leader once the others go on.
"""


class GroupCommit(Generic[T]):
    """
    Does work for many threads at once.

    Args:
        work: Does it; never for two batches at the same time.
    """

    __slots__ = ("_batch", "_entries", "_expected", "_leader", "_lock", "_took", "_work")

    def __init__(self, work: Work[T]) -> None:
        self._work = work
        self._lock = Lock()
        self._entries: list[Entry[T]] = []
        self._batch: list[Entry[T]] = []
        self._leader: Entry[T] | None = None
        self._expected = 1
        self._took = 0.0

    def submit(self, item: T) -> None:
        """
        Return once the work is done for *item*.

        Raises:
            OSError: It could not be done.
        """
        mine = Entry(item)
        try:
            self._go_through(mine)
        except BaseException:
            self._leave(mine)
            raise
        if mine.failure is not None:
            # Each thread raises an error of its own: one that many raise would collect all their tracebacks.
            raise type(mine.failure)(*mine.failure.args) from mine.failure

    def _go_through(self, mine: Entry[T]) -> None:
        with self._lock:
            self._entries.append(mine)
            is_first = self._leader is None and len(self._entries) == 1
            leads = self._leader is None and len(self._entries) >= self._expected
            if leads:
                self._take(mine)
        if leads or not self._is_done(mine, is_first=is_first):
            self._lead(mine)
        elif mine.following is not None:
            mine.following.wake()

    def _take(self, mine: Entry[T]) -> None:
        self._batch, self._entries, self._leader = self._entries, [], mine

    def _is_done(self, mine: Entry[T], *, is_first: bool) -> bool:
        """Wait until *mine* is done by another thread; False if this one has taken the lead."""
        if not is_first:
            mine.gate.acquire()
        # From here on nobody leads, and it is up to this thread to see that somebody does.
        patience = min(self._took * PATIENCE, LONGEST)
        until = time.monotonic() + LIMIT * patience
        pause, seen = patience, 1
        while not mine.done:
            if mine.gate.acquire(timeout=pause):
                pause = patience
                continue
            with self._lock:
                if mine.done:
                    break
                if self._leader is not None:
                    pause = -1  # somebody made the batch complete
                    continue
                count = len(self._entries)
                if count == seen or time.monotonic() >= until:
                    self._take(mine)
                    return False
                seen = count
        return True

    def _lead(self, mine: Entry[T]) -> None:
        after: Callable[[], None] | None = None
        failure: OSError | None = _interrupted()
        began = time.monotonic()
        try:
            after = self._work(self._batch)
            failure = None
        except OSError as error:
            failure = error
        finally:
            with self._lock:
                self._finish(mine, failure)
                self._took = time.monotonic() - began
                # Those who came meanwhile need one of them to see to it that somebody leads.
                first = self._entries[0] if self._entries else None
            for entry in (mine.following, first):
                if entry is not None:
                    entry.wake()
        if after is not None:
            after()

    def _finish(self, mine: Entry[T], failure: OSError | None) -> None:
        batch, self._batch, self._leader = self._batch, [], None
        self._expected = len(batch) + len(self._entries)
        previous = mine
        for entry in batch:
            entry.failure = entry.failure or failure
            entry.done = True
            if entry is not mine and not entry.left and entry.gate.locked():
                previous.following = entry
                previous = entry

    def _leave(self, mine: Entry[T]) -> None:
        """An interrupt ended what this thread was at: nobody may be left waiting for it."""
        with self._lock:
            mine.left = True
            if mine in self._entries:
                self._entries.remove(mine)
            if self._leader is mine:
                self._finish(mine, _interrupted())
            # It may have been the one to see to it that somebody leads.
            waiting = [entry for entry in (mine.following, *self._entries) if entry is not None]
        for entry in waiting:
            entry.wake()


def _interrupted() -> OSError:
    return OSError("the thread that did the work for others was interrupted")
