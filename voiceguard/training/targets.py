"""What the model is to say of a clip: from emotions, intensities and listeners' votes.

Anger, distress, arousal and valence are expectations over a distribution of
emotions: what the speaker meant and, where a corpus has votes, what listeners
heard. docs/training.md gives the mapping as a table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voiceguard.training.corpora import EMOTIONS, Clip

OUTPUTS: Final = ("anger", "distress", "arousal", "valence")
"""Outputs of the model, in order."""

INTENT_SHARE: Final = 0.7
"""How far the intended emotion is believed against the listeners' votes."""

PRESSURED: Final = "pressured"
"""In the place of an emotion: anger or distress, nobody said which."""

NOT_PRESSURED: Final = "not_pressured"
"""In the place of an emotion: neither anger nor distress."""

AUXILIARY_WEIGHT: Final = 0.2
"""Weight of a vocal burst against a sentence: informative, but not speech."""


@dataclass(frozen=True, slots=True)
class _Meaning:
    """One emotion on the model's outputs; NaN: it says nothing of that output."""

    anger: float
    distress: float
    arousal: float
    valence: float
    pressure: float | None = None
    """Where it is known although anger or distress is not; None: what those two make of it."""


_UNKNOWN: Final = float("nan")

# Placed on the circumplex of affect (Russell 1980) as acted speech is: hot anger and
# joy high, sadness low. Acted sadness is quiet rather than in tears, so it hardly counts as
# distress; sobs do.
_MEANINGS: Final = {
    "anger": _Meaning(1.0, 0.0, 0.9, 0.1),
    "disgust": _Meaning(0.0, 0.0, 0.45, 0.2),
    "fear": _Meaning(0.0, 1.0, 0.75, 0.2),
    "happiness": _Meaning(0.0, 0.0, 0.7, 0.9),
    "neutral": _Meaning(0.0, 0.0, 0.25, 0.55),
    "sadness": _Meaning(0.0, 0.1, 0.25, 0.2),
    "boredom": _Meaning(0.0, 0.0, 0.1, 0.4),
    "amusement": _Meaning(0.0, 0.0, 0.7, 0.9),
    "contentment": _Meaning(0.0, 0.0, 0.25, 0.8),
    "serenity": _Meaning(0.0, 0.0, 0.15, 0.8),
    "distress": _Meaning(_UNKNOWN, 1.0, 0.75, 0.1),
    "pain": _Meaning(_UNKNOWN, 0.8, 0.75, 0.1),
    "contempt": _Meaning(_UNKNOWN, 0.0, 0.4, 0.2),
    "disappointment": _Meaning(0.0, 0.2, 0.3, 0.2),
    "surprise": _Meaning(0.0, _UNKNOWN, 0.7, 0.6),
    "surprise_negative": _Meaning(_UNKNOWN, _UNKNOWN, 0.7, 0.3),
    "surprise_positive": _Meaning(0.0, 0.0, 0.7, 0.85),
    "calm": _Meaning(0.0, 0.0, 0.15, 0.55),
    PRESSURED: _Meaning(_UNKNOWN, _UNKNOWN, _UNKNOWN, _UNKNOWN, pressure=1.0),
    NOT_PRESSURED: _Meaning(0.0, 0.0, _UNKNOWN, _UNKNOWN),
}
KNOWN_EMOTIONS: Final = tuple(
    sorted(name for name in _MEANINGS if name not in {PRESSURED, NOT_PRESSURED})
)
"""Names of emotions that have a place in the mapping."""

_CRYING: Final = 0.8
"""Distress of sadness in a burst: what people produce are sobs."""

_INTENSITY_SCALE: Final = {"low": 0.75, "medium": 1.0, "high": 1.15}
"""How far arousal and valence lie from neutral, against the unmarked recording."""


@dataclass(frozen=True, slots=True)
class Target:
    """What to learn from a clip."""

    outputs: NDArray[np.float32]
    """Shape (4,), in the order of `OUTPUTS`; NaN where the clip says nothing."""
    emotions: NDArray[np.float32]
    """Shape (6,), a distribution over `EMOTIONS`; all NaN where it is not one of them."""
    weight: float
    pressure: float
    """Whether it is anger or distress, 0 to 1; NaN where the clip does not say.

    Known of some clips of which anger and distress, each alone, are not.
    """

    @property
    def pressure_alone(self) -> float:
        """Return the pressure where nothing is known of anger and distress, else NaN."""
        return self.pressure if bool(np.isnan(self.outputs[:2]).all()) else _UNKNOWN


def target_of(clip: Clip) -> Target | None:
    """Return the target of `clip`, or None when its emotion has no place in the mapping."""
    if clip.emotion not in _MEANINGS:
        return None
    emotions = _emotions(clip)
    meaning = _MEANINGS[clip.emotion]
    outputs = _vector(meaning)
    if clip.vote_counts is not None:
        outputs = np.array([_vector(_MEANINGS[name]) for name in EMOTIONS]).T @ emotions
    outputs[2:] = _spread(outputs[2:], clip.intensity)
    is_burst = clip.corpus == "emogator"
    if is_burst and clip.emotion == "sadness":
        outputs[1] = _CRYING
    weight = AUXILIARY_WEIGHT if is_burst else 1.0
    pressure = _pressure(outputs) if meaning.pressure is None else meaning.pressure
    return Target(outputs.astype(np.float32), emotions.astype(np.float32), weight, pressure)


def _pressure(outputs: NDArray[np.float64]) -> float:
    """Return the share of anger and distress; of one emotion at a time, so the two add up."""
    anger, distress = float(outputs[0]), float(outputs[1])
    if 1.0 in {anger, distress}:
        return 1.0
    return anger + distress


def _emotions(clip: Clip) -> NDArray[np.float64]:
    if clip.emotion not in EMOTIONS:
        return np.full(len(EMOTIONS), np.nan)
    intended = np.array([float(name == clip.emotion) for name in EMOTIONS])
    heard = clip.vote_shares
    if heard is None:
        return intended
    return INTENT_SHARE * intended + (1.0 - INTENT_SHARE) * np.array(heard)


def _vector(meaning: _Meaning) -> NDArray[np.float64]:
    return np.array([meaning.anger, meaning.distress, meaning.arousal, meaning.valence])


def _spread(affect: NDArray[np.float64], intensity: str | None) -> NDArray[np.float64]:
    """Move arousal and valence away from neutral, or toward it, by the marked intensity."""
    neutral = _vector(_MEANINGS["neutral"])[2:]
    scale = _INTENSITY_SCALE.get(intensity or "medium", 1.0)
    return np.clip(neutral + scale * (affect - neutral), 0.0, 1.0)
