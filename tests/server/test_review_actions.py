"""Hearing, judging, holding, erasing; and what is written down of it. On a real archive."""

from __future__ import annotations

import asyncio
import io
import wave

import grpc
import numpy as np
import pytest
from google.protobuf.duration_pb2 import Duration

from tests.server.reviewing import audio_format, cheap_passwords, reviewing
from tests.server.support import (
    StreamError,
    angry_call,
    calm_call,
    eventually,
    local_events,
)
from voiceguard.core.events import Role
from voiceguard.core.policy import AudioKeeping
from voiceguard.server.reviewing import accessbook, threads
from voiceguard.store.errors import DatabaseUnavailableError
from voiceguard.v1 import review_pb2 as rpb
from voiceguard.v1.review_pb2 import (
    EraseSessionRequest,
    GetAudioRequest,
    GetSessionRequest,
    GetWaveformRequest,
    ListAccessRequest,
    ListEventsRequest,
    ListSessionsRequest,
    RecordVerdictRequest,
    SetLegalHoldRequest,
    Verdict,
)

CALL = "call-1"


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    cheap_passwords(monkeypatch)


@pytest.fixture
async def rig(tmp_path):
    async with reviewing(tmp_path) as rig:
        yield rig


@pytest.fixture(scope="module")
def angry(model):
    return local_events(model, angry_call())


async def error_of(awaitable):
    with pytest.raises(StreamError) as caught:
        await awaitable
    return caught.value


async def accesses(rig, session_id=CALL):
    """Return who did what with a session, once all that was recorded is shown."""
    await asyncio.wrap_future(rig.archive.applied(rig.archive.log.size - 1))
    answer = await rig.carol.ListAccess(ListAccessRequest(session_id=session_id))
    return [(entry.actor, entry.action, entry.detail) for entry in answer.entries]


def seconds(number):
    duration = Duration()
    duration.FromMilliseconds(round(number * 1000))
    return duration


async def heard(asking, **fields):
    chunks = await asking.all_of("GetAudio", GetAudioRequest(session_id=CALL, **fields))
    return b"".join(chunk.wav for chunk in chunks)


def samples_of(wav):
    with wave.open(io.BytesIO(wav)) as audio:
        assert audio.getsampwidth() == 2
        frames = audio.readframes(audio.getnframes())
        return np.frombuffer(frames, "<i2").reshape(-1, audio.getnchannels())


# ---- audio ----


async def test_audio_is_what_was_sent(rig):
    audio = calm_call(6)
    await rig.keep(audio=audio)
    assert samples_of(await heard(rig.ada)).tobytes() == audio
    part = await heard(rig.ada, start_offset=seconds(1.5), end_offset=seconds(2.25))
    assert samples_of(part).tobytes() == audio[2 * 12_000 : 2 * 18_000]
    rest = await heard(rig.ada, start_offset=seconds(5))
    assert samples_of(rest).tobytes() == audio[2 * 40_000 :]
    assert len(samples_of(await heard(rig.ada, start_offset=seconds(60)))) == 0
    chunks = await rig.ada.all_of("GetAudio", GetAudioRequest(session_id=CALL))
    assert max(len(chunk.wav) for chunk in chunks) <= 64 * 1024


async def test_channels_stay_apart(rig):
    both = np.stack((np.arange(16_000), -np.arange(16_000)), axis=1).astype("<i2")
    formats = audio_format(Role.CUSTOMER, Role.HUMAN_AGENT)
    await rig.keep(audio=both.tobytes(), audio_format=formats)
    assert np.array_equal(samples_of(await heard(rig.ada)), both)
    outline = await rig.ada.GetWaveform(GetWaveformRequest(session_id=CALL))
    assert len(outline.channels) == 2
    assert outline.duration == seconds(2)
    first, second = outline.channels
    assert (min(first.lowest), max(first.highest)) == (0, 15_999 >> 8)
    assert (min(second.lowest), max(second.highest)) == (-15_999 >> 8, 0)
    for channel in outline.channels:
        assert len(channel.lowest) == len(channel.highest) > 10
        assert all(
            -127 <= low <= high <= 127
            for low, high in zip(channel.lowest, channel.highest, strict=True)
        )


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"start_offset": seconds(-1)}, "start_offset"),
        ({"end_offset": seconds(0)}, "end_offset"),
        ({"start_offset": seconds(2), "end_offset": seconds(1)}, "end_offset"),
    ],
)
async def test_bad_parts(rig, fields, field):
    await rig.keep(audio=calm_call(1))
    error = await error_of(heard(rig.ada, **fields))
    assert (error.code, error.field) == (grpc.StatusCode.INVALID_ARGUMENT, field)
    assert await accesses(rig) == []


async def test_no_audio(rig):
    await rig.keep(audio=calm_call(1), keep_audio=AudioKeeping.NONE)
    for ask in (heard(rig.ada), rig.ada.GetWaveform(GetWaveformRequest(session_id=CALL))):
        error = await error_of(ask)
        assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NO_AUDIO")
    record = rig.begin("live-1")
    await rig.shown(record.evidence_id)
    request = GetAudioRequest(session_id="live-1")
    assert (await error_of(rig.ada.all_of("GetAudio", request))).reason == "NO_AUDIO"
    record.close("completed", 1)


@pytest.mark.parametrize("place", [60, 100_000, -1])
async def test_changed_audio_is_not_handed_out_as_if_it_were_not(rig, place):
    rng = np.random.default_rng(1)
    noise = rng.integers(-9000, 9000, 100_000).astype("<i2").tobytes()
    uid = await rig.keep(audio=noise)
    (path,) = (rig.archive._settings.data_dir / "audio").glob(f"{uid}*.flac*")
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    error = await error_of(heard(rig.ada))
    assert (error.code, error.reason) == (grpc.StatusCode.DATA_LOSS, "STORE_DAMAGED")


# ---- access ----


async def test_looks_are_written_down_once_in_ten_minutes(rig, monkeypatch):
    await rig.keep(audio=calm_call(3))
    clock = {"ms": 1_000_000}
    monkeypatch.setattr(rig.service._book, "_now_ms", lambda: clock["ms"])
    look = GetSessionRequest(session_id=CALL)
    for _ in range(3):
        await rig.ada.GetSession(look)
    await rig.ada.ListEvents(ListEventsRequest(session_id=CALL))
    await rig.ada.GetWaveform(GetWaveformRequest(session_id=CALL))
    assert await accesses(rig) == [("ada", "viewed", "")]
    await rig.carol.GetSession(look)
    assert len(await accesses(rig)) == 2
    clock["ms"] += 599_999
    await rig.ada.GetSession(look)
    assert len(await accesses(rig)) == 2
    clock["ms"] += 1
    await rig.ada.GetSession(look)
    assert [actor for actor, _, _ in await accesses(rig)] == ["ada", "carol", "ada"]


async def test_what_is_heard_is_written_down_with_its_part(rig):
    await rig.keep(audio=calm_call(3))
    await heard(rig.ada, start_offset=seconds(1), end_offset=seconds(2))
    await heard(rig.ada, start_offset=seconds(1.2), end_offset=seconds(1.8))
    await heard(rig.ada)
    await heard(rig.ada, start_offset=seconds(2))
    assert await accesses(rig) == [
        ("ada", "heard", "1.000 s to 2.000 s"),
        ("ada", "heard", "0.000 s to the end"),
    ]


async def test_many_looks_at_once_are_one(rig):
    await rig.keep(keep_audio=AudioKeeping.NONE)
    look = GetSessionRequest(session_id=CALL)
    await asyncio.gather(*(rig.ada.GetSession(look) for _ in range(20)))
    assert await accesses(rig) == [("ada", "viewed", "")]


async def test_nothing_is_shown_that_cannot_be_written_down(rig, monkeypatch):
    await rig.keep(audio=calm_call(1))
    full = OSError(28, "No space left on device")

    def commit(_records):
        raise full

    monkeypatch.setattr(rig.archive._journal, "commit", commit)
    monkeypatch.setattr(accessbook, "DURABLE_S", 0.5)
    for ask in (
        rig.ada.GetSession(GetSessionRequest(session_id=CALL)),
        heard(rig.ada),
        rig.ada.RecordVerdict(RecordVerdictRequest(session_id=CALL, kind=Verdict.KIND_UNSURE)),
    ):
        error = await error_of(ask)
        assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
        assert error.retry_after_s == threads.AWAY_RETRY_S


async def test_only_compliance_sees_who_looked(rig):
    await rig.keep(keep_audio=AudioKeeping.NONE)
    error = await error_of(rig.ada.ListAccess(ListAccessRequest(session_id=CALL)))
    assert error.code is grpc.StatusCode.PERMISSION_DENIED


# ---- verdicts ----


async def test_a_verdict_stays(rig, angry):
    await rig.keep(events=angry, keep_audio=AudioKeeping.NONE)
    session = (await rig.ada.GetSession(GetSessionRequest(session_id=CALL))).session
    handoff = session.handoffs[0].handoff_id
    given = []
    for kind, about, comment in (
        (Verdict.KIND_CONFIRMED, handoff, "she was in tears\n\tand said so"),
        (Verdict.KIND_UNSURE, "", ""),
    ):
        request = RecordVerdictRequest(
            session_id=CALL, handoff_id=about, kind=kind, comment=comment
        )
        given.append((await rig.ada.RecordVerdict(request)).verdict)
        assert given[-1].reviewer == "ada"
        assert given[-1].verdict_id
        assert (given[-1].kind, given[-1].comment) == (kind, comment)
        # It is shown by the time that it is answered.
        session = (await rig.carol.GetSession(GetSessionRequest(session_id=CALL))).session
        assert list(session.verdicts) == given
    listed = (await rig.ada.ListSessions(ListSessionsRequest())).sessions[0]
    assert list(listed.verdicts) == given
    actions = [action for _, action, _ in await accesses(rig)]
    assert actions.count("judged") == 2
    database = (rig.archive._settings.data_dir / "sessions.db").read_bytes()
    assert b"in tears" not in database


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({}, grpc.StatusCode.INVALID_ARGUMENT, "kind"),
        ({"kind": 99}, grpc.StatusCode.INVALID_ARGUMENT, "kind"),
        ({"kind": 1, "comment": "x" * 4097}, grpc.StatusCode.INVALID_ARGUMENT, "comment"),
        ({"kind": 1, "comment": "a\0b"}, grpc.StatusCode.INVALID_ARGUMENT, "comment"),
        ({"kind": 1, "comment": "\x1b[2J"}, grpc.StatusCode.INVALID_ARGUMENT, "comment"),
    ],
)
async def test_bad_verdicts(rig, fields, code, field):
    await rig.keep(keep_audio=AudioKeeping.NONE)
    error = await error_of(rig.ada.RecordVerdict(RecordVerdictRequest(session_id=CALL, **fields)))
    assert (error.code, error.field) == (code, field)
    assert await accesses(rig) == []


@pytest.mark.parametrize("handoff_id", ["no-such", "' OR 1=1 --", "<b>", "x" * 9999])
async def test_verdicts_on_unknown_handoffs(rig, angry, handoff_id):
    await rig.keep(events=angry, keep_audio=AudioKeeping.NONE)
    request = RecordVerdictRequest(session_id=CALL, kind=1, handoff_id=handoff_id)
    error = await error_of(rig.ada.RecordVerdict(request))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "HANDOFF_UNKNOWN")


async def test_the_longest_comment_in_any_script(rig):
    await rig.keep(keep_audio=AudioKeeping.NONE)
    comment = "好" * 4096
    request = RecordVerdictRequest(session_id=CALL, kind=1, comment=comment)
    assert (await rig.ada.RecordVerdict(request)).verdict.comment == comment


async def test_only_so_many_verdicts(rig, monkeypatch):
    monkeypatch.setattr("voiceguard.server.reviewing.actions.MAX_VERDICTS", 2)
    await rig.keep(keep_audio=AudioKeeping.NONE)
    request = RecordVerdictRequest(session_id=CALL, kind=1)
    for _ in range(2):
        await rig.ada.RecordVerdict(request)
    error = await error_of(rig.ada.RecordVerdict(request))
    assert (error.code, error.reason) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "TOO_MANY_VERDICTS",
    )


# ---- holds and erasure ----


async def test_a_hold_is_placed_and_released(rig):
    await rig.keep(keep_audio=AudioKeeping.NONE)
    for hold, reason in ((True, "case 7"), (False, "case 7 is closed")):
        request = SetLegalHoldRequest(session_id=CALL, hold=hold, reason=reason)
        assert (await rig.carol.SetLegalHold(request)).session.legal_hold is hold
        session = (await rig.carol.ListSessions(ListSessionsRequest())).sessions[0]
        assert session.legal_hold is hold
    assert await accesses(rig) == [
        ("carol", "held", "case 7"),
        ("carol", "released", "case 7 is closed"),
    ]


async def test_what_is_held_is_not_erased(rig):
    await rig.keep(audio=calm_call(1))
    hold = SetLegalHoldRequest(session_id=CALL, hold=True, reason="case 7")
    await rig.carol.SetLegalHold(hold)
    erase = EraseSessionRequest(session_id=CALL, reason="asked for")
    error = await error_of(rig.carol.EraseSession(erase))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SESSION_HELD")
    assert len(await heard(rig.ada)) > 44


async def test_a_hold_wins_though_the_database_does_not_know_of_it(rig, monkeypatch):
    """It was answered, so it is in the log; that the database lags must not undo it."""
    uid = await rig.keep(keep_audio=AudioKeeping.NONE)
    stale = rig.archive.finder.find("acme", CALL)
    hold = SetLegalHoldRequest(session_id=CALL, hold=True, reason="case 7")
    await rig.carol.SetLegalHold(hold)
    monkeypatch.setattr(rig.archive.finder, "find", lambda *_: stale)
    erase = EraseSessionRequest(session_id=CALL, reason="asked for")
    error = await error_of(rig.carol.EraseSession(erase))
    assert error.reason == "SESSION_HELD"
    assert rig.archive.finder.find_uid(uid).erased_at_ms is None


async def test_a_live_session_is_not_erased(rig):
    record = rig.begin("live-1")
    await rig.shown(record.evidence_id)
    erase = EraseSessionRequest(session_id="live-1", reason="asked for")
    error = await error_of(rig.carol.EraseSession(erase))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SESSION_LIVE")
    record.close("completed", 1)


async def test_an_erased_session_is_gone(rig, angry):
    uid = await rig.keep(events=angry, audio=angry_call())
    request = RecordVerdictRequest(session_id=CALL, kind=1, comment="secret words")
    await rig.ada.RecordVerdict(request)
    erase = EraseSessionRequest(session_id=CALL, reason="the customer asked")
    left = (await rig.carol.EraseSession(erase)).session
    assert left.session_id == CALL
    assert left.evidence_id == uid
    assert left.HasField("erased_at")
    assert left.ended == "completed"
    again = (await rig.carol.EraseSession(erase)).session
    assert again == left
    shown = (await rig.ada.GetSession(GetSessionRequest(session_id=CALL))).session
    assert shown == left
    for name in ("call", "summary", "flagged", "consent", "audio", "retain_until"):
        assert not left.HasField(name), name
    assert not left.handoffs
    assert not left.verdicts
    assert not left.audio_kept
    refused = [
        heard(rig.ada),
        rig.ada.GetWaveform(GetWaveformRequest(session_id=CALL)),
        rig.ada.ListEvents(ListEventsRequest(session_id=CALL)),
        rig.ada.RecordVerdict(request),
        rig.carol.SetLegalHold(SetLegalHoldRequest(session_id=CALL, hold=True, reason="late")),
        rig.ada.all_of("ExportEvidence", rpb.ExportEvidenceRequest(session_id=CALL)),
    ]
    for ask in refused:
        error = await error_of(ask)
        assert error.code is grpc.StatusCode.FAILED_PRECONDITION
        assert error.reason == "SESSION_ERASED"
    assert ("carol", "erased") in [item[:2] for item in await accesses(rig)]
    await eventually(lambda: not list((rig.archive._settings.data_dir / "audio").iterdir()))


@pytest.mark.parametrize("reason", ["", "  ", "x" * 4097, "a\0"])
@pytest.mark.parametrize("method", ["SetLegalHold", "EraseSession"])
async def test_reasons_are_wanted(rig, method, reason):
    await rig.keep(keep_audio=AudioKeeping.NONE)
    request = getattr(rpb, f"{method}Request")(session_id=CALL, reason=reason)
    error = await error_of(getattr(rig.carol, method)(request))
    assert (error.code, error.field) == (grpc.StatusCode.INVALID_ARGUMENT, "reason")


@pytest.mark.parametrize("method", ["SetLegalHold", "EraseSession"])
async def test_only_compliance_holds_and_erases(rig, method):
    await rig.keep(keep_audio=AudioKeeping.NONE)
    request = getattr(rpb, f"{method}Request")(session_id=CALL, reason="because")
    error = await error_of(getattr(rig.ada, method)(request))
    assert (error.code, error.reason) == (
        grpc.StatusCode.PERMISSION_DENIED,
        "PERMISSION_DENIED",
    )
    assert await accesses(rig) == []


# ---- the store is away ----


async def test_the_database_is_away(rig, monkeypatch):
    await rig.keep(keep_audio=AudioKeeping.NONE)

    def away(*_args, **_kwargs):
        raise DatabaseUnavailableError("cannot be reached")

    for method, name, request in (
        ("ListSessions", "page", ListSessionsRequest()),
        ("GetSession", "find", GetSessionRequest(session_id=CALL)),
        ("GetStatistics", "statistics", rpb.GetStatisticsRequest()),
    ):
        monkeypatch.setattr(rig.archive.finder, name, away)
        error = await error_of(getattr(rig.ada, method)(request))
        assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
        assert error.retry_after_s == threads.AWAY_RETRY_S
        labels = {"method": method, "code": "UNAVAILABLE"}
        assert rig.metric("voiceguard_review_requests_total", **labels) == 1


async def test_a_defect_is_told_without_its_message(rig, monkeypatch):
    def broken(*_args, **_kwargs):
        raise RuntimeError("+8613800138000")

    monkeypatch.setattr(rig.archive.finder, "page", broken)
    error = await error_of(rig.ada.ListSessions(ListSessionsRequest()))
    assert error.code is grpc.StatusCode.INTERNAL
    assert "+86" not in error.message
    logged = rig.logged.getvalue()
    assert "review_defect" in logged
    assert "13800138000" not in logged
