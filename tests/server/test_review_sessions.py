"""Finding sessions and looking at them, on a real archive."""

from __future__ import annotations

import asyncio
import hashlib
import time

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from tests.server.reviewing import NUMBER, PASSWORD, cheap_passwords, reviewing
from tests.server.support import (
    CUSTOMER,
    StreamError,
    angry_call,
    as_stream_error,
    calm_call,
    eventually,
    local_events,
    stream_end,
)
from voiceguard.core.events import HandoffOutcome, HandoffSettled, SessionFinished
from voiceguard.core.policy import AudioKeeping
from voiceguard.server.reviewing.wire import timestamp
from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.v1 import review_pb2 as rpb
from voiceguard.v1.review_pb2 import (
    GetSessionRequest,
    GetStatisticsRequest,
    ListAccessRequest,
    ListEventsRequest,
    ListSessionsRequest,
    RecordVerdictRequest,
    SetLegalHoldRequest,
    SignInRequest,
    Verdict,
)
from voiceguard.wire import event_to_proto

HOSTILE = (
    "'; DROP TABLE sessions; --",
    '" OR 1=1 --',
    "<script>alert(1)</script>",
    "%",
    "_",
    "\\",
    "é非常\u2028x",
)


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


@pytest.fixture(scope="module")
def calm(model):
    return local_events(model, calm_call())


async def ids(asking, **filters):
    answer = await asking.ListSessions(ListSessionsRequest(**filters))
    return [session.session_id for session in answer.sessions]


async def error_of(awaitable):
    with pytest.raises(StreamError) as caught:
        await awaitable
    return caught.value


# ---- sign-in ----


async def test_signing_in_opens_the_service(rig):
    anybody = rig.asking(None)
    answer = await anybody.SignIn(SignInRequest(name="ada", password=PASSWORD))
    assert (answer.name, answer.tenant, answer.role) == ("ada", "acme", "reviewer")
    assert answer.expires_at.seconds - time.time() == pytest.approx(12 * 3600, abs=60)
    assert await ids(rig.asking(answer.token)) == []
    assert rig.metric("voiceguard_review_requests_total", method="SignIn", code="OK") == 1


@pytest.mark.parametrize("name", ["ada", "nobody", *HOSTILE])
async def test_wrong_passwords(rig, name):
    error = await error_of(rig.asking(None).SignIn(SignInRequest(name=name, password="wrong")))
    assert error.code is grpc.StatusCode.UNAUTHENTICATED
    assert error.reason == "SIGN_IN_FAILED"


async def test_too_many_wrong_passwords(rig):
    asking = rig.asking(None)
    for _ in range(5):
        await error_of(asking.SignIn(SignInRequest(name="ada", password="wrong")))
    error = await error_of(asking.SignIn(SignInRequest(name="ada", password=PASSWORD)))
    assert error.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert 290 < error.retry_after_s <= 300


async def test_an_expired_sign_in(tmp_path):
    async with reviewing(tmp_path, sign_in_hours=0.001) as rig:
        answer = await rig.asking(None).SignIn(SignInRequest(name="ada", password=PASSWORD))
        asking = rig.asking(answer.token)
        assert await ids(asking) == []
        await asyncio.sleep(3.7)
        error = await error_of(asking.ListSessions(ListSessionsRequest()))
        assert error.code is grpc.StatusCode.UNAUTHENTICATED
        assert "sign in again" in error.message


async def test_tampered_and_missing_tokens(rig):
    answer = await rig.asking(None).SignIn(SignInRequest(name="ada", password=PASSWORD))
    token = answer.token
    swapped = token[:-1] + ("A" if token[-1] != "A" else "B")
    for bad in (swapped, token[:-1], "vgs1..", "x", None):
        error = await error_of(rig.asking(bad).ListSessions(ListSessionsRequest()))
        assert error.code is grpc.StatusCode.UNAUTHENTICATED


async def test_dialers_and_reviewers_have_credentials_of_their_own(tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text(f"acme:{hashlib.sha256(b'dialer').hexdigest()}\n")
    tokens.chmod(0o600)
    async with reviewing(tmp_path, tokens_file=tokens) as rig:
        error = await error_of(rig.asking("dialer").ListSessions(ListSessionsRequest()))
        assert error.code is grpc.StatusCode.UNAUTHENTICATED
        signed_in = await rig.asking("dialer").SignIn(SignInRequest(name="ada", password=PASSWORD))
        capabilities = rig.channel.unary_unary("/voiceguard.v1.MonitorService/GetCapabilities")
        for token, code in (
            (rig.tokens["carol"], grpc.StatusCode.UNAUTHENTICATED),
            (signed_in.token, grpc.StatusCode.UNAUTHENTICATED),
            ("dialer", grpc.StatusCode.UNIMPLEMENTED),  # let in; there is no such service here
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await capabilities(b"", metadata=rig.asking(token).metadata)
            assert caught.value.code() is code


async def test_reviewers_are_read_again(rig, tmp_path):
    (tmp_path / "reviewers").write_text("# nobody\n")
    rig.service.reload()
    error = await error_of(rig.ada.ListSessions(ListSessionsRequest()))
    assert error.code is grpc.StatusCode.UNAUTHENTICATED


# ---- list ----


async def test_a_session_is_shown_as_it_was_kept(rig, angry):
    events = [*angry[:-1], HandoffSettled("nonsense", HandoffOutcome.EXPIRED, ""), angry[-1]]
    begun_ms = time.time_ns() // 1_000_000
    uid = await rig.keep(
        events=events, audio=angry_call(), opened_at_ms=begun_ms, retention_days=180
    )
    answer = await rig.ada.GetSession(GetSessionRequest(session_id="call-1"))
    session = answer.session
    assert session.session_id == "call-1"
    assert session.evidence_id == uid
    call = session.call
    assert (call.call_id, call.campaign, call.agent_id) == ("dialer-7", "spring", "agent-3")
    assert call.customer_number == rig.archive.keys.pseudonym("acme", NUMBER)
    assert NUMBER not in str(session)
    assert call.started_at.seconds == 1_700_000_000
    assert call.customer_time_zone == "Asia/Shanghai"
    assert dict(call.labels) == {"product": "loan"}
    assert session.consent.state == pb.Consent.STATE_GIVEN
    assert session.consent.notice_given
    assert session.consent.lawful_basis == "contract"
    assert session.audio.sample_rate_hertz == 8000
    assert list(session.audio.channels) == [pb.PARTICIPANT_ROLE_CUSTOMER]
    assert session.started_at == timestamp(begun_ms)
    assert session.ended_at == timestamp(begun_ms + 60_000)
    assert session.retain_until == timestamp(begun_ms + 60_000 + 180 * 86_400_000)
    assert session.ended == "completed"
    assert session.audio_kept
    assert not session.legal_hold
    assert not session.HasField("erased_at")
    shown = [event_to_proto(event, CUSTOMER, "call-1") for event in events]
    summary = next(item.summary for item in shown if item and item.HasField("summary"))
    assert session.summary.high_sensitivity
    assert session.summary.peak_level == summary.peak_level
    assert session.summary.audio_duration == summary.audio_duration
    assert session.summary.peak_pressure_index == pytest.approx(summary.peak_pressure_index)
    handoffs = [item.handoff for item in shown if item and item.HasField("handoff")]
    assert [item.handoff_id for item in session.handoffs] == [h.handoff_id for h in handoffs]
    assert session.handoffs[0].explanation == handoffs[0].explanation
    assert session.handoffs[0].offset == handoffs[0].offset
    flag = next(item.flagged for item in shown if item and item.HasField("flagged"))
    assert session.flagged.offset == flag.offset
    assert session.flagged.reason == flag.reason
    assert session.HasField("flagged_at")
    assert session.settlements[0].expired
    listed = (await rig.ada.ListSessions(ListSessionsRequest())).sessions[0]
    assert listed == session


async def test_a_live_session_is_listed(rig):
    record = rig.begin("live-1")
    await rig.shown(record.evidence_id)
    session = (await rig.ada.ListSessions(ListSessionsRequest())).sessions[0]
    assert session.session_id == "live-1"
    assert not session.HasField("ended_at")
    assert not session.HasField("summary")
    assert session.ended == ""
    record.close("completed", 1)
    await rig.settled(record.evidence_id)


async def test_filters(rig, angry, calm):
    day_ms = 86_400_000
    await rig.keep("a", events=angry, opened_at_ms=10 * day_ms, keep_audio=AudioKeeping.NONE)
    await rig.keep(
        "b", events=calm, opened_at_ms=11 * day_ms, campaign="autumn", agent_id="agent-9",
        call_id="dialer-8", customer_number="+1 555 0100", keep_audio=AudioKeeping.NONE,
    )  # fmt: skip
    await rig.keep("a", tenant="globex", keep_audio=AudioKeeping.NONE)
    ada = rig.ada
    assert await ids(ada) == ["b", "a"]
    assert await ids(ada, order_by="started_at desc") == ["b", "a"]
    assert await ids(ada, order_by="peak_pressure_index desc") == ["a", "b"]
    assert await ids(ada, high_sensitivity_only=True) == ["a"]
    assert await ids(ada, min_level=pb.ALERT_LEVEL_ORANGE) == ["a"]
    assert await ids(ada, min_level=pb.ALERT_LEVEL_GREEN) == ["b", "a"]
    assert await ids(ada, campaign="autumn") == ["b"]
    assert await ids(ada, agent_id="agent-3") == ["a"]
    assert await ids(ada, call_id="dialer-8") == ["b"]
    assert await ids(ada, customer_number="+8613800138000") == ["a"]
    assert await ids(ada, customer_number="+15550100", campaign="spring") == []
    at = timestamp(11 * day_ms)
    assert await ids(ada, started_after=at) == ["b"]
    assert await ids(ada, started_before=at) == ["a"]
    later = Timestamp(seconds=at.seconds, nanos=1)
    assert await ids(ada, started_after=later) == []
    assert await ids(ada, started_before=later) == ["b", "a"]
    verdict = RecordVerdictRequest(session_id="a", kind=Verdict.KIND_FALSE_ALARM)
    await ada.RecordVerdict(verdict)
    assert await ids(ada, unreviewed_only=True) == ["b"]
    assert await ids(ada, verdict=Verdict.KIND_FALSE_ALARM) == ["a"]
    assert await ids(ada, verdict=Verdict.KIND_CONFIRMED) == []
    hold = SetLegalHoldRequest(session_id="b", hold=True, reason="case 7")
    await rig.carol.SetLegalHold(hold)
    assert await ids(ada, legal_hold_only=True) == ["b"]
    assert await ids(rig.gus) == ["a"]
    answer = await ada.ListSessions(ListSessionsRequest(with_total=True, page_size=1))
    assert answer.total == 2


async def test_pages(rig):
    for number in range(7):
        record = rig.begin(f"call-{number}", opened_at_ms=1000 + number // 2)
        record.close("completed", 5000)
    await rig.settled(record.evidence_id)
    every = await ids(rig.ada)
    paged, token = [], ""
    while True:
        answer = await rig.ada.ListSessions(ListSessionsRequest(page_size=3, page_token=token))
        paged += [session.session_id for session in answer.sessions]
        token = answer.next_page_token
        if not token:
            break
    assert paged == every
    assert len(set(paged)) == 7
    assert answer.total == 0
    first = await rig.ada.ListSessions(ListSessionsRequest(page_size=3))
    for asking, changes in (
        (rig.ada, {"campaign": "spring"}),
        (rig.ada, {"order_by": "peak_pressure_index desc"}),
        (rig.gus, {}),
    ):
        request = ListSessionsRequest(page_token=first.next_page_token, **changes)
        error = await error_of(asking.ListSessions(request))
        assert (error.code, error.field) == (grpc.StatusCode.INVALID_ARGUMENT, "page_token")


@pytest.mark.parametrize("order_by", ["started_at desc", "peak_pressure_index desc"])
async def test_a_page_that_is_too_large_for_a_message_is_cut(rig, monkeypatch, order_by):
    monkeypatch.setattr("voiceguard.server.reviewing.filters.MAX_PAGE_BYTES", 60_000)
    labels = {f"label-{number}": "x" * 256 for number in range(32)}
    for number in range(9):
        record = rig.begin(f"call-{number}", labels=labels, opened_at_ms=1000 + number)
        record.close("completed", 5000)
    await rig.settled(record.evidence_id)
    pages, token = [], ""
    while True:
        request = ListSessionsRequest(page_size=8, page_token=token, order_by=order_by)
        answer = await rig.ada.ListSessions(request)
        assert answer.ByteSize() <= 61_000
        pages.append([session.session_id for session in answer.sessions])
        token = answer.next_page_token
        if not token:
            break
    assert len(pages) == 2
    assert sorted(name for page in pages for name in page) == [
        f"call-{number}" for number in range(9)
    ]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"page_size": -1}, "page_size"),
        ({"page_size": 1001}, "page_size"),
        ({"order_by": "started_at asc"}, "order_by"),
        ({"order_by": "1; DROP TABLE sessions"}, "order_by"),
        ({"page_token": "AAAA"}, "page_token"),
        ({"page_token": "é"}, "page_token"),
        ({"page_token": "A" * 5000}, "page_token"),
        ({"min_level": 99}, "min_level"),
        ({"verdict": 99}, "verdict"),
        ({"campaign": "a\0b"}, "campaign"),
        ({"call_id": "x" * 257}, "call_id"),
        ({"customer_number": "9" * 300}, "customer_number"),
        ({"customer_number": "  "}, "customer_number"),
        ({"started_after": Timestamp(seconds=10**15)}, "started_after"),
        ({"started_before": Timestamp(nanos=-1)}, "started_before"),
    ],
)
async def test_bad_filters(rig, changes, field):
    error = await error_of(rig.ada.ListSessions(ListSessionsRequest(**changes)))
    assert (error.code, error.field) == (grpc.StatusCode.INVALID_ARGUMENT, field)
    assert error.reason == "INVALID_FIELD"


async def test_garbage_is_refused(rig):
    for method in ("ListSessions", "GetSession", "RecordVerdict", "SignIn"):
        call = rig.channel.unary_unary(f"/voiceguard.v1.ReviewService/{method}")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"\xff\xff", metadata=rig.ada.metadata)
        assert as_stream_error(caught.value).code is grpc.StatusCode.INVALID_ARGUMENT
    for method in ("GetAudio", "ExportEvidence", "WatchAlerts"):
        call = rig.channel.unary_stream(f"/voiceguard.v1.ReviewService/{method}")
        error = await stream_end(call(b"\xff\xff", metadata=rig.ada.metadata))
        assert error.code is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_texts_match_themselves_and_nothing_else(rig, text):
    await rig.keep("plain", keep_audio=AudioKeeping.NONE)
    await rig.keep(
        "hostile", campaign=text, agent_id=text, call_id=text, customer_number=text,
        labels={"note": text}, keep_audio=AudioKeeping.NONE,
    )  # fmt: skip
    for name in ("campaign", "agent_id", "call_id", "customer_number"):
        assert await ids(rig.ada, **{name: text}) == ["hostile"], name
    session = (await rig.ada.GetSession(GetSessionRequest(session_id="hostile"))).session
    assert session.call.campaign == text
    assert session.call.labels["note"] == text
    verdict = RecordVerdictRequest(session_id="hostile", kind=Verdict.KIND_UNSURE, comment=text)
    await rig.ada.RecordVerdict(verdict)
    session = (await rig.ada.GetSession(GetSessionRequest(session_id="hostile"))).session
    assert session.verdicts[0].comment == text
    statistics = await rig.ada.GetStatistics(GetStatisticsRequest(campaign=text))
    assert [row.name for row in statistics.campaigns] == [text]
    assert statistics.total.sessions == 1


# ---- one session ----


UNKNOWN = ["", "no-such", "call-1~2", "x" * 129, *HOSTILE]


@pytest.mark.parametrize("session_id", UNKNOWN)
async def test_unknown_sessions(rig, session_id):
    await rig.keep(keep_audio=AudioKeeping.NONE)
    error = await error_of(rig.ada.GetSession(GetSessionRequest(session_id=session_id)))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "SESSION_UNKNOWN")


async def test_another_tenant_s_session_is_an_unknown_one(rig, angry):
    await rig.keep(events=angry, audio=angry_call())
    for method, fields in (
        ("GetSession", {}),
        ("ListEvents", {}),
        ("GetWaveform", {}),
        ("RecordVerdict", {"kind": Verdict.KIND_CONFIRMED}),
        ("SetLegalHold", {"hold": True, "reason": "mine"}),
        ("EraseSession", {"reason": "mine"}),
        ("ListAccess", {}),
        ("GetAudio", {}),
        ("ExportEvidence", {}),
    ):
        kind = getattr(rpb, f"{method}Request")
        answers = []
        for session_id in ("call-1", "no-such"):
            request = kind(session_id=session_id, **fields)
            if method in {"GetAudio", "ExportEvidence"}:
                error = await error_of(rig.gus.all_of(method, request))
            else:
                error = await error_of(getattr(rig.gus, method)(request))
            answers.append((error.code, error.message, error.reason))
        assert answers[0] == answers[1], method
        assert answers[0][0] is grpc.StatusCode.NOT_FOUND
    assert len((await rig.carol.ListAccess(ListAccessRequest(session_id="call-1"))).entries) == 0


async def test_a_second_session_of_one_id(rig):
    await rig.keep(keep_audio=AudioKeeping.NONE)
    await rig.keep(keep_audio=AudioKeeping.NONE)
    assert set(await ids(rig.ada)) == {"call-1", "call-1~2"}
    session = (await rig.ada.GetSession(GetSessionRequest(session_id="call-1~2"))).session
    assert session.session_id == "call-1~2"


async def test_events_come_as_the_client_had_them(rig, angry):
    opened_at_ms = 1_700_000_000_000
    await rig.keep(events=angry, opened_at_ms=opened_at_ms, keep_audio=AudioKeeping.NONE)
    expected = [event_to_proto(event, CUSTOMER, "call-1") for event in angry]
    shown = [(n, item) for n, item in enumerate(expected) if item is not None]
    for size in (0, 7, 1000):
        got, times, token = [], [], ""
        while True:
            request = ListEventsRequest(session_id="call-1", page_size=size, page_token=token)
            page = await rig.ada.ListEvents(request)
            assert len(page.events) == len(page.recorded_at) <= (size or 50)
            got += page.events
            times += page.recorded_at
            token = page.next_page_token
            if not token:
                break
        assert len(got) == len(shown)
        assert [item.WhichOneof("event") for item in got] == [
            item.WhichOneof("event") for _, item in shown
        ]
        assert times == [timestamp(opened_at_ms + n) for n, _ in shown]
        alerts = [item for item in got if item.HasField("alert")]
        assert alerts[0].alert.alert_id
        assert alerts[0].alert.offset == next(
            item.alert.offset for _, item in shown if item.HasField("alert")
        )
    assert isinstance(angry[-1], SessionFinished)
    error = await error_of(rig.ada.ListEvents(ListEventsRequest(session_id="call-1", page_size=-1)))
    assert error.field == "page_size"
    page = await rig.ada.ListEvents(ListEventsRequest(session_id="call-1", page_size=2))
    await rig.keep("call-2", events=angry, keep_audio=AudioKeeping.NONE)
    other = ListEventsRequest(session_id="call-2", page_token=page.next_page_token)
    assert (await error_of(rig.ada.ListEvents(other))).field == "page_token"


# ---- statistics ----


async def test_statistics(rig, angry, calm):
    day_ms = 86_400_000
    at_ms = 20_000 * day_ms + 23 * 3_600_000
    await rig.keep("a", events=angry, opened_at_ms=at_ms, keep_audio=AudioKeeping.NONE)
    await rig.keep(
        "b", events=calm, opened_at_ms=at_ms, campaign="autumn", keep_audio=AudioKeeping.NONE
    )
    await rig.ada.RecordVerdict(
        RecordVerdictRequest(session_id="a", kind=Verdict.KIND_CONFIRMED, comment="so it was")
    )
    answer = await rig.ada.GetStatistics(GetStatisticsRequest())
    total = answer.total
    assert (total.sessions, total.flagged, total.flagged_reviewed) == (2, 1, 1)
    assert total.handoffs == total.confirmed >= 1
    assert total.HasField("median_time_to_verdict")
    assert [row.name for row in answer.days] == ["2024-10-04"]
    assert {row.name for row in answer.campaigns} == {"spring", "autumn"}
    shifted = await rig.ada.GetStatistics(GetStatisticsRequest(utc_offset_minutes=480))
    assert [row.name for row in shifted.days] == ["2024-10-05"]
    none = await rig.ada.GetStatistics(GetStatisticsRequest(started_after=timestamp(at_ms + 1)))
    assert none.total.sessions == 0
    assert not none.total.HasField("median_time_to_verdict")
    for offset in (841, -841):
        request = GetStatisticsRequest(utc_offset_minutes=offset)
        assert (await error_of(rig.ada.GetStatistics(request))).field == "utc_offset_minutes"


# ---- watch ----


async def test_watching(rig):
    alert = pb.MonitorResponse(alert=pb.AlertChanged(level=pb.ALERT_LEVEL_YELLOW))
    flag = pb.MonitorResponse(flagged=pb.SessionFlagged(reason="anger"))
    every = rig.ada.stream("WatchAlerts", rpb.WatchAlertsRequest())
    serious = rig.ada.stream("WatchAlerts", rpb.WatchAlertsRequest(min_level=pb.ALERT_LEVEL_ORANGE))
    others = rig.gus.stream("WatchAlerts", rpb.WatchAlertsRequest())
    await eventually(lambda: len(rig.hub) == 3)
    rig.hub.publish("acme", "call-1", alert)
    rig.hub.publish("acme", "call-1", flag)
    rig.hub.publish("globex", "call-9", flag)
    first, second = await every.read(), await every.read()
    assert (first.session_id, first.event) == ("call-1", alert)
    assert second.event == flag
    assert (await serious.read()).event == flag
    assert (await others.read()).session_id == "call-9"
    every.cancel()
    serious.cancel()
    await eventually(lambda: len(rig.hub) == 1)
    rig.hub.close()
    error = await stream_end(others)
    assert error.code is grpc.StatusCode.UNAVAILABLE
    wrong = rig.ada.stream("WatchAlerts", rpb.WatchAlertsRequest(min_level=99))
    assert (await stream_end(wrong)).field == "min_level"


async def test_a_watcher_who_does_not_read_is_let_go(tmp_path):
    async with reviewing(tmp_path, unread_timeout_s=0.2) as rig:
        watch = rig.ada.stream("WatchAlerts", rpb.WatchAlertsRequest())
        await eventually(lambda: len(rig.hub) == 1)
        flag = pb.MonitorResponse(flagged=pb.SessionFlagged(reason="x" * 250))
        for _ in range(3000):
            rig.hub.publish("acme", "call-1", flag)
            if not len(rig.hub):
                break
        await eventually(lambda: len(rig.hub) == 0)
        error = await stream_end(watch)
        assert (error.code, error.reason) == (grpc.StatusCode.ABORTED, "CLIENT_NOT_READING")


async def test_a_watch_ends_with_its_account(rig, tmp_path, monkeypatch):
    monkeypatch.setattr("voiceguard.server.reviewing.service.RECHECK_S", 0.05)
    watch = rig.ada.stream("WatchAlerts", rpb.WatchAlertsRequest())
    await eventually(lambda: len(rig.hub) == 1)
    (tmp_path / "reviewers").write_text("# nobody\n")
    rig.service.reload()
    error = await stream_end(watch)
    assert error.code is grpc.StatusCode.UNAUTHENTICATED
