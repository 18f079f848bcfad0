"""From a trained network to a model folder: calibrate, quantise if it costs nothing, fit, write.

Everything here looks at development speakers only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from voiceguard.core.units import FULL_SCALE, HOP_SAMPLES
from voiceguard.training.augment import Chances, Line, Sounds
from voiceguard.training.calibrate import (
    Calibration,
    area_under_curve,
    clip_logits,
    expected_calibration_error,
    fit_calibration,
    log_odds,
    sigmoid,
)
from voiceguard.training.calls import (
    CallMaker,
    CallSounds,
    Rates,
    RunnerModel,
    cross_validate,
    fit_evidence,
    rates_of,
    simulate_calls,
    voices_of,
)
from voiceguard.training.clips import Recording, Report, heard_over_g711
from voiceguard.training.corpora import Corpus
from voiceguard.training.examples import TrainingDataError
from voiceguard.training.export import Cost, Runner, measure_cost, onnx_bytes, quantised_bytes
from voiceguard.training.gating import hops_of, speech_of
from voiceguard.training.lookback import LONG_HOPS
from voiceguard.training.manifest import Provenance, write_model
from voiceguard.training.network import StressNetwork
from voiceguard.training.targets import OUTPUTS, target_of

MOST_AUC_LOST: Final = 0.003
"""Most that int8 may cost before fp32 is shipped instead."""

CALLS: Final = 400
"""Simulated for the constants of the index."""

_QUANTISER_ROWS: Final = 96
_QUANTISER_HOPS: Final = 6


@dataclass(frozen=True, slots=True)
class Shipped:
    """What was written, in numbers; all on development speakers."""

    auc_fp32: float
    auc_int8: float
    is_int8: bool
    size_bytes: int
    cost: Cost
    calibration_error: dict[str, float]
    calls: Rates | None
    """Cross-validated over speakers; None where there is one development speaker only."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """A development clip after a line, and what should be said of it."""

    hops: NDArray[np.float32]
    targets: NDArray[np.float32]
    is_anger: bool
    is_clean: bool


def ship(  # noqa: PLR0913, PLR0917 - everything a model is made of
    network: StressNetwork,
    development: Sequence[Recording],
    sounds: Sounds,
    out: Path,
    command: str,
    seed: int,
    corpora: Sequence[Corpus],
    held_out: Mapping[str, Sequence[str]],
    calls: int = CALLS,
    call_sounds: CallSounds | None = None,
    report: Report = lambda *_: None,
) -> Shipped:
    """Write `out`/model.onnx, `out`/checkpoint.npz and `out`/model.toml.

    Raises:
        TrainingDataError: the development speakers are not there.
    """
    heard = _hear(development, sounds, seed)
    if not any(one.is_anger for one in heard) or all(one.is_anger for one in heard):
        raise TrainingDataError(
            "development speakers of CREMA-D are missing; give the whole corpus"
        )
    calibration = _calibrate(network, heard)
    fp32 = onnx_bytes(network, calibration)
    int8 = quantised_bytes(fp32, quantiser_rows([one.hops for one in heard]), network.state_size)
    auc_fp32, auc_int8 = _clean_auc(fp32, heard), _clean_auc(int8, heard)
    is_int8 = auc_int8 >= auc_fp32 - MOST_AUC_LOST
    model = int8 if is_int8 else fp32
    runner = Runner(model)
    errors = _errors(runner, heard)
    maker = CallMaker(voices_of(development), call_sounds or CallSounds(), sounds, seed)
    simulated = simulate_calls(maker, RunnerModel(runner), calls, report)
    weights = fit_evidence(simulated)
    made = Provenance(
        command,
        seed,
        corpora,
        held_out,
        calibration,
        errors,
        weights,
        "development speakers of CREMA-D (acted speech)",
    )
    write_model(out, model, network, made)
    is_one_speaker = len(maker.voices) == 1
    rates = None if is_one_speaker else rates_of(cross_validate(simulated))
    return Shipped(auc_fp32, auc_int8, is_int8, len(model), measure_cost(model), errors, rates)


def _hear(development: Sequence[Recording], sounds: Sounds, seed: int) -> list[_Heard]:
    """Return every clip twice: over clean G.711 and over a random line."""
    line = Line(np.random.default_rng(seed), sounds, Chances(clipping=0.03))
    heard = []
    for recording in development:
        target = target_of(recording.clip)
        meant = target_of(replace(recording.clip, vote_counts=None))
        if recording.clip.corpus != "crema-d" or target is None or meant is None:
            continue
        far = line.carry(np.asarray(recording.samples / FULL_SCALE, np.float32), [])
        lossy = hops_of(speech_of(np.round(far * FULL_SCALE).astype(np.int16)))
        is_anger = recording.clip.emotion == "anger"
        intended = target.outputs.copy()
        intended[:2] = meant.outputs[:2]
        for hops, is_clean in ((heard_over_g711(recording.samples), True), (lossy, False)):
            if len(hops):
                heard.append(_Heard(hops, intended, is_anger, is_clean))
    return heard


def _calibrate(network: StressNetwork, heard: Sequence[_Heard]) -> Calibration:
    with torch.no_grad():
        hops = [
            network(torch.from_numpy(one.hops[None]), network.zero_state(1))[0][0].double().numpy()
            for one in heard
        ]
    targets = np.stack([one.targets for one in heard]).astype(np.float64)
    logits = np.stack([clip_logits(of_clip, LONG_HOPS) for of_clip in hops])
    return fit_calibration(logits, targets, np.ones(len(heard)))


def quantiser_rows(speech: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """Return rows of joined clips: activations as they are in the middle of a call."""
    joined = np.concatenate(speech)
    length = _QUANTISER_HOPS * HOP_SAMPLES
    rows = joined[: len(joined) // length * length].reshape(-1, length)
    picked = rows[:: max(len(rows) // _QUANTISER_ROWS, 1)][:_QUANTISER_ROWS]
    return [picked[start : start + 8] for start in range(0, len(picked), 8)]


def log_odds_of_clips(scores: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    """Return the log-odds of each clip, (clips, outputs), from the scores of its hops."""
    return np.array(
        [clip_logits(log_odds(of_clip.astype(np.float64)), LONG_HOPS) for of_clip in scores]
    )


def _clean_auc(model: bytes, heard: Sequence[_Heard]) -> float:
    clean = [one for one in heard if one.is_clean]
    logits = log_odds_of_clips(Runner(model).score_clips(one.hops for one in clean))
    return area_under_curve(logits[:, 0], np.array([one.is_anger for one in clean]))


def _errors(runner: Runner, heard: Sequence[_Heard]) -> dict[str, float]:
    """Return the calibration error of anger and distress."""
    probabilities = sigmoid(log_odds_of_clips(runner.score_clips(one.hops for one in heard)))
    targets = np.stack([one.targets for one in heard])
    return {
        name: round(
            expected_calibration_error(probabilities[:, index], targets[:, index].astype(float)), 4
        )
        for index, name in enumerate(OUTPUTS[:2])
    }
