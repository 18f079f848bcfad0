"""A network written to a file and read again, and files that are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.speech import speech
from voiceguard.core.errors import ModelError
from voiceguard.training.checkpoint import checkpoint_bytes, load_checkpoint
from voiceguard.training.experts import Shape
from voiceguard.training.network import StressNetwork

OUTPUTS_BIAS = "weight/hop_experts.head.outputs.bias"


@pytest.fixture
def network() -> StressNetwork:
    torch.manual_seed(1)
    return StressNetwork(Shape()).eval()


@pytest.fixture
def saved(tmp_path: Path, network: StressNetwork) -> Path:
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(checkpoint_bytes(network))
    return path


def test_what_is_read_scores_as_what_was_written(network: StressNetwork, saved: Path) -> None:
    loaded = load_checkpoint(saved)
    assert loaded.shape == network.shape
    assert not loaded.training
    pcm = torch.from_numpy(speech())
    with torch.no_grad():
        for ours, theirs in zip(
            network(pcm, network.zero_state(1)), loaded(pcm, loaded.zero_state(1)), strict=True
        ):
            assert torch.equal(ours, theirs)
    assert checkpoint_bytes(loaded) == saved.read_bytes()
    assert [path.name for path in saved.parent.iterdir()] == ["checkpoint.npz"]


def changed(saved: Path, **changes: object) -> Path:
    with np.load(saved) as arrays:
        values: dict[str, Any] = {name: arrays[name] for name in arrays.files}
    values |= changes
    np.savez(saved, **{name: value for name, value in values.items() if value is not None})
    return saved


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"format": np.array("other")}, "no checkpoint of voiceguard"),
        ({"format": None}, "no checkpoint of voiceguard"),
        ({"shape": np.array("{")}, "another architecture"),
        ({"shape": np.array("[1]")}, "another architecture"),
        ({"shape": np.array('{"depth": 3}')}, "another architecture"),
        (
            {OUTPUTS_BIAS: None},
            r"another architecture .*\(hop_experts\.head\.outputs\.bias\)",
        ),
        ({"weight/other": np.zeros(1)}, r"another architecture .*\(other\)"),
        (
            {OUTPUTS_BIAS: np.zeros(9, np.float32)},
            r"outputs\.bias is float32 \[9\], not float32 \[12\]",
        ),
        ({OUTPUTS_BIAS: np.zeros(12)}, "is float64"),
        (
            {OUTPUTS_BIAS: np.full(12, np.nan, np.float32)},
            r"outputs\.bias is not finite",
        ),
    ],
)
def test_what_is_no_checkpoint_of_this_network_is_refused(
    saved: Path, changes: dict[str, object], problem: str
) -> None:
    with pytest.raises(ModelError, match=problem) as caught:
        load_checkpoint(changed(saved, **changes))
    assert str(caught.value).startswith(str(saved))
    assert "\n" not in str(caught.value)


def test_missing_and_foreign_files_are_refused(tmp_path: Path, saved: Path) -> None:
    with pytest.raises(ModelError, match="No such file"):
        load_checkpoint(tmp_path / "absent.npz")
    for content in (b"", b"text", saved.read_bytes()[:-100]):
        saved.write_bytes(content)
        with pytest.raises(ModelError, match="damaged, or no checkpoint"):
            load_checkpoint(saved)
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(ModelError, match="a single array"):
        load_checkpoint(tmp_path / "one.npy")
