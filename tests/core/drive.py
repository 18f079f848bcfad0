"""Drives a `CallSession` in tests: real speech in, scores read off its level.

The scorer stands in for the model on purpose: the core must behave for any
scores, and a level that the test itself sets makes the expected events known.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
import soundfile
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
from voiceguard.core.policy import AlertPolicy, AudioKeeping, Policy
from voiceguard.core.pressure import EvidenceWeights, KindWeights
from voiceguard.core.session import CallSession
from voiceguard.engine.resample import StreamResampler
from voiceguard.engine.vad import WebRtcDetector
from voiceguard.resources import samples_dir

RATE_HZ = 8000

FRONT_END = FrontEnd(new_vad=WebRtcDetector, new_resampler=StreamResampler)

KIND = KindWeights(bias=0.0, absolute=1.0, relative=0.3, arousal=0.1, valence=0.1, level=0.05)
WEIGHTS = EvidenceWeights(
    anger=KIND,
    distress=KIND,
    deviation_cap=4.0,
    level_cap_db=12.0,
    baseline_s=4.0,
    settled_s=4.0,
    calm_anger_mean=-2.0,
    calm_anger_deviation=1.0,
    calm_distress_mean=-2.0,
    calm_distress_deviation=1.0,
    calm_arousal_mean=-1.0,
    calm_arousal_deviation=1.0,
    calm_valence_mean=0.0,
    calm_valence_deviation=1.0,
    calm_s=4.0,
    baseline_cap=1.0,
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
    keep_audio=AudioKeeping.FLAGGED,
    retention_days=180,
    content=b"",
)

CUSTOMER = AudioFormat(Encoding.LINEAR16, RATE_HZ, (Role.CUSTOMER,))
CALM_LEVEL, TENSE_LEVEL = 700.0, 4500.0


def _speech() -> NDArray[np.float64]:
    """Return the sample call's customer without the pauses, at an even level of 1."""
    samples, _ = soundfile.read(samples_dir() / "sample-call.flac", dtype="int16")
    customer = samples[:, 0]
    frames = customer[: len(customer) // 160 * 160].reshape(-1, 160)
    voiced = WebRtcDetector().decide_frames(frames.tobytes())
    spoken = frames[np.asarray(voiced)].astype(np.float64).reshape(-1)
    spoken = spoken[: len(spoken) // 4000 * 4000].reshape(-1, 4000)
    levels = np.sqrt(np.mean(np.square(spoken), axis=1, keepdims=True))
    return np.asarray(spoken / levels).reshape(-1)


SPEECH = _speech()


def voice(seconds: float, level: float, seed: int = 0) -> NDArray[np.int16]:
    """Return real speech without pauses, of the RMS level given; `seed` says which."""
    wanted = np.roll(SPEECH, -4000 * seed)
    wave = np.resize(wanted, int(seconds * RATE_HZ)) * level
    return np.clip(wave, -32768, 32767).astype(np.int16)


def silence(seconds: float) -> NDArray[np.int16]:
    """Return a quiet line."""
    noise = np.random.default_rng(1).normal(0, 4, int(seconds * RATE_HZ))
    return np.asarray(noise, dtype=np.int16)


def call(seed: int = 0, *, tense: bool = True) -> NDArray[np.int16]:
    """Return about 20 s of a customer: calm, a pause, then tense (or calm) and calm again."""
    level = TENSE_LEVEL if tense else CALM_LEVEL
    parts = [
        silence(0.5), voice(6, CALM_LEVEL, seed), silence(1.0), voice(6, level, seed + 1),
        silence(0.7), voice(7, CALM_LEVEL, seed + 2), silence(0.5),
    ]  # fmt: skip
    return np.concatenate(parts)


def level_scores(request: ScoreRequest) -> ScoreResult:
    """Score a hop by its level: `CALM_LEVEL` is about 0.05, `TENSE_LEVEL` about 0.9."""
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


def new_session(audio_format: AudioFormat = CUSTOMER, policy: Policy = POLICY) -> CallSession:
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
