"""A network small enough for tests, and a model folder made of it."""

from __future__ import annotations

import tomllib
from hashlib import sha256
from pathlib import Path
from typing import Final

import torch

from voiceguard.training.calibrate import Calibration
from voiceguard.training.checkpoint import CHECKPOINT_FILE, checkpoint_bytes
from voiceguard.training.experts import Shape
from voiceguard.training.export import onnx_bytes
from voiceguard.training.folder import MANIFEST_FILE, MODEL_FILE, write_folder
from voiceguard.training.network import StressNetwork

TINY: Final = Shape(8, 8, (1, 2), (1,), 8, 8)

_SHIPPED = Path(__file__).resolve().parents[2] / "models" / "stress" / MANIFEST_FILE
_CALIBRATION: Final = Calibration((1.5, 1.5, 1.0, 1.0), (0.5, -0.5, 0.0, 0.0))


def tiny_base(folder: Path) -> Path:
    """Write the folder of a model that has learnt nothing yet, with its checkpoint."""
    torch.manual_seed(1)
    network = StressNetwork(TINY).eval()
    content, checkpoint = onnx_bytes(network, _CALIBRATION), checkpoint_bytes(network)
    manifest = tomllib.loads(_SHIPPED.read_text(encoding="utf-8"))
    for table, tensor in (("inputs", "state"), ("output_tensors", "next_state")):
        manifest[table][tensor]["shape"] = ["batch", network.state_size]
    manifest["calibration"]["scale"] = list(_CALIBRATION.scale)
    manifest["calibration"]["shift"] = list(_CALIBRATION.shift)
    manifest |= {
        "version": "1",
        "sha256": sha256(content).hexdigest(),
        "size_bytes": len(content),
        "checkpoint": {"file": CHECKPOINT_FILE, "sha256": sha256(checkpoint).hexdigest()},
    }
    write_folder(folder, {MODEL_FILE: content, CHECKPOINT_FILE: checkpoint}, manifest)
    return folder
