"""Part files: the audio of running sessions, sealed, piece by piece.

Pieces are not synced one by one: at hundreds of calls that would be hundreds of syncs a second,
for audio that mostly is not kept. The kernel writes them within half a minute, and a crash of the
process alone loses nothing that was handed to it.

    frame    u32 length, u32 crc32 of sealed, sealed                              little-endian
    sealed   of runs: u64 first sample frame, u32 length, bytes as the client sent them
"""

from __future__ import annotations

import os
import queue
import struct
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from voiceguard.evidence.files import PRIVATE_MODE, write_fully
from voiceguard.store.errors import SealBrokenError
from voiceguard.store.recorder import Reporter
from voiceguard.store.sealing import derive_key, seal, unseal

MAX_WAITING_BYTES: Final = 64 * 1024 * 1024
"""Of audio in memory that the disk does not take."""

_FRAME: Final = struct.Struct("<II")
_RUN: Final = struct.Struct("<QI")

Run = tuple[int, bytes]
"""First sample frame, and the bytes of it and those that follow."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some seconds of a session's audio."""

    uid: str
    key: bytes = field(repr=False)
    frame_bytes: int
    chunks: list[Run] = field(repr=False)
    """In order, none before the end of the one before."""

    @property
    def size(self) -> int:
        """Bytes of audio."""
        return sum(len(content) for _, content in self.chunks)


@dataclass(frozen=True, slots=True)
class _Finish:
    uid: str
    then: Callable[[], None] | None
    """Called when all pieces have been written; None: the audio is not to be kept."""


class AudioSink:
    """A thread that writes pieces to part files.

    Args:
        folder: of the files.
        report: is told when audio cannot be written, and of defects.
    """

    def __init__(self, folder: Path, report: Reporter) -> None:
        self._folder = folder
        self._report = report
        self._queue: queue.SimpleQueue[Piece | _Finish | None] = queue.SimpleQueue()
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._frames: dict[str, tuple[int, int]] = {}
        """Frames and bytes of each file that is being written."""
        self._broken: set[str] = set()
        """Sessions some of whose audio was not written; each is reported once."""
        self._thread = threading.Thread(target=self._run, name="voiceguard-audio", daemon=True)
        self._is_working = False
        self.lost_pieces = 0
        """Since the start."""

    @property
    def waiting(self) -> int:
        """Pieces, and ends of sessions, that are not dealt with yet."""
        return self._queue.qsize() + self._is_working

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def put(self, piece: Piece) -> None:
        """Take a piece. Never blocks, never raises; over the limit it is lost, and known to be."""
        with self._lock:
            has_room = self._waiting_bytes < MAX_WAITING_BYTES
            if has_room:
                self._waiting_bytes += piece.size
            else:
                self.lost_pieces += 1
        if has_room:
            self._queue.put(piece)

    def finish(self, uid: str, then: Callable[[], None] | None) -> None:
        """End a session's part file, once all pieces put before are written.

        Args:
            uid: of the session.
            then: called by the thread; None: delete the file.
        """
        self._queue.put(_Finish(uid, then))

    def stop(self) -> None:
        """Write what is there, and end."""
        self._queue.put(None)
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            self._is_working = True
            try:
                match item:
                    case Piece():
                        self._write(item)
                    case _Finish():
                        self._finish(item)
            except Exception as defect:  # noqa: BLE001 - one session must not end the others' audio
                self._report("audio_defect", defect)
            self._is_working = False

    def _write(self, piece: Piece) -> None:
        with self._lock:
            self._waiting_bytes -= piece.size
        number, offset = self._frames.get(piece.uid, (0, 0))
        frame = frame_of(piece, number)
        try:
            self._append(part_path(self._folder, piece.uid), frame, offset)
        except OSError as error:
            self.lost_pieces += 1
            if piece.uid not in self._broken:
                self._broken.add(piece.uid)
                self._report("audio_not_written", error)
            return
        self._frames[piece.uid] = (number + 1, offset + len(frame))

    @staticmethod
    def _append(path: Path, frame: bytes, offset: int) -> None:
        """Write at a known place: what a failed write has left there is written over."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, PRIVATE_MODE)
        try:
            write_fully(descriptor, frame, offset)
        finally:
            os.close(descriptor)

    def _finish(self, item: _Finish) -> None:
        self._frames.pop(item.uid, None)
        self._broken.discard(item.uid)
        if item.then is None:
            part_path(self._folder, item.uid).unlink(missing_ok=True)
        else:
            item.then()


def part_path(folder: Path, uid: str) -> Path:
    """Return where a session's part file lies."""
    return folder / f"{uid}.part"


def frame_of(piece: Piece, number: int) -> bytes:
    """Return a piece as it lies in its part file, as the frame of this number."""
    content = b"".join(
        _RUN.pack(start, len(data)) + data
        for start, data in _joined(piece.chunks, piece.frame_bytes)
    )
    sealed = seal(derive_key(piece.key, "part"), content, f"{piece.uid}:part:{number}")
    return _FRAME.pack(len(sealed), zlib.crc32(sealed)) + sealed


def read_part(path: Path, key: bytes, uid: str) -> Iterator[Run]:
    """Yield the runs of a part file, in order, up to what is torn off or was changed.

    Args:
        path: of the file; one that is not there has no runs.
        key: of the session.
        uid: of the session.

    Raises:
        OSError: the file cannot be read.
    """
    part_key = derive_key(key, "part")
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        number = 0
        while len(head := file.read(_FRAME.size)) == _FRAME.size:
            length, checksum = _FRAME.unpack(head)
            sealed = file.read(length)
            if len(sealed) < length or zlib.crc32(sealed) != checksum:
                return
            try:
                content = unseal(part_key, sealed, f"{uid}:part:{number}")
            except SealBrokenError:
                return
            yield from _runs(content)
            number += 1


def _joined(chunks: Sequence[Run], frame_bytes: int) -> Iterator[Run]:
    """Yield runs without a gap as one."""
    start, data = chunks[0][0], [chunks[0][1]]
    end = start + len(chunks[0][1]) // frame_bytes
    for first, content in chunks[1:]:
        if first != end:
            yield start, b"".join(data)
            start, data = first, []
        data.append(content)
        end = first + len(content) // frame_bytes
    yield start, b"".join(data)


def _runs(content: bytes) -> Iterator[Run]:
    place = 0
    while place < len(content):
        start, length = _RUN.unpack_from(content, place)
        place += _RUN.size
        yield start, content[place : place + length]
        place += length
