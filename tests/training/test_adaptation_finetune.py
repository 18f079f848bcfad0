"""`voiceguard train --base`: learning on from a model, and what it refuses."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from tests.training.own_recordings import SPEAKERS, emotions_table, verdicts_table
from tests.training.speech import CREMA_D_DIR, recordings, speech
from tests.training.tiny import TINY, tiny_base
from voiceguard.core.errors import ConfigurationError, ModelError
from voiceguard.engine.manifest import load_manifest
from voiceguard.engine.model import StressModel
from voiceguard.engine.testing import create_model
from voiceguard.training.adapt import learning
from voiceguard.training.adapt.learning import Plan, scores_out_of_fold
from voiceguard.training.adapt.recordings import hear
from voiceguard.training.augment import Sounds
from voiceguard.training.calibrate import Calibration
from voiceguard.training.checkpoint import load_checkpoint
from voiceguard.training.clips import utterances_of
from voiceguard.training.command import train
from voiceguard.training.examples import Batch, TrainingDataError
from voiceguard.training.network import StressNetwork


def invoke(*options: str | Path) -> Result:
    result = CliRunner().invoke(train, [str(option) for option in options])
    if isinstance(result.exception, Exception):
        raise result.exception
    return result


def test_a_model_folder_is_written_that_can_be_learnt_on_from_again(tmp_path: Path) -> None:
    base, out, figures_path = tiny_base(tmp_path / "base"), tmp_path / "out", tmp_path / "figures"
    table = emotions_table(tmp_path / "own", SPEAKERS[:4])
    options = ["--base", base, "--out", out, "--steps", "2", "--json", figures_path]
    result = invoke(table, *options)
    assert "48 clips of 4 speakers, 16 with anger or distress; 0 left out; 4 folds" in result.output

    old, new = load_manifest(base / "model.toml"), load_manifest(out / "model.toml")
    assert new.version == f"1+own.{new.sha256[:8]}"
    assert new.base is not None
    assert new.base.sha256 == old.sha256
    assert new.training.held_out_speakers == old.training.held_out_speakers
    assert new.training.command.endswith(
        " && voiceguard train --base BASE LABELS.csv --seed 7 --steps 2"
    )
    assert [corpus.name for corpus in new.training.corpora][-1] == "own"
    assert not any(name in (out / "model.toml").read_text("utf-8") for name in SPEAKERS)

    assert new.checkpoint is not None
    checkpoint = out / new.checkpoint.file
    assert hashlib.sha256(checkpoint.read_bytes()).hexdigest() == new.checkpoint.sha256
    learnt, before = load_checkpoint(checkpoint), load_checkpoint(base / "checkpoint.npz")
    assert learnt.shape == before.shape
    learnt_head, head = learnt.hop_experts.head, before.hop_experts.head
    assert not torch.equal(learnt_head.outputs.weight, head.outputs.weight)
    figures = json.loads(figures_path.read_text("utf-8"))
    assert figures["data"]["folds"] == 4
    assert set(figures["before"]["outputs"]) == {"pressure", "anger", "distress"}

    # What the manifest says of the calibration is what is in the graph.
    model = StressModel.load(out)
    scale, shift = (new.calibration.parameters[name] for name in ("scale", "shift"))
    with torch.no_grad():
        logits = learnt(torch.from_numpy(speech()), learnt.zero_state(1))[0]
    expected = torch.sigmoid(logits * torch.tensor(scale) + torch.tensor(shift)).numpy()
    scores, _ = model.run(speech(), model.new_states(1))
    np.testing.assert_allclose(scores, expected, atol=0.05)


def test_verdicts_alone_can_be_learnt_from(tmp_path: Path) -> None:
    base, out = tiny_base(tmp_path / "base"), tmp_path / "out"
    invoke(verdicts_table(tmp_path / "own"), "--base", base, "--out", out, "--steps", "1")
    StressModel.load(out)


def test_rehearsal_hears_nobody_whom_the_base_was_not_to_hear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[Plan] = []

    def remembered(plan: Plan, *_: object) -> StressNetwork:
        plans.append(plan)
        return plan.initial

    monkeypatch.setattr(learning, "learnt_on", remembered)
    monkeypatch.setattr("voiceguard.training.adapt.finetune.learnt_on", remembered)
    base, table = tiny_base(tmp_path / "base"), emotions_table(tmp_path / "own")
    corpus = f"--corpus=crema-d={CREMA_D_DIR}"
    invoke(table, corpus, "--base", base, "--out", tmp_path / "out", "--steps", "1")
    held_out = load_manifest(base / "model.toml").training.held_out_speakers["crema-d"]
    assert {"1012", "1064"} <= set(held_out)
    assert plans
    assert all(plan.rehearsed == [] for plan in plans)


def test_scores_out_of_fold_come_from_a_network_that_did_not_hear_the_speaker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    learnt_from: list[set[str]] = []

    def remembered(plan: Plan, heard: list[object], _: str) -> StressNetwork:
        learnt_from.append({one.clip.speaker for one in heard})  # type: ignore[attr-defined]
        return plan.initial

    monkeypatch.setattr(learning, "learnt_on", remembered)
    heard = hear(recordings())
    speakers = sorted({one.clip.speaker for one in heard})
    folds = np.array([speakers.index(one.clip.speaker) for one in heard])
    network = StressNetwork(TINY).eval()
    calibration = Calibration((1.0,) * 4, (0.0,) * 4)
    plan = Plan(network, calibration, [], Sounds.from_folder(None), 1)
    scores = scores_out_of_fold(plan, heard, folds)
    assert [len(one) for one in scores] == [len(one.hops) // 4000 for one in heard]
    for fold, own in enumerate(learnt_from):
        assert own == set(speakers) - {speakers[fold]}


def test_half_of_the_rows_are_rehearsed(monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[Batch] = []

    def drawn(sampler: object, *_: object) -> StressNetwork:
        batches.append(sampler.batch(0, 6))  # type: ignore[attr-defined]
        return network

    monkeypatch.setattr(learning, "fit", drawn)
    network = StressNetwork(TINY).eval()
    heard = [one for one in hear(recordings()) if one.clip.emotion == "anger"]
    calm = utterances_of(one for one in recordings() if one.clip.emotion == "neutral")
    calibration = Calibration((1.0,) * 4, (0.0,) * 4)
    plan = Plan(network, calibration, calm, Sounds.from_folder(None), 1)
    learning.learnt_on(plan, heard, "learning")
    (batch,) = batches
    assert all(len(getattr(batch, field.name)) == 6 for field in fields(Batch))
    assert batch.outputs[:3, :, 0].min() > batch.outputs[3:, :, 0].max()


def test_too_little_is_refused_before_anything_is_learnt(tmp_path: Path) -> None:
    table = emotions_table(tmp_path / "own", SPEAKERS[:2])
    with pytest.raises(TrainingDataError, match="24 clips with speech and a label of at least 40"):
        invoke(table, "--base", tiny_base(tmp_path / "base"), "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_base_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    table, base = emotions_table(tmp_path / "own"), create_model(tmp_path / "base")
    with pytest.raises(ModelError, match=r"has no checkpoint to learn on from; .*calibrate"):
        invoke(table, "--base", base, "--out", tmp_path / "out")


@pytest.mark.parametrize("fold", [True, False])
def test_a_base_wants_labels_and_no_fold(tmp_path: Path, fold: bool) -> None:  # noqa: FBT001
    base = tiny_base(tmp_path / "base")
    options = [emotions_table(tmp_path / "own"), "--fold", "1"] if fold else []
    with pytest.raises(ConfigurationError, match=r"--base wants LABELS\.csv of your own"):
        invoke(*options, "--base", base, "--out", tmp_path / "out")
    with pytest.raises(ConfigurationError, match="is the model itself"):
        invoke(emotions_table(tmp_path / "own"), "--base", base, "--out", base)
