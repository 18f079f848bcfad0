"""Readers of emotional-speech corpora in the layout of their publishers.

Files are found anywhere below the given folder by the names that the publisher
gave them, whatever the audio format, so that a resampled copy reads as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from voiceguard.training.corpora.audio import AUDIO_SUFFIXES, find_audio, read_audio, read_clip
from voiceguard.training.corpora.calm import CALM, read_calm
from voiceguard.training.corpora.casia import CASIA, read_casia
from voiceguard.training.corpora.clip import (
    EMOTIONS,
    Clip,
    Corpus,
    CorpusError,
    Demographics,
    Licence,
    Sex,
)
from voiceguard.training.corpora.crema_d import CREMA_D, read_crema_d, read_crema_d_demographics
from voiceguard.training.corpora.emo_db import EMO_DB, read_emo_db
from voiceguard.training.corpora.emogator import EMOGATOR, read_emogator
from voiceguard.training.corpora.emovo import EMOVO, read_emovo
from voiceguard.training.corpora.esd import ESD, read_esd
from voiceguard.training.corpora.nemo import NEMO, read_nemo, read_nemo_demographics
from voiceguard.training.corpora.ravdess import RAVDESS, read_ravdess
from voiceguard.training.corpora.savee import SAVEE, read_savee
from voiceguard.training.corpora.tess import TESS, read_tess

__all__ = [
    "AUDIO_SUFFIXES",
    "CALM",
    "CASIA",
    "CORPORA",
    "CREMA_D",
    "EMOGATOR",
    "EMOTIONS",
    "EMOVO",
    "EMO_DB",
    "ESD",
    "NEMO",
    "RAVDESS",
    "SAVEE",
    "TESS",
    "Clip",
    "Corpus",
    "CorpusError",
    "Demographics",
    "Licence",
    "Sex",
    "find_audio",
    "read_audio",
    "read_calm",
    "read_casia",
    "read_clip",
    "read_crema_d",
    "read_crema_d_demographics",
    "read_emo_db",
    "read_emogator",
    "read_emovo",
    "read_esd",
    "read_nemo",
    "read_nemo_demographics",
    "read_ravdess",
    "read_savee",
    "read_tess",
]

CORPORA: Final[Mapping[str, Corpus]] = MappingProxyType(
    {
        corpus.name: corpus
        for corpus in (
            *(CREMA_D, EMO_DB, EMOGATOR, CALM),
            *(RAVDESS, TESS, SAVEE, EMOVO, CASIA, ESD, NEMO),
        )
    }
)
"""All corpora that can be read, by name."""
