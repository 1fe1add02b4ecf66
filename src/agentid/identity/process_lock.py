"""
A lock for what takes a while, such as reading a file.

A process that is forked while another thread holds a lock finds it taken for ever: it has no such thread. Here the
child gets a new one.
"""

from __future__ import annotations

import os
from threading import Lock

__all__ = ["ProcessLock"]


class ProcessLock:
    """A lock among the threads of one process, to be used as a context manager. A forked child has its own."""

    __slots__ = ("_lock", "_process")

    def __init__(self) -> None:
        self._lock = Lock()
        self._process = os.getpid()

    def __enter__(self) -> None:
        if self._process != os.getpid():
            self._lock, self._process = Lock(), os.getpid()
        self._lock.acquire()

    def __exit__(self, *_exc: object) -> None:
        self._lock.release()
