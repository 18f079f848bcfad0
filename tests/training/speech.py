"""The bundled clips of held-out speakers."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voiceguard.training.clips import Recording, heard_over_g711, read_recordings
from voiceguard.training.corpora import read_crema_d, read_emo_db

SPEECH_DIR = Path(__file__).resolve().parents[1] / "data" / "speech"
CREMA_D_DIR = SPEECH_DIR / "crema-d"
EMO_DB_DIR = SPEECH_DIR / "emo-db"
MODEL_DIR = Path(__file__).resolve().parents[2] / "models" / "stress"


@cache
def recordings() -> tuple[Recording, ...]:
    clips = [*read_crema_d(CREMA_D_DIR), *read_emo_db(EMO_DB_DIR)]
    return tuple(read_recordings(clips, lambda *_: None))


@cache
def speech() -> NDArray[np.float32]:
    """Return 12 hops of speech of one speaker: (1, 48000)."""
    own = [one for one in recordings() if one.clip.speaker == "1064"]
    joined = np.concatenate([heard_over_g711(one.samples) for one in own])
    return joined[None, : 12 * 4000]
