"""What the shipped model, index and default policy make of real (acted) speech.

The speakers were kept out of training. Two clips of a kind prove nothing about
accuracy; they show that the whole chain goes the right way.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from voiceguard.core.events import (
    AlertChanged,
    AlertLevel,
    AudioFormat,
    Encoding,
    Event,
    HandoffReason,
    HandoffRequested,
    PressureUpdated,
    Role,
)
from voiceguard.core.policy import Policy
from voiceguard.core.pressure import EvidenceWeights
from voiceguard.engine.local import LocalCall
from voiceguard.engine.model import StressModel
from voiceguard.resources import models_dir, policies_dir

CLIPS = Path(__file__).parents[1] / "data" / "speech" / "crema-d"
CUSTOMER = AudioFormat(Encoding.LINEAR16, 8000, (Role.CUSTOMER,))
SPEAKERS = ("1012", "1064")
PAUSE = np.random.default_rng(0).normal(0, 6, 4000).astype(np.int16)
MODEL = StressModel.load(models_dir() / "stress")
POLICY = Policy.from_toml((policies_dir() / "default.toml").read_bytes(), "default.toml")


def clip(speaker: str, emotion: str, gain_db: float = 0.0) -> NDArray[np.int16]:
    """Return a clip, brought to the level of a telephone line, and a pause."""
    samples, _ = soundfile.read(CLIPS / f"{speaker}_IEO_{emotion}.flac", dtype="float64")
    level = np.sqrt(np.mean(np.square(samples)))
    wave = samples / level * 10 ** ((-26 + gain_db) / 20) * 32768
    return np.concatenate((np.clip(wave, -32768, 32767).astype(np.int16), PAUSE))


def resampled(wave: NDArray[np.int16], factor: float) -> NDArray[np.int16]:
    """Return speech that is `factor` times as fast and as high."""
    moved = soxr.resample(wave, 8000 * factor, 8000)
    return np.asarray(moved, np.int16)


def listen(*clips: NDArray[np.int16]) -> list[Event]:
    """Return what is said of a call made of these clips."""
    weights = EvidenceWeights.from_mapping(MODEL.manifest.pressure)
    call = LocalCall(POLICY, CUSTOMER, model=MODEL, weights=weights)
    return list(call.events([np.concatenate(clips).tobytes()]))


def peak(events: list[Event]) -> float:
    """Return the highest index."""
    return max(event.pressure_index for event in events if isinstance(event, PressureUpdated))


def handoffs(events: list[Event]) -> list[HandoffRequested]:
    """Return the handoffs."""
    return [event for event in events if isinstance(event, HandoffRequested)]


def test_four_angry_phrases_after_calm_talk_are_enough() -> None:
    # Of speaker 1064 they are not: the gate takes part of that one shout, repeated, for music
    # (docs/signal.md), and it takes the six of the next test.
    calm = [clip("1012", "NEU_XX")] * 6
    (handoff,) = handoffs(listen(*calm, *[clip("1012", "ANG_HI")] * 4))
    assert handoff.reason is HandoffReason.ANGER
    assert handoff.at_sample > sum(map(len, calm))


@pytest.mark.parametrize("speaker", SPEAKERS)
def test_calm_then_angry_asks_for_a_human_within_10_s_of_speech_because_of_anger(
    speaker: str,
) -> None:
    calm = [clip(speaker, "NEU_XX")] * 6
    # One phrase said again and again can be taken for music; so each time a little otherwise.
    paces = (1.0, 1.04, 0.97, 1.02, 0.95, 1.06)
    events = listen(*calm, *[resampled(clip(speaker, "ANG_HI"), pace) for pace in paces])
    (handoff,) = handoffs(events)
    onset = sum(map(len, calm))
    assert handoff.reason is HandoffReason.ANGER
    assert handoff.at_sample > onset
    heard = [
        event
        for event in events
        if isinstance(event, PressureUpdated)
        and event.scores
        and onset < event.end_sample <= handoff.at_sample
    ]
    assert len(heard) * 0.5 <= 10.0


@pytest.mark.parametrize("speaker", SPEAKERS)
def test_fear_raises_the_index_above_calm_by_distress(speaker: str) -> None:
    calm, afraid = [clip(speaker, "NEU_XX")] * 6, [clip(speaker, "FEA_HI")] * 4
    events = listen(*calm, *afraid)
    assert peak(events) > peak(listen(*calm)) + 5
    last = [event for event in events if isinstance(event, PressureUpdated) and event.scores][-4:]
    assert np.mean([e.scores["distress"] for e in last]) > np.mean(
        [e.scores["anger"] for e in last]
    )


@pytest.mark.parametrize("speaker", SPEAKERS)
@pytest.mark.parametrize("emotion", ["NEU_XX", "SAD_LO", "HAP_HI"])
def test_calm_sad_and_cheerful_talk_asks_for_nobody(speaker: str, emotion: str) -> None:
    assert not handoffs(listen(*[clip(speaker, "NEU_XX")] * 6, *[clip(speaker, emotion)] * 4))


@pytest.mark.parametrize("speaker", SPEAKERS)
def test_a_calm_voice_that_gets_12_db_louder_stays_green(speaker: str) -> None:
    calm = [clip(speaker, "NEU_XX")] * 6
    louder = [clip(speaker, "NEU_XX", gain_db=12)] * 6
    events = listen(*calm, *louder)
    assert not [event for event in events if isinstance(event, AlertChanged)]
    assert peak(events) < POLICY.alerts[AlertLevel.YELLOW].raise_threshold


@pytest.mark.parametrize("gain_db", [-12, 6])
def test_the_level_of_the_whole_line_changes_no_decision(gain_db: float) -> None:
    clips = ["NEU_XX"] * 6 + ["ANG_HI"] * 4
    (quiet,) = handoffs(listen(*[clip("1012", name, gain_db) for name in clips]))
    (usual,) = handoffs(listen(*[clip("1012", name) for name in clips]))
    assert abs(quiet.at_sample - usual.at_sample) <= 2 * 8000
