"""Another calibration in a graph that was exported before, and nothing else of it changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.training.speech import speech
from voiceguard.core.errors import ModelError
from voiceguard.engine.testing import create_model
from voiceguard.training.adapt.graph import recalibrated
from voiceguard.training.calibrate import Calibration, log_odds, sigmoid
from voiceguard.training.export import Runner

MODEL = Path(__file__).resolve().parents[2] / "models" / "stress" / "model.onnx"
CALIBRATION = Calibration((0.5, 1.5, 1.0, 1.0), (0.4, -0.7, 0.0, 0.0))


def bare_sigmoid() -> bytes:
    """Return a graph whose scores are the sigmoid of its four inputs."""
    value = helper.make_tensor_value_info
    tensors = [value(name, TensorProto.FLOAT, ["batch", 4]) for name in ("pcm", "state")]
    outputs = [value(name, TensorProto.FLOAT, ["batch", 4]) for name in ("scores", "next_state")]
    nodes = [
        helper.make_node("Sigmoid", ["pcm"], ["scores"]),
        helper.make_node("Identity", ["state"], ["next_state"]),
    ]
    graph = helper.make_graph(nodes, "bare", tensors, outputs)
    return bytes(
        helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9
        ).SerializeToString()
    )


def check(before: bytes, after: bytes, pcm: np.ndarray) -> None:
    old_scores, old_state = Runner(before).run(pcm)
    new_scores, new_state = Runner(after).run(pcm)
    expected = sigmoid(
        np.array(CALIBRATION.scale) * log_odds(old_scores.astype(float))
        + np.array(CALIBRATION.shift)
    )
    np.testing.assert_allclose(new_scores, expected, atol=2e-5)
    assert np.abs(new_scores - old_scores).max() > 0.05
    np.testing.assert_array_equal(new_state, old_state)


def test_a_scale_and_shift_in_the_graph_are_changed_in_place() -> None:
    before = MODEL.read_bytes()
    after = recalibrated(before, CALIBRATION)
    check(before, after, speech())
    old, new = onnx.load_from_string(before).graph, onnx.load_from_string(after).graph
    assert list(new.node) == list(old.node)
    changed = [
        one.name
        for one, other in zip(new.initializer, old.initializer, strict=True)
        if one != other
    ]
    assert changed == ["scale", "shift"]


def test_twice_adds_no_nodes() -> None:
    once = recalibrated(bare_sigmoid(), CALIBRATION)
    twice = recalibrated(once, CALIBRATION)
    assert len(onnx.load_from_string(twice).graph.node) == 4
    pcm = np.linspace(-3.0, 3.0, 8, dtype=np.float32).reshape(2, 4)
    check(once, twice, pcm)


def test_a_sigmoid_without_them_is_given_them() -> None:
    before = bare_sigmoid()
    check(before, recalibrated(before, CALIBRATION), np.eye(4, dtype=np.float32))


def test_a_scale_that_something_else_uses_too_is_left_alone() -> None:
    before = onnx.load_from_string(recalibrated(bare_sigmoid(), CALIBRATION))
    scale = before.graph.initializer[0].name
    before.graph.node[-1].CopyFrom(helper.make_node("Mul", ["state", scale], ["next_state"]))
    content = before.SerializeToString()
    check(content, recalibrated(content, CALIBRATION), np.eye(4, dtype=np.float32))


def test_scores_that_no_sigmoid_makes_are_taken_to_log_odds(tmp_path: Path) -> None:
    before = (create_model(tmp_path) / "model.onnx").read_bytes()
    check(before, recalibrated(before, CALIBRATION), speech())


def test_what_is_no_such_graph_is_refused() -> None:
    with pytest.raises(ModelError, match="not an ONNX model"):
        recalibrated(b"\xff\xff\xff", CALIBRATION)
    with pytest.raises(ModelError, match="no output 'scores'"):
        recalibrated(b"", CALIBRATION)
