from __future__ import annotations

import enum

import pytest

from voiceguard.core.statetable import StateTable, StateTableError


class Door(enum.Enum):
    OPEN = enum.auto()
    SHUT = enum.auto()


class Push(enum.Enum):
    PULL = enum.auto()
    PUSH = enum.auto()


def door(transitions=None, ignored=None) -> StateTable[Door, Push]:
    return StateTable(
        "door",
        Door.SHUT,
        transitions or {Door.SHUT: {Push.PUSH: Door.OPEN}, Door.OPEN: {Push.PULL: Door.SHUT}},
        ignored or {Door.SHUT: {Push.PULL}, Door.OPEN: {Push.PUSH}},
    )


def test_it_moves_where_the_table_says_and_stays_where_ignored():
    assert door().next_state(Door.SHUT, Push.PUSH) is Door.OPEN
    assert door().next_state(Door.SHUT, Push.PULL) is Door.SHUT


def test_a_forgotten_pair_is_refused():
    with pytest.raises(StateTableError, match="SHUT says nothing about PULL"):
        door(ignored={Door.OPEN: {Push.PUSH}})


def test_a_pair_both_followed_and_ignored_is_refused():
    with pytest.raises(StateTableError, match="SHUT both follows and ignores PUSH"):
        door(ignored={Door.SHUT: {Push.PULL, Push.PUSH}, Door.OPEN: {Push.PUSH}})


def test_a_state_nothing_leads_to_is_refused():
    with pytest.raises(StateTableError, match="no path leads to OPEN"):
        door(
            transitions={Door.SHUT: {Push.PUSH: Door.SHUT}, Door.OPEN: {Push.PULL: Door.SHUT}},
        )


def test_a_table_without_transitions_is_refused():
    with pytest.raises(StateTableError, match="no transition"):
        door(transitions={Door.SHUT: {}})


def test_the_diagram_is_the_table():
    assert door().to_mermaid() == (
        "stateDiagram-v2\n"
        "    [*] --> SHUT\n"
        "    OPEN --> SHUT: PULL\n"
        "    SHUT --> OPEN: PUSH\n"
    )  # fmt: skip
    assert door().to_markdown() == (
        "| state | PULL | PUSH |\n|---|---|---|\n| OPEN | SHUT | · |\n| SHUT | · | OPEN |\n"
    )
