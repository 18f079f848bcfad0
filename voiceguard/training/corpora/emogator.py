"""EmoGator: vocal bursts (sighs, screams, sobs, groans) by 357 people."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from voiceguard.training.corpora.audio import find_audio
from voiceguard.training.corpora.clip import Clip, Corpus, Licence

_NUMBERS: Final = (
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
        if 1 <= int(number) <= len(_NUMBERS):
            emotion = _NUMBERS[int(number) - 1]
            clips.append(
                Clip(corpus="emogator", path=path, speaker=speaker, emotion=emotion, language="zxx")
            )
    return clips


EMOGATOR: Final = Corpus(
    "emogator",
    "EmoGator: vocal bursts",
    Licence("Apache-2.0", "Buhl, EmoGator, 2023", commercial_use=True),
    "auxiliary, at a fraction of the weight: anger, audible distress, arousal",
    read_emogator,
)
