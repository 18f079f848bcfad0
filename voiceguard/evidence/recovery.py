"""What is done with an evidence log at each start, before anything is added to it.

Until the last check has passed nothing is written: a log that is refused stays as it was found.
The log of a server that was killed has leaves after its last checkpoint, an index that may lack
them, and at its end perhaps a part of a write; that is put right. Anything else is damage.

A start reads the leaves since the last checkpoint and a few before it, however long the log is;
`voiceguard.evidence.audit` reads all.
"""

from __future__ import annotations

from typing import Final

from voiceguard.evidence.errors import EvidenceError
from voiceguard.evidence.frames import find_frame, read_frames
from voiceguard.evidence.storage import LEAVES_NAME, OFFSET, LeafStore
from voiceguard.evidence.tree import RightEdge, tree_root
from voiceguard.evidence.verify import Checkpoint

TAIL_LEAVES: Final = 64
"""Leaves before the last checkpoint that are compared with the index at each start."""

_BATCH_LEAVES: Final = 4096
"""Leaves whose part of the index is written at once."""


def recover(store: LeafStore, checkpoint: Checkpoint | None) -> tuple[RightEdge, int]:
    """Check a log and put its end in order.

    Args:
        store: its files.
        checkpoint: the last one that was signed, if any was.

    Returns:
        The tree's edge, and the size of the leaves' file in bytes.

    Raises:
        EvidenceError: it is not what was signed, or is damaged elsewhere than at its end.
        OSError: its files cannot be read or put right.
    """
    known = _indexed_and_signed(store, checkpoint)
    size, end = _survey(store, known, checkpoint)
    if find_frame(store.leaves, end + 1, store.leaf_bytes()) is not None:
        raise EvidenceError(
            f"log/{LEAVES_NAME} is damaged: entry {size}, at byte {end}, is not whole, but whole "
            "ones follow; nothing was changed: put the file back from a copy"
        )
    edge = _write_index(store, known, end)
    store.cut(size, end)
    return edge, end


def _indexed_and_signed(store: LeafStore, checkpoint: Checkpoint | None) -> int:
    """Return for how many leaves the index needs no making again: all that were signed, or none.

    The index is on the disk before a checkpoint is signed, so after that it can only have been
    lost or changed; then the leaves decide.
    """
    if checkpoint is None or store.indexed() < checkpoint.size:
        return 0
    try:
        if tree_root(checkpoint.size, store.hashes) != checkpoint.root:
            return 0
        for index in range(max(checkpoint.size - TAIL_LEAVES, 0), checkpoint.size):
            store.leaf(index)
    except EvidenceError:
        return 0
    return checkpoint.size


def _survey(store: LeafStore, known: int, checkpoint: Checkpoint | None) -> tuple[int, int]:
    """Return how many whole leaves there are, and where the last of them ends.

    Raises:
        EvidenceError: they are not those that the checkpoint signed.
    """
    signed = 0 if checkpoint is None else checkpoint.size
    edge, end = RightEdge.of_size(known, store.hashes), store.end_of(known)
    size = known
    for end, leaf in read_frames(store.leaves, end, store.leaf_bytes()):  # noqa: B007, B020
        size += 1
        if size <= signed:
            edge.append(leaf)
    if size < signed:
        raise EvidenceError(
            f"log/{LEAVES_NAME} has {size} whole entries, but {signed} were signed in "
            "log/checkpoint: entries are damaged or were removed; nothing was changed: put the "
            "file back from a copy"
        )
    if checkpoint is not None and edge.root() != checkpoint.root:
        raise EvidenceError(
            f"log/{LEAVES_NAME} is not what was signed in log/checkpoint: entries before {signed} "
            "were changed; nothing was changed now: put the file back from a copy"
        )
    return size, end


def _write_index(store: LeafStore, known: int, end: int) -> RightEdge:
    """Write the index of all leaves after those known, up to a place of their file."""
    edge = RightEdge.of_size(known, store.hashes)
    hashes, offsets, first = bytearray(), bytearray(), known
    for leaf_end, leaf in read_frames(store.leaves, store.end_of(known), end):
        hashes += b"".join(edge.append(leaf))
        offsets += OFFSET.pack(leaf_end)
        if edge.size - first == _BATCH_LEAVES:
            store.put_index(first, bytes(hashes), bytes(offsets))
            hashes, offsets, first = bytearray(), bytearray(), edge.size
    store.put_index(first, bytes(hashes), bytes(offsets))
    return edge
