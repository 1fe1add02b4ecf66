"""
A bounded memory of what was verified, so that a signature is checked once and not at each call.

It knows nothing about tokens. Whoever asks it re-checks what can change: time, keys, revocation.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, TypeVar

__all__ = ["Cache"]

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Cache(Generic[Key, Value]):
    """
    Keeps what was used last, within a number of entries and a total size. Safe in several threads.

    Args:
        entries: How many are kept.
        size: The most that the sizes of all entries may add up to.
    """

    __slots__ = ("_entries", "_items", "_lock", "_size", "_total")

    def __init__(self, *, entries: int, size: int) -> None:
        self._entries = entries
        self._size = size
        self._total = 0
        self._items: OrderedDict[Key, tuple[Value, int]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Key) -> Value | None:
        """Give what was kept for *key*, or `None`."""
        with self._lock:
            found = self._items.get(key)
            if found is None:
                return None
            self._items.move_to_end(key)
            return found[0]

    def put(self, key: Key, value: Value, size: int) -> None:
        """Keep *value*, dropping what was not used for longest; what alone is too large is not kept."""
        if size > self._size:
            return
        with self._lock:
            _, before = self._items.pop(key, (None, 0))
            self._items[key] = (value, size)
            self._total += size - before
            while len(self._items) > self._entries or self._total > self._size:
                _, (_, dropped) = self._items.popitem(last=False)
                self._total -= dropped

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            self._items.clear()
            self._total = 0

    def __len__(self) -> int:
        return len(self._items)
