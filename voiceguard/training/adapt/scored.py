"""What a model says of labelled clips, side by side with their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voiceguard.training.adapt.recordings import PRESSURED_FROM, HeardClip
from voiceguard.training.calibrate import Calibration, clip_logits, log_odds, sigmoid
from voiceguard.training.targets import OUTPUTS

INDEXED: Final = OUTPUTS[:2]
"""The outputs that the pressure index is made of: anger and distress."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Clips, in columns; row n of each is clip n."""

    speakers: NDArray[np.str_]
    """(clips,)."""
    targets: NDArray[np.float64]
    """(clips, 2): anger and distress, 0 to 1; NaN where a label does not say."""
    pressure: NDArray[np.float64]
    """(clips,): anger or distress, 0 to 1; NaN likewise."""
    hop_scores: tuple[NDArray[np.float64], ...]
    """Of each clip (k, outputs), in the order of `OUTPUTS`, 0 to 1."""
    hop_levels_db: tuple[NDArray[np.float64], ...]
    """Of each clip (k,), relative to full scale."""
    window_hops: int
    """Hops that fill the model's window."""

    @classmethod
    def of(
        cls,
        heard: Sequence[HeardClip],
        scores: Sequence[NDArray[np.float32]],
        window_hops: int,
    ) -> Scored:
        """Return clips with their scores, of each (k, outputs)."""
        return cls(
            speakers=np.array([one.clip.speaker for one in heard]),
            targets=np.array([one.target.outputs[:2] for one in heard], np.float64),
            pressure=np.array([one.target.pressure for one in heard], np.float64),
            hop_scores=tuple(of_clip.astype(np.float64) for of_clip in scores),
            hop_levels_db=tuple(one.levels_db for one in heard),
            window_hops=window_hops,
        )

    def subset(self, chosen: NDArray[np.bool_]) -> Scored:
        """Return the clips where `chosen`, (clips,), is true."""
        rows = np.flatnonzero(chosen)
        return Scored(
            self.speakers[rows],
            self.targets[rows],
            self.pressure[rows],
            tuple(self.hop_scores[row] for row in rows),
            tuple(self.hop_levels_db[row] for row in rows),
            self.window_hops,
        )

    def recalibrated(self, calibration: Calibration) -> Scored:
        """Return the same clips with scores scaled and shifted in log-odds.

        Args:
            calibration: of anger and distress, on top of the calibration they have.
        """
        others = len(OUTPUTS) - len(INDEXED)
        scale = np.array([*calibration.scale, *[1.0] * others])
        shift = np.array([*calibration.shift, *[0.0] * others])
        scores = tuple(sigmoid(scale * log_odds(hops) + shift) for hops in self.hop_scores)
        return replace(self, hop_scores=scores)

    @property
    def is_pressured(self) -> NDArray[np.bool_]:
        """Return where clips are known to be anger or distress, (clips,)."""
        return self.pressure >= PRESSURED_FROM

    @property
    def is_calm(self) -> NDArray[np.bool_]:
        """Return where clips are known to be neither, (clips,)."""
        return self.pressure < PRESSURED_FROM

    def logits(self) -> NDArray[np.float64]:
        """Return the log-odds of anger and distress of each clip, (clips, 2)."""
        indexed = (log_odds(hops[:, : len(INDEXED)]) for hops in self.hop_scores)
        return np.array([clip_logits(hops, self.window_hops) for hops in indexed])
