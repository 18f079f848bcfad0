"""A stress model over onnxruntime: checked before it is used, then run on one thread."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from voiceguard.core.errors import ModelError
from voiceguard.engine.graph import GraphContents, check_contents, read_contents
from voiceguard.engine.manifest import MANIFEST_FILE, ModelManifest, TensorSpec, load_manifest
from voiceguard.engine.warmup import find_row_multiple, warm_up

__all__ = ["MAX_ROWS", "StressModel"]

MAX_ROWS: Final = 64
"""Most rows given to onnxruntime at once; more gain nothing and leave the caches."""

_MAX_MODEL_BYTES: Final = 256 << 20

_INPUTS: Final = ("pcm", "state")
_OUTPUTS: Final = ("scores", "next_state")

_ONNX_DTYPES: Final = {"tensor(float)": "float32"}
"""Element types as onnxruntime names them; others keep its name in messages."""


class StressModel:
    """A model that scores hops of speech, many channels at a time.

    A row of a batch is one channel.  What a row comes to does not depend on the rows beside it,
    bit for bit: that is tried when the model is loaded, and batches are padded, or run row by
    row, if it takes that.

    It may be used from any thread, by one at a time.
    """

    def __init__(
        self,
        manifest: ModelManifest,
        session: Any,  # noqa: ANN401 (onnxruntime is not typed)
        contents: GraphContents,
        size_bytes: int,
    ) -> None:
        """Take a session that has been checked; use `load`."""
        self._session = session
        self._contents = contents
        self._size_bytes = size_bytes
        self._row_multiple: int | None = 1
        self.manifest: Final = manifest

    @classmethod
    def load(cls, directory: Path) -> StressModel:
        """Load the model of a folder that holds `model.toml` and the file it names.

        The file is read once, compared with the manifest and loaded from memory, so what was
        checked is what runs.  Then the model is tried on audio that breaks careless ones.

        Raises:
            ModelError: the folder, the file or the model is not what the manifest says, or
                the model fails its trial; the message says what differs.

        """
        manifest = load_manifest(directory / MANIFEST_FILE)
        path = directory / manifest.file
        try:
            content = _read_checked(path, manifest)
            contents = read_contents(content)
            check_contents(contents)
            session = _start_session(content)
            _check_tensors("input", session.get_inputs(), manifest.inputs)
            _check_tensors("output", session.get_outputs(), manifest.output_tensors)
            model = cls(manifest, session, contents, len(content))
            warm_up(model._run_rows, manifest)
            model._row_multiple = find_row_multiple(model._run_rows, manifest, MAX_ROWS)
        except ModelError as error:
            message = f"{path}: {error}"
            raise ModelError(message) from error
        return model

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the scores, in the order of the last dimension."""
        return self.manifest.outputs

    @property
    def row_multiple(self) -> int | None:
        """Batches are padded to a multiple of this; None: rows are run one by one."""
        return self._row_multiple

    def new_states(self, rows: int) -> NDArray[np.float32]:
        """Return the states of `rows` channels that have heard nothing, shape (rows, S)."""
        return np.zeros((rows, self.manifest.state_floats), dtype=np.float32)

    def run(
        self, pcm: NDArray[np.float32], states: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Score the next hops of some channels.

        Args:
            pcm: shape (n, k * hop_samples), 8 kHz, in [-1, 1): k hops of each of n channels.
            states: shape (n, S), what the run before left of each channel.

        Returns:
            Scores of shape (n, k, outputs), and states of shape (n, S).  Nothing guarantees that
            they are finite if the input is not.  k hops at once and one after the other agree
            within 0.002, not bit for bit.

        Raises:
            ValueError: the shapes are others.
            ModelError: onnxruntime failed.

        """
        rows, hop = len(pcm), self.manifest.hop_samples
        if pcm.ndim != 2 or not rows or not pcm.shape[1] or pcm.shape[1] % hop:
            message = f"pcm of shape {pcm.shape} is not (n, k * {hop}), n and k at least 1"
            raise ValueError(message)
        if states.shape != (rows, self.manifest.state_floats):
            message = f"{states.shape} is not {(rows, self.manifest.state_floats)}"
            raise ValueError(f"shape of the states: {message}")
        step = MAX_ROWS if self._row_multiple else 1
        if rows <= step:
            return self._run_padded(pcm, states)
        starts = range(0, rows, step)
        parts = [self._run_padded(pcm[i : i + step], states[i : i + step]) for i in starts]
        return np.concatenate([part[0] for part in parts]), np.concatenate([p[1] for p in parts])

    def describe(self) -> dict[str, object]:
        """Return what people want to know about the model, as plain data fit for JSON."""
        manifest = self.manifest
        tensors = {**manifest.inputs, **manifest.output_tensors}
        return {
            "name": manifest.name,
            "version": manifest.version,
            "file": manifest.file,
            "sha256": manifest.sha256,
            "size_bytes": self._size_bytes,
            "parameters": self._contents.parameters,
            "opsets": dict(self._contents.opsets),
            "runtime": f"onnxruntime {onnxruntime.__version__}",
            "row_multiple": self._row_multiple,
            "sample_rate_hz": manifest.sample_rate_hz,
            "hop_s": manifest.hop_samples / manifest.sample_rate_hz,
            "window_s": manifest.window_samples / manifest.sample_rate_hz,
            "outputs": list(manifest.outputs),
            "tensors": {name: list(tensor.shape) for name, tensor in tensors.items()},
            "calibration": {
                "method": manifest.calibration.method,
                "fitted_on": manifest.calibration.fitted_on,
                "expected_calibration_error": dict(manifest.calibration.expected_calibration_error),
                "parameters": dict(manifest.calibration.parameters),
            },
            **({} if manifest.base is None else {"base": asdict(manifest.base)}),
            "pressure": dict(manifest.pressure),
            "pressure_fitted_on": manifest.pressure_fitted_on,
            "training": {
                "command": manifest.training.command,
                "seed": manifest.training.seed,
                "held_out_speakers": {
                    corpus: list(speakers)
                    for corpus, speakers in manifest.training.held_out_speakers.items()
                },
                "corpora": [
                    {
                        "name": corpus.name,
                        "licence": corpus.licence,
                        "attribution": corpus.attribution,
                        "use": corpus.use,
                    }
                    for corpus in manifest.training.corpora
                ],
            },
        }

    def _run_padded(
        self, pcm: NDArray[np.float32], states: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        rows = len(pcm)
        padding = -rows % (self._row_multiple or 1)
        if not padding:
            return self._run_rows(pcm, states)
        scores, next_states = self._run_rows(_pad(pcm, padding), _pad(states, padding))
        return scores[:rows], next_states[:rows]

    def _run_rows(
        self, pcm: NDArray[np.float32], states: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        feed = {"pcm": np.ascontiguousarray(pcm), "state": np.ascontiguousarray(states)}
        try:
            scores, next_states = self._session.run(_OUTPUTS, feed)
        except Exception as error:  # onnxruntime's errors have no class in common
            message = f"onnxruntime failed on {len(pcm)} rows: {_first_line(error)}"
            raise ModelError(message) from error
        return scores, next_states


def _pad(rows: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Return `rows` and `count` rows of zeros; `np.pad` takes longer than a small model."""
    return np.concatenate((rows, np.zeros((count, rows.shape[1]), dtype=np.float32)))


def _read_checked(path: Path, manifest: ModelManifest) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_MODEL_BYTES + 1)
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        raise ModelError(message) from error
    if len(content) > _MAX_MODEL_BYTES:
        message = f"is larger than {_MAX_MODEL_BYTES} bytes"
        raise ModelError(message)
    if manifest.size_bytes is not None and len(content) != manifest.size_bytes:
        message = f"has {len(content)} bytes; its manifest says size_bytes = {manifest.size_bytes}"
        raise ModelError(message)
    digest = hashlib.sha256(content).hexdigest()
    if digest != manifest.sha256:
        message = (
            f"has SHA-256 {digest}; its manifest says {manifest.sha256}. "
            "Put back the file that the manifest was written for"
        )
        raise ModelError(message)
    return content


def _start_session(content: bytes) -> Any:  # noqa: ANN401 (onnxruntime is not typed)
    """Load a model from memory, where it can reach no other file, for use on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no class in common
        message = f"onnxruntime refuses it: {_first_line(error)}"
        raise ModelError(message) from error


def _check_tensors(kind: str, found: Sequence[Any], expected: Mapping[str, TensorSpec]) -> None:
    by_name = {tensor.name: tensor for tensor in found}
    if set(by_name) != set(expected):
        message = f"the graph's {kind}s are {sorted(by_name)}; its manifest says {sorted(expected)}"
        raise ModelError(message)
    for name, spec in expected.items():
        dtype = _ONNX_DTYPES.get(by_name[name].type, by_name[name].type)
        if dtype != spec.dtype:
            message = f"{kind} {name} has elements of {dtype}; its manifest says {spec.dtype}"
            raise ModelError(message)
        shape = by_name[name].shape
        if not _fits(shape, spec.shape):
            message = f"{kind} {name} has shape {shape}; its manifest says {list(spec.shape)}"
            raise ModelError(message)


def _fits(found: Sequence[object], expected: Sequence[int | str]) -> bool:
    """Return whether fixed dimensions are equal and the others are free in both."""
    if len(found) != len(expected):
        return False
    pairs = zip(found, expected, strict=True)
    return all(a == b if isinstance(b, int) else not isinstance(a, int) for a, b in pairs)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", maxsplit=1)[0]
