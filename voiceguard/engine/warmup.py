"""What a model is tried on before it may score a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voiceguard.core.errors import ModelError
from voiceguard.core.units import FULL_SCALE
from voiceguard.engine.manifest import ModelManifest

__all__ = ["ONE_SHOT_TOLERANCE", "find_row_multiple", "warm_up"]

Run = Callable[
    [NDArray[np.float32], NDArray[np.float32]], tuple[NDArray[np.float32], NDArray[np.float32]]
]
"""PCM (n, k * hop) and states (n, S) in; scores (n, k, outputs) and states (n, S) out."""

ONE_SHOT_TOLERANCE: Final = 0.002
"""Most that scores of several hops at once may differ from those of one after the other.

Far more than float32 needs; quantized models round a value to its neighbour now and then.
"""

_WARM_UP_HOPS: Final = 3
_ROW_MULTIPLES: Final = (1, 2, 4)
"""More than 4 would cost a call that is alone more than running rows one by one costs many."""

_BATCH_SIZES: Final = (2, 3, 7, 16, 64)


def warm_up(run: Run, manifest: ModelManifest) -> None:
    """Try a model on audio without speech, where careless ones divide by zero.

    Silence, a constant, a full-scale square wave, the highest frequency at full scale, one click,
    noise of one bit, loud noise and a tone: each for some hops, one by one and at once.

    Raises:
        ModelError: a score is not a number from 0 to 1, a shape is wrong, the state is not
            finite, or does not carry what the next hop needs.

    """
    signals = _signals(manifest.hop_samples * _WARM_UP_HOPS)
    pcm = np.stack(list(signals.values()))
    states = np.zeros((len(pcm), manifest.state_floats), dtype=np.float32)
    at_once, state_at_once = run(pcm, states)
    _check(at_once, state_at_once, manifest, list(signals), _WARM_UP_HOPS)
    for hop in range(_WARM_UP_HOPS):
        start = hop * manifest.hop_samples
        scores, states = run(pcm[:, start : start + manifest.hop_samples], states)
        _check(scores, states, manifest, list(signals), 1)
        apart = np.abs(scores[:, 0] - at_once[:, hop]).max(axis=1)
        if apart.max() > ONE_SHOT_TOLERANCE:
            message = (
                f"scores hop by hop and of {_WARM_UP_HOPS} hops at once differ by "
                f"{apart.max():.3g} on {list(signals)[int(apart.argmax())]}, more than "
                f"{ONE_SHOT_TOLERANCE}: the state does not carry all that the next hop needs"
            )
            raise ModelError(message)


def find_row_multiple(run: Run, manifest: ModelManifest, max_rows: int) -> int | None:
    """Return what batches must be padded to for a row not to depend on the rows beside it.

    A kernel may add up in another order for one row than for several, as matrix products do;
    padding to a multiple of rows then helps.  Or the order may depend on where in memory a row
    begins, as with sums over a last axis whose length is not a multiple of 16; then only running
    rows alone does.

    Returns:
        The smallest multiple that does, or None if none was found: rows must be run alone.

    """
    rng = np.random.default_rng(0)
    gains = 10.0 ** rng.uniform(-3.0, -0.5, size=(max_rows, 1))
    noise = rng.standard_normal((max_rows, 2 * manifest.hop_samples)) * gains
    first, second = np.split(np.clip(noise, -1.0, 0.999).astype(np.float32), 2, axis=1)
    states = np.zeros((max_rows, manifest.state_floats), dtype=np.float32)
    _, states = run(first, states)
    for multiple in _ROW_MULTIPLES:
        alone = _run_parts(run, second, states, multiple, 1)
        sizes = sorted({min(size, max_rows) for size in _BATCH_SIZES})
        if all(_same(alone, _run_parts(run, second, states, multiple, size)) for size in sizes):
            return multiple
    return None


def _run_parts(
    run: Run, pcm: NDArray[np.float32], states: NDArray[np.float32], multiple: int, size: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Run rows in batches of `size`, each padded to a `multiple` of rows."""
    scores, next_states = [], []
    for start in range(0, len(pcm), size):
        rows = min(size, len(pcm) - start)
        padding = ((0, -rows % multiple), (0, 0))
        part = slice(start, start + rows)
        found = run(np.pad(pcm[part], padding), np.pad(states[part], padding))
        scores.append(found[0][:rows])
        next_states.append(found[1][:rows])
    return np.concatenate(scores), np.concatenate(next_states)


def _same(
    one: tuple[NDArray[np.float32], NDArray[np.float32]],
    other: tuple[NDArray[np.float32], NDArray[np.float32]],
) -> bool:
    return np.array_equal(one[0], other[0]) and np.array_equal(one[1], other[1])


def _signals(samples: int) -> dict[str, NDArray[np.float32]]:
    """Return audio that is no speech, by a name fit for a message."""
    rng = np.random.default_rng(0)
    count = np.arange(samples)
    top = 1.0 - 1.0 / FULL_SCALE
    signals = {
        "silence": np.zeros(samples),
        "a constant": np.full(samples, top),
        "a full-scale square wave": np.where(count // 20 % 2, top, -1.0),
        "the highest frequency at full scale": np.where(count % 2, top, -1.0),
        "one click": np.where(count == samples // 2, top, 0.0),
        "noise of one bit": rng.integers(-1, 2, samples) / FULL_SCALE,
        "loud noise": rng.uniform(-1.0, top, samples),
        "a tone": 0.5 * np.sin(2.0 * np.pi * 0.05 * count),
    }
    return {name: signal.astype(np.float32) for name, signal in signals.items()}


def _check(
    scores: NDArray[np.float32],
    states: NDArray[np.float32],
    manifest: ModelManifest,
    names: list[str],
    hops: int,
) -> None:
    expected = (len(names), hops, len(manifest.outputs))
    if scores.shape != expected:
        message = (
            f"scores of {len(names)} channels and {hops} hops have shape {scores.shape}, "
            f"not {expected}"
        )
        raise ModelError(message)
    if states.shape != (len(names), manifest.state_floats):
        message = f"next_state has shape {states.shape}, not {(len(names), manifest.state_floats)}"
        raise ModelError(message)
    for row, name in enumerate(names):
        # Written so that a NaN, which compares as False, is refused.
        if not bool(np.all((scores[row] >= 0.0) & (scores[row] <= 1.0))):
            message = f"scores of {name} are not all from 0 to 1: {scores[row].ravel().tolist()}"
            raise ModelError(message)
        if not np.isfinite(states[row]).all():
            message = f"the state after {name} is not finite"
            raise ModelError(message)
