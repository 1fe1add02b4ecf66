"""
Hands checkpoints to anchors in the background, so that no call waits for a network.

Best effort: what fails or comes too fast is counted and logged. When anchors are slow, older checkpoints make way
for newer ones, which say more. There is a thread only while there is something to send.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from threading import Condition, Thread
from typing import Final

__all__ = ["Anchor", "AnchorSender"]

MAX_WAITING: Final = 64

log = logging.getLogger("agentid")

Anchor = Callable[[str], None]
"""Takes a checkpoint, a signed note, out of reach of whoever could change the log. May raise."""


class AnchorSender:
    """
    Sends checkpoints, oldest first.

    Args:
        anchors: Each gets every checkpoint.

    Attributes:
        failures: How often an anchor raised, or a checkpoint was dropped because anchors were too slow.
    """

    def __init__(self, anchors: Iterable[Anchor]) -> None:
        self.failures = 0
        self._anchors = tuple(anchors)
        self._turn = Condition()
        self._waiting: deque[str] = deque()
        self._running = False

    def send(self, note: str) -> None:
        """Send a checkpoint soon. Never raises, never waits for an anchor."""
        if not self._anchors:
            return
        with self._turn:
            if len(self._waiting) >= MAX_WAITING:
                self._waiting.popleft()
                self._fail("a checkpoint was not anchored: the anchors are too slow")
            self._waiting.append(note)
            if self._running:
                return
            self._running = True
        try:
            Thread(target=self._run, name="agentid-audit-anchor", daemon=True).start()
        except RuntimeError:
            # The interpreter is shutting down and starts no more threads.
            self._run()

    def flush(self, seconds: float) -> bool:
        """Wait until all is sent, at most so long; say whether it was."""
        with self._turn:
            return self._turn.wait_for(lambda: not self._running, seconds)

    def _run(self) -> None:
        while True:
            with self._turn:
                if not self._waiting:
                    self._running = False
                    self._turn.notify_all()
                    return
                note = self._waiting.popleft()
            for anchor in self._anchors:
                try:
                    anchor(note)
                except Exception as failure:  # noqa: BLE001 -- an anchor never stops the log
                    self._fail(f"a checkpoint could not be anchored ({type(failure).__name__})")

    def _fail(self, what: str) -> None:
        self.failures += 1
        log.warning("%s", what)
