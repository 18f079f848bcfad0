"""`voiceguard calibrate`, from a table of labels to a model folder, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.training.own_recordings import CLIPS, SPEAKERS, emotions_table, verdicts_table
from tests.training.speech import speech
from voiceguard.core.errors import ConfigurationError, ModelError
from voiceguard.core.policy import Policy
from voiceguard.core.pressure import EvidenceWeights
from voiceguard.engine.manifest import load_manifest
from voiceguard.engine.model import StressModel
from voiceguard.engine.testing import create_model
from voiceguard.training.adapt.command import calibrate
from voiceguard.training.adapt.recordings import Least, check_enough, hear
from voiceguard.training.clips import read_recordings
from voiceguard.training.examples import TrainingDataError
from voiceguard.training.labels import LabelsError, read_labels


def invoke(*options: str | Path) -> Result:
    result = CliRunner().invoke(calibrate, [str(option) for option in options])
    if isinstance(result.exception, Exception):
        raise result.exception
    return result


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return create_model(tmp_path / "base")


def test_a_model_folder_is_written_that_serving_takes(tmp_path: Path, base: Path) -> None:
    table, out, figures_path = emotions_table(tmp_path / "own"), tmp_path / "out", tmp_path / "f"
    result = invoke(table, "--model", base, "--out", out, "--json", figures_path)
    assert "calibration error" in result.output
    assert "no speaker on both sides" in result.output

    old, new = load_manifest(base / "model.toml"), load_manifest(out / "model.toml")
    assert new.version == f"1+own.{new.sha256[:8]}"
    assert new.base is not None
    assert (new.base.version, new.base.sha256) == ("1", old.sha256)
    assert new.training.held_out_speakers == old.training.held_out_speakers
    assert new.training.command.endswith("voiceguard calibrate LABELS.csv --false-alarms 0.05")
    assert new.calibration.fitted_on == "the user's own recordings (60 clips of 5 speakers)"
    assert not any(name in (out / "model.toml").read_text("utf-8") for name in SPEAKERS)
    EvidenceWeights.from_mapping(new.pressure)

    ours, theirs = StressModel.load(base), StressModel.load(out)
    before, state = ours.run(speech(), ours.new_states(1))
    after, next_state = theirs.run(speech(), theirs.new_states(1))
    np.testing.assert_array_equal(state, next_state)
    np.testing.assert_allclose(after[..., 2:], before[..., 2:], atol=1e-5)
    assert np.abs(after[..., :2] - before[..., :2]).max() > 0.01

    figures = json.loads(figures_path.read_text("utf-8"))
    assert figures["data"] == {
        "clips": 60, "speakers": 5, "pressured": 20, "calm": 40, "left_out": 0, "folds": 5,
    }  # fmt: skip
    pressure = {when: figures[when]["outputs"]["pressure"] for when in ("before", "after")}
    assert pressure["after"]["log_loss"] < pressure["before"]["log_loss"]
    assert set(figures["after"]["outputs"]) == {"pressure", "anger", "distress"}


def test_calibrating_again_keeps_one_suffix(tmp_path: Path, base: Path) -> None:
    table = emotions_table(tmp_path / "own")
    invoke(table, "--model", base, "--out", tmp_path / "once")
    invoke(table, "--model", tmp_path / "once", "--out", tmp_path / "twice")
    once, twice = (load_manifest(tmp_path / name / "model.toml") for name in ("once", "twice"))
    assert twice.base is not None
    assert (twice.base.version, twice.base.sha256) == (once.version, once.sha256)
    assert twice.version.count("+own.") == 1
    assert twice.pressure_fitted_on == once.pressure_fitted_on


def test_verdicts_are_enough(tmp_path: Path, base: Path) -> None:
    out, figures_path = tmp_path / "out", tmp_path / "figures.json"
    table = verdicts_table(tmp_path / "own")
    invoke(table, "--model", base, "--out", out, "--json", figures_path)
    figures = json.loads(figures_path.read_text("utf-8"))
    assert set(figures["after"]["outputs"]) == {"pressure"}
    assert figures["data"]["clips"] == 50
    StressModel.load(out)


def test_a_policy_for_the_wished_rate_is_suggested(tmp_path: Path, base: Path) -> None:
    policy_path = tmp_path / "own.toml"
    options = ["--false-alarms", "0.1", "--policy-out", policy_path]
    invoke(emotions_table(tmp_path / "own"), "--model", base, "--out", tmp_path / "out", *options)
    policy = Policy.from_toml(policy_path.read_bytes(), "own.toml")
    assert policy.name == "default-own"


def test_a_checkpoint_goes_along_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    content = b"weights"
    named = {"file": "weights.npz", "sha256": hashlib.sha256(content).hexdigest()}
    base = create_model(tmp_path / "base", change_manifest=lambda m: m.update(checkpoint=named))
    table, out = emotions_table(tmp_path / "own"), tmp_path / "out"
    with pytest.raises(ModelError, match=r"weights\.npz: No such file"):
        invoke(table, "--model", base, "--out", out)
    (base / "weights.npz").write_bytes(b"others")
    with pytest.raises(ModelError, match="is not the file that the manifest names"):
        invoke(table, "--model", base, "--out", out)
    assert not out.exists()
    (base / "weights.npz").write_bytes(content)
    invoke(table, "--model", base, "--out", out)
    assert (out / "weights.npz").read_bytes() == content
    assert load_manifest(out / "model.toml").checkpoint is not None


def test_too_little_is_refused_with_what_is_missing(tmp_path: Path, base: Path) -> None:
    table, out = emotions_table(tmp_path / "own", SPEAKERS[:2]), tmp_path / "out"
    with pytest.raises(TrainingDataError) as caught:
        invoke(table, "--model", base, "--out", out)
    assert str(caught.value) == (
        "too little to adapt to: 24 clips with speech and a label of at least 40, 16 missing; "
        "2 speakers of at least 4, 2 missing; "
        "8 clips with anger or distress of at least 10, 2 missing; label more calls"
    )
    assert not out.exists()


def test_one_person_alone_with_pressure_cannot_be_held_out(tmp_path: Path) -> None:
    table = emotions_table(tmp_path / "own")
    heard = hear(read_recordings(read_labels(table), lambda *_: None))
    assert len(heard) == len(SPEAKERS) * len(CLIPS)
    check_enough(heard)
    few = [one for one in heard if not one.is_pressured or one.clip.speaker == SPEAKERS[0]]
    with pytest.raises(TrainingDataError, match="1 speakers with anger or distress of at least 2"):
        check_enough(few, Least(clips_of_each=4))


def test_the_model_itself_is_not_written_over(tmp_path: Path, base: Path) -> None:
    with pytest.raises(ConfigurationError, match="is the model itself"):
        invoke(emotions_table(tmp_path / "own"), "--model", base, "--out", base / ".." / "base")


def test_a_table_that_cannot_be_used_is_refused(tmp_path: Path, base: Path) -> None:
    (tmp_path / "mine.csv").write_text("path\n", encoding="utf-8")
    with pytest.raises(LabelsError):
        invoke(tmp_path / "mine.csv", "--model", base, "--out", tmp_path / "out")


def test_calibrating_needs_no_torch() -> None:
    code = "import sys, voiceguard.training.adapt.command; print('torch' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "False"
