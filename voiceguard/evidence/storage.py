"""The three files of an evidence log.

`leaves` holds the leaves, framed; it alone cannot be made again. `hashes` holds the 32-byte
hashes of `voiceguard.evidence.tree`, and `offsets` where each leaf's frame ends, as 64 bits,
little-endian; both follow from the leaves, and are called the index here.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from voiceguard.evidence.errors import EvidenceError
from voiceguard.evidence.files import LOG_MODE, write_fully
from voiceguard.evidence.frames import unframe
from voiceguard.evidence.tree import stored_hash_count, stored_hash_index
from voiceguard.evidence.verify import DIGEST_BYTES, leaf_hash

LEAVES_NAME: Final = "leaves"
HASHES_NAME: Final = "hashes"
OFFSETS_NAME: Final = "offsets"

OFFSET: Final = struct.Struct("<Q")


class LeafStore:
    """Reads and writes the files, by place; knows nothing of what is durable or signed.

    Reading is safe from any thread while one writes beyond what is read.

    Args:
        folder: of the log; files that are not there are made.

    Raises:
        OSError: they cannot be opened.
    """

    def __init__(self, folder: Path) -> None:
        self._descriptors: list[int] = []
        try:
            for name in (LEAVES_NAME, HASHES_NAME, OFFSETS_NAME):
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
                self._descriptors.append(os.open(folder / name, flags, LOG_MODE))
        except OSError:
            self.close()
            raise
        self.leaves, self._hashes, self._offsets = self._descriptors

    def close(self) -> None:
        """Close the files; whatever is asked afterwards fails."""
        self.leaves = self._hashes = self._offsets = -1
        while self._descriptors:
            os.close(self._descriptors.pop())

    def leaf_bytes(self) -> int:
        """Return the size of the leaves' file."""
        return os.fstat(self.leaves).st_size

    def indexed(self) -> int:
        """Return how many leaves the index has room for; what it says of them may be wrong."""
        size = os.fstat(self._offsets).st_size // OFFSET.size
        hashes = os.fstat(self._hashes).st_size // DIGEST_BYTES
        return size if stored_hash_count(size) <= hashes else 0

    def end_of(self, size: int) -> int:
        """Return where the first `size` leaves end in their file.

        Raises:
            EvidenceError: the index does not say.
        """
        if not size:
            return 0
        content = os.pread(self._offsets, OFFSET.size, (size - 1) * OFFSET.size)
        if len(content) < OFFSET.size:
            raise EvidenceError(f"log/{OFFSETS_NAME} lacks entry {size - 1}")
        return int(OFFSET.unpack(content)[0])

    def leaf(self, index: int) -> bytes:
        """Return a leaf that is in the file.

        Raises:
            EvidenceError: it is not what was written.
        """
        start, end = self.end_of(index), self.end_of(index + 1)
        try:
            leaf = unframe(os.pread(self.leaves, max(end - start, 0), start))
        except (ValueError, OverflowError):  # an offset may be any number
            leaf = b""
        if not leaf or [leaf_hash(leaf)] != self.hashes([stored_hash_index(0, index)]):
            raise EvidenceError(
                f"entry {index} of log/{LEAVES_NAME} is damaged or was changed; "
                "run voiceguard evidence audit"
            )
        return leaf

    def hashes(self, places: Sequence[int]) -> list[bytes]:
        """Return stored hashes, as a `tree.HashReader` does.

        Raises:
            EvidenceError: there are none at these places.
        """
        found = [os.pread(self._hashes, DIGEST_BYTES, place * DIGEST_BYTES) for place in places]
        if any(len(hash_) < DIGEST_BYTES for hash_ in found):
            raise EvidenceError(f"log/{HASHES_NAME} is shorter than it was; run the server again")
        return found

    def put_leaves(self, frames: bytes, offset: int) -> None:
        """Write frames at a place of the leaves' file; they are on the disk afterwards.

        Raises:
            OSError: the disk is full or broken.
        """
        write_fully(self.leaves, frames, offset)
        os.fdatasync(self.leaves)

    def put_index(self, first: int, hashes: bytes, offsets: bytes) -> None:
        """Write what the index says of the leaves from `first` on.

        Raises:
            OSError: the disk is full or broken.
        """
        write_fully(self._hashes, hashes, stored_hash_count(first) * DIGEST_BYTES)
        write_fully(self._offsets, offsets, first * OFFSET.size)

    def sync_index(self) -> None:
        """Put the index on the disk.

        Raises:
            OSError: the disk is full or broken.
        """
        os.fdatasync(self._hashes)
        os.fdatasync(self._offsets)

    def cut(self, size: int, leaf_bytes: int) -> None:
        """Cut the files off after so many leaves, and so many bytes of them.

        Raises:
            OSError: the disk is broken.
        """
        os.ftruncate(self._hashes, stored_hash_count(size) * DIGEST_BYTES)
        os.ftruncate(self._offsets, size * OFFSET.size)
        if self.leaf_bytes() > leaf_bytes:
            os.ftruncate(self.leaves, leaf_bytes)
            os.fdatasync(self.leaves)
