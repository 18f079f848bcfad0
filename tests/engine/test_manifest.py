import copy
import re
import tomllib
from pathlib import Path

import pytest

from voiceguard.core.errors import ModelError
from voiceguard.core.pressure import EvidenceWeights
from voiceguard.engine.manifest import (
    MANIFEST_FILE,
    BaseRecord,
    CheckpointRecord,
    load_manifest,
)
from voiceguard.engine.testing import OUTPUTS, STATE_FLOATS, create_model


def write(tmp_path, change=None):
    return create_model(tmp_path, change_manifest=change) / MANIFEST_FILE


def at(values, path):
    """Return the table that a dotted path's last part is in, and that part."""
    *tables, last = path.split(".")
    for name in tables:
        values = values[int(name)] if name.isdigit() else values[name]
    return values, last


def test_every_field_is_read(tmp_path):
    manifest = load_manifest(write(tmp_path))
    assert manifest.name == "tiny"
    assert manifest.version == "1"
    assert manifest.file == "model.onnx"
    assert len(manifest.sha256) == 64
    assert manifest.size_bytes == (tmp_path / "model.onnx").stat().st_size
    assert (manifest.sample_rate_hz, manifest.hop_samples) == (8000, 4000)
    assert manifest.window_samples == 16_000
    assert manifest.outputs == OUTPUTS
    assert manifest.inputs["pcm"].shape == ("batch", "samples")
    assert manifest.output_tensors["scores"].shape == ("batch", "hops", 4)
    assert manifest.state_floats == STATE_FLOATS
    assert manifest.calibration.method == "none"
    assert manifest.calibration.expected_calibration_error == {"anger": 0.5}
    assert manifest.training.corpora[0].licence == "Apache-2.0"
    assert manifest.training.held_out_speakers == {"none": ()}


def test_pressure_constants_make_evidence_weights(tmp_path):
    manifest = load_manifest(write(tmp_path))
    assert EvidenceWeights.from_mapping(manifest.pressure).rise_s == 1.0
    assert manifest.pressure_fitted_on.startswith("nothing")


def test_calibration_keeps_the_numbers_of_its_method(tmp_path):
    def change(values):
        values["calibration"] |= {"temperature": 1.5, "slopes": [1, 2.0], "by": {"anger": 1.0}}

    parameters = load_manifest(write(tmp_path, change)).calibration.parameters
    assert parameters == {"temperature": 1.5, "slopes": [1, 2.0], "by": {"anger": 1.0}}


def test_size_may_be_left_out(tmp_path):
    assert load_manifest(write(tmp_path, lambda v: v.pop("size_bytes"))).size_bytes is None


def test_base_and_checkpoint_may_be_named(tmp_path):
    def change(values):
        values["base"] = {"version": "2026.11.0", "sha256": "0" * 64}
        values["checkpoint"] = {"file": "checkpoint.npz", "sha256": "1" * 64}

    bare = load_manifest(write(tmp_path))
    assert (bare.base, bare.checkpoint) == (None, None)
    named = load_manifest(write(tmp_path, change))
    assert named.base == BaseRecord("2026.11.0", "0" * 64)
    assert named.checkpoint == CheckpointRecord("checkpoint.npz", "1" * 64)


@pytest.mark.parametrize(
    ("table", "values", "told"),
    [
        ("base", {"version": "1"}, "base.sha256: is missing"),
        ("base", {"version": "1", "sha256": "0" * 64, "name": "x"}, "base.name: is no field"),
        ("checkpoint", {"file": "../w", "sha256": "0" * 64}, "checkpoint.file: '../w' is not the"),
        ("checkpoint", {"file": "w", "sha256": "0"}, "checkpoint.sha256: '0' is not 64"),
    ],
)
def test_a_wrong_base_or_checkpoint_is_named(tmp_path, table, values, told):
    with pytest.raises(ModelError) as caught:
        load_manifest(write(tmp_path, lambda manifest: manifest.update({table: values})))
    assert told in str(caught.value)


REQUIRED = [
    "schema",
    "name",
    "version",
    "file",
    "sha256",
    "sample_rate_hz",
    "hop_samples",
    "window_samples",
    "outputs",
    "inputs",
    "inputs.pcm",
    "inputs.pcm.shape",
    "inputs.pcm.dtype",
    "inputs.state",
    "output_tensors",
    "output_tensors.scores",
    "output_tensors.next_state",
    "calibration",
    "calibration.method",
    "calibration.fitted_on",
    "calibration.expected_calibration_error",
    "pressure",
    "pressure.fitted_on",
    "pressure.anger",
    "pressure.distress",
    "training",
    "training.command",
    "training.seed",
    "training.held_out_speakers",
    "training.corpora",
    "training.corpora.0.name",
    "training.corpora.0.licence",
    "training.corpora.0.attribution",
    "training.corpora.0.use",
]


OPTIONAL = [
    "size_bytes",
    "base.version",
    "base.sha256",
    "checkpoint.file",
    "checkpoint.sha256",
]


def test_the_list_of_required_fields_is_complete(tmp_path):
    values = tomllib.loads(write(tmp_path).read_text(encoding="utf-8"))
    assert set(values) - {"size_bytes"} == {path.split(".", maxsplit=1)[0] for path in REQUIRED}


def test_every_field_is_documented():
    documented = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in documented.splitlines() if line.startswith("| `")]
    named = set(re.findall(r"[a-z_0-9]+", " ".join(rows)))
    fields = {part for path in [*REQUIRED, *OPTIONAL] for part in path.split(".")}
    assert fields - {"0"} <= named


@pytest.mark.parametrize("path", REQUIRED)
def test_a_missing_field_is_named(tmp_path, path):
    def change(values):
        table, field = at(values, path)
        del table[field]

    place = path.replace("corpora.0", r"corpora[0]")
    with pytest.raises(ModelError) as caught:
        load_manifest(write(tmp_path, change))
    assert f"{MANIFEST_FILE}: {place}: is missing; it must be " in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("schema", 2, "2 is not 1"),
        ("schema", True, "True is not the number 1"),
        ("name", "Stress", "'Stress' is not a lower-case name"),
        ("name", "../stress", "is not a lower-case name"),
        ("name", 7, "7 is not a lower-case name"),
        ("version", "  ", "'  ' is not text"),
        ("version", 2026.11, "2026.11 is not text"),
        ("file", "../model.onnx", "is not the name of a file"),
        ("file", "/etc/passwd", "is not the name of a file"),
        ("file", "a\\b", "is not the name of a file"),
        ("file", "..", "is not the name of a file"),
        ("sha256", "A" * 64, "is not 64 lower-case"),
        ("sha256", "a" * 63, "is not 64 lower-case"),
        ("sha256", "a" * 64 + "\n", "is not 64 lower-case"),
        ("size_bytes", 0, "0 is not a whole number from 1"),
        ("size_bytes", 1.5, "1.5 is not a whole number"),
        ("sample_rate_hz", 16000, "16000 is not 8000"),
        ("hop_samples", 2000, "2000 is not 4000"),
        ("window_samples", 0, "0 is not a whole number from 1"),
        ("outputs", [], "are not 1 to 32 different names"),
        ("outputs", ["anger", "anger"], "are not 1 to 32 different names"),
        ("outputs", ["anger", "Distress"], "are not lower-case names"),
        ("outputs", ["anger", "arousal"], "lacks ['distress']"),
        ("outputs", ["anger", "distress"], "shape: ['batch', 'hops', 4] is not [batch, hops, 2]"),
        ("outputs", "anger", "'anger' is not an array"),
        ("outputs", ["anger", None], "not valid TOML"),
        ("inputs.pcm.shape", ["batch", 4000], "['batch', 4000] is not [batch, samples]"),
        ("inputs.pcm.shape", "batch", "'batch' is not an array"),
        ("inputs.pcm.shape", ["batch", 0], "0 in it is neither"),
        ("inputs.pcm.shape", ["batch", ""], "'' in it is neither"),
        ("inputs.pcm.dtype", "float16", "'float16' is not 'float32'"),
        ("inputs.state.shape", ["batch", "state"], "is not [batch, fixed size]"),
        ("inputs.state.shape", [1, 7], "is not [batch, fixed size]"),
        ("inputs.state.shape", ["batch", 7, 1], "is not [batch, fixed size]"),
        ("output_tensors.next_state.shape", ["batch", 8], "is not the shape of inputs.state"),
        ("output_tensors.scores.dtype", "int64", "'int64' is not 'float32'"),
        ("calibration.method", "", "'' is not text"),
        ("calibration.temperature", "hot", "'hot' is not a finite number"),
        ("calibration.temperature", [1.0, "hot"], "'hot' is not a finite number"),
        ("calibration.temperature", float("nan"), "nan is not a finite number"),
        ("calibration.expected_calibration_error", {"joy": 0.1}, "joy: is none of the outputs"),
        ("calibration.expected_calibration_error", {"anger": 1.5}, "1.5 is not from 0 to 1"),
        ("pressure.anger.bias", "high", "'high' is not a finite number"),
        ("pressure.distress.bias", float("inf"), "inf is not a finite number"),
        ("pressure.anger.bias", True, "True is not a number"),
        ("pressure.rise_s", "slow", "'slow' is not a finite number"),
        ("training.seed", -1, "-1 is not a whole number"),
        ("training.held_out_speakers", ["1001"], "is not a table"),
        ("training.held_out_speakers.crema-d", "1001", "'1001' is not an array"),
        ("training.held_out_speakers.crema-d", [1.5], "1.5 in it is not a name"),
        ("training.corpora", [], "is not an array of at least one table"),
        ("training.corpora", ["crema-d"], "is not an array of at least one table"),
        ("training.corpora.0.licence", "", "'' is not text"),
    ],
)
def test_a_wrong_field_is_named(tmp_path, path, value, told):
    def change(values):
        table, field = at(values, path)
        table[field] = value

    with pytest.raises(ModelError) as caught:
        load_manifest(write(tmp_path, change))
    assert told in str(caught.value)
    assert MANIFEST_FILE in str(caught.value)


@pytest.mark.parametrize(
    "path",
    [
        "module",
        "inputs.audio",
        "inputs.pcm.layout",
        "output_tensors.embedding",
        "training.gpu",
        "training.corpora.0.url",
    ],
)
def test_an_unknown_field_is_refused(tmp_path, path):
    def change(values):
        table, field = at(values, path)
        table[field] = "x"

    with pytest.raises(ModelError, match="is no field of a manifest"):
        load_manifest(write(tmp_path, change))


def test_an_unknown_schema_is_told_before_anything_else(tmp_path):
    def change(values):
        kept = copy.deepcopy(values)
        values.clear()
        values["schema"] = kept["schema"] + 1

    with pytest.raises(ModelError, match="schema: 2 is not 1, the one this voiceguard reads"):
        load_manifest(write(tmp_path, change))


def test_a_state_of_unreasonable_size_is_refused(tmp_path):
    def change(values):
        values["inputs"]["state"]["shape"] = ["batch", 1 << 20]
        values["output_tensors"]["next_state"]["shape"] = ["batch", 1 << 20]

    with pytest.raises(ModelError, match="1048576 is more than 65536 floats"):
        load_manifest(write(tmp_path, change))


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(ModelError, match=r"model\.toml: cannot be read \(No such file"):
        load_manifest(tmp_path / MANIFEST_FILE)


@pytest.mark.parametrize("content", [b"schema = ", b"\xff\xfe", b"# " + b"x" * (1 << 20)])
def test_what_is_no_manifest_is_told(tmp_path, content):
    path = tmp_path / MANIFEST_FILE
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.toml: (not valid TOML|1048578 bytes)"):
        load_manifest(path)
