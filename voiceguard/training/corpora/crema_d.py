"""CREMA-D: 91 actors, 12 sentences, six emotions, and what listeners heard in each clip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from voiceguard.training.corpora.audio import find_audio
from voiceguard.training.corpora.clip import (
    EMOTIONS,
    Clip,
    Corpus,
    CorpusError,
    Demographics,
    Licence,
    Sex,
)
from voiceguard.training.corpora.tables import one_file, rows

_CODES: Final = dict(zip(("ANG", "DIS", "FEA", "HAP", "NEU", "SAD"), EMOTIONS, strict=True))
_INTENSITIES: Final = {"LO": "low", "MD": "medium", "HI": "high"}
_NAME_PATTERN: Final = r"\d{4}_[A-Z]{3}_(ANG|DIS|FEA|HAP|NEU|SAD)_[A-Z]{1,2}"

_VOTE_COLUMNS: Final = ("A", "D", "F", "H", "N", "S")
_LEVEL_COLUMNS: Final = tuple(
    f"mean{name}Resp" for name in ("Anger", "Disgust", "Fear", "Happy", "Neutral", "Sad")
)
_MOST_INTENSE: Final = 100.0
_AUDIO_ONLY: Final = "1"
"""First digit of the row number of answers given to the sound alone."""

_SEXES: Final[Mapping[str, Sex]] = {"Female": "female", "Male": "male"}

_WOMEN: Final = frozenset(
    (
        *("1002", "1003", "1004", "1006", "1007", "1008", "1009", "1010", "1012", "1013", "1018"),
        *("1020", "1021", "1024", "1025", "1028", "1029", "1030", "1037", "1043", "1046", "1047"),
        *("1049", "1052", "1053", "1054", "1055", "1056", "1058", "1060", "1061", "1063", "1072"),
        *("1073", "1074", "1075", "1076", "1078", "1079", "1082", "1084", "1089", "1091"),
    )
)
SEX_OF_ACTOR: Final[Mapping[str, Sex]] = MappingProxyType(
    {
        actor: "female" if actor in _WOMEN else "male"
        for actor in (str(number) for number in range(1001, 1092))
    }
)
"""As `VideoDemographics.csv` has it: here too, so that speakers can be split without the corpus."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """What listeners said of one clip's sound."""

    counts: tuple[int, ...]
    """Of votes, in the order of `EMOTIONS`."""
    intensity: float
    """0 to 1: the mean level over all listeners, where a vote for neutral counts as 0.

    `meanEmoResp` is the mean with neutral votes at their level, so that a voice heard as
    clearly neutral ranks as high as a furious one. Of the two, this one follows the level
    that the actor was asked for much more closely (correlation 0.48 against 0.22).
    """


def read_crema_d(folder: Path) -> list[Clip]:
    """Read CREMA-D: `AudioWAV/1001_DFA_ANG_XX.wav` and `tabulatedVotes.csv`.

    Raises:
        CorpusError: recordings or votes are missing.
    """
    heard = _heard_by_clip(folder)
    clips = []
    for path in find_audio(folder, _NAME_PATTERN):
        speaker, sentence, code, level = path.stem.split("_")
        own = heard.get(path.stem)
        clips.append(
            Clip(
                corpus="crema-d",
                path=path,
                speaker=speaker,
                emotion=_CODES[code],
                language="en",
                intensity=_INTENSITIES.get(level),
                sentence=sentence,
                vote_counts=own.counts if own else None,
                heard_intensity=own.intensity if own else None,
            )
        )
    return clips


def _heard_by_clip(folder: Path) -> dict[str, _Heard]:
    path = one_file(folder, "tabulatedVotes.csv")
    heard = {}
    for row in rows(path, "", "fileName", *_VOTE_COLUMNS, *_LEVEL_COLUMNS):
        if row[""].startswith(_AUDIO_ONLY):
            try:
                counts = tuple(int(float(row[column])) for column in _VOTE_COLUMNS)
                levels = [float(row[column]) for column in _LEVEL_COLUMNS]
            except ValueError as error:
                raise CorpusError(f"{path}: {row['fileName']}: {error}") from error
            if sum(counts) > 0:
                heard[row["fileName"]] = _Heard(counts, _intensity(counts, levels))
    return heard


def _intensity(counts: tuple[int, ...], levels: list[float]) -> float:
    felt = sum(
        count * level
        for name, count, level in zip(EMOTIONS, counts, levels, strict=True)
        if name != "neutral" and count > 0
    )
    return felt / sum(counts) / _MOST_INTENSE


def read_crema_d_demographics(folder: Path) -> dict[str, Demographics]:
    """Read `VideoDemographics.csv`: each actor's age, sex, race and ethnicity.

    Raises:
        CorpusError: it is missing, or not as published.
    """
    path = one_file(folder, "VideoDemographics.csv")
    actors = {}
    for row in rows(path, "ActorID", "Age", "Sex", "Race", "Ethnicity"):
        try:
            actors[row["ActorID"]] = Demographics(
                sex=_SEXES[row["Sex"]],
                age_years=int(row["Age"]),
                race=row["Race"],
                ethnicity=row["Ethnicity"],
            )
        except (KeyError, ValueError) as error:
            raise CorpusError(f"{path}: actor {row['ActorID']}: {error}") from error
    return actors


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
    read_crema_d_demographics,
)
