"""
Where an authority has its keys: in memory, or in a file that several processes share.

- A change of the file by another process is noticed within a second: the file's mark is looked at, at most twice
  a second, and its content only when the mark has changed.
- Where the path leads is settled once, as it is for what was revoked. A program that changes its folder keeps its keys,
  and a link that leads elsewhere by now is an error.
- A file that cannot be looked at any more gives an error and not the keys of before: they may have been replaced
  in an emergency.
- Nothing runs in the background. Whoever needs the keys asks, with the time.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple

from agentid.errors import ConfigurationError, quote
from agentid.identity.keys.bundle import Bundle
from agentid.identity.keys.key_file import change_keys, load_or_create_keys, read_keys
from agentid.identity.keys.key_ring import KeyRing
from agentid.secret import Secret
from agentid.signing import KeySet

__all__ = ["KeyStore", "PublishedKeys"]

INTERVAL: Final = 0.5
"""Seconds between two looks at the file."""


class _Mark(NamedTuple):
    """What differs between a file and the one that replaced it."""

    inode: int
    size: int
    changed: int
    written: int


@dataclass(frozen=True, slots=True)
class PublishedKeys:
    """
    What is trusted at a time.

    Attributes:
        bundle: The public keys, the same object as long as they are the same, and the number of this state.
        due: Unix seconds at which to ask again: the next key ends, or the file is to be looked at. Infinity where
            neither can be.
    """

    bundle: Bundle
    due: float


class KeyStore(Secret):
    """
    The keys of one authority. Safe in several threads.

    Args:
        ring: The keys.
        path: The file that they are from; `None` where they are in memory alone.
    """

    __slots__ = (
        "_ends",
        "_lock",
        "_looked",
        "_mark",
        "_path",
        "_process",
        "_published",
        "_published_at",
        "_real",
        "_ring",
    )

    def __init__(self, ring: KeyRing, path: str | os.PathLike[str] | None = None) -> None:
        self._lock = Lock()
        self._process = os.getpid()
        self._path = None if path is None else os.path.abspath(path)  # noqa: PTH100 -- `..` behind a link stays
        self._real = None if path is None else os.path.realpath(path)
        self._ring = ring
        # Looked at when it is first used: what was read before may be old by then.
        self._mark: _Mark | None = None
        self._looked: float | None = None
        self._published: Bundle | None = None
        self._published_at = 0.0
        self._ends = 0.0

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, trust_domain: str, complete: bool = False) -> KeyStore:
        """
        Give the keys in a file; make the file with new keys when it is missing.

        Args:
            path: The file.
            trust_domain: Whose keys they are, in lower case.
            complete: Add a key for each use that came up after the file was written.

        Raises:
            ConfigurationError: The file cannot be read or written, others can get at it, it is not a whole key file,
                or its keys are another trust domain's.
        """
        return cls(load_or_create_keys(path, trust_domain=trust_domain, complete=complete), path)

    def ring(self, now: float) -> KeyRing:
        """
        Give the keys as they are *now*, in Unix seconds.

        Raises:
            ConfigurationError: Their file cannot be read any more, or is not a whole key file.
        """
        with self._alone():
            self._look(now)
            return self._ring

    def published(self, now: float, *, to: Callable[[Bundle], None] | None = None) -> PublishedKeys:
        """
        Give what is trusted *now*, in Unix seconds.

        Args:
            now: Unix seconds.
            to: Is told, before anybody can change the keys again: nobody learns of an old state after a new one.

        Raises:
            ConfigurationError: The file of the keys cannot be read any more, or is not a whole key file.
        """
        with self._alone():
            self._look(now)
            found, ends = self._published, self._ends
            # A clock that was set back makes a key good again, as it does for what the key signed.
            if found is None or not self._published_at <= now < ends:
                keys = KeySet(self._ring.public_keys(now))
                if found is not None and list(found.keys) == list(keys):
                    keys = found.keys
                found = self._published = Bundle(keys, self._ring.sequence_at(now))
                ends = self._ends = self._ring.next_end(now)
                self._published_at = now
            if to is not None:
                to(found)
            return PublishedKeys(found, ends if self._path is None else min(ends, now + INTERVAL))

    def rotate(self, *, now: float, overlap: timedelta) -> KeyRing:
        """
        Replace the keys that sign tokens; see `KeyRing.rotated`.

        Raises:
            ConfigurationError: The overlap is not one, there would be too many keys, they are kept elsewhere, or
                their file cannot be read or written.
        """

        def change(ring: KeyRing) -> KeyRing:
            return self._checked(ring).rotated(now=now, overlap=overlap)

        with self._alone():
            if self._path is None:
                self._take(change(self._ring))
            else:
                self._check_link(self._path)
                self._take(change_keys(self._path, change))
            return self._ring

    def _alone(self) -> Lock:
        # In a child process, a lock that a thread of the parent held stays locked for ever.
        if self._process != os.getpid():
            self._lock, self._process = Lock(), os.getpid()
        return self._lock

    def _look(self, now: float) -> None:
        if self._path is None:
            return
        # Written so that a clock that answers NaN, or was set back, looks.
        if self._looked is not None and self._looked <= now < self._looked + INTERVAL:
            return
        self._check_link(self._path)
        # Before it is read: a change while it is read is noticed at the next look.
        mark = _mark(self._path)
        if mark != self._mark:
            self._take(self._checked(read_keys(self._path)))
            self._mark = mark
        # Last: after an error the next one looks again.
        self._looked = now

    def _check_link(self, path: str) -> None:
        if os.path.realpath(path) != self._real:
            raise self._refused("it is a link, and leads to another file than when it was opened")

    def _checked(self, ring: KeyRing) -> KeyRing:
        """Give what was read, if it may follow on what is here."""
        if ring.trust_domain != self._ring.trust_domain:
            raise self._refused(f"it is not that of {quote(self._ring.trust_domain)} any more")
        # Keys that were replaced in an emergency must not come back with a file from a backup.
        if ring.sequence < self._ring.sequence:
            raise self._refused("it was put back to an older state")
        return ring

    def _refused(self, why: str) -> ConfigurationError:
        return ConfigurationError(
            f"The key file {quote(os.fspath(self._path or ''))} was refused",
            why=why,
            fix="Put the right one in its place, or start the program again if it is the right one",
        )

    def _take(self, ring: KeyRing) -> None:
        self._ring = ring
        self._published_at = math.inf  # to be made again


def _mark(path: str | os.PathLike[str]) -> _Mark:
    try:
        found = Path(path).stat()
    except OSError as error:
        why = (error.strerror or "the system refused").lower()
        raise ConfigurationError(
            f"The key file {quote(os.fspath(path))} cannot be read any more",
            why=why,
            fix="Put it back, or trust the published keys alone: `TrustAnchor.from_jwks`",
        ) from None
    return _Mark(found.st_ino, found.st_size, found.st_ctime_ns, found.st_mtime_ns)
