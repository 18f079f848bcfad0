import hashlib
import sys

import numpy as np
import onnx
import pytest

from tests.engine.graphs import constant, node_making, noise, refusal
from voiceguard.core.errors import ModelError
from voiceguard.core.units import HOP_SAMPLES
from voiceguard.engine.model import MAX_ROWS, StressModel
from voiceguard.engine.testing import OUTPUTS, STATE_FLOATS, create_model

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


def test_a_run_that_fails_is_a_model_error(tmp_path):
    model = StressModel.load(create_model(tmp_path))

    class Failing:
        def run(self, *_):
            raise RuntimeError("out of memory\nat some line")

    model._session = Failing()
    with pytest.raises(ModelError, match=r"onnxruntime failed on 2 rows: out of memory$"):
        model.run(noise(2, 1), model.new_states(2))


def test_neither_onnx_nor_torch_is_imported(tmp_path):
    import subprocess

    create_model(tmp_path)
    program = (
        "import sys, pathlib; from voiceguard.engine.model import StressModel; "
        f"StressModel.load(pathlib.Path({str(tmp_path)!r})); "
        "sys.exit(bool({'onnx', 'torch', 'librosa'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


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


def test_a_model_larger_than_is_believed_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("voiceguard.engine.model._MAX_MODEL_BYTES", 100)
    assert "is larger than 100 bytes" in refusal(tmp_path)


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
