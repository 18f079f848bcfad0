"""A part of a session's audio as a WAV file, piece by piece."""

from __future__ import annotations

import contextlib
import io
import struct
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final, TypeAlias

import soundfile
from google.protobuf.duration_pb2 import Duration

from voiceguard.core.errors import ClientError
from voiceguard.store.errors import SealBrokenError

CHUNK_BYTES: Final = 64 * 1024
"""Of a stream of bytes to a client."""

MAX_WAV_BYTES: Final = 2**32 - 1 - 36
"""Most bytes of samples: the sizes in a WAV file have 32 bits."""

SAMPLE_BYTES: Final = 2

BinaryFile: TypeAlias = BinaryIO | io.RawIOBase

_NANOS: Final = 1_000_000_000
_MAX_OFFSET_S: Final = 315_576_000_000
"""10,000 years, as google/protobuf/duration.proto allows."""


@dataclass(frozen=True, slots=True)
class AudioRange:
    """A part of a session on its audio clock, in nanoseconds."""

    start_ns: int = 0
    end_ns: int | None = None
    """None: to the end."""

    def frames(self, rate_hz: int, total: int) -> tuple[int, int]:
        """Return the first sample frame of the part and the one after its last.

        Args:
            rate_hz: sample frames a second.
            total: sample frames that there are.
        """
        start = min(self.start_ns * rate_hz // _NANOS, total)
        end = total if self.end_ns is None else min(-(-self.end_ns * rate_hz // _NANOS), total)
        return start, end

    def covers(self, other: AudioRange) -> bool:
        """Return whether all of another part lies in this one."""
        if self.start_ns > other.start_ns:
            return False
        return self.end_ns is None or (other.end_ns is not None and other.end_ns <= self.end_ns)

    def __str__(self) -> str:
        start = f"{self.start_ns / _NANOS:.3f} s"
        return f"{start} to the end" if self.end_ns is None else f"{start} to {self._end_s()} s"

    def _end_s(self) -> str:
        return "" if self.end_ns is None else f"{self.end_ns / _NANOS:.3f}"


def range_from_proto(start: Duration | None, end: Duration | None) -> AudioRange:
    """Return the part that a request asks for.

    Args:
        start: None: from the beginning.
        end: None: to the end.

    Raises:
        ClientError: an offset is negative, or the end is not after the start.
    """
    start_ns = 0 if start is None else _nanoseconds(start, "start_offset")
    end_ns = None if end is None else _nanoseconds(end, "end_offset")
    if end_ns is not None and end_ns <= start_ns:
        raise ClientError("end_offset", "must be after start_offset")
    return AudioRange(start_ns, end_ns)


class WavReader:
    """A part of a session's audio as a WAV file, read piece by piece, from any thread.

    Args:
        flac: the whole audio, a seekable file; closed with the reader.
        part: what is wanted of it.
    """

    def __init__(self, flac: BinaryFile, part: AudioRange) -> None:
        self._flac = flac
        self._chunks = wav_chunks(flac, part)
        self._lock = threading.Lock()

    def read(self) -> bytes:
        """Return the next chunk, empty at the end. Blocks.

        Raises:
            ClientError: the part is too long for a WAV file.
            SealBrokenError: the audio was changed since it was sealed.
        """
        with self._lock:
            return next(self._chunks, b"")

    def close(self) -> None:
        """Close the file, once nobody reads it. Blocks."""
        with self._lock:
            self._chunks.close()
            self._flac.close()


def wav_chunks(flac: BinaryFile, part: AudioRange) -> Generator[bytes, None, None]:
    """Yield a WAV file of 16-bit samples (RIFF, Multimedia Programming Interface 1.0, 1991).

    Nothing but one chunk of the audio is in memory at a time.

    Args:
        flac: the whole audio, a seekable file; stays open.
        part: what is wanted of it; what lies after the end of the audio is left out.

    Yields:
        At most `CHUNK_BYTES` bytes, the header first.

    Raises:
        ClientError: the part is too long for a WAV file.
        SealBrokenError: the audio was changed since it was sealed.
    """
    file = _Watched(flac)
    with file.failures_raised(), soundfile.SoundFile(file) as audio:
        start, end = part.frames(audio.samplerate, audio.frames)
        frame_bytes = audio.channels * SAMPLE_BYTES
        size = (end - start) * frame_bytes
        if size > MAX_WAV_BYTES:
            raise ClientError("end_offset", "over 4 GiB of samples; ask for a shorter part")
        yield _wav_header(audio.channels, audio.samplerate, size)
        audio.seek(start)
        left = end - start
        while left > 0:
            samples = audio.read(min(left, CHUNK_BYTES // frame_bytes), dtype="int16")
            if file.failure is not None or not len(samples):
                raise file.failure or SealBrokenError("the audio ends before its header says so")
            left -= len(samples)
            yield samples.astype("<i2", copy=False).tobytes()


class _Watched:
    """A file whose errors reach whoever reads it through libsndfile, which would swallow them."""

    def __init__(self, file: BinaryFile) -> None:
        self._file = file
        self.failure: SealBrokenError | None = None
        self.seek = file.seek
        self.tell = file.tell

    def read(self, size: int) -> bytes:
        try:
            return self._file.read(size) or b""
        except SealBrokenError as error:
            self.failure = error
            return b""

    @contextlib.contextmanager
    def failures_raised(self) -> Iterator[None]:
        """Raise what was wrong with the file, in place of what libsndfile makes of it."""
        try:
            yield
        except soundfile.LibsndfileError as error:
            raise self.failure or SealBrokenError("the audio is no FLAC file any more") from error


def _wav_header(channels: int, rate_hz: int, size: int) -> bytes:
    """Return the 44 bytes before the samples."""
    frame_bytes = channels * SAMPLE_BYTES
    bits = 8 * SAMPLE_BYTES
    pcm = 1
    layout = struct.pack(
        "<HHIIHH", pcm, channels, rate_hz, rate_hz * frame_bytes, frame_bytes, bits
    )
    return b"".join(
        (
            b"RIFF",
            struct.pack("<I", 36 + size),
            b"WAVEfmt ",
            struct.pack("<I", len(layout)),
            layout,
            b"data",
            struct.pack("<I", size),
        )
    )


def _nanoseconds(offset: Duration, field: str) -> int:
    if offset.seconds < 0 or offset.nanos < 0:
        raise ClientError(field, "is negative; offsets count from the session's first sample")
    if offset.seconds > _MAX_OFFSET_S or offset.nanos >= _NANOS:
        raise ClientError(field, "is no duration")
    return offset.seconds * _NANOS + offset.nanos
