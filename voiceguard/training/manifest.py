"""Writes `model.toml`: what the model file is, was made of and is to be used with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from voiceguard.core.pressure import EvidenceWeights
from voiceguard.core.units import HOP_SAMPLES, SAMPLE_RATE_HZ
from voiceguard.training.calibrate import Calibration
from voiceguard.training.calls import describe
from voiceguard.training.checkpoint import CHECKPOINT_FILE, checkpoint_bytes
from voiceguard.training.corpora import Corpus
from voiceguard.training.folder import MANIFEST_FILE, MODEL_FILE, corpus_record, write_folder
from voiceguard.training.lookback import LONG_HOPS
from voiceguard.training.network import StressNetwork
from voiceguard.training.targets import OUTPUTS

__all__ = ["MANIFEST_FILE", "MODEL_FILE", "MODEL_VERSION", "Provenance", "write_model"]

MODEL_VERSION: Final = "2026.11.2"


@dataclass(frozen=True, slots=True)
class Provenance:
    """How a model came about."""

    command: str
    seed: int
    corpora: Sequence[Corpus]
    held_out_speakers: Mapping[str, Sequence[str]]
    """By corpus: who was never learnt from."""
    calibration: Calibration
    calibration_error: Mapping[str, float]
    weights: EvidenceWeights
    fitted_on: str


def write_model(folder: Path, model: bytes, network: StressNetwork, made: Provenance) -> None:
    """Write the model, the checkpoint of its network and, last, the manifest into `folder`."""
    checkpoint = checkpoint_bytes(network)
    manifest = _manifest(model, network.state_size, made) | {
        "checkpoint": {
            "file": CHECKPOINT_FILE,
            "sha256": hashlib.sha256(checkpoint).hexdigest(),
        }
    }
    write_folder(folder, {MODEL_FILE: model, CHECKPOINT_FILE: checkpoint}, manifest)


def _manifest(model: bytes, state_size: int, made: Provenance) -> dict[str, object]:
    return {
        "schema": 1,
        "name": "stress",
        "version": MODEL_VERSION,
        "file": MODEL_FILE,
        "sha256": hashlib.sha256(model).hexdigest(),
        "size_bytes": len(model),
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "hop_samples": HOP_SAMPLES,
        "window_samples": LONG_HOPS * HOP_SAMPLES,
        "outputs": list(OUTPUTS),
        "inputs": {
            "pcm": {"shape": ["batch", "samples"], "dtype": "float32"},
            "state": {"shape": ["batch", state_size], "dtype": "float32"},
        },
        "output_tensors": {
            "scores": {"shape": ["batch", "hops", len(OUTPUTS)], "dtype": "float32"},
            "next_state": {"shape": ["batch", state_size], "dtype": "float32"},
        },
        "calibration": {
            "method": "Platt scaling of each output, folded into the graph",
            "fitted_on": made.fitted_on,
            "scale": [round(value, 5) for value in made.calibration.scale],
            "shift": [round(value, 5) for value in made.calibration.shift],
            "expected_calibration_error": dict(made.calibration_error),
        },
        "pressure": {
            "fitted_on": f"simulated calls of {made.fitted_on}",
            **describe(made.weights),
        },
        "training": {
            "command": made.command,
            "seed": made.seed,
            "held_out_speakers": dict(made.held_out_speakers),
            "corpora": [corpus_record(corpus) for corpus in made.corpora],
        },
    }
