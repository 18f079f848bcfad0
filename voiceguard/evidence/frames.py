"""How leaves lie in a file: each with its length and a checksum before it.

The checksum tells a write that was cut off from one that was finished; against people who change
the file there is the tree. A leaf is never empty, so a stretch of zeros is no frame.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from typing import Final

MAX_LEAF_BYTES: Final = 0xFFFF
"""Far more than a leaf has; the two zero bytes that this leaves in each header are what
`find_frame` looks for."""

_HEADER: Final = struct.Struct("<II")
"""Length of the leaf and its CRC-32 (that of zlib and IEEE 802.3)."""

FRAME_OVERHEAD_BYTES: Final = _HEADER.size

_CHUNK_BYTES: Final = 1 << 20


def frame(leaf: bytes) -> bytes:
    """Return a leaf as it lies in the file.

    Raises:
        ValueError: it is empty or too long.
    """
    if not 0 < len(leaf) <= MAX_LEAF_BYTES:
        raise ValueError(f"a leaf of {len(leaf)} bytes; it must have 1 to {MAX_LEAF_BYTES}")
    return _HEADER.pack(len(leaf), zlib.crc32(leaf)) + leaf


def unframe(content: bytes) -> bytes:
    """Return the leaf of one whole frame.

    Raises:
        ValueError: it is no frame, or was damaged.
    """
    if len(content) > _HEADER.size:
        length, checksum = _HEADER.unpack_from(content)
        leaf = content[_HEADER.size :]
        if length == len(leaf) and checksum == zlib.crc32(leaf):
            return leaf
    raise ValueError("not a whole frame")


def read_frames(descriptor: int, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Yield each leaf, after the place where its frame ends; stop at what is no whole frame.

    Args:
        descriptor: of the file.
        start: where a frame begins.
        end: read no further.
    """
    buffer, base = b"", start
    while True:
        place = 0
        while (leaf := _frame_at(buffer, place)) is not None:
            place += _HEADER.size + len(leaf)
            yield base + place, leaf
        base += place
        held = len(buffer) - place
        more = os.pread(descriptor, min(_CHUNK_BYTES, end - base - held), base + held)
        # A buffer larger than any frame that has no whole one at its start is damaged.
        if not more or held > _HEADER.size + MAX_LEAF_BYTES:
            return
        buffer = buffer[place:] + more


def find_frame(descriptor: int, start: int, end: int) -> int | None:
    """Return the first place at or after `start` where a whole frame lies; None: nowhere."""
    overlap = _HEADER.size + MAX_LEAF_BYTES
    while start < end:
        buffer = os.pread(descriptor, min(_CHUNK_BYTES + overlap, end - start), start)
        # The upper half of a length is zero.
        place = buffer.find(b"\0\0", 2)
        while 0 <= place - 2 < _CHUNK_BYTES:
            if _frame_at(buffer, place - 2) is not None:
                return start + place - 2
            place = buffer.find(b"\0\0", place + 1)
        start += _CHUNK_BYTES
    return None


def _frame_at(buffer: bytes, place: int) -> bytes | None:
    """Return the leaf whose whole frame begins here, if one does."""
    begin = place + _HEADER.size
    if len(buffer) < begin:
        return None
    length, checksum = _HEADER.unpack_from(buffer, place)
    if not 0 < length <= MAX_LEAF_BYTES or len(buffer) < begin + length:
        return None
    leaf = buffer[begin : begin + length]
    return leaf if zlib.crc32(leaf) == checksum else None
