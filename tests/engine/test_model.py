import hashlib
import sys

import numpy as np
import pytest

from voiceguard.core.errors import ModelError
from voiceguard.core.units import HOP_SAMPLES
from voiceguard.engine.model import MAX_ROWS, StressModel
from voiceguard.engine.testing import OUTPUTS, STATE_FLOATS, create_model

onnx = pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return StressModel.load(create_model(tmp_path_factory.mktemp("model")))


def noise(rows, hops, seed=0):
    rng = np.random.default_rng(seed)
    gains = 10.0 ** rng.uniform(-3, -0.6, size=(rows, 1))
    pcm = rng.standard_normal((rows, hops * HOP_SAMPLES)) * gains
    return np.clip(pcm, -1, 0.999).astype(np.float32)


def node_making(proto, output):
    return next(node for node in proto.graph.node if output in node.output)


def insert_after(proto, output, op_type, **attributes):
    """Let a node work on `output` before all others see it."""
    place = list(proto.graph.node).index(node_making(proto, output))
    proto.graph.node[place].output[0] = f"{output}_before"
    node = onnx.helper.make_node(op_type, [f"{output}_before"], [output], **attributes)
    proto.graph.node.insert(place + 1, node)


def constant(proto, name, value):
    array = np.asarray(value, dtype=np.float32)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))


def refusal(tmp_path, **changes):
    with pytest.raises(ModelError) as caught:
        StressModel.load(create_model(tmp_path, **changes))
    return str(caught.value)


# ---- running ----


def test_scores_have_a_row_a_hop_and_an_output(model):
    scores, states = model.run(noise(3, 5), model.new_states(3))
    assert scores.shape == (3, 5, len(OUTPUTS))
    assert states.shape == (3, STATE_FLOATS)
    assert scores.dtype == states.dtype == np.float32


def test_loudness_and_treble_are_heard(model):
    def last_scores(pcm):
        scores, _ = model.run(pcm[None].astype(np.float32), model.new_states(1))
        return dict(zip(model.outputs, scores[0, -1].tolist(), strict=True))

    time_s = np.arange(5 * HOP_SAMPLES) / 8000
    quiet, loud = (peak * np.sin(2 * np.pi * 200 * time_s) for peak in (0.01, 0.9))
    hiss = 0.3 * np.sin(2 * np.pi * 3500 * time_s)
    assert last_scores(quiet)["anger"] < 0.01
    assert last_scores(loud)["anger"] > 0.99
    assert last_scores(loud)["distress"] < 0.01
    assert last_scores(hiss)["distress"] > 0.95


def test_hops_one_by_one_score_as_all_at_once(model):
    pcm = noise(4, 6)
    at_once, state_at_once = model.run(pcm, model.new_states(4))
    states, scores = model.new_states(4), []
    for start in range(0, pcm.shape[1], HOP_SAMPLES):
        one, states = model.run(pcm[:, start : start + HOP_SAMPLES], states)
        scores.append(one)
    np.testing.assert_allclose(np.concatenate(scores, axis=1), at_once, atol=1e-6)
    np.testing.assert_allclose(states, state_at_once, atol=1e-6)


def test_state_matters(model):
    pcm = noise(1, 2)
    _, states = model.run(pcm[:, :HOP_SAMPLES], model.new_states(1))
    carried, _ = model.run(pcm[:, HOP_SAMPLES:], states)
    fresh, _ = model.run(pcm[:, HOP_SAMPLES:], model.new_states(1))
    assert np.abs(carried - fresh).max() > 0.01


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 20, MAX_ROWS, MAX_ROWS + 1, 3 * MAX_ROWS + 5])
def test_a_row_does_not_depend_on_the_rows_beside_it(model, rows):
    pcm, states = noise(rows, 1, seed=rows), model.new_states(rows)
    scores, next_states = model.run(pcm, states)
    for row in (0, rows // 2, rows - 1):
        alone, next_alone = model.run(pcm[row : row + 1], states[row : row + 1])
        assert alone.tobytes() == scores[row : row + 1].tobytes()
        assert next_alone.tobytes() == next_states[row : row + 1].tobytes()


def test_rows_run_alone_where_no_padding_makes_them_independent(tmp_path):
    # A mean over the batch ties each row to the others, whatever the size.
    def change(proto):
        matrix = node_making(proto, "features")
        matrix.output[0] = "features_before"
        place = list(proto.graph.node).index(matrix)
        constant(proto, "tiny", 1e-3)
        for offset, (op, inputs, output, attributes) in enumerate(
            [
                ("ReduceMean", ["features_before"], "mean", {"axes": [0], "keepdims": 1}),
                ("Mul", ["mean", "tiny"], "little", {}),
                ("Add", ["features_before", "little"], "features", {}),
            ]
        ):
            node = onnx.helper.make_node(op, inputs, [output], **attributes)
            proto.graph.node.insert(place + 1 + offset, node)

    model = StressModel.load(create_model(tmp_path, change_graph=change))
    assert model.row_multiple is None
    pcm = noise(5, 1)
    scores, _ = model.run(pcm, model.new_states(5))
    alone, _ = model.run(pcm[3:4], model.new_states(1))
    assert alone.tobytes() == scores[3:4].tobytes()


@pytest.mark.parametrize(
    ("pcm_shape", "state_shape"),
    [
        ((1, 3999), (1, STATE_FLOATS)),
        ((1, 0), (1, STATE_FLOATS)),
        ((0, 4000), (0, STATE_FLOATS)),
        ((4000,), (1, STATE_FLOATS)),
        ((2, 4000), (1, STATE_FLOATS)),
        ((1, 4000), (1, STATE_FLOATS + 1)),
    ],
)
def test_wrong_shapes_are_told(model, pcm_shape, state_shape):
    with pytest.raises(ValueError, match="shape"):
        model.run(np.zeros(pcm_shape, np.float32), np.zeros(state_shape, np.float32))


def test_description_is_plain_data(model):
    described = model.describe()
    assert described["name"] == "tiny"
    assert described["hop_s"] == 0.5
    assert described["tensors"]["state"] == ["batch", STATE_FLOATS]
    assert described["parameters"] > 20
    assert described["training"]["corpora"][0]["licence"] == "Apache-2.0"


# ---- the file ----


def test_a_tampered_file_is_refused(tmp_path):
    path = create_model(tmp_path) / "model.onnx"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        StressModel.load(tmp_path)
    found = hashlib.sha256(content).hexdigest()
    assert f"{path}: has SHA-256 {found}; its manifest says " in str(caught.value)


def test_a_file_of_another_size_is_refused(tmp_path):
    path = create_model(tmp_path) / "model.onnx"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ModelError, match=r"has \d+ bytes; its manifest says size_bytes = \d+"):
        StressModel.load(tmp_path)


def test_a_missing_file_is_told(tmp_path):
    (create_model(tmp_path) / "model.onnx").unlink()
    with pytest.raises(ModelError, match=r"model\.onnx: cannot be read: No such file"):
        StressModel.load(tmp_path)


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(ModelError, match="a model's folder holds a manifest"):
        StressModel.load(tmp_path / "none")


@pytest.mark.parametrize("content", [b"", b"not a model at all", b"\0" * 100])
def test_a_file_that_is_no_model_is_told(tmp_path, content):
    def change(manifest):
        manifest["sha256"] = hashlib.sha256(content).hexdigest()
        del manifest["size_bytes"]

    (create_model(tmp_path, change_manifest=change) / "model.onnx").write_bytes(content)
    with pytest.raises(ModelError, match="is not an ONNX model"):
        StressModel.load(tmp_path)


# ---- the graph ----


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


# ---- the tensors ----


def rename(proto, old, new):
    for node in proto.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    for value in [*proto.graph.input, *proto.graph.output]:
        value.name = new if value.name == old else value.name


@pytest.mark.parametrize(
    ("old", "told"),
    [
        ("pcm", "the graph's inputs are ['state', 'x']; its manifest says ['pcm', 'state']"),
        ("scores", "outputs are ['next_state', 'x']; its manifest says ['next_state', 'scores']"),
    ],
)
def test_other_names_are_told(tmp_path, old, told):
    assert told in refusal(tmp_path, change_graph=lambda proto: rename(proto, old, "x"))


def test_an_output_too_many_is_told(tmp_path):
    def change(proto):
        info = onnx.helper.make_tensor_value_info("weighted", onnx.TensorProto.FLOAT, None)
        proto.graph.output.append(info)

    assert "outputs are ['next_state', 'scores', 'weighted']" in refusal(
        tmp_path, change_graph=change
    )


def test_another_state_size_is_told(tmp_path):
    def change(manifest):
        manifest["inputs"]["state"]["shape"] = ["batch", 99]
        manifest["output_tensors"]["next_state"]["shape"] = ["batch", 99]

    told = refusal(tmp_path, change_manifest=change)
    assert "input state has shape ['batch', 7]; its manifest says ['batch', 99]" in told


def test_a_fixed_batch_is_told(tmp_path):
    def change(proto):
        dim = proto.graph.input[0].type.tensor_type.shape.dim[0]
        dim.ClearField("dim_param")
        dim.dim_value = 1

    assert "input pcm has shape [1, 'samples']" in refusal(tmp_path, change_graph=change)


def test_another_number_of_outputs_is_told(tmp_path):
    def change(manifest):
        manifest["outputs"] = ["anger", "distress", "arousal"]
        manifest["output_tensors"]["scores"]["shape"] = ["batch", "hops", 3]

    told = refusal(tmp_path, change_manifest=change)
    assert "output scores has shape ['batch', 'hops', 4]; its manifest says" in told


def test_another_element_type_is_told(tmp_path):
    def change(proto):
        proto.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
        cast = onnx.helper.make_node("Cast", ["pcm"], ["pcm_single"], to=onnx.TensorProto.FLOAT)
        for node in proto.graph.node:
            node.input[:] = ["pcm_single" if name == "pcm" else name for name in node.input]
        proto.graph.node.insert(0, cast)

    assert "input pcm has elements of tensor(double)" in refusal(tmp_path, change_graph=change)


# ---- the trial ----


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


# ---- the runtime ----


def test_neither_onnx_nor_torch_is_imported(tmp_path):
    import subprocess

    create_model(tmp_path)
    program = (
        "import sys, pathlib; from voiceguard.engine.model import StressModel; "
        f"StressModel.load(pathlib.Path({str(tmp_path)!r})); "
        "sys.exit(bool({'onnx', 'torch', 'librosa'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_sparse_data_outside_the_file_are_refused_too(tmp_path):
    def change(proto):
        sparse = proto.graph.sparse_initializer.add()
        sparse.values.name = "few"
        sparse.values.data_location = onnx.TensorProto.EXTERNAL

    assert "keeps data outside its file (few)" in refusal(tmp_path, change_graph=change)


def test_a_model_larger_than_is_believed_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("voiceguard.engine.model._MAX_MODEL_BYTES", 100)
    assert "is larger than 100 bytes" in refusal(tmp_path)


def test_a_run_that_fails_is_a_model_error(tmp_path):
    model = StressModel.load(create_model(tmp_path))

    class Failing:
        def run(self, *_):
            raise RuntimeError("out of memory\nat some line")

    model._session = Failing()
    with pytest.raises(ModelError, match=r"onnxruntime failed on 2 rows: out of memory$"):
        model.run(noise(2, 1), model.new_states(2))
