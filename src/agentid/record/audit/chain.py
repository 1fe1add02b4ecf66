"""
One chain: what one process writes from one start on, in one tree, over any number of files.

An append joins the record to the one before it, writes it with one `os.write` and adds its leaf to the tree; that is
all that happens under the lock. Waiting for the disk, signing and anchoring come after it. In durable mode one thread
appends and waits for all that have something to append.

INVARIANT: a checkpoint is signed only for records that stand in the file, and in durable mode on the disk.
INVARIANT: an honest chain never has more than `MAX_UNSIGNED` records, and one for each thread, after its last
checkpoint. Who finds more knows that checkpoints were taken away.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Final

from agentid.record.audit.append_file import AppendFile, LostFileError
from agentid.record.audit.chain_files import ChainFiles, new_chain_id
from agentid.record.audit.checkpoint import Checkpoint
from agentid.record.audit.group_commit import Entry, GroupCommit
from agentid.record.audit.merkle import EMPTY_ROOT, CompactRange
from agentid.record.audit.record_line import FIRST_PREV, HalfLine, join_line
from agentid.signing import Signer

__all__ = ["MAX_UNSIGNED", "Chain", "ChainOptions"]

MAX_UNSIGNED: Final = 2048

_Waiting = tuple[Sequence[HalfLine], float]
"""The lines of a record, and when it is written."""

log = logging.getLogger("agentid")


@dataclass(frozen=True)
class ChainOptions:
    """
    How a chain is written.

    Attributes:
        durable: Whether an append waits until it would survive a power failure.
        checkpoint_records: A checkpoint after so many records,
        checkpoint_seconds: or with the first record after so long.
        segment_bytes: A new file before one grows beyond this,
        segment_seconds: or once one is that old.
    """

    durable: bool
    checkpoint_records: int
    checkpoint_seconds: float
    segment_bytes: int
    segment_seconds: float


class Chain:
    """
    A new chain, open for appending. Safe in several threads, of one process only.

    Args:
        folder: Where; it must be there.
        signer: Signs checkpoints.
        options: How it is written.
        clock: Gives seconds since 1970.
        on_checkpoint: Gets each checkpoint, once it is written.
        on_rotation: Called when a file is full and the next one begun.

    Attributes:
        origin: Its name in records and checkpoints.
        is_over: Nothing can be appended any more; another chain is needed.
        latest: The last checkpoint, as a signed note.

    Raises:
        OSError: It cannot be begun, and nothing was left behind.
    """

    def __init__(
        self,
        folder: Path,
        signer: Signer,
        options: ChainOptions,
        *,
        clock: Callable[[], float],
        on_checkpoint: Callable[[str], None],
        on_rotation: Callable[[], None],
    ) -> None:
        now = clock()
        self._process = os.getpid()
        self._files = ChainFiles(folder, new_chain_id(now, self._process))
        self.origin = self._files.origin
        self.is_over = False
        self.latest = ""
        self._signer = signer
        self._options = options
        self._on_checkpoint = on_checkpoint
        self._on_rotation = on_rotation
        self._lock = Lock()
        self._intact = True
        self._closed = False
        self._tree = CompactRange()
        self._prev = FIRST_PREV
        self._commit = GroupCommit(self._append_for_many)
        self._checkpoint_lock = Lock()
        self._checkpointed = -1
        self._scheduled = 0
        self._scheduled_at = now
        self._number = 1
        self._segment_began = now
        # The checkpoint of nothing comes first: a file of records without it was never one of ours.
        self._notes = AppendFile(self._files.checkpoints, durable=options.durable)
        self._notes.hold()
        try:
            self._write_checkpoint(0, EMPTY_ROOT)
            self._segment = AppendFile(self._files.segment(1), durable=options.durable)
        except BaseException:
            self._notes.close()
            with suppress(OSError):
                self._notes.path.unlink()
            raise
        on_checkpoint(self.latest)

    def append(self, halves: Sequence[HalfLine], now: float) -> None:
        """
        Append the lines of one record. When this returns they are written, and durable if that was asked for.

        Raises:
            LostFileError: The file was lost, and this chain is over.
            OSError: It was not written; it may work again later, unless the chain is over.
        """
        if self._tree.end - self._checkpointed >= MAX_UNSIGNED:
            self.checkpoint()
        if self._options.durable:
            self._commit.submit((halves, now))
            return
        with self._lock:
            self._append_record(halves, now)
            due = self._due_checkpoint(now)
        if due is not None:
            self._try_checkpoint(*due)

    def checkpoint(self) -> str:
        """
        Write a checkpoint of all that was appended so far, if there is none yet, and give the latest.

        Raises:
            OSError: It could not be signed or written.
        """
        with self._lock:
            if not self._intact:
                return self.latest
            size, root, segment = self._tree.end, self._tree.root(), self._segment
            self._scheduled = size
        if size > self._checkpointed:
            if self._options.durable:
                segment.sync()
            self._write_checkpoint(size, root)
        return self.latest

    def close(self) -> None:
        """
        Write the last checkpoint and close the files. Only the first call counts.

        Raises:
            OSError: The checkpoint could not be signed or written; the records are there.
        """
        if os.getpid() != self._process:
            self.forget()
            return
        with self._lock:
            if self._closed:
                return
            self._closed = self.is_over = True
        try:
            self.checkpoint()
        finally:
            if self._options.durable:
                with suppress(OSError):  # whoever still waits for the disk is told
                    self._segment.sync()
            self._segment.close()
            self._notes.close()

    def forget(self) -> None:
        """Let go of the files in a forked child: the parent goes on writing them."""
        self._closed = self.is_over = True
        self._segment.forget()
        self._notes.forget()

    def _append_for_many(self, entries: Sequence[Entry[_Waiting]]) -> Callable[[], None] | None:
        """Append what several threads wait for, and put it on the disk; give what is left to do after that."""
        try:
            with self._lock:
                for entry in entries:
                    try:
                        self._append_record(*entry.item)
                    except OSError as failure:
                        entry.failure = failure
                due, segment = self._due_checkpoint(entries[-1].item[1]), self._segment
            if all(entry.failure for entry in entries):
                return None
            segment.sync()
        except OSError:
            # Nobody knows what the disk still has of it, so nothing more is promised for this chain.
            self._intact, self.is_over = False, True
            raise
        except BaseException:
            # An interrupt of this thread is none of the others. What they have may stand in two chains then.
            self._intact = False
            for entry in entries:
                entry.failure = entry.failure or LostFileError("the chain was interrupted while it was written")
            raise
        return None if due is None else partial(self._try_checkpoint, *due)

    def _append_record(self, halves: Sequence[HalfLine], now: float) -> None:
        if not self._intact or self.is_over:
            # An exception from elsewhere, such as an interrupt, came in the middle of an append.
            self.is_over = True
            raise LostFileError("the chain was interrupted while it was written")
        self._intact = False
        try:
            for half in halves:
                self._append_line(half, now)
        except LostFileError:
            self._intact = self.is_over = True
            raise
        except OSError:
            self._intact = True
            raise
        self._intact = True

    def _append_line(self, half: HalfLine, now: float) -> None:
        tree, segment, options = self._tree, self._segment, self._options
        line = join_line(half, self._prev, tree.end)
        if segment.size and (
            segment.size + len(line) >= options.segment_bytes or now - self._segment_began >= options.segment_seconds
        ):
            segment = self._rotate(now)
        segment.append(line + b"\n")
        leaf = sha256(b"\0" + line)
        tree.push(leaf.digest())
        self._prev = leaf.hexdigest()

    def _rotate(self, now: float) -> AppendFile:
        full = self._segment
        if self._options.durable:
            full.sync()
        # Whoever looked at `_segment` before this and syncs it later finds it closed, and synced already.
        following = AppendFile(self._files.segment(self._number + 1), durable=self._options.durable)
        self._segment, self._number, self._segment_began = following, self._number + 1, now
        full.close()
        self._on_rotation()
        return following

    def _due_checkpoint(self, now: float) -> tuple[int, bytes] | None:
        size, options = self._tree.end, self._options
        since = now - self._scheduled_at
        if size - self._scheduled < options.checkpoint_records and abs(since) < options.checkpoint_seconds:
            return None
        self._scheduled, self._scheduled_at = size, now
        return size, self._tree.root()

    def _try_checkpoint(self, size: int, root: bytes) -> None:
        try:
            self._write_checkpoint(size, root)
        except Exception as failure:  # noqa: BLE001 -- the record is written; the next checkpoint covers it, too
            log.warning("an audit checkpoint could not be written (%s); will be tried again", _name(failure))

    def _write_checkpoint(self, size: int, root: bytes) -> None:
        with self._checkpoint_lock:
            if size <= self._checkpointed:
                return
            try:
                note = Checkpoint(self.origin, size, root).sign(self._signer)
            except OSError:
                raise
            except Exception as failure:
                raise OSError(f"the checkpoint could not be signed: {_name(failure)}") from failure
            self._notes.append(note.encode() + b"\n")
            if self._options.durable:
                self._notes.sync()
            self._checkpointed, self.latest = size, note
        if size:
            self._on_checkpoint(note)


def _name(failure: Exception) -> str:
    return type(failure).__name__
