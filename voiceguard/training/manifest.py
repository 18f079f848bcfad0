"""Writes `model.toml`: what the model file is, was made of and is to be used with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from voiceguard.core.pressure import EvidenceWeights
from voiceguard.core.units import HOP_SAMPLES, SAMPLE_RATE_HZ
from voiceguard.training.calibrate import Calibration
from voiceguard.training.calls import describe
from voiceguard.training.corpora import Corpus, Licence
from voiceguard.training.network import LONG_HOPS
from voiceguard.training.targets import OUTPUTS

MODEL_FILE: Final = "model.onnx"
MANIFEST_FILE: Final = "model.toml"
MODEL_VERSION: Final = "2026.11.0"


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


def write_model(folder: Path, model: bytes, state_size: int, made: Provenance) -> None:
    """Write model file and manifest into `folder`; the manifest last, so it is never early."""
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / MODEL_FILE, model)
    text = "\n".join(_lines(_manifest(model, state_size, made)))
    _replace(folder / MANIFEST_FILE, f"{text}\n".encode())


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    partial.replace(path)


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
            "corpora": [
                {
                    "name": corpus.name,
                    "licence": _licence(corpus.licence),
                    "attribution": corpus.licence.attribution,
                    "use": corpus.use,
                }
                for corpus in made.corpora
            ],
        },
    }


def _licence(licence: Licence) -> str:
    return licence.name if licence.commercial_use else f"{licence.name} (no commercial use)"


def _lines(table: Mapping[str, object], path: str = "") -> Iterator[str]:
    """Yield `table` as TOML: values first, then tables, then arrays of tables."""
    nested = {key: value for key, value in table.items() if isinstance(value, dict)}
    arrays = {key: value for key, value in table.items() if _is_array_of_tables(value)}
    for key, value in table.items():
        if key not in nested and key not in arrays:
            # JSON's strings, numbers and arrays of them are TOML's too.
            yield f"{_key(key)} = {json.dumps(value, ensure_ascii=False)}"
    for key, value in nested.items():
        yield from ("", f"[{path}{_key(key)}]", *_lines(value, f"{path}{_key(key)}."))
    for key, items in arrays.items():
        for item in items if isinstance(items, list) else ():
            yield from ("", f"[[{path}{_key(key)}]]", *_lines(item))


def _is_array_of_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _key(key: str) -> str:
    return key if key.replace("-", "").replace("_", "").isalnum() else json.dumps(key)
