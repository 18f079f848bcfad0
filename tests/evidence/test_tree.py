"""The tree's arithmetic against RFC 6962 word by word, and against known vectors."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evidence import reference
from voiceguard.evidence import tree
from voiceguard.evidence.verify import leaf_hash, proves_consistency, proves_inclusion

MOST = 260

LEAVES = [f"leaf {number}".encode() for number in range(MOST)]

VECTOR_LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
"""Of the reference tree in google/certificate-transparency (merkle_tree_test.cc)."""

VECTOR_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


class Stored:
    """All stored hashes of a tree, in a list."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.edge = tree.RightEdge()
        self.hashes: list[bytes] = []
        self.readings = 0
        for leaf in leaves:
            self.hashes += self.edge.append(leaf)

    def read(self, places: Sequence[int]) -> list[bytes]:
        self.readings += 1
        return [self.hashes[place] for place in places]


STORED = Stored(LEAVES)
ROOTS = [reference.mth(LEAVES[:size]) for size in range(MOST + 1)]


def test_known_roots() -> None:
    edge = tree.RightEdge()
    assert edge.root().hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    for leaf, root in zip(VECTOR_LEAVES, VECTOR_ROOTS, strict=True):
        edge.append(leaf)
        assert edge.root().hex() == root


def test_known_inclusion_proof() -> None:
    stored = Stored(VECTOR_LEAVES)
    assert [hash_.hex() for hash_ in tree.inclusion_proof(0, 8, stored.read)] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]


def test_known_consistency_proof() -> None:
    stored = Stored(VECTOR_LEAVES)
    assert [hash_.hex() for hash_ in tree.consistency_proof(6, 8, stored.read)] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


def test_places_are_those_of_sumdb() -> None:
    # x/mod/sumdb/tlog: hashes in the order in which the subtrees are completed.
    expected: list[tuple[int, int]] = []
    for leaf in range(64):
        level, number = 0, leaf
        expected.append((level, number))
        while number & 1:
            level, number = level + 1, number >> 1
            expected.append((level, number))
    assert [tree.stored_hash_index(*subtree) for subtree in expected] == list(range(len(expected)))
    assert tree.stored_hash_count(64) == len(expected)


def test_roots_of_all_sizes() -> None:
    for size in range(MOST + 1):
        assert tree.tree_root(size, STORED.read) == ROOTS[size]
        edge = tree.RightEdge.of_size(size, STORED.read)
        assert edge.root() == ROOTS[size]
        assert len(edge.peaks) == size.bit_count()
        assert tree.stored_hash_count(size) == len(Stored(LEAVES[:size]).hashes)


def test_an_edge_goes_on_where_it_was_taken_up() -> None:
    for size, following in pairwise(range(MOST)):
        edge = tree.RightEdge.of_size(size, STORED.read)
        other = edge.copy()
        start, end = tree.stored_hash_count(size), tree.stored_hash_count(following)
        assert other.append(LEAVES[size]) == STORED.hashes[start:end]
        assert other.root() == ROOTS[following]
        assert edge.root() == ROOTS[size]


@given(st.data())
def test_inclusion_proofs(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, MOST))
    index = data.draw(st.integers(0, size - 1))
    before = STORED.readings
    found = tree.inclusion_proof(index, size, STORED.read)
    assert STORED.readings == before + 1
    assert found == reference.path(index, LEAVES[:size])
    assert reference.includes(index, size, LEAVES[index], found, ROOTS[size])
    assert not reference.includes(index, size, b"another", found, ROOTS[size])


@given(st.data())
def test_consistency_proofs(data: st.DataObject) -> None:
    new = data.draw(st.integers(1, MOST))
    old = data.draw(st.integers(1, new))
    found = tree.consistency_proof(old, new, STORED.read)
    assert found == reference.proof(old, LEAVES[:new])
    assert reference.consistent(old, new, ROOTS[old], ROOTS[new], found)
    assert not reference.consistent(old, new, ROOTS[old - 1], ROOTS[new], found)


def test_all_proofs_of_small_trees() -> None:
    for size in range(1, 33):
        for index in range(size):
            found = tree.inclusion_proof(index, size, STORED.read)
            assert found == reference.path(index, LEAVES[:size])
            found = tree.consistency_proof(index + 1, size, STORED.read)
            assert found == reference.proof(index + 1, LEAVES[:size])


def test_nothing_is_to_be_proved_of_an_empty_tree() -> None:
    assert tree.consistency_proof(0, 5, STORED.read) == []
    assert tree.consistency_proof(0, 0, STORED.read) == []


@pytest.mark.parametrize(("index", "size"), [(0, 0), (5, 5), (-1, 5)])
def test_leaves_that_are_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="has no leaf"):
        tree.inclusion_proof(index, size, STORED.read)


@pytest.mark.parametrize(("old", "new"), [(6, 5), (-1, 5)])
def test_sizes_that_do_not_follow(old: int, new: int) -> None:
    with pytest.raises(ValueError, match="cannot begin"):
        tree.consistency_proof(old, new, STORED.read)


@given(data=st.data())
def test_the_verifier_accepts_our_proofs_and_no_others(data) -> None:
    """The two share no code: `verify` stands alone."""
    size = data.draw(st.integers(1, MOST), "size")
    index = data.draw(st.integers(0, size - 1), "index")
    old = data.draw(st.integers(1, size), "old")
    stored = Stored(LEAVES[:size])
    root, old_root = tree.tree_root(size, stored.read), tree.tree_root(old, stored.read)
    hash_ = leaf_hash(LEAVES[index])
    inclusion = tree.inclusion_proof(index, size, stored.read)
    consistency = tree.consistency_proof(old, size, stored.read)
    assert proves_inclusion(index, size, hash_, inclusion, root)
    assert proves_consistency(old, size, old_root, root, consistency)
    other = leaf_hash(b"another leaf")
    assert not proves_inclusion(index, size, other, inclusion, root)
    assert not proves_inclusion(index, size, hash_, [*inclusion, other], root)
    assert not proves_inclusion(index, size, hash_, inclusion, other)
    assert not proves_consistency(old, size, other, root, consistency)
    assert not proves_consistency(old, size, old_root, root, [*consistency, other])
    for place in range(len(inclusion)):
        changed = [*inclusion[:place], other, *inclusion[place + 1 :]]
        assert not proves_inclusion(index, size, hash_, changed, root)
    for place in range(len(consistency)):
        changed = [*consistency[:place], other, *consistency[place + 1 :]]
        assert not proves_consistency(old, size, old_root, root, changed)
