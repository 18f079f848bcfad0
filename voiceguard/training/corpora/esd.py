"""ESD: ten speakers of Mandarin, ten of English, 350 sentences each, five emotions."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from voiceguard.training.corpora.audio import find_audio
from voiceguard.training.corpora.clip import Clip, Corpus, CorpusError, Licence

_FOLDERS: Final = {
    "Angry": "anger",
    "Happy": "happiness",
    "Neutral": "neutral",
    "Sad": "sadness",
    "Surprise": "surprise",
}
_LAST_MANDARIN: Final = 10
_SENTENCES: Final = 350
"""Recordings are numbered through all emotions; each language has this many sentences."""


def read_esd(folder: Path) -> list[Clip]:
    """Read ESD: `0001/Angry/0001_000351.wav` is speaker, emotion, number.

    The first release has `train`, `test` and `evaluation` below each emotion; it reads as well.

    Raises:
        CorpusError: no recordings are there, or one is in no folder of an emotion.
    """
    clips = []
    for path in find_audio(folder, r"00(0[1-9]|1\d|20)_\d{6}"):
        speaker, number = path.stem.split("_")
        emotions = [_FOLDERS[part] for part in path.parts if part in _FOLDERS]
        if not emotions:
            raise CorpusError(f"{path}: lies in no folder Angry, Happy, Neutral, Sad or Surprise")
        language = "zh" if int(speaker) <= _LAST_MANDARIN else "en"
        clips.append(
            Clip(
                corpus="esd",
                path=path,
                speaker=speaker,
                emotion=emotions[-1],
                language=language,
                sentence=f"{language}-{(int(number) - 1) % _SENTENCES + 1:03d}",
            )
        )
    return clips


ESD: Final = Corpus(
    "esd",
    "ESD: Emotional Speech Database",
    Licence(
        "for research only, on request from the authors",
        "Zhou, Sisman, Liu, Li, Emotional Voice Conversion: Theory, Databases and ESD, 2022",
        commercial_use=False,
    ),
    "anger, distress, arousal, valence",
    read_esd,
)
