"""A call's script as two channels of audio: the customer as the line carries them, the agent."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from voiceguard.core.units import FULL_SCALE
from voiceguard.training.augment import Line, through_g711
from voiceguard.training.calls.script import CallScript, PlacedSound, Samples

_FLOOR_DBFS: Final = (-78.0, -60.0)
"""Range of the customer's room noise, which fills the gaps between clips."""


def render(script: CallScript, line: Line, rng: np.random.Generator) -> NDArray[np.int16]:
    """Return the call, shape (samples, 2), 8 kHz: the customer first, then the agent.

    Music and ringback come from the network: they are not carried by the
    customer's room and microphone.
    """
    agent = np.zeros(script.length_samples, np.float32)
    for prompt in script.prompts:
        _add(agent, prompt, 1.0)
    customer = _spoken(script, rng)
    if script.echo_db is not None:
        customer += 10 ** (script.echo_db / 20) * agent
    customer = line.carry(customer, [])
    for sound in script.line_sounds:
        end = sound.start_sample + len(sound.samples)
        customer[sound.start_sample : end] = 0.0
        _add(customer, sound, 0.5)
    channels = np.stack([through_g711(customer), through_g711(agent)], axis=1)
    return np.round(channels * FULL_SCALE).astype(np.int16)


def _spoken(script: CallScript, rng: np.random.Generator) -> Samples:
    floor = 10 ** (rng.uniform(*_FLOOR_DBFS) / 20)
    track = (floor * rng.standard_normal(script.length_samples)).astype(np.float32)
    for clip in script.spoken:
        speech = np.asarray(clip.recording.samples / FULL_SCALE, np.float32)
        _add(track, PlacedSound(clip.start_sample, speech), 10 ** (clip.gain_db / 20))
    return track


def _add(track: Samples, sound: PlacedSound, gain: float) -> None:
    """Add `sound` in its place, cut at the end of the track."""
    room = track[sound.start_sample : sound.start_sample + len(sound.samples)]
    room += np.float32(gain) * sound.samples[: len(room)]
