import hashlib
import io
import time

import numpy as np
import pytest
import soundfile

from tests.store.calls import (
    CHUNK_SAMPLES,
    FORMAT,
    call_audio,
    finished,
    flagged,
    flagged_call,
    opening,
    pressure,
)
from tests.store.waiting import settle, wait_until
from voiceguard.core.audio import decode
from voiceguard.core.errors import ConfigurationError
from voiceguard.core.events import AudioFormat, Encoding, GapDetected, Role
from voiceguard.core.policy import AudioKeeping
from voiceguard.evidence.leaves import Leaf, LeafKind
from voiceguard.evidence.verify import commitment_of, parse_canonical
from voiceguard.store.archive import Archive
from voiceguard.store.errors import (
    SessionErasedError,
    SessionHeldError,
    SessionRunningError,
    StoreError,
    UnknownSessionError,
)
from voiceguard.store.health import StoreState
from voiceguard.store.payloads import access_payload, verdict_payload
from voiceguard.store.records import Accessed, VerdictGiven
from voiceguard.store.settings import ArchiveSettings

SECRETS = (b"138 0013 8000", b"13800138000", b"CALL-", b"autumn", b"anger at 80", b"as it was")


def opened(data_dir, reports=None, **changes):
    problems = [] if reports is None else reports
    archive = Archive.open(
        ArchiveSettings(data_dir=data_dir, **changes), lambda *report: problems.append(report)
    )
    archive.start()
    return archive


@pytest.fixture
def data_dir(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def archive(data_dir):
    problems = []
    archive = opened(data_dir, problems)
    yield archive
    archive.close()
    assert not problems


def row_of(archive, uid):
    settle(archive)
    return archive.finder.find_uid(uid)


def done(archive, future):
    """Wait until a record is durable, and in the database."""
    index = future.result(10)
    archive.applied(index).result(10)
    return index


def verdict(archive, uid, comment="as it was heard"):
    columns = VerdictGiven("v1", "", "confirmed", "ann", 5)
    return archive.submit(uid, LeafKind.VERDICT, verdict_payload(columns, comment), columns)


def test_the_first_start_makes_a_key_and_says_so(data_dir):
    archive = opened(data_dir)
    archive.close()
    assert archive.made_master_key == data_dir / "master.key"
    assert archive.made_master_key.stat().st_mode & 0o777 == 0o600
    again = opened(data_dir)
    again.close()
    assert again.made_master_key is None
    assert again.keys.token_key == archive.keys.token_key


def test_a_call_is_kept_whole(archive):
    uid = flagged_call(archive)
    row = row_of(archive, uid)
    assert (row.ended, row.events, row.audio, row.audio_complete) == ("completed", 10, "kept", True)
    records = archive.payloads(row)
    kinds = [record.kind for record in records]
    assert kinds[0] is LeafKind.OPENED
    assert kinds[-2:] == [LeafKind.CLOSED, LeafKind.AUDIO]
    for number, record in enumerate(records):
        leaf = Leaf.from_bytes(record.leaf)
        assert leaf.number == record.number == number
        assert archive.log.leaf(record.index) == record.leaf
        assert leaf.commitment == commitment_of(record.salt, record.payload)
    assert parse_canonical(records[0].payload)["call"]["campaign"] == "autumn"


def test_events_are_written_soon_and_alarms_at_once(archive):
    record = archive.begin(opening("a"))
    record.receive_events([pressure(0, 10.0)], 1)
    time.sleep(0.6)
    assert row_of_now(archive, record).events == 0
    started = time.monotonic()
    record.receive_events([flagged(0)], 2)
    wait_until(lambda: row_of_now(archive, record).high_sensitivity)
    assert time.monotonic() - started < 0.5
    record.receive_events([pressure(4000, 10.0)], 3)
    wait_until(lambda: row_of_now(archive, record).events == 3, 4)
    record.close("failed", 4)


def row_of_now(archive, record):
    wait_until(lambda: archive.finder.find_uid(record.evidence_id) is not None)
    return archive.finder.find_uid(record.evidence_id)


@pytest.mark.parametrize(
    ("keep", "is_flagged", "kept"),
    [
        (AudioKeeping.ALL, False, True),
        (AudioKeeping.FLAGGED, True, True),
        (AudioKeeping.FLAGGED, False, False),
        (AudioKeeping.NONE, True, False),
    ],
)
def test_the_policy_says_whose_audio_is_kept(archive, data_dir, keep, is_flagged, kept):
    record = archive.begin(opening("a", keep_audio=keep))
    record.receive_audio(call_audio(record.evidence_id, 8), 0)
    record.receive_events([flagged(0)] if is_flagged else [pressure(0, 1.0)], 1)
    if keep is AudioKeeping.NONE:
        archive._sink.drain(5)
        assert not list((data_dir / "audio").iterdir())
    record.close("completed", 2)
    row = row_of(archive, record.evidence_id)
    assert row.audio == ("kept" if kept else "none")
    names = {path.name for path in (data_dir / "audio").iterdir()}
    assert names == ({f"{row.uid}.flac.sealed", f"{row.uid}.outline"} if kept else set())
    if not kept:
        with pytest.raises(StoreError, match="no audio"):
            archive.open_audio(row)


@pytest.mark.parametrize("encoding", Encoding)
def test_audio_comes_back_sample_for_sample_with_silence_for_gaps(archive, encoding):
    channels = (Role.CUSTOMER, Role.HUMAN_AGENT)
    audio_format = AudioFormat(encoding, 16000, channels)
    rng = np.random.default_rng(3)
    content = rng.integers(0, 256, 60_000 * audio_format.frame_bytes, dtype=np.uint8).tobytes()
    record = archive.begin(
        opening("a", audio_format=audio_format, keep_audio=AudioKeeping.ALL)
    )
    frame_bytes = audio_format.frame_bytes
    # Replayed audio overlaps what came before; then 5000 sample frames are missing.
    record.receive_audio(content[: 20_000 * frame_bytes], 0)
    record.receive_audio(content[15_000 * frame_bytes : 30_000 * frame_bytes], 15_000)
    record.receive_audio(content[10_000 * frame_bytes : 12_000 * frame_bytes], 10_000)
    record.receive_audio(content[35_000 * frame_bytes :], 35_000)
    record.receive_events([GapDetected(30_000, 35_000)], 1)
    record.close("failed", 2)
    row = row_of(archive, record.evidence_id)
    assert (row.audio_samples, row.audio_complete) == (60_000, True)
    expected = decode(content, audio_format).copy()
    expected[30_000:35_000] = 0
    with archive.open_audio(row) as file, soundfile.SoundFile(file) as flac:
        assert flac.samplerate == 16000
        assert np.array_equal(flac.read(dtype="int16"), expected)
        flac.seek(41_234)
        assert np.array_equal(flac.read(10, dtype="int16"), expected[41_234:41_244])
    facts = parse_canonical(archive.payloads(row, kinds=["audio"])[0].payload)
    assert facts["missing_samples"] == 5000
    with archive.open_audio(row) as file:
        flac_bytes = file.read()
    assert facts["sha256"] == hashlib.sha256(flac_bytes).hexdigest()
    outline = archive.waveform(row)
    assert outline.samples == 60_000
    assert outline.lowest.min() == (expected.min() >> 8)
    assert outline.highest.max() == (expected.max() >> 8)


def test_a_verdict_months_later_follows_the_last_record(data_dir):
    archive = opened(data_dir)
    uid = flagged_call(archive)
    settle(archive)
    archive.close()
    archive = opened(data_dir)
    settle(archive)
    assert uid not in archive._ledger
    futures = [verdict(archive, uid) for _ in range(5)]
    for future in futures:
        done(archive, future)
    assert uid not in archive._ledger
    row = archive.finder.find_uid(uid)
    assert row.verdict == "confirmed"
    numbers = [record.number for record in archive.payloads(row)]
    assert numbers == list(range(row.leaves))
    archive.close()


def test_nothing_can_be_said_of_a_session_that_is_not_kept(archive):
    settle(archive)
    with pytest.raises(UnknownSessionError):
        verdict(archive, "f" * 32)


def test_an_erased_session_leaves_nothing_that_can_be_read(data_dir):
    archive = opened(data_dir)
    kept, uid = flagged_call(archive, "kept"), flagged_call(archive, "erased")
    settle(archive)
    done(archive, verdict(archive, uid))
    row = archive.finder.find_uid(uid)
    sealed = [record.sealed for record in archive.finder.records(uid) if record.sealed]
    assert row.wrapped_key.encode() in files_of(data_dir)
    done(archive, archive.erase(uid, "ann", "asked for"))
    settle(archive)
    left = files_of(data_dir)
    assert row.wrapped_key.encode() not in left
    assert row.customer
    for piece in sealed:
        assert piece not in left
    assert b"CALL-erased" not in left
    assert not list((data_dir / "audio").glob(f"{uid}*"))
    tombstone = archive.finder.find_uid(uid)
    assert (tombstone.erased_cause, tombstone.session_id) == ("request", "erased")
    for look in (archive.payloads, archive.open_audio, archive.waveform):
        with pytest.raises(SessionErasedError):
            look(tombstone)
    for future in (verdict(archive, uid), archive.erase(uid, "ann", "again")):
        with pytest.raises(SessionErasedError):
            future.result(10)
    assert archive.payloads(archive.finder.find_uid(kept))
    size, root = archive.log.size, archive.log.root()
    archive.close()
    archive = opened(data_dir)
    assert archive.log.root(size) == root
    settle(archive)
    assert archive.payloads(archive.finder.find_uid(kept))
    archive.close()


def files_of(data_dir):
    return b"\n".join(path.read_bytes() for path in data_dir.rglob("*") if path.is_file())


def test_no_customers_number_is_ever_written(data_dir):
    archive = opened(data_dir)
    record = archive.begin(opening("a"))
    for at_sample in range(0, 40 * CHUNK_SAMPLES, CHUNK_SAMPLES):
        record.receive_events([pressure(at_sample, 50.0)], 1)
    archive._recorder.drain(5)
    assert b"8000" not in b"".join(path.read_bytes() for path in data_dir.rglob("*.spool"))
    record.receive_events([flagged(0), finished(1, high=True)], 2)
    record.close("completed", 3)
    settle(archive)
    for text in (b"+86 138 0013 8000", b"8613800138000", b"13800138000", b"138 0013"):
        assert text not in files_of(data_dir)
    row = archive.finder.find_uid(record.evidence_id)
    assert row.customer == archive.keys.pseudonym("acme", "+8613800138000")
    archive.close()
    assert b"anger at 80" not in b"".join(
        path.read_bytes() for path in data_dir.rglob("log/*") if path.is_file()
    )


def test_a_hold_beats_erasure_and_retention(archive):
    uid = flagged_call(archive, retention_days=1e-9)
    calm = flagged_call(archive, "other", retention_days=1e-9)
    settle(archive)
    hold = archive.set_hold(uid, True, "ann", "case 7")
    erasure = archive.erase(uid, "bob", "asked for")
    hold.result(10)
    with pytest.raises(SessionHeldError):
        erasure.result(10)
    assert archive.expire_now() == 1
    row = row_of(archive, uid)
    assert row.legal_hold
    assert row.erased_at_ms is None
    assert archive.finder.find_uid(calm).erased_cause == "retention"
    done(archive, archive.set_hold(uid, False, "ann", "case closed"))
    assert archive.expire_now() == 1
    assert row_of(archive, uid).erased_cause == "retention"
    assert archive.expire_now() == 0


def test_a_hold_that_comes_in_after_retention_looked_still_wins(archive, monkeypatch):
    uid = flagged_call(archive, retention_days=1e-9)
    settle(archive)
    submit = archive._submissions.submit

    def hold_first(uid, kind, *rest):
        if kind is LeafKind.ERASED:
            archive.set_hold(uid, True, "ann", "case 7")
        return submit(uid, kind, *rest)

    monkeypatch.setattr(archive, "submit", lambda *parts: (
        hold_first(*parts) if parts[1] is LeafKind.ERASED else submit(*parts)
    ))  # fmt: skip
    assert archive.expire_now() == 0
    assert row_of(archive, uid).erased_at_ms is None


def test_a_running_session_is_not_erased(archive):
    record = archive.begin(opening("a"))
    settle(archive)
    with pytest.raises(SessionRunningError):
        archive.erase(record.evidence_id, "ann", "asked for").result(10)
    record.close("failed", 1)


def test_access_is_written_before_it_is_in_the_database(archive):
    uid = flagged_call(archive)
    settle(archive)
    columns = Accessed("ann", "viewed", 5, "")
    done(archive, archive.submit(uid, LeafKind.ACCESSED, access_payload(columns), columns))
    (access,) = archive.finder.accesses("acme", uid)
    assert (access.actor, access.action) == ("ann", "viewed")


def test_documents_are_found_before_and_after_the_database_has_them(archive):
    content = b'name = "default"\n'
    digest = archive.put_document("policy", content)
    assert digest == hashlib.sha256(content).hexdigest()
    assert archive.document(digest) == content
    flagged_call(archive)
    settle(archive)
    assert archive.finder.document(digest) == archive.document(digest) == content
    assert archive.put_document("policy", content) == digest
    assert archive.document("0" * 64) is None


def test_two_servers_cannot_share_a_folder(archive, data_dir):
    with pytest.raises(ConfigurationError, match="in use by another server"):
        Archive.open(ArchiveSettings(data_dir=data_dir))


def test_an_interrupted_session_is_closed_with_what_is_known(data_dir):
    archive = opened(data_dir)
    record = archive.begin(opening("a"))
    record.receive_audio(call_audio(record.evidence_id, 6), 0)
    record.receive_events([pressure(0, 70.0), flagged(0)], 5)
    archive.close()
    archive = opened(data_dir)
    row = row_of(archive, record.evidence_id)
    archive.close()
    assert (row.ended, row.events, row.peak_pressure_index) == ("interrupted", 2, 70.0)
    assert row.high_sensitivity
    assert (row.audio, row.audio_complete) == ("kept", False)
    assert row.audio_samples == 6 * CHUNK_SAMPLES


def test_files_of_no_session_are_removed_at_start(data_dir):
    archive = opened(data_dir)
    uid = flagged_call(archive)
    settle(archive)
    archive.close()
    folder = data_dir / "audio"
    kept = {path.name for path in folder.iterdir()}
    for name in (f"{uid}.part", f"{uid}.flac.sealed.tmp", f"{'e' * 32}.part",
                 f"{'e' * 32}.flac.sealed", f".{uid}.outline.0123.part"):  # fmt: skip
        (folder / name).write_bytes(b"left behind")
    archive = opened(data_dir)
    settle(archive)
    assert {path.name for path in folder.iterdir()} == kept
    assert archive.open_audio(archive.finder.find_uid(uid)).read()
    archive.close()


def test_a_changed_audio_file_is_noticed(archive, data_dir):
    uid = flagged_call(archive, chunks=40)
    row = row_of(archive, uid)
    path = data_dir / "audio" / row.audio_file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with archive.open_audio(row) as file, pytest.raises(StoreError, match="was changed"):
        io.BufferedReader(file).read()


def test_health_is_ok_when_all_is_well(archive):
    settle(archive)
    health = archive.health
    assert health.state is StoreState.OK
    assert not health.problem
    assert health.lost_records == health.unapplied_records == 0
