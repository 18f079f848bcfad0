"""TESS: two Canadian actresses, 200 words in one sentence, seven emotions."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from voiceguard.training.corpora.audio import find_audio
from voiceguard.training.corpora.clip import Clip, Corpus, Demographics, Licence

_CODES: Final = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "neutral": "neutral",
    "ps": "surprise_positive",
    "sad": "sadness",
}
"""`ps` is pleasant surprise."""

_SPEAKERS: Final = {"OAF": Demographics("female", 64), "YAF": Demographics("female", 26)}
_NAME_PATTERN: Final = rf"(OAF?|YAF)_[a-z]+_({'|'.join(_CODES)})"
"""One recording of the older actress is named OA, not OAF."""


def read_tess(folder: Path) -> list[Clip]:
    """Read TESS: `OAF_back_angry.wav` is actress, word, emotion.

    Raises:
        CorpusError: no recordings are there.
    """
    clips = []
    for path in find_audio(folder, _NAME_PATTERN):
        actress, word, code = path.stem.split("_")
        clips.append(
            Clip(
                corpus="tess",
                path=path,
                speaker="YAF" if actress == "YAF" else "OAF",
                emotion=_CODES[code],
                language="en",
                sentence=word,
            )
        )
    return clips


TESS: Final = Corpus(
    "tess",
    "TESS: Toronto Emotional Speech Set",
    Licence("CC-BY-NC-ND-4.0", "Pichora-Fuller, Dupuis, TESS, 2010", commercial_use=False),
    "anger, distress, arousal, valence",
    read_tess,
    lambda _: _SPEAKERS,
)
