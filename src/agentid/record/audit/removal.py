"""
Statements about records that retention removed: signed notes that say which, and how the tree stood behind them.

```text
urn:x-agentid:audit:removal:v1
urn:x-agentid:audit:chain:20261125T094812Z-4711-9f86d081884c7d65
records 0 1024
removed 2027-11-25T09:48:12.000Z
youngest 2026-11-25T11:00:00.000Z
prev 5f1c…
block 10 CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— urn:x-agentid:audit:chain:20261125T094812Z-4711-9f86d081884c7d65 Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp…
```

With the blocks, the largest whole subtrees of what was removed, every later checkpoint can still be verified.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from agentid.record.audit.chain_files import REMOVAL_TYPE, ChainFiles
from agentid.record.audit.checkpoint import decode_hash
from agentid.record.audit.merkle import Block, CompactRange
from agentid.record.audit.notes_file import Remainder, read_notes
from agentid.record.audit.signed_note import NoteError, open_note, sign_note
from agentid.signing import PublicKey, Signer

__all__ = ["Removal", "read_removals"]

_TIME: Final = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
_TEXT: Final = re.compile(
    rf"{re.escape(REMOVAL_TYPE)}\n([^\n]+)\nrecords (\d{{1,18}}) (\d{{1,18}})\nremoved ({_TIME})\nyoungest ({_TIME})\n"
    r"prev ([0-9a-f]{64})\n((?:block \d{1,2} [^\n]+\n)*)"
)


@dataclass(frozen=True)
class Removal:
    """
    One file of records that was removed.

    Attributes:
        origin: Names the chain.
        begin: Number of the first record removed.
        end: Number after the last.
        removed: When it was done, as text.
        youngest: When the last of them was written, as text.
        prev: The leaf hash of the last of them, in hexadecimal.
        blocks: The largest whole subtrees of all records before `end`.
    """

    origin: str
    begin: int
    end: int
    removed: str
    youngest: str
    prev: str
    blocks: tuple[Block, ...]

    def sign(self, signer: Signer) -> str:
        """Give the signed statement."""
        blocks = "".join(f"block {level} {b64encode(node).decode()}\n" for level, node in self.blocks)
        text = (
            f"{REMOVAL_TYPE}\n{self.origin}\nrecords {self.begin} {self.end}\nremoved {self.removed}\n"
            f"youngest {self.youngest}\nprev {self.prev}\n{blocks}"
        )
        return sign_note(text, self.origin, signer)

    @classmethod
    def open(cls, note: str, origin: str, keys: Sequence[PublicKey]) -> Removal:
        """
        Verify a statement about the chain *origin*.

        Raises:
            NoteError: It is none, or no trusted key signed it.
        """
        found = _TEXT.fullmatch(open_note(note, origin, keys))
        if found is None or found[1] != origin:
            raise NoteError("it is no statement about records of this chain")
        blocks = tuple(
            (int(level), decode_hash(node)) for level, node in (line.split(" ")[1:] for line in found[7].splitlines())
        )
        tree = CompactRange()
        try:
            tree.extend(blocks)
        except ValueError:
            raise NoteError("its subtrees do not fit each other") from None
        if tree.end != int(found[3]) or tuple(tree.blocks) != blocks:
            raise NoteError("its subtrees are not those of the records that it names")
        return cls(origin, int(found[2]), int(found[3]), found[4], found[5], found[6], blocks)


def read_removals(files: ChainFiles, keys: Sequence[PublicKey]) -> tuple[list[Removal], list[str]]:
    """
    Read the statements about a chain, and what is wrong with those that do not verify.

    Raises:
        OSError: They cannot be read.
    """
    removals: list[Removal] = []
    refused: list[str] = []
    for note in read_notes(files.removals) if files.has_removals else ():
        if isinstance(note, Remainder):
            # A statement is finished before anything is removed; one that was not finished removed nothing.
            if not note.is_last:
                refused.append("a statement about removed records is malformed")
            break
        try:
            removals.append(Removal.open(note, files.origin, keys))
        except NoteError as error:
            refused.append(f"a statement about removed records was refused: {error}")
    return removals, refused
