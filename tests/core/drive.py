"""Drives a `CallSession` in tests: voice-like audio in, scores read off its level.

The scorer stands in for the model on purpose: the core must behave for any
scores, and a level that the test itself sets makes the expected events known.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from voiceguard.core.channel import FrontEnd
from voiceguard.core.events import (
    AlertLevel,
    AudioFormat,
    Encoding,
    Event,
    Role,
    ScoreMissed,
    ScoreRequest,
    ScoreResult,
)
from voiceguard.core.policy import AlertPolicy, Policy
from voiceguard.core.pressure import EvidenceWeights
from voiceguard.core.session import CallSession
from voiceguard.engine.resample import StreamResampler
from voiceguard.engine.vad import WebRtcDetector

RATE_HZ = 8000

FRONT_END = FrontEnd(new_vad=WebRtcDetector, new_resampler=StreamResampler)

WEIGHTS = EvidenceWeights(
    bias=0.0,
    absolute=1.0,
    relative=0.3,
    deviation_cap=4.0,
    level=0.05,
    level_cap_db=12.0,
    baseline_s=4.0,
    calm_mean=-2.0,
    calm_deviation=1.0,
    calm_s=4.0,
    baseline_maximum=-1.0,
    rise_s=1.0,
    fall_s=2.0,
)

POLICY = Policy(
    name="test",
    version="test@sha256:0",
    alerts={
        AlertLevel.YELLOW: AlertPolicy(40, 30, 0.5, 1.0, 1.0),
        AlertLevel.ORANGE: AlertPolicy(60, 45, 1.0, 1.0, 1.0),
        AlertLevel.RED: AlertPolicy(85, 70, 1.0, 1.0, 1.0),
    },
    handoff_level=AlertLevel.ORANGE,
    flag_level=AlertLevel.ORANGE,
    cooldown_s=5.0,
    ack_deadline_s=5.0,
    require_consent=False,
    allow_mixed_channel=False,
)

CUSTOMER = AudioFormat(Encoding.LINEAR16, RATE_HZ, (Role.CUSTOMER,))
CALM_PEAK, TENSE_PEAK = 3000.0, 16000.0


def voice(seconds: float, peak: float, seed: int = 0) -> NDArray[np.int16]:
    """Return harmonics of a gliding pitch in syllables, which WebRTC takes for a voice."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    glide = 150 + 40 * np.sin(2 * np.pi * 0.7 * time_s + rng.uniform(0, 6))
    phase = 2 * np.pi * np.cumsum(glide) / RATE_HZ
    harmonics = sum(np.sin(k * phase) / k for k in range(1, 14))
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 4 * time_s)
    noise = rng.normal(0, 0.02, len(time_s))
    wave = np.asarray(harmonics * syllables + noise)
    return np.asarray(wave * peak / np.max(np.abs(wave)), dtype=np.int16)


def silence(seconds: float) -> NDArray[np.int16]:
    """Return a quiet line."""
    noise = np.random.default_rng(1).normal(0, 4, int(seconds * RATE_HZ))
    return np.asarray(noise, dtype=np.int16)


def call(seed: int = 0, *, tense: bool = True) -> NDArray[np.int16]:
    """Return about 20 s of a customer: calm, a pause, then tense (or calm) and calm again."""
    peak = TENSE_PEAK if tense else CALM_PEAK
    parts = [
        silence(0.5), voice(6, CALM_PEAK, seed), silence(1.0), voice(6, peak, seed + 1),
        silence(0.7), voice(5, CALM_PEAK, seed + 2), silence(0.5),
    ]  # fmt: skip
    return np.concatenate(parts)


def level_scores(request: ScoreRequest) -> ScoreResult:
    """Score a hop by its level: `CALM_PEAK` is about 0.05, `TENSE_PEAK` about 0.9."""
    level = float(np.sqrt(np.mean(np.square(request.pcm))))
    anger = float(np.clip((level - 0.02) * 8.0, 0.02, 0.97))
    scores = {"anger": anger, "distress": 0.05, "arousal": anger, "valence": 1.0 - anger}
    return ScoreResult(request.channel, request.sequence, scores)


def chunks_of(content: bytes, frame_bytes: int, rng: random.Random) -> Iterable[bytes]:
    """Cut audio into random whole sample frames: some tiny, some huge, some empty."""
    position = 0
    while position < len(content):
        size = rng.choice([0, 1, 7, 80, 160, 161, 800, 3999, 20000]) * frame_bytes
        yield content[position : position + size]
        position += size


def new_session(
    audio_format: AudioFormat = CUSTOMER, policy: Policy = POLICY
) -> CallSession:
    """Return a session with the test's policy and weights."""
    return CallSession(policy, audio_format, front_end=FRONT_END, weights=WEIGHTS)


def run(
    content: bytes,
    chunks: Iterable[bytes] | None = None,
    *,
    audio_format: AudioFormat = CUSTOMER,
    policy: Policy = POLICY,
    answer: Callable[[ScoreRequest], ScoreResult | ScoreMissed | None] = level_scores,
    answer_every: int = 1,
) -> list[Event]:
    """Play audio through a session and return all events.

    Args:
        content: the audio.
        chunks: the same, cut; default: in 100 ms pieces.
        audio_format: its format.
        policy: thresholds.
        answer: gives the answer to each request; None: it never comes.
        answer_every: answer what is waiting after so many chunks.
    """
    session = new_session(audio_format, policy)
    piece = audio_format.sample_rate_hz // 10 * audio_format.frame_bytes
    waiting: list[ScoreRequest] = []
    events: list[Event] = []
    cut = chunks or (content[i : i + piece] for i in range(0, len(content), piece))
    for count, chunk in enumerate(cut):
        session.receive_audio(chunk)
        waiting += session.take_score_requests()
        if count % answer_every == 0:
            give(session, waiting, answer)
            waiting = []
        events += session.take_events()
    session.end_audio()
    give(session, waiting + session.take_score_requests(), answer)
    session.finish()
    return events + session.take_events()


def give(
    session: CallSession,
    requests: Sequence[ScoreRequest],
    answer: Callable[[ScoreRequest], ScoreResult | ScoreMissed | None],
) -> None:
    """Answer requests."""
    for request in requests:
        answered = answer(request)
        if answered is not None:
            session.receive_score(answered)


def only(events: Iterable[Event], kind: type) -> list[Event]:
    """Return the events of one kind."""
    return [event for event in events if isinstance(event, kind)]


def with_alerts(**changes: float) -> Policy:
    """Return the test's policy with changes to each level."""
    alerts = {level: replace(alert, **changes) for level, alert in POLICY.alerts.items()}
    return replace(POLICY, alerts=alerts)
