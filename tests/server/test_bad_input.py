"""What bad input gets: a clear status, and the next call works."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import grpc
import pytest
from google.rpc import error_details_pb2

from tests.server.support import (
    Caller,
    StreamError,
    audio,
    calm_call,
    eventually,
    kinds,
    make_config,
    stream_end,
    unpack,
    write_policy,
)
from voiceguard.v1 import monitor_pb2 as pb

INVALID = grpc.StatusCode.INVALID_ARGUMENT
MONITOR = "/voiceguard.v1.MonitorService/Monitor"


def config_with(**changes):
    return pb.MonitorRequest(config=make_config(**changes))


def audio_with(**changes):
    config = make_config()
    for name, value in changes.items():
        if name == "channels":
            config.audio.channels[:] = value
        else:
            setattr(config.audio, name, value)
    return pb.MonitorRequest(config=config)


def call_with(**changes):
    config = make_config()
    for name, value in changes.items():
        if name == "labels":
            config.call.labels.update(value)
        elif name == "started_s":
            config.call.started_at.seconds = value
        else:
            setattr(config.call, name, value)
    return pb.MonitorRequest(config=config)


FIRST_REQUESTS = {
    "audio before config": (audio(b"\0\0"), "audio"),
    "control before config": (pb.MonitorRequest(control=pb.Control(action=1)), "control"),
    "ack before config": (pb.MonitorRequest(handoff_ack=pb.HandoffAck()), "handoff_ack"),
    "nothing set": (pb.MonitorRequest(), "request"),
    "no session id": (config_with(session_id=""), "config.session_id"),
    "long session id": (config_with(session_id="x" * 129), "config.session_id"),
    "spaced session id": (config_with(session_id="a b"), "config.session_id"),
    "no audio format": (
        pb.MonitorRequest(config=pb.SessionConfig(session_id="a")),
        "config.audio",
    ),
    "no encoding": (audio_with(encoding=0), "config.audio.encoding"),
    "unknown encoding": (audio_with(encoding=99), "config.audio.encoding"),
    "no rate": (audio_with(sample_rate_hertz=0), "config.audio.sample_rate_hertz"),
    "unknown rate": (audio_with(sample_rate_hertz=11025), "config.audio.sample_rate_hertz"),
    "negative rate": (audio_with(sample_rate_hertz=-8000), "config.audio.sample_rate_hertz"),
    "no channels": (audio_with(channels=[]), "config.audio.channels"),
    "nine channels": (audio_with(channels=[1] * 9), "config.audio.channels"),
    "role left out": (audio_with(channels=[1, 0]), "config.audio.channels[1]"),
    "unknown role": (audio_with(channels=[77, 1]), "config.audio.channels[0]"),
    "no customer": (audio_with(channels=[2, 3]), "config.audio.channels"),
    "mixed channel": (audio_with(channels=[4]), "config.audio.channels"),
    "unknown policy": (config_with(policy="nobody"), "config.policy"),
    "unknown consent": (config_with(consent=pb.Consent(state=9)), "config.consent.state"),
    "long basis": (
        config_with(consent=pb.Consent(lawful_basis="x" * 257)),
        "config.consent.lawful_basis",
    ),
    "long number": (call_with(customer_number="1" * 257), "config.call.customer_number"),
    "long campaign": (call_with(campaign="c" * 257), "config.call.campaign"),
    "no such zone": (call_with(customer_time_zone="Mars/Base"), "config.call.customer_time_zone"),
    "zone as path": (call_with(customer_time_zone="../etc"), "config.call.customer_time_zone"),
    "year 10000": (call_with(started_s=253_402_300_800), "config.call.started_at"),
    "many labels": (call_with(labels={str(i): "" for i in range(33)}), "config.call.labels"),
    "long label": (call_with(labels={"k": "v" * 257}), "config.call.labels"),
}


@pytest.mark.parametrize("name", FIRST_REQUESTS)
async def test_a_bad_first_request_is_refused_with_its_field(server, name):
    request, field = FIRST_REQUESTS[name]
    call = server.call()
    await call.send(request)
    error = await call.expect_error()
    assert error.code is INVALID
    assert error.field == field
    assert field in error.message
    assert await server.active_sessions() == 0


LATER_REQUESTS = {
    "second config": (config_with(), "config"),
    "odd bytes": (audio(b"\0\0\0"), "audio.content"),
    "too much audio": (audio(bytes(64 * 1024 + 2)), "audio.content"),
    "negative index": (audio(b"\0\0", first_sample=-1), "audio.first_sample"),
    "far jump": (audio(b"\0\0", first_sample=10**15), "audio.first_sample"),
    "nothing set": (pb.MonitorRequest(), "request"),
    "no action": (pb.MonitorRequest(control=pb.Control()), "control.action"),
    "unknown action": (pb.MonitorRequest(control=pb.Control(action=8)), "control.action"),
    "no outcome": (
        pb.MonitorRequest(handoff_ack=pb.HandoffAck(handoff_id="handoff-1")),
        "handoff_ack.outcome",
    ),
    "unknown handoff": (
        pb.MonitorRequest(handoff_ack=pb.HandoffAck(handoff_id="handoff-1", outcome=1)),
        "handoff_ack.handoff_id",
    ),
    "long reason": (
        pb.MonitorRequest(handoff_ack=pb.HandoffAck(outcome=1, reason="x" * 257)),
        "handoff_ack.reason",
    ),
}


@pytest.mark.parametrize("name", LATER_REQUESTS)
async def test_a_bad_later_request_ends_the_call_with_its_field(server, name):
    request, field = LATER_REQUESTS[name]
    call = server.call()
    await call.open()
    await call.send(audio(calm_call(1)))
    await call.send(request)
    error = await call.expect_error()
    assert error.code is INVALID
    assert error.field == field
    await eventually(lambda: len(server.server._desk.registry) == 0)
    again = server.call()  # the id is free, and the server is well
    await again.open()
    assert kinds(await again.play(calm_call(1)))[-1] == "summary"


async def test_a_whole_odd_chunk_in_several_channels(server):
    call = server.call()
    config = make_config()
    config.audio.channels[:] = [1, 2]
    await call.open(config)
    await call.send(audio(b"\0\0"))
    error = await call.expect_error()
    assert error.field == "audio.content"
    assert "4 bytes" in error.message


async def test_half_close_without_config(server):
    call = server.call()
    await call.half_close()
    error = await call.expect_error()
    assert (error.code, error.field) == (INVALID, "config")


async def test_no_config_in_time(serving):
    async with serving(config_timeout_s=0.1) as server:
        error = await server.call().expect_error()
        assert error.code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert error.reason == "NO_CONFIG"


async def test_a_duplicate_live_session_id(server):
    first = server.call()
    await first.open()
    second = server.call()
    await second.send(config_with())
    error = await second.expect_error()
    assert error.code is grpc.StatusCode.ALREADY_EXISTS
    assert error.reason == "SESSION_EXISTS"
    assert kinds(await first.play(calm_call(1)))[-1] == "summary"


async def test_too_many_sessions(serving):
    async with serving(max_sessions=2) as server:
        calls = [server.call() for _ in range(3)]
        for index in range(2):
            await calls[index].open(make_config(f"call-{index}"))
        await calls[2].send(config_with(session_id="call-2"))
        error = await calls[2].expect_error()
        assert error.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert error.retry_after_s > 0
        assert server.metric("voiceguard_refusals_total", reason="TOO_MANY_SESSIONS") == 1
        await calls[0].play(b"")
        again = server.call()
        await again.open(make_config("call-2"))


@pytest.mark.parametrize(
    ("consent", "policy"),
    [
        (pb.Consent(state=pb.Consent.STATE_REFUSED, notice_given=True), ""),
        (pb.Consent(state=pb.Consent.STATE_REFUSED, notice_given=True), "strict"),
        (pb.Consent(), "strict"),
        (pb.Consent(state=pb.Consent.STATE_GIVEN), "strict"),
        (pb.Consent(state=pb.Consent.STATE_NOT_REQUIRED, notice_given=True), "strict"),
    ],
)
async def test_missing_consent(serving, tmp_path, consent, policy):
    write_policy(tmp_path, "default")
    write_policy(tmp_path, "strict", require_consent="true")
    async with serving(policies_dir=tmp_path) as server:
        call = server.call()
        await call.send(config_with(consent=consent, policy=policy))
        error = await call.expect_error()
        assert error.code is grpc.StatusCode.FAILED_PRECONDITION
        failure = unpack(error.status, error_details_pb2.PreconditionFailure)
        assert failure.violations[0].subject == "config.consent"
        assert await server.active_sessions() == 0
        if policy:
            good = pb.Consent(state=pb.Consent.STATE_GIVEN, notice_given=True)
            await server.call().open(make_config(policy=policy, consent=good))


async def test_a_mixed_channel_where_the_policy_allows_it(serving, tmp_path):
    write_policy(tmp_path, "default", allow_mixed_channel="true")
    async with serving(policies_dir=tmp_path) as server:
        call = server.call()
        await call.send(audio_with(channels=[4]))
        assert (await call.receive()).HasField("opened")


async def raw_error(server, *messages: bytes) -> StreamError:
    """Send bytes and return the error that they lead to."""
    stream = server.channel.stream_stream(MONITOR)()
    with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):  # refused while writing
        for message in messages:
            await stream.write(message)
    return await stream_end(stream)


@pytest.mark.parametrize("garbage", [b"\xff" * 40, b"\x0a\xff\xff\xff\xff\x0f", b"GET / HTTP/1.1"])
async def test_garbage_bytes(server, garbage):
    error = await raw_error(server, garbage)
    assert error.code is INVALID
    assert error.reason == "GARBAGE"
    config = config_with().SerializeToString()
    error = await raw_error(server, config, garbage)
    assert error.code is INVALID
    assert kinds(await (await opened(server, "after")).play(calm_call(1)))[-1] == "summary"


async def opened(server, session_id) -> Caller:
    call = server.call()
    await call.open(make_config(session_id))
    return call


async def test_garbage_for_a_unary_method(server):
    method = server.channel.unary_unary("/voiceguard.v1.MonitorService/GetCapabilities")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await method(b"\xff\xff\xff")
    assert caught.value.code() is INVALID


async def test_ten_megabytes_in_one_message(server):
    error = await raw_error(server, bytes(10_000_000))
    assert error.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    call = await opened(server, "call-1")
    opened_again = await opened(server, "call-2")
    await call.call.write(audio(bytes(10_000_000)))
    error = await call.expect_error()
    assert error.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    await eventually(lambda: server.server._desk.registry.detached == 1)
    assert kinds(await opened_again.play(calm_call(1)))[-1] == "summary"


async def test_eight_megabytes_of_metadata(server):
    call = server.call(metadata=[("x-large", "x" * 8_000_000)])
    error = await call.expect_error()
    assert error.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    await server.call().open()


async def test_an_unknown_method(server):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await server.channel.unary_unary("/voiceguard.v1.MonitorService/Nonsense")(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_what_came_before_the_error_is_delivered(server):
    call = server.call()
    await call.open()
    await call.send(audio(calm_call(2)))
    assert (await call.receive()).HasField("speech")
    await asyncio.sleep(0.2)  # scores of the first hops
    await call.send(audio(b"\0"))
    received = []
    with suppress(StreamError):
        while True:
            received.append(await call.receive())
    assert call.call.done()
    assert "pressure" in kinds(received)
    assert "summary" not in kinds(received)


async def test_a_defect_ends_one_call_and_tells_nothing(server, monkeypatch, caplog):
    def fail(*_args):
        raise RuntimeError("secret +49 171 1234567")

    call, other = await opened(server, "call-1"), await opened(server, "call-2")
    session = next(iter(server.server._desk.registry))
    monkeypatch.setattr(session._core, "receive_audio", fail)
    await call.send(audio(calm_call(1)))
    error = await call.expect_error()
    assert error.code is grpc.StatusCode.INTERNAL
    assert "171" not in error.message
    assert kinds(await other.play(calm_call(1)))[-1] == "summary"
