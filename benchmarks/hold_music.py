"""Hold music and call-progress tones, made from a seed.

There is little freely licensed hold music to learn from, and a gate fitted to a few loops knows
those loops.  These pieces vary in key, tuning, tempo, chords, instruments and arrangement, and
come in two sets of instruments, so that a gate can be fitted on one and tested on the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float64]

__all__ = ["FIT_STYLES", "TEST_STYLES", "TONES", "hold_music", "tone"]

RATE_HZ: Final = 8000

_PROGRESSIONS: Final = (
    (0, 5, 7, 0), (0, 9, 5, 7), (0, 7, 9, 5), (9, 5, 0, 7), (2, 7, 0, 9), (0, 4, 5, 5),
)  # fmt: skip
_SCALE: Final = (0, 2, 4, 5, 7, 9, 11)


def _times(seconds: float) -> Signal:
    return np.arange(round(seconds * RATE_HZ)) / RATE_HZ


def _partials(
    pitch_hz: float, seconds: float, strengths: Signal, *, stretch: float = 0.0, phase: Signal
) -> Signal:
    """Return a sum of partials below 3.8 kHz; `stretch` is a string's inharmonicity."""
    times = _times(seconds)
    numbers = np.arange(1, len(strengths) + 1)
    frequencies = pitch_hz * numbers * np.sqrt(1.0 + stretch * numbers**2)
    heard = frequencies < 3800.0
    arguments = (
        2.0 * np.pi * frequencies[heard, None] * times + phase[: len(strengths)][heard, None]
    )
    return np.asarray(strengths[heard] @ np.sin(arguments))


def _fade(signal: Signal, attack_s: float, release_s: float) -> Signal:
    """Return the note with a linear attack and release, so that it starts without a click."""
    envelope = np.ones(len(signal))
    for length_s, edge in ((attack_s, slice(None)), (release_s, slice(None, None, -1))):
        samples = min(len(signal), round(length_s * RATE_HZ))
        envelope[edge][:samples] *= np.linspace(0.0, 1.0, samples)
    return signal * envelope


def _struck(rng: np.random.Generator, pitch_hz: float, seconds: float) -> Signal:
    """Piano-like: stretched partials that decay, the high ones faster."""
    numbers = np.arange(1, 13)
    times = _times(seconds)
    rate = rng.uniform(1.0, 4.0)
    note = np.zeros(len(times))
    for number in numbers:
        strength = np.array([0.0] * (number - 1) + [number**-1.3])
        partial = _partials(
            pitch_hz, seconds, strength, stretch=4e-4, phase=rng.uniform(0, 6.28, 13)
        )
        note += partial * np.exp(-times * rate * (1 + 0.3 * number))
    return _fade(note, 0.004, 0.02)


def _bell(rng: np.random.Generator, pitch_hz: float, seconds: float) -> Signal:
    """Vibraphone-like: few, widely spaced partials, a slow tremolo."""
    times = _times(seconds)
    note = np.zeros(len(times))
    for ratio, strength, rate in ((1.0, 1.0, 1.5), (3.93, 0.4, 4.0), (9.2, 0.1, 9.0)):
        if ratio * pitch_hz < 3800.0:
            note += strength * np.sin(2 * np.pi * ratio * pitch_hz * times) * np.exp(-rate * times)
    tremolo = 1.0 + 0.3 * np.sin(2 * np.pi * rng.uniform(3.0, 7.0) * times)
    return _fade(note * tremolo, 0.003, 0.03)


def _plucked(rng: np.random.Generator, pitch_hz: float, seconds: float) -> Signal:
    """Guitar-like: Karplus and Strong's string, run on whole periods at a time."""
    period = max(2, round(RATE_HZ / pitch_hz))
    string = rng.uniform(-1.0, 1.0, period)
    laps = []
    for _ in range(int(seconds * RATE_HZ / period) + 1):
        laps.append(string)
        string = 0.498 * (string + np.roll(string, 1))
    return _fade(np.concatenate(laps)[: round(seconds * RATE_HZ)], 0.001, 0.02)


def _held(
    rng: np.random.Generator,
    pitch_hz: float,
    seconds: float,
    *,
    slope: float,
    vibrato: tuple[float, float],
    attack_s: float,
) -> Signal:
    """Return a sustained note: harmonics falling by ``n**-slope``, with vibrato."""
    times = _times(seconds)
    depth = rng.uniform(*vibrato)
    bend = depth * np.sin(2 * np.pi * rng.uniform(4.5, 6.5) * times + rng.uniform(0, 6.28))
    phase = 2 * np.pi * pitch_hz * np.cumsum(1.0 + bend) / RATE_HZ
    note = np.zeros(len(times))
    for number in range(1, min(20, int(3700.0 / pitch_hz)) + 1):
        note += number**-slope * np.sin(number * phase + rng.uniform(0, 6.28))
    return _fade(note, attack_s, 0.05)


def _organ(rng: np.random.Generator, pitch_hz: float, seconds: float) -> Signal:
    return _held(rng, pitch_hz, seconds, slope=0.9, vibrato=(0.0, 0.001), attack_s=0.02)


def _strings(rng: np.random.Generator, pitch_hz: float, seconds: float) -> Signal:
    """Three players, slightly apart."""
    players = (pitch_hz * (1.0 + rng.normal(0, 0.002)) for _ in range(3))
    return sum(
        (_held(rng, p, seconds, slope=1.2, vibrato=(0.002, 0.006), attack_s=0.12) for p in players),
        start=np.zeros(round(seconds * RATE_HZ)),
    )


def _flute(rng: np.random.Generator, pitch_hz: float, seconds: float) -> Signal:
    note = _held(rng, pitch_hz, seconds, slope=2.2, vibrato=(0.003, 0.008), attack_s=0.06)
    return note + 0.02 * rng.normal(size=len(note))


def _brass(rng: np.random.Generator, pitch_hz: float, seconds: float) -> Signal:
    return _held(rng, pitch_hz, seconds, slope=0.7, vibrato=(0.0, 0.005), attack_s=0.05)


def _sung(rng: np.random.Generator, pitch_hz: float, seconds: float) -> Signal:
    """A wordless singer: a held note with two formants and a strong vibrato."""
    times = _times(seconds)
    bend = rng.uniform(0.006, 0.015) * np.sin(2 * np.pi * rng.uniform(5, 6) * times)
    phase = 2 * np.pi * pitch_hz * np.cumsum(1.0 + bend) / RATE_HZ
    formants = rng.permutation(np.array([(700, 1200), (400, 2000), (450, 900)]))[0]
    note = np.zeros(len(times))
    for number in range(1, int(3600.0 / pitch_hz) + 1):
        frequency = number * pitch_hz
        strength = sum(np.exp(-(((frequency - f) / 180.0) ** 2)) for f in formants) + 0.03
        note += strength * np.sin(number * phase)
    return _fade(note, 0.06, 0.06)


def _drums(rng: np.random.Generator, beat_s: float, beats: int) -> Signal:
    """Kick, snare and hi-hat, two steps a beat."""
    out = np.zeros(round(beats * beat_s * RATE_HZ) + RATE_HZ)
    pattern = rng.random((3, 8)) < np.array([[0.3], [0.15], [0.8]])
    pattern[0, 0] = pattern[1, 2] = pattern[1, 6] = True
    for step in range(beats * 2):
        at = round(step * beat_s / 2 * RATE_HZ)
        times = _times(0.25)
        kick = np.sin(2 * np.pi * (50 * times + 4 * (1 - np.exp(-30 * times)))) * np.exp(
            -14 * times
        )
        noise = rng.normal(size=len(times))
        snare = (0.6 * noise + np.sin(2 * np.pi * 190 * times)) * np.exp(-22 * times)
        hat = np.diff(noise, prepend=0.0) * np.exp(-60 * times)
        for hit, strength, drum in zip(
            pattern[:, step % 8], (1.0, 0.7, 0.25), (kick, snare, hat), strict=True
        ):
            if hit:
                out[at : at + len(times)] += strength * rng.uniform(0.7, 1.0) * drum
    return out[: round(beats * beat_s * RATE_HZ)]


_INSTRUMENTS: Final[dict[str, Callable[[np.random.Generator, float, float], Signal]]] = {
    "piano": _struck, "bell": _bell, "guitar": _plucked, "organ": _organ,
    "strings": _strings, "flute": _flute, "brass": _brass, "sung": _sung,
}  # fmt: skip

# style: (chord instrument, lead instrument, drums, bass)
_STYLES: Final[dict[str, tuple[str | None, str | None, bool, bool]]] = {
    "piano-solo": ("piano", "piano", False, False),
    "pad": ("strings", None, False, False),
    "organ-tune": ("organ", "organ", False, False),
    "flute-alone": (None, "flute", False, False),
    "piano-band": ("piano", "flute", True, True),
    "strings-piano": ("strings", "piano", False, True),
    "song": ("piano", "sung", True, True),
    "drums-bass": (None, None, True, True),
    "guitar-solo": ("guitar", "guitar", False, False),
    "brass-band": ("brass", "brass", True, True),
    "bells": ("bell", "bell", False, False),
    "brass-alone": (None, "brass", False, False),
    "guitar-strings": ("guitar", "strings", False, True),
    "guitar-song": ("guitar", "sung", False, False),
    "organ-drums": ("organ", None, True, True),
}
FIT_STYLES: Final = tuple(list(_STYLES)[:8])
TEST_STYLES: Final = tuple(list(_STYLES)[8:])


def _add(out: Signal, at_s: float, note: Signal, strength: float) -> None:
    start = round(at_s * RATE_HZ)
    stop = min(len(out), start + len(note))
    if stop > start:
        out[start:stop] += strength * note[: stop - start]


def hold_music(rng: np.random.Generator, style: str, seconds: float) -> Signal:
    """Return a piece, shape (seconds * 8000,), its peak at 1."""
    chords, lead, drums, bass = _STYLES[style]
    beat_s = 60.0 / rng.uniform(60.0, 140.0)
    root_hz = 440.0 * 2 ** ((rng.integers(-26, -14) + rng.normal(0, 0.15)) / 12)
    progression = _PROGRESSIONS[rng.integers(len(_PROGRESSIONS))]
    beats = int(seconds / beat_s) + 1
    out = np.zeros(round(seconds * RATE_HZ))
    arpeggio = bool(rng.integers(2))
    chord_beats = int(rng.choice([2, 4]))
    for beat in range(beats):
        chord = progression[(beat // chord_beats) % len(progression)]
        third = 3 if chord in (2, 4, 9) else 4
        tones = [chord + 12, chord + 12 + third, chord + 19, chord + 24]
        at_s = beat * beat_s
        if chords and arpeggio:
            for step, semitone in enumerate(rng.permutation(tones)[:2]):
                note = _INSTRUMENTS[chords](rng, root_hz * 2 ** (semitone / 12), beat_s * 1.2)
                _add(out, at_s + step * beat_s / 2, note, 0.5)
        elif chords and beat % chord_beats == 0:
            for semitone in tones[:3]:
                pitch_hz = root_hz * 2 ** (semitone / 12)
                _add(out, at_s, _INSTRUMENTS[chords](rng, pitch_hz, beat_s * chord_beats), 0.35)
        if bass and beat % 2 == 0:
            note = _struck(rng, root_hz * 2 ** (chord / 12), beat_s * 1.8)
            _add(out, at_s, note, 0.8)
        if lead and rng.random() < 0.85:
            degree = int(rng.integers(len(_SCALE)))
            pitch_hz = root_hz * 2 ** ((_SCALE[degree] + 24) / 12)
            length = float(rng.choice([0.5, 1.0, 1.0, 2.0]))
            _add(out, at_s, _INSTRUMENTS[lead](rng, pitch_hz, beat_s * length), 0.6)
    if drums:
        _add(out, 0.0, _drums(rng, beat_s, beats), rng.uniform(0.5, 1.2))
    return out / max(1e-9, float(np.abs(out).max()))


# name: (frequencies, seconds on, seconds off); several entries sound one after another.
# Frequencies and cadences: ITU-T E.180 and its supplement 2 (tones by country), Q.23 (DTMF).
TONES: Final[dict[str, tuple[tuple[tuple[float, ...], float, float], ...]]] = {
    "dial-us": (((350, 440), 8.0, 0.0),),
    "dial-eu": (((425,), 8.0, 0.0),),
    "dial-uk": (((350, 450), 8.0, 0.0),),
    "ringback-us": (((440, 480), 2.0, 4.0),),
    "ringback-eu": (((425,), 1.0, 4.0),),
    "ringback-uk": (((400, 450), 0.4, 0.2), ((400, 450), 0.4, 2.0)),
    "ringback-cn": (((450,), 1.0, 4.0),),
    "busy-us": (((480, 620), 0.5, 0.5),),
    "busy-eu": (((425,), 0.5, 0.5),),
    "busy-cn": (((450,), 0.35, 0.35),),
    "reorder-us": (((480, 620), 0.25, 0.25),),
    "sit": (((950,), 0.33, 0.0), ((1400,), 0.33, 0.0), ((1800,), 0.33, 1.0)),
    "call-waiting-us": (((440,), 0.3, 2.0),),
    "record-beep": (((1400,), 0.5, 1.0),),
    "voicemail-beep": (((1000,), 0.8, 2.0),),
    "fax-cng": (((1100,), 0.5, 3.0),),
    "answer-2100": (((2100,), 3.3, 0.5),),
    "off-hook": (((1400, 2060, 2450, 2600), 0.1, 0.1),),
    "v21-modem": (((1650,), 0.05, 0.0), ((1850,), 0.03, 0.0)),
    **{
        f"dtmf-{digit}": (((row, column), 0.2, 0.1),)
        for row, digits in zip((697, 770, 852, 941), ("123A", "456B", "789C", "*0#D"), strict=True)
        for column, digit in zip((1209, 1336, 1477, 1633), digits, strict=True)
    },
}


def tone(rng: np.random.Generator, name: str, seconds: float) -> Signal:
    """Return a call-progress tone with its cadence, its peak at 1, some twist between tones."""
    parts = []
    length = 0.0
    while length < seconds:
        for frequencies, on_s, off_s in TONES[name]:
            times = _times(on_s)
            on = np.zeros(len(times))
            for frequency in frequencies:
                on += 10 ** (rng.uniform(-3, 3) / 20) * np.sin(2 * np.pi * frequency * times)
            parts += [_fade(on, 0.002, 0.002), np.zeros(round(off_s * RATE_HZ))]
            length += on_s + off_s
    out = np.concatenate(parts)[: round(seconds * RATE_HZ)]
    return out / float(np.abs(out).max())
