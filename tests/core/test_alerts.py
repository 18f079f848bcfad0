"""Debounce, hysteresis, levels, and the trigger of handoffs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.drive import POLICY
from voiceguard.core.alerts import AlertLadder, AlertState, LevelMachine
from voiceguard.core.events import AlertLevel, HandoffOutcome, HandoffReason
from voiceguard.core.handoffs import Handoffs, explain
from voiceguard.core.policy import AlertPolicy

ALERT = AlertPolicy(
    raise_threshold=60, clear_threshold=40, hold_s=1.0, clear_hold_s=1.5, minimum_speech_s=2.0
)
HOP_S = 0.5
GREEN, YELLOW, ORANGE, RED = AlertLevel


def states(indices: list[float], start_s: float = 10.0) -> list[str]:
    """Return the state after each hop."""
    machine, seen = LevelMachine(ALERT), []
    for count, index in enumerate(indices):
        machine.receive_index(index, HOP_S, start_s + count * HOP_S)
        seen.append(machine.state.name)
    return seen


def test_a_level_is_raised_once_it_has_held() -> None:
    assert states([70, 70, 70]) == ["PENDING", "RAISED", "RAISED"]


def test_time_between_the_thresholds_is_not_held() -> None:
    assert states([70, 50, 50, 50, 70]) == ["PENDING"] * 4 + ["RAISED"]


def test_falling_below_clear_ends_what_was_pending() -> None:
    assert states([70, 30, 70, 70]) == ["PENDING", "CALM", "PENDING", "RAISED"]


def test_a_level_is_cleared_once_it_has_held_and_not_by_a_dip() -> None:
    expected = [
        "PENDING",
        "RAISED",
        "CLEARING",
        "CLEARING",
        "RAISED",
        "CLEARING",
        "CLEARING",
        "CALM",
    ]
    assert states([70, 70, 30, 30, 70, 30, 30, 30]) == expected


def test_nothing_is_pending_before_the_minimum_of_speech() -> None:
    assert states([90, 90, 90, 90, 90], start_s=0.5) == ["CALM"] * 3 + ["PENDING", "RAISED"]


@given(st.lists(st.floats(0, 100), max_size=200))
def test_never_raised_on_a_hop_below_the_raise_threshold(indices: list[float]) -> None:
    machine = LevelMachine(ALERT)
    for count, index in enumerate(indices):
        before = machine.active
        machine.receive_index(index, HOP_S, count * HOP_S)
        if machine.active and not before:
            assert index >= ALERT.raise_threshold
        if before and not machine.active:
            assert index < ALERT.clear_threshold


def test_a_level_without_hold_is_raised_at_once() -> None:
    machine = LevelMachine(replace(ALERT, hold_s=0.0))
    machine.receive_index(60, HOP_S, 2.0)
    assert machine.state is AlertState.RAISED


def test_a_ladder_names_levels_and_thresholds() -> None:
    ladder = AlertLadder(POLICY.alerts)
    changes = []
    for index in [90] * 3 + [0] * 4 + [50] * 2:
        change = ladder.receive_index(index, HOP_S, 30.0)
        if change is not None:
            changes.append((change.level, change.threshold))
    assert changes == [(YELLOW, 40), (RED, 85), (GREEN, 70), (YELLOW, 40)]


def levels(handoffs: Handoffs, *received: tuple[AlertLevel, int]) -> list[str | None]:
    """Give levels at seconds; return the ids of the requests made."""
    return [handoffs.receive_level(level, 90.0, at_s * 8000) for level, at_s in received]


def test_one_request_for_each_time_the_level_is_reached() -> None:
    handoffs = Handoffs(POLICY, cooldown_samples=0)
    made = levels(handoffs, (YELLOW, 1), (ORANGE, 2), (RED, 3), (YELLOW, 4), (ORANGE, 5))
    assert made == [None, "handoff-1", None, None, "handoff-2"]
    assert handoffs.count == 2


def test_a_cooldown_delays_the_next_request_and_does_not_lose_it() -> None:
    handoffs = Handoffs(POLICY, cooldown_samples=10 * 8000)
    made = levels(handoffs, (ORANGE, 1), (GREEN, 2), (ORANGE, 3), (ORANGE, 10), (ORANGE, 11))
    assert made == ["handoff-1", None, None, None, "handoff-2"]


def test_a_level_that_only_lingers_asks_for_nobody() -> None:
    handoffs = Handoffs(POLICY, cooldown_samples=0)
    raise_at = POLICY.alerts[ORANGE].raise_threshold
    assert handoffs.receive_level(ORANGE, raise_at - 1, 8000) is None
    assert handoffs.receive_level(ORANGE, raise_at, 16000) == "handoff-1"


@pytest.mark.parametrize(
    "outcome", [HandoffOutcome.DECLINED, HandoffOutcome.FAILED, HandoffOutcome.EXPIRED]
)
def test_when_nobody_came_and_it_goes_on_somebody_is_asked_again(outcome: HandoffOutcome) -> None:
    handoffs = Handoffs(POLICY, cooldown_samples=5 * 8000)
    assert levels(handoffs, (RED, 1), (RED, 8)) == ["handoff-1", None]
    assert handoffs.receive_outcome("handoff-1", outcome)
    assert levels(handoffs, (RED, 9), (RED, 20)) == ["handoff-2", None]


def test_a_human_who_came_is_not_asked_for_again() -> None:
    handoffs = Handoffs(POLICY, cooldown_samples=0)
    levels(handoffs, (RED, 1))
    assert handoffs.receive_outcome("handoff-1", HandoffOutcome.TRANSFERRED)
    assert not handoffs.receive_outcome("handoff-1", HandoffOutcome.FAILED)
    assert levels(handoffs, (RED, 60), (RED, 120)) == [None, None]


def test_a_policy_may_ask_for_nobody() -> None:
    handoffs = Handoffs(replace(POLICY, handoff_level=None), cooldown_samples=0)
    assert levels(handoffs, (RED, 1)) == [None]


def test_the_explanation_admits_what_is_not_known() -> None:
    early = explain(HandoffReason.DISTRESS, RED, 91.4, None)
    assert "distressed" in early
    assert "91 of 100" in early
    assert "too early" in early
    assert "1.5 standard deviations below" in explain(HandoffReason.ANGER, RED, 91, -1.5)
