"""RAVDESS: 24 Canadian actors, two sentences, eight emotions at two intensities."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from voiceguard.training.corpora.audio import find_audio
from voiceguard.training.corpora.clip import Clip, Corpus, Demographics, Licence

_CODES: Final = {
    "01": "neutral",
    "02": "calm",
    "03": "happiness",
    "04": "sadness",
    "05": "anger",
    "06": "fear",
    "07": "disgust",
    "08": "surprise",
}
_INTENSITIES: Final = {"01": "medium", "02": "high"}
"""What the publisher calls normal and strong."""

_SPEECH: Final = r"03-01-0[1-8]-0[12]-0[12]-0[12]-\d{2}"
"""Audio only (03), speech (01) and not song (02)."""

_SPEAKERS: Final = {
    f"{actor:02d}": Demographics("female" if actor % 2 == 0 else "male") for actor in range(1, 25)
}
"""Actors with even numbers are women (Livingstone and Russo 2018)."""


def read_ravdess(folder: Path) -> list[Clip]:
    """Read the speech of RAVDESS: `Actor_12/03-01-05-02-01-02-12.wav`.

    The parts of the name: modality, speech or song, emotion, intensity, statement,
    repetition, actor. Songs and videos are left out.

    Raises:
        CorpusError: no recordings are there.
    """
    clips = []
    for path in find_audio(folder, _SPEECH):
        _, _, code, intensity, statement, _, actor = path.stem.split("-")
        clips.append(
            Clip(
                corpus="ravdess",
                path=path,
                speaker=actor,
                emotion=_CODES[code],
                language="en",
                intensity=_INTENSITIES[intensity],
                sentence=statement,
            )
        )
    return clips


RAVDESS: Final = Corpus(
    "ravdess",
    "RAVDESS: Ryerson Audio-Visual Database of Emotional Speech and Song",
    Licence("CC-BY-NC-SA-4.0", "Livingstone, Russo, RAVDESS, 2018", commercial_use=False),
    "anger, distress, arousal, valence",
    read_ravdess,
    lambda _: _SPEAKERS,
)
