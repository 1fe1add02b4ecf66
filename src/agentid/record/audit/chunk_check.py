"""
Checks a run of lines of one file: the part of verifying that takes time, so that several processes can do it.

A chunk is described by plain values and answered by plain values. Each line must be a record that names the number
and the hash of the line before it. For each checkpoint within the chunk the answer has the subtrees up to there;
whoever has those of all chunks computes the roots and compares them.

When a line is wrong, `explain` looks at its neighbours to say what was done.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any, Final, NamedTuple

from agentid.record.audit.canonical import canonical
from agentid.record.audit.chain_files import ACCESS_TYPE, open_file
from agentid.record.audit.checkpoint import Checkpoint
from agentid.record.audit.merkle import CompactRange, leaf_hash
from agentid.record.audit.record_line import LINK, MAX_LINE
from agentid.record.audit.signed_note import NoteError
from agentid.signing import PublicKey

__all__ = ["Chunk", "ChunkResult", "check_chunk", "link_of"]

LOOK_AHEAD: Final = 4096


class Chunk(NamedTuple):
    """
    What to check.

    Attributes:
        path: The file.
        begin: Of the chunk, in bytes; a line begins here.
        end: Of the chunk, in bytes.
        seq: The number that the first line must have; None to take it as it is.
        prev: The hash that the first line must name, in hexadecimal; None to take it as it is.
        after: Number and named hash of the line that follows the chunk, if it is known: it helps to explain.
        source: The chain's name, which each line has.
        strict_from: From this record on no checkpoint vouches for a line, so it is read as a whole.
        notes: Checkpoints to verify, with the number of records in each, in order: those of the file as signed
            notes, and None for one whose signature was verified already.
        ends_chain: Whether no line follows anywhere: only there a line may be torn.
    """

    path: str
    begin: int
    end: int
    seq: int | None
    prev: str | None
    after: tuple[int, str] | None
    source: str
    strict_from: int
    notes: list[tuple[int, str | None]]
    ends_chain: bool


class ChunkResult(NamedTuple):
    """
    What was found.

    Attributes:
        lines: How many whole lines there are.
        first: The number of the first record; -1 if there is none.
        reached: The number after the last record that was checked.
        blocks: For each note in order the subtrees since the one before, and then those of the rest. A note that is
            outside of the chunk has none.
        problem: Kind, number of the record, line in the chunk (-1 for the last line before it), and sentence.
        bad_notes: Index and sentence, for each note that does not verify.
        torn: How many bytes follow the last line break.
    """

    lines: int
    first: int
    reached: int
    blocks: list[list[tuple[int, str]]]
    problem: tuple[str, int, int, str] | None
    bad_notes: list[tuple[int, str]]
    torn: int


def link_of(line: bytes) -> tuple[int, str] | None:
    """The number of a record and the hash that it names, or None if the line is no record."""
    found = LINK.search(line)
    return (int(found[2]), found[1].decode()) if found else None


def check_chunk(chunk: Chunk, keys: Sequence[PublicKey]) -> ChunkResult:
    """
    Check a chunk.

    Raises:
        OSError: The file cannot be read.
    """
    with open_file(chunk.path) as file:
        file.seek(chunk.begin)
        *lines, rest = file.read(chunk.end - chunk.begin).split(b"\n")
    bad_notes = [(i, why) for i, (_, note) in enumerate(chunk.notes) for why in [_refusal(note, keys)] if why]
    problem: tuple[str, int, int, str] | None = None
    start = link_of(lines[0]) if lines else None
    first = chunk.seq if chunk.seq is not None else start[0] if start else -1
    seq, prev = first, chunk.prev if chunk.prev is not None else start[1] if start else ""
    tree = CompactRange(max(seq, 0))
    blocks: list[list[tuple[int, str]]] = []
    due = [size for size, _ in chunk.notes]
    following = 0
    while following < len(due) and due[following] <= seq:
        blocks.append([])
        following += 1
    stop = due[following] if following < len(due) else -1
    search, push = LINK.search, tree.push
    for index, line in enumerate(lines):
        found = search(line)
        if (
            found is None
            or found[1].decode() != prev
            or int(found[2]) != seq
            or len(line) > MAX_LINE
            or (seq >= chunk.strict_from and not _is_record(line, chunk.source))
        ):
            problem = explain(chunk, lines, index, seq, prev)
            break
        leaf = sha256(b"\0" + line)
        prev = leaf.hexdigest()
        seq += 1
        push(leaf.digest())
        while seq == stop:
            blocks.append(_plain(tree))
            tree = CompactRange(seq)
            push = tree.push
            following += 1
            stop = due[following] if following < len(due) else -1
    blocks.append(_plain(tree))
    if rest and not problem:
        problem = _torn_problem(rest, chunk, seq, len(lines))
    return ChunkResult(len(lines), first, seq, blocks, problem, bad_notes, len(rest))


def explain(chunk: Chunk, lines: Sequence[bytes], index: int, seq: int, prev: str) -> tuple[str, int, int, str]:
    """
    Say what was done to a line that does not follow the one before it.

    Args:
        chunk: Of which it is a line.
        lines: All lines of the chunk.
        index: Of the bad one.
        seq: The number that it should have.
        prev: The hash that it should name.
    """
    line = lines[index]
    link = link_of(line) if len(line) <= MAX_LINE else None
    after = link_of(lines[index + 1]) if index + 1 < len(lines) else chunk.after
    number = link[0] if link else -1
    if line in lines[max(0, index - LOOK_AHEAD) : index]:
        return "duplicated", seq, index, f"record {number} was duplicated"
    ahead = {found[0] for found in map(link_of, lines[index + 1 : index + 1 + LOOK_AHEAD]) if found is not None}
    if number > seq and seq in ahead and number not in ahead:
        return "swapped", seq, index, f"the order was changed: record {number} stands here"
    if after == (seq, prev):
        return "inserted", seq, index, "a line was inserted that is not part of the log"
    if link is None:
        return "changed", seq, index, "the line was changed: it is no record of this log"
    if link == (seq, prev) or (number == seq and f'"source":"{chunk.source}"'.encode() not in line):
        return "changed", seq, index, "the record was changed: it is not written as this log writes one"
    if number == seq:
        return _explain_hash(lines, index, seq, after)
    if after is not None and after[0] == seq + 1:
        return "changed", seq, index, f"the record was changed: it calls itself number {number}"
    if number < seq:
        return "inserted", seq, index, f"an older record, number {number}, stands here"
    if index and len(LINK.findall(lines[index - 1])) > 1:
        return "changed", seq - 1, index - 1, "the line was changed: it is more than one record"
    missing = f"record {seq} is missing" if number == seq + 1 else f"records {seq} to {number - 1} are missing"
    return "removed", seq, index, f"{missing}: record {number} stands here"


def _explain_hash(
    lines: Sequence[bytes], index: int, seq: int, after: tuple[int, str] | None
) -> tuple[str, int, int, str]:
    """The number is right, and the hash is not: of this record, or of the one before?"""
    if seq == 0 or (after is not None and after != (seq + 1, leaf_hash(lines[index]).hex())):
        return "changed", seq, index, "the record was changed: its neighbours do not fit it"
    return "changed", seq - 1, index - 1, f"the record was changed: record {seq} names another hash for it"


def _torn_problem(rest: bytes, chunk: Chunk, seq: int, lines: int) -> tuple[str, int, int, str] | None:
    """Nothing, if *rest* is the beginning of a line at the end of a file, or what a power failure leaves there."""
    if not chunk.ends_chain:
        return "changed", seq, lines, "the file ends within a line, and the log goes on in another"
    if not rest.strip(b"\0"):
        return None
    text = rest.decode("utf-8", "replace")
    with suppress(ValueError):
        _, end = json.JSONDecoder().raw_decode(text)
        if end < len(text):
            return "changed", seq, lines, "something follows the record instead of a line break"
    if not text.startswith('{"data":{"accesses":['[: len(text)]):
        return "changed", seq, lines, "what stands at the end is no beginning of a record"
    return None


def _is_record(line: bytes, source: str) -> bool:
    """Whether a line for which no checkpoint vouches is canonical and says that it is of this chain."""
    try:
        value: Any = json.loads(line)
        if value["source"] != source or value["type"] != ACCESS_TYPE or not isinstance(value["data"]["chain"], dict):
            return False
        return canonical(value) == line
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def _refusal(note: str | None, keys: Sequence[PublicKey]) -> str:
    if note is None:
        return ""
    try:
        Checkpoint.open(note, keys)
    except NoteError as refused:
        return str(refused)
    return ""


def _plain(tree: CompactRange) -> list[tuple[int, str]]:
    return [(level, node.hex()) for level, node in tree.blocks]
