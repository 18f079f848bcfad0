"""Any folder of recordings that hold no emotion."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from voiceguard.training.corpora.audio import find_audio, path_without_suffix
from voiceguard.training.corpora.clip import Clip, Corpus, Licence


def read_calm(folder: Path) -> list[Clip]:
    """Read a folder of recordings that hold no emotion; each file counts as its own speaker.

    Raises:
        CorpusError: no recordings are there.
    """
    return [
        Clip(
            corpus="calm",
            path=path,
            speaker=f"{path.parent.name}/{path.stem}",
            emotion="neutral",
            language="und",
        )
        for path in find_audio(folder, identity=path_without_suffix)
    ]


CALM: Final = Corpus(
    "calm",
    "Speech without emotion: spoken orders, read words, recorded prompts",
    Licence(
        "Apache-2.0 (Picovoice speech-to-intent); CC-BY-SA (hugolpz/audio-cmn)",
        "Picovoice, speech-to-intent benchmark; hugolpz and others, audio-cmn",
        commercial_use=True,
    ),
    "calm negatives",
    read_calm,
)
