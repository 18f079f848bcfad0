"""No model judges a speaker that it learnt from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks.accuracy.cache import Cache
from benchmarks.accuracy.evaluation import Plan, limited, parts_of
from benchmarks.accuracy.parts import SpeakerHeardError, fold_parts, part_of
from tests.benchmarks.accuracy import clip
from voiceguard.core.errors import ModelError
from voiceguard.engine.manifest import load_manifest
from voiceguard.resources import models_dir
from voiceguard.training.splits import SHIPPED, fold_of

MODEL = models_dir() / "stress"
HELD_OUT = load_manifest(MODEL / "model.toml").training.held_out_speakers["crema-d"]
TEST_SPEAKER = min(SHIPPED.test["crema-d"])


def model_that_left_out(folder: Path, speakers: tuple[str, ...]) -> Path:
    """Write a model folder whose manifest says so."""
    shutil.copytree(MODEL, folder)
    manifest = folder / "model.toml"
    lines = [
        f"crema-d = {list(speakers)}".replace("'", '"') if line.startswith("crema-d =") else line
        for line in manifest.read_text("utf-8").splitlines()
    ]
    manifest.write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def test_a_speaker_that_the_model_learnt_from_is_refused_by_name() -> None:
    assert "1001" not in HELD_OUT
    with pytest.raises(SpeakerHeardError, match="crema-d/1001"):
        part_of("shipped", MODEL, [clip("a", TEST_SPEAKER, "anger"), clip("b", "1001", "fear")])


def test_held_out_speakers_and_corpora_never_learnt_from_are_judged() -> None:
    clips = [clip("a", TEST_SPEAKER, "anger"), clip("b", "EB0", "fear", corpus="nemo")]
    assert part_of("shipped", MODEL, clips).clips == tuple(clips)


def test_each_fold_is_judged_by_the_model_that_left_it_out(tmp_path: Path) -> None:
    for fold, speakers in ((1, ("1001", "1002")), (2, ("1003",))):
        model_that_left_out(tmp_path / str(fold), speakers)
    folds = {"1001": 1, "1002": 1, "1003": 2}
    clips = [clip(name, name, "anger") for name in ("1003", "1001", "1002", "9999")]
    parts = fold_parts(tmp_path, clips, lambda each: folds.get(each.speaker))
    assert [(part.model.name, [each.speaker for each in part.clips]) for part in parts] == [
        ("1", ["1001", "1002"]),
        ("2", ["1003"]),
    ]


def test_folds_that_were_mixed_up_are_refused(tmp_path: Path) -> None:
    model_that_left_out(tmp_path / "1", ("1003",))
    with pytest.raises(SpeakerHeardError, match="crema-d/1001"):
        fold_parts(tmp_path, [clip("a", "1001", "anger")], lambda _: 1)


def test_a_missing_fold_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="1"):
        fold_parts(tmp_path, [clip("a", "1001", "anger")], lambda _: 1)


def plan(folds: Path | None) -> Plan:
    return Plan((), MODEL, folds, (), None, False, None, 10, 7, 1, Cache(None))


def test_without_folds_only_the_shipped_models_test_speakers_are_judged() -> None:
    clips = [clip(name, name, "anger") for name in ("1001", *HELD_OUT)]
    (part,) = parts_of(plan(None), "crema-d", clips)
    assert {each.speaker for each in part.clips} == SHIPPED.test["crema-d"]


def test_a_corpus_without_folds_goes_to_the_shipped_model_whole(tmp_path: Path) -> None:
    clips = [clip("a", "EB0", "anger", corpus="nemo"), clip("b", "MM0", "fear", corpus="nemo")]
    (part,) = parts_of(plan(tmp_path), "nemo", clips)
    assert part.model == MODEL
    assert len(part.clips) == 2


def test_with_folds_every_speaker_of_crema_d_is_judged_once(tmp_path: Path) -> None:
    speakers = [str(1000 + n) for n in range(1, 92)]
    clips = [clip(name, name, "anger") for name in speakers]
    for fold in range(1, 6):
        own = tuple(name for name in speakers if fold_of("crema-d", name) == fold)
        model_that_left_out(tmp_path / str(fold), own)
    parts = parts_of(plan(tmp_path), "crema-d", clips)
    assert len(parts) == 5
    assert sorted(each.speaker for part in parts for each in part.clips) == speakers


def test_a_limit_draws_the_same_clips_again_in_their_order() -> None:
    clips = [clip(f"{n:03}", "1001", "anger") for n in range(50)]
    drawn = limited(clips, 10, 3)
    assert drawn == limited(clips, 10, 3) == sorted(drawn, key=lambda each: each.path.stem)
    assert len(drawn) == 10
    assert limited(clips, None, 3) == clips
