"""The model that is adapted, and the folder that comes of it."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voiceguard.core.errors import ModelError
from voiceguard.core.pressure import EvidenceWeights
from voiceguard.engine.manifest import MANIFEST_FILE
from voiceguard.engine.model import StressModel
from voiceguard.training.calibrate import Calibration
from voiceguard.training.corpora import Corpus
from voiceguard.training.folder import MODEL_FILE, corpus_record, write_folder
from voiceguard.training.targets import OUTPUTS

_SUFFIX: Final = re.compile(r"\+own\.[0-9a-f]{8}$")
"""What an adapted model's version ends in: part of its file's digest."""


@dataclass(frozen=True, slots=True)
class Base:
    """A model that runs, what it says of itself, and its files."""

    model: StressModel
    manifest: Mapping[str, Any]
    """The manifest as plain data."""
    content: bytes
    """The model file."""
    checkpoint: bytes | None
    """Weights to learn on from, where the folder has them."""

    @property
    def weights(self) -> EvidenceWeights:
        """Return the constants of its pressure index."""
        return EvidenceWeights.from_mapping(self.model.manifest.pressure)

    @property
    def window_hops(self) -> int:
        """Return how many hops one score looks back on."""
        manifest = self.model.manifest
        return manifest.window_samples // manifest.hop_samples

    def score(self, speech: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return scores (k, 4) of speech (k * HOP_SAMPLES,) as the engine does."""
        scores, _ = self.model.run(speech[None], self.model.new_states(1))
        return np.asarray(scores[0])


@dataclass(frozen=True, slots=True)
class Change:
    """How an adapted model came about."""

    command: str
    """What was done to the base."""
    fitted_on: str
    """What calibration and constants of the index were fitted on, in words."""
    calibration: Calibration
    """Of each output, as the new graph has it."""
    calibration_error: Mapping[str, float]
    """Of speakers that were not fitted to."""
    weights: EvidenceWeights
    corpora: Sequence[Corpus] = ()
    """What was learnt from in addition."""
    seed: int | None = None
    """None: nothing in it was random, and the base's stands."""


def read_base(folder: Path) -> Base:
    """Load the model of a folder, as serving does.

    Raises:
        ModelError: it is not what its manifest says, or has other outputs.
    """
    model = StressModel.load(folder)
    if tuple(model.outputs) != OUTPUTS:
        raise ModelError(f"{folder}: the outputs must be {', '.join(OUTPUTS)} to adapt it")
    named = model.manifest.checkpoint
    checkpoint = None
    try:
        content = (folder / model.manifest.file).read_bytes()
        manifest = tomllib.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
        if named is not None:
            checkpoint = (folder / named.file).read_bytes()
    except OSError as error:
        raise ModelError(
            f"{error.filename}: {error.strerror}; give a whole model folder"
        ) from error
    if named is not None and checkpoint is not None:
        _check_digest(folder / named.file, checkpoint, named.sha256)
    return Base(model, manifest, content, checkpoint)


def _check_digest(path: Path, content: bytes, expected: str) -> None:
    if hashlib.sha256(content).hexdigest() != expected:
        raise ModelError(
            f"{path}: is not the file that the manifest names; put back the one it was written for"
        )


def calibration_of(base: Base) -> Calibration:
    """Return scale and shift that the manifest says are in the graph; 1 and 0 if it says none."""
    outputs = len(base.model.outputs)
    parameters = base.model.manifest.calibration.parameters
    scale, shift = parameters.get("scale"), parameters.get("shift")
    if isinstance(scale, list) and isinstance(shift, list) and len(scale) == len(shift) == outputs:
        return Calibration(tuple(map(float, scale)), tuple(map(float, shift)))
    return Calibration((1.0,) * outputs, (0.0,) * outputs)


def for_all_outputs(calibration: Calibration, outputs: int) -> Calibration:
    """Return a calibration of anger and distress as one of all outputs, which leaves the others."""
    rest = outputs - len(calibration.scale)
    return Calibration(calibration.scale + (1.0,) * rest, calibration.shift + (0.0,) * rest)


def on_top(new: Calibration, old: Calibration) -> Calibration:
    """Return the one calibration that does what `old` and then `new` do."""
    pairs = zip(new.scale, new.shift, old.scale, old.shift, strict=True)
    both = [(scale * before, scale * moved + shift) for scale, shift, before, moved in pairs]
    return Calibration(tuple(scale for scale, _ in both), tuple(shift for _, shift in both))


def write_adapted(
    folder: Path, base: Base, content: bytes, checkpoint: bytes | None, change: Change
) -> str:
    """Write an adapted model's folder; return its version.

    What the base says of its training, and of who was held out from it, is kept.
    """
    digest = hashlib.sha256(content).hexdigest()
    old = base.model.manifest
    version = f"{_SUFFIX.sub('', old.version)}+own.{digest[:8]}"
    manifest = {
        **base.manifest,
        "version": version,
        "file": MODEL_FILE,
        "sha256": digest,
        "size_bytes": len(content),
        "base": {"version": old.version, "sha256": old.sha256},
        "calibration": {
            "method": "Platt scaling of each output, folded into the graph",
            "fitted_on": change.fitted_on,
            "scale": [round(value, 5) for value in change.calibration.scale],
            "shift": [round(value, 5) for value in change.calibration.shift],
            "expected_calibration_error": dict(change.calibration_error),
        },
        "pressure": {
            "fitted_on": f"bias and calm speech: {change.fitted_on}; the rest: "
            f"{_without_earlier(old.pressure_fitted_on)}",
            **asdict(change.weights),
        },
        "training": _training(base.manifest["training"], change),
    }
    manifest.pop("checkpoint", None)
    files = {MODEL_FILE: content}
    if checkpoint is not None:
        name = old.checkpoint.file if old.checkpoint else "checkpoint.npz"
        files[name] = checkpoint
        manifest["checkpoint"] = {
            "file": name,
            "sha256": hashlib.sha256(checkpoint).hexdigest(),
        }
    write_folder(folder, files, manifest)
    return version


def _without_earlier(fitted_on: str) -> str:
    """Return what the other constants were fitted on, without an earlier adaptation's part."""
    return fitted_on.rpartition("; the rest: ")[2]


def _training(base: Mapping[str, Any], change: Change) -> dict[str, object]:
    known = {record["name"] for record in base["corpora"]}
    added = [corpus_record(corpus) for corpus in change.corpora if corpus.name not in known]
    return {
        **base,
        "command": f"{base['command']} && {change.command}",
        "seed": base["seed"] if change.seed is None else change.seed,
        "corpora": [*base["corpora"], *added],
    }
