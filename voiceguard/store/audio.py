"""From a session's part file to its sealed FLAC file, and back."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, cast

import numpy as np
import soundfile
from numpy.typing import NDArray

from voiceguard.core.audio import decode
from voiceguard.core.events import AudioFormat
from voiceguard.evidence.files import PRIVATE_MODE, replace_durably, sync_folder
from voiceguard.store.errors import SealBrokenError
from voiceguard.store.outline import Outline, OutlineMaker
from voiceguard.store.parts import Run, part_path, read_part
from voiceguard.store.payloads import CHUNK_BYTES, AudioFacts
from voiceguard.store.records import INTERRUPTED, Closed
from voiceguard.store.sealedfiles import SealedReader, SealedWriter
from voiceguard.store.sealing import derive_key, seal, unseal

FLAC_SUFFIX: Final = ".flac.sealed"
OUTLINE_SUFFIX: Final = ".outline"
PART_SUFFIX: Final = ".part"
UNFINISHED_SUFFIX: Final = ".tmp"

_BLOCK_SAMPLES: Final = 16 * 1024
"""Sample frames that are decoded or filled in at once."""


@dataclass(frozen=True, slots=True)
class AudioJob:
    """A session whose audio is to be made a FLAC file."""

    uid: str
    key: bytes = field(repr=False)
    audio_format: AudioFormat
    received_samples: int | None
    """Sample frames that the session had, gaps included; None: nobody knows, it was interrupted."""
    gap_samples: int
    """Sample frames of these that never came."""

    @classmethod
    def of(cls, uid: str, key: bytes, audio_format: AudioFormat, closed: Closed) -> AudioJob:
        """Return the job of a session that has ended."""
        rate_hz = audio_format.sample_rate_hz
        received = None if closed.ended == INTERRUPTED else round(closed.audio_s * rate_hz)
        return cls(uid, key, audio_format, received, round(closed.gaps_s * rate_hz))

    def is_complete(self, samples: int, missing: int) -> bool:
        """Return whether that many sample frames, so many of them missing, are all there were."""
        return self.received_samples == samples and missing <= self.gap_samples


def flac_name(uid: str) -> str:
    """Return the name of a session's sealed FLAC file."""
    return uid + FLAC_SUFFIX


def make_flac(folder: Path, job: AudioJob) -> AudioFacts | None:
    """Make the sealed FLAC file of a session, and its outline, from its part file.

    Memory does not grow with the length. What is missing becomes silence. Both files are on the
    disk when this returns; the part file stays.

    Returns:
        What audio.json says; None: there was no audio in the part file, and no file was made.

    Raises:
        OSError: the disk is full or broken; nothing is left behind.
    """
    target = folder / flac_name(job.uid)
    unfinished = target.with_name(target.name + UNFINISHED_SUFFIX)
    maker = OutlineMaker(len(job.audio_format.channels))
    try:
        samples, missing = _write_flac(unfinished, folder, job, maker)
        if not samples:
            return None
        with _open_flac(unfinished, job.key, job.uid) as reader:
            size, sha256, chunks = digests(reader)
        unfinished.replace(target)
        _write_outline(folder, job, maker.outline())
        sync_folder(folder)
    finally:
        unfinished.unlink(missing_ok=True)
    return AudioFacts(
        bytes_=size,
        sha256=sha256,
        chunks=chunks,
        samples=samples,
        sample_rate_hz=job.audio_format.sample_rate_hz,
        channels=len(job.audio_format.channels),
        complete=job.is_complete(samples, missing),
        missing_samples=missing,
    )


def open_flac(folder: Path, uid: str, key: bytes) -> SealedReader:
    """Open the FLAC file of a session; it can be read from any place.

    Raises:
        SealBrokenError: it was changed, here or when the part that was is read.
        OSError: it is not there, or cannot be read.
    """
    return _open_flac(folder / flac_name(uid), key, uid)


def read_outline(folder: Path, uid: str, key: bytes) -> Outline:
    """Return the outline of a session's audio.

    Raises:
        SealBrokenError: it was changed.
        OSError: it is not there, or cannot be read.
    """
    sealed = (folder / (uid + OUTLINE_SUFFIX)).read_bytes()
    content = unseal(derive_key(key, "outline"), sealed, f"{uid}:outline")
    try:
        return Outline.from_bytes(content)
    except ValueError as error:
        raise SealBrokenError(f"{uid}: {error}") from error


def delete_audio(folder: Path, uid: str) -> None:
    """Delete every file of a session's audio; those that are not there are fine.

    Raises:
        OSError: one cannot be deleted.
    """
    names = [uid + suffix for suffix in (PART_SUFFIX, FLAC_SUFFIX, OUTLINE_SUFFIX)]
    for name in (*names, flac_name(uid) + UNFINISHED_SUFFIX):
        (folder / name).unlink(missing_ok=True)


def digests(file: BinaryIO | SealedReader) -> tuple[int, str, tuple[str, ...]]:
    """Return length, SHA-256 and the SHA-256 of each MiB of a file, read to its end."""
    whole, size, chunks = hashlib.sha256(), 0, []
    while chunk := _read_up_to(file, CHUNK_BYTES):
        whole.update(chunk)
        chunks.append(hashlib.sha256(chunk).hexdigest())
        size += len(chunk)
    return size, whole.hexdigest(), tuple(chunks)


def _read_up_to(file: BinaryIO | SealedReader, size: int) -> bytes:
    pieces = []
    while size and (piece := file.read(size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _open_flac(path: Path, key: bytes, uid: str) -> SealedReader:
    file = path.open("rb")
    try:
        return SealedReader(file, key, f"{uid}:flac")
    except BaseException:
        file.close()
        raise


def _write_flac(path: Path, folder: Path, job: AudioJob, maker: OutlineMaker) -> tuple[int, int]:
    """Write a synced sealed FLAC file; return its sample frames, and how many were missing."""
    samples = missing = 0
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, PRIVATE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        writer = SealedWriter(file, job.key, f"{job.uid}:flac")
        runs = read_part(part_path(folder, job.uid), job.key, job.uid)
        with soundfile.SoundFile(
            cast("BinaryIO", writer),
            "w",
            samplerate=job.audio_format.sample_rate_hz,
            channels=len(job.audio_format.channels),
            format="FLAC",
            subtype="PCM_16",
        ) as flac:
            for block, is_missing in decoded(runs, job.audio_format):
                flac.write(block)
                maker.receive(block)
                samples += len(block)
                missing += len(block) if is_missing else 0
        writer.close()
        os.fsync(file.fileno())
    return samples, missing


def decoded(
    runs: Iterable[Run], audio_format: AudioFormat
) -> Iterator[tuple[NDArray[np.int16], bool]]:
    """Yield blocks of samples, of shape (n, channels), and whether each stands for lost audio."""
    place = 0
    frame_bytes = audio_format.frame_bytes
    for start, content in runs:
        while place < start:
            count = min(start - place, _BLOCK_SAMPLES)
            yield np.zeros((count, len(audio_format.channels)), np.int16), True
            place += count
        step = _BLOCK_SAMPLES * frame_bytes
        for offset in range(0, len(content), step):
            block = decode(content[offset : offset + step], audio_format)
            yield block, False
            place += len(block)


def _write_outline(folder: Path, job: AudioJob, outline: Outline) -> None:
    sealed = seal(derive_key(job.key, "outline"), outline.to_bytes(), f"{job.uid}:outline")
    replace_durably(folder / (job.uid + OUTLINE_SUFFIX), sealed, PRIVATE_MODE)
