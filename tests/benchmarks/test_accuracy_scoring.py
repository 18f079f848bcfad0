"""Clips are scored as serving would score them, once, and what is kept is kept for a reason."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from benchmarks.accuracy import scoring
from benchmarks.accuracy.cache import Cache, clip_keys, key_of
from benchmarks.accuracy.emotions import emotion_logits
from benchmarks.accuracy.parts import Part
from benchmarks.accuracy.scores import CLEAN, NO_SPEECH_LOG_ODDS, Heard
from benchmarks.accuracy.scoring import Batch, Line, other_voices, score_batch, score_parts
from tests.benchmarks.accuracy import clip, heard
from tests.training.speech import CREMA_D_DIR, recordings
from tests.training.tiny import tiny_base
from voiceguard.core.errors import ModelError
from voiceguard.resources import models_dir
from voiceguard.training.calibrate import clip_logits
from voiceguard.training.checkpoint import load_checkpoint
from voiceguard.training.clips import heard_over_g711
from voiceguard.training.corpora import Clip, read_crema_d
from voiceguard.training.export import Runner
from voiceguard.training.ship import log_odds_of_clips

MODEL = models_dir() / "stress"


def scored(clips: list[Clip], *conditions: str, model: Path = MODEL) -> dict[str, Heard]:
    batch = Batch(model, tuple(clips), other_voices(clips), Line((CLEAN, *conditions), None))
    return {name: Heard.from_matrix(matrix) for name, matrix in score_batch(batch).items()}


def test_clean_scores_are_those_that_evaluate_gives() -> None:
    some = recordings()[:5]
    runner = Runner((MODEL / "model.onnx").read_bytes())
    hops = [heard_over_g711(one.samples) for one in some]
    expected = log_odds_of_clips(runner.score_clips(hops))
    clean = scored([one.clip for one in some])[CLEAN]
    np.testing.assert_allclose(clean.log_odds, expected, atol=1e-3)
    assert clean.has_speech.all()
    assert (clean.gain_shift < 0.02).all()
    assert ((clean.level_db < 0) & (clean.level_db > -60)).all()
    assert ((clean.evidence >= 0) & (clean.evidence <= 1)).all()


def test_a_condition_changes_scores_and_level() -> None:
    clips = [recordings()[index].clip for index in (0, 4, 6, 10)]
    by_condition = scored(clips, "gain-down-12", "babble-10")
    down = by_condition["gain-down-12"].level_db - by_condition[CLEAN].level_db
    np.testing.assert_allclose(down, -12.0, atol=1.5)
    assert not np.array_equal(by_condition["babble-10"].log_odds, by_condition[CLEAN].log_odds)


def test_a_clip_without_speech_says_nothing(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(16000), 8000)
    silent = scored([clip(str(tmp_path / "silent"), "1", "neutral")])[CLEAN]
    assert not silent.has_speech.any()
    assert (silent.log_odds == NO_SPEECH_LOG_ODDS).all()
    assert silent.pressure[0] < 1e-6


def test_a_clip_at_full_scale_counts_as_clipped(tmp_path: Path) -> None:
    loud = np.sign(np.sin(2 * np.pi * 200 * np.arange(16000) / 8000)) * 0.999
    soundfile.write(tmp_path / "loud.wav", loud, 8000)
    soundfile.write(tmp_path / "soft.wav", 0.1 * loud, 8000)
    clips = [clip(str(tmp_path / name), "1", "neutral") for name in ("loud", "soft")]
    assert scored(clips)[CLEAN].is_clipped.tolist() == [True, False]


def test_other_voices_are_calm_and_of_different_people() -> None:
    clips = read_crema_d(CREMA_D_DIR)
    others = other_voices(clips)
    assert {each.emotion for each in others} == {"neutral"}
    assert len({each.speaker for each in others}) == len(others) == 2
    assert other_voices(clips[::-1]) == others


def test_the_emotions_head_is_asked_over_the_clean_line_only() -> None:
    chosen = recordings()[:2]
    by_condition = scored([one.clip for one in chosen], "g711-a")
    assert by_condition[CLEAN].has_emotions
    assert not by_condition["g711-a"].has_emotions
    network = load_checkpoint(MODEL / "checkpoint.npz")
    for recording, found in zip(chosen, by_condition[CLEAN].emotion_logits, strict=True):
        pcm = torch.from_numpy(heard_over_g711(recording.samples)[None])
        with torch.no_grad():
            of_hops = network(pcm, network.zero_state(1))[1][0].double().numpy()
        np.testing.assert_allclose(found, clip_logits(of_hops, 6), atol=1e-4)


def test_a_folder_without_an_emotions_head_has_no_emotions(tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(MODEL, model)
    (model / "checkpoint.npz").unlink()
    assert not scored([recordings()[0].clip], model=model)[CLEAN].has_emotions
    with pytest.raises(ModelError, match=r"checkpoint\.npz"):
        emotion_logits(model)


def test_scores_survive_as_a_matrix() -> None:
    original = heard(np.random.default_rng(0).normal(size=(4, 2)))
    again = Heard.from_matrix(original.as_matrix())
    np.testing.assert_array_equal(again.as_matrix(), original.as_matrix())
    with pytest.raises(ValueError, match="shape"):
        Heard.from_matrix(np.zeros((4, 3)))


def test_what_is_kept_is_found_under_its_key_only(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    key = key_of("scores", ["model", "clips"])
    assert cache.find(key) is None
    cache.keep(key, {"clean": np.arange(3.0)})
    found = cache.find(key)
    assert found is not None
    np.testing.assert_array_equal(found["clean"], np.arange(3.0))
    assert cache.find(key_of("scores", ["model", "other clips"])) is None
    assert Cache(None).find(key) is None


def test_another_recording_under_the_same_name_has_another_key(tmp_path: Path) -> None:
    own = clip(str(tmp_path / "a"), "1", "anger")
    own.path.write_bytes(b"one")
    before = clip_keys([own])
    own.path.write_bytes(b"another")
    assert clip_keys([own]) != before


def test_a_part_that_was_scored_is_not_scored_again_unless_model_or_line_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[int] = []

    def here(work: Callable[[Batch], object], batches: Sequence[Batch], _: int) -> Iterator[object]:
        runs.append(len(batches))
        return map(work, batches)

    monkeypatch.setattr(scoring, "in_processes", here)
    clips = tuple(one.clip for one in recordings()[:2])
    cache, done = Cache(tmp_path / "cache"), list[int]()
    part = Part("shipped", MODEL, clips)
    for conditions in ((CLEAN,), (CLEAN,), (CLEAN, "g711-a")):
        scored_part = score_parts([part], Line(conditions, None), 1, cache, done.append)[0]
        assert tuple(scored_part) == conditions
    other = Part("fold 1", tiny_base(tmp_path / "model"), clips)
    score_parts([other], Line((CLEAN,), None), 1, cache, done.append)
    assert runs == [1, 0, 1, 1]
    assert done == [2, 2, 4, 2]
