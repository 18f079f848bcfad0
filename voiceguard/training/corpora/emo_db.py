"""EMO-DB: ten German actors, ten sentences, seven emotions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from voiceguard.training.corpora.audio import find_audio
from voiceguard.training.corpora.clip import Clip, Corpus, Demographics, Licence

_CODES: Final = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "T": "sadness",
    "N": "neutral",
}

SPEAKERS: Final[Mapping[str, Demographics]] = MappingProxyType(
    {
        "03": Demographics("male", 31),
        "08": Demographics("female", 34),
        "09": Demographics("female", 21),
        "10": Demographics("male", 32),
        "11": Demographics("male", 26),
        "12": Demographics("male", 30),
        "13": Demographics("female", 32),
        "14": Demographics("female", 35),
        "15": Demographics("male", 25),
        "16": Demographics("female", 31),
    }
)
"""As listed by the publisher (emodb.bilderbar.info)."""


def read_emo_db(folder: Path) -> list[Clip]:
    """Read EMO-DB: `wav/03a01Fa.wav` is speaker 03, sentence a01, emotion F, take a.

    Raises:
        CorpusError: no recordings are there.
    """
    return [
        Clip(
            corpus="emo-db",
            path=path,
            speaker=path.stem[:2],
            emotion=_CODES[path.stem[5]],
            language="de",
            sentence=path.stem[2:5],
        )
        for path in find_audio(folder, r"\d{2}[a-z]\d{2}[WLEAFTN][a-z]?")
    ]


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
    lambda _: SPEAKERS,
)
