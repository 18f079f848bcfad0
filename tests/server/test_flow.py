"""Slow, silent and stuck clients; a scorer that cannot keep up."""

from __future__ import annotations

import asyncio
import time

import grpc
import numpy as np

from tests.server.support import (
    ANGRY_RMS,
    RATE_HZ,
    Caller,
    angry_call,
    audio,
    calm_call,
    eventually,
    kinds,
    make_config,
    pieces,
    voice,
)
from voiceguard.engine.model import StressModel
from voiceguard.v1 import monitor_pb2 as pb

NARROW = (("grpc.http2.lookahead_bytes", 1024), ("grpc.http2.bdp_probe", 0))
"""A client whose connection holds little that it has not read."""


async def flows(call):
    """Return the notices of a call up to its end, and how it ended."""
    responses = await call.rest()
    return [item.flow for item in responses if item.HasField("flow")]


async def test_a_stall_is_noticed_once(serving):
    async with serving(stall_after_s=0.1) as server:
        call = server.call()
        await call.open()
        await call.send(audio(calm_call(1)))
        notice = (await call.receive_until("flow")).flow
        assert notice.kind == pb.FlowNotice.KIND_STALLED
        assert notice.lag.ToMilliseconds() >= 100
        await asyncio.sleep(0.3)
        await call.send(audio(calm_call(1)))  # the stall is over; another begins
        await asyncio.sleep(0.3)
        await call.half_close()
        assert [item.kind for item in await flows(call)] == [pb.FlowNotice.KIND_STALLED]


async def test_silence_on_hold_is_no_stall(serving):
    async with serving(stall_after_s=0.1) as server:
        call = server.call()
        await call.open()
        await call.send(pb.MonitorRequest(control=pb.Control(action=pb.Control.ACTION_HOLD)))
        await asyncio.sleep(0.3)
        await call.half_close()
        assert await flows(call) == []


async def test_an_idle_session_is_ended(serving):
    async with serving(idle_timeout_s=0.2) as server:
        call = server.call()
        await call.open()
        error = await call.expect_error()
        assert error.code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert error.reason == "SESSION_IDLE"
        assert await server.active_sessions() == 0


async def stuck_call(server, config=None):
    """Return a call whose client sends eight channels of speech and reads nothing more."""
    config = config or make_config()
    config.audio.channels[:] = [1] * 8
    channel = grpc.aio.insecure_channel(server.address.target, options=NARROW)
    call = Caller(channel)
    opened = await call.open(config)
    samples = np.stack([voice(20, ANGRY_RMS, seed) for seed in range(8)], axis=1).tobytes()

    async def send():
        try:
            for piece in pieces(samples, 12_800) * 20:
                await call.send(audio(piece))
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            pass

    return channel, call, opened, asyncio.create_task(send())


async def test_a_client_that_does_not_read_is_closed_and_may_resume(serving):
    async with serving(unread_timeout_s=0.5, max_undelivered=256) as server:
        channel, _, opened, sending = await stuck_call(server)
        registry = server.server._desk.registry
        session = next(iter(registry))
        await eventually(lambda: registry.detached == 1, timeout_s=20)
        assert len(session.outbox) <= 256
        assert session.received_samples < 20 * RATE_HZ  # what it sent was not read any more
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await channel.close()
        again = server.call()
        config = make_config(resume_token=opened.resume_token)
        config.audio.channels[:] = [1] * 8
        await again.open(config)
        responses = await again.play(b"")
        assert kinds(responses)[-1] == "summary"
        assert "alert" in kinds(responses)


async def test_others_are_served_while_one_is_stuck(serving):
    async with serving(unread_timeout_s=30, max_undelivered=64) as server:
        channel, _, _, sending = await stuck_call(server)
        await asyncio.sleep(0.5)
        call = server.call()
        await call.open(make_config("other"))
        began_s = time.monotonic()
        assert kinds(await call.play(calm_call(2)))[-1] == "summary"
        assert time.monotonic() - began_s < 3
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await channel.close()


async def test_lag_and_missed_windows_are_told(serving, monkeypatch):
    run = StressModel.run

    def slow_run(self, pcm, states):
        time.sleep(0.4)
        return run(self, pcm, states)

    monkeypatch.setattr(StressModel, "run", slow_run)
    async with serving(
        score_deadline_s=0.5, lag_notice_s=0.2, max_pending_scores=64, finish_timeout_s=3
    ) as server:
        call = server.call()
        await call.open()
        await call.send_audio(angry_call(), 32_000)
        await call.half_close()
        responses = await call.rest()
        notices = {item.flow.kind: item.flow for item in responses if item.HasField("flow")}
        assert notices[pb.FlowNotice.KIND_LAGGING].lag.ToMilliseconds() >= 200
        missed = sum(item.flow.windows_missed for item in responses if item.HasField("flow"))
        scored = sum(bool(item.pressure.scores) for item in responses if item.HasField("pressure"))
        assert missed > 0
        assert server.metric("voiceguard_missed_windows_total") == missed
        assert scored > 0
        assert kinds(responses)[-1] == "summary"


async def test_a_summary_does_not_wait_for_scores_for_ever(serving, monkeypatch):
    run = StressModel.run

    def slow_run(self, pcm, states):
        time.sleep(0.3)
        return run(self, pcm, states)

    monkeypatch.setattr(StressModel, "run", slow_run)
    async with serving(finish_timeout_s=0.2) as server:
        call = server.call()
        await call.open()
        responses = await call.play(calm_call(4))
        assert kinds(responses)[-2:] == ["flow", "summary"]
        assert responses[-2].flow.windows_missed > 0


async def test_a_failing_model_ends_no_call(serving, monkeypatch):
    async with serving() as server:

        def failing_run(self, pcm, states):
            raise RuntimeError("out of order")

        monkeypatch.setattr(StressModel, "run", failing_run)
        call = server.call()
        await call.open()
        responses = await call.play(calm_call(3))
        assert kinds(responses)[-1] == "summary"
        assert sum(item.flow.windows_missed for item in responses if item.HasField("flow")) >= 4


async def test_the_server_does_not_read_ahead_of_the_scorer(serving, monkeypatch):
    run = StressModel.run

    def slow_run(self, pcm, states):
        time.sleep(0.1)
        return run(self, pcm, states)

    monkeypatch.setattr(StressModel, "run", slow_run)
    async with serving(max_pending_scores=3) as server:
        call = server.call()
        await call.open()
        session = next(iter(server.server._desk.registry))
        sending = asyncio.create_task(call.send_audio(angry_call()))
        most = 0
        for _ in range(30):
            await asyncio.sleep(0.02)
            most = max(most, session._core.pending_scores)
        assert 3 <= most <= 4
        assert session.received_samples < 16 * RATE_HZ
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
