"""A broken stream is resumed: nothing counted twice, nothing that matters lost."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import grpc
import pytest

from tests.server.support import (
    RATE_HZ,
    Caller,
    angry_call,
    audio,
    calm_call,
    eventually,
    kinds,
    local_responses,
    make_config,
    without_repeats,
)
from voiceguard.v1 import monitor_pb2 as pb


def session_of(server):
    return next(iter(server.server._desk.registry))


async def broken_call(server, content, config=None):
    """Send a call, break its stream once all has been taken; return token and responses."""
    call = server.call()
    opened = await call.open(config)
    await call.send_audio(content)
    session = session_of(server)
    frames = len(content) // 2
    await eventually(
        lambda: session.received_samples == frames and not session._core.pending_scores
    )
    responses = []
    with suppress(TimeoutError):
        while True:
            responses.append(await asyncio.wait_for(call.receive(), 0.2))
    call.call.cancel()
    await eventually(lambda: session.detached_at_s is not None)
    return opened.resume_token, responses


@pytest.mark.parametrize("replayed_s", [0, 2, 9.9])
async def test_replayed_audio_is_not_counted_twice(server, model, replayed_s):
    content = angry_call()
    cut = 10 * RATE_HZ * 2
    token, before = await broken_call(server, content[:cut])
    call = server.call()
    opened = await call.open(make_config(resume_token=token))
    assert opened.accepted_samples == 10 * RATE_HZ
    assert opened.resume_token != token
    first = int((10 - replayed_s) * RATE_HZ)
    await call.send(audio(content[first * 2 : first * 2 + 1600], first_sample=first))
    after = await call.play(content[first * 2 + 1600 :])
    expected = local_responses(model, content)
    assert after[-1] == expected[-1]
    after_alerts = [item for item in after if item.HasField("alert")]
    assert without_repeats(after_alerts)[-1] in expected
    pressures = [item for item in before + after if item.HasField("pressure")]
    all_expected = [item for item in expected if item.HasField("pressure")]
    assert pressures[-5:] == all_expected[-5:]
    assert not [item for item in pressures if pressures.count(item) > 1]


async def test_what_cannot_be_replayed_is_a_gap(server):
    token, _ = await broken_call(server, calm_call(3))
    call = server.call()
    await call.open(make_config(resume_token=token))
    await call.send(audio(calm_call(1), first_sample=5 * RATE_HZ))
    responses = await call.play(b"")
    gap = next(item.gap for item in responses if item.HasField("gap"))
    assert (gap.start_offset.seconds, gap.end_offset.seconds) == (3, 5)
    assert responses[-1].summary.audio_duration.seconds == 6
    assert responses[-1].summary.gaps.seconds == 2


async def test_too_old_a_replay_is_refused(server):
    token, _ = await broken_call(server, calm_call(12))
    call = server.call()
    await call.open(make_config(resume_token=token))
    await call.send(audio(calm_call(1), first_sample=RATE_HZ))
    error = await call.expect_error()
    assert (error.code, error.field) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "audio.first_sample",
    )


async def test_alerts_flag_and_open_handoffs_are_said_again(server):
    token, before = await broken_call(server, angry_call())
    call = server.call()
    opened = await call.open(make_config(resume_token=token))
    assert opened.accepted_samples == 16 * RATE_HZ
    responses = await call.play(b"")
    alerts = [item for item in before if item.HasField("alert")]
    flag = next(item for item in before if item.HasField("flagged"))
    handoff = next(item for item in before if item.HasField("handoff"))
    assert responses[:3] == [alerts[-1], flag, handoff]


async def test_an_acknowledged_handoff_is_not_said_again(server):
    call = server.call()
    opened = await call.open()
    await call.send_audio(angry_call())
    await call.receive_until("handoff")
    ack = pb.HandoffAck(handoff_id="handoff-1", outcome=pb.HandoffAck.OUTCOME_TRANSFERRED)
    await call.send(pb.MonitorRequest(handoff_ack=ack))
    await eventually(lambda: not session_of(server)._handoffs.unanswered)
    call.call.cancel()
    await eventually(lambda: server.server._desk.registry.detached == 1)
    again = server.call()
    await again.open(make_config(resume_token=opened.resume_token))
    assert "handoff" not in kinds(await again.play(b""))


async def test_what_happened_meanwhile_is_delivered(server):
    """Audio that had arrived when the stream broke is scored, and its events wait."""
    call = server.call()
    opened = await call.open()
    await call.send_audio(angry_call())
    await eventually(lambda: session_of(server).received_samples > 15 * RATE_HZ)
    call.call.cancel()
    await eventually(lambda: server.server._desk.registry.detached == 1)
    await eventually(lambda: session_of(server)._core.pending_scores == 0)
    again = server.call()
    await again.open(make_config(resume_token=opened.resume_token))
    responses = await again.play(b"")
    assert {"alert", "flagged", "handoff", "summary"} <= set(kinds(responses))
    for kind in ("flagged", "handoff"):
        assert kinds(responses).count(kind) == 1
    ids = [item.alert.level for item in responses if item.HasField("alert")]
    assert ids == sorted(set(ids))  # in order, each once


async def expect_refused(server, config):
    call = server.call()
    await call.send(pb.MonitorRequest(config=config))
    return await call.expect_error()


@pytest.mark.parametrize("token", ["nonsense", "ü" * 43, "A" * 43])
@pytest.mark.parametrize("session_id", ["call-1", "never-was"])
async def test_a_foreign_token_says_nothing_about_sessions(server, token, session_id):
    await broken_call(server, calm_call(1))
    error = await expect_refused(server, make_config(session_id, resume_token=token))
    assert error.code is grpc.StatusCode.NOT_FOUND
    assert error.reason == "RESUME_TOKEN_UNKNOWN"
    other = await expect_refused(server, make_config("never-was", resume_token="B"))
    assert other.message == error.message


async def test_a_token_of_another_session(server):
    token, _ = await broken_call(server, calm_call(1))
    other = server.call()
    await other.open(make_config("call-2"))
    error = await expect_refused(server, make_config("call-2", resume_token=token))
    assert error.code is grpc.StatusCode.NOT_FOUND
    await other.play(b"")


async def test_a_token_is_good_until_its_successor_has_surely_come(server):
    """The stream may break with the new token still on its way."""
    token, _ = await broken_call(server, calm_call(1))
    for _ in range(2):
        call = server.call()
        await call.open(make_config(resume_token=token))
        call.call.cancel()
        await eventually(lambda: server.server._desk.registry.detached == 1)
    newest = await server.call().open(make_config(resume_token=token))
    assert newest.resume_token != token


async def test_a_stale_token(server):
    token, _ = await broken_call(server, calm_call(1))
    call = server.call()
    await call.open(make_config(resume_token=token))
    await call.send_audio(calm_call(1))
    await eventually(lambda: next(iter(server.server._desk.registry)).received_samples == 16000)
    call.call.cancel()
    await eventually(lambda: server.server._desk.registry.detached == 1)
    error = await expect_refused(server, make_config(resume_token=token))
    assert error.code is grpc.StatusCode.NOT_FOUND


async def test_a_session_that_nobody_resumes_is_freed(serving):
    async with serving(resume_grace_s=0.2) as server:
        token, _ = await broken_call(server, angry_call())
        assert await server.active_sessions() == 1
        await eventually(lambda: len(server.server._desk.registry) == 0)
        error = await expect_refused(server, make_config(resume_token=token))
        assert error.code is grpc.StatusCode.NOT_FOUND
        assert server.metric("voiceguard_sessions_total", ended="abandoned") == 1
        assert server.metric("voiceguard_handoffs_total", outcome="session_ended") == 1
        await server.call().open()


async def test_a_detached_session_keeps_its_id(server):
    await broken_call(server, calm_call(1))
    error = await expect_refused(server, make_config())
    assert error.code is grpc.StatusCode.ALREADY_EXISTS


async def test_resuming_takes_over_a_stream_that_seems_alive(server):
    """A client may notice that a connection is dead long before the server does."""
    first = server.call()
    opened = await first.open()
    second = server.call()
    await second.open(make_config(resume_token=opened.resume_token))
    error = await first.expect_error()
    assert error.code is grpc.StatusCode.ABORTED
    assert error.reason == "RESUMED_ELSEWHERE"
    assert kinds(await second.play(calm_call(1)))[-1] == "summary"


@pytest.mark.parametrize("field", ["audio", "policy", "consent"])
async def test_a_session_is_resumed_as_what_it_was(server, field):
    token, _ = await broken_call(server, calm_call(1))
    config = make_config(resume_token=token)
    if field == "audio":
        config.audio.sample_rate_hertz = 16000
    elif field == "policy":
        config.policy = "default"
    else:
        config.consent.state = pb.Consent.STATE_GIVEN
    error = await expect_refused(server, config)
    assert (error.code, error.field) == (grpc.StatusCode.INVALID_ARGUMENT, f"config.{field}")
    await server.call().open(make_config(resume_token=token))  # the token is still good


async def test_a_finished_session_cannot_be_resumed(server):
    call = server.call()
    opened = await call.open()
    await call.play(b"")
    error = await expect_refused(server, make_config(resume_token=opened.resume_token))
    assert error.code is grpc.StatusCode.NOT_FOUND


async def test_a_client_that_vanishes_leaves_its_session_to_be_resumed(server, model):
    """The connection is cut, not the call cancelled."""

    async def relay(reader, writer):
        connections.append(writer)
        target = server.address.target.rpartition(":")
        back, forth = await asyncio.open_connection(target[0], int(target[2]))
        connections.append(forth)
        await asyncio.gather(pump(reader, forth), pump(back, writer), return_exceptions=True)

    async def pump(source, sink):
        while content := await source.read(65536):
            sink.write(content)
            await sink.drain()

    connections: list[asyncio.StreamWriter] = []
    proxy = await asyncio.start_server(relay, "127.0.0.1", 0)
    port = proxy.sockets[0].getsockname()[1]
    content = angry_call()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = Caller(channel)
        opened = await call.open()
        await call.send_audio(content[: 4 * RATE_HZ * 2])
        await call.receive_until("pressure")
        for connection in connections:
            connection.transport.abort()
        await eventually(lambda: server.server._desk.registry.detached == 1)
    proxy.close()
    await proxy.wait_closed()
    again = server.call()
    resumed = await again.open(make_config(resume_token=opened.resume_token))
    first = resumed.accepted_samples
    await again.send(audio(content[first * 2 : first * 2 + 1600], first_sample=first))
    responses = await again.play(content[first * 2 + 1600 :])
    assert responses[-1] == local_responses(model, content)[-1]
