"""
Verifies one chain: puts together what the chunks of its files gave, and compares it with its checkpoints.

The work on lines is done by `chunk_check`, perhaps in another process. Here is what needs the whole chain: that no
file is missing, that checkpoints are in order, that each has the root of the tree at that size, and that the records
go on at least as far as the last of them says.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from heapq import merge
from pathlib import Path
from typing import Final, NamedTuple, cast

from agentid.record.audit.chain import MAX_UNSIGNED
from agentid.record.audit.chain_files import ChainFiles, open_file
from agentid.record.audit.checkpoint import Checkpoint
from agentid.record.audit.chunk_check import Chunk, ChunkResult
from agentid.record.audit.chunk_plan import Cut, cut_file
from agentid.record.audit.merkle import EMPTY_ROOT, CompactRange
from agentid.record.audit.notes_file import Remainder, is_torn_checkpoint, read_notes
from agentid.record.audit.record_line import FIRST_PREV
from agentid.record.audit.removal import Removal, read_removals
from agentid.record.audit.report import Findings, Kind, Torn
from agentid.record.audit.signed_note import NoteError
from agentid.signing import PublicKey

__all__ = ["Anchored", "ChainCheck", "size_of"]

MAX_TAIL: Final = 2 * MAX_UNSIGNED
"""More records behind a checkpoint than any honest process leaves, however many threads it has."""


class Anchored(NamedTuple):
    """A checkpoint that was kept elsewhere, its signature verified, and where."""

    checkpoint: Checkpoint
    place: str


class _Claim(NamedTuple):
    """What a checkpoint says: so many records, with this root. With its note if the signature is to be checked."""

    size: int
    root: bytes
    note: str | None
    place: str


class _Part(NamedTuple):
    """A chunk with what is known about its place in the chain."""

    path: Path
    cut: Cut
    seq: int | None
    prev: str | None
    is_last: bool


class ChainCheck:
    """
    The verification of one chain. Ask for `chunks`, hand the results to `take` in the same order, then `finish`.

    Args:
        files: The chain.
        notes_size: How much of its file of checkpoints to read: what was there before its records were listed.
        keys: Whose signatures count.
        anchored: Checkpoints of it that were kept elsewhere.
        findings: Gets what is found.
    """

    def __init__(
        self,
        files: ChainFiles,
        notes_size: int,
        keys: Sequence[PublicKey],
        anchored: Sequence[Anchored],
        findings: Findings,
    ) -> None:
        self._files = files
        self._notes_size = notes_size
        self._keys = keys
        self._anchored = sorted(anchored, key=lambda anchor: anchor.checkpoint.size)
        self._findings = findings
        self._tree: CompactRange | None = CompactRange()
        self._sent: deque[tuple[_Part, list[_Claim]]] = deque()
        self._first_of: list[tuple[int, str]] = []
        self._lines = 0
        self._lines_before = (0, "")
        self._reached = 0
        self._agreed = 0
        self._signed = 0
        self._whole = True

    # --- what to check ----------------------------------------------------------------------------

    def chunks(self) -> Iterator[Chunk]:
        """Give the chunks to check, in order."""
        claims = merge(self._claims(), self._anchor_claims(), key=lambda claim: claim.size)
        waiting = next(claims, None)
        strict_from = self._last_size()
        parts = self._parts()
        part = next(parts, None)
        while part is not None:
            following = next(parts, None)
            until = None if following is None else following.cut.first[0] if following.cut.first else 0
            mine: list[_Claim] = []
            while waiting is not None and (until is None or waiting.size <= until):
                mine.append(waiting)
                waiting = next(claims, None)
            self._sent.append((part, mine))
            yield Chunk(
                path=str(part.path),
                begin=part.cut.begin,
                end=part.cut.end,
                seq=part.seq,
                prev=part.prev,
                after=following.cut.first if following else None,
                source=self._files.origin,
                strict_from=strict_from,
                notes=[(claim.size, claim.note) for claim in mine],
                ends_chain=part.is_last,
            )
            part = following
        if waiting is not None:
            self._check_without_records([waiting, *claims])

    def _parts(self) -> Iterator[_Part]:
        files, findings = self._files, self._findings
        place = self._start()
        last = max((number for number in files.segments if size_of(files.segment(number))), default=0)
        for index, number in enumerate(files.segments):
            if index and number != files.segments[index - 1] + 1:
                self._miss(files.segments[index - 1] + 1)
                place = None
            path = files.segment(number)
            try:
                for cut in cut_file(path, path.stat().st_size):
                    seq, prev = place if place is not None else (None, None)
                    yield _Part(path, cut, seq, prev, is_last=number == last and cut.ends_file)
                    place = (cut.last[0] + 1, cut.last[1]) if cut.last else None
            except OSError as failure:
                findings.add(path.name, "unreadable", f"the file cannot be read: {failure.strerror}")
                self._tree, place = None, None

    def _start(self) -> tuple[int, str] | None:
        """Number and predecessor of the first record that must be there."""
        files, findings = self._files, self._findings
        removals, refused = self._removals()
        for why in refused:
            findings.add(files.removals.name, "removal", why)
        if files.segments and files.segments[0] == 1:
            return 0, FIRST_PREV
        if not removals:
            if files.segments:
                self._miss(1)
                return None
            return 0, FIRST_PREV
        first = self._first_number()
        for removal in reversed(removals):
            if first is None or removal.end == first:
                findings.removed += removal.end
                self._reached = self._agreed = removal.end
                self._tree = CompactRange()
                self._tree.extend(removal.blocks)
                return removal.end, removal.prev
        self._miss(files.segments[0] - 1)
        return None

    def _removals(self) -> tuple[list[Removal], list[str]]:
        try:
            return read_removals(self._files, self._keys)
        except OSError as failure:
            return [], [f"the file cannot be read: {failure.strerror}"]

    def _first_number(self) -> int | None:
        """The number of the first record that is there; -1 if that cannot be read."""
        for number in self._files.segments:
            path = self._files.segment(number)
            with suppress(OSError):
                for cut in cut_file(path, size_of(path)):
                    return cut.first[0] if cut.first is not None else -1
        return None

    def _miss(self, number: int) -> None:
        self._tree = None
        self._findings.add(
            self._files.segment(number).name,
            "missing",
            "the file is missing, and no statement says that it was removed",
        )

    # --- checkpoints ------------------------------------------------------------------------------

    def _anchor_claims(self) -> Iterator[_Claim]:
        for anchor in self._anchored:
            self._findings.anchored += 1
            yield _Claim(anchor.checkpoint.size, anchor.checkpoint.root, None, anchor.place)

    def _claims(self) -> Iterator[_Claim]:
        """The checkpoints of the file, in order, as far as they are well formed."""
        files, name = self._files, self._files.checkpoints.name
        before: Checkpoint | None = None
        for note in self._notes():
            if isinstance(note, Remainder):
                if is_torn_checkpoint(note, files.origin):
                    self._findings.recovered.append(Torn(name, len(note.data)))
                else:
                    self._refuse("a checkpoint is malformed")
                break
            try:
                checkpoint = Checkpoint.parse(note)
            except NoteError as error:
                self._refuse(f"a checkpoint is malformed: {error}")
                continue
            if checkpoint.origin != files.origin:
                self._refuse("a checkpoint is of another chain")
            elif before is None and (checkpoint.size != 0 or checkpoint.root != EMPTY_ROOT):
                self._refuse("the first checkpoint, of no records, is missing")
            elif checkpoint == before:
                pass  # written, interrupted before that was noted, and written again
            elif before is not None and checkpoint.size <= before.size:
                self._refuse(f"the checkpoint of {checkpoint.size} records is out of order")
            else:
                yield _Claim(checkpoint.size, checkpoint.root, note, name)
            before = checkpoint
        if before is None and any(size_of(files.segment(number)) for number in files.segments):
            what = "has no checkpoint" if files.has_checkpoints else "is missing"
            self._findings.add(
                name, "missing", f"the file of checkpoints {what}, so nothing says what the records were"
            )

    def _notes(self) -> Iterator[str | Remainder]:
        if self._files.has_checkpoints:
            try:
                yield from read_notes(self._files.checkpoints, self._notes_size)
            except OSError as failure:
                name = self._files.checkpoints.name
                self._findings.add(name, "unreadable", f"the file cannot be read: {failure.strerror}")

    def _refuse(self, what: str) -> None:
        self._findings.add(self._files.checkpoints.name, "checkpoint", what)

    def _last_size(self) -> int:
        """How many records the last checkpoint of the file speaks of, whether or not it is good."""
        if not self._files.has_checkpoints:
            return 0
        tail = b""
        with suppress(OSError), open_file(self._files.checkpoints) as file:  # `_notes` says that it cannot be read
            file.seek(max(0, self._notes_size - 16_384))
            tail = file.read(16_384)
        sizes = cast("list[bytes]", re.findall(rb"%b\n([0-9]{1,18})\n" % re.escape(self._files.origin.encode()), tail))
        return int(sizes[-1]) if sizes else 0

    # --- what was found ---------------------------------------------------------------------------

    def take(self, result: ChunkResult | OSError) -> None:
        """Take the result of the next chunk."""
        part, claims = self._sent.popleft()
        name, findings = part.path.name, self._findings
        if part.cut.begin == 0:
            self._lines_before, self._lines = (self._lines, self._first_of[-1][1] if self._first_of else ""), 0
        if isinstance(result, OSError):
            findings.add(name, "unreadable", f"the file cannot be read: {result.strerror}")
            self._tree, self._whole = None, False
            return
        if part.cut.begin == 0:
            self._first_of.append((result.first, name))
        bad = dict(result.bad_notes)
        for why in bad.values():
            self._refuse(f"a checkpoint was refused: {why}")
        findings.records += result.lines
        findings.checkpoints += sum(claim.note is not None for claim in claims) - len(bad)
        good = [claim for index, claim in enumerate(claims) if index not in bad]
        self._signed = max([self._signed, *(claim.size for claim in good if claim.size <= result.reached)])
        if result.problem is not None:
            self._note_problem(part, result)
        else:
            self._compare(claims, result, bad)
            self._reached = result.reached
        self._lines += result.lines
        if part.is_last:
            self._whole = result.problem is None
            self._check_end(name, good, result)

    def _note_problem(self, part: _Part, result: ChunkResult) -> None:
        kind, record, index, what = cast("tuple[Kind, int, int, str]", result.problem)
        line, (lines_before, file_before) = self._lines + index + 1, self._lines_before
        self._tree = None
        if line >= 1:
            # What begins with a broken link, after a file with a problem, shows that same problem again.
            if not (part.cut.begin == 0 and index == 0 and file_before in self._findings.by_file):
                self._findings.add(part.path.name, kind, what, record=record, line=line)
        else:
            self._findings.add(file_before or part.path.name, kind, what, record=record, line=lines_before or None)

    def _compare(self, claims: Sequence[_Claim], result: ChunkResult, bad: dict[int, str]) -> None:
        tree = self._tree
        if tree is None or result.first != tree.end:
            self._tree = None
            return
        for index, (claim, blocks) in enumerate(zip(claims, result.blocks[:-1], strict=False)):
            tree.extend((level, bytes.fromhex(node)) for level, node in blocks)
            if index in bad or claim.size != tree.end:
                continue
            if tree.root() != claim.root:
                self._rewritten(claim)
                return
            self._agreed = claim.size
        tree.extend((level, bytes.fromhex(node)) for level, node in result.blocks[-1])

    def _rewritten(self, claim: _Claim) -> None:
        self._tree = None
        file = next((name for first, name in reversed(self._first_of) if first <= self._agreed), claim.place)
        against = "" if claim.place == self._files.checkpoints.name else f" that {claim.place} has"
        self._findings.add(
            file,
            "rewritten",
            f"records {self._agreed} to {claim.size - 1} fit each other, but not the checkpoint of {claim.size} "
            f"records{against}: one of them at least was rewritten",
            record=self._agreed,
        )

    def _check_end(self, name: str, good: Sequence[_Claim], result: ChunkResult) -> None:
        if result.problem is not None:
            return
        beyond = [claim for claim in good if claim.size > result.reached]
        if beyond:
            self._truncated(name, beyond[-1], result.reached)
        elif result.torn:
            self._findings.recovered.append(Torn(name, result.torn))

    def _check_without_records(self, claims: Sequence[_Claim]) -> None:
        """There is no line at all; what do the checkpoints say?"""
        good: list[_Claim] = []
        for claim in claims:
            try:
                if claim.note is not None:
                    Checkpoint.open(claim.note, self._keys)
                    self._findings.checkpoints += 1
                good.append(claim)
            except NoteError as error:
                self._refuse(f"a checkpoint was refused: {error}")
        beyond = [claim for claim in good if claim.size > self._reached]
        if beyond:
            numbers = self._files.segments
            self._truncated(self._files.segment(numbers[-1] if numbers else 1).name, beyond[-1], self._reached)

    def _truncated(self, name: str, claim: _Claim, reached: int) -> None:
        by = "a checkpoint" if claim.place == self._files.checkpoints.name else f"the checkpoint that {claim.place} has"
        self._findings.add(
            name,
            "truncated",
            f"the end was cut off: {by} says that there were {claim.size} records, and there are {reached}",
            record=reached,
        )

    def finish(self) -> None:
        """Take in what can only be said when all is known."""
        if not self._whole:
            return
        unsigned = max(0, self._reached - max(self._signed, self._agreed))
        self._findings.unsigned += unsigned
        if unsigned > MAX_TAIL:
            self._findings.add(
                self._files.checkpoints.name,
                "unsigned",
                f"checkpoints are missing: {unsigned} records follow the last, more than a process leaves unsigned",
            )


def size_of(path: Path) -> int:
    """How many bytes a file has; none if it cannot be looked at."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
