"""Readers of emotional-speech corpora in the layout of their publishers.

Files are found anywhere below the given folder by the names that the publisher
gave them, whatever the audio format, so that a resampled copy reads as well.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from voiceguard.core.errors import AudioFileError, VoiceguardError
from voiceguard.core.units import FULL_SCALE, SAMPLE_RATE_HZ

AUDIO_SUFFIXES: Final = (".wav", ".flac", ".ogg", ".opus", ".mp3")
"""Formats that are looked for, best first: a clip found twice is read in the best."""

EMOTIONS: Final = ("anger", "disgust", "fear", "happiness", "neutral", "sadness")
"""The six classes of CREMA-D, in the order of its vote columns."""


class CorpusError(VoiceguardError):
    """A corpus folder does not hold what its publisher puts in it."""


@dataclass(frozen=True, slots=True)
class Licence:
    """Under which terms a corpus may be used, and whom to name."""

    name: str
    attribution: str
    commercial_use: bool


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording with what is known about it."""

    corpus: str
    path: Path
    speaker: str
    """Unique within its corpus."""
    emotion: str
    """What the speaker meant to express, one of `EMOTIONS` or a name of the corpus's own."""
    intensity: str | None
    """"low", "medium" or "high" where the corpus says."""
    votes: tuple[float, ...] | None
    """Share of listeners for each of `EMOTIONS`, from the sound alone, where there are any."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """A corpus that training knows how to read."""

    name: str
    title: str
    licence: Licence
    use: str
    read: Callable[[Path], list[Clip]]


def read_audio(path: Path) -> NDArray[np.int16]:
    """Read a recording as mono int16 at `SAMPLE_RATE_HZ` (soxr, very high quality).

    Raises:
        AudioFileError: it cannot be read as audio.
    """
    try:
        samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise AudioFileError(f"{path}: cannot be read as audio ({error})") from error
    mono = samples.mean(axis=1)
    if rate_hz != SAMPLE_RATE_HZ:
        mono = soxr.resample(mono, rate_hz, SAMPLE_RATE_HZ, quality="VHQ")
    return np.asarray(np.clip(np.round(mono * FULL_SCALE), -32768, 32767), np.int16)


def find_audio(folder: Path, name_pattern: str = r".*") -> list[Path]:
    """Return the audio files below `folder` whose stem matches, one for each stem, sorted.

    Raises:
        CorpusError: the folder is missing or holds none.
    """
    pattern = re.compile(name_pattern)
    found: dict[str, Path] = {}
    if folder.is_dir():
        for suffix in AUDIO_SUFFIXES:
            for path in sorted(folder.rglob(f"*{suffix}")):
                if pattern.fullmatch(path.stem):
                    found.setdefault(path.stem, path)
    if not found:
        raise CorpusError(f"{folder}: no recordings here; give the folder the corpus lies in")
    return [found[stem] for stem in sorted(found)]


_CREMA_D_CODES: Final = dict(zip(("ANG", "DIS", "FEA", "HAP", "NEU", "SAD"), EMOTIONS, strict=True))
_CREMA_D_INTENSITIES: Final = {"LO": "low", "MD": "medium", "HI": "high"}
_AUDIO_ONLY: Final = "1"


def read_crema_d(folder: Path) -> list[Clip]:
    """Read CREMA-D: `AudioWAV/1001_DFA_ANG_XX.wav` and `tabulatedVotes.csv`.

    Raises:
        CorpusError: recordings or votes are missing.
    """
    votes = _crema_d_votes(folder)
    clips = []
    for path in find_audio(folder, r"\d{4}_[A-Z]{3}_(ANG|DIS|FEA|HAP|NEU|SAD)_[A-Z]{1,2}"):
        speaker, _, code, level = path.stem.split("_")
        emotion, intensity = _CREMA_D_CODES[code], _CREMA_D_INTENSITIES.get(level)
        clips.append(Clip("crema-d", path, speaker, emotion, intensity, votes.get(path.stem)))
    return clips


def _crema_d_votes(folder: Path) -> dict[str, tuple[float, ...]]:
    """Return the share of audio-only votes by clip (first digit of the row number: modality)."""
    totals: dict[str, NDArray[np.float64]] = {}
    for row in _rows(_one_file(folder, "tabulatedVotes.csv")):
        if row[""].startswith(_AUDIO_ONLY):
            counts = np.array([float(row[column]) for column in "ADFHNS"])
            totals[row["fileName"]] = totals.get(row["fileName"], 0.0) + counts
    return {
        name: tuple(float(share) for share in counts / counts.sum())
        for name, counts in totals.items()
        if counts.sum() > 0
    }


_EMO_DB_CODES: Final = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "T": "sadness",
    "N": "neutral",
}


def read_emo_db(folder: Path) -> list[Clip]:
    """Read EMO-DB: `wav/03a01Fa.wav`, speaker in the first two digits, emotion the sixth letter.

    Raises:
        CorpusError: no recordings are there.
    """
    paths = find_audio(folder, r"\d{2}[a-z]\d{2}[WLEAFTN][a-z]?")
    return [
        Clip("emo-db", path, path.stem[:2], _EMO_DB_CODES[path.stem[5]], None, None)
        for path in paths
    ]


_EMOGATOR_NUMBERS: Final = (
    *("adoration", "amusement", "anger", "awe", "confusion", "contempt", "contentment"),
    *("desire", "disappointment", "disgust", "distress", "ecstasy", "elation"),
    *("embarrassment", "fear", "guilt", "interest", "neutral", "pain", "pride"),
    *("realization", "relief", "romantic_love", "sadness", "serenity", "shame"),
    *("surprise_negative", "surprise_positive", "sympathy", "triumph"),
)
"""EmoGator's 30 emotions in the order of the numbers in its file names."""


def read_emogator(folder: Path) -> list[Clip]:
    """Read EmoGator: `000001-03-1.mp3` is speaker, number of the emotion, take.

    Raises:
        CorpusError: no recordings are there.
    """
    clips = []
    for path in find_audio(folder, r"\d{6}-\d{2}-\d"):
        speaker, number, _ = path.stem.split("-")
        if 1 <= int(number) <= len(_EMOGATOR_NUMBERS):
            emotion = _EMOGATOR_NUMBERS[int(number) - 1]
            clips.append(Clip("emogator", path, speaker, emotion, None, None))
    return clips


def read_calm(folder: Path) -> list[Clip]:
    """Read a folder of recordings that hold no emotion; each file counts as its own speaker.

    Raises:
        CorpusError: no recordings are there.
    """
    return [
        Clip("calm", path, f"{path.parent.name}/{path.stem}", "neutral", None, None)
        for path in find_audio(folder)
    ]


def read_nemo(folder: Path) -> list[Clip]:
    """Read nEMO: recordings and `data.tsv`, which names their speakers and emotions.

    Raises:
        CorpusError: recordings or the table are missing, or the table lacks a recording.
    """
    table = _one_file(folder, "data.tsv")
    rows = {Path(row["file_id"]).stem: row for row in _rows(table, delimiter="\t")}
    clips = []
    for path in find_audio(folder):
        row = rows.get(path.stem)
        if row is None:
            raise CorpusError(f"{table}: says nothing of {path.name}")
        clips.append(Clip("nemo", path, row["speaker_id"], row["emotion"], None, None))
    return clips


def _one_file(folder: Path, name: str) -> Path:
    found = sorted(folder.rglob(name))
    if not found:
        raise CorpusError(f"{folder}: {name} is missing; it comes with the corpus")
    return found[0]


def _rows(path: Path, delimiter: str = ",") -> Iterable[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        yield from csv.DictReader(file, delimiter=delimiter)


CREMA_D: Final = Corpus(
    "crema-d",
    "CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset",
    Licence(
        "ODbL-1.0 AND DbCL-1.0",
        "Cao, Cooper, Keutmann, Gur, Nenkova, Verma, CREMA-D, 2014",
        commercial_use=True,
    ),
    "anger, distress, arousal, valence; votes of listeners",
    read_crema_d,
)
EMO_DB: Final = Corpus(
    "emo-db",
    "A Database of German Emotional Speech",
    Licence(
        "CC0-1.0",
        "Burkhardt, Paeschke, Rolfes, Sendlmeier, Weiss, 2005",
        commercial_use=True,
    ),
    "anger, distress, arousal, valence",
    read_emo_db,
)
EMOGATOR: Final = Corpus(
    "emogator",
    "EmoGator: vocal bursts",
    Licence("Apache-2.0", "Buhl, EmoGator, 2023", commercial_use=True),
    "auxiliary, at a fraction of the weight: anger, audible distress, arousal",
    read_emogator,
)
CALM: Final = Corpus(
    "calm",
    "Speech without emotion: spoken orders, read words, recorded prompts",
    Licence(
        "Apache-2.0 (Picovoice speech-to-intent); CC-BY-SA (hugolpz/audio-cmn)",
        "Picovoice, speech-to-intent benchmark; hugolpz and others, audio-cmn",
        commercial_use=True,
    ),
    "calm negatives",
    read_calm,
)
NEMO: Final = Corpus(
    "nemo",
    "nEMO: Dataset of Emotional Speech in Polish",
    Licence(
        "CC-BY-NC-SA-4.0",
        "Christop, nEMO: Dataset of Emotional Speech in Polish, 2024",
        commercial_use=False,
    ),
    "evaluation only, never training",
    read_nemo,
)
CORPORA: Final[Sequence[Corpus]] = (CREMA_D, EMO_DB, EMOGATOR, CALM)
"""All that training reads, each with its licence."""
