"""A user's own recordings with labels: a CSV file that names recordings and says what they are.

docs/training.md describes the columns.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, NoReturn

import soundfile

from voiceguard.core.errors import VoiceguardError
from voiceguard.training.corpora import Clip, Corpus, Licence
from voiceguard.training.targets import KNOWN_EMOTIONS, NOT_PRESSURED, PRESSURED

OWN: Final = "own"
"""Name of the corpus that clips from a user's labels belong to."""

_VERDICTS: Final = {"confirmed": PRESSURED, "false_alarm": NOT_PRESSURED, "unsure": None}
"""What a reviewer's verdict (`Verdict.Kind` of review.proto) says; None: nothing to learn."""

_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_UNKNOWN_LANGUAGE: Final = "und"
_REQUIRED: Final = ("path", "speaker")
_LABELS: Final = ("emotion", "verdict")


class LabelsError(VoiceguardError):
    """A table of labels cannot be used; the message names the file, the line and what to do."""


@dataclass(frozen=True, slots=True)
class _Line:
    """One row, and where it stands."""

    table: Path
    number: int
    cells: Mapping[str, str]

    def refuse(self, problem: str) -> NoReturn:
        raise LabelsError(f"{self.table}:{self.number}: {problem}")


@dataclass(frozen=True, slots=True)
class _Sound:
    """What a recording's header says."""

    channels: int
    length_s: float


def read_labels(table: Path) -> list[Clip]:
    """Read a CSV file of labelled recordings; rows whose verdict is `unsure` are left out.

    Raises:
        LabelsError: the file, or a row of it, is not what it must be.
    """
    clips = [clip for line in _lines(table) if (clip := _clip(line)) is not None]
    if not clips:
        raise LabelsError(f"{table}: no labelled recording; give at least one that is not unsure")
    return clips


def _lines(table: Path) -> Iterator[_Line]:
    try:
        text = table.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise LabelsError(f"{table}: {error.strerror}; give a CSV file of labels") from error
    except UnicodeDecodeError as error:
        raise LabelsError(f"{table}: not UTF-8; save it as CSV in UTF-8") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        _check_columns(table, reader.fieldnames or ())
        for row in reader:
            line = _Line(table, reader.line_num, row)
            if None in row or None in row.values():
                line.refuse("not as many cells as columns; quote cells that hold commas")
            yield line
    except csv.Error as error:
        raise LabelsError(f"{table}:{reader.reader.line_num}: not CSV ({error})") from error


def _check_columns(table: Path, columns: Sequence[str]) -> None:
    if not columns:
        raise LabelsError(f"{table}: empty; its first line must name the columns")
    for name in _REQUIRED:
        if name not in columns:
            raise LabelsError(f"{table}:1: no column {name!r}; it has {', '.join(columns)}")
    if not any(name in columns for name in _LABELS):
        raise LabelsError(f"{table}:1: no column 'emotion' or 'verdict'")


def _clip(line: _Line) -> Clip | None:
    emotion = _emotion(line)
    path = _path(line)
    speaker = line.cells["speaker"].strip()
    if not speaker:
        line.refuse("no speaker; a call's or a session's name serves as well")
    channel = _channel(line)
    start_s, end_s = _span(line)
    _check_against_file(line, path, channel, start_s, end_s)
    if emotion is None:
        return None
    return Clip(
        corpus=OWN,
        path=path,
        speaker=speaker,
        emotion=emotion,
        language=_language(line),
        channel=channel,
        start_s=start_s,
        end_s=end_s,
    )


def _emotion(line: _Line) -> str | None:
    """Return the emotion, or what stands for a verdict; None when nothing is to be learnt."""
    emotion, verdict = (line.cells.get(name, "").strip() for name in _LABELS)
    if bool(emotion) == bool(verdict):
        line.refuse("give either an emotion or a verdict")
    if emotion:
        if emotion not in KNOWN_EMOTIONS:
            line.refuse(f"unknown emotion {emotion!r}; known: {', '.join(KNOWN_EMOTIONS)}")
        return emotion
    if verdict not in _VERDICTS:
        line.refuse(f"unknown verdict {verdict!r}; known: {', '.join(_VERDICTS)}")
    return _VERDICTS[verdict]


def _path(line: _Line) -> Path:
    name = line.cells["path"].strip()
    if not name:
        line.refuse("no path")
    path = line.table.parent / name
    if not path.is_file():
        line.refuse(f"{name} is no file; paths are relative to the folder of the table")
    return path


def _channel(line: _Line) -> int | None:
    text = line.cells.get("channel", "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()):
        line.refuse(f"channel {text!r} is not a whole number, counted from 0")
    return int(text)


def _span(line: _Line) -> tuple[float, float | None]:
    start_s, end_s = _seconds(line, "start_s"), _seconds(line, "end_s")
    if end_s is not None and end_s <= (start_s or 0.0):
        line.refuse(f"start_s {start_s or 0.0:g} is not before end_s {end_s:g}")
    return start_s or 0.0, end_s


def _seconds(line: _Line, column: str) -> float | None:
    text = line.cells.get(column, "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0.0):
        line.refuse(f"{column} {text!r} is not a number of seconds from 0")
    return value


def _language(line: _Line) -> str:
    text = line.cells.get("language", "").strip() or _UNKNOWN_LANGUAGE
    if not _LANGUAGE.fullmatch(text):
        line.refuse(f"language {text!r} is not like zh, en-GB or und (BCP 47)")
    return text


def _check_against_file(
    line: _Line, path: Path, channel: int | None, start_s: float, end_s: float | None
) -> None:
    sound = _sound(path)
    if sound is None:
        line.refuse(f"{path.name} cannot be read as audio")
    if channel is not None and channel >= sound.channels:
        line.refuse(f"no channel {channel}: {path.name} has {sound.channels}, counted from 0")
    beyond_s = start_s if end_s is None else end_s
    if beyond_s > sound.length_s or start_s >= sound.length_s:
        line.refuse(f"{beyond_s:g} s is beyond the end of {path.name} ({sound.length_s:.2f} s)")


@lru_cache(maxsize=64)
def _sound(path: Path) -> _Sound | None:
    """Return what the header says, None if it is not audio; rows of one call lie together."""
    try:
        info = soundfile.info(path)
    except soundfile.LibsndfileError:
        return None
    return _Sound(info.channels, info.frames / info.samplerate)


OWN_RECORDINGS: Final = Corpus(
    OWN,
    "The user's own recordings with labels",
    Licence("the user's own", "whoever trained this model", commercial_use=True),
    "as labelled by the user: emotions, or verdicts of reviewers",
    read_labels,
)
"""What the manifest says of clips from `read_labels`; its `read` takes the table."""
