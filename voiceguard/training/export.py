"""From a trained network to `model.onnx`, in fp32 and with int8 convolutions."""

from __future__ import annotations

import copy
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from voiceguard.core.units import HOP_SAMPLES
from voiceguard.training.calibrate import Calibration
from voiceguard.training.network import StressNetwork
from voiceguard.training.targets import OUTPUTS

OPSET: Final = 17
PRODUCER: Final = "voiceguard train"

_MEASURED_RUNS: Final = 200
_TCN_PARTS: Final = ("/stem/", "/blocks.", "/slower/", "/slow_blocks.")


class ServedNetwork(nn.Module):
    """What is exported: calibrated probabilities of the outputs, nothing auxiliary."""

    def __init__(self, network: StressNetwork, calibration: Calibration) -> None:
        super().__init__()
        self.network = folded(network)
        self.scale: Tensor
        self.shift: Tensor
        self.register_buffer("scale", torch.tensor(calibration.scale))
        self.register_buffer("shift", torch.tensor(calibration.shift))

    def forward(self, pcm: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores (batch, k, 4) and the next state."""
        logits, _, next_state = self.network(pcm, state)
        return torch.sigmoid(logits * self.scale + self.shift), next_state


class _Affine(nn.Module):
    """What a batch norm is once it has been learnt: a scale and a shift for each channel."""

    def __init__(self, norm: nn.BatchNorm1d) -> None:
        super().__init__()
        mean, variance = norm.running_mean, norm.running_var
        if mean is None or variance is None:
            raise TypeError("a batch norm without running statistics cannot be exported")
        scale = torch.rsqrt(variance + norm.eps)
        scale = scale if norm.weight is None else scale * norm.weight
        shift = -mean * scale if norm.bias is None else norm.bias - mean * scale
        self.scale: Tensor
        self.shift: Tensor
        self.register_buffer("scale", scale.detach()[:, None])
        self.register_buffer("shift", shift.detach()[:, None])

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` (batch, channels, steps), scaled and shifted."""
        return x * self.scale + self.shift


def folded(network: StressNetwork) -> StressNetwork:
    """Return a copy whose batch norms are folded into the layers beside them."""
    copied = copy.deepcopy(network).eval()
    steps = copied.step_experts
    steps.input_norm = _Affine(steps.input_norm)  # type: ignore[assignment]
    pairs: list[tuple[nn.Module, str]] = [(steps, "stem"), (steps, "slower")]
    for block in (*steps.blocks, *steps.slow_blocks):
        pairs += [(block, "dilated"), (block, "pointwise")]
    for owner, name in pairs:
        fused = fuse_conv_bn_eval(getattr(owner, name), getattr(owner, f"{name}_norm"))
        setattr(owner, name, fused)
        setattr(owner, f"{name}_norm", nn.Identity())
    for head in (steps.head, copied.hop_experts.head):
        affine = _Affine(head.norm)
        hidden, weight = head.hidden, head.hidden.weight * head.hidden.allowed
        hidden.bias = nn.Parameter(hidden.bias + (weight @ affine.shift)[:, 0])
        hidden.weight = nn.Parameter(weight * affine.scale.T)
        head.norm = nn.Identity()  # type: ignore[assignment]
    return copied


def onnx_bytes(network: StressNetwork, calibration: Calibration) -> bytes:
    """Return the fp32 graph, with `batch` and `samples` left open."""
    served = ServedNetwork(network, calibration).eval()
    example = (torch.zeros(2, 2 * HOP_SAMPLES), network.zero_state(2))
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "model.onnx"
        torch.onnx.export(
            served,
            example,
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=["pcm", "state"],
            output_names=["scores", "next_state"],
            dynamic_axes={
                "pcm": {0: "batch", 1: "samples"},
                "state": {0: "batch"},
                "scores": {0: "batch", 1: "hops"},
                "next_state": {0: "batch"},
            },
        )
        return _named(onnx.load(path), network).SerializeToString()


def _named(model: onnx.ModelProto, network: StressNetwork) -> onnx.ModelProto:
    """Give the graph its producer and its outputs their known widths."""
    model.producer_name, model.producer_version = PRODUCER, ""
    model.graph.name = "stress"
    scores, next_state = model.graph.output
    scores.type.tensor_type.shape.dim[2].dim_value = len(OUTPUTS)
    next_state.type.tensor_type.shape.dim[1].dim_value = network.state_size
    onnx.checker.check_model(model)
    return model


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # the library ships no types
    """Feeds rows of speech to the quantiser's calibration, from zero state."""

    def __init__(self, rows: Sequence[NDArray[np.float32]], state_size: int) -> None:
        self._inputs: Iterator[dict[str, NDArray[np.float32]]] = iter(
            {"pcm": row, "state": np.zeros((len(row), state_size), np.float32)} for row in rows
        )

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """Return the next input, or None at the end."""
        return next(self._inputs, None)


def quantised_bytes(model: bytes, rows: Sequence[NDArray[np.float32]], state_size: int) -> bytes:
    """Return the graph with the convolutions of the TCN in int8 (static QDQ).

    Front end and heads stay fp32: they cost little and need the precision.

    Args:
        model: the fp32 graph.
        rows: speech for the ranges of activations, each (batch, k * HOP_SAMPLES).
        state_size: length of the state.
    """
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "int8.onnx"
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(
            onnx.load_from_string(model),
            prepared,
            skip_optimization=True,
            skip_symbolic_shape=True,
        )
        nodes = [node.name for node in onnx.load(prepared).graph.node if _is_of_tcn(node)]
        quantize_static(
            prepared,
            path,
            _Reader(rows, state_size),
            quant_format=QuantFormat.QDQ,
            nodes_to_quantize=nodes,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        quantised = onnx.load(path)
    quantised.producer_name = PRODUCER
    quantised.graph.name = "stress"
    return quantised.SerializeToString()


def _is_of_tcn(node: onnx.NodeProto) -> bool:
    return node.op_type == "Conv" and any(part in node.name for part in _TCN_PARTS)


class Runner:
    """Runs a graph with onnxruntime on one thread, as serving does."""

    def __init__(self, model: bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )
        self.state_size = int(self._session.get_inputs()[1].shape[1])

    def run(
        self, pcm: NDArray[np.float32], state: NDArray[np.float32] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return scores (batch, k, 4) and the next state; no state: the start of a channel."""
        if state is None:
            state = np.zeros((len(pcm), self.state_size), np.float32)
        scores, next_state = self._session.run(
            ["scores", "next_state"], {"pcm": pcm, "state": state}
        )
        return np.asarray(scores), np.asarray(next_state)

    def score_clips(self, speech: Iterable[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """Return scores (k, 4) for each piece of speech, each (k * HOP_SAMPLES,)."""
        return [self.run(one[None])[0][0] for one in speech]


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor time of one core for one second of speech, hop by hop."""

    batch_1_ms: float
    batch_16_ms: float


def measure_cost(model: bytes) -> Cost:
    """Measure on this machine, one thread, one hop a run (best of several rounds)."""
    runner = Runner(model)
    rng = np.random.default_rng(0)
    costs = []
    for batch in (1, 16):
        pcm = (0.1 * rng.standard_normal((batch, HOP_SAMPLES))).astype(np.float32)
        state = np.zeros((batch, runner.state_size), np.float32)
        rounds = []
        for _ in range(5):
            begun = time.perf_counter()
            for _ in range(_MEASURED_RUNS // 5):
                _, state = runner.run(pcm, state)
            rounds.append((time.perf_counter() - begun) / (_MEASURED_RUNS // 5))
        costs.append(1000.0 * min(rounds) / (batch * HOP_SAMPLES / 8000))
    return Cost(*costs)
