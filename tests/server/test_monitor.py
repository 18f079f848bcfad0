"""Monitor on good days: a call goes in, its events come out, whatever its audio is like."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest
import soxr

from tests.server.support import (
    ANGRY_RMS,
    CUSTOMER,
    RATE_HZ,
    angry_call,
    audio,
    audio_config,
    calm_call,
    eventually,
    kinds,
    local_responses,
    make_config,
    pieces,
    voice,
    without_repeats,
    write_policy,
)
from voiceguard import __version__
from voiceguard.core.audio import ALAW_TABLE, MULAW_TABLE
from voiceguard.core.events import AudioFormat, Encoding, Role
from voiceguard.core.units import INPUT_RATES_HZ
from voiceguard.v1 import monitor_pb2 as pb


async def test_a_call_gives_the_events_of_the_file_analyser(server, model):
    call = server.call()
    await call.open()
    responses = await call.play(angry_call())
    assert without_repeats(responses) == local_responses(model, angry_call())
    assert {"pressure", "speech", "alert", "flagged", "handoff"} <= set(kinds(responses))
    assert kinds(responses)[-1] == "summary"


@pytest.mark.parametrize("size", [2, 320, 1602, 48_000])
async def test_any_chunk_size_gives_the_same_events(server, model, size):
    content = angry_call()[: 11 * RATE_HZ * 2] if size > 2 else calm_call(1.5)
    call = server.call()
    await call.open()
    assert without_repeats(await call.play(content, size)) == local_responses(model, content)


async def test_only_what_is_asked_for_is_sent(server):
    call = server.call()
    await call.open(make_config(pressure_updates=False, speech_events=False))
    responses = await call.play(angry_call())
    assert set(kinds(responses)) == {"alert", "flagged", "handoff", "summary"}
    assert responses[-1].summary.session_id == "call-1"
    assert responses[-1].summary.high_sensitivity


def encoded(samples, encoding):
    match encoding:
        case Encoding.LINEAR16:
            return samples.astype("<i2").tobytes()
        case Encoding.MULAW:
            table = MULAW_TABLE
        case Encoding.ALAW:
            table = ALAW_TABLE
    order = np.argsort(table, kind="stable")
    found = np.searchsorted(table[order], samples).clip(0, 255)
    return order[found].astype(np.uint8).tobytes()


@pytest.mark.parametrize("encoding", list(Encoding))
@pytest.mark.parametrize("rate_hz", INPUT_RATES_HZ)
async def test_every_encoding_and_rate(server, model, encoding, rate_hz):
    samples = voice(3, ANGRY_RMS)
    if rate_hz != RATE_HZ:
        samples = np.asarray(soxr.resample(samples, RATE_HZ, rate_hz), dtype=np.int16)
    audio_format = AudioFormat(encoding, rate_hz, (Role.CUSTOMER,))
    content = encoded(samples, encoding)
    call = server.call()
    await call.open(audio_config(audio_format))
    size = rate_hz // 10 * audio_format.frame_bytes
    responses = await call.play(content, size)
    assert without_repeats(responses) == local_responses(model, content, audio_format)
    assert kinds(responses).count("pressure") >= 4
    assert responses[-1].summary.audio_duration.seconds == len(samples) // rate_hz


async def test_eight_channels_of_which_two_are_customers(server, model):
    roles = [Role.HUMAN_AGENT] * 8
    roles[2] = roles[5] = Role.CUSTOMER
    audio_format = AudioFormat(Encoding.LINEAR16, RATE_HZ, tuple(roles))
    samples = np.stack([voice(4, ANGRY_RMS, seed) for seed in range(8)], axis=1)
    call = server.call()
    await call.open(audio_config(audio_format))
    responses = await call.play(samples.tobytes(), 16_000)
    assert without_repeats(responses) == local_responses(model, samples.tobytes(), audio_format)
    assert {item.pressure.channel for item in responses if item.HasField("pressure")} == {2, 5}


async def test_a_handoff_is_repeated_until_it_is_acknowledged(serving):
    async with serving(handoff_repeat_s=0.1) as server:
        call = server.call()
        await call.open()
        await call.send_audio(angry_call())
        first = await call.receive_until("handoff")
        assert await call.receive_until("handoff") == first
        ack = pb.HandoffAck(handoff_id="handoff-1", outcome=pb.HandoffAck.OUTCOME_ACCEPTED)
        await call.send(pb.MonitorRequest(handoff_ack=ack))
        await asyncio.sleep(0.15)
        await call.half_close()
        assert kinds(await call.rest()).count("handoff") <= 1  # one may have been on its way
        assert server.metric("voiceguard_handoffs_total", outcome="accepted") == 1
        assert server.metric("voiceguard_handoff_requests_total") == 1


async def test_what_became_of_a_handoff_is_logged(serving, capsys):
    async with serving(log_level="info", log_format="json") as server:
        call = server.call()
        await call.open()
        await call.send_audio(angry_call())
        await call.receive_until("handoff")
        ack = pb.HandoffAck(handoff_id="handoff-1", outcome=pb.HandoffAck.OUTCOME_DECLINED)
        await call.send(pb.MonitorRequest(handoff_ack=ack))
        await call.half_close()
        await call.rest()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    of_call = {line["event"]: line for line in lines if line.get("session") == "call-1"}
    assert of_call["handoff_requested"]["reason"] == "anger"
    assert of_call["handoff_settled"]["outcome"] == "declined"
    assert "session_flagged" in of_call


async def test_a_handoff_that_nobody_answers_expires(serving, tmp_path):
    write_policy(tmp_path, "default", ack_deadline_s="0.25")
    async with serving(handoff_repeat_s=0.1, policies_dir=tmp_path) as server:
        call = server.call()
        await call.open()
        await call.send_audio(angry_call())
        await call.receive_until("handoff")
        await eventually(lambda: server.metric("voiceguard_handoffs_total", outcome="expired") == 1)
        await asyncio.sleep(0.2)
        late = pb.HandoffAck(handoff_id="handoff-1", outcome=pb.HandoffAck.OUTCOME_ACCEPTED)
        await call.send(pb.MonitorRequest(handoff_ack=late))  # who comes late still came
        await call.half_close()
        assert kinds(await call.rest()).count("handoff") <= 3
        assert server.metric("voiceguard_handoffs_total", outcome="accepted") == 1


async def test_a_held_call_is_not_scored(server):
    call = server.call()
    await call.open()
    await call.send(pb.MonitorRequest(control=pb.Control(action=pb.Control.ACTION_HOLD)))
    await call.send_audio(angry_call())
    await call.send(pb.MonitorRequest(control=pb.Control(action=pb.Control.ACTION_RESUME)))
    responses = await call.play(calm_call(2))
    assert responses[-1].summary.peak_level == pb.ALERT_LEVEL_GREEN
    assert responses[-1].summary.audio_duration.seconds == 18


async def test_a_jump_forward_is_a_gap(server):
    call = server.call()
    await call.open()
    await call.send(audio(calm_call(1)), audio(calm_call(1), first_sample=3 * RATE_HZ))
    responses = await call.play(b"")
    gap = next(item.gap for item in responses if item.HasField("gap"))
    assert (gap.start_offset.seconds, gap.end_offset.seconds) == (1, 3)
    assert responses[-1].summary.gaps.seconds == 2


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(RATE_HZ * 4, dtype=np.int16),
        np.full(RATE_HZ * 4, 32767, dtype=np.int16),
        np.full(RATE_HZ * 4, -32768, dtype=np.int16),
        np.where(np.arange(RATE_HZ * 4) // 20 % 2, 32767, -32768).astype(np.int16),
        np.where(np.arange(RATE_HZ * 4) % 2, 32767, -32768).astype(np.int16),
        np.random.default_rng(0).integers(-32768, 32768, RATE_HZ * 4, dtype=np.int16),
    ],
    ids=["zeros", "dc", "negative-dc", "square", "nyquist", "noise"],
)
async def test_hard_audio_gives_finite_numbers_and_a_summary(server, samples):
    call = server.call()
    await call.open()
    responses = await call.play(samples.tobytes())
    for response in responses:
        if response.HasField("pressure"):
            numbers = [response.pressure.pressure_index, *response.pressure.scores.values()]
            assert np.isfinite(numbers).all()
    assert np.isfinite(responses[-1].summary.mean_pressure_index)


async def test_a_call_without_audio_has_a_summary(server):
    call = server.call()
    await call.open()
    responses = await call.play(b"")
    assert kinds(responses) == ["summary"]
    assert await server.active_sessions() == 0


async def test_faster_than_real_time_loses_nothing(serving, model):
    async with serving(max_pending_scores=2) as server:
        call = server.call()
        await call.open()
        responses = await call.play(angry_call(), 64 * 1024)
        assert without_repeats(responses) == local_responses(model, angry_call())


async def test_many_calls_at_once_give_what_each_gives_alone(server, model):
    contents = [angry_call(seed) if seed % 2 else calm_call(8, seed) for seed in range(12)]

    async def play(index):
        call = server.call()
        await call.open(make_config(f"call-{index}"))
        return without_repeats(await call.play(contents[index], 1600 + 160 * index))

    results = await asyncio.gather(*(play(index) for index in range(12)))
    for index, result in enumerate(results):
        assert result == local_responses(model, contents[index], session_id=f"call-{index}")


async def test_capabilities(server):
    capabilities = await server.stub.GetCapabilities(pb.GetCapabilitiesRequest())
    assert capabilities.server_version == __version__
    assert capabilities.model_version == "tiny@1"
    assert list(capabilities.sample_rates_hertz) == list(INPUT_RATES_HZ)
    assert len(capabilities.encodings) == 3
    assert capabilities.policies[0] == "default"
    assert capabilities.max_sessions == 500
    assert capabilities.active_sessions == 0


async def test_opened_says_what_decides(server):
    opened = await server.call().open()
    assert opened.session_id == "call-1"
    assert len(opened.resume_token) >= 43
    assert opened.accepted_samples == 0
    assert opened.policy_version.startswith("default@sha256:")
    assert opened.model_version == "tiny@1"


def test_pieces_are_whole():
    assert b"".join(pieces(angry_call())) == angry_call()
    assert CUSTOMER.frame_bytes == 2
