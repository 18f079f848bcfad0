"""A small model for tests, made on the spot, so that no test needs a binary or a trained model.

It is real: an ONNX graph that takes PCM and carries state from hop to hop.  It is no judge of
voices: it hears loudness and treble, which a test can set.  It needs the ``onnx`` package, which
the extra ``test`` brings (``pip install voiceguard[test]``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import numpy as np

from voiceguard.core.errors import ModelError
from voiceguard.core.units import HOP_SAMPLES, SAMPLE_RATE_HZ
from voiceguard.engine.manifest import MANIFEST_FILE

__all__ = ["OUTPUTS", "PAST_HOPS", "STATE_FLOATS", "create_model"]

OUTPUTS: Final = ("anger", "distress", "arousal", "valence")

PAST_HOPS: Final = 3
"""The scores of a hop are means over it and so many hops before it."""

STATE_FLOATS: Final = 2 * PAST_HOPS + 1
"""Loudness and treble of the past hops, and the last sample."""

_ANGRY_DB: Final = -20.0
"""Level, relative to full scale, at which anger is 0.5."""

_STEP_DB: Final = 3.0
"""Rise in level that adds 1 to the log-odds of anger."""

_KIND: Final = {
    "bias": 0.0,
    "absolute": 1.0,
    "relative": 0.3,
    "arousal": 0.0,
    "valence": 0.0,
    "level": 0.05,
}

_PRESSURE: Final[Mapping[str, object]] = {
    "fitted_on": "nothing: chosen for tests",
    "anger": _KIND,
    "distress": _KIND,
    "deviation_cap": 4.0,
    "level_cap_db": 12.0,
    "baseline_s": 4.0,
    "settled_s": 4.0,
    "calm_anger_mean": -2.0,
    "calm_anger_deviation": 1.0,
    "calm_distress_mean": -2.0,
    "calm_distress_deviation": 1.0,
    "calm_arousal_mean": 0.0,
    "calm_arousal_deviation": 1.0,
    "calm_valence_mean": 0.0,
    "calm_valence_deviation": 1.0,
    "calm_s": 4.0,
    "baseline_cap": 1.0,
    "rise_s": 1.0,
    "fall_s": 2.0,
}


def create_model(
    directory: Path,
    *,
    name: str = "tiny",
    change_graph: Callable[[Any], None] | None = None,
    change_manifest: Callable[[dict[str, Any]], None] | None = None,
) -> Path:
    """Write a model and its manifest.

    Each score is a mean over the hop and the `PAST_HOPS` before it (silence before the first):

    * anger: 0.5 at a level of -20 dB relative to full scale, 0.97 at -10 dB, 0.03 at -30 dB;
    * distress: treble; 0.95 and more for noise above 3 kHz, near 0 for a voice or a low tone;
    * arousal: the mean of both; valence: 1 less arousal.

    Args:
        directory: where to; made if it is not there.
        name: the model's name.
        change_graph: called with the ``onnx.ModelProto`` before it is written.
        change_manifest: called with the manifest as plain data before it is written; `sha256` is
            right already.

    Returns:
        `directory`.

    Raises:
        ModelError: the ``onnx`` package is not installed.

    """
    model = _model()
    if change_graph is not None:
        change_graph(model)
    content: bytes = model.SerializeToString()
    manifest = _manifest(name, content)
    if change_manifest is not None:
        change_manifest(manifest)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "model.onnx").write_bytes(content)
    (directory / MANIFEST_FILE).write_text(_toml(manifest), encoding="utf-8")
    return directory


def _model() -> Any:  # noqa: ANN401 (onnx is not typed)
    try:
        from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415 (an extra)
    except ImportError as error:
        message = "voiceguard.engine.testing needs the onnx package: pip install voiceguard[test]"
        raise ModelError(message) from error
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node(op, inputs.split(), outputs.split(), **attributes)
            for op, inputs, outputs, attributes in _NODES
        ],
        "tiny",
        [
            value("pcm", TensorProto.FLOAT, ["batch", "samples"]),
            value("state", TensorProto.FLOAT, ["batch", STATE_FLOATS]),
        ],
        [
            value("scores", TensorProto.FLOAT, ["batch", "hops", len(OUTPUTS)]),
            value("next_state", TensorProto.FLOAT, ["batch", STATE_FLOATS]),
        ],
        [numpy_helper.from_array(array, constant) for constant, array in _constants().items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


_NODES: Final[tuple[tuple[str, str, str, dict[str, Any]], ...]] = (
    # The samples, after the last one of the hop before.
    ("Slice", "state past_floats state_floats axis_1", "last_sample", {}),
    ("Concat", "last_sample pcm", "joined", {"axis": 1}),
    ("Unsqueeze", "joined axis_1", "signal", {}),
    # The signal and its first difference; their power, in frames and then in hops.
    ("Conv", "signal filters", "filtered", {}),
    ("Mul", "filtered filtered", "squared", {}),
    ("AveragePool", "squared", "frames", {"kernel_shape": [80], "strides": [80]}),
    ("AveragePool", "frames", "power", {"kernel_shape": [50], "strides": [50]}),
    ("Add", "power floor", "power_floored", {}),
    ("Log", "power_floored", "log_power", {}),
    # Loudness, and treble: the difference of both.
    ("Conv", "log_power mix mix_bias", "features", {}),
    ("Sigmoid", "features", "heard", {}),
    # Means over this hop and those before it, then the scores.
    ("Slice", "state zero past_floats axis_1", "past_flat", {}),
    ("Reshape", "past_flat past_shape", "past", {}),
    ("Concat", "past heard", "history", {"axis": 2}),
    ("Conv", "history means", "smoothed", {"group": 2}),
    ("Clip", "smoothed low high", "bounded", {}),
    ("Transpose", "bounded", "by_hop", {"perm": [0, 2, 1]}),
    ("MatMul", "by_hop head", "weighted", {}),
    ("Add", "weighted head_bias", "scores", {}),
    # What the next hop needs.
    ("Slice", "history minus_past end axis_2", "kept", {}),
    ("Reshape", "kept flat_shape", "kept_flat", {}),
    ("Slice", "pcm minus_one end axis_1", "kept_sample", {}),
    ("Concat", "kept_flat kept_sample", "next_state", {"axis": 1}),
)
"""Operator, inputs, outputs, attributes."""


def _constants() -> dict[str, np.ndarray[Any, Any]]:
    decibels = 10.0 / np.log(10.0)
    mix = [[[decibels / _STEP_DB], [0.0]], [[-4.0], [4.0]]]
    floats = {
        "filters": [[[0.0, 1.0]], [[-1.0, 1.0]]],
        "floor": 1e-9,
        "mix": mix,
        "mix_bias": [-_ANGRY_DB / _STEP_DB, -2.0],
        "means": np.full((2, 1, PAST_HOPS + 1), 1.0 / (PAST_HOPS + 1)),
        "low": 0.0,
        "high": 1.0,
        "head": [[1.0, 0.0, 0.5, -0.5], [0.0, 1.0, 0.5, -0.5]],
        "head_bias": [0.0, 0.0, 0.0, 1.0],
    }
    whole = {
        "zero": [0],
        "axis_1": [1],
        "axis_2": [2],
        "past_floats": [STATE_FLOATS - 1],
        "state_floats": [STATE_FLOATS],
        "past_shape": [-1, 2, PAST_HOPS],
        "flat_shape": [-1, STATE_FLOATS - 1],
        "minus_past": [-PAST_HOPS],
        "minus_one": [-1],
        "end": [np.iinfo(np.int64).max],
    }
    constants = {key: np.asarray(value, dtype=np.float32) for key, value in floats.items()}
    return constants | {key: np.asarray(value, dtype=np.int64) for key, value in whole.items()}


def _manifest(name: str, content: bytes) -> dict[str, Any]:
    state = {"shape": ["batch", STATE_FLOATS], "dtype": "float32"}
    return {
        "schema": 1,
        "name": name,
        "version": "1",
        "file": "model.onnx",
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_bytes": len(content),
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "hop_samples": HOP_SAMPLES,
        "window_samples": (PAST_HOPS + 1) * HOP_SAMPLES,
        "outputs": list(OUTPUTS),
        "inputs": {"pcm": {"shape": ["batch", "samples"], "dtype": "float32"}, "state": state},
        "output_tensors": {
            "scores": {"shape": ["batch", "hops", len(OUTPUTS)], "dtype": "float32"},
            "next_state": dict(state),
        },
        "calibration": {
            "method": "none",
            "fitted_on": "nothing: made for tests",
            "expected_calibration_error": {"anger": 0.5},
        },
        "pressure": deepcopy(_PRESSURE),
        "training": {
            "command": "voiceguard.engine.testing.create_model",
            "seed": 0,
            "held_out_speakers": {"none": []},
            "corpora": [
                {
                    "name": "none",
                    "licence": "Apache-2.0",
                    "attribution": "voiceguard",
                    "use": "a formula; nothing was recorded",
                }
            ],
        },
    }


def _toml(table: Mapping[str, Any]) -> str:
    """Return data as TOML: one key a line, tables inline, which TOML allows anywhere."""
    return "".join(f"{_toml_key(key)} = {_toml_value(value)}\n" for key, value in table.items())


def _toml_key(key: str) -> str:
    return json.dumps(key)


def _toml_value(value: object) -> str:
    match value:
        case Mapping():
            fields = (f"{_toml_key(str(k))} = {_toml_value(v)}" for k, v in value.items())
            return "{" + ", ".join(fields) + "}"
        case list():
            return "[" + ", ".join(_toml_value(item) for item in value) + "]"
        case float():
            return repr(value)  # JSON has no nan and inf, which tests may want
        case _:
            return json.dumps(value)  # strings, whole numbers and booleans are written alike
