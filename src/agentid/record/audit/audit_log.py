"""
The audit log: what an auditor reads. Never sampled, never dropped; what cannot be written is not done.

```python
log = AuditLog("audit", signer=authority.audit_signer(), anchors=[FileAnchor("other-volume/anchors.txt")])
guard = Guard(authority.trust, audit=log)
```

- Each record is a line of canonical JSON that names the hash of the one before it, and a leaf of a Merkle tree whose
  root is signed now and then, by a key that is used for nothing else (`chain`, `checkpoint`).
- Any number of processes and threads write into one folder: each process has a chain of its own, and a forked child
  begins another.
- Arguments and results are never in it.

What this does not do: decide anything, look at a record, or keep one in memory. `verify_audit_log` checks a folder.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from threading import Lock, Thread, get_ident
from typing import Final, Literal

from agentid.errors import AuditUnavailableError, ConfigurationError, Error
from agentid.record.access_record import AccessRecord, Phase
from agentid.record.audit.anchor_sender import Anchor, AnchorSender
from agentid.record.audit.append_file import LostFileError
from agentid.record.audit.chain import Chain, ChainOptions
from agentid.record.audit.options import callables, check_kinds, check_limits
from agentid.record.audit.record_line import encode_record
from agentid.record.audit.retention import remove_old_records
from agentid.record.audit.trusted_keys import Trust, audit_keys
from agentid.signing import PublicKey, Signer

__all__ = ["AuditLog"]

FLUSH_SECONDS: Final = 5.0
_LAST: Final = -1_000_000

log = logging.getLogger("agentid")


class AuditLog:
    """
    An audit log in a folder. Safe in several threads and processes; closes itself at exit, but do call `close`.

    Args:
        folder: Where; made when missing.
        signer: Signs checkpoints: `Authority.audit_signer()`, or another Ed25519 key used for nothing else.
        durability: `process` survives the death of the process at any moment, `disk` a power failure as well: each
            record then waits for the disk, together with those of other threads.
        anchors: Each gets every checkpoint, in the background: see `agentid.record.audit.anchors`.
        checkpoint_records: A checkpoint after so many records,
        checkpoint_seconds: or with the first record after so long.
        segment_bytes: A new file before one grows beyond this,
        segment_age: or once one is that old.
        retention: Remove records once they are older than this, leaving a signed statement of what was removed.
            None keeps them for ever.
        delete_evidence_younger_than_six_months: Permit a `retention` below the six months that the EU AI Act asks
            for (Articles 19 and 26). Not meant to be used.
        trust: Whose keys, besides the signer's, have signed what is in the folder already: `authority.trust`, where
            keys were replaced in an emergency. Only what verifies is removed.
        clock: Gives seconds since 1970.

    Raises:
        ConfigurationError: An argument is not what it must be.
        AuditUnavailableError: The folder is not there and cannot be made.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        signer: Signer,
        durability: Literal["process", "disk"] = "process",
        anchors: Iterable[Anchor] = (),
        checkpoint_records: int = 256,
        checkpoint_seconds: float = 10.0,
        segment_bytes: int = 64 * 2**20,
        segment_age: timedelta = timedelta(days=1),
        retention: timedelta | None = None,
        delete_evidence_younger_than_six_months: bool = False,
        trust: Trust | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_kinds(signer, durability, clock)
        check_limits(
            checkpoint_records,
            checkpoint_seconds,
            segment_bytes,
            segment_age,
            retention,
            deletes=delete_evidence_younger_than_six_months,
        )
        senders = callables(anchors)
        try:
            self._folder = Path(folder)
        except TypeError:
            raise ConfigurationError(
                "The folder of the audit log was refused", why="it is neither text nor a path"
            ) from None
        self._clock = clock
        self._retention = retention
        self._signer = signer
        self._trust = trust
        self._keys()  # whatever is wrong with them is wrong now
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as failure:  # its name is not one
            raise _unavailable(failure) from failure
        options = ChainOptions(
            durability == "disk", checkpoint_records, checkpoint_seconds, segment_bytes, segment_age.total_seconds()
        )
        root = self._folder
        on_rotation = self._rotated()

        def begin(on_checkpoint: Anchor) -> Chain:
            return Chain(root, signer, options, clock=clock, on_checkpoint=on_checkpoint, on_rotation=on_rotation)

        self._writing = _Writing(begin, senders)
        # At the end of the program too, and when nobody holds the log any more.
        self._end = weakref.finalize(self, self._writing.end)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_begin_again(self._writing))
        self.remove_old_records()

    def write(self, phase: Phase, record: AccessRecord) -> None:
        """
        Write a record. When this returns, it is written.

        Raises:
            AuditUnavailableError: It is not.
        """
        writing, thread = self._writing, get_ident()
        if thread in writing.busy:
            # The garbage collector closed a stream while this thread was writing: a lock would wait for itself. The
            # outcome of that stream is written right after; a decision has to be written before, and cannot be.
            if phase != "outcome":
                raise AuditUnavailableError(
                    "The audit log cannot be written", why="this thread is writing another record"
                )
            writing.later.append(record)
            return
        try:
            writing.busy.add(thread)
            self._write(writing, phase, record)
        finally:
            writing.busy.discard(thread)
        while writing.later:
            self.write("outcome", writing.later.popleft())

    def _write(self, writing: _Writing, phase: Phase, record: AccessRecord) -> None:
        now = self._clock()
        chain = writing.chain or writing.open()
        try:
            chain.append(encode_record(chain.origin, phase, record, now), now)
        except LostFileError as lost:
            # The file was removed, replaced, changed or closed behind our back. What can be saved goes elsewhere.
            log.error("an audit file was lost (%s); going on in a new one", lost)  # noqa: TRY400 -- not unexpected
            self._write_elsewhere(chain, phase, record, now)
        except Exception as failure:
            raise _unavailable(failure) from failure

    def checkpoint(self) -> str:
        """
        Write a checkpoint of this process's chain now, and give it as a signed note; empty if nothing was written.

        Raises:
            AuditUnavailableError: It could not be signed or written.
        """
        chain = self._writing.chain
        if chain is None:
            return ""
        try:
            return chain.checkpoint()
        except OSError as failure:
            raise _unavailable(failure) from failure

    @property
    def latest_checkpoint(self) -> str:
        """The last checkpoint of this process's chain as a signed note, also after `close`; empty if none was made."""
        return self._writing.latest

    @property
    def anchor_failures(self) -> int:
        """How many checkpoints could not be anchored."""
        return self._writing.sender.failures

    def remove_old_records(self) -> None:
        """
        Remove what `retention` does not keep. Done by itself when the log is opened and when a file is full.

        Never raises: what cannot be removed, or does not verify, stays and is logged.
        """
        if self._retention is None:
            return
        before = self._clock() - self._retention.total_seconds()
        try:
            remove_old_records(
                self._folder, signer=self._signer, keys=self._keys(), before=before, now=self._clock()
            )  # fmt: skip
        except (OSError, Error) as failure:
            log.warning("old audit records could not be removed (%s)", type(failure).__name__)

    def _keys(self) -> list[PublicKey]:
        # Asked for each time: a trust anchor that is live knows the keys that were replaced meanwhile.
        own = PublicKey.from_jwk(self._signer.public_jwk)
        others = () if self._trust is None else audit_keys(self._trust)
        return [own, *(key for key in others if key.thumbprint != own.thumbprint)]

    def close(self) -> None:
        """
        Write the last checkpoint, wait a little for anchors, and close the files. Nothing can be written after it.

        Raises:
            AuditUnavailableError: The last checkpoint could not be written; the records are there.
        """
        self._end.detach()
        try:
            self._writing.close()
        except OSError as failure:
            raise _unavailable(failure) from failure

    def __enter__(self) -> AuditLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<AuditLog {self._folder}>"

    def _write_elsewhere(self, lost: Chain, phase: Phase, record: AccessRecord, now: float) -> None:
        try:
            self._writing.give_up(lost)
            chain = self._writing.chain or self._writing.open()
            chain.append(encode_record(chain.origin, phase, record, now), now)
        except AuditUnavailableError:
            raise
        except Exception as failure:
            raise _unavailable(failure) from failure

    def _rotated(self) -> Callable[[], None]:
        me = weakref.ref(self)

        def remove() -> None:
            this = me()
            if this is not None and this._retention is not None:
                # Verifying what is to be removed takes a while, and a call is waiting.
                with suppress(RuntimeError):  # no thread is started any more while the interpreter shuts down
                    Thread(target=this.remove_old_records, name="agentid-audit-retention", daemon=True).start()

        return remove


class _Writing:
    """The chain that this process writes now, if it wrote anything yet. Outlives the `AuditLog` until it is closed."""

    def __init__(self, begin: Callable[[Anchor], Chain], anchors: tuple[Anchor, ...]) -> None:
        self.chain: Chain | None = None
        self.sender = AnchorSender(anchors)
        self._begin = begin
        self._anchors = anchors
        self._latest = ""
        self._closed = False
        self._lock = Lock()
        self.busy: set[int] = set()
        self.later: deque[AccessRecord] = deque()

    @property
    def latest(self) -> str:
        chain = self.chain
        return chain.latest if chain is not None else self._latest

    def open(self) -> Chain:
        with self._lock:
            if self._closed:
                raise AuditUnavailableError("The audit log cannot be written", why="it is closed")
            if self.chain is None:
                try:
                    self.chain = self._begin(self.sender.send)
                except OSError as failure:
                    raise _unavailable(failure) from failure
                self._end_with_worker()
            return self.chain

    def give_up(self, chain: Chain) -> None:
        """End a chain that cannot go on, with a checkpoint of what was written to it if that is possible."""
        with self._lock:
            if self.chain is not chain:
                return
            self.chain = None
        try:
            chain.close()
        except OSError as failure:
            log.warning("a lost audit chain could not be closed (%s)", type(failure).__name__)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            chain, self.chain = self.chain, None
        if chain is not None:
            try:
                chain.close()
            finally:
                self._latest = chain.latest
                self.sender.flush(FLUSH_SECONDS)

    def end(self) -> None:
        try:
            self.close()
        except OSError as failure:
            log.warning("the last audit checkpoint could not be written (%s)", type(failure).__name__)

    def _end_with_worker(self) -> None:
        # A worker of `multiprocessing` leaves without the ordinary end of a program, and has an end of its own.
        util = sys.modules.get("multiprocessing.util")
        process = sys.modules.get("multiprocessing.process")
        if util is not None and process is not None and process.parent_process() is not None:
            # After whatever else a worker does at its end.
            util.Finalize(None, _end, args=(weakref.ref(self),), exitpriority=_LAST)

    def begin_again(self) -> None:
        """In a forked child: the parent's chain is the parent's, and locks may be held by threads that are not here."""
        chain, self.chain = self.chain, None
        self._lock = Lock()
        self.busy, self.later = set(), deque()
        self.sender = AnchorSender(self._anchors)
        if chain is not None:
            chain.forget()


def _begin_again(writing: _Writing) -> Callable[[], None]:
    # Weakly: what is registered for forks stays registered.
    reference = weakref.ref(writing)

    def begin() -> None:
        alive = reference()
        if alive is not None:
            alive.begin_again()

    return begin


def _end(reference: weakref.ref[_Writing]) -> None:
    writing = reference()
    if writing is not None:
        writing.end()


def _unavailable(failure: Exception) -> AuditUnavailableError:
    if isinstance(failure, OSError) and failure.strerror:
        why = failure.strerror
    elif isinstance(failure, OSError):
        why = str(failure)
    else:
        why = f"the record cannot be written down ({type(failure).__name__})"
    return AuditUnavailableError(
        "The audit log cannot be written", why=why, fix="Look at its folder: the disk may be full, or the folder gone"
    )
