"""A trained network in a file that can be learnt on from: sizes and weights in fp32, data only.

The exported graph cannot be trained further: batch norms are folded into it, its convolutions may
be int8, and the emotions' head is gone.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from voiceguard.core.errors import ModelError
from voiceguard.training.experts import Shape
from voiceguard.training.network import StressNetwork

CHECKPOINT_FILE: Final = "checkpoint.npz"
"""Name of the checkpoint in a model's folder."""

_FORMAT: Final = "voiceguard-checkpoint-1"
_FORMAT_KEY: Final = "format"
_SHAPE_KEY: Final = "shape"
_WEIGHT: Final = "weight/"


def checkpoint_bytes(network: StressNetwork) -> bytes:
    """Return a network as the content of a checkpoint; the same network, the same bytes."""
    weights = {
        f"{_WEIGHT}{name}": tensor.detach().cpu().numpy()
        for name, tensor in network.state_dict().items()
    }
    sizes = json.dumps(network.shape.as_data())
    content = io.BytesIO()
    np.savez(
        content,
        allow_pickle=False,
        **{_FORMAT_KEY: np.array(_FORMAT), _SHAPE_KEY: np.array(sizes)},
        **weights,
    )
    return content.getvalue()


def load_checkpoint(path: Path) -> StressNetwork:
    """Return the network of a checkpoint, in evaluation mode.

    Raises:
        ModelError: there is no such file, it is no checkpoint, or of another architecture.
    """
    arrays = _arrays(path)
    if str(arrays.get(_FORMAT_KEY)) != _FORMAT or _SHAPE_KEY not in arrays:
        raise ModelError(f"{path}: no checkpoint of voiceguard; give one that `train` wrote")
    network = _network(path, str(arrays[_SHAPE_KEY]))
    weights = {
        name.removeprefix(_WEIGHT): torch.from_numpy(array)
        for name, array in arrays.items()
        if name.startswith(_WEIGHT)
    }
    _check_weights(path, network.state_dict(), weights)
    network.load_state_dict(weights)
    return network.eval()


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"{path}: {error.strerror}; a model can be learnt on from only with its checkpoint"
        ) from error
    try:
        loaded = np.load(io.BytesIO(content), allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise ModelError(f"{path}: no checkpoint of voiceguard but a single array")
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path}: damaged, or no checkpoint of voiceguard") from error


def _network(path: Path, sizes: str) -> StressNetwork:
    try:
        values = json.loads(sizes)
        return StressNetwork(Shape(**{name: _tuples(value) for name, value in values.items()}))
    except (json.JSONDecodeError, AttributeError, TypeError) as error:
        raise ModelError(
            f"{path}: of another architecture than this voiceguard trains; train it again"
        ) from error


def _tuples(value: object) -> Any:  # noqa: ANN401 - whatever `Shape` has
    """Return JSON's lists as the tuples that they were."""
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _check_weights(
    path: Path, expected: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]
) -> None:
    if differing := sorted(set(expected) ^ set(found)):
        raise ModelError(
            f"{path}: of another architecture than this voiceguard trains ({differing[0]}); "
            "train it again"
        )
    for name, tensor in expected.items():
        if found[name].shape != tensor.shape or found[name].dtype != tensor.dtype:
            raise ModelError(
                f"{path}: {name} is {_kind(found[name])}, not {_kind(tensor)}; train it again"
            )
        if not torch.isfinite(found[name]).all():
            raise ModelError(f"{path}: {name} is not finite; the file is damaged")


def _kind(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
