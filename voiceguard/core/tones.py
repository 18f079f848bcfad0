"""Keeps call-progress tones, touch tones and hold music away from the model.

WebRTC's detector takes ringback, busy, touch tones and music for speech.  This gate hears each
hop that the detector let through and says whether it is one of them.

Two logistic regressions over `hop_features` and their squares give the log-odds of a tone and of
music against speech; their constants are in `gate_weights`, with the command that fits them.  A
tone shows within one hop.  Music takes evidence from several: a two-state filter (speech, music;
Rabiner 1989, the forward recursion of a hidden Markov model) carries it from hop to hop.

Every hop is decided at once, none waits for a later one: a stressed customer's handoff is never
delayed for music's sake.  The price is paid at the start of music, where some of the first hops
are still scored, and it is small, as an index moves over many hops.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voiceguard.core import gate_weights
from voiceguard.core.sound_features import hop_features

__all__ = ["GateDecision", "GateWeights", "ToneMusicGate", "log_odds"]

_CLIP: Final = 4.0
"""Standard deviations beyond which a feature says no more: strange audio decides nothing."""

TONE_LOG_ODDS: Final = 0.0

# The filter, chosen on the streams that the regressions were fitted on (benchmarks/gate.py).
_EVIDENCE_SHARE: Final = 0.5  # neighbouring hops are alike: each counts for half of one
_CAUTION: Final = 0.5  # log-odds taken off the evidence: shouted speech lost costs more than music
_MOST_EVIDENCE: Final = 4.0  # log-odds one hop may add
_MUSIC_BEGINS: Final = 0.05  # chance that music begins with a hop
_MUSIC_ENDS: Final = 0.02  # chance that it ends with one
_MUSIC_AT_FIRST: Final = 0.02
_SPEECH_LOG_ODDS: Final = -0.5
"""Log-odds of music under which a hop is scored at once, however much music came before."""


@dataclass(frozen=True, slots=True)
class GateDecision:
    """Whether a hop is a tone or music, and how sure the gate is."""

    is_tone_or_music: bool
    """The hop must not be scored."""
    tone_score: float
    """0 to 1, of this hop alone."""
    music_score: float
    """0 to 1, after this hop and those before it."""


@dataclass(frozen=True, slots=True, eq=False)
class GateWeights:
    """Constants of one regression: `bias + linear . z + square . z**2` with standardised z."""

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    linear: NDArray[np.float32]
    square: NDArray[np.float32]
    bias: float

    @classmethod
    def from_rows(cls, rows: tuple[tuple[float, ...], ...], bias: float) -> GateWeights:
        """Return the weights from four rows: mean, scale, linear and square, one a feature."""
        mean, scale, linear, square = np.array(rows, np.float32)
        return cls(mean, scale, linear, square, bias)


def log_odds(features: NDArray[np.float32], weights: GateWeights) -> float:
    """Return the log-odds of the weights' class against speech, for one hop's features."""
    standard = np.clip((features - weights.mean) / weights.scale, -_CLIP, _CLIP)
    return float((weights.linear + weights.square * standard) @ standard) + weights.bias


_TONE: Final = GateWeights.from_rows(gate_weights.TONE_ROWS, gate_weights.TONE_BIAS)
_MUSIC: Final = GateWeights.from_rows(gate_weights.MUSIC_ROWS, gate_weights.MUSIC_BIAS)


def _probability(odds: float) -> float:
    """Return the logistic function, without overflow."""
    return 0.5 * (1.0 + math.tanh(0.5 * odds))


class ToneMusicGate:
    """Judges the hops of one channel in order; carries the evidence for music."""

    def __init__(self) -> None:
        self._music = _MUSIC_AT_FIRST

    def receive_hop(self, samples: NDArray[np.int16]) -> GateDecision:
        """Return the decision on the next hop of speech, at once.

        Args:
            samples: shape (HOP_SAMPLES,), 8 kHz.

        """
        features = hop_features(samples)
        tone = log_odds(features, _TONE)
        music = log_odds(features, _MUSIC)
        self._music = self._music_after(music)
        is_music = self._music > 0.5 and music > _SPEECH_LOG_ODDS
        return GateDecision(
            is_tone_or_music=tone > TONE_LOG_ODDS or is_music,
            tone_score=_probability(tone),
            music_score=self._music,
        )

    def _music_after(self, evidence: float) -> float:
        """Return the probability of music after a hop: predict, then weigh the evidence."""
        predicted = self._music * (1.0 - _MUSIC_ENDS) + (1.0 - self._music) * _MUSIC_BEGINS
        weighed = max(-_MOST_EVIDENCE, min(_MOST_EVIDENCE, _EVIDENCE_SHARE * (evidence - _CAUTION)))
        return _probability(math.log(predicted / (1.0 - predicted)) + weighed)
