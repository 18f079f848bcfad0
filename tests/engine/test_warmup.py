"""What a model must show in its trial."""

import numpy as np
import onnx

from tests.engine.graphs import constant, node_making, refusal


def test_a_model_that_makes_nan_of_silence_is_refused(tmp_path):
    def change(proto):
        floor = next(t for t in proto.graph.initializer if t.name == "floor")
        floor.CopyFrom(onnx.numpy_helper.from_array(np.float32(0), "floor"))

    assert "scores of silence are not all from 0 to 1: [nan" in refusal(
        tmp_path, change_graph=change
    )


def test_scores_out_of_range_are_refused(tmp_path):
    def change(proto):
        high = next(t for t in proto.graph.initializer if t.name == "high")
        high.CopyFrom(onnx.numpy_helper.from_array(np.float32(3), "high"))
        bias = next(t for t in proto.graph.initializer if t.name == "head_bias")
        bias.CopyFrom(onnx.numpy_helper.from_array(np.full(4, 0.5, np.float32), "head_bias"))

    assert "scores of a constant are not all from 0 to 1" in refusal(tmp_path, change_graph=change)


def test_a_state_that_is_not_finite_is_refused(tmp_path):
    def change(proto):
        constant(proto, "nil", 0.0)
        node = node_making(proto, "kept_sample")
        place = list(proto.graph.node).index(node)
        node.output[0] = "kept_before"
        divide = onnx.helper.make_node("Div", ["kept_before", "nil"], ["kept_sample"])
        proto.graph.node.insert(place + 1, divide)

    assert "the state after silence is not finite" in refusal(tmp_path, change_graph=change)


def test_a_state_that_forgets_is_refused(tmp_path):
    def change(proto):
        constant(proto, "nil", 0.0)
        node = node_making(proto, "kept_flat")
        place = list(proto.graph.node).index(node)
        node.output[0] = "kept_before"
        forget = onnx.helper.make_node("Mul", ["kept_before", "nil"], ["kept_flat"])
        proto.graph.node.insert(place + 1, forget)

    told = refusal(tmp_path, change_graph=change)
    assert "the state does not carry all that the next hop needs" in told


def test_a_model_that_scores_once_for_all_hops_is_refused(tmp_path):
    def change(proto):
        node = node_making(proto, "scores")
        place = list(proto.graph.node).index(node)
        node.output[0] = "scores_before"
        inputs = ["scores_before", "zero", "axis_1", "axis_1"]
        proto.graph.node.insert(place + 1, onnx.helper.make_node("Slice", inputs, ["scores"]))

    assert "scores of 8 channels and 3 hops have shape (8, 1, 4)" in refusal(
        tmp_path, change_graph=change
    )
