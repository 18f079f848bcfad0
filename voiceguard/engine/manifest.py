"""What a model says about itself: `model.toml`, data only.

docs/models.md documents every field.  Nothing in a manifest names code; a field that is missing,
unknown or of the wrong kind is refused.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from voiceguard.core.errors import ModelError
from voiceguard.core.pressure import REQUIRED_SCORES, Constants
from voiceguard.core.units import HOP_SAMPLES, SAMPLE_RATE_HZ
from voiceguard.engine.fields import Table

__all__ = [
    "MANIFEST_FILE",
    "MAX_STATE_FLOATS",
    "BaseRecord",
    "CalibrationRecord",
    "CheckpointRecord",
    "Corpus",
    "ModelManifest",
    "TensorSpec",
    "TrainingRecord",
    "load_manifest",
]

MANIFEST_FILE: Final = "model.toml"
"""Name of the manifest in a model's folder."""

MAX_STATE_FLOATS: Final = 65_536
"""Most floats of state that one channel may carry: 256 KiB."""

_SCHEMA: Final = 1
_MAX_MANIFEST_BYTES: Final = 1 << 20
_MAX_OUTPUTS: Final = 32
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Shape and element type of one input or output of the graph."""

    shape: tuple[int | str, ...]
    """A number is a fixed dimension, a name one that varies from run to run."""
    dtype: str
    """As NumPy names it."""


@dataclass(frozen=True, slots=True)
class CalibrationRecord:
    """How the outputs were made probabilities; the graph has it folded in already."""

    method: str
    fitted_on: str
    expected_calibration_error: Mapping[str, float]
    """By output, 0 to 1; how far probability and frequency are apart on average."""
    parameters: Mapping[str, object]
    """Whatever else the method has: numbers, lists and tables of numbers."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """A body of recordings that the model was made with."""

    name: str
    licence: str
    attribution: str
    use: str
    """What it served for: training, validation, augmentation."""


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """How to make the model again."""

    command: str
    seed: int
    held_out_speakers: Mapping[str, tuple[str, ...]]
    """By corpus: the speakers that no training has heard."""
    corpora: tuple[Corpus, ...]


@dataclass(frozen=True, slots=True)
class BaseRecord:
    """The model that this one was adapted from."""

    version: str
    sha256: str
    """Of its model file."""


@dataclass(frozen=True, slots=True)
class CheckpointRecord:
    """The weights to learn on from; serving does not need them."""

    file: str
    """Name of a file in the manifest's own folder."""
    sha256: str


@dataclass(frozen=True, slots=True)
class ModelManifest:
    """A model's manifest, checked."""

    name: str
    version: str
    file: str
    """Name of the model file in the same folder."""
    sha256: str
    """Of the model file, 64 lower-case hexadecimal digits."""
    size_bytes: int | None
    """Of the model file; None when the manifest does not say."""
    sample_rate_hz: int
    hop_samples: int
    window_samples: int
    """How much audio one score looks back on; for people to read."""
    outputs: tuple[str, ...]
    """Names of the scores, in the order of the last dimension of the tensor `scores`."""
    inputs: Mapping[str, TensorSpec]
    output_tensors: Mapping[str, TensorSpec]
    calibration: CalibrationRecord
    pressure: Constants
    """Constants of the pressure index, for `EvidenceWeights.from_mapping`."""
    pressure_fitted_on: str
    training: TrainingRecord
    base: BaseRecord | None = None
    """None: it was trained from nothing."""
    checkpoint: CheckpointRecord | None = None

    @property
    def state_floats(self) -> int:
        """How many floats of state a channel carries from hop to hop."""
        size = self.inputs["state"].shape[1]
        return size if isinstance(size, int) else 0


def load_manifest(path: Path) -> ModelManifest:
    """Read and check a manifest.

    Args:
        path: the TOML file.

    Raises:
        ModelError: it cannot be read, or a field is not what it must be; the message names the
            file and the field.

    """
    try:
        content = path.read_bytes()
    except OSError as error:
        message = f"{path}: cannot be read ({error.strerror}); a model's folder holds a manifest"
        raise ModelError(message) from error
    if len(content) > _MAX_MANIFEST_BYTES:
        message = f"{path}: {len(content)} bytes; a manifest has at most {_MAX_MANIFEST_BYTES}"
        raise ModelError(message)
    try:
        values = tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        message = f"{path}: not valid TOML: {error}"
        raise ModelError(message) from error
    return _manifest(Table(str(path), "", values))


def _manifest(root: Table) -> ModelManifest:
    schema = root.take("schema", int, f"the number {_SCHEMA}")
    if schema != _SCHEMA:
        root.refuse("schema", f"{schema} is not {_SCHEMA}, the one this voiceguard reads")
    name = root.text("name", _NAME, "a lower-case name such as 'stress'")
    version = root.text("version")
    file = root.text("file", _FILE_NAME, "the name of a file in the manifest's own folder")
    sha256 = _digest(root)
    size_bytes = root.whole("size_bytes", 1, 1 << 40) if root.has("size_bytes") else None
    sample_rate_hz = _exactly(root, "sample_rate_hz", SAMPLE_RATE_HZ)
    hop_samples = _exactly(root, "hop_samples", HOP_SAMPLES)
    window_samples = root.whole("window_samples", 1, 1 << 30)
    outputs = _outputs(root)
    inputs = _tensors(root, "inputs", ("pcm", "state"))
    output_tensors = _tensors(root, "output_tensors", ("scores", "next_state"))
    _check_shapes(root, inputs, output_tensors, len(outputs))
    calibration = _calibration(root.table("calibration"), outputs)
    pressure = root.table("pressure")
    pressure_fitted_on = pressure.text("fitted_on")
    manifest = ModelManifest(
        name=name,
        version=version,
        file=file,
        sha256=sha256,
        size_bytes=size_bytes,
        sample_rate_hz=sample_rate_hz,
        hop_samples=hop_samples,
        window_samples=window_samples,
        outputs=outputs,
        inputs=inputs,
        output_tensors=output_tensors,
        calibration=calibration,
        pressure=_pressure(pressure),
        pressure_fitted_on=pressure_fitted_on,
        training=_training(root.table("training")),
        base=_base(root.table("base")) if root.has("base") else None,
        checkpoint=_checkpoint(root.table("checkpoint")) if root.has("checkpoint") else None,
    )
    root.end()
    return manifest


def _digest(table: Table) -> str:
    return table.text("sha256", _SHA256, "64 lower-case hexadecimal digits")


def _base(table: Table) -> BaseRecord:
    base = BaseRecord(table.text("version"), _digest(table))
    table.end()
    return base


def _checkpoint(table: Table) -> CheckpointRecord:
    file = table.text("file", _FILE_NAME, "the name of a file in the manifest's own folder")
    checkpoint = CheckpointRecord(file, _digest(table))
    table.end()
    return checkpoint


def _exactly(table: Table, field: str, expected: int) -> int:
    value = table.take(field, int, f"the number {expected}")
    if value != expected:
        table.refuse(field, f"{value} is not {expected}, which the engine works with")
    return value


def _outputs(root: Table) -> tuple[str, ...]:
    outputs = root.texts("outputs")
    if not 1 <= len(outputs) <= _MAX_OUTPUTS or len(set(outputs)) != len(outputs):
        root.refuse("outputs", f"{list(outputs)} are not 1 to {_MAX_OUTPUTS} different names")
    if bad := [name for name in outputs if not _NAME.fullmatch(name)]:
        root.refuse("outputs", f"{bad} are not lower-case names such as 'anger'")
    if missing := [name for name in REQUIRED_SCORES if name not in outputs]:
        root.refuse("outputs", f"lacks {missing}, without which there is no pressure index")
    return outputs


def _tensors(root: Table, field: str, names: Sequence[str]) -> dict[str, TensorSpec]:
    table = root.table(field)
    tensors = {name: _tensor(table.table(name)) for name in names}
    table.end()
    return tensors


def _tensor(table: Table) -> TensorSpec:
    shape = table.take("shape", list, "an array of numbers and names")
    for size in shape:
        fixed = isinstance(size, int) and not isinstance(size, bool) and size > 0
        if not fixed and not (isinstance(size, str) and size):
            table.refuse("shape", f"{size!r} in it is neither a positive number nor a name")
    dtype = table.text("dtype")
    table.end()
    return TensorSpec(tuple(shape), dtype)


def _check_shapes(
    root: Table,
    inputs: Mapping[str, TensorSpec],
    output_tensors: Mapping[str, TensorSpec],
    outputs: int,
) -> None:
    """Refuse tensors that the engine could not feed or read."""
    expected: dict[str, tuple[TensorSpec, str, Callable[[tuple[int | str, ...]], bool]]] = {
        "inputs.pcm": (inputs["pcm"], "[batch, samples]", _varies(2)),
        "inputs.state": (inputs["state"], "[batch, fixed size]", _varies(1, None)),
        "output_tensors.scores": (
            output_tensors["scores"],
            f"[batch, hops, {outputs}], a score for each of `outputs`",
            _varies(2, outputs),
        ),
        "output_tensors.next_state": (
            output_tensors["next_state"],
            "the shape of inputs.state",
            lambda shape: shape[1:] == inputs["state"].shape[1:] and _varies(1, None)(shape),
        ),
    }
    for field, (tensor, meaning, fits) in expected.items():
        if tensor.dtype != "float32":
            root.refuse(f"{field}.dtype", f"{tensor.dtype!r} is not 'float32'")
        if not fits(tensor.shape):
            root.refuse(f"{field}.shape", f"{list(tensor.shape)} is not {meaning}")
    size = inputs["state"].shape[1]
    if isinstance(size, int) and size > MAX_STATE_FLOATS:
        root.refuse("inputs.state.shape", f"{size} is more than {MAX_STATE_FLOATS} floats")


def _varies(varying: int, *fixed: int | None) -> Callable[[tuple[int | str, ...]], bool]:
    """Return a test for so many named dimensions and then these fixed ones (None: any)."""

    def fits(shape: tuple[int | str, ...]) -> bool:
        if len(shape) != varying + len(fixed):
            return False
        named = all(isinstance(size, str) for size in shape[:varying])
        rest = zip(shape[varying:], fixed, strict=True)
        return named and all(isinstance(s, int) and want in {None, s} for s, want in rest)

    return fits


def _calibration(table: Table, outputs: Sequence[str]) -> CalibrationRecord:
    method, fitted_on = table.text("method"), table.text("fitted_on")
    errors = table.table("expected_calibration_error")
    expected = _numbers(errors)
    for name, value in expected.items():
        if name not in outputs:
            errors.refuse(name, f"is none of the outputs {list(outputs)}")
        if not 0.0 <= value <= 1.0:
            errors.refuse(name, f"{value} is not from 0 to 1")
    parameters = {name: _parameter(table, name) for name in table.names()}
    return CalibrationRecord(method, fitted_on, expected, parameters)


def _parameter(table: Table, name: str) -> object:
    value = table.take(name, object, "a number, or a list or table of numbers")
    match value:
        case dict():
            items = list(value.values())
        case list():
            items = value
        case _:
            items = [value]
    for item in items:
        if not _is_number(item):
            table.refuse(name, f"{item!r} is not a finite number")
    return value


def _pressure(table: Table) -> Constants:
    """Take the constants: a table for each kind of pressure, and numbers."""
    kinds = {kind: _numbers(table.table(kind)) for kind in REQUIRED_SCORES}
    return {**kinds, **_numbers(table)}


def _numbers(table: Table) -> dict[str, float]:
    """Take all that is left of a table, which must be numbers."""
    numbers = {}
    for name in table.names():
        value = table.take(name, object, "a number")
        if not isinstance(value, int | float) or not _is_number(value):
            table.refuse(name, f"{value!r} is not a finite number")
        numbers[name] = float(value)
    return numbers


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _training(table: Table) -> TrainingRecord:
    command, seed = table.text("command"), table.whole("seed", 0, (1 << 63) - 1)
    held_out = table.table("held_out_speakers")
    speakers = {corpus: held_out.texts(corpus) for corpus in held_out.names()}
    corpora = tuple(_corpus(item) for item in table.tables("corpora"))
    table.end()
    return TrainingRecord(command, seed, speakers, corpora)


def _corpus(table: Table) -> Corpus:
    corpus = Corpus(
        table.text("name"), table.text("licence"), table.text("attribution"), table.text("use")
    )
    table.end()
    return corpus
