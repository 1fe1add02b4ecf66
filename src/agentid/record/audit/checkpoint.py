"""
Checkpoints (c2sp.org/tlog-checkpoint): how many records a chain had, and the root of their tree, signed.

Whoever keeps one can tell later whether the log still begins with exactly those records. A checkpoint has no
extension lines, and the name of its key is its origin, which names the chain.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable
from typing import Final, NamedTuple

from agentid.record.audit.signed_note import NoteError, open_note, parse_note, sign_note
from agentid.signing import PublicKey, Signer

__all__ = ["Checkpoint", "decode_hash"]

_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,17}")


class Checkpoint(NamedTuple):
    """
    A chain at one moment.

    Attributes:
        origin: Names the chain.
        size: How many records it had.
        root: The root of their Merkle tree.
    """

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"

    def sign(self, signer: Signer) -> str:
        """Give the signed note."""
        return sign_note(self.text, self.origin, signer)

    @classmethod
    def parse(cls, note: str) -> Checkpoint:
        """
        Read a note without looking at its signatures.

        Raises:
            NoteError: It is no checkpoint.
        """
        lines = parse_note(note).text.split("\n")
        if len(lines) != 4 or lines[3] or not lines[0]:
            raise NoteError("it does not have three lines")
        if _SIZE.fullmatch(lines[1]) is None:
            raise NoteError("its size is not a number")
        return cls(lines[0], int(lines[1]), decode_hash(lines[2]))

    @classmethod
    def open(cls, note: str, keys: Iterable[PublicKey]) -> Checkpoint:
        """
        Verify a note.

        Raises:
            NoteError: It is no checkpoint, or no trusted key signed it.
        """
        checkpoint = cls.parse(note)
        open_note(note, checkpoint.origin, keys)
        return checkpoint


def decode_hash(text: str) -> bytes:
    """
    Read a SHA-256 hash in base64, which has one spelling only.

    Raises:
        NoteError: It is not one.
    """
    try:
        decoded = b64decode(text, validate=True)
    except (Base64Error, ValueError):
        decoded = b""
    if len(decoded) != 32 or b64encode(decoded).decode() != text:
        raise NoteError("a hash is not 32 bytes in base64")
    return decoded
