"""When a human is asked for, and what became of the request.

Deciding is done here, once. Sending a request again until somebody answers is
delivery, and belongs to whatever shell holds the connection.
"""

from __future__ import annotations

import enum
from typing import Final

from voiceguard.core.errors import ClientError
from voiceguard.core.events import AlertLevel, HandoffOutcome, HandoffReason
from voiceguard.core.policy import Policy
from voiceguard.core.statetable import StateTable


class TriggerState(enum.Enum):
    """Whether the next moment of pressure asks for a human."""

    ARMED = enum.auto()
    SPENT = enum.auto()


class TriggerInput(enum.Enum):
    """What moves the trigger."""

    REACHED = enum.auto()
    """The handoff level is reached and no cooldown runs."""
    LEVEL_FELL = enum.auto()
    """The call is below the handoff level again."""
    NOT_TAKEN = enum.auto()
    """The last request was declined, failed or expired: nobody has come."""


TRIGGER_TABLE: Final[StateTable[TriggerState, TriggerInput]] = StateTable(
    name="Handoff trigger",
    initial=TriggerState.ARMED,
    transitions={
        TriggerState.ARMED: {TriggerInput.REACHED: TriggerState.SPENT},
        TriggerState.SPENT: {
            TriggerInput.LEVEL_FELL: TriggerState.ARMED,
            TriggerInput.NOT_TAKEN: TriggerState.ARMED,
        },
    },
    ignored={
        TriggerState.ARMED: {TriggerInput.LEVEL_FELL, TriggerInput.NOT_TAKEN},
        TriggerState.SPENT: {TriggerInput.REACHED},
    },
)
"""Edge-triggered: one request for each time that the level is reached."""


class RequestState(enum.Enum):
    """What became of one request."""

    OPEN = enum.auto()
    ACCEPTED = enum.auto()
    TRANSFERRED = enum.auto()
    NOT_TAKEN = enum.auto()


_NOT_TAKEN: Final = {
    HandoffOutcome.DECLINED: RequestState.NOT_TAKEN,
    HandoffOutcome.FAILED: RequestState.NOT_TAKEN,
}

REQUEST_TABLE: Final[StateTable[RequestState, HandoffOutcome]] = StateTable(
    name="Handoff request",
    initial=RequestState.OPEN,
    transitions={
        RequestState.OPEN: {
            HandoffOutcome.ACCEPTED: RequestState.ACCEPTED,
            HandoffOutcome.TRANSFERRED: RequestState.TRANSFERRED,
            HandoffOutcome.EXPIRED: RequestState.NOT_TAKEN,
            **_NOT_TAKEN,
        },
        RequestState.ACCEPTED: {
            HandoffOutcome.TRANSFERRED: RequestState.TRANSFERRED,
            **_NOT_TAKEN,
        },
        RequestState.TRANSFERRED: {},
        RequestState.NOT_TAKEN: {
            HandoffOutcome.ACCEPTED: RequestState.ACCEPTED,
            HandoffOutcome.TRANSFERRED: RequestState.TRANSFERRED,
        },
    },
    ignored={
        RequestState.OPEN: set(),
        RequestState.ACCEPTED: {HandoffOutcome.ACCEPTED, HandoffOutcome.EXPIRED},
        RequestState.TRANSFERRED: set(HandoffOutcome),
        RequestState.NOT_TAKEN: {
            HandoffOutcome.DECLINED,
            HandoffOutcome.FAILED,
            HandoffOutcome.EXPIRED,
        },
    },
)
"""Answers may come twice, and late: a human who comes after the deadline still came."""


class Handoffs:
    """The handoff requests of one session."""

    def __init__(self, policy: Policy, cooldown_samples: int) -> None:
        self._level = policy.handoff_level
        alert = policy.alerts.get(policy.handoff_level) if policy.handoff_level else None
        self._raise_threshold = alert.raise_threshold if alert else 100.0
        self._cooldown_samples = cooldown_samples
        self._trigger = TRIGGER_TABLE.initial
        self._last_sample: int | None = None
        self._requests: list[RequestState] = []

    @property
    def count(self) -> int:
        """Requests made so far."""
        return len(self._requests)

    def receive_level(self, level: AlertLevel, pressure_index: float, at_sample: int) -> str | None:
        """Take the call's level after one hop; return the id of a request to make now.

        Args:
            level: the highest of any channel.
            pressure_index: of that channel. A level that only lingers, its index below the
                raise threshold, asks for nobody.
            at_sample: where the hop ends.
        """
        if self._level is None:
            return None
        if level < self._level:
            self._receive(TriggerInput.LEVEL_FELL)
            return None
        if pressure_index < self._raise_threshold or self._cooling(at_sample):
            return None
        if self._trigger is not TriggerState.ARMED:
            return None
        self._receive(TriggerInput.REACHED)
        self._last_sample = at_sample
        self._requests.append(REQUEST_TABLE.initial)
        return f"handoff-{len(self._requests)}"

    def receive_outcome(self, handoff_id: str, outcome: HandoffOutcome) -> bool:
        """Record an answer; return whether it changed anything.

        Raises:
            ClientError: when no request has this id.
        """
        index = self._index(handoff_id)
        state = self._requests[index]
        following = REQUEST_TABLE.next_state(state, outcome)
        self._requests[index] = following
        if following is RequestState.NOT_TAKEN and index == len(self._requests) - 1:
            self._receive(TriggerInput.NOT_TAKEN)
        return following is not state

    def _cooling(self, at_sample: int) -> bool:
        last = self._last_sample
        return last is not None and at_sample - last < self._cooldown_samples

    def _index(self, handoff_id: str) -> int:
        prefix, _, number = handoff_id.partition("-")
        if prefix == "handoff" and number.isascii() and number.isdigit() and number[0] != "0":
            index = int(number[:9]) - 1
            if 0 <= index < len(self._requests) and handoff_id == f"handoff-{index + 1}":
                return index
        raise ClientError("handoff_ack.handoff_id", "names no handoff of this session")

    def _receive(self, received: TriggerInput) -> None:
        self._trigger = TRIGGER_TABLE.next_state(self._trigger, received)


_FEELINGS: Final = {
    HandoffReason.ANGER: "angry",
    HandoffReason.DISTRESS: "distressed",
    HandoffReason.PRESSURE: "angry and distressed",
}


def explain(
    reason: HandoffReason,
    level: AlertLevel,
    pressure_index: float,
    deviation: float | None,
) -> str:
    """Return the sentence that tells a human what was heard.

    Args:
        reason: what carried the pressure.
        level: the level reached.
        pressure_index: 0 to 100.
        deviation: standard deviations from the speaker's baseline; None before it is known.
    """
    heard = f"The customer's voice sounds {_FEELINGS[reason]}"
    index = f"pressure {pressure_index:.0f} of 100, level {level.name.lower()}"
    if deviation is None:
        return f"{heard} ({index}; too early in the call to know their usual voice)."
    direction = "above" if deviation >= 0 else "below"
    usual = f"{abs(deviation):.1f} standard deviations {direction} how this call began"
    return f"{heard} ({index}; {usual})."
