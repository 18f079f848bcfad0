"""The parts of the review service that need no store."""

from __future__ import annotations

import asyncio
import io
import threading
import wave

import grpc
import numpy as np
import pytest
import soundfile
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceguard.core.errors import ClientError
from voiceguard.server.reviewing.alerts import MAX_WAITING, MAX_WATCHERS, AlertHub
from voiceguard.server.reviewing.audio import CHUNK_BYTES, AudioRange, range_from_proto, wav_chunks
from voiceguard.server.reviewing.pagetokens import MAX_AGE_MS, PageTokens
from voiceguard.server.reviewing.threads import MAX_WAITING as MAX_WORK
from voiceguard.server.reviewing.threads import StoreThreads
from voiceguard.server.reviewing.wire import (
    check_comment,
    check_filter,
    milliseconds_from_proto,
    page_size_from_proto,
    timestamp,
)
from voiceguard.server.status import CallRefusedError
from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.v1 import review_pb2 as rpb

SECRET = b"k" * 32
SECOND_NS = 1_000_000_000


# ---- page tokens ----


@pytest.fixture
def pages():
    return PageTokens(SECRET, lambda: 1_000)


def request(**changes):
    return rpb.ListSessionsRequest(campaign="spring", **changes)


PLACE = {"value": 12.5, "uid": "ab"}


def test_a_page_token_gives_its_place_back(pages):
    token = pages.write("acme", request(), PLACE)
    assert pages.read("acme", request(), token) == PLACE
    paged = request(page_size=7, page_token=token, with_total=True)
    assert pages.read("acme", paged, token) == PLACE
    assert "ab" not in token


@pytest.mark.parametrize(
    ("tenant", "asked"),
    [
        ("globex", request()),
        ("acme", rpb.ListSessionsRequest()),
        ("acme", request(high_sensitivity_only=True)),
        ("acme", request(order_by="peak_pressure_index desc")),
        ("acme", request(customer_number="+8613800000000")),
        ("acme", rpb.ListEventsRequest(session_id="spring")),
    ],
)
def test_a_page_token_is_good_for_what_it_was_made_for(pages, tenant, asked):
    token = pages.write("acme", request(), PLACE)
    with pytest.raises(ClientError) as caught:
        pages.read(tenant, asked, token)
    assert caught.value.field == "page_token"


def test_a_page_token_of_another_server_or_day_is_refused(pages):
    token = pages.write("acme", request(), PLACE)
    with pytest.raises(ClientError, match="not one of"):
        PageTokens(b"x" * 32, lambda: 1_000).read("acme", request(), token)
    with pytest.raises(ClientError, match="stale"):
        PageTokens(SECRET, lambda: 1_001 + MAX_AGE_MS).read("acme", request(), token)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_changed_page_token_is_read(data):
    pages = PageTokens(SECRET, lambda: 1_000)
    token = pages.write("acme", request(), PLACE)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters().filter(lambda char: char != token[at]))
    for forged in (token[:at] + other + token[at + 1 :], token[:at], token + other):
        with pytest.raises(ClientError):
            pages.read("acme", request(), forged)


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_no_text_is_a_page_token(text):
    with pytest.raises(ClientError):
        PageTokens(SECRET, lambda: 1_000).read("acme", request(), text)


# ---- audio ----


def flac(channels=2, seconds=3.0, rate_hz=8000):
    rng = np.random.default_rng(1)
    samples = rng.integers(-20000, 20000, (int(seconds * rate_hz), channels)).astype("int16")
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format="FLAC", subtype="PCM_16")
    file.seek(0)
    return file, samples


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 4 * SECOND_NS), st.none() | st.integers(1, 4 * SECOND_NS))
def test_a_part_of_audio_is_the_samples_of_that_part(start_ns, length_ns):
    file, samples = flac()
    end_ns = None if length_ns is None else start_ns + length_ns
    content = b"".join(wav_chunks(file, AudioRange(start_ns, end_ns)))
    start = start_ns * 8000 // SECOND_NS
    end = None if end_ns is None else -(-end_ns * 8000 // SECOND_NS)
    with wave.open(io.BytesIO(content)) as audio:
        assert audio.getparams()[:3] == (2, 2, 8000)
        frames = audio.readframes(audio.getnframes())
        assert frames == samples[start:end].tobytes()
    assert not file.closed


def test_audio_comes_in_chunks():
    file, samples = flac(channels=1, seconds=30.0)
    chunks = list(wav_chunks(file, AudioRange()))
    assert len(chunks[0]) == 44
    assert {len(chunk) for chunk in chunks[1:-1]} == {CHUNK_BYTES}
    assert sum(map(len, chunks[1:])) == samples.nbytes


def test_a_part_after_the_end_is_empty():
    file, _ = flac()
    (header,) = wav_chunks(file, AudioRange(99 * SECOND_NS))
    with wave.open(io.BytesIO(header)) as audio:
        assert audio.getnframes() == 0


@pytest.mark.parametrize(
    ("start", "end", "field"),
    [
        (Duration(seconds=-1), None, "start_offset"),
        (Duration(nanos=-1), None, "start_offset"),
        (None, Duration(seconds=-1), "end_offset"),
        (None, Duration(), "end_offset"),
        (Duration(seconds=2), Duration(seconds=2), "end_offset"),
        (Duration(seconds=2), Duration(seconds=1), "end_offset"),
        (Duration(seconds=10**13), None, "start_offset"),
        (Duration(nanos=2 * 10**9), None, "start_offset"),
    ],
)
def test_parts_that_are_none(start, end, field):
    with pytest.raises(ClientError) as caught:
        range_from_proto(start, end)
    assert caught.value.field == field


def test_parts_cover_parts():
    whole, middle = AudioRange(), AudioRange(SECOND_NS, 2 * SECOND_NS)
    assert whole.covers(whole)
    assert whole.covers(middle)
    assert not middle.covers(whole)
    assert not middle.covers(AudioRange(SECOND_NS))
    assert not middle.covers(AudioRange(0, 2 * SECOND_NS))
    assert str(middle) == "1.000 s to 2.000 s"
    assert str(AudioRange(SECOND_NS)) == "1.000 s to the end"


# ---- what requests may say ----


@pytest.mark.parametrize(("size", "means"), [(0, 50), (1, 1), (1000, 1000)])
def test_page_sizes(size, means):
    assert page_size_from_proto(size) == means


@pytest.mark.parametrize("size", [-1, 1001, 2**31 - 1, -(2**31)])
def test_page_sizes_out_of_range(size):
    with pytest.raises(ClientError, match="page_size"):
        page_size_from_proto(size)


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_times_come_back(at_ms):
    assert milliseconds_from_proto(timestamp(at_ms), "at") == at_ms


def test_times_between_two_milliseconds_round_up():
    assert milliseconds_from_proto(Timestamp(seconds=1, nanos=1), "at") == 1001


@pytest.mark.parametrize(
    "at", [Timestamp(seconds=253_402_300_800), Timestamp(seconds=-(10**12)), Timestamp(nanos=-1)]
)
def test_times_out_of_range(at):
    with pytest.raises(ClientError, match="years"):
        milliseconds_from_proto(at, "at")


@pytest.mark.parametrize(
    "text", ["", "fine\n\ttoo", "非常好", "<script>", "'; DROP TABLE sessions; --"]
)
def test_comments_that_are_accepted(text):
    assert check_comment(text, "comment") == text


@pytest.mark.parametrize("text", ["\0", "a\x07", "\x1b[31m", "a\r\nb", "\x7f", "\x85", "x" * 4097])
def test_comments_that_are_not(text):
    with pytest.raises(ClientError, match="comment"):
        check_comment(text, "comment")


@pytest.mark.parametrize("text", ["\0", "x" * 257])
def test_filters_that_nothing_can_match(text):
    with pytest.raises(ClientError, match="campaign"):
        check_filter(text, "campaign")


# ---- alerts ----


def alert(level=pb.ALERT_LEVEL_RED):
    return pb.MonitorResponse(alert=pb.AlertChanged(level=level))


HANDOFF = pb.MonitorResponse(handoff=pb.HandoffRequested(handoff_id="h1"))
FLAG = pb.MonitorResponse(flagged=pb.SessionFlagged(reason="anger"))


async def taken(watcher):
    """Return everything that a watcher has."""
    items = []
    while True:
        try:
            async with asyncio.timeout(0.01):
                items.append(await watcher.next())
        except TimeoutError:
            return items


async def test_watchers_get_what_they_asked_for():
    hub = AlertHub()
    all_of_it = hub.watch("acme")
    red = hub.watch("acme", pb.ALERT_LEVEL_RED)
    others = hub.watch("globex")
    speech = pb.MonitorResponse(speech=pb.SpeechEvent())
    sent = [alert(pb.ALERT_LEVEL_YELLOW), alert(), HANDOFF, FLAG, speech]
    for event in sent:
        hub.publish("acme", "call-1", event)
    assert [item.event for item in await taken(all_of_it)] == sent[:4]
    assert [item.event for item in await taken(red)] == sent[1:4]
    assert {item.session_id for item in await taken(all_of_it)} <= {"call-1"}
    assert await taken(others) == []
    hub.leave(red)
    hub.leave(red)
    hub.publish("acme", "call-1", FLAG)
    assert await taken(red) == []
    assert len(hub) == 2


async def test_a_watcher_that_does_not_read_is_ended():
    hub = AlertHub()
    slow, quick = hub.watch("acme"), hub.watch("acme")
    for _ in range(MAX_WAITING):
        hub.publish("acme", "call-1", FLAG)
    assert len(await taken(quick)) == MAX_WAITING
    hub.publish("acme", "call-1", HANDOFF)
    hub.publish("acme", "call-1", HANDOFF)
    with pytest.raises(CallRefusedError) as caught:
        await slow.next()
    assert caught.value.refusal.code is grpc.StatusCode.ABORTED
    assert caught.value.refusal.reason == "CLIENT_NOT_READING"
    assert len(await taken(quick)) == 2


async def test_what_waits_is_still_read_when_the_server_leaves():
    hub = AlertHub()
    watcher = hub.watch("acme")
    waiting = asyncio.create_task(hub.watch("acme").next())
    await asyncio.sleep(0)
    hub.close()
    with pytest.raises(CallRefusedError) as caught:
        await waiting
    assert caught.value.refusal.code is grpc.StatusCode.UNAVAILABLE
    with pytest.raises(CallRefusedError):
        await watcher.next()


async def test_only_so_many_watch():
    hub = AlertHub()
    watchers = [hub.watch("acme") for _ in range(MAX_WATCHERS)]
    with pytest.raises(CallRefusedError) as caught:
        hub.watch("acme")
    assert caught.value.refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    hub.leave(watchers[0])
    hub.watch("acme")


# ---- threads ----


async def test_only_so_much_work_waits():
    threads, gate = StoreThreads(), threading.Event()
    try:
        waiting = [asyncio.create_task(threads.run(gate.wait)) for _ in range(MAX_WORK)]
        await asyncio.sleep(0)
        with pytest.raises(CallRefusedError) as caught:
            await threads.run(gate.wait)
        assert caught.value.refusal.reason == "REVIEW_BUSY"
        gate.set()
        assert await asyncio.gather(*waiting) == [True] * MAX_WORK
        assert await threads.run(gate.wait)
    finally:
        gate.set()
        threads.close()


async def test_closed_threads_take_no_work():
    threads, done = StoreThreads(), []
    threads.close()
    for _ in range(MAX_WORK + 1):
        with pytest.raises(CallRefusedError) as caught:
            await threads.run(done.append, 1)
        assert caught.value.refusal.reason == "DRAINING"
    threads.run_later(lambda: done.append(2))
    assert done == [2]


async def test_work_that_takes_too_long_is_given_up(monkeypatch):
    monkeypatch.setattr("voiceguard.server.reviewing.threads.WORK_S", 0.01)
    threads, gate = StoreThreads(), threading.Event()
    try:
        with pytest.raises(CallRefusedError) as caught:
            await threads.run(gate.wait)
        assert caught.value.refusal.code is grpc.StatusCode.UNAVAILABLE
        assert caught.value.refusal.retry_after_s == 5
    finally:
        gate.set()
        threads.close()
