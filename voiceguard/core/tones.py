"""Keeps call-progress tones, touch tones and hold music away from the model.

WebRTC's detector takes ringback, busy, touch tones and music for speech.  This gate hears each
hop that the detector let through and says whether it is one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["GateDecision", "ToneMusicGate"]


@dataclass(frozen=True, slots=True)
class GateDecision:
    """Whether a hop is a tone or music, and how sure the gate is."""

    is_tone_or_music: bool
    """The hop must not be scored."""
    tone_score: float
    """0 to 1."""
    music_score: float
    """0 to 1."""


class ToneMusicGate:
    """Judges the hops of one channel in order; keeps the last seconds' evidence for music."""

    def receive_hop(
        self,
        samples: NDArray[np.int16],
        contiguous: bool,  # noqa: FBT001 - the gatherer's own word on the hop
    ) -> GateDecision:
        """Return the decision on the next hop, at once: no hop waits for a later one.

        Args:
            samples: shape (HOP_SAMPLES,), 8 kHz.
            contiguous: no frame was left out since the end of the hop before.

        """
        _ = samples, contiguous
        return GateDecision(is_tone_or_music=False, tone_score=0.0, music_score=0.0)
