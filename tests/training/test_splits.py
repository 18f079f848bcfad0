"""Which speakers are kept apart."""

from __future__ import annotations

from pathlib import Path

from tests.training.speech import recordings
from voiceguard.training.corpora import Clip
from voiceguard.training.splits import (
    DEVELOPMENT_SPEAKERS,
    TEST_SPEAKERS,
    Split,
    held_out_speakers,
    split_of,
)


def clip(corpus: str, speaker: str) -> Clip:
    return Clip(
        corpus=corpus, path=Path("clip.wav"), speaker=speaker, emotion="anger", language="en"
    )


def test_splits_are_disjoint_and_of_the_size_written_down() -> None:
    for corpus, speakers in TEST_SPEAKERS.items():
        assert not set(speakers) & set(DEVELOPMENT_SPEAKERS[corpus])
    assert len(TEST_SPEAKERS["crema-d"]) == 16
    assert len(DEVELOPMENT_SPEAKERS["crema-d"]) == 8
    assert held_out_speakers()["emo-db"] == ["11", "16"]


def test_bundled_clips_are_of_held_out_speakers() -> None:
    assert all(split_of(one.clip) is not Split.TRAIN for one in recordings())


def test_nothing_is_learnt_of_nemo() -> None:
    assert split_of(clip("nemo", "EB0")) is Split.TEST
