"""What a graph may hold, before anything runs it."""

import numpy as np
import onnx
import pytest

from tests.engine.graphs import constant, insert_after, node_making, noise, refusal
from voiceguard.engine.model import StressModel
from voiceguard.engine.testing import create_model


def test_data_outside_the_file_are_refused(tmp_path):
    def change(proto):
        tensor = next(t for t in proto.graph.initializer if t.name == "head")
        (tmp_path / "weights.bin").write_bytes(tensor.raw_data)
        onnx.external_data_helper.set_external_data(tensor, "weights.bin")
        tensor.ClearField("raw_data")

    told = refusal(tmp_path, change_graph=change)
    assert "keeps data outside its file (head); save it as one file" in told


def test_data_outside_the_file_are_refused_in_a_subgraph_too(tmp_path):
    def change(proto):
        tensor = onnx.numpy_helper.from_array(np.zeros(1, np.float32), "hidden")
        onnx.external_data_helper.set_external_data(tensor, "weights.bin")
        tensor.ClearField("raw_data")
        value = onnx.helper.make_tensor_value_info("inner", onnx.TensorProto.FLOAT, [1])
        body = onnx.helper.make_graph(
            [onnx.helper.make_node("Identity", ["hidden"], ["inner"])], "body", [], [value]
        )
        body.node[0].attribute.append(onnx.helper.make_attribute("unused", tensor))
        node = onnx.helper.make_node("If", ["yes"], ["x"], then_branch=body, else_branch=body)
        proto.graph.node.append(node)

    assert "keeps data outside its file (hidden)" in refusal(tmp_path, change_graph=change)


def test_operators_of_others_are_refused(tmp_path):
    def change(proto):
        insert_after(proto, "scores", "Call", domain="com.example")
        proto.opset_import.append(onnx.helper.make_opsetid("com.example", 1))

    assert "refused: com.example.Call; allowed" in refusal(tmp_path, change_graph=change)


@pytest.mark.parametrize(
    ("domain", "op_type"),
    [
        ("com.microsoft", "FusedMatMul"),
        ("ai.onnx.ml", "Scaler"),
        ("", "RandomNormalLike"),
        ("ai.onnx", "Bernoulli"),
    ],
)
def test_operators_without_a_purpose_here_are_refused(tmp_path, domain, op_type):
    told = refusal(
        tmp_path,
        change_graph=lambda proto: insert_after(proto, "scores", op_type, domain=domain),
    )
    assert f"{domain or 'ai.onnx'}.{op_type}" in told


def test_operators_that_the_model_defines_are_refused(tmp_path):
    def change(proto):
        function = proto.functions.add()
        function.name, function.domain = "Own", "own"

    assert "defines operators of its own" in refusal(tmp_path, change_graph=change)


def test_operators_of_quantization_are_taken(tmp_path):
    def change(proto):
        constant(proto, "step", 1 / 255)
        zero = onnx.numpy_helper.from_array(np.uint8(0), "none")
        proto.graph.initializer.append(zero)
        node_making(proto, "heard").output[0] = "heard_before"
        place = list(proto.graph.node).index(node_making(proto, "heard_before"))
        for offset, (op, source, target) in enumerate(
            [("QuantizeLinear", "heard_before", "q"), ("DequantizeLinear", "q", "heard")]
        ):
            node = onnx.helper.make_node(
                op, [source, "step", "none"], [target], domain="com.microsoft"
            )
            proto.graph.node.insert(place + 1 + offset, node)
        proto.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))

    model = StressModel.load(create_model(tmp_path, change_graph=change))
    scores, _ = model.run(noise(2, 2), model.new_states(2))
    np.testing.assert_allclose(scores * 4 * 255, np.rint(scores * 4 * 255), atol=1.0)


def test_what_onnxruntime_refuses_is_told(tmp_path):
    told = refusal(tmp_path, change_graph=lambda p: insert_after(p, "scores", "NoSuchOperator"))
    assert "onnxruntime refuses it: " in told
    assert "NoSuchOperator" in told
    assert "\n" not in told


def test_sparse_data_outside_the_file_are_refused_too(tmp_path):
    def change(proto):
        sparse = proto.graph.sparse_initializer.add()
        sparse.values.name = "few"
        sparse.values.data_location = onnx.TensorProto.EXTERNAL

    assert "keeps data outside its file (few)" in refusal(tmp_path, change_graph=change)
