"""SAVEE: four men, native speakers of English, seven emotions."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from voiceguard.training.corpora.audio import find_audio
from voiceguard.training.corpora.clip import Clip, Corpus, CorpusError, Demographics, Licence

_CODES: Final = {
    "a": "anger",
    "d": "disgust",
    "f": "fear",
    "h": "happiness",
    "n": "neutral",
    "sa": "sadness",
    "su": "surprise",
}
_SPEAKERS: Final = ("DC", "JE", "JK", "KL")
_NAME_PATTERN: Final = rf"(({'|'.join(_SPEAKERS)})_)?(a|d|f|h|n|sa|su)\d{{2}}"


def read_savee(folder: Path) -> list[Clip]:
    """Read SAVEE: `AudioData/DC/a01.wav`, or `DC_a01.wav` where all lie in one folder.

    Other folders' recordings with such names are left out. Sentences are not marked: the
    number says which sentence it is only within one emotion.

    Raises:
        CorpusError: no recordings are there, or none of the four speakers.
    """
    clips = []
    for path in find_audio(folder, _NAME_PATTERN, identity=lambda path: "_".join(_parts(path))):
        speaker, code = _parts(path)
        if speaker in _SPEAKERS:
            emotion = _CODES[code.rstrip("0123456789")]
            clips.append(
                Clip(corpus="savee", path=path, speaker=speaker, emotion=emotion, language="en-GB")
            )
    if not clips:
        raise CorpusError(f"{folder}: recordings do not lie in DC, JE, JK and KL, nor name them")
    return clips


def _parts(path: Path) -> tuple[str, str]:
    """Return speaker and code of a recording, from its name or its folder's."""
    speaker, _, code = path.stem.rpartition("_")
    return speaker or path.parent.name, code


SAVEE: Final = Corpus(
    "savee",
    "SAVEE: Surrey Audio-Visual Expressed Emotion",
    Licence(
        "for research only, on request from the University of Surrey",
        "Haq, Jackson, SAVEE, 2009",
        commercial_use=False,
    ),
    "anger, distress, arousal, valence",
    read_savee,
    lambda _: {speaker: Demographics("male") for speaker in _SPEAKERS},
)
