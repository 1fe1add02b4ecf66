"""
What a forked child must not take over from its parent.

Here are a lock for what takes a while, such as reading a file, and how an object hears of a fork.

A process that is forked while another thread holds a lock finds it taken for ever: it has no such thread. Here the
child gets a new one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Lock
from weakref import WeakMethod

__all__ = ["ProcessLock", "call_in_children"]


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


def call_in_children(method: Callable[[], None]) -> None:
    """Call a method in each child process that is forked off, as long as its object lives."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_Kept(method))


class _Kept:
    """What is registered can never be taken back, so it must not keep the object alive."""

    __slots__ = ("_method",)

    def __init__(self, method: Callable[[], None]) -> None:
        self._method = WeakMethod(method)

    def __call__(self) -> None:
        method = self._method()
        if method is not None:
            method()
