"""The Merkle tree of RFC 6962: roots and proofs, against the definitions and known vectors."""

from __future__ import annotations

from base64 import b16decode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentid.record.audit.merkle import EMPTY_ROOT, CompactRange, leaf_hash, node_hash
from agentid.record.audit.merkle_proof import (
    consistency_ranges,
    hash_ranges,
    inclusion_ranges,
    is_consistent,
    is_included,
)

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

# The entries and roots that the implementations of Certificate Transparency share as test data.
ENTRIES = [
    b16decode(text, casefold=True)
    for text in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def tree(leaves):
    """The root by definition (RFC 6962, section 2.1)."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(tree(leaves[:split]), tree(leaves[split:]))


def some_leaves(count):
    return [leaf_hash(str(number).encode()) for number in range(count)]


def grown(leaves, start=0):
    found = CompactRange(start)
    for leaf in leaves:
        found.push(leaf)
    return found


@pytest.mark.parametrize("size", range(len(ROOTS)))
def test_the_roots_are_those_that_others_compute(size):
    assert ROOTS[size] == grown(map(leaf_hash, ENTRIES[:size])).root().hex()


@relaxed
@given(st.integers(0, 200))
def test_a_tree_that_grows_has_the_root_of_the_definition(size):
    leaves = some_leaves(size)

    assert tree(leaves) == grown(leaves).root()


@relaxed
@given(st.integers(0, 2000))
def test_a_tree_keeps_no_more_hashes_than_its_size_has_bits(size):
    assert size.bit_count() == len(grown(some_leaves(size)).blocks)


@relaxed
@given(st.lists(st.integers(0, 120), min_size=1, max_size=8))
def test_runs_of_leaves_put_together_are_the_whole_tree(lengths):
    """Several processes each take a run; what they give adds up to what one would have found."""
    leaves = some_leaves(sum(lengths))
    whole, begin = CompactRange(), 0
    for length in lengths:
        whole.extend(grown(leaves[begin : begin + length], begin).blocks)
        begin += length

    assert tree(leaves) == whole.root()
    assert grown(leaves).blocks == whole.blocks


def test_a_subtree_that_cannot_begin_here_is_refused():
    with pytest.raises(ValueError, match="multiple"):
        grown(some_leaves(3)).push(EMPTY_ROOT, 1)
    with pytest.raises(ValueError, match="begins at 0"):
        grown(some_leaves(3), 4).root()


@relaxed
@given(st.integers(1, 130).flatmap(lambda size: st.tuples(st.integers(0, size - 1), st.just(size))))
def test_a_leaf_is_proven_by_the_path_to_its_root_and_by_no_other(case):
    index, size = case
    leaves = some_leaves(size)
    proof = hash_ranges(((0, leaf) for leaf in leaves), inclusion_ranges(index, size))
    root = tree(leaves)

    assert is_included(leaves[index], index, size, proof, root)
    assert not is_included(leaf_hash(b"another"), index, size, proof, root)
    assert not is_included(leaves[index], index, size, proof, EMPTY_ROOT)
    assert not is_included(leaves[index], index, size, [*proof, EMPTY_ROOT], root)
    assert not is_included(leaves[index], size, size, proof, root)
    if proof:
        assert not is_included(leaves[index], index, size, proof[:-1], root)
        assert not is_included(leaves[index], index ^ 1, size, proof, root)


@relaxed
@given(st.integers(1, 130).flatmap(lambda new: st.tuples(st.integers(0, new), st.just(new))))
def test_a_tree_is_proven_to_be_the_beginning_of_another(case):
    old, new = case
    leaves = some_leaves(new)
    proof = hash_ranges(((0, leaf) for leaf in leaves), consistency_ranges(old, new))
    before, after = tree(leaves[:old]), tree(leaves)

    assert is_consistent(old, new, before, after, proof)
    assert not is_consistent(old, new, before, after, [*proof, EMPTY_ROOT])
    if 0 < old < new:
        assert not is_consistent(old, new, leaf_hash(b"another"), after, proof)
        assert not is_consistent(old, new, before, leaf_hash(b"another"), proof)
        assert not is_consistent(old, new, before, after, proof[:-1])
        assert not is_consistent(new, old, after, before, proof)
    if old == new:
        assert not is_consistent(old, new, before, leaf_hash(b"another"), proof)


def test_a_proof_that_stops_below_the_root_proves_nothing():
    """A smaller tree, said to be a larger one."""
    leaf = leaf_hash(b"leaf")

    assert not is_included(leaf, 0, 2, [], leaf)
    assert not is_consistent(1, 2, leaf, leaf, [])


def test_a_proof_reaches_over_a_removed_beginning_if_its_subtrees_are_known():
    leaves = some_leaves(11)
    nodes = [*grown(leaves[:6]).blocks, *((0, leaf) for leaf in leaves[6:])]

    assert is_included(leaves[9], 9, 11, hash_ranges(nodes, inclusion_ranges(9, 11)), tree(leaves))
    with pytest.raises(ValueError, match="not there"):
        hash_ranges(nodes, inclusion_ranges(1, 11))
    with pytest.raises(ValueError, match="not there"):
        hash_ranges(nodes[:-1], inclusion_ranges(9, 11))


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_no_path_leads_to_a_leaf_that_is_not_there(index, size):
    with pytest.raises(ValueError, match="not in the tree"):
        inclusion_ranges(index, size)


def test_a_larger_tree_is_not_the_beginning_of_a_smaller_one():
    with pytest.raises(ValueError, match="larger"):
        consistency_ranges(4, 3)
