"""What goes into a session and what comes out of it.

Every offset is a count of sample frames since the session's first one, at the
rate of the session's `AudioFormat`. Shells turn counts into seconds.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voiceguard.core.errors import ClientError
from voiceguard.core.units import INPUT_RATES_HZ, MAX_CHANNELS


class Encoding(enum.Enum):
    """How a sample is written on the wire."""

    LINEAR16 = "linear16"
    """Signed 16-bit little-endian."""
    MULAW = "mulaw"
    """ITU-T G.711 mu-law, one byte a sample."""
    ALAW = "alaw"
    """ITU-T G.711 A-law, one byte a sample."""

    @property
    def sample_bytes(self) -> int:
        """Bytes that one sample of one channel takes."""
        return 2 if self is Encoding.LINEAR16 else 1


class Role(enum.Enum):
    """Who speaks on a channel."""

    CUSTOMER = "customer"
    HUMAN_AGENT = "human_agent"
    AUTOMATED_AGENT = "automated_agent"
    MIXED = "mixed"
    """Both sides in one channel."""


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """Shape of a session's audio.

    Raises:
        ClientError: when the rate or the channels are not ones we accept.
    """

    encoding: Encoding
    sample_rate_hz: int
    channels: tuple[Role, ...]

    def __post_init__(self) -> None:
        if self.sample_rate_hz not in INPUT_RATES_HZ:
            rates = ", ".join(map(str, INPUT_RATES_HZ))
            problem = f"{self.sample_rate_hz} Hz is not supported; send one of {rates}"
            raise ClientError("config.audio.sample_rate_hertz", problem)
        if not 1 <= len(self.channels) <= MAX_CHANNELS:
            problem = f"{len(self.channels)} channels; give 1 to {MAX_CHANNELS}, a role for each"
            raise ClientError("config.audio.channels", problem)

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample frame: one sample of every channel."""
        return self.encoding.sample_bytes * len(self.channels)

    def seconds(self, samples: int) -> float:
        """Return the duration of `samples` sample frames in seconds."""
        return samples / self.sample_rate_hz


class ConsentState(enum.Enum):
    """What the customer said to being analysed."""

    UNSPECIFIED = "unspecified"
    GIVEN = "given"
    REFUSED = "refused"
    NOT_REQUIRED = "not_required"


@dataclass(frozen=True, slots=True)
class Consent:
    """The consent that came with a session."""

    state: ConsentState = ConsentState.UNSPECIFIED
    notice_given: bool = False
    lawful_basis: str = ""


class AlertLevel(enum.IntEnum):
    """How much pressure there is; ordered, so that levels compare."""

    GREEN = 1
    YELLOW = 2
    ORANGE = 3
    RED = 4


class SignalQuality(enum.Enum):
    """What the audio of one window was good for."""

    OK = "ok"
    INSUFFICIENT_SPEECH = "insufficient_speech"
    NOISY = "noisy"
    CLIPPED = "clipped"
    MUSIC_OR_TONE = "music_or_tone"


class HandoffReason(enum.Enum):
    """What carried the pressure that led to a handoff."""

    ANGER = "anger"
    DISTRESS = "distress"
    PRESSURE = "pressure"
    """Both, neither clearly leading."""


class HandoffOutcome(enum.Enum):
    """What became of a handoff request."""

    ACCEPTED = "accepted"
    TRANSFERRED = "transferred"
    DECLINED = "declined"
    FAILED = "failed"
    EXPIRED = "expired"
    """Nobody answered before the acknowledgement deadline."""


class ControlAction(enum.Enum):
    """What a dialer may tell a session besides audio."""

    HOLD = "hold"
    RESUME = "resume"


# ---- between the session and the scorer ----


@dataclass(frozen=True, slots=True, eq=False)
class ScoreRequest:
    """One hop of a customer's speech that the session wants scored.

    Requests of one channel are to be scored in order of `sequence`, the model's
    state going from each to the next.
    """

    channel: int
    sequence: int
    """0, 1, 2 ... within the channel."""
    start_sample: int
    end_sample: int
    """Span of the session that the hop's speech was taken from."""
    pcm: NDArray[np.float32]
    """Shape (HOP_SAMPLES,), 8 kHz, in [-1, 1)."""


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """The model's answer to one `ScoreRequest`."""

    channel: int
    sequence: int
    scores: Mapping[str, float]
    """Each output named in the model's manifest, 0 to 1."""


@dataclass(frozen=True, slots=True)
class ScoreMissed:
    """A `ScoreRequest` that will never be answered, because of overload."""

    channel: int
    sequence: int


# ---- out of the session ----


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Somebody began to speak on a scored channel."""

    channel: int
    at_sample: int


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """The speech on a scored channel ended."""

    channel: int
    at_sample: int


@dataclass(frozen=True, slots=True)
class PressureUpdated:
    """The pressure index of a channel after one more hop of speech."""

    channel: int
    start_sample: int
    end_sample: int
    pressure_index: float
    """0 to 100."""
    scores: Mapping[str, float]
    """Empty when the hop was not scored."""
    baseline_deviation: float
    """Distance from the speaker's own calm baseline, in standard deviations."""
    baseline_ready: bool
    confidence: float
    """0 to 1: how far this hop moved the index."""
    quality: SignalQuality
    level: AlertLevel


@dataclass(frozen=True, slots=True)
class WindowMissed:
    """A hop that stayed unscored under overload."""

    channel: int
    start_sample: int
    end_sample: int


@dataclass(frozen=True, slots=True)
class AlertChanged:
    """The alert level of a channel changed."""

    alert_id: str
    level: AlertLevel
    previous_level: AlertLevel
    channel: int
    at_sample: int
    pressure_index: float
    threshold: float
    """Raise threshold of the level entered, or clear threshold of the one left."""


@dataclass(frozen=True, slots=True)
class HandoffRequested:
    """A human should take this call over."""

    handoff_id: str
    alert_id: str
    channel: int
    at_sample: int
    pressure_index: float
    reason: HandoffReason
    explanation: str
    """For the human who takes over, in plain words."""
    ack_deadline_s: float


@dataclass(frozen=True, slots=True)
class HandoffSettled:
    """A handoff was answered, or its deadline passed."""

    handoff_id: str
    outcome: HandoffOutcome
    reason: str


@dataclass(frozen=True, slots=True)
class SessionFlagged:
    """The session was marked high-sensitivity; that mark stays."""

    channel: int
    at_sample: int
    pressure_index: float
    reason: str


@dataclass(frozen=True, slots=True)
class GapDetected:
    """Audio is missing between two samples."""

    start_sample: int
    end_sample: int


@dataclass(frozen=True, slots=True)
class SessionFinished:
    """The session is over; its totals."""

    audio_samples: int
    """Length of the session on the audio clock, gaps included."""
    gap_samples: int
    customer_speech_s: float
    peak_pressure_index: float
    mean_pressure_index: float
    """Over scored hops; 0 when there were none."""
    peak_level: AlertLevel
    high_sensitivity: bool
    handoffs: int
    windows_missed: int


Event = (
    SpeechStarted
    | SpeechEnded
    | PressureUpdated
    | WindowMissed
    | AlertChanged
    | HandoffRequested
    | HandoffSettled
    | SessionFlagged
    | GapDetected
    | SessionFinished
)
"""Everything a session may say."""
