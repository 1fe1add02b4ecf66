"""
Verifies an audit folder: every line, every link, every checkpoint, and every checkpoint that was kept elsewhere.

It reads each byte once, in constant memory, on all processors. Without anchors it proves that nothing was changed,
removed or added up to the last checkpoint of each chain; that the end of a chain, or a whole chain, was not taken
away together with its checkpoints can only be seen against checkpoints that were kept elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from agentid.errors import ConfigurationError, quote
from agentid.record.audit.chain_check import Anchored, ChainCheck, size_of
from agentid.record.audit.chain_files import ChainFiles, chain_of, list_chains
from agentid.record.audit.checkpoint import Checkpoint
from agentid.record.audit.chunk_check import Chunk
from agentid.record.audit.notes_file import Remainder, read_notes
from agentid.record.audit.report import AuditReport, Findings
from agentid.record.audit.signed_note import NoteError
from agentid.record.audit.trusted_keys import Trust, audit_keys
from agentid.record.audit.worker_pool import check_all, usable_processors
from agentid.signing import PublicKey

__all__ = ["Progress", "check_chains", "verify_audit_log"]

SMALL: Final = 32 * 2**20
"""Up to so many bytes, starting other processes takes longer than it saves."""

Progress = Callable[[int, int], None]
"""Gets the bytes done and the bytes in all."""


def verify_audit_log(
    folder: str | os.PathLike[str],
    trust: Trust,
    *,
    anchors: Iterable[str | os.PathLike[str]] = (),
    progress: Progress | None = None,
    workers: int | None = None,
) -> AuditReport:
    """
    Verify an audit folder. It may be written to meanwhile.

    Args:
        folder: The folder.
        trust: Whose signatures count: a trust anchor, a JWK set, or public keys.
        anchors: Checkpoints that were kept elsewhere: files of them, or the text of one.
        progress: Called now and then with the bytes done and the bytes in all.
        workers: How many processes to use; by default one for each processor, and one for a small log.

    Raises:
        ConfigurationError: There is no such folder, or nothing is trusted to sign audit logs.
    """
    keys = audit_keys(trust)
    root = Path(folder)
    if not root.is_dir():
        raise ConfigurationError(f"There is no audit folder {quote(root)}", fix="Name the folder that the log is in")
    findings = Findings()
    anchored = _read_anchors(anchors, keys, findings)
    chains, notes_sizes, strangers = _list(root)
    for name in strangers:
        findings.add(name, "stranger", "the file belongs to no chain")
    known = {files.chain for files in chains}
    for chain, missing in anchored.items():
        if chain not in known:
            last = max(missing, key=lambda anchor: anchor.checkpoint.size)
            findings.add(
                f"{chain}.checkpoint",
                "missing",
                f"the whole chain is missing: {last.place} has a checkpoint of {last.checkpoint.size} records",
            )
    checks = [
        ChainCheck(files, notes_sizes.get(files.chain, 0), keys, anchored.get(files.chain, ()), findings)
        for files in chains
    ]
    findings.chains = len(checks)
    check_chains(checks, keys, _total(chains), progress=progress, workers=workers)
    return findings.report()


def check_chains(
    checks: Sequence[ChainCheck],
    keys: Sequence[PublicKey],
    total: int,
    *,
    progress: Progress | None = None,
    workers: int | None = None,
) -> None:
    """Run the verification of some chains, of *total* bytes."""
    count = workers if workers is not None else 1 if total <= SMALL else usable_processors()
    done = 0

    def chunks() -> Iterator[tuple[ChainCheck, Chunk | None]]:
        for check in checks:
            for chunk in check.chunks():
                yield check, chunk
            yield check, None

    for check, chunk, result in check_all(chunks(), keys, count):
        if chunk is None or result is None:
            check.finish()
            continue
        check.take(result)
        done += chunk.end - chunk.begin
        if progress is not None:
            progress(min(done, total), total)


def _list(folder: Path) -> tuple[list[ChainFiles], dict[str, int], list[str]]:
    """List chains; how long files of checkpoints are is looked at before records are, which come first."""
    chains, _ = list_chains(folder)
    sizes = {files.chain: size_of(files.checkpoints) for files in chains if files.has_checkpoints}
    again, strangers = list_chains(folder)
    for files in again:
        # What was begun in between is looked at next time.
        if files.chain not in sizes and files.has_checkpoints:
            sizes[files.chain] = size_of(files.checkpoints)
    return again, sizes, strangers


def _total(chains: Sequence[ChainFiles]) -> int:
    return sum(size_of(files.segment(number)) for files in chains for number in files.segments)


def _read_anchors(
    anchors: Iterable[str | os.PathLike[str]], keys: Sequence[PublicKey], findings: Findings
) -> dict[str, list[Anchored]]:
    found: dict[str, dict[tuple[int, bytes], Anchored]] = {}
    for anchor in anchors:
        for note, place in _anchor_notes(anchor):
            try:
                text = note.data.decode("utf-8", "replace") if isinstance(note, Remainder) else note
                checkpoint = Checkpoint.open(text, keys)
                chain = _chain(checkpoint)
            except NoteError as refused:
                findings.add(place, "checkpoint", f"an anchored checkpoint was refused: {refused}")
                continue
            found.setdefault(chain, {})[checkpoint.size, checkpoint.root] = Anchored(checkpoint, place)
    return {chain: list(checkpoints.values()) for chain, checkpoints in found.items()}


def _chain(checkpoint: Checkpoint) -> str:
    chain = chain_of(checkpoint.origin)
    if chain is None:
        raise NoteError("it is of no audit log")
    return chain


def _anchor_notes(anchor: str | os.PathLike[str]) -> Iterator[tuple[str | Remainder, str]]:
    if isinstance(anchor, str) and "\n" in anchor:
        yield anchor, "the anchor"
        return
    path, empty = Path(anchor), True
    try:
        for note in read_notes(path, may_be_pipe=True):
            yield note, str(path)
            empty = False
    except OSError as failure:
        raise ConfigurationError(
            f"The anchor {quote(path)} cannot be read", why=failure.strerror or type(failure).__name__
        ) from None
    if empty:
        # Whoever emptied it must not make it look as if the log had been compared.
        raise ConfigurationError(f"The anchor {quote(path)} holds no checkpoint")
