"""Recordings on disk, read block by block as the audio of a session."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from voiceguard.core.errors import AudioFileError
from voiceguard.core.units import FULL_SCALE, INPUT_RATES_HZ, MAX_CHANNELS, SAMPLE_RATE_HZ

BLOCK_S: Final = 1.0
"""Audio read at a time: what is in memory does not grow with the recording."""

LOWEST_RATE_HZ: Final = 4000
"""Below this a recording holds less than half of the telephone band."""

MAX_BELIEVED_S: Final = 30 * 24 * 3600
"""Lengths beyond this come from headers of streams whose length was never filled in."""

SUFFIXES: Final = frozenset(
    {
        ".aif",
        ".aifc",
        ".aiff",
        ".au",
        ".caf",
        ".flac",
        ".mp3",
        ".oga",
        ".ogg",
        ".opus",
        ".rf64",
        ".snd",
        ".w64",
        ".wav",
    }
)
"""Names that count as recordings when a folder is searched."""


@dataclass(frozen=True, slots=True)
class RecordingShape:
    """What a recording's header says, and at what rate its samples are handed on."""

    file_rate_hz: int
    """Rate of the file."""
    sample_rate_hz: int
    """Rate of the blocks: the file's, or `SAMPLE_RATE_HZ` when no session accepts that."""
    channels: int
    duration_s: float | None
    """None when the header does not know it."""

    @property
    def is_resampled(self) -> bool:
        """Whether the file's own rate is not one that a session may have."""
        return self.file_rate_hz != self.sample_rate_hz


class RecordingReader:
    """Reads one recording: wav, flac, ogg, opus, mp3 and whatever else libsndfile knows.

    Use as a context manager. Samples outside [-1, 1) are clipped, as a telephone
    line would; what is not a number is read as silence.

    Args:
        path: the file.

    Raises:
        AudioFileError: the file is missing, a folder, empty, not audio, or of a
            shape that no session has.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream = _open(path)
        try:
            self._file = _open_audio(path, self._stream)
            self.shape = _shape(path, self._file)
        except BaseException:
            self._stream.close()
            raise
        self._declared = _declared_frames(path, self._file)
        self._resampler = (
            soxr.ResampleStream(
                self.shape.file_rate_hz, SAMPLE_RATE_HZ, self.shape.channels, dtype="float32"
            )
            if self.shape.is_resampled
            else None
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self._stream.close()

    def blocks(self) -> Iterator[NDArray[np.int16]]:
        """Yield the samples in order, once, in blocks of about `BLOCK_S`.

        Yields:
            Shape (samples, channels) at `shape.sample_rate_hz`; never empty.

        Raises:
            AudioFileError: after the last good sample of a damaged file or one
                that is shorter than its header says; a file without samples.
        """
        frames = 0
        for block in self._read():
            frames += len(block)
            yield from self._convert(block, last=False)
        if self._resampler is not None:
            yield from self._convert(np.empty((0, self.shape.channels), np.float32), last=True)
        if not frames:
            raise _error(self._path, "holds no samples")
        if self._declared is not None and frames < self._declared:
            rate_hz = self.shape.file_rate_hz
            raise _error(
                self._path,
                f"is truncated: its header promises {self._declared / rate_hz:.2f} s, "
                f"{frames / rate_hz:.2f} s are there",
            )

    def _read(self) -> Iterator[NDArray[np.float32]]:
        size = int(BLOCK_S * self.shape.file_rate_hz)
        done = 0
        while True:
            try:
                block = self._file.read(size, dtype="float32", always_2d=True)
            except (soundfile.SoundFileError, RuntimeError) as error:
                at_s = done / self.shape.file_rate_hz
                raise _error(self._path, f"is damaged after {at_s:.1f} s: {_text(error)}") from None
            if not len(block):
                return
            done += len(block)
            yield block

    def _convert(self, block: NDArray[np.float32], *, last: bool) -> Iterator[NDArray[np.int16]]:
        if not np.isfinite(block).all():
            block = np.nan_to_num(block, nan=0.0, posinf=1.0, neginf=-1.0)
        if self._resampler is not None:
            block = self._resampler.resample_chunk(block, last=last)
        if len(block):
            scaled = np.rint(block * np.float32(FULL_SCALE))
            yield np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


@dataclass(slots=True)
class Envelope:
    """Lowest and highest sample of each stretch of a recording, for pictures.

    Grows by two numbers a channel for each `stretch_s`, whatever the sample rate.
    """

    sample_rate_hz: int
    channels: int
    stretch_s: float = 0.02
    _parts: list[NDArray[np.int16]] = field(default_factory=list)
    _rest: NDArray[np.int16] | None = None
    _samples: int = 0

    @property
    def duration_s(self) -> float:
        """Length of what was received."""
        return self._samples / self.sample_rate_hz

    def receive(self, block: NDArray[np.int16]) -> None:
        """Take the next samples, shape (samples, channels)."""
        self._samples += len(block)
        stretch = max(int(self.stretch_s * self.sample_rate_hz), 1)
        joined = block if self._rest is None else np.concatenate((self._rest, block))
        count = len(joined) // stretch
        self._rest = joined[count * stretch :].copy()
        if count:
            whole = joined[: count * stretch].reshape(count, stretch, self.channels)
            self._parts.append(np.stack((whole.min(axis=1), whole.max(axis=1)), axis=1))

    def extremes(self) -> NDArray[np.float32]:
        """Return shape (stretches, 2, channels): lowest and highest, in [-1, 1)."""
        parts = list(self._parts)
        if self._rest is not None and len(self._rest):
            parts.append(np.stack((self._rest.min(axis=0), self._rest.max(axis=0)))[None])
        if not parts:
            return np.zeros((0, 2, self.channels), np.float32)
        return np.concatenate(parts).astype(np.float32) / np.float32(FULL_SCALE)


def find_recordings(path: Path) -> list[Path]:
    """Return the recordings below a folder in the order of their names, or the file itself.

    Links to folders are not followed, so that a search always ends.

    Raises:
        AudioFileError: nothing is there, or the folder holds no recording.
    """
    if not path.is_dir():
        return [path]
    try:
        found = [
            file
            for folder, _, names in os.walk(path, onerror=_raise)
            for file in (Path(folder, name) for name in names)
            if file.suffix.lower() in SUFFIXES
        ]
    except OSError as error:
        raise _error(path, f"cannot be searched: {error.strerror or error}") from None
    if not found:
        raise _error(path, "holds no recording (" + ", ".join(sorted(SUFFIXES)) + ")")
    return sorted(found)


def _raise(error: OSError) -> None:
    raise error


def _open(path: Path) -> BinaryIO:
    try:
        if path.is_dir():
            raise _error(path, "is a folder; name the files in it")
        stream = path.open("rb")
    except FileNotFoundError:
        raise _error(path, "does not exist") from None
    except (OSError, ValueError) as error:
        raise _error(path, f"cannot be read: {getattr(error, 'strerror', error)}") from None
    if path.is_file() and path.stat().st_size == 0:
        stream.close()
        raise _error(path, "is empty")
    return stream


def _open_audio(path: Path, stream: BinaryIO) -> soundfile.SoundFile:
    try:
        # By descriptor, so that what counts is what is in the file and not its name.
        return soundfile.SoundFile(stream.fileno(), closefd=False)
    except soundfile.LibsndfileError as error:
        raise _error(path, f"is not audio that can be read: {_text(error)}") from None


def _shape(path: Path, file: soundfile.SoundFile) -> RecordingShape:
    rate_hz, channels = int(file.samplerate), int(file.channels)
    if channels > MAX_CHANNELS:
        raise _error(path, f"has {channels} channels; at most {MAX_CHANNELS} are read")
    if rate_hz < LOWEST_RATE_HZ:
        raise _error(path, f"is sampled at {rate_hz} Hz; speech needs {LOWEST_RATE_HZ} at least")
    known = 0 < file.frames <= MAX_BELIEVED_S * rate_hz
    return RecordingShape(
        file_rate_hz=rate_hz,
        sample_rate_hz=rate_hz if rate_hz in INPUT_RATES_HZ else SAMPLE_RATE_HZ,
        channels=channels,
        duration_s=file.frames / rate_hz if known else None,
    )


def _declared_frames(path: Path, file: soundfile.SoundFile) -> int | None:
    """Return how many sample frames the header promises; None: it makes no promise."""
    match file.format:
        case "WAV" | "WAVEX":
            return _declared_wav_frames(path)
        case "FLAC":
            return file.frames if 0 < file.frames <= MAX_BELIEVED_S * file.samplerate else None
        case _:
            return None


def _declared_wav_frames(path: Path) -> int | None:
    """Read the length from the header itself: libsndfile cuts it down to the file's size.

    Microsoft and IBM, Multimedia Programming Interface 1.0 (1991): chunks of an
    id, a little-endian length and content padded to an even length. Lengths of 0
    and near 2^32 are what programs write that cannot know it.
    """
    unknown_from = 0x7FFF0000
    with path.open("rb") as stream:
        if stream.read(4) != b"RIFF":
            return None
        stream.seek(12)
        block_bytes = 0
        while len(header := stream.read(8)) == 8:
            name, size = header[:4], struct.unpack("<I", header[4:])[0]
            if name == b"fmt ":
                content = stream.read(size + size % 2)
                tag, block_bytes = struct.unpack_from("<H10xH", content)
                if tag not in {1, 3, 6, 7, 0xFFFE}:  # anything else is compressed
                    return None
            elif name == b"data":
                plain = block_bytes > 0 and 0 < size < unknown_from
                return size // block_bytes if plain else None
            else:
                stream.seek(size + size % 2, 1)
    return None


def _error(path: Path, problem: str) -> AudioFileError:
    return AudioFileError(f"{path}: {problem}")


def _text(error: Exception) -> str:
    text = getattr(error, "error_string", None) or str(error)
    return str(text).rstrip(".").replace("\n", " ")
