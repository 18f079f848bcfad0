"""The disk is full, the database is away, a key is wrong: nothing breaks, nothing is harmed."""

import errno
import os
import time

import pytest
from sqlalchemy import text

from tests.store.calls import (
    CHUNK_SAMPLES,
    call_audio,
    finished,
    flagged,
    flagged_call,
    opening,
    pressure,
)
from tests.store.waiting import settle, wait_until
from voiceguard.core.errors import ConfigurationError
from voiceguard.evidence.leaves import Leaf, LeafKind
from voiceguard.store import projector as projector_module
from voiceguard.store import recorder as recorder_module
from voiceguard.store import spool as spool_module
from voiceguard.store.archive import Archive
from voiceguard.store.database import Database
from voiceguard.store.errors import (
    DatabaseError,
    DatabaseUnavailableError,
    StoreError,
    StoreFullError,
)
from voiceguard.store.health import StoreState
from voiceguard.store.settings import ArchiveSettings


@pytest.fixture
def data_dir(tmp_path):
    return tmp_path / "data"


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch):
    for module in (recorder_module, projector_module):
        monkeypatch.setattr(module, "FIRST_RETRY_S", 0.02)
        monkeypatch.setattr(module, "LAST_RETRY_S", 0.05)


def opened(data_dir, reports=None, **changes):
    said = [] if reports is None else reports
    archive = Archive.open(
        ArchiveSettings(data_dir=data_dir, **changes), lambda what, _: said.append(what)
    )
    archive.start()
    return archive


def files_of(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def full(*_: object, **__: object):
    raise OSError(errno.ENOSPC, "No space left on device")


class FullDisk:
    """Makes the calls that write fail, for as long as it is full."""

    def __init__(self, monkeypatch, *calls):
        self.is_full = False
        for name in calls:
            monkeypatch.setattr(os, name, self._failing(getattr(os, name)))

    def _failing(self, call):
        def write(*parts, **named):
            return full() if self.is_full else call(*parts, **named)

        return write


def leaves_of(archive):
    return [Leaf.from_bytes(archive.log.leaf(index)) for index in range(archive.log.size)]


@pytest.mark.parametrize("calls", [("pwrite", "write"), ("fdatasync",), ("fsync", "fdatasync")])
def test_a_full_disk_stops_nothing_and_loses_nothing_that_fits_in_memory(
    data_dir, monkeypatch, calls
):
    disk, reports = FullDisk(monkeypatch, *calls), []
    archive = opened(data_dir, reports)
    before = flagged_call(archive, "before")
    settle(archive)
    disk.is_full = True
    started = time.perf_counter()
    during = flagged_call(archive, "during")
    assert time.perf_counter() - started < 0.2, "a stream must not wait for the disk"
    wait_until(lambda: archive.health.state is StoreState.FAILING)
    assert archive.health.problem == "ENOSPC"
    assert archive.health.waiting_records
    with pytest.raises(StoreFullError, match="cannot be written: ENOSPC"):
        archive.set_hold(before, True, "ann", "case 7").result(10)
    assert reports.count("journal_not_written") == 1
    time.sleep(0.2)
    disk.is_full = False
    wait_until(lambda: archive.health.state is StoreState.OK)
    after = flagged_call(archive, "after")
    settle(archive)
    for uid in (before, during, after):
        assert archive.finder.find_uid(uid).events == 10
    assert archive.health.lost_records == 0
    assert {leaf.kind for leaf in leaves_of(archive)}.isdisjoint({LeafKind.LOST})
    archive.close()
    archive = opened(data_dir)
    settle(archive)
    archive.close()


def test_a_disk_that_fails_between_spool_and_log_writes_neither_twice(data_dir, monkeypatch):
    archive = opened(data_dir)
    settle(archive)
    append, failures = archive.log.append, 3

    def failing(leaves):
        nonlocal failures
        if failures:
            failures -= 1
            full()
        return append(leaves)

    monkeypatch.setattr(archive.log, "append", failing)
    uid = flagged_call(archive)
    wait_until(lambda: not failures)
    settle(archive)
    assert archive.finder.find_uid(uid).events == 10
    assert archive.log.size == archive._projector.applied
    archive.close()


def test_audio_that_does_not_fit_is_said_to_be_incomplete(data_dir, monkeypatch):
    from voiceguard.store import parts

    reports, write = [], parts.write_fully
    archive = opened(data_dir, reports)
    record = archive.begin(opening("a"))
    audio = call_audio(record.evidence_id, 24)
    third = 8 * CHUNK_SAMPLES
    record.receive_audio(audio[: third * 2], 0)
    archive._sink.drain(5)

    def torn(descriptor, content, offset):
        write(descriptor, content[:1000], offset)
        full()

    monkeypatch.setattr(parts, "write_fully", torn)
    record.receive_audio(audio[third * 2 : third * 4], third)
    archive._sink.drain(5)
    monkeypatch.setattr(parts, "write_fully", write)
    record.receive_audio(audio[third * 4 :], 2 * third)
    record.receive_events([flagged(0), finished(3 * third, high=True)], 5)
    record.close("completed", 6)
    settle(archive)
    row = archive.finder.find_uid(record.evidence_id)
    assert (row.audio, row.audio_complete) == ("kept", False)
    assert row.audio_samples == 3 * third
    assert archive.health.lost_audio_pieces == 1
    assert reports == ["audio_not_written"]
    archive.close()


def test_over_the_limit_events_are_lost_and_the_log_says_how_many(data_dir, monkeypatch):
    archive = opened(data_dir)
    record = archive.begin(opening("a"))
    settle(archive)
    monkeypatch.setattr(archive._recorder, "_spool_limit_bytes", 1)
    record.receive_events([flagged(0)], 5)
    refused = archive.begin(opening("b"))
    refused.receive_audio(call_audio(refused.evidence_id, 8), 0)
    refused.receive_events([flagged(0)], 5)
    refused.close("completed", 6)
    wait_until(lambda: archive.health.lost_records == 4)
    assert archive.health.state is StoreState.FAILING
    assert archive.health.problem == "spool full"
    with pytest.raises(StoreFullError, match="spool is full"):
        archive.set_hold(record.evidence_id, True, "ann", "").result(10)
    monkeypatch.setattr(archive._recorder, "_spool_limit_bytes", 10_000_000)
    record.receive_events([pressure(0, 5.0), finished(0, high=True)], 7)
    record.close("completed", 8)
    settle(archive)
    lost = [leaf for leaf in leaves_of(archive) if leaf.kind is LeafKind.LOST]
    assert [dict(leaf.facts) for leaf in lost] == [{"records": 4}]
    row = archive.finder.find_uid(record.evidence_id)
    assert (row.events, row.high_sensitivity, row.ended) == (3, True, "completed")
    assert archive.finder.find_uid(refused.evidence_id) is None
    assert not list((data_dir / "audio").iterdir())
    assert archive.health.state is StoreState.OK
    archive.close()


def test_what_does_not_fit_into_memory_is_lost_and_counted(data_dir, monkeypatch):
    disk = FullDisk(monkeypatch, "pwrite")
    archive = opened(data_dir)
    record = archive.begin(opening("a"))
    settle(archive)
    monkeypatch.setattr(recorder_module, "MAX_WAITING_BYTES", 20_000)
    disk.is_full = True
    for _ in range(100):
        record.receive_events([flagged(0)], 5)
    wait_until(lambda: archive.health.lost_records > 50)
    lost = archive.health.lost_records
    disk.is_full = False
    record.close("completed", 8)
    settle(archive)
    (leaf,) = [leaf for leaf in leaves_of(archive) if leaf.kind is LeafKind.LOST]
    assert leaf.facts["records"] == lost
    row = archive.finder.find_uid(record.evidence_id)
    assert row.events == 100, "it is known how many there were"
    archive.close()


def test_a_stuck_writer_does_not_fill_the_memory(data_dir, monkeypatch):
    monkeypatch.setattr(recorder_module, "MAX_QUEUED", 10)
    archive = Archive.open(ArchiveSettings(data_dir=data_dir))
    record = archive.begin(opening("a"))
    for _ in range(50):
        record.receive_events([pressure(0, 1.0)], 5)
    assert archive.health.waiting_records == 10
    assert archive.health.lost_records == 41
    archive.start()
    record.close("failed", 6)
    settle(archive)
    archive.close()


def test_a_defect_in_the_writer_is_reported_and_costs_one_record(data_dir, monkeypatch):
    reports = []
    archive = opened(data_dir, reports)
    record = archive.begin(opening("a"))
    record.receive_events(["no event"], 5)
    record.receive_events([flagged(0)], 6)
    record.close("completed", 7)
    settle(archive)
    assert "record_defect" in reports
    assert archive.health.lost_records
    assert archive.finder.find_uid(record.evidence_id) is not None
    archive.close()


# ---- the database ----


def test_sqlite_may_come_later(data_dir):
    data_dir.mkdir()
    away = data_dir / "later"
    url = f"sqlite:///{away}/sessions.db"
    with pytest.raises(DatabaseError, match="does not exist"):
        Archive.open(ArchiveSettings(data_dir=data_dir, database_url=url))
    assert not (data_dir / "keyring.json").exists(), "nothing was begun"


def test_a_locked_database_is_waited_for(data_dir):
    reports = []
    archive = opened(data_dir, reports)
    settle(archive)
    archive._link.database.engine.dispose()
    other = Database.open(archive._settings.url)
    uid = None
    with other.engine.connect() as connection:
        connection.execute(text("PRAGMA busy_timeout = 1"))
        archive._link.database.engine.dispose()
        with other.writing():
            uid = flagged_call(archive)
            archive._recorder.drain(5)
            time.sleep(0.1)
            assert archive.health.unapplied_records
    other.close()
    settle(archive)
    assert archive.finder.find_uid(uid).events == 10
    archive.close()


def test_postgresql_may_go_and_come_back(data_dir, postgres):
    reports = []
    archive = opened(data_dir, reports, database_url=postgres.migrated_database())
    before = flagged_call(archive, "before")
    settle(archive)
    postgres.stop()
    try:
        during = flagged_call(archive, "during")
        wait_until(lambda: archive.health.state is StoreState.SPOOLING)
        archive._recorder.drain(5)
        assert archive.health.spool_bytes
        with pytest.raises(DatabaseUnavailableError):
            archive.finder.find_uid(before)
    finally:
        postgres.start()
    settle(archive)
    assert archive.health.state is StoreState.OK
    for uid in (before, during):
        row = archive.finder.find_uid(uid)
        assert (row.events, row.audio) == (10, "kept")
    assert reports == ["database_away"]
    archive.close()


def test_postgresql_may_be_away_at_start_and_after_a_crash(data_dir, postgres):
    url = postgres.migrated_database()
    archive = opened(data_dir, database_url=url)
    left = archive.begin(opening("left"))
    left.receive_events([flagged(0)], 5)
    settle(archive)
    archive.close()
    postgres.stop()
    try:
        archive = opened(data_dir, database_url=url)
        with pytest.raises(DatabaseUnavailableError):
            archive.finder.find_uid(left.evidence_id)
        uid = flagged_call(archive)
        archive._recorder.drain(5)
        archive.close(0.5)
        archive = opened(data_dir, database_url=url)
        wait_until(lambda: archive.health.state is StoreState.SPOOLING)
    finally:
        postgres.start()
    settle(archive)
    assert archive.finder.find_uid(left.evidence_id).ended == "interrupted"
    assert archive.finder.find_uid(uid).audio == "kept"
    archive.close()


def test_two_servers_share_one_database_and_let_each_others_sessions_alone(tmp_path, postgres):
    url = postgres.migrated_database()
    one = opened(tmp_path / "one", database_url=url)
    running = one.begin(opening("a", retention_days=1e-9))
    kept = flagged_call(one, "b", retention_days=1e-9)
    settle(one)
    two = opened(tmp_path / "two", database_url=url)
    settle(two)
    assert two.expire_now() == 0
    assert two.finder.find_uid(running.evidence_id).closed_at_ms is None
    assert one.expire_now() == 1
    settle(one)
    assert one.finder.find_uid(kept).erased_cause == "retention"
    running.close("failed", 1)
    for archive in (one, two):
        archive.close()


def test_a_database_older_than_the_data_is_refused(data_dir):
    archive = opened(data_dir)
    flagged_call(archive)
    settle(archive)
    archive.close()
    opened(data_dir).close()  # deletes the spool that the database has
    for path in data_dir.glob("sessions.db*"):
        path.unlink()
    with pytest.raises(DatabaseError, match="older than data_dir, or another one"):
        Archive.open(ArchiveSettings(data_dir=data_dir))


def test_a_database_newer_than_the_data_is_refused(data_dir, tmp_path):
    archive = opened(data_dir)
    flagged_call(archive)
    settle(archive)
    archive.close()
    other = opened(tmp_path / "other", evidence_origin=archive.log.origin)
    settle(other)
    other.close()
    url = f"sqlite:///{data_dir / 'sessions.db'}"
    with pytest.raises(DatabaseError, match="data_dir is older than the database"):
        Archive.open(
            ArchiveSettings(
                data_dir=tmp_path / "other",
                evidence_origin=archive.log.origin,
                database_url=url,
            )
        )


# ---- keys ----


def test_a_wrong_or_missing_master_key_starts_nothing_and_harms_nothing(data_dir, tmp_path):
    archive = opened(data_dir)
    flagged_call(archive)
    settle(archive)
    archive.close()
    before = files_of(data_dir)
    wrong = tmp_path / "wrong.key"
    wrong.write_text("ab" * 32)
    wrong.chmod(0o600)
    for changes, message in (
        ({"master_key_file": wrong}, "not the one that this data was written with"),
        ({"master_key": "cd" * 32}, "not the one that this data was written with"),
        ({"master_key_file": tmp_path / "none"}, "No such file"),
        ({"master_key": "no key"}, "64 hexadecimal digits"),
        ({"master_key": "cd" * 32, "master_key_file": wrong}, "not both"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            Archive.open(ArchiveSettings(data_dir=data_dir, **changes))
    (data_dir / "master.key").rename(tmp_path / "moved.key")
    with pytest.raises(ConfigurationError, match=r"master key of the data in .* is missing"):
        Archive.open(ArchiveSettings(data_dir=data_dir))
    (tmp_path / "moved.key").rename(data_dir / "master.key")
    assert files_of(data_dir) == before
    opened(data_dir).close()


def test_a_lost_keyring_is_not_made_anew(data_dir):
    archive = opened(data_dir)
    archive.close()
    (data_dir / "keyring.json").unlink()
    before = files_of(data_dir)
    with pytest.raises(ConfigurationError, match="from a backup"):
        Archive.open(ArchiveSettings(data_dir=data_dir))
    assert files_of(data_dir) == before


def test_a_first_start_with_a_key_of_ones_own_makes_none(data_dir):
    archive = opened(data_dir, master_key="ab" * 32)
    archive.close()
    assert archive.made_master_key is None
    assert not (data_dir / "master.key").exists()
    assert b"ab" * 32 not in b"".join(files_of(data_dir).values())


def test_a_spool_and_a_log_of_different_ages_are_refused(data_dir):
    archive = opened(data_dir)
    flagged_call(archive)
    settle(archive)
    archive.close()
    for path in (data_dir / "log").iterdir():
        if path.name != "key.pub":
            path.unlink()
    (data_dir / "spool").mkdir(exist_ok=True)
    spool = spool_module.Spool(data_dir / "spool")
    assert spool.bounds
    spool.close()
    # The log is begun anew from the spool, which still has everything: that is a repair ...
    archive = opened(data_dir)
    settle(archive)
    archive.close()
    opened(data_dir).close()
    for path in (data_dir / "log").iterdir():
        if path.name != "key.pub":
            path.unlink()
    # ... and where the spool has not, a refusal.
    with pytest.raises(StoreError, match="do not belong together"):
        Archive.open(ArchiveSettings(data_dir=data_dir))
