"""What a program and its children touched, counted. Each process counts for itself, and the program gathers it all."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import uuid4

if TYPE_CHECKING:
    from agentid.record import AccessRecord

__all__ = ["Row", "Touched"]

_MOST: Final = 10_000
_MOST_BYTES: Final = 64 * 2**20
_RANK: Final = {"deny": 0, "would_deny": 1, "would_ask": 2, "allow": 3}


class Row(NamedTuple):
    """One thing that was done to one resource, and what was decided."""

    action: str
    resource: str
    decision: str
    reason: str


class Touched:
    """
    An observer that counts.

    Attributes:
        left_out: How often something was touched that is not counted by its name, because there were too many.
    """

    def __init__(self) -> None:
        self._counts: Counter[Row] = Counter()
        # The garbage collector may end an access while this thread counts another one.
        self._lock = RLock()
        self.left_out = 0

    def __call__(self, record: AccessRecord) -> None:
        """Count what a record is about; what was not to be named is counted by the name of what touched it."""
        accesses = [(access.action, str(access.resource)) for access in record.accesses] or [("", record.tool)]
        for action, resource in accesses:
            self._add(Row(action, resource, record.effect, record.reason), 1)

    def _add(self, row: Row, times: int) -> None:
        with self._lock:
            if row in self._counts or len(self._counts) < _MOST:
                self._counts[row] += times
            else:
                self.left_out += times

    def forked(self) -> None:
        """Begin anew in a child process: the parent counts what was before."""
        self._counts, self._lock, self.left_out = Counter(), RLock(), 0

    def rows(self) -> list[tuple[Row, int]]:
        """What was touched how often: refused before allowed, often before seldom."""
        with self._lock:
            found = list(self._counts.items())
        return sorted(found, key=lambda item: (_RANK.get(item[0].decision, 0), -item[1], item[0].resource))

    # --- from one process to another ---------------------------------------------------------------------------------

    def leave(self, folder: str) -> None:
        """Leave what this process touched for the program to gather, if that is still there."""
        if not self._counts:
            return
        lines = [[*row, times] for row, times in self.rows()]
        try:
            name = Path(folder) / f"touched-{os.getpid()}-{uuid4().hex}.json"
            opened = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(opened, "w", encoding="utf-8") as file:
                json.dump({"rows": lines, "left_out": self.left_out}, file)
        except OSError:
            return  # the program has ended, and nobody asks any more

    def gather(self, folder: str) -> None:
        """Add what others left."""
        for path in sorted(Path(folder).glob("touched-*.json")):
            try:
                with path.open("rb") as file:
                    found: dict[str, Any] = json.loads(file.read(_MOST_BYTES))
                rows = [(Row(*map(str, row)), int(times)) for *row, times in found["rows"]]
                self.left_out += int(found["left_out"])
            except (OSError, ValueError, TypeError, KeyError):
                continue  # a process that was killed while it wrote
            for row, times in rows:
                self._add(row, times)
