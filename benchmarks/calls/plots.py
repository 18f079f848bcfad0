"""Pictures beside `docs/evaluation/calls.md`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.calls.curves import FALSE_PER_HOUR
from benchmarks.calls.report import System
from voiceguard.core.policy import Policy
from voiceguard.core.pressure import EvidenceWeights
from voiceguard.core.units import SAMPLE_RATE_HZ
from voiceguard.training.calls.replay import trace_of
from voiceguard.training.calls.scoring import ScoredCall
from voiceguard.training.calls.script import PRESSURED

_LEAST_PER_HOUR = 0.03
_LONGEST_S = 30.0


def draw_curves(path: Path, systems: Sequence[System]) -> None:
    """Draw detection within 10 s of speech against false handoffs an hour, by emotion."""
    figure, axes = plt.subplots(1, len(PRESSURED), figsize=(10, 4), sharey=True, layout="tight")
    for emotion, axis in zip(PRESSURED, axes, strict=True):
        for number, system in enumerate(systems):
            colour = f"C{number}"
            points = sorted(system.points, key=lambda one: one.rates.false_handoffs_per_hour)
            false = [max(one.rates.false_handoffs_per_hour, _LEAST_PER_HOUR) for one in points]
            found = [one.by_emotion[emotion].detected_within_10_s for one in points]
            name = f"{emotion}.detected_within_10_s"
            bounds = np.array([one.intervals[name] for one in points])
            axis.plot(false, found, ".-", color=colour, label=system.title)
            axis.fill_between(false, bounds[:, 0], bounds[:, 1], color=colour, alpha=0.15)
        axis.axvline(FALSE_PER_HOUR, color="grey", linestyle=":")
        axis.set(xscale="log", xlabel="false handoffs per hour of call", title=emotion, ylim=(0, 1))
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("handed off within 10 s of speech")
    axes[0].legend()
    _save(path)
    plt.close(figure)


def draw_times(path: Path, system: System) -> None:
    """Draw a histogram of speech from onset to handoff under the default policy."""
    figure, axis = plt.subplots(figsize=(7, 3.5), layout="tight")
    waits = [
        [
            min(one.speech_to_handoff_s, _LONGEST_S)
            for one in system.at_policy.outcomes
            if one.emotion == emotion and one.speech_to_handoff_s is not None
        ]
        for emotion in PRESSURED
    ]
    axis.hist(
        waits,
        bins=[float(second) for second in range(round(_LONGEST_S) + 2)],
        label=PRESSURED,
        stacked=True,
    )
    axis.axvline(10.0, color="grey", linestyle=":")
    axis.set(xlabel=f"seconds of speech from onset ({_LONGEST_S:.0f}: or more)", ylabel="calls")
    axis.legend()
    _save(path)
    plt.close(figure)


def draw_example(
    path: Path, calls: Sequence[ScoredCall], weights: EvidenceWeights, policy: Policy
) -> None:
    """Draw the index of the first call that becomes angry, with onset and thresholds."""
    pressured = [call for call in calls if call.emotion == PRESSURED[0]] or list(calls)
    call = pressured[0]
    figure, axis = plt.subplots(figsize=(10, 3.5), layout="tight")
    axis.plot(call.end_samples / SAMPLE_RATE_HZ, trace_of(call, weights).indices)
    for level, alert in policy.alerts.items():
        axis.axhline(alert.raise_threshold, color=level.name.lower(), linestyle="--")
    if call.onset_sample is not None:
        axis.axvline(call.onset_sample / SAMPLE_RATE_HZ, color="black", linestyle=":")
    axis.set(xlabel="seconds", ylabel="pressure index", ylim=(0, 100), title=call.speaker)
    _save(path)
    plt.close(figure)


def _save(path: Path) -> None:
    plt.savefig(path, dpi=110, metadata={"Software": None})
