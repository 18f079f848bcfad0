"""Proofs in the Merkle tree of a log (RFC 6962, RFC 9162)."""

from __future__ import annotations

from collections.abc import Sequence

from .forms import node_hash


def proves_inclusion(
    index: int, size: int, hash_: bytes, proof: Sequence[bytes], root: bytes
) -> bool:
    """Return whether a leaf lies in a tree (RFC 9162, section 2.1.3.2).

    Args:
        index: of the leaf, from 0.
        size: leaves of the tree.
        hash_: `leaf_hash` of the leaf.
        proof: hashes of the subtrees beside its way to the root, lowest first.
        root: hash of the tree.
    """
    if not 0 <= index < size:
        return False
    place, last = index, size - 1
    for sibling in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            hash_ = node_hash(sibling, hash_)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            hash_ = node_hash(hash_, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and hash_ == root


def proves_consistency(
    old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Return whether a tree begins with an older one (RFC 9162, section 2.1.4.2).

    Args:
        old: leaves of the older tree, at least one.
        new: leaves of the newer one.
        old_root: hash of the older tree.
        new_root: hash of the newer one.
        proof: as the log gave it.
    """
    if old == new:
        return not proof and old_root == new_root
    if not 0 < old < new or not proof:
        return False
    first, *rest = proof if old & (old - 1) else [old_root, *proof]
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old_hash = new_hash = first
    for sibling in rest:
        if last == 0:
            return False
        if place & 1 or place == last:
            old_hash, new_hash = node_hash(sibling, old_hash), node_hash(sibling, new_hash)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            new_hash = node_hash(new_hash, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and old_hash == old_root and new_hash == new_root
