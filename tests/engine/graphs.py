"""Models that are changed in one place, and sounds to run them on."""

import numpy as np
import onnx
import pytest

from voiceguard.core.errors import ModelError
from voiceguard.core.units import HOP_SAMPLES
from voiceguard.engine.model import StressModel
from voiceguard.engine.testing import create_model


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
