"""
Group commit: many threads wait for the disk, and one of them makes the disk work for all.

The first that finds nobody at it becomes the leader and syncs everything appended so far; the others wait for it.
A leader first gives those whom the last sync released a moment to append their next record, else half of the
syncs would be for one record. Whoever is alone waits for nobody.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Condition, Lock
from typing import Final

__all__ = ["GroupCommit"]

PATIENCE: Final = 0.5
"""How long a leader waits for others, as a part of how long the last sync took."""


class GroupCommit:
    """
    Waits for what was appended to reach the disk.

    Args:
        sync: Makes everything appended before the call survive a power failure, and says how much that is.
    """

    __slots__ = ("_done", "_enough", "_expected", "_failure", "_leading", "_pending", "_sync", "_sync_took", "_turn")

    def __init__(self, sync: Callable[[], int]) -> None:
        self._sync = sync
        lock = Lock()
        self._turn = Condition(lock)
        self._enough = Condition(lock)
        self._done = 0
        self._failure: OSError | None = None
        self._leading = False
        self._pending: list[int] = []
        self._expected = 1
        self._sync_took = 0.0

    def wait(self, size: int) -> None:
        """
        Return once the first *size* things are safe.

        Raises:
            OSError: The disk failed. It may have forgotten what it was given, so no later wait succeeds.
        """
        with self._turn:
            self._pending.append(size)
            try:
                if self._leading and self._joined() >= self._expected:
                    self._enough.notify()
                while self._leading and self._done < size:
                    self._turn.wait()
                if self._done >= size:
                    return
                if self._failure is not None:
                    raise self._failure
                self._leading = True
                try:
                    self._let_others_join()
                except BaseException:
                    self._leading = False
                    self._turn.notify_all()
                    raise
            finally:
                self._pending.remove(size)
        self._lead()

    def _joined(self) -> int:
        """How many wait for what is not safe yet; those whom the last sync released may not have left."""
        return sum(size > self._done for size in self._pending)

    def _let_others_join(self) -> None:
        until = time.monotonic() + self._sync_took * PATIENCE
        while self._joined() < self._expected:
            left = until - time.monotonic()
            if left <= 0 or not self._enough.wait(left):
                break

    def _lead(self) -> None:
        done, failure = 0, None
        began = time.monotonic()
        try:
            done = self._sync()
        except OSError as error:
            failure = error
            raise
        finally:
            with self._turn:
                self._leading = False
                self._sync_took = time.monotonic() - began
                self._expected = len(self._pending) + 1
                self._done = max(self._done, done)
                self._failure = self._failure or failure
                self._turn.notify_all()
