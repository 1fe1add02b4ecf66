"""
The Merkle tree of RFC 6962 (and RFC 9162): hashes, and a tree that grows in constant memory.

- The hash of a leaf is SHA-256(0x00 ‖ entry), that of a node SHA-256(0x01 ‖ left ‖ right).
- The hash of no leaves is SHA-256 of nothing.

A `CompactRange` keeps, of any run of leaves, only the roots of the largest whole subtrees: as many as the number of
leaves has bits. Pushing a leaf costs one hash of a node on average.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

__all__ = ["EMPTY_ROOT", "Block", "CompactRange", "leaf_hash", "node_hash"]

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()

Block = tuple[int, bytes]
"""The root of a whole subtree of 2^level leaves: `(level, hash)`."""

_sha256 = hashlib.sha256


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a leaf."""
    return _sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node."""
    return _sha256(b"\1" + left + right).digest()


class CompactRange:
    """
    The leaves from *start* on, as the roots of the largest whole subtrees of the one tree that begins at 0.

    Attributes:
        start: Index of the first leaf.
        end: Index after the last leaf.
    """

    __slots__ = ("_blocks", "_levels", "end", "start")

    def __init__(self, start: int = 0) -> None:
        self.start = start
        self.end = start
        self._blocks: list[bytes] = []
        self._levels: list[int] = []

    def push(self, node: bytes, level: int = 0) -> None:
        """
        Append a leaf hash, or the root of a whole subtree of 2^level leaves.

        Raises:
            ValueError: A subtree of that size cannot begin here.
        """
        blocks, levels, start = self._blocks, self._levels, self.start
        place = self.end >> level
        if place << level != self.end:
            raise ValueError("a subtree begins at a multiple of its size")
        self.end += 1 << level
        while place & 1 and (place - 1) << level >= start:
            node = _sha256(b"\1" + blocks.pop() + node).digest()
            levels.pop()
            place >>= 1
            level += 1
        blocks.append(node)
        levels.append(level)

    def extend(self, blocks: Iterable[Block]) -> None:
        """Append subtrees, in order."""
        for level, node in blocks:
            self.push(node, level)

    @property
    def blocks(self) -> list[Block]:
        """The roots of the largest whole subtrees, from left to right."""
        return list(zip(self._levels, self._blocks, strict=True))

    def root(self) -> bytes:
        """The root of the tree of all leaves; only for a range that begins at 0."""
        if self.start:
            raise ValueError("only a tree that begins at 0 has a root")
        if not self._blocks:
            return EMPTY_ROOT
        *rest, node = self._blocks
        for left in reversed(rest):
            node = node_hash(left, node)
        return node
