"""Packets that do not arrive, and what receivers put in their place.

Packets are 20 ms (RFC 3551). Which are lost is an array of bool, one for each whole
packet; a rest that fills no packet always arrives.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voiceguard.core.units import FRAME_SAMPLES, SAMPLE_RATE_HZ
from voiceguard.training.lines.codecs import Samples

Lost = NDArray[np.bool_]

# ITU-T G.711 Appendix I (09/99): pitch of 66 to 200 Hz found over 20 ms, full level for 10 ms,
# then 20 % less every 10 ms, and an overlap of up to 10 ms with what arrives again.
_SHORTEST_PITCH: Final = 40
_LONGEST_PITCH: Final = 120
_TEMPLATE: Final = 160
_STEP: Final = SAMPLE_RATE_HZ // 100
_FADE_PER_STEP: Final = 0.2
_OVERLAP_PER_STEP: Final = 32
_HISTORY: Final = _TEMPLATE + _LONGEST_PITCH
_REPEATED_GAIN: Final = 0.8
_QUIET: Final = 1e-9


def packets_in(samples: Samples) -> int:
    """Return the number of whole packets."""
    return len(samples) // FRAME_SAMPLES


def lost_singly(packets: int, rng: np.random.Generator, rate: float) -> Lost:
    """Lose each packet with probability `rate`, whatever happens to the others."""
    return np.asarray(rng.random(packets) < rate)


def lost_in_bursts(
    packets: int, rng: np.random.Generator, rate: float, mean_burst_packets: float
) -> Lost:
    """Lose a share of `rate` in bursts, by the Gilbert-Elliott chain.

    All packets are lost in the bad state and none in the good one (E. N. Gilbert,
    "Capacity of a burst-noise channel", 1960; E. O. Elliott, 1963). A burst lasts
    `mean_burst_packets` on average; the chain starts in its stationary distribution.
    """
    to_good = 1.0 / mean_burst_packets
    to_bad = to_good * rate / (1.0 - rate)
    draws = rng.random(packets + 1)
    lost = np.zeros(packets, np.bool_)
    bad = bool(draws[0] < rate)
    for packet in range(packets):
        lost[packet] = bad
        bad = bool(draws[packet + 1] >= to_good if bad else draws[packet + 1] < to_bad)
    return lost


def silenced(samples: Samples, lost: Lost) -> Samples:
    """Put silence in the place of lost packets."""
    out = samples.copy()
    framed = out[: len(lost) * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    framed[lost] = 0.0
    return out


def repeated(samples: Samples, lost: Lost) -> Samples:
    """Put the packet before, at 0.8 of its level, in the place of each lost one."""
    out = silenced(samples, lost)
    framed = out[: len(lost) * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    for packet in np.flatnonzero(lost[1:]) + 1:
        framed[packet] = _REPEATED_GAIN * framed[packet - 1]
    return out


def concealed(samples: Samples, lost: Lost) -> Samples:
    """Put the last pitch period, repeated and fading, in the place of lost packets.

    The waveform substitution of ITU-T G.711 Appendix I with one period instead of up to
    three. Silence where too little has arrived before.
    """
    out = silenced(samples, lost)
    for start, stop in _runs(lost):
        if start >= _HISTORY:
            _bridge(out, start, stop)
    return out


def _runs(lost: Lost) -> Iterator[tuple[int, int]]:
    """Yield first and last sample (exclusive) of each run of lost packets."""
    edges = np.flatnonzero(np.diff(lost.astype(np.int8), prepend=0, append=0))
    for first, last in edges.reshape(-1, 2) * FRAME_SAMPLES:
        yield int(first), int(last)


def _bridge(out: Samples, start: int, stop: int) -> None:
    """Fill `out[start:stop]` and smooth both of its ends, in place."""
    pitch = _pitch_samples(out[start - _HISTORY : start])
    quarter = pitch // 4
    period = out[start - pitch : start].copy()
    before = out[start - pitch - quarter : start - pitch]
    rising = np.arange(1, quarter + 1, dtype=np.float32) / quarter
    period[-quarter:] += rising * (before - period[-quarter:])
    # The Appendix delays its output so that it can still mend what came before the loss.
    out[start - quarter : start] = period[-quarter:]
    steps = (stop - start) // _STEP
    overlap = min(quarter + _OVERLAP_PER_STEP * (steps - 1), _STEP, len(out) - stop)
    filling = np.resize(period, stop - start + overlap)
    filling *= _fade(len(filling))
    out[start:stop] = filling[: stop - start]
    weight = np.arange(1, overlap + 1, dtype=np.float32) / (overlap + 1)
    out[stop : stop + overlap] *= weight
    out[stop : stop + overlap] += (1.0 - weight) * filling[stop - start :]


def _fade(length: int) -> Samples:
    """Return the gain from the start of a loss on."""
    steps = np.arange(length, dtype=np.float32) / _STEP
    return np.asarray(np.clip(1.0 - _FADE_PER_STEP * (steps - 1.0), 0.0, 1.0), np.float32)


def _pitch_samples(history: Samples) -> int:
    """Return the lag at which the last 20 ms are most like what came before them."""
    template = history[-_TEMPLATE:]
    earlier = history[: len(history) - _SHORTEST_PITCH]
    products = np.correlate(earlier, template, "valid")
    summed = np.concatenate([[0.0], np.cumsum(earlier.astype(np.float64) ** 2)])
    energies = summed[_TEMPLATE:] - summed[:-_TEMPLATE]
    likeness = products / np.sqrt(np.maximum(energies, _QUIET))
    return _LONGEST_PITCH - int(np.argmax(likeness))
