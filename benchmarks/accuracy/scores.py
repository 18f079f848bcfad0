"""What a model said of the clips of a corpus, by line condition, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from voiceguard.training.calibrate import sigmoid
from voiceguard.training.corpora import EMOTIONS, Clip
from voiceguard.training.targets import OUTPUTS

CLEAN: Final = "clean"
"""Name of the condition that all others are compared with: G.711 mu-law and nothing else."""

NO_SPEECH_LOG_ODDS: Final = -20.0
"""Score of a clip in which the engine found no speech: none of anything."""

NO_SPEECH_LEVEL_DB: Final = -100.0

_FIGURES: Final = len(OUTPUTS) + len(EMOTIONS) + 5


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """Clips after one line condition; row i of everything is clip i.

    Attributes:
        log_odds: of anger, distress, arousal, valence, (clips, 4): means over a clip's hops.
        emotion_logits: of the six `EMOTIONS`, (clips, 6); NaN without an emotions head.
        level_db: mean power of the speech, in dB relative to full scale, (clips,).
        evidence: of pressure, 0 to 1, as the index has it of an unknown speaker, (clips,).
        has_speech: whether the engine found any, (clips,).
        is_clipped: whether the clip reached full scale, and so may have lost its peaks, (clips,).
        gain_shift: how far anger or distress moves at most, 0 to 1, when the model has the same
            speech at another level, (clips,); NaN where it was not tried.

    """

    log_odds: NDArray[np.float64]
    emotion_logits: NDArray[np.float64]
    level_db: NDArray[np.float64]
    evidence: NDArray[np.float64]
    has_speech: NDArray[np.bool_]
    is_clipped: NDArray[np.bool_]
    gain_shift: NDArray[np.float64]

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Calibrated outputs, 0 to 1, (clips, 4)."""
        return sigmoid(self.log_odds)

    @property
    def pressure(self) -> NDArray[np.float64]:
        """Probability of anger or distress, as the pressure index joins them, (clips,)."""
        anger, distress = self.probabilities[:, 0], self.probabilities[:, 1]
        return np.asarray(1.0 - (1.0 - anger) * (1.0 - distress))

    @property
    def has_emotions(self) -> bool:
        """Whether the six emotions were told apart."""
        return len(self.emotion_logits) > 0 and not bool(np.isnan(self.emotion_logits).any())

    def as_matrix(self) -> NDArray[np.float64]:
        """Return everything as one array, (clips, columns), to send or to keep."""
        last = [self.level_db, self.evidence, self.has_speech, self.is_clipped, self.gain_shift]
        columns = [np.asarray(each, np.float64)[:, None] for each in last]
        return np.concatenate([self.log_odds, self.emotion_logits, *columns], axis=1)

    @classmethod
    def from_matrix(cls, matrix: NDArray[np.float64]) -> Self:
        """Return what `as_matrix` gave; a matrix of another width is a ValueError."""
        if matrix.ndim != 2 or matrix.shape[1] != _FIGURES:
            raise ValueError(f"scores have the shape {matrix.shape}, not (clips, {_FIGURES})")
        outputs, emotions = len(OUTPUTS), len(OUTPUTS) + len(EMOTIONS)
        level_db, evidence, has_speech, is_clipped, gain_shift = matrix[:, emotions:].T
        return cls(
            matrix[:, :outputs],
            matrix[:, outputs:emotions],
            level_db,
            evidence,
            has_speech > 0.5,
            is_clipped > 0.5,
            gain_shift,
        )

    @classmethod
    def joined(cls, parts: Sequence[Heard]) -> Self:
        """Return the clips of all parts, one after the other."""
        return cls.from_matrix(np.concatenate([part.as_matrix() for part in parts]))


@dataclass(frozen=True, slots=True, eq=False)
class ScoredCorpus:
    """A corpus with its scores; `by_condition` always has `CLEAN`."""

    name: str
    clips: Sequence[Clip]
    by_condition: Mapping[str, Heard]

    @classmethod
    def of_parts(
        cls, name: str, clips: Sequence[Clip], parts: Sequence[Mapping[str, Heard]]
    ) -> Self:
        """Return the corpus whose clips are those of all parts, in order."""
        conditions = parts[0]
        return cls(
            name,
            clips,
            {each: Heard.joined([part[each] for part in parts]) for each in conditions},
        )

    @property
    def clean(self) -> Heard:
        """Scores over clean G.711."""
        return self.by_condition[CLEAN]

    @property
    def speakers(self) -> NDArray[np.str_]:
        """Of each clip, (clips,)."""
        return np.array([clip.speaker for clip in self.clips])

    @property
    def emotions(self) -> NDArray[np.str_]:
        """What the speaker meant, (clips,)."""
        return np.array([clip.emotion for clip in self.clips])

    @property
    def votes(self) -> NDArray[np.float64] | None:
        """Shares of votes on the sound alone, (clips, 6); None unless every clip has them."""
        votes = [clip.vote_shares for clip in self.clips if clip.vote_shares is not None]
        return np.array(votes) if self.clips and len(votes) == len(self.clips) else None
