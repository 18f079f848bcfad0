"""Finding sessions: filters, orders, pages, statistics, keys and documents."""

from __future__ import annotations

import dataclasses
import statistics
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from tests.store.support import (
    CALM,
    ERASED,
    FLAGGED,
    HANDOFF,
    ORIGIN,
    START_MS,
    VERDICT,
    Log,
    closed,
    opened,
    uid_of,
)
from voiceguard.store.projection import Projection
from voiceguard.store.records import HoldSet, Opened, VerdictGiven
from voiceguard.store.rows import Cursor, Order, SessionFilter, WrappedKey
from voiceguard.store.upkeep import expired, wrapped_keys

DAY_MS = 86_400_000


@dataclasses.dataclass(frozen=True)
class Made:
    """A session as a test made it up."""

    number: int
    opened: Opened
    peak: float
    level: int
    flagged: bool
    verdicts: tuple[str, ...]
    held: bool
    erased: bool

    @property
    def uid(self):
        return uid_of(self.number)

    def records(self, log):
        at_ms = self.opened.opened_at_ms
        events = dataclasses.replace(
            FLAGGED if self.flagged else CALM,
            peak_pressure_index=self.peak, peak_level=self.level,
            **({"flagged_at_ms": at_ms + 1000} if self.flagged else {}),
        )  # fmt: skip
        told = [self.opened, events]
        told.append(closed(peak_pressure_index=self.peak, peak_level=self.level,
                           high_sensitivity=self.flagged, closed_at_ms=at_ms + 9000))  # fmt: skip
        told += [dataclasses.replace(VERDICT, kind=kind) for kind in self.verdicts]
        told += [HoldSet(True, "carl", "", at_ms)] if self.held else []
        told += [ERASED] if self.erased else []
        return log.records(self.uid, *told)

    def matches(self, wanted):
        """What `SessionFilter` says, in other words."""
        call = self.opened
        if self.erased and (
            wanted.campaign or wanted.agent_id or wanted.call_id or wanted.customer
            or wanted.high_sensitivity_only or wanted.min_level or wanted.unreviewed_only
            or wanted.verdict
        ):  # fmt: skip
            return False
        return (
            call.tenant == "acme"
            and wanted.campaign in {"", call.campaign}
            and wanted.agent_id in {"", call.agent_id}
            and wanted.call_id in {"", call.call_id}
            and wanted.customer in {"", call.customer}
            and (not wanted.high_sensitivity_only or self.flagged)
            and self.level >= wanted.min_level * (not self.erased)
            and (wanted.started_after_ms is None or call.opened_at_ms >= wanted.started_after_ms)
            and (wanted.started_before_ms is None or call.opened_at_ms < wanted.started_before_ms)
            and (not wanted.unreviewed_only or not self.verdicts)
            and (not wanted.verdict or wanted.verdict in self.verdicts)
            and (not wanted.legal_hold_only or self.held)
        )

    def key(self, order):
        peak = 0.0 if self.erased else self.peak
        return (self.opened.opened_at_ms if order is Order.STARTED else peak, self.uid)


def make(number):
    """Return a session; neighbours differ in some things and share others."""
    verdicts = ((), (), (), ("confirmed",), ("false_alarm", "confirmed"), ("unsure",))[number % 6]
    return Made(
        number,
        opened(
            tenant="other" if number % 13 == 12 else "acme", session_id=f"s-{number}",
            campaign=("spring", "autumn", "")[number % 3], agent_id=f"a-{number % 4}",
            call_id=f"c-{number}", customer=f"p-{number % 5}",
            opened_at_ms=START_MS + 3_600_000 * (number // 2),
        ),
        peak=float(number * 37 % 10 * 10), level=1 + number % 4, flagged=number % 5 < 2,
        verdicts=verdicts, held=number % 11 == 3, erased=number % 17 == 16,
    )  # fmt: skip


MADE = [make(number) for number in range(60)]
FILTERS = st.builds(
    SessionFilter,
    high_sensitivity_only=st.booleans(),
    min_level=st.sampled_from([0, 0, 1, 2, 3, 4]),
    started_after_ms=st.none() | st.integers(0, 30).map(lambda hours: START_MS + 3_600_000 * hours),
    started_before_ms=st.none()
    | st.integers(0, 30).map(lambda hours: START_MS + 3_600_000 * hours),
    campaign=st.sampled_from(["", "", "spring", "autumn", "none"]),
    agent_id=st.sampled_from(["", "", "a-1", "a-2"]),
    call_id=st.sampled_from(["", "", "", "c-7", "c-16"]),
    customer=st.sampled_from(["", "", "p-1", "p-4"]),
    unreviewed_only=st.booleans(),
    verdict=st.sampled_from(["", "", "", "confirmed", "false_alarm", "unsure"]),
    legal_hold_only=st.sampled_from([False, False, False, True]),
)


@pytest.fixture
def filled(projection, finder):
    log = Log()
    projection.apply([record for made in MADE for record in made.records(log)])
    return finder


def pages(finder, wanted, order, size, between=lambda: None):
    cursor: Cursor | None = None
    while True:
        page = finder.page("acme", wanted, order, size, after=cursor, with_total=True)
        assert len(page.rows) <= size
        yield from page.rows
        if page.next is None:
            return
        assert len(page.rows) == size
        cursor = page.next
        between()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(wanted=FILTERS, order=st.sampled_from(Order), size=st.integers(1, 70))
def test_pages_joined_are_the_whole(filled, wanted, order, size):
    expected = sorted(
        (made for made in MADE if made.matches(wanted)), key=lambda made: made.key(order)
    )[::-1]
    found = [row.uid for row in pages(filled, wanted, order, size)]
    assert found == [made.uid for made in expected]
    page = filled.page("acme", wanted, order, size, with_total=True)
    assert page.total == len(expected)
    assert filled.page("acme", wanted, order, size).total is None


@pytest.mark.parametrize("order", Order)
def test_pages_are_stable_while_sessions_arrive(filled, database, order):
    before = [row.uid for row in pages(filled, SessionFilter(), order, 100)]
    number = 1000
    # Another log of the same database, as another server would write it.
    projection, log = Projection(database, "second/log"), Log()

    def arrive():
        nonlocal number
        projection.apply(make(number).records(log))
        number += 3

    found = [row.uid for row in pages(filled, SessionFilter(), order, 7, arrive)]
    assert len(set(found)) == len(found)
    assert [uid for uid in found if uid in set(before)] == before


def test_a_page_takes_as_many_statements_whatever_its_size(filled, database):
    statements = []
    event.listen(database.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    counts = []
    for size in (1, 50):
        statements.clear()
        filled.page("acme", SessionFilter(), Order.STARTED, size)
        counts.append(len([text for text in statements if text.startswith("SELECT")]))
    assert counts == [5, 5]  # keys, sessions, handoffs, settlements, verdicts


def test_pages_show_what_find_shows(filled):
    for row in filled.page("acme", SessionFilter(), Order.PEAK, 100).rows:
        assert filled.find("acme", row.session_id) == row == filled.find_uid(row.uid)
    assert filled.find("other", "s-0") is None
    assert filled.find("acme", "nothing") is None
    assert filled.find_uid("00") is None


def test_finder_serves_many_threads(filled):
    def look(number):
        return filled.page("acme", SessionFilter(), Order.STARTED, 1 + number % 5).rows[0].uid

    with ThreadPoolExecutor(12) as pool:
        assert len(set(pool.map(look, range(60)))) == 1


# ---- retention, keys, documents ----


def test_expired_sessions_are_those_that_retention_may_erase(projection, database):
    log = Log()
    lives = {
        1: [closed(retain_until_ms=3000)],
        2: [closed(retain_until_ms=1000)],
        3: [closed(retain_until_ms=2000), HoldSet(True, "c", "", 1)],
        4: [closed(retain_until_ms=2000), HoldSet(True, "c", "", 1), HoldSet(False, "c", "", 2)],
        5: [closed(retain_until_ms=4001)],
        6: [],  # live
        7: [closed(retain_until_ms=1), ERASED],
    }
    for number, life in lives.items():
        projection.apply(log.records(uid_of(number), opened(), *life))
    assert expired(database, ORIGIN, 4000, 10) == [uid_of(2), uid_of(4), uid_of(1)]
    assert expired(database, ORIGIN, 4000, 1) == [uid_of(2)]
    assert expired(database, "voiceguard.test/other", 4000, 10) == []


def test_keys_are_replaced_but_not_of_the_erased(projection, finder, database):
    log = Log()
    for number in range(5):
        projection.apply(log.records(uid_of(number), opened(), closed()))
    every = wrapped_keys(database, ORIGIN, "k1", 10)
    assert {key.uid for key in every} == set(map(uid_of, range(5)))
    assert wrapped_keys(database, "voiceguard.test/other", "k1", 10) == []
    keys, rest = every[:3], every[3:]
    projection.apply(log.records(keys[0].uid, ERASED))
    finder.replace_wrapped_keys([WrappedKey(key.uid, "anew", "k2") for key in keys])
    finder.replace_wrapped_keys([])
    assert finder.find_uid(keys[0].uid).wrapped_key == ""
    anew = wrapped_keys(database, ORIGIN, "k2", 10)
    assert {(key.uid, key.wrapped_key) for key in anew} == {(key.uid, "anew") for key in keys[1:]}
    assert finder.find_uid(rest[0].uid).key_id == "k1"
    assert "anew" not in repr(finder.find_uid(keys[1].uid))


def test_documents_are_kept_once(finder):
    assert finder.document("ab" * 32) is None
    finder.put_document("ab" * 32, "policy", b"first\0\xff")
    finder.put_document("ab" * 32, "policy", b"second")
    assert finder.document("ab" * 32) == b"first\0\xff"


# ---- statistics ----


def judged(kind, handoff_id="", at_ms=START_MS + 90_000):
    return VerdictGiven("v", handoff_id, kind, "rita", at_ms)


def test_newest_verdict_on_a_handoff_or_else_on_its_session_counts(projection, finder):
    log = Log()
    two = dataclasses.replace(
        FLAGGED, handoffs=(HANDOFF, dataclasses.replace(HANDOFF, handoff_id="h-2"))
    )
    projection.apply(
        [
            *log.records(uid_of(1), opened(), two, closed(), judged("false_alarm"),
                         judged("unsure", "h-2"), judged("confirmed", "h-2"), judged("unsure")),
            *log.records(uid_of(2), opened(), FLAGGED, closed()),
            *log.records(uid_of(3), opened(), FLAGGED, closed(), judged("false_alarm")),
            *log.records(uid_of(4), opened(), CALM, closed(high_sensitivity=False),
                         judged("confirmed")),
            *log.records(uid_of(5), opened(), FLAGGED, closed(), judged("confirmed"), ERASED),
        ]
    )  # fmt: skip
    total = finder.statistics("acme").total
    assert (total.sessions, total.flagged, total.flagged_reviewed) == (4, 3, 2)
    assert (total.handoffs, total.confirmed, total.false_alarms, total.unsure) == (4, 1, 1, 1)
    assert finder.statistics("other").total.sessions == 0
    assert finder.statistics("other").total.median_time_to_verdict_s is None


def test_statistics_are_what_counting_by_hand_gives(filled):
    living = [made for made in MADE if made.opened.tenant == "acme" and not made.erased]
    found = filled.statistics("acme", utc_offset_minutes=480)
    waits = [
        (VERDICT.recorded_at_ms - made.opened.opened_at_ms - 1000) / 1000
        for made in living
        if made.flagged and made.verdicts
    ]
    assert found.total.sessions == len(living)
    assert found.total.flagged == sum(made.flagged for made in living)
    assert found.total.flagged_reviewed == len(waits)
    assert found.total.median_time_to_verdict_s == statistics.median(max(w, 0) for w in waits)
    assert sum(day.sessions for day in found.days) == len(living)
    assert [day.name for day in found.days] == sorted(day.name for day in found.days)
    by_campaign = {row.name: row.sessions for row in found.campaigns}
    assert by_campaign == {
        name: sum(made.opened.campaign == name for made in living) for name in ("spring", "autumn")
    }
    assert found.campaigns[0].sessions >= found.campaigns[1].sessions
    one = filled.statistics("acme", campaign="spring")
    assert (one.total.sessions, len(one.campaigns)) == (by_campaign["spring"], 1)


@pytest.mark.parametrize(
    ("offset_minutes", "day"), [(0, "2026-11-24"), (480, "2026-11-25"), (-840, "2026-11-23")]
)
def test_a_day_begins_where_the_reviewer_is(projection, finder, offset_minutes, day):
    at_ms = 1_795_564_800_000 - 4 * 3_600_000  # 2026-11-24 20:00 UTC
    at_ms -= 12 * 3_600_000 if offset_minutes < 0 else 0
    projection.apply(Log().records(uid_of(1), opened(opened_at_ms=at_ms)))
    found = finder.statistics("acme", utc_offset_minutes=offset_minutes)
    assert [row.name for row in found.days] == [day]


def test_statistics_of_a_time_have_its_start_and_not_its_end(projection, finder):
    log = Log()
    for number in range(3):
        at_ms = START_MS + number * DAY_MS
        projection.apply(log.records(uid_of(number), opened(opened_at_ms=at_ms)))
    found = finder.statistics("acme", after_ms=START_MS, before_ms=START_MS + 2 * DAY_MS)
    assert found.total.sessions == 2
    assert finder.find_uid(uid_of(0)).origin == ORIGIN
