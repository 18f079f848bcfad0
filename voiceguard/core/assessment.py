"""From the scored hops of a call to what is said about them.

One `CallAssessment` for a session takes the hops of all its channels in the
order of the audio clock and returns events. Nothing in here knows of audio.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from voiceguard.core.alerts import AlertLadder, LevelChange
from voiceguard.core.events import (
    AlertChanged,
    AlertLevel,
    Event,
    HandoffOutcome,
    HandoffRequested,
    HandoffSettled,
    PressureUpdated,
    SessionFlagged,
    SignalQuality,
    WindowMissed,
)
from voiceguard.core.handoffs import Handoffs, explain
from voiceguard.core.policy import Policy
from voiceguard.core.pressure import EvidenceWeights, PressureIndex, PressureReading
from voiceguard.core.units import HOP_S

WARM_UP_HOPS: Final = 4
"""Hops before the model's window is full; earlier ones are believed in proportion."""


@dataclass(frozen=True, slots=True)
class HopAudio:
    """What was heard in one hop of a scored channel, before it is scored."""

    channel: int
    start_sample: int
    end_sample: int
    level_db: float
    confidence: float
    """0 to 1, from the quality of the signal alone."""
    quality: SignalQuality


class CallAssessment:
    """Everything that is concluded about one call."""

    def __init__(self, policy: Policy, weights: EvidenceWeights, rate_hz: int) -> None:
        self._policy = policy
        self._weights = weights
        self._channels: dict[int, _ChannelAssessment] = {}
        self._handoffs = Handoffs(policy, int(policy.cooldown_s * rate_hz))
        self.high_sensitivity = False
        self.peak_level = AlertLevel.GREEN
        self.windows_missed = 0
        self._alerts = 0

    @property
    def handoffs(self) -> int:
        """Handoffs requested so far."""
        return self._handoffs.count

    @property
    def peak_pressure_index(self) -> float:
        """Highest index of any channel, 0 when nothing was scored."""
        return max((channel.peak for channel in self._channels.values()), default=0.0)

    @property
    def mean_pressure_index(self) -> float:
        """Mean index over all scored hops, 0 when there are none."""
        hops = sum(channel.scored_hops for channel in self._channels.values())
        return sum(channel.total for channel in self._channels.values()) / hops if hops else 0.0

    def receive_scores(self, hop: HopAudio, scores: Mapping[str, float]) -> list[Event]:
        """Take the scores of the next hop."""
        channel = self._channel(hop.channel)
        reading, confidence = channel.receive_scores(hop, scores)
        change = channel.ladder.receive_index(
            reading.pressure_index, HOP_S, channel.scored_hops * HOP_S
        )
        update = PressureUpdated(
            channel=hop.channel,
            start_sample=hop.start_sample,
            end_sample=hop.end_sample,
            pressure_index=reading.pressure_index,
            scores=scores,
            baseline_deviation=reading.baseline_deviation,
            baseline_ready=reading.baseline_ready,
            confidence=confidence,
            quality=channel.quality(hop),
            level=channel.ladder.level,
        )
        events: list[Event] = [update]
        if change is not None:
            events.append(self._alert(hop, change, reading))
        events += self._flag(hop, reading)
        events += self._request_handoff(hop)
        return events

    def receive_unscorable(self, hop: HopAudio) -> list[Event]:
        """Take a hop of music or tones: the index stays where it was."""
        channel = self._channel(hop.channel)
        update = PressureUpdated(
            channel=hop.channel,
            start_sample=hop.start_sample,
            end_sample=hop.end_sample,
            pressure_index=channel.index.pressure_index,
            scores={},
            baseline_deviation=0.0,
            baseline_ready=channel.index.baseline_ready,
            confidence=0.0,
            quality=hop.quality,
            level=channel.ladder.level,
        )
        return [update]

    def receive_missed(self, hop: HopAudio) -> list[Event]:
        """Take a hop that overload left unscored: the index stays where it was."""
        self.windows_missed += 1
        return [WindowMissed(hop.channel, hop.start_sample, hop.end_sample)]

    def receive_handoff_outcome(
        self, handoff_id: str, outcome: HandoffOutcome, reason: str
    ) -> list[Event]:
        """Record what became of a handoff.

        Raises:
            ClientError: when no handoff has this id.
        """
        changed = self._handoffs.receive_outcome(handoff_id, outcome)
        return [HandoffSettled(handoff_id, outcome, reason)] if changed else []

    def _channel(self, channel: int) -> _ChannelAssessment:
        if channel not in self._channels:
            self._channels[channel] = _ChannelAssessment(self._policy, self._weights)
        return self._channels[channel]

    def _alert(self, hop: HopAudio, change: LevelChange, reading: PressureReading) -> AlertChanged:
        self.peak_level = max(self.peak_level, change.level)
        self._alerts += 1
        alert_id = self._channels[hop.channel].alert_id = f"alert-{self._alerts}"
        return AlertChanged(
            alert_id=alert_id,
            level=change.level,
            previous_level=change.previous_level,
            channel=hop.channel,
            at_sample=hop.end_sample,
            pressure_index=reading.pressure_index,
            threshold=change.threshold,
        )

    def _flag(self, hop: HopAudio, reading: PressureReading) -> list[Event]:
        channel = self._channels[hop.channel]
        flag_level = self._policy.flag_level
        if self.high_sensitivity or flag_level is None or channel.ladder.level < flag_level:
            return []
        self.high_sensitivity = True
        reason = channel.index.leading_reason()
        sentence = explain(reason, channel.ladder.level, reading.pressure_index, channel.deviation)
        return [SessionFlagged(hop.channel, hop.end_sample, reading.pressure_index, sentence)]

    def _request_handoff(self, hop: HopAudio) -> list[Event]:
        worst = max(self._channels, key=self._urgency)
        channel = self._channels[worst]
        index, level = channel.index.pressure_index, channel.ladder.level
        handoff_id = self._handoffs.receive_level(level, index, hop.end_sample)
        if handoff_id is None:
            return []
        reason = channel.index.leading_reason()
        request = HandoffRequested(
            handoff_id=handoff_id,
            alert_id=channel.alert_id,
            channel=worst,
            at_sample=hop.end_sample,
            pressure_index=index,
            reason=reason,
            explanation=explain(reason, level, index, channel.deviation),
            ack_deadline_s=self._policy.ack_deadline_s,
        )
        return [request]

    def _urgency(self, channel: int) -> tuple[AlertLevel, float]:
        assessed = self._channels[channel]
        return assessed.ladder.level, assessed.index.pressure_index


class _ChannelAssessment:
    """The index, the level and the totals of one scored channel."""

    def __init__(self, policy: Policy, weights: EvidenceWeights) -> None:
        self.index = PressureIndex(weights)
        self.ladder = AlertLadder(policy.alerts)
        self.alert_id = ""
        """Of its newest alert."""
        self.deviation: float | None = None
        self.scored_hops = 0
        self.peak = 0.0
        self.total = 0.0

    def receive_scores(
        self, hop: HopAudio, scores: Mapping[str, float]
    ) -> tuple[PressureReading, float]:
        self.scored_hops += 1
        confidence = hop.confidence * min(self.scored_hops / WARM_UP_HOPS, 1.0)
        reading = self.index.receive_scores(scores, hop.level_db, confidence)
        self.deviation = reading.baseline_deviation if reading.baseline_ready else None
        self.peak = max(self.peak, reading.pressure_index)
        self.total += reading.pressure_index
        return reading, confidence

    def quality(self, hop: HopAudio) -> SignalQuality:
        if hop.quality is SignalQuality.OK and self.scored_hops < WARM_UP_HOPS:
            return SignalQuality.INSUFFICIENT_SPEECH
        return hop.quality
