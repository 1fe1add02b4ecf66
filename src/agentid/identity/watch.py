"""
Looking at what changes elsewhere, such as keys in a file that another process replaces.

Nothing runs in the background. A trust anchor asks its sources when something is verified, and a session asks it
again when the answer is due: a source brings the anchor up to date, and says until when that is good enough. Between
two looks a question costs two comparisons.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from threading import RLock

__all__ = ["Source", "Watch"]

Source = Callable[[float], float]
"""
Is given Unix seconds, brings what it stands for up to date, and gives the seconds at which it wants to be asked again.

Raises:
    CredentialError: It cannot look, so nobody knows what is good.
"""


class Watch:
    """
    Asks sources, each time that the first of them wants to be asked. Safe in several threads.

    Attributes:
        due: Unix seconds from which on the next look asks again; infinity where there is nothing to ask.
    """

    __slots__ = ("_asked", "_lock", "_looks", "_once_more", "_sources", "due")

    def __init__(self) -> None:
        self._lock = RLock()
        self._looks = 0
        self._once_more: bool | None = None
        self._sources: tuple[Source, ...] = ()
        self._asked = -math.inf
        self.due = math.inf

    @property
    def has_sources(self) -> bool:
        """Whether there is anybody to ask."""
        return bool(self._sources)

    def add(self, source: Source) -> None:
        """Ask *source* from now on, at the next look for the first time."""
        with self._lock:
            self._sources = (*self._sources, source)
            self.due = -math.inf

    def again(self) -> None:
        """Ask at the next look, whatever was said before; also when a source says so that is being asked."""
        # Without the lock: whoever is asked may take its time, and this is one store.
        if self._once_more is not None:
            self._once_more = True
        self.due = -math.inf

    def anew(self) -> Watch:
        """Give one with the same sources that asks at its first look; for a child process, which inherits locks."""
        watch = Watch()
        watch._sources = self._sources
        watch.due = -math.inf if self._sources else math.inf
        return watch

    def look(self, now: float) -> None:
        """
        Ask, if it is time to.

        Raises:
            CredentialError: A source cannot look. The next look asks again.
        """
        # Written so that a clock that answers NaN, or was set back, asks.
        if self._asked <= now < self.due:
            return
        looks = self._looks
        with self._lock:
            # Another thread has asked while this one waited, or a source that this one asks has verified something.
            if looks != self._looks or self._once_more is not None:
                return
            self._once_more = False
            try:
                due = min((source(now) for source in self._sources), default=math.inf)
                self._asked, self.due = now, -math.inf if self._once_more else due
                self._looks += 1
            finally:
                self._once_more = None
