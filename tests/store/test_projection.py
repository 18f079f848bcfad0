"""Records into tables: each once, all or none, nothing left of what is erased."""

from __future__ import annotations

import dataclasses
import sqlite3
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.store.support import (
    CALM,
    ERASED,
    FLAGGED,
    HANDOFF,
    ORIGIN,
    SETTLEMENT,
    START_MS,
    VERDICT,
    Log,
    closed,
    opened,
    uid_of,
    whole_content,
)
from voiceguard.evidence.leaves import LeafKind
from voiceguard.store import records
from voiceguard.store.database import Database
from voiceguard.store.errors import DatabaseUnavailableError, ProjectionError
from voiceguard.store.folding import fold
from voiceguard.store.projection import Projection
from voiceguard.store.queries import SessionFinder
from voiceguard.store.records import (
    Accessed,
    AudioKept,
    HandoffColumns,
    HoldSet,
    Noted,
    SettlementColumns,
    VerdictGiven,
)
from voiceguard.store.rows import Order, SessionFilter
from voiceguard.store.upkeep import wrapped_keys

ONE, TWO, THREE = uid_of(1), uid_of(2), uid_of(3)
AUDIO = AudioKept(f"{ONE}.flac.sealed", 123_456, 480_000, True)
VIEWED = Accessed("rita", "viewed", START_MS + 80_000, "")


def whole_life(log, uid=ONE, **changes):
    """Records of a session of every kind, erasure left out."""
    return log.records(
        uid,
        opened(**changes),
        FLAGGED,
        closed(audio="pending"),
        AUDIO,
        VIEWED,
        VERDICT,
        dataclasses.replace(VERDICT, verdict_id="v-2", handoff_id="h-1", kind="false_alarm"),
        HoldSet(True, "carl", "court case 12", START_MS + 95_000),
        HoldSet(False, "carl", "settled", START_MS + 96_000),
        Accessed("rita", "exported", START_MS + 97_000, "bundle"),
    )


def test_a_session_comes_out_as_it_was_told(projection, finder):
    log = Log()
    projection.apply([log.record("", Noted()), *whole_life(log)])
    assert projection.applied() == 11
    row = finder.find("acme", "call-1")
    given_opened, given_closed = opened(), closed()
    for name in ("tenant", "session_id", "call_id", "campaign", "agent_id", "customer",
                 "call_started_at_ms", "opened_at_ms", "policy_version", "policy_sha256",
                 "model_version", "model_sha256", "keep_audio", "retention_days", "wrapped_key",
                 "key_id"):  # fmt: skip
        assert getattr(row, name) == getattr(given_opened, name), name
    for name in ("closed_at_ms", "ended", "events", "retain_until_ms", "audio_s",
                 "customer_speech_s", "peak_pressure_index", "mean_pressure_index", "peak_level",
                 "high_sensitivity", "gaps_s", "windows_missed"):  # fmt: skip
        assert getattr(row, name) == getattr(given_closed, name), name
    for name in ("flagged_at_ms", "flag_offset_s", "flag_pressure_index", "flag_reason"):
        assert getattr(row, name) == getattr(FLAGGED, name), name
    assert (row.audio, row.audio_file, row.audio_bytes, row.audio_samples, row.audio_complete) == (
        "kept", AUDIO.file, 123_456, 480_000, True,
    )  # fmt: skip
    assert (row.uid, row.origin, row.leaves, row.handoff_count) == (ONE, ORIGIN, 10, 1)
    assert (row.verdict, row.first_verdict_at_ms) == ("confirmed", VERDICT.recorded_at_ms)
    assert (row.legal_hold, row.erased_at_ms, row.erased_cause) == (False, None, "")
    (handoff,) = row.handoffs
    assert dataclasses.asdict(handoff) == dataclasses.asdict(HANDOFF) | {"verdict": "false_alarm"}
    assert dataclasses.asdict(row.settlements[0]) == dataclasses.asdict(SETTLEMENT)
    assert [(verdict.n, verdict.kind) for verdict in row.verdicts] == [
        (5, "confirmed"), (6, "false_alarm"),
    ]  # fmt: skip
    assert [(entry.n, entry.actor, entry.action, entry.detail) for entry in
            finder.accesses("acme", ONE)] == [
        (4, "rita", "viewed", ""), (5, "rita", "judged", "confirmed"),
        (6, "rita", "judged", "false_alarm"), (7, "carl", "held", "court case 12"),
        (8, "carl", "released", "settled"), (9, "rita", "exported", "bundle"),
    ]  # fmt: skip
    assert finder.accesses("other", ONE) == []


def test_records_are_kept_with_their_leaves(projection, finder):
    log = Log(size=0)
    told = whole_life(log)
    projection.apply(told)
    kept = finder.records(ONE)
    assert [record.n for record in kept] == list(range(10))
    for record, origin in zip(kept, told, strict=True):
        assert record.leaf == origin.leaf.to_bytes()
        assert (record.kind, record.leaf_index) == (origin.leaf.kind, origin.leaf_index)
        assert record.sealed == origin.sealed
    assert (kept[1].first_event, kept[1].event_count) == (0, 4)
    assert kept[0].first_event is None
    assert [record.n for record in finder.records(ONE, kinds=[LeafKind.VERDICT])] == [5, 6]
    assert [record.n for record in finder.records(ONE, limit=3)] == [0, 1, 2]
    assert finder.records(TWO) == []


def test_events_are_found_from_any_of_them(projection, finder):
    log = Log()
    batches = [dataclasses.replace(CALM, first=first, count=4) for first in (0, 4, 8)]
    projection.apply(log.records(ONE, opened(), *batches, closed(events=12)))
    for at_least, first in ((0, 0), (3, 0), (4, 4), (7, 4), (11, 8)):
        found = finder.records(ONE, first_event_at_least=at_least)
        assert found[0].first_event == first
    assert finder.records(ONE, first_event_at_least=12) == []


def test_what_was_applied_is_skipped(projection, database):
    log = Log()
    told = whole_life(log)
    projection.apply(told[:4])
    projection.apply(told[:4])
    projection.apply(told)
    once = whole_content(database)
    projection.apply(told)
    projection.apply([])
    assert whole_content(database) == once
    assert len(once["records"]) == 10


def test_batch_is_applied_whole_or_not_at_all(projection, database):
    log = Log()
    projection.apply(log.records(ONE, opened()))
    before = whole_content(database)
    bad = [*log.records(TWO, opened(session_id="call-2"), FLAGGED), log.record(THREE, CALM)]
    with pytest.raises(ProjectionError, match=f"record 3 .events. is of session '{THREE}', which"):
        projection.apply(bad)
    assert whole_content(database) == before
    projection.apply(bad[:2])
    assert projection.applied() == 3


def test_records_that_do_not_follow_are_refused(projection):
    log = Log()
    first = log.records(ONE, opened(), CALM)
    with pytest.raises(ProjectionError, match="records 0 to 0 of the evidence log are missing"):
        projection.apply(first[1:])
    projection.apply(first)
    again = Log(size=2)
    with pytest.raises(ProjectionError, match="opens a second time"):
        projection.apply([again.record(ONE, opened())])
    again = Log(size=2)
    again.record(ONE, CALM)
    again.size = 2
    with pytest.raises(ProjectionError, match=r"number 1 of session .*holds 2"):
        projection.apply([again.record(ONE, CALM)])
    with pytest.raises(ProjectionError, match="not in order or have gaps"):
        projection.apply([log.record(ONE, CALM), *Log(size=9).records(TWO, opened())])


def test_live_session_shows_what_is_known_so_far(projection, finder):
    log = Log()
    projection.apply(log.records(ONE, opened()))
    row = finder.find("acme", "call-1")
    assert (row.closed_at_ms, row.ended, row.audio, row.events) == (None, "", "", 0)
    projection.apply(log.records(ONE, CALM))
    row = finder.find("acme", "call-1")
    assert (row.peak_pressure_index, row.peak_level, row.high_sensitivity) == (20.0, 1, False)
    projection.apply(log.records(ONE, dataclasses.replace(FLAGGED, first=4)))
    row = finder.find("acme", "call-1")
    assert (row.peak_level, row.high_sensitivity, row.events, row.handoff_count) == (3, True, 8, 1)
    assert [(one.uid, one.leaves, one.events) for one in finder.unfinished(ORIGIN)] == [(ONE, 3, 8)]
    assert finder.unfinished("another/log") == []
    projection.apply(log.records(ONE, closed(ended="interrupted", high_sensitivity=False)))
    assert finder.find("acme", "call-1").high_sensitivity  # a flag stays
    assert finder.unfinished(ORIGIN) == []


def test_id_used_again_gets_a_number(projection, finder):
    log = Log()
    projection.apply(log.records(ONE, opened()))
    projection.apply(
        [log.record(TWO, opened()), log.record(THREE, opened()),
         log.record(uid_of(4), opened(tenant="other"))]
    )  # fmt: skip
    names = {uid: finder.find_uid(uid).session_id for uid in (ONE, TWO, THREE, uid_of(4))}
    assert names == {ONE: "call-1", TWO: "call-1~2", THREE: "call-1~3", uid_of(4): "call-1"}
    assert finder.find("acme", "call-1~3").uid == THREE
    assert finder.find("other", "call-1").uid == uid_of(4)
    for unknown in (
        "call-1~1",
        "call-1~4",
        "call-1~",
        "call-1~x",
        "call-1~²",
        "call-1~" + "9" * 30,
    ):
        assert finder.find("acme", unknown) is None


def test_logs_share_a_database(database):
    ours, theirs = Projection(database, ORIGIN), Projection(database, "other/log")
    ours.apply(Log().records(ONE, opened()))
    log = Log()
    theirs.apply(log.records(TWO, opened(), CALM))
    assert (ours.applied(), theirs.applied()) == (1, 2)
    assert SessionFinder(database).find("acme", "call-1~2").origin == "other/log"
    with pytest.raises(ProjectionError, match="does not know"):
        theirs.apply([dataclasses.replace(Log(2).record(ONE, CALM))])


# ---- erasure ----


SECRETS = {
    "call_id": "S-call", "campaign": "S-campaign", "agent_id": "S-agent",
    "customer": "S-customer", "wrapped_key": "S-wrapped",
}  # fmt: skip


def secret_life(log):
    handoff = dataclasses.replace(HANDOFF, explanation="S-explanation")
    settlement = dataclasses.replace(SETTLEMENT, reason="S-reason")
    events = dataclasses.replace(
        FLAGGED, flag_reason="S-flag", handoffs=(handoff,), settlements=(settlement,)
    )
    return log.records(
        ONE,
        opened(**SECRETS),
        events,
        closed(audio="pending"),
        AUDIO,
        Accessed("rita", "heard", START_MS, "S-part"),
        VERDICT,
        HoldSet(True, "carl", "S-court", START_MS + 95_000),
        HoldSet(False, "carl", "S-settled", START_MS + 96_000),
    )


def test_erased_session_leaves_a_tombstone(projection, finder, database):
    log = Log()
    told = secret_life(log)
    projection.apply(told)
    leaves = [record.leaf for record in finder.records(ONE)]
    projection.apply(log.records(ONE, ERASED))
    row = finder.find("acme", "call-1")
    assert (row.erased_at_ms, row.erased_cause) == (ERASED.at_ms, "request")
    assert (row.opened_at_ms, row.closed_at_ms, row.ended) == (START_MS, START_MS + 60_000,
                                                               "completed")  # fmt: skip
    assert (row.policy_version, row.model_sha256) == ("default@sha256:0011", "11" * 32)
    assert (row.handoffs, row.settlements, row.verdicts) == ((), (), ())
    assert (row.high_sensitivity, row.peak_level, row.peak_pressure_index) == (False, 0, 0.0)
    assert (row.flagged_at_ms, row.first_verdict_at_ms, row.verdict) == (None, None, "")
    assert (row.retain_until_ms, row.audio, row.call_started_at_ms) == (None, "none", None)
    records_now = finder.records(ONE)
    assert [record.leaf for record in records_now[:-1]] == leaves
    assert [record.leaf_index for record in records_now] == list(range(9))
    assert all(record.sealed == b"" for record in records_now)
    accesses = finder.accesses("acme", ONE)
    assert [(entry.action, entry.detail) for entry in accesses] == [
        ("heard", ""), ("judged", ""), ("held", ""), ("released", ""),
        ("erased", "asked for by letter"),
    ]  # fmt: skip
    assert "S-" not in repr(whole_content(database))
    assert wrapped_keys(database, ORIGIN, "k1", 10) == []


def test_erased_text_is_in_no_file_of_sqlite(tmp_path):
    database = Database.open(f"sqlite:///{tmp_path}/sessions.db")
    projection = Projection(database, ORIGIN)
    log = Log()
    projection.apply(secret_life(log))
    projection.apply(Log(size=log.size).records(TWO, opened(session_id="other")))
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"S-wrapped" in content
    assert b"S-explanation" in content
    log.size += 1
    projection.apply(log.records(ONE, ERASED))
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    database.close()
    assert b"S-" not in content
    assert f"sealed {ONE}".encode() not in content


def test_scrubbing_waits_for_readers_and_is_made_up_for(tmp_path):
    database = Database.open(f"sqlite:///{tmp_path}/sessions.db")
    projection = Projection(database, ORIGIN)
    log = Log()
    told = secret_life(log)
    projection.apply(told)
    with database.engine.connect() as reader:
        with reader.begin():
            reader.exec_driver_sql("SELECT count(*) FROM sessions").scalar()
            projection.apply(log.records(ONE, ERASED))
            assert b"S-wrapped" in b"".join(path.read_bytes() for path in tmp_path.iterdir())
        projection.apply(told)  # nothing new, and yet
    assert b"S-wrapped" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    database.close()


def test_nothing_comes_back_to_an_erased_session(projection, finder, database):
    log = Log()
    projection.apply(secret_life(log))
    projection.apply(log.records(ONE, ERASED))
    late = log.records(
        ONE,
        dataclasses.replace(AUDIO, file="late.flac.sealed"),
        FLAGGED,
        VERDICT,
        closed(ended="failed", closed_at_ms=START_MS + 5),
        Accessed("carl", "viewed", START_MS + 300_000, ""),
        dataclasses.replace(ERASED, at_ms=START_MS + 400_000, reason="again"),
    )
    projection.apply(late)
    row = finder.find("acme", "call-1")
    assert (row.high_sensitivity, row.peak_level, row.verdict, row.handoffs) == (False, 0, "", ())
    assert (row.erased_at_ms, row.retain_until_ms) == (ERASED.at_ms, None)
    assert all(record.sealed == b"" for record in finder.records(ONE))
    assert [one.file for one in finder.left_audio(ORIGIN, 10)] == ["late.flac.sealed"]
    assert "asked for by letter" in [entry.detail for entry in finder.accesses("acme", ONE)]
    assert finder.page("acme", SessionFilter(unreviewed_only=True), Order.STARTED, 9).rows == ()


def test_audio_of_the_erased_is_named_until_it_is_deleted(projection, finder):
    log = Log()
    projection.apply(secret_life(log))
    assert finder.left_audio(ORIGIN, 10) == []
    projection.forget_audio([ONE])  # not erased: its audio is needed
    assert finder.find_uid(ONE).audio_file == AUDIO.file
    projection.apply(log.records(ONE, ERASED))
    assert [(one.uid, one.file) for one in finder.left_audio(ORIGIN, 10)] == [(ONE, AUDIO.file)]
    assert finder.left_audio("another/log", 10) == []
    projection.forget_audio([ONE])
    assert finder.left_audio(ORIGIN, 10) == []


# ---- however it is cut ----


def several_lives():
    log = Log()
    lives = [
        [opened(session_id="a"), FLAGGED, closed(), VERDICT, VIEWED, ERASED, VIEWED],
        [opened(session_id="a"), CALM, FLAGGED, closed(audio="pending"), AUDIO,
         dataclasses.replace(VERDICT, handoff_id="h-1"), HoldSet(True, "c", "why", 5)],
        [opened(session_id="b"), CALM, closed(), VERDICT,
         dataclasses.replace(VERDICT, kind="unsure")],
    ]  # fmt: skip
    told = []
    for turn in range(max(map(len, lives))):
        for number, life in enumerate(lives):
            if turn < len(life):
                told.append(log.record(uid_of(number), life[turn]))
    told.append(log.record("", Noted()))
    return told


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(cuts=st.sets(st.integers(1, 18)), repeated=st.integers(0, 5))
def test_however_records_are_cut_into_batches(cuts, repeated, tmp_path_factory):
    told = several_lives()
    contents = []
    for edges in ([], sorted(cuts)):
        folder = tmp_path_factory.mktemp("cut")
        database = Database.open(f"sqlite:///{folder}/sessions.db")
        projection = Projection(database, ORIGIN)
        for start, end in zip([0, *edges], [*edges, len(told)], strict=True):
            projection.apply(told[max(start - repeated, 0) : end])
        contents.append(whole_content(database))
        database.close()
    assert contents[0] == contents[1]


def test_every_type_of_columns_is_folded():
    """A type that is added must be thought of: `assert_never` is for mypy, this is for people."""
    log = Log()
    told = [*whole_life(log), *log.records(ONE, ERASED), log.record("", Noted())]
    assert {type(record.columns) for record in told} == set(get_args(records.Columns))
    assert len(fold(told, {}, {}, ORIGIN).records) == len(told) - 1


# ---- hostile text ----

NASTY = [
    "'; DROP TABLE sessions; --",
    '" OR ""="',
    "<script>alert(1)</script>",
    "%_%\\",
    "$1 :name ? {0} %(x)s %s",
    "客户 · ünï ☎ 🤬",
    "\r\n\t\x01\x7f\u202e",
    "x" * 100_000,
    "",
]


@pytest.mark.parametrize("text", NASTY, ids=lambda text: repr(text[:12]))
def test_any_text_comes_back_as_it_was(projection, finder, text):
    short = text[:256]
    handoff = HandoffColumns(text, text, 1, 1.0, 1.0, text, text, 1.0)
    settlement = SettlementColumns(text, text, text, 2)
    log = Log()
    projection.apply(
        log.records(
            ONE,
            opened(session_id=f"s{short}"[:256], call_id=short, campaign=short, agent_id=short,
                   customer=short, policy_version=text, model_version=text),
            dataclasses.replace(FLAGGED, flag_reason=text, handoffs=(handoff,),
                                settlements=(settlement,)),
            closed(ended=text),
            VerdictGiven(text, text, text, text, 3),
            Accessed(text, text, 4, text),
            HoldSet(True, text, text, 5),
        )
    )  # fmt: skip
    row = finder.find("acme", f"s{short}"[:256])
    assert (row.call_id, row.campaign, row.agent_id, row.customer) == (short,) * 4
    assert (row.policy_version, row.flag_reason, row.ended) == (text,) * 3
    assert (row.handoffs[0].explanation, row.settlements[0].reason) == (text, text)
    assert (row.verdicts[0].reviewer, row.verdicts[0].kind) == (text, text)
    assert finder.accesses("acme", ONE)[1].detail == text
    asked = SessionFilter(campaign=short, agent_id=short, call_id=short, customer=short,
                          verdict=text)  # fmt: skip
    assert len(finder.page("acme", asked, Order.STARTED, 5).rows) == 1
    if text:
        other = SessionFilter(campaign=short + "x")
        assert len(finder.page("acme", other, Order.STARTED, 5).rows) == (len(short) == 256)


@pytest.mark.parametrize("text", ["nul\0led", "half \ud800 a pair", "\udfff"])
def test_text_that_no_database_takes_is_mended(projection, finder, text):
    mended = text.replace("\0", "\ufffd").replace("\ud800", "\ufffd").replace("\udfff", "\ufffd")
    log = Log()
    projection.apply(
        log.records(ONE, opened(session_id=text, campaign=text),
                    dataclasses.replace(FLAGGED, flag_reason=text),
                    dataclasses.replace(VERDICT, reviewer=text))
    )  # fmt: skip
    row = finder.find("acme", text)
    assert (row.session_id, row.campaign, row.flag_reason) == (mended,) * 3
    assert finder.page("acme", SessionFilter(campaign=text), Order.STARTED, 5).rows == (row,)


def test_longest_texts_in_four_bytes_a_character(projection, finder):
    text = "".join(chr(0x20000 + 37 * index) for index in range(400))  # cannot be compressed
    log = Log()
    projection.apply(
        log.records(ONE, opened(session_id=text, campaign=text, agent_id=text, call_id=text))
    )
    assert finder.find("acme", text).campaign == text[:256]


def test_numbers_that_no_database_takes_are_mended(projection, finder):
    log = Log()
    nan, infinite = float("nan"), float("inf")
    projection.apply(
        log.records(ONE, opened(retention_days=infinite, call_started_at_ms=-(10**30)),
                    dataclasses.replace(CALM, peak_pressure_index=nan),
                    closed(retain_until_ms=10**30, mean_pressure_index=nan,
                           peak_pressure_index=nan))
    )  # fmt: skip
    row = finder.find("acme", "call-1")
    assert (row.retention_days, row.mean_pressure_index) == (infinite, 0.0)
    assert (row.retain_until_ms, row.call_started_at_ms) == (2**63 - 1, -(2**63 - 1))


# ---- the database away ----


def test_database_gone_and_back(postgres):
    database = Database.open(postgres.migrated_database())
    projection, finder = Projection(database, ORIGIN), SessionFinder(database)
    log = Log()
    projection.apply(log.records(ONE, opened()))
    postgres.stop()
    try:
        batch = log.records(ONE, FLAGGED, closed())
        for _ in range(2):
            with pytest.raises(DatabaseUnavailableError):
                projection.apply(batch)
            with pytest.raises(DatabaseUnavailableError):
                finder.find("acme", "call-1")
    finally:
        postgres.start()
    projection.apply(batch)
    assert finder.find("acme", "call-1").leaves == 3
    database.close()


def test_connection_cut_within_a_transaction(postgres):
    database = Database.open(postgres.migrated_database())
    with pytest.raises(DatabaseUnavailableError), database.writing() as connection:
        connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
    assert Projection(database, ORIGIN).applied() == 0
    database.close()


def test_full_disk(tmp_path):
    database = Database.open(f"sqlite:///{tmp_path}/sessions.db")
    projection = Projection(database, ORIGIN)
    log = Log()
    projection.apply(log.records(ONE, opened()))
    before = whole_content(database)
    with database.engine.connect() as connection:
        limit_pages(connection, 1)
    big = dataclasses.replace(FLAGGED, flag_reason="x" * 500_000)
    batch = log.records(ONE, big, closed())
    with pytest.raises(DatabaseUnavailableError, match="database or disk is full"):
        projection.apply(batch)
    assert whole_content(database) == before
    with database.engine.connect() as connection:
        limit_pages(connection, 1_000_000)
    projection.apply(batch)
    assert projection.applied() == 3
    database.close()


def limit_pages(connection, pages):
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    driver.execute(f"PRAGMA max_page_count = {pages}").close()
