"""Which speakers are kept apart."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.speech import recordings
from voiceguard.training.corpora import Clip
from voiceguard.training.corpora.crema_d import SEX_OF_ACTOR
from voiceguard.training.corpora.emo_db import SPEAKERS
from voiceguard.training.splits import (
    DEVELOPMENT_SPEAKERS,
    FOLDS,
    SHIPPED,
    TEST_SPEAKERS,
    Split,
    fold_of,
    fold_partition,
    held_out_speakers,
    select,
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


def test_nothing_is_learnt_of_nemo_unless_the_partition_says_so() -> None:
    speakers = ("EB0", "IC0", "KD0", "KS0", "MK0", "MP0", "SM0", "TP0", "WR0")
    clips = [clip("nemo", speaker) for speaker in speakers]
    assert {split_of(one) for one in clips} == {Split.TEST}
    allowed = replace(SHIPPED, unheard=frozenset())
    assert select(clips, Split.TRAIN, allowed)
    assert not select(clips, Split.TEST, allowed)


def test_of_other_corpora_about_a_tenth_of_the_speakers_is_for_development() -> None:
    clips = [clip("emogator", f"{number:06d}") for number in range(357)]
    assert 20 < len(select(clips, Split.DEVELOPMENT)) < 60
    assert not select(clips, Split.TEST)


def test_every_speaker_is_in_one_fold() -> None:
    assert len(SEX_OF_ACTOR) == 91
    for corpus, speakers in (("crema-d", SEX_OF_ACTOR), ("emo-db", SPEAKERS)):
        tested = [fold_partition(fold).test[corpus] for fold in range(1, FOLDS + 1)]
        assert Counter(name for test in tested for name in test) == Counter(list(speakers))
        for fold, test in enumerate(tested, start=1):
            assert {fold_of(corpus, speaker) for speaker in test} == {fold}
    assert fold_of("nemo", "EB0") is None
    assert fold_of("crema-d", "2001") is None


@pytest.mark.parametrize("fold", range(1, FOLDS + 1))
def test_folds_are_balanced_by_sex_and_keep_their_parts_apart(fold: int) -> None:
    partition = fold_partition(fold)
    sexes = Counter(SEX_OF_ACTOR[speaker] for speaker in partition.test["crema-d"])
    assert sexes["female"] in {8, 9}
    assert sexes["male"] in {9, 10}
    assert Counter(SPEAKERS[one].sex for one in partition.test["emo-db"]) == {
        "female": 1,
        "male": 1,
    }
    development = partition.development["crema-d"]
    assert Counter(SEX_OF_ACTOR[one] for one in development) == {"female": 4, "male": 4}
    assert not development & partition.test["crema-d"]
    clips = [clip("crema-d", speaker) for speaker in SEX_OF_ACTOR]
    learnt = {one.speaker for one in select(clips, Split.TRAIN, partition)}
    assert learnt == set(SEX_OF_ACTOR) - development - partition.test["crema-d"]
    held_out = held_out_speakers(partition)
    assert held_out["crema-d"] == sorted(development | partition.test["crema-d"])
    assert held_out["emo-db"] == sorted(partition.test["emo-db"])
    assert split_of(clip("nemo", "EB0"), partition) is Split.TEST


def test_folds_never_move() -> None:
    assert sorted(fold_partition(1).test["crema-d"])[:5] == ["1002", "1011", "1012", "1016", "1041"]
    assert sorted(fold_partition(2).test["emo-db"]) == ["12", "14"]


@pytest.mark.parametrize("fold", [0, FOLDS + 1])
def test_there_are_no_other_folds(fold: int) -> None:
    with pytest.raises(ValueError, match=f"fold {fold}"):
        fold_partition(fold)
