"""From the pressure index to alert levels: debounce and hysteresis as a table.

The semantics are those that Prometheus gives alerting rules: a level is
pending `for` some time before it is raised, and keeps firing for some time
after its condition has ended.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from voiceguard.core.events import AlertLevel
from voiceguard.core.policy import RAISED_LEVELS, AlertPolicy
from voiceguard.core.statetable import StateTable


class AlertState(enum.Enum):
    """Where one level of one channel stands."""

    CALM = enum.auto()
    PENDING = enum.auto()
    RAISED = enum.auto()
    CLEARING = enum.auto()


class AlertInput(enum.Enum):
    """What one hop of speech says about a level."""

    ABOVE_RAISE = enum.auto()
    """The index is at or above the raise threshold."""
    BELOW_CLEAR = enum.auto()
    """The index is below the clear threshold."""
    HELD = enum.auto()
    """The index has been on the state's side of its threshold for long enough."""


ALERT_TABLE: Final[StateTable[AlertState, AlertInput]] = StateTable(
    name="Alert level",
    initial=AlertState.CALM,
    transitions={
        AlertState.CALM: {AlertInput.ABOVE_RAISE: AlertState.PENDING},
        AlertState.PENDING: {
            AlertInput.BELOW_CLEAR: AlertState.CALM,
            AlertInput.HELD: AlertState.RAISED,
        },
        AlertState.RAISED: {AlertInput.BELOW_CLEAR: AlertState.CLEARING},
        AlertState.CLEARING: {
            AlertInput.ABOVE_RAISE: AlertState.RAISED,
            AlertInput.HELD: AlertState.CALM,
        },
    },
    ignored={
        AlertState.CALM: {AlertInput.BELOW_CLEAR, AlertInput.HELD},
        AlertState.PENDING: {AlertInput.ABOVE_RAISE},
        AlertState.RAISED: {AlertInput.ABOVE_RAISE, AlertInput.HELD},
        AlertState.CLEARING: {AlertInput.BELOW_CLEAR},
    },
)
"""One level of one channel. Between the thresholds nothing changes and no time is held."""


class LevelMachine:
    """One level's state, and the speech time that it has held for."""

    def __init__(self, policy: AlertPolicy) -> None:
        self._policy = policy
        self._held_s = 0.0
        self.state = ALERT_TABLE.initial

    @property
    def active(self) -> bool:
        """Whether the level counts as raised."""
        return self.state in {AlertState.RAISED, AlertState.CLEARING}

    def receive_index(self, pressure_index: float, speech_s: float, total_s: float) -> None:
        """Take the index after one hop.

        Args:
            pressure_index: 0 to 100.
            speech_s: length of the hop.
            total_s: scored speech of the channel so far, this hop included.
        """
        policy = self._policy
        if pressure_index >= policy.raise_threshold:
            if total_s >= policy.minimum_speech_s:
                self._receive(AlertInput.ABOVE_RAISE)
                self._hold(AlertState.PENDING, speech_s, policy.hold_s)
        elif pressure_index < policy.clear_threshold:
            self._receive(AlertInput.BELOW_CLEAR)
            self._hold(AlertState.CLEARING, speech_s, policy.clear_hold_s)

    def _hold(self, state: AlertState, speech_s: float, needed_s: float) -> None:
        if self.state is not state:
            return
        self._held_s += speech_s
        if self._held_s >= needed_s:
            self._receive(AlertInput.HELD)

    def _receive(self, received: AlertInput) -> None:
        following = ALERT_TABLE.next_state(self.state, received)
        if following is not self.state:
            self.state = following
            self._held_s = 0.0


@dataclass(frozen=True, slots=True)
class LevelChange:
    """The level of a channel went from one to another."""

    level: AlertLevel
    previous_level: AlertLevel
    threshold: float
    """Raise threshold of the level entered, or clear threshold of the one left."""


class AlertLadder:
    """All levels of one channel; the highest active one is the channel's level."""

    def __init__(self, policies: Mapping[AlertLevel, AlertPolicy]) -> None:
        self._policies = policies
        self._machines = {level: LevelMachine(policies[level]) for level in RAISED_LEVELS}
        self.level = AlertLevel.GREEN

    def receive_index(
        self, pressure_index: float, speech_s: float, total_s: float
    ) -> LevelChange | None:
        """Take the index after one hop; return the change of level, if there is one."""
        for machine in self._machines.values():
            machine.receive_index(pressure_index, speech_s, total_s)
        active = [level for level, machine in self._machines.items() if machine.active]
        previous, self.level = self.level, max(active, default=AlertLevel.GREEN)
        if self.level is previous:
            return None
        if self.level > previous:
            threshold = self._policies[self.level].raise_threshold
        else:
            threshold = self._policies[previous].clear_threshold
        return LevelChange(self.level, previous, threshold)
