"""
Proofs over the Merkle tree: that a leaf is in it, and that one tree is the beginning of another.

What a proof holds is a list of hashes of subtrees (RFC 9162 §2.1.3.1 and §2.1.4.1). Here it is first a list of
*ranges* of leaves; one pass over the leaves, in whatever order of memory, gives the hashes. Checking follows
§2.1.3.2 and §2.1.4.2 and needs no leaves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agentid.record.audit.merkle import CompactRange, node_hash

__all__ = ["consistency_ranges", "hash_ranges", "inclusion_ranges", "is_consistent", "is_included"]

Range = tuple[int, int]
"""Leaves from the first number up to, not including, the second."""


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """The subtrees whose roots prove that leaf *index* is in a tree of *size* leaves, from the leaf upwards."""
    if not 0 <= index < size:
        raise ValueError("the leaf is not in the tree")
    path: list[Range] = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((begin, middle))
            begin = middle
    return path[::-1]


def consistency_ranges(old: int, new: int) -> list[Range]:
    """The subtrees whose roots prove that a tree of *old* leaves is the beginning of one of *new*."""
    if not 0 <= old <= new:
        raise ValueError("the old tree is larger than the new one")
    if old in {0, new}:
        return []
    path: list[Range] = []
    begin, end, from_start = 0, new, True
    while end != old:
        middle = begin + _split(end - begin)
        if old <= middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((begin, middle))
            begin, from_start = middle, False
    if not from_start:
        path.append((begin, end))
    return path[::-1]


def hash_ranges(nodes: Iterable[tuple[int, bytes]], ranges: Sequence[Range]) -> list[bytes]:
    """
    Compute the root of each range in one pass.

    Args:
        nodes: `(level, hash)` of leaves (level 0), or of whole subtrees, in order from leaf 0 on.
        ranges: Disjoint.

    Raises:
        ValueError: A range is not covered, because the leaves end early or a subtree is larger than the range.
    """
    order = sorted(range(len(ranges)), key=lambda i: ranges[i][0])
    found: list[bytes] = [b""] * len(ranges)
    waiting = iter(order)
    current = next(waiting, None)
    tree, place = CompactRange(), 0
    for level, node in nodes:
        if current is None:
            break
        begin, end = ranges[current]
        after = place + (1 << level)
        if begin <= place and after <= end:
            tree.push(node, level)
            if after == end:
                found[current] = tree.root()
                current, tree = next(waiting, None), CompactRange()
        elif after > begin:
            break
        place = after
    if current is not None:
        raise ValueError("the leaves that the proof needs are not there")
    return found


def is_included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Check that *leaf*, the hash of a leaf, is at *index* in the tree of *size* leaves with this *root*."""
    if not 0 <= index < size:
        return False
    place, last, node = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            node = node_hash(sibling, node)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            node = node_hash(node, sibling)
        place >>= 1
        last >>= 1
    return last == 0 and node == root


def is_consistent(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Check that the tree of *old* leaves is the beginning of the tree of *new* leaves."""
    if not 0 < old < new:
        return old == 0 and not proof if old != new else not proof and old_root == new_root
    nodes = list(proof)
    if old & (old - 1) == 0:
        nodes.insert(0, old_root)
    if not nodes:
        return False
    place, last = old - 1, new - 1
    while place & 1:
        place >>= 1
        last >>= 1
    first = second = nodes[0]
    for node in nodes[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            first, second = node_hash(node, first), node_hash(node, second)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            second = node_hash(second, node)
        place >>= 1
        last >>= 1
    return last == 0 and first == old_root and second == new_root


def _split(size: int) -> int:
    """The largest power of two below *size*."""
    return 1 << ((size - 1).bit_length() - 1)
