"""What a session is called, was opened with, and must keep to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from voiceguard.core.events import AudioFormat, Consent

CHECK_INTERVAL_S: Final = 0.5
"""How often a session looks for stalls and lag; a tenth of the shortest time that it keeps,
when that is less."""


@dataclass(frozen=True, slots=True)
class SessionKey:
    """What names a session on this server."""

    tenant: str
    session_id: str


@dataclass(frozen=True, slots=True)
class SessionTerms:
    """What a session was opened with, and must be resumed with."""

    audio_format: AudioFormat
    policy_name: str
    """As the client wrote it; empty for the default."""
    consent: Consent


@dataclass(frozen=True, slots=True)
class Wishes:
    """Which events a client wants to have; may change when it resumes."""

    pressure_updates: bool
    speech_events: bool


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Times and sizes that a session keeps; `ServerSettings` explains each."""

    handoff_repeat_s: float
    stall_after_s: float
    idle_timeout_s: float
    finish_timeout_s: float
    lag_notice_s: float
    max_pending_scores: int
    max_undelivered: int

    @property
    def check_interval_s(self) -> float:
        """How often a session looks at the clock."""
        shortest = min(self.stall_after_s, self.idle_timeout_s, self.lag_notice_s)
        return min(CHECK_INTERVAL_S, shortest / 10)
