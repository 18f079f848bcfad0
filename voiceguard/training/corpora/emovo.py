"""EMOVO: six Italian actors, 14 sentences, seven emotions."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from voiceguard.training.corpora.audio import find_audio
from voiceguard.training.corpora.clip import Clip, Corpus, Demographics, Licence

_CODES: Final = {
    "dis": "disgust",
    "gio": "happiness",
    "neu": "neutral",
    "pau": "fear",
    "rab": "anger",
    "sor": "surprise",
    "tri": "sadness",
}
_SPEAKERS: Final = {
    **{f"f{number}": Demographics("female") for number in (1, 2, 3)},
    **{f"m{number}": Demographics("male") for number in (1, 2, 3)},
}


def read_emovo(folder: Path) -> list[Clip]:
    """Read EMOVO: `f1/dis-f1-b1.wav` is emotion, speaker, sentence.

    Raises:
        CorpusError: no recordings are there.
    """
    clips = []
    for path in find_audio(folder, rf"({'|'.join(_CODES)})-[fm][1-3]-[a-z]+\d*"):
        code, speaker, sentence = path.stem.split("-")
        clips.append(
            Clip(
                corpus="emovo",
                path=path,
                speaker=speaker,
                emotion=_CODES[code],
                language="it",
                sentence=sentence,
            )
        )
    return clips


EMOVO: Final = Corpus(
    "emovo",
    "EMOVO Corpus: an Italian Emotional Speech Database",
    Licence(
        "free for research; no licence for other use is published",
        "Costantini, Iaderola, Paoloni, Todisco, EMOVO, 2014",
        commercial_use=False,
    ),
    "anger, distress, arousal, valence",
    read_emovo,
    lambda _: _SPEAKERS,
)
