"""
Proofs for whoever has a checkpoint and not the log: that a record is in it, that it only grew.

An inclusion proof is printed as c2sp.org/tlog-proof, a consistency proof as a request of c2sp.org/tlog-witness asks
for it. Both hold the signed checkpoint and can be checked with any implementation of RFC 6962; ours is here, too.
"""

from __future__ import annotations

import json
import os
import re
from base64 import b64encode
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agentid.errors import AuditTamperedError, ConfigurationError, quote
from agentid.record.audit.chain_files import ChainFiles, list_chains, open_file
from agentid.record.audit.checkpoint import Checkpoint, decode_hash
from agentid.record.audit.chunk_check import link_of
from agentid.record.audit.merkle import leaf_hash
from agentid.record.audit.merkle_proof import (
    consistency_ranges,
    hash_ranges,
    inclusion_ranges,
    is_consistent,
    is_included,
)
from agentid.record.audit.notes_file import read_notes
from agentid.record.audit.removal import read_removals
from agentid.record.audit.signed_note import NoteError
from agentid.record.audit.trusted_keys import Trust, audit_keys
from agentid.signing import PublicKey

__all__ = [
    "ConsistencyProof",
    "InclusionProof",
    "check_consistency",
    "check_inclusion",
    "prove_consistency",
    "prove_inclusion",
]

_HEADER: Final = "c2sp.org/tlog-proof@v1"
_INCLUSION: Final = re.compile(rf"{re.escape(_HEADER)}\n(?:extra [^\n]+\n)?index (0|[1-9][0-9]{{0,17}})\n")
_CONSISTENCY: Final = re.compile(r"old (0|[1-9][0-9]{0,17})\n")

Root = str | os.PathLike[str]


@dataclass(frozen=True)
class InclusionProof:
    """
    That a record is in a chain.

    Attributes:
        record: The line, without its line break: what is proven.
        index: Its number in the chain.
        hashes: From the sibling of its leaf up.
        checkpoint: The signed note that the proof leads to.
    """

    record: bytes
    index: int
    hashes: tuple[bytes, ...]
    checkpoint: str

    @property
    def text(self) -> str:
        """The proof as a file `.tlog-proof`."""
        return f"{_HEADER}\nindex {self.index}\n{_lines(self.hashes)}\n{self.checkpoint}"


@dataclass(frozen=True)
class ConsistencyProof:
    """
    That a chain at one size is the beginning of the same chain at a later one.

    Attributes:
        old: The earlier size.
        hashes: The proof.
        checkpoint: The signed note of the later size.
    """

    old: int
    hashes: tuple[bytes, ...]
    checkpoint: str

    @property
    def text(self) -> str:
        """The proof as a witness is sent it."""
        return f"old {self.old}\n{_lines(self.hashes)}\n{self.checkpoint}"


def prove_inclusion(folder: Root, record_id: str, trust: Trust) -> InclusionProof:
    """
    Prove that a record is in the log, against the last checkpoint of its chain.

    Args:
        folder: The audit folder.
        record_id: The `id` of the record, or that of the call, which stands for its first record.
        trust: Whose signatures count.

    Raises:
        ConfigurationError: There is no such record, or no checkpoint covers it yet.
        AuditTamperedError: The log does not have the root that the checkpoint says.
    """
    keys = audit_keys(trust)
    for files in list_chains(_folder(folder))[0]:
        for line in _lines_of(files):
            if _is_called(line, record_id):
                return _include(files, line, keys)
    raise ConfigurationError(
        f"The audit log has no record {quote(record_id)}", fix="Take an id that `agentid audit show --json` prints"
    )


def prove_consistency(folder: Root, chain: str, trust: Trust, *, old: int, new: int | None = None) -> ConsistencyProof:
    """
    Prove that a chain only grew between two checkpoints.

    Args:
        folder: The audit folder.
        chain: The id of the chain.
        trust: Whose signatures count.
        old: How many records the earlier checkpoint has.
        new: How many the later one has; by default the last.

    Raises:
        ConfigurationError: There is no such chain, or no checkpoint of that size.
        AuditTamperedError: The log does not have the root that a checkpoint says.
    """
    keys = audit_keys(trust)
    files = next((files for files in list_chains(_folder(folder))[0] if files.chain == chain), None)
    if files is None:
        raise ConfigurationError(
            f"The audit log has no chain {quote(chain)}", fix="Use the name of a file up to its dot"
        )
    known = {checkpoint.size: (checkpoint, note) for checkpoint, note in _checkpoints(files, keys)}
    size = max(known, default=0) if new is None else new
    for wanted in (old, size):
        if wanted not in known:
            raise ConfigurationError(f"The chain has no checkpoint of {wanted} records")
    if old > size:
        raise ConfigurationError("The earlier checkpoint has more records than the later one")
    hashes = tuple(_hashes(files, keys, consistency_ranges(old, size)))
    earlier, later = known[old][0], known[size][0]
    if not is_consistent(old, size, earlier.root, later.root, hashes):
        raise _tampered()
    return ConsistencyProof(old, hashes, known[size][1])


def check_inclusion(proof: str, record: bytes, trust: Trust) -> Checkpoint:
    """
    Check a proof that *record*, a line without its line break, is in a log, and give the checkpoint it leads to.

    Raises:
        AuditTamperedError: The proof does not prove it.
    """
    index, hashes, note = _parse(proof, _INCLUSION)
    checkpoint = _open(note, trust)
    if not is_included(leaf_hash(record), index, checkpoint.size, hashes, checkpoint.root):
        raise AuditTamperedError("the proof does not lead from the record to the checkpoint")
    return checkpoint


def check_consistency(proof: str, earlier: str, trust: Trust) -> Checkpoint:
    """
    Check a proof that the log only grew since *earlier*, a signed note, and give the later checkpoint.

    Raises:
        AuditTamperedError: The proof does not prove it.
    """
    old, hashes, note = _parse(proof, _CONSISTENCY)
    before, after = _open(earlier, trust), _open(note, trust)
    if before.origin != after.origin or before.size != old:
        raise AuditTamperedError("the proof is about another checkpoint")
    if not is_consistent(old, after.size, before.root, after.root, hashes):
        raise AuditTamperedError("the proof does not lead from the earlier checkpoint to the later one")
    return after


def _include(files: ChainFiles, line: bytes, keys: Sequence[PublicKey]) -> InclusionProof:
    link = link_of(line)
    index = link[0] if link else 0
    last = deque(_checkpoints(files, keys), maxlen=1)
    if not last or last[0][0].size <= index:
        raise ConfigurationError(
            "The record cannot be proven yet",
            why="no checkpoint covers it",
            fix="Wait for the next one, or close the log",
        )
    checkpoint, note = last[0]
    hashes = tuple(_hashes(files, keys, inclusion_ranges(index, checkpoint.size)))
    if not is_included(leaf_hash(line), index, checkpoint.size, hashes, checkpoint.root):
        raise _tampered()
    return InclusionProof(line, index, hashes, note)


def _hashes(files: ChainFiles, keys: Sequence[PublicKey], ranges: Sequence[tuple[int, int]]) -> list[bytes]:
    try:
        return hash_ranges(_nodes(files, keys), ranges)
    except ValueError:
        raise ConfigurationError(
            "It cannot be proven", why="records that the proof needs are not there", fix="Run `agentid audit verify`"
        ) from None


def _nodes(files: ChainFiles, keys: Sequence[PublicKey]) -> Iterator[tuple[int, bytes]]:
    lines = _lines_of(files)
    first = next(lines, None)
    link = link_of(first) if first is not None else None
    if files.segments[:1] != [1]:
        removals, _ = read_removals(files, keys)
        for removal in reversed(removals):
            if link is None or removal.end == link[0]:
                yield from removal.blocks
                break
    if first is not None:
        yield 0, leaf_hash(first)
    for line in lines:
        yield 0, leaf_hash(line)


def _lines_of(files: ChainFiles) -> Iterator[bytes]:
    for number in files.segments:
        with open_file(files.segment(number)) as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield line[:-1]


def _is_called(line: bytes, record_id: str) -> bool:
    # Most lines are told apart without being read.
    if not record_id or json.dumps(record_id)[1:-1].encode() not in line:
        return False
    try:
        value: Any = json.loads(line)
        return record_id in {value["id"], value["data"]["call"]["id"]}
    except (ValueError, KeyError, TypeError):
        return False


def _checkpoints(files: ChainFiles, keys: Sequence[PublicKey]) -> Iterator[tuple[Checkpoint, str]]:
    """The good checkpoints of a chain, and their notes."""
    for note in read_notes(files.checkpoints) if files.has_checkpoints else ():
        if isinstance(note, str):
            try:
                checkpoint = Checkpoint.open(note, keys)
            except NoteError:
                continue
            if checkpoint.origin == files.origin:
                yield checkpoint, note


def _parse(proof: str, header: re.Pattern[str]) -> tuple[int, list[bytes], str]:
    found = header.match(proof)
    hashes, blank, note = proof[found.end() :].partition("\n\n") if found else ("", "", "")
    if found and proof[found.end() : found.end() + 1] == "\n":
        hashes, blank, note = "", "\n", proof[found.end() + 1 :]
    if not found or not blank:
        raise AuditTamperedError("the proof is malformed")
    try:
        return int(found[1]), [decode_hash(line) for line in hashes.splitlines()], note
    except NoteError as error:
        raise AuditTamperedError("the proof is malformed", why=str(error)) from None


def _open(note: str, trust: Trust) -> Checkpoint:
    try:
        return Checkpoint.open(note, audit_keys(trust))
    except NoteError as refused:
        raise AuditTamperedError("the checkpoint was refused", why=str(refused)) from None


def _lines(hashes: Sequence[bytes]) -> str:
    return "".join(f"{b64encode(node).decode()}\n" for node in hashes)


def _tampered() -> AuditTamperedError:
    return AuditTamperedError("the log does not fit its checkpoints", fix="Run `agentid audit verify`")


def _folder(folder: Root) -> Path:
    path = Path(folder)
    if not path.is_dir():
        raise ConfigurationError(f"There is no audit folder {quote(path)}", fix="Name the folder that the log is in")
    return path
