"""Calls made and heard by the engine, for the constants of the index."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from voiceguard.core.policy import Policy
from voiceguard.core.pressure import EvidenceWeights, KindWeights
from voiceguard.engine.scoring import HopModel
from voiceguard.resources import policies_dir
from voiceguard.training.calls.scoring import CallMaker, ScoredCall, hear
from voiceguard.training.clips import Report

_UNFITTED_KIND: Final = KindWeights(
    bias=-2.0, absolute=1.0, relative=0.0, arousal=0.0, valence=0.0, level=0.0
)

UNFITTED: Final = EvidenceWeights(
    anger=_UNFITTED_KIND,
    distress=_UNFITTED_KIND,
    deviation_cap=4.0,
    level_cap_db=12.0,
    baseline_s=8.0,
    settled_s=20.0,
    calm_anger_mean=0.0,
    calm_anger_deviation=1.0,
    calm_distress_mean=0.0,
    calm_distress_deviation=1.0,
    calm_arousal_mean=0.0,
    calm_arousal_deviation=1.0,
    calm_valence_mean=0.0,
    calm_valence_deviation=1.0,
    calm_s=4.0,
    baseline_cap=1.0,
    rise_s=2.0,
    fall_s=4.0,
)
"""Constants to hear calls with before there are any; scores do not depend on them.

Those that are times, caps and shrinkage are not fitted and stay as they are here.
Bias and absolute weight keep clearly pressured hops out of the baselines that the
others are fitted against.
"""


def default_policy() -> Policy:
    """Return the policy that comes with voiceguard, which the constants are fitted for."""
    path: Path = policies_dir() / "default.toml"
    return Policy.from_toml(path.read_bytes(), path.name)


def simulate_calls(
    maker: CallMaker, model: HopModel, count: int, report: Report
) -> list[ScoredCall]:
    """Return the first `count` calls of `maker`, scored.

    Raises:
        ModelError: the model failed.
    """
    policy = default_policy()
    heard: list[ScoredCall] = []
    for number in range(count):
        script, audio = maker.make(number)
        heard.append(hear(script, audio, model, policy, UNFITTED)[0])
        report(number + 1, count)
    return heard
