"""nEMO: nine Polish speakers, six emotions. What we ship is only ever measured on it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from voiceguard.training.corpora.audio import find_audio
from voiceguard.training.corpora.clip import Clip, Corpus, CorpusError, Demographics, Licence, Sex
from voiceguard.training.corpora.tables import one_file, rows

_EMOTIONS: Final = {
    "anger": "anger",
    "fear": "fear",
    "happiness": "happiness",
    "neutral": "neutral",
    "sadness": "sadness",
    "surprised": "surprise",
}
_SEXES: Final[Mapping[str, Sex]] = {"female": "female", "male": "male"}


def read_nemo(folder: Path) -> list[Clip]:
    """Read nEMO: recordings (`EB0_anger_33.wav`: speaker, emotion, sentence) and `data.tsv`.

    Raises:
        CorpusError: recordings or the table are missing, or the table lacks a recording.
    """
    table = one_file(folder, "data.tsv")
    known = {
        Path(row["file_id"]).stem: row
        for row in rows(table, "file_id", "emotion", "speaker_id", delimiter="\t")
    }
    clips = []
    for path in find_audio(folder):
        row = known.get(path.stem)
        if row is None:
            raise CorpusError(f"{table}: says nothing of {path.name}")
        if row["emotion"] not in _EMOTIONS:
            raise CorpusError(f"{table}: unknown emotion {row['emotion']!r} of {path.name}")
        clips.append(
            Clip(
                corpus="nemo",
                path=path,
                speaker=row["speaker_id"],
                emotion=_EMOTIONS[row["emotion"]],
                language="pl",
                sentence=path.stem.rpartition("_")[2],
            )
        )
    return clips


def read_nemo_demographics(folder: Path) -> dict[str, Demographics]:
    """Read each speaker's sex and age from `data.tsv`.

    Raises:
        CorpusError: it is missing, or not as published.
    """
    table = one_file(folder, "data.tsv")
    speakers = {}
    for row in rows(table, "speaker_id", "gender", "age", delimiter="\t"):
        try:
            speakers[row["speaker_id"]] = Demographics(_SEXES[row["gender"]], int(row["age"]))
        except (KeyError, ValueError) as error:
            raise CorpusError(f"{table}: speaker {row['speaker_id']}: {error}") from error
    return speakers


NEMO: Final = Corpus(
    "nemo",
    "nEMO: Dataset of Emotional Speech in Polish",
    Licence(
        "CC-BY-NC-SA-4.0",
        "Christop, nEMO: Dataset of Emotional Speech in Polish, 2024",
        commercial_use=False,
    ),
    "anger, distress, arousal, valence",
    read_nemo,
    read_nemo_demographics,
)
