"""What the events of a session come to, kept as they pass."""

from __future__ import annotations

from voiceguard.core.events import (
    AlertChanged,
    AlertLevel,
    Event,
    GapDetected,
    HandoffRequested,
    HandoffSettled,
    PressureUpdated,
    SessionFinished,
    SessionFlagged,
    SpeechEnded,
    SpeechStarted,
    WindowMissed,
)
from voiceguard.store.records import Closed, EventBatch, HandoffColumns, SettlementColumns


class Tally:
    """Counts the events of one session, and says what the database shows of them.

    Args:
        sample_rate_hz: of the session's audio clock.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate_hz = sample_rate_hz
        self.events = 0
        """Events so far."""
        self.taken = 0
        """Events that a batch was made of."""
        self.flag: tuple[int, SessionFlagged] | None = None
        """When the session was flagged, and by what."""
        self._finished: SessionFinished | None = None
        self._peak_index = 0.0
        self._peak_level = AlertLevel.GREEN
        self._index_sum = 0.0
        self._scored = 0
        self._missed = 0
        self._gap_samples = 0
        self._speech_samples = 0
        self._speaking: dict[int, int] = {}
        self._handoffs = 0
        self._new_handoffs: list[HandoffColumns] = []
        self._new_settlements: list[SettlementColumns] = []

    @property
    def is_flagged(self) -> bool:
        """Whether the session is high-sensitivity."""
        return self.flag is not None

    def receive(self, event: Event, at_ms: int) -> None:
        """Take the next event, with its wall time in milliseconds since 1970, UTC."""
        self.events += 1
        match event:
            case PressureUpdated():
                self._receive_pressure(event)
            case SpeechStarted():
                self._speaking[event.channel] = event.at_sample
            case SpeechEnded():
                started = self._speaking.pop(event.channel, event.at_sample)
                self._speech_samples += event.at_sample - started
            case AlertChanged():
                self._peak_level = max(self._peak_level, event.level)
            case HandoffRequested():
                self._handoffs += 1
                self._new_handoffs.append(self._handoff(event, at_ms))
            case HandoffSettled():
                outcome = event.outcome.value
                self._new_settlements.append(
                    SettlementColumns(event.handoff_id, outcome, event.reason, at_ms)
                )
            case SessionFlagged():
                self.flag = (at_ms, event)
            case GapDetected():
                self._gap_samples += event.end_sample - event.start_sample
            case WindowMissed():
                self._missed += 1
            case SessionFinished():
                self._finished = event

    def take_batch(self) -> EventBatch:
        """Return the columns of the events since the last call."""
        flagged_at_ms, flag = self.flag or (None, None)
        batch = EventBatch(
            first=self.taken,
            count=self.events - self.taken,
            peak_pressure_index=self._peak_index,
            peak_level=int(self._peak_level),
            flagged_at_ms=flagged_at_ms,
            flag_offset_s=flag and flag.at_sample / self._rate_hz,
            flag_pressure_index=flag and flag.pressure_index,
            flag_reason=flag.reason if flag else "",
            handoffs=tuple(self._new_handoffs),
            settlements=tuple(self._new_settlements),
        )
        self.taken = self.events
        self._new_handoffs.clear()
        self._new_settlements.clear()
        return batch

    def skip_batch(self) -> None:
        """Count the events since the last call as lost; what they changed is not."""
        self.taken = self.events

    def closed(
        self, ended: str, closed_at_ms: int, *, audio: str, retain_until_ms: int, samples: int
    ) -> Closed:
        """Return the columns of the session's end.

        Args:
            ended: completed, failed, abandoned or interrupted.
            closed_at_ms: milliseconds since 1970, UTC.
            audio: `pending` or `none`.
            retain_until_ms: milliseconds since 1970, UTC.
            samples: sample frames received, gaps included; used where the session did not
                come to say so itself.
        """
        totals = self._finished or self._totals(samples)
        return Closed(
            closed_at_ms=closed_at_ms,
            ended=ended,
            events=self.events,
            audio=audio,
            retain_until_ms=retain_until_ms,
            audio_s=totals.audio_samples / self._rate_hz,
            customer_speech_s=totals.customer_speech_s,
            peak_pressure_index=totals.peak_pressure_index,
            mean_pressure_index=totals.mean_pressure_index,
            peak_level=int(totals.peak_level),
            high_sensitivity=totals.high_sensitivity,
            handoffs=totals.handoffs,
            gaps_s=totals.gap_samples / self._rate_hz,
            windows_missed=totals.windows_missed,
        )

    def _receive_pressure(self, event: PressureUpdated) -> None:
        self._peak_index = max(self._peak_index, event.pressure_index)
        self._peak_level = max(self._peak_level, event.level)
        if event.scores:
            self._index_sum += event.pressure_index
            self._scored += 1

    def _handoff(self, event: HandoffRequested, at_ms: int) -> HandoffColumns:
        return HandoffColumns(
            handoff_id=event.handoff_id,
            alert_id=event.alert_id,
            requested_at_ms=at_ms,
            offset_s=event.at_sample / self._rate_hz,
            pressure_index=event.pressure_index,
            reason=event.reason.value,
            explanation=event.explanation,
            ack_deadline_s=event.ack_deadline_s,
        )

    def _totals(self, samples: int) -> SessionFinished:
        """Return what the session would have said of itself so far."""
        return SessionFinished(
            audio_samples=samples,
            gap_samples=self._gap_samples,
            customer_speech_s=self._speech_samples / self._rate_hz,
            peak_pressure_index=self._peak_index,
            mean_pressure_index=self._index_sum / self._scored if self._scored else 0.0,
            peak_level=self._peak_level,
            high_sensitivity=self.is_flagged,
            handoffs=self._handoffs,
            windows_missed=self._missed,
        )
