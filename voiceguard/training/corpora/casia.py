"""CASIA: four Mandarin speakers, six emotions."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from voiceguard.training.corpora.audio import find_audio, path_without_suffix
from voiceguard.training.corpora.clip import Clip, Corpus, CorpusError, Demographics, Licence

_FOLDERS: Final = {
    "angry": "anger",
    "fear": "fear",
    "happy": "happiness",
    "neutral": "neutral",
    "normal": "neutral",
    "sad": "sadness",
    "surprise": "surprise",
}
_ALIASES: Final = {
    "chang.liu": "liuchanhg",
    "zhe.wang": "wangzhe",
    "quanyin.zhao": "zhaoquanyin",
    "zuoxiang.zhao": "zhaozuoxiang",
}
"""Names of the same four in the part of the corpus with different texts."""

_SPEAKERS: Final = {
    "liuchanhg": Demographics("female"),
    "wangzhe": Demographics("male"),
    "zhaoquanyin": Demographics("female"),
    "zhaozuoxiang": Demographics("male"),
}
_LAST_SHARED_TEXT: Final = 300
"""Texts up to this number are spoken in every emotion; later ones differ between emotions."""


def read_casia(folder: Path) -> list[Clip]:
    """Read CASIA: `liuchanhg/angry/201.wav` is speaker, emotion, number of the text.

    Raises:
        CorpusError: no recordings are there, or none in folders of emotions.
    """
    clips = []
    for path in find_audio(folder, r"\d+", identity=path_without_suffix):
        emotion = _FOLDERS.get(path.parent.name.lower())
        if emotion is not None:
            speaker = path.parent.parent.name.lower()
            is_shared = int(path.stem) <= _LAST_SHARED_TEXT
            clips.append(
                Clip(
                    corpus="casia",
                    path=path,
                    speaker=_ALIASES.get(speaker, speaker),
                    emotion=emotion,
                    language="zh",
                    sentence=path.stem if is_shared else f"{path.stem}-{emotion}",
                )
            )
    if not clips:
        raise CorpusError(f"{folder}: recordings do not lie in SPEAKER/angry, fear, happy, ...")
    return clips


CASIA: Final = Corpus(
    "casia",
    "CASIA Chinese Emotional Speech Corpus",
    Licence(
        "licence from the Institute of Automation, Chinese Academy of Sciences",
        "Institute of Automation, Chinese Academy of Sciences, CASIA",
        commercial_use=False,
    ),
    "anger, distress, arousal, valence",
    read_casia,
    lambda _: _SPEAKERS,
)
