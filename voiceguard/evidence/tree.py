"""Arithmetic of the log's Merkle tree: which hashes are stored where, roots and proofs.

The tree and its proofs are those of RFC 6962, section 2.1 (the same in RFC 9162, section 2.1).
Hashes of complete subtrees never change, so each is stored once, in the order in which it comes
to be: a leaf's, then those of the subtrees that it completes. It is the order of
golang.org/x/mod/sumdb/tlog, after Crosby and Wallach, "Efficient Data Structures for
Tamper-Evident Logging" (USENIX Security 2009), section 3.3.

A subtree is named by its level (0: leaves) and its number within the level, from 0.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from voiceguard.evidence.verify import leaf_hash, node_hash

HashReader = Callable[[Sequence[int]], Sequence[bytes]]
"""Gives the stored hashes at these places, in the same order."""

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
"""Root of a tree without leaves (RFC 6962, section 2.1)."""

_Subtree = tuple[int, int]
"""Level and number."""

_Range = tuple[int, int]
"""First leaf and one after the last."""


def stored_hash_index(level: int, number: int) -> int:
    """Return the place of a complete subtree's hash among all stored hashes."""
    last_leaf = ((number + 1) << level) - 1
    # Stored after the hashes of all leaves before it, its leaf's own and its smaller siblings'.
    return stored_hash_count(last_leaf) + level


def stored_hash_count(size: int) -> int:
    """Return how many hashes are stored for a tree of this many leaves.

    It is the sum of size // 2**level over all levels, which is twice the size less its ones in
    binary (Legendre).
    """
    return 2 * size - size.bit_count()


@dataclass(slots=True)
class RightEdge:
    """What an append needs of a tree: the roots of its largest complete subtrees.

    There is one for each one in the binary form of the size, so 24 for ten million leaves.
    """

    size: int = 0
    peaks: list[bytes] = field(default_factory=list)
    """From the largest subtree to the smallest."""

    @classmethod
    def of_size(cls, size: int, read: HashReader) -> RightEdge:
        """Return the edge of a tree of this size from its stored hashes."""
        places = [stored_hash_index(*subtree) for subtree in _complete_subtrees(0, size)]
        return cls(size, list(read(places)))

    def append(self, leaf: bytes) -> list[bytes]:
        """Add a leaf and return the hashes to be stored for it, in their order."""
        return self.append_hash(leaf_hash(leaf))

    def append_hash(self, hash_: bytes) -> list[bytes]:
        """Add a leaf by its hash and return the hashes to be stored for it, in their order."""
        stored = [hash_]
        complete = self.size
        while complete & 1:
            hash_ = node_hash(self.peaks.pop(), hash_)
            stored.append(hash_)
            complete >>= 1
        self.peaks.append(hash_)
        self.size += 1
        return stored

    def root(self) -> bytes:
        """Return the hash of the whole tree."""
        return _fold(self.peaks) if self.peaks else EMPTY_ROOT

    def copy(self) -> RightEdge:
        """Return another edge that can be appended to by itself."""
        return RightEdge(self.size, self.peaks.copy())


def tree_root(size: int, read: HashReader) -> bytes:
    """Return the hash of the tree of the first `size` leaves (RFC 6962, section 2.1)."""
    return RightEdge.of_size(size, read).root()


def inclusion_proof(index: int, size: int, read: HashReader) -> list[bytes]:
    """Return the audit path of a leaf in the tree of `size` leaves (RFC 6962, section 2.1.1).

    Raises:
        ValueError: the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    return _hashes_of(_path_ranges(index, size), read)


def consistency_proof(old: int, new: int, read: HashReader) -> list[bytes]:
    """Return the proof that one tree begins with another (RFC 6962, section 2.1.2).

    Args:
        old: leaves of the smaller tree; nothing is to be proved of an empty one.
        new: leaves of the larger tree, or as many.
        read: gives stored hashes of the larger tree.

    Raises:
        ValueError: the sizes are no sizes of two such trees.
    """
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} leaves cannot begin with one of {old}")
    return _hashes_of(_consistency_ranges(old, new) if 0 < old < new else [], read)


def _path_ranges(index: int, size: int) -> list[_Range]:
    """Return the leaves under each hash of PATH(index, D[size]), lowest first."""
    ranges = []
    low, high = 0, size
    while high - low > 1:
        split = low + _split(high - low)
        if index < split:
            ranges.append((split, high))
            high = split
        else:
            ranges.append((low, split))
            low = split
    return ranges[::-1]


def _consistency_ranges(old: int, new: int) -> list[_Range]:
    """Return the leaves under each hash of PROOF(old, D[new]), lowest first."""
    ranges = []
    low, high = 0, new
    while old != high:
        split = low + _split(high - low)
        if old <= split:
            ranges.append((split, high))
            high = split
        else:
            ranges.append((low, split))
            low = split
    if low:
        # The verifier knows the old root; it needs this one unless it is that very root.
        ranges.append((low, high))
    return ranges[::-1]


def _split(count: int) -> int:
    """Return the largest power of two below a count of leaves, which is two or more."""
    return 1 << ((count - 1).bit_length() - 1)


def _complete_subtrees(low: int, high: int) -> list[_Subtree]:
    """Return the complete subtrees that make up a range of leaves, largest first.

    `low` must be a multiple of the largest subtree's leaves, as it is wherever a tree is split.
    """
    subtrees = []
    while low < high:
        level = (high - low).bit_length() - 1
        subtrees.append((level, low >> level))
        low += 1 << level
    return subtrees


def _hashes_of(ranges: Sequence[_Range], read: HashReader) -> list[bytes]:
    """Return the hash of each range, with a single reading."""
    parts = [_complete_subtrees(low, high) for low, high in ranges]
    hashes = iter(read([stored_hash_index(*subtree) for part in parts for subtree in part]))
    return [_fold(list(islice(hashes, len(part)))) for part in parts]


def _fold(peaks: Sequence[bytes]) -> bytes:
    """Return the hash over subtrees of falling size."""
    hash_ = peaks[-1]
    for left in reversed(peaks[:-1]):
        hash_ = node_hash(left, hash_)
    return hash_
