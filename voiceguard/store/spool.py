"""The spool: records on the disk until the database has them.

Segments of framed records in the order of their leaf indices. A segment is deleted once the
database has all of it. What a crash leaves half written at the end is cut off at the next start.

    segment  magic(8) | frame | frame | ...
    frame    u32 length of body, u32 crc32 of body, body                        little-endian
    body     u64 leaf_index, u32 length, columns as JSON, u32 length, leaf, sealed
"""

from __future__ import annotations

import json
import os
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from voiceguard.evidence.files import PRIVATE_MODE, sync_folder, write_fully
from voiceguard.evidence.leaves import Leaf
from voiceguard.store.errors import SegmentDamagedError
from voiceguard.store.records import Record, columns_from_json, columns_to_json

MAX_SEGMENT_BYTES: Final = 4 * 1024 * 1024
"""A segment that has grown over this is followed by a new one."""

_MAGIC: Final = b"VGSPOOL1"
_FRAME: Final = struct.Struct("<II")
_INDEX: Final = struct.Struct("<QI")
_LENGTH: Final = struct.Struct("<I")


def frame_of(record: Record) -> bytes:
    """Return a record as it lies in a segment."""
    columns = json.dumps(columns_to_json(record.columns), separators=(",", ":")).encode()
    leaf = record.leaf.to_bytes()
    body = b"".join(
        (
            _INDEX.pack(record.leaf_index, len(columns)),
            columns,
            _LENGTH.pack(len(leaf)),
            leaf,
            record.sealed,
        )
    )
    return _FRAME.pack(len(body), zlib.crc32(body)) + body


def record_of(body: bytes) -> Record:
    """Return the record of a frame's body.

    Raises:
        ValueError, KeyError, TypeError, struct.error: it was something else that wrote it.
    """
    index, columns_bytes = _INDEX.unpack_from(body)
    columns_end = _INDEX.size + columns_bytes
    (leaf_bytes,) = _LENGTH.unpack_from(body, columns_end)
    leaf_start = columns_end + _LENGTH.size
    leaf_end = leaf_start + leaf_bytes
    return Record(
        leaf_index=index,
        leaf=Leaf.from_bytes(body[leaf_start:leaf_end]),
        columns=columns_from_json(json.loads(body[_INDEX.size : columns_end])),
        sealed=body[leaf_end:],
    )


@dataclass(slots=True)
class _Segment:
    path: Path
    first: int
    """Leaf index of its first record."""
    next: int
    """Leaf index after its last record."""
    size: int
    """Bytes that are known to be on the disk."""


@dataclass(frozen=True, slots=True)
class _Frame:
    index: int
    end: int
    body: bytes


def _frames(content: bytes, start: int = 0) -> Iterator[_Frame]:
    """Yield the whole frames from a place on, up to the first that is not one."""
    while start + _FRAME.size <= len(content):
        length, checksum = _FRAME.unpack_from(content, start)
        end = start + _FRAME.size + length
        body = content[start + _FRAME.size : end]
        if length < _INDEX.size or len(body) < length or zlib.crc32(body) != checksum:
            return
        yield _Frame(_INDEX.unpack_from(body)[0], end, body)
        start = end


class Spool:
    """Segments in one folder. One thread appends; one other may read and discard.

    Args:
        folder: of the segments; made when it is not there.

    Raises:
        SegmentDamagedError: records are missing in the middle.
        OSError: the folder cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._lock = threading.Lock()
        self._segments: list[_Segment] = []
        self._descriptor: int | None = None
        self._number = 0
        self._place = (0, 0)
        """Leaf index that the last read ended at, and its place in that segment."""
        self._load()

    @property
    def bytes_on_disk(self) -> int:
        """Bytes that all segments take."""
        return sum(segment.size for segment in tuple(self._segments))

    @property
    def bounds(self) -> tuple[int, int] | None:
        """Leaf index of the first record and after the last; None: there are none."""
        with self._lock:
            if not self._segments:
                return None
            return self._segments[0].first, self._segments[-1].next

    def append(self, records: Sequence[Record]) -> None:
        """Put records on the disk, all or none; their indices follow those before.

        Raises:
            OSError: the disk is full or broken. The spool is as it was, and may be tried again.
        """
        content = b"".join(map(frame_of, records))
        if self._descriptor is None:
            self._begin_segment(records[0].leaf_index)
        segment, descriptor = self._segments[-1], self._descriptor
        if descriptor is None:
            raise AssertionError("a segment has just been begun")
        try:
            write_fully(descriptor, content, segment.size)
            os.fdatasync(descriptor)
        except OSError:
            self._abandon(segment, descriptor)
            raise
        with self._lock:
            segment.size += len(content)
            segment.next = records[-1].leaf_index + 1
        if segment.size >= MAX_SEGMENT_BYTES:
            self.end_segment()

    def end_segment(self) -> None:
        """Let the next record begin a new segment, so that this one can be deleted."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def read(self, index: int, max_records: int) -> list[Record]:
        """Return records from a leaf index on, in order; none when there are none.

        Raises:
            SegmentDamagedError: what was written there cannot be read any more.
            OSError: the disk is broken.
        """
        with self._lock:
            segment = next((item for item in self._segments if index < item.next), None)
            if segment is None:
                return []
            path, size, first, after = segment.path, segment.size, segment.first, segment.next
        start = self._place[1] if self._place[0] == index != first else len(_MAGIC)
        with path.open("rb") as file:
            file.seek(start)
            content = file.read(size - start)
        records = []
        for frame in _frames(content):
            if frame.index >= index:
                records.append(record_of(frame.body))
                self._place = (frame.index + 1, start + frame.end)
            if len(records) == max_records or frame.index + 1 == after:
                break
        if not records:
            raise SegmentDamagedError(f"{path}: record {index} cannot be read any more")
        return records

    def discard(self, applied: int) -> None:
        """Delete the segments whose records all have smaller leaf indices.

        The newest stays as long as it may grow.

        Raises:
            OSError: a file cannot be deleted; it is tried again the next time.
        """
        while True:
            with self._lock:
                segment = self._segments[0] if self._segments else None
                growing = len(self._segments) == 1 and self._descriptor is not None
                if segment is None or growing or segment.next > applied:
                    return
            segment.path.unlink(missing_ok=True)
            with self._lock:
                self._segments.pop(0)

    def close(self) -> None:
        """Let go of the files."""
        self.end_segment()

    # ---- segments ----

    def _begin_segment(self, first: int) -> None:
        path = self._folder / f"{self._number + 1:010}.spool"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        descriptor = os.open(path, flags, PRIVATE_MODE)
        try:
            write_fully(descriptor, _MAGIC, 0)
            sync_folder(self._folder)
        except OSError:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        self._number += 1
        self._descriptor = descriptor
        with self._lock:
            self._segments.append(_Segment(path, first, first, len(_MAGIC)))

    def _abandon(self, segment: _Segment, descriptor: int) -> None:
        """Leave a segment whose last write failed; the next try gets a new one.

        After a failed fsync the kernel may call pages clean that it never wrote, so the same
        file cannot be tried again (Rebello et al.: Can Applications Recover from fsync Failures?,
        USENIX ATC 2020). What cannot be cut off now is at the next start.
        """
        self._descriptor = None
        try:
            os.ftruncate(descriptor, segment.size)
        except OSError:
            pass
        finally:
            os.close(descriptor)
        if segment.first == segment.next:
            with self._lock:
                self._segments.remove(segment)
            segment.path.unlink(missing_ok=True)

    def _load(self) -> None:
        """Find the segments, cut what is torn off, and drop those that hold nothing."""
        paths = sorted(self._folder.glob("*.spool"))
        if not paths:
            return
        self._number = int(paths[-1].stem)
        after: int | None = None
        for path in reversed(paths):
            segment = _scan(path, after)
            if segment is None:
                path.unlink()
                continue
            if after is not None and segment.next != after:
                message = (
                    f"{path}: records {segment.next} to {after - 1} are missing in the spool; "
                    "restore the folder from a backup, or move the segment away to lose them"
                )
                raise SegmentDamagedError(message)
            after = segment.first
            self._segments.insert(0, segment)
        sync_folder(self._folder)


def _scan(path: Path, after: int | None) -> _Segment | None:
    """Return what a segment holds, cut to its whole frames; None: nothing.

    Args:
        path: of the segment.
        after: leaf index that the next segment begins with. What lies here from it on was
            written again there.
    """
    content = path.read_bytes()
    if not content.startswith(_MAGIC):
        return None
    segment: _Segment | None = None
    for frame in _frames(content, len(_MAGIC)):
        if after is not None and frame.index >= after:
            break
        if segment is None:
            segment = _Segment(path, frame.index, frame.index, 0)
        elif frame.index != segment.next:
            break
        segment.next = frame.index + 1
        segment.size = frame.end
    if segment is not None and segment.size < len(content):
        with path.open("r+b") as file:
            file.truncate(segment.size)
            os.fsync(file.fileno())
    return segment
