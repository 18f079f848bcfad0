"""How good a model is on a user's own labelled clips, before and after."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from voiceguard.training.adapt.fitting import Judged, Wish
from voiceguard.training.adapt.recordings import PRESSURED_FROM
from voiceguard.training.adapt.scored import INDEXED, Scored
from voiceguard.training.calibrate import (
    area_under_curve,
    expected_calibration_error,
    pressure_of,
    sigmoid,
)

PRESSURE = "pressure"


@dataclass(frozen=True, slots=True)
class Quality:
    """Of one probability, over the clips of which the truth is known."""

    clips: int
    positives: int
    auc: float
    log_loss: float
    calibration_error: float


@dataclass(frozen=True, slots=True)
class Figures:
    """Of a model on labelled clips."""

    outputs: Mapping[str, Quality]
    """Of pressure, and of anger and distress where clips with and without are known."""
    false_alarm_share: float
    """Of clips without anger or distress, those in which the index reaches the threshold."""
    detected_share: float
    """Of clips with anger or distress, the same."""

    def as_data(self) -> dict[str, object]:
        """Return plain data, for JSON, rounded to four decimals."""
        rounded = {
            name: {field: round(value, 4) for field, value in asdict(quality).items()}
            for name, quality in self.outputs.items()
        }
        return {
            "outputs": rounded,
            "false_alarm_share": round(self.false_alarm_share, 4),
            "detected_share": round(self.detected_share, 4),
        }


def measure(scored: Scored, judged: Judged, wish: Wish) -> Figures:
    """Return figures of what `judged` says of the clips of `scored`."""
    probabilities = sigmoid(judged.logits)
    said = {PRESSURE: pressure_of(probabilities)}
    truth = {PRESSURE: scored.pressure}
    for column, name in enumerate(INDEXED):
        said[name], truth[name] = probabilities[:, column], scored.targets[:, column]
    qualities = {name: _quality(said[name], truth[name]) for name in said}
    reached = judged.peaks >= wish.threshold
    return Figures(
        outputs={name: quality for name, quality in qualities.items() if quality is not None},
        false_alarm_share=float(reached[scored.is_calm].mean()),
        detected_share=float(reached[scored.is_pressured].mean()),
    )


def _quality(said: NDArray[np.float64], truth: NDArray[np.float64]) -> Quality | None:
    """Return the quality, None where not both kinds of clips are known."""
    known = ~np.isnan(truth)
    positives, probabilities = truth[known] >= PRESSURED_FROM, said[known]
    auc = area_under_curve(probabilities, positives)
    if math.isnan(auc):
        return None
    bounded = np.clip(probabilities, 1e-6, 1.0 - 1e-6)
    log_loss = -np.where(positives, np.log(bounded), np.log1p(-bounded)).mean()
    return Quality(
        clips=int(known.sum()),
        positives=int(positives.sum()),
        auc=auc,
        log_loss=float(log_loss),
        calibration_error=expected_calibration_error(probabilities, positives),
    )


def comparison(before: Figures, after: Figures, wish: Wish) -> Iterator[str]:
    """Yield lines for people: every figure before and after."""
    yield f"{'':34}{'before':>9}{'after':>9}"
    for name in before.outputs:
        old, new = before.outputs[name], after.outputs[name]
        yield f"{name}, {old.clips} clips, {old.positives} with it"
        yield _row("  calibration error", old.calibration_error, new.calibration_error)
        yield _row("  log loss", old.log_loss, new.log_loss)
        yield _row("  AUC", old.auc, new.auc)
    yield f"index at {wish.threshold:g}"
    yield _row("  false alarms, share of clips", before.false_alarm_share, after.false_alarm_share)
    yield _row("  found, share of clips", before.detected_share, after.detected_share)


def _row(label: str, before: float, after: float) -> str:
    return f"{label:34}{before:9.4f}{after:9.4f}"
