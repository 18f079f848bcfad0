"""Lines of events: the same event gives the same bytes for ever, and comes back as it was."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceguard.core.events import (
    AlertChanged,
    AlertLevel,
    HandoffOutcome,
    HandoffReason,
    HandoffRequested,
    HandoffSettled,
    PressureUpdated,
    SignalQuality,
)
from voiceguard.store.eventcodec import EVENT_TYPES, event_from_line, event_to_line

EVENTS = st.one_of([st.from_type(kind) for kind in EVENT_TYPES])


def rounded(value):
    if isinstance(value, Mapping):
        return {name: rounded(item) for name, item in value.items()}
    return round(value, 5) if isinstance(value, float) else value


@given(EVENTS.filter(lambda event: "nan" not in repr(event)), st.integers(0), st.integers(0))
def test_events_come_back(event, sequence, at_ms):
    line = event_to_line(event, sequence, at_ms)
    assert "\n" not in line
    fields = {item.name: getattr(event, item.name) for item in dataclasses.fields(event)}
    expected = type(event)(**{name: rounded(value) for name, value in fields.items()})
    assert event_from_line(line) == (expected, sequence, at_ms)
    again, *_ = event_from_line(line)
    assert event_to_line(again, sequence, at_ms) == line


# What logs hold commits to these bytes: none of them may change.
LINES = [
    (
        PressureUpdated(
            0, 4000, 8000, 41.2500049, {"anger": 0.1234567, "distress": 1.0}, -0.5, True, 0.9,
            SignalQuality.OK, AlertLevel.YELLOW,
        ),
        ('{"seq":7,"at_ms":1700000000000,"event":"pressure_updated","channel":0,'
         '"start_sample":4000,"end_sample":8000,"pressure_index":41.25,'
         '"scores":{"anger":0.12346,"distress":1.0},"baseline_deviation":-0.5,'
         '"baseline_ready":true,"confidence":0.9,"quality":"ok","level":"yellow"}'),
    ),
    (
        AlertChanged("a-1", AlertLevel.RED, AlertLevel.GREEN, 1, 8000, 91.5, 80.0),
        ('{"seq":7,"at_ms":1700000000000,"event":"alert_changed","alert_id":"a-1",'
         '"level":"red","previous_level":"green","channel":1,"at_sample":8000,'
         '"pressure_index":91.5,"threshold":80.0}'),
    ),
    (
        HandoffRequested("h-1", "a-1", 0, 1, 90.0, HandoffReason.ANGER, '说\u2028"x"', 10.0),
        ('{"seq":7,"at_ms":1700000000000,"event":"handoff_requested","handoff_id":"h-1",'
         '"alert_id":"a-1","channel":0,"at_sample":1,"pressure_index":90.0,"reason":"anger",'
         '"explanation":"说\u2028\\"x\\"","ack_deadline_s":10.0}'),
    ),
    (
        HandoffSettled("h-1", HandoffOutcome.EXPIRED, ""),
        ('{"seq":7,"at_ms":1700000000000,"event":"handoff_settled","handoff_id":"h-1",'
         '"outcome":"expired","reason":""}'),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("event", "line"), LINES)
def test_bytes_of_an_event_do_not_change(event, line):
    assert event_to_line(event, 7, 1_700_000_000_000) == line


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[]",
        '{"seq":0,"at_ms":0,"event":"unheard_of"}',
        '{"seq":0,"at_ms":0,"event":"handoff_settled","handoff_id":"h","outcome":"?","reason":""}',
        '{"seq":0,"at_ms":0,"event":"handoff_settled","handoff_id":"h","outcome":"expired"}',
        '{"seq":0,"at_ms":0,"event":"handoff_settled","handoff_id":"h","reason":""}',
    ],
)
def test_other_lines_are_refused(line):
    with pytest.raises((ValueError, KeyError, TypeError)):
        event_from_line(line)
