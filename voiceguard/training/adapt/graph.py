"""Another calibration for a graph that is exported already: only its last nodes change."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from voiceguard.core.errors import ModelError
from voiceguard.training.calibrate import Calibration

SCORES: Final = "scores"

_LEAST: Final = 1e-6
"""Probabilities are kept this far from 0 and 1, where log-odds run away."""


def recalibrated(model: bytes, calibration: Calibration) -> bytes:
    """Return a graph whose scores are ``sigmoid(scale * log-odds + shift)`` of what they were.

    The state, and whatever else the graph does, stays as it is. A scale and shift that stand
    before the last sigmoid already are changed; where there are none, they are put there; where
    the scores are no sigmoid's, their log-odds are taken.

    Args:
        model: an ONNX graph with the output `scores`, (batch, hops, outputs).
        calibration: a scale and a shift for each output.

    Raises:
        ModelError: it is no such graph.
    """
    proto = _parsed(model)
    last = _maker(proto.graph, SCORES)
    if last is None:
        raise ModelError(f"the model has no output {SCORES!r}")
    if last.op_type != "Sigmoid":
        _take_log_odds(proto.graph, last)
    sigmoid = _maker(proto.graph, SCORES) or last
    if not _change_affine(proto.graph, sigmoid, calibration):
        _put_affine(proto.graph, sigmoid, calibration)
    onnx.checker.check_model(proto)
    content: bytes = proto.SerializeToString()
    return content


def _parsed(model: bytes) -> onnx.ModelProto:
    try:
        return onnx.load_from_string(model)
    except DecodeError as error:
        raise ModelError(f"the model file is not an ONNX model: {error}") from error


def _maker(graph: onnx.GraphProto, tensor: str) -> onnx.NodeProto | None:
    return next((node for node in graph.node if tensor in node.output), None)


def _change_affine(
    graph: onnx.GraphProto, sigmoid: onnx.NodeProto, calibration: Calibration
) -> bool:
    """Change scale and shift before the sigmoid in place; return whether there are any."""
    add = _maker(graph, sigmoid.input[0])
    multiply = _maker(graph, add.input[0]) if add is not None and add.op_type == "Add" else None
    if add is None or multiply is None or multiply.op_type != "Mul":
        return False
    scale = _own_constant(graph, multiply.input[1], len(calibration.scale))
    shift = _own_constant(graph, add.input[1], len(calibration.shift))
    if scale is None or shift is None:
        return False
    more = np.array(calibration.scale)
    old_scale, old_shift = (numpy_helper.to_array(one).astype(float) for one in (scale, shift))
    scale.CopyFrom(_tensor(scale.name, more * old_scale))
    shift.CopyFrom(_tensor(shift.name, more * old_shift + np.array(calibration.shift)))
    return True


def _own_constant(graph: onnx.GraphProto, name: str, outputs: int) -> onnx.TensorProto | None:
    """Return the constant `name` if it has a value for each output and only one node uses it."""
    uses = sum(list(node.input).count(name) for node in graph.node)
    found = next((one for one in graph.initializer if one.name == name), None)
    fits = found is not None and list(found.dims) == [outputs] and uses == 1
    return found if fits else None


def _take_log_odds(graph: onnx.GraphProto, last: onnx.NodeProto) -> None:
    """Let a sigmoid make the scores, from the log-odds of what made them before."""
    prefix = _unused_prefix(graph)
    before, bounded, rest, odds, logits = (
        f"{prefix}/{name}" for name in ("before", "bounded", "rest", "odds", "log_odds")
    )
    least, most, one = (f"{prefix}/{name}" for name in ("least", "most", "one"))
    _rename(graph, SCORES, before)
    for name, value in ((least, _LEAST), (most, 1.0 - _LEAST), (one, 1.0)):
        graph.initializer.append(_tensor(name, np.array(value)))
    nodes = [
        helper.make_node("Clip", [before, least, most], [bounded]),
        helper.make_node("Sub", [one, bounded], [rest]),
        helper.make_node("Div", [bounded, rest], [odds]),
        helper.make_node("Log", [odds], [logits]),
        helper.make_node("Sigmoid", [logits], [SCORES]),
    ]
    _insert(graph, list(graph.node).index(last) + 1, nodes)


def _put_affine(graph: onnx.GraphProto, sigmoid: onnx.NodeProto, calibration: Calibration) -> None:
    """Put scale and shift before the sigmoid that makes the scores."""
    prefix = _unused_prefix(graph)
    scale, shift, scaled, shifted = (
        f"{prefix}/{name}" for name in ("scale", "shift", "scaled", "shifted")
    )
    graph.initializer.append(_tensor(scale, calibration.scale))
    graph.initializer.append(_tensor(shift, calibration.shift))
    nodes = [
        helper.make_node("Mul", [sigmoid.input[0], scale], [scaled]),
        helper.make_node("Add", [scaled, shift], [shifted]),
    ]
    place = list(graph.node).index(sigmoid)
    sigmoid.input[0] = shifted
    _insert(graph, place, nodes)


def _unused_prefix(graph: onnx.GraphProto) -> str:
    """Return the beginning of names that no tensor of the graph has."""
    names = {name for node in graph.node for name in node.output}
    names |= {one.name for one in graph.initializer}
    candidates = (f"calibration_{number}" for number in itertools.count(1))
    return next(one for one in candidates if not any(name.startswith(one) for name in names))


def _insert(graph: onnx.GraphProto, place: int, nodes: Sequence[onnx.NodeProto]) -> None:
    for offset, node in enumerate(nodes):
        graph.node.insert(place + offset, node)


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Rename a tensor wherever nodes make or take it; the graph's own output keeps its name."""
    for node in graph.node:
        for names in (node.input, node.output):
            for position, name in enumerate(names):
                if name == old:
                    names[position] = new


def _tensor(name: str, values: Sequence[float] | NDArray[np.float64]) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values, np.float32), name)
