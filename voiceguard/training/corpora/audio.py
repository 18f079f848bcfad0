"""Finds recordings, whatever format they were converted to, and reads them at 8 kHz."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from voiceguard.core.errors import AudioFileError
from voiceguard.core.units import FULL_SCALE, SAMPLE_RATE_HZ
from voiceguard.training.corpora.clip import Clip, CorpusError

AUDIO_SUFFIXES: Final = (".wav", ".flac", ".ogg", ".opus", ".mp3")
"""Formats that are looked for, best first: a clip found twice is read in the best."""


def read_audio(
    path: Path, channel: int | None = None, start_s: float = 0.0, end_s: float | None = None
) -> NDArray[np.int16]:
    """Read a recording as mono int16 at `SAMPLE_RATE_HZ` (soxr, very high quality).

    Args:
        path: any format that libsndfile reads, at any rate.
        channel: counted from 0; None mixes all.
        start_s: where to begin.
        end_s: where to end; None: at the end of the file.

    Raises:
        AudioFileError: it cannot be read as audio, or has no such channel or stretch.
    """
    try:
        with soundfile.SoundFile(path) as file:
            rate_hz = file.samplerate
            first = round(start_s * rate_hz)
            last = file.frames if end_s is None else round(end_s * rate_hz)
            if not 0 <= first <= last <= file.frames:
                raise AudioFileError(f"{path}: {start_s} s to {end_s} s is not within the file")
            if channel is not None and channel >= file.channels:
                raise AudioFileError(f"{path}: no channel {channel}; it has {file.channels}")
            if first:
                file.seek(first)
            # Where everything is wanted, the decoder's own end counts, not the header's.
            wanted = -1 if end_s is None else last - first
            samples = file.read(wanted, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise AudioFileError(f"{path}: cannot be read as audio ({error})") from error
    mono = samples.mean(axis=1) if channel is None else samples[:, channel]
    if rate_hz != SAMPLE_RATE_HZ:
        mono = soxr.resample(mono, rate_hz, SAMPLE_RATE_HZ, quality="VHQ")
    return np.asarray(np.clip(np.round(mono * FULL_SCALE), -32768, 32767), np.int16)


def read_clip(clip: Clip) -> NDArray[np.int16]:
    """Read what a clip covers of its file, as `read_audio` does.

    Raises:
        AudioFileError: it cannot be read as audio, or has no such channel or stretch.
    """
    return read_audio(clip.path, clip.channel, clip.start_s, clip.end_s)


def stem_of(path: Path) -> str:
    """Return what tells apart the recordings of a corpus that names each uniquely."""
    return path.stem


def path_without_suffix(path: Path) -> str:
    """Return what tells apart recordings whose names repeat from folder to folder."""
    return str(path.with_suffix(""))


def find_audio(
    folder: Path, name_pattern: str = r".*", identity: Callable[[Path], str] = stem_of
) -> list[Path]:
    """Return the audio files below `folder` whose stem matches, sorted by identity.

    Args:
        folder: where to look, all the way down.
        name_pattern: a regular expression for the whole stem.
        identity: files for which it returns the same are one recording, of which the best
            format is kept.

    Raises:
        CorpusError: the folder is missing or holds none.
    """
    pattern = re.compile(name_pattern)
    found: dict[str, Path] = {}
    if folder.is_dir():
        for suffix in AUDIO_SUFFIXES:
            for path in sorted(folder.rglob(f"*{suffix}")):
                if pattern.fullmatch(path.stem):
                    found.setdefault(identity(path), path)
    if not found:
        raise CorpusError(f"{folder}: no recordings here; give the folder the corpus lies in")
    return [found[key] for key in sorted(found)]
