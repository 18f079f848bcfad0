"""What was measured, as JSON for programs and Markdown for people."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from benchmarks.calls.curves import FALSE_PER_HOUR, Measured, best_within
from voiceguard.core.units import HOP_S, SAMPLE_RATE_HZ
from voiceguard.training.calls.scoring import ScoredCall
from voiceguard.training.calls.script import BUILD_UP_S

_NAMES: Final = {"anger": "angry", "fear": "distressed (fear)"}

_ACTED: Final = (
    "All speech here is **acted**: {speakers} {split} speakers, of whom nothing was learnt. "
    "Real callers differ."
)
_COUNTS: Final = (
    "{calls} calls, {hours:.1f} h, {speech_hours:.1f} h of scored speech (seed {seed}); {angry} "
    "become angry, {distressed} distressed. Model `{model}`, policy `{policy}`. Brackets: 95 % "
    "bootstrap intervals over speakers."
)
_WHAT_A_CALL_IS: Final = (
    "A call: ringback, one to two and a half minutes of calm, cheerful and sad-but-calm turns with "
    "an automatic agent, in some calls a hold with music or silence, a random telephone line, a "
    "level that wanders. In half of the calls pressure then builds up: the first clip after onset "
    "is angry or afraid, of low intensity more often than not where the corpus marks it; "
    f"{BUILD_UP_S:.0f} s later every clip is. Speech is counted from the start of that first clip; "
    "of its first 10 s {pressured:.0f} % is pressured, the rest is calm. Every call goes through "
    "the engine itself. A handoff or flag before onset is false."
)
_PERFECT: Final = (
    "A perfect judge says 1 in every clip of anger or fear and 0 elsewhere, and goes through the "
    "same smoothing and hold: the most that anything could reach in these calls."
)
_READ_OFF: Final = (
    "The lowest threshold of the handoff level that keeps to it, read off these very calls: what "
    "each way of scoring could do at best."
)


@dataclass(frozen=True, slots=True)
class System:
    """One way to score hops, measured."""

    title: str
    at_policy: Measured
    """The default policy as it is."""
    points: Sequence[Measured]
    """The same with its handoff at other thresholds."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How the benchmark was run."""

    command: str
    split: str
    calls: int
    seed: int
    model: str
    policy: str


@dataclass(frozen=True, slots=True)
class Results:
    """Everything that was measured."""

    calls: Sequence[ScoredCall]
    systems: Sequence[System]
    perfect: Measured
    """A judge who is right about every hop, under the default policy as it is."""


def as_json(settings: Settings, results: Results) -> str:
    """Return everything measured; numbers that do not exist are null."""
    data = {
        **asdict(settings),
        "speech": "acted",
        "speakers": sorted({call.speaker for call in results.calls}),
        "hours": round(_hours(results.calls), 2),
        "systems": {
            system.title: {
                "default_policy": _point(system.at_policy),
                "curve": [_point(point) for point in system.points],
            }
            for system in results.systems
        },
        "perfect_judge": _point(results.perfect),
    }
    return json.dumps(data, indent=2, allow_nan=False) + "\n"


def _point(point: Measured) -> dict[str, object]:
    return {
        "threshold": point.threshold,
        **_finite(asdict(point.rates)),
        "by_emotion": {name: _finite(asdict(one)) for name, one in point.by_emotion.items()},
        "intervals": {
            name: [_number(low), _number(high)] for name, (low, high) in point.intervals.items()
        },
    }


def _finite(values: dict[str, float]) -> dict[str, float | None]:
    return {name: _number(value) for name, value in values.items()}


def _number(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None


def as_markdown(settings: Settings, results: Results) -> str:
    """Return the page that `docs/evaluation/calls.md` is."""
    calls, systems = results.calls, results.systems
    at_policy = [(system.title, system.at_policy) for system in systems]
    pressured = [call for call in calls if call.emotion is not None]
    angry = sum(call.emotion == "anger" for call in pressured)
    lines = [
        "# Simulated calls",
        "",
        _ACTED.format(speakers=len({call.speaker for call in calls}), split=settings.split),
        "",
        "```",
        settings.command,
        "```",
        "",
        _COUNTS.format(
            calls=len(calls),
            hours=_hours(calls),
            speech_hours=sum(len(call.scores) for call in calls) * HOP_S / 3600.0,
            angry=angry,
            distressed=len(pressured) - angry,
            seed=settings.seed,
            model=settings.model,
            policy=settings.policy,
        ),
        "",
        _WHAT_A_CALL_IS.format(pressured=100 * _pressured_share(pressured)),
        "",
        "## The default policy",
        "",
        *_table([*at_policy, ("a perfect judge", results.perfect)]),
        "",
        _PERFECT,
        "",
        f"## At most {FALSE_PER_HOUR} false handoffs an hour",
        "",
        _READ_OFF,
        "",
        *_table([(one.title, best_within(one.points, FALSE_PER_HOUR)) for one in systems]),
        "",
        "![Detection against false handoffs](calls-curves.png)",
        "",
        "![Speech from onset to handoff](calls-times.png)",
        "",
        "![The index of one call](calls-example.png)",
        "",
    ]
    return "\n".join(lines)


def _pressured_share(calls: Sequence[ScoredCall]) -> float:
    """Return how much of the first 10 s of speech after onset is pressured; 0 without any."""
    hops = round(10.0 / HOP_S)
    heard = [call.pressured[call.onset_hop :][:hops] for call in calls]
    return float(np.concatenate(heard).mean()) if any(map(len, heard)) else 0.0


def _table(rows: Sequence[tuple[str, Measured]]) -> list[str]:
    head = (
        "| scored by | threshold | calls | within 5 s | within 10 s | median, speech | "
        "median, clock | false handoffs/h | per hour of speech | false flags/h |"
    )
    lines = [head, "|" + "---|" * 10]
    for title, point in rows:
        for emotion, rates in point.by_emotion.items():
            found = point.intervals
            cells = [
                title,
                f"{point.threshold:g}",
                _NAMES[emotion],
                _share(rates.detected_within_5_s, found[f"{emotion}.detected_within_5_s"]),
                _share(rates.detected_within_10_s, found[f"{emotion}.detected_within_10_s"]),
                _plain(rates.median_speech_to_handoff_s, " s"),
                _plain(rates.median_time_to_handoff_s, " s"),
                _rate(point, "false_handoffs_per_hour"),
                _rate(point, "false_handoffs_per_speech_hour"),
                _rate(point, "false_flags_per_hour"),
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return lines


def _share(share: float, interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{100 * share:.0f} % [{100 * low:.0f}, {100 * high:.0f}]"


def _rate(point: Measured, name: str) -> str:
    low, high = point.intervals[name]
    return f"{getattr(point.rates, name):.2f} [{low:.2f}, {high:.2f}]"


def _plain(value: float, unit: str) -> str:
    return f"{value:.1f}{unit}" if math.isfinite(value) else "-"


def _hours(calls: Sequence[ScoredCall]) -> float:
    return sum(call.length_samples for call in calls) / SAMPLE_RATE_HZ / 3600.0
