"""Many calls over one stream, against a real server."""

import asyncio

import grpc
import pytest

from tests.client.conftest import MONO
from tests.client.test_monitored_call import SECOND, kinds, listen, until
from voiceguard.client import (
    CallRefusedError,
    ClientUsageError,
    TrunkClient,
    session_config,
)
from voiceguard.client import trunk as trunk_module
from voiceguard.client.protocol import CallProtocol
from voiceguard.wire import seconds_from_proto


def config(number, **changes):
    return session_config(f"call-{number}", MONO, **changes)


async def dial(trunk, number, content, events):
    """One call from end to end."""
    async with trunk.call(config(number)) as call:
        listening = asyncio.create_task(listen(call, events))
        for begin in range(0, len(content), SECOND // 5):
            await call.send_audio(content[begin : begin + SECOND // 5])
            await asyncio.sleep(0)
        summary = await call.finish()
        await listening
    return call, summary


async def test_calls_on_a_trunk_are_as_calls_of_their_own(address, connect, angry_call):
    calm = angry_call[: 14 * SECOND]
    contents = [angry_call, calm, angry_call, calm, angry_call, calm]
    heard = [[] for _ in contents]
    alone = []
    async with connect(address) as client:
        async with TrunkClient(client, interval_ms=20) as trunk:
            dialled = await asyncio.gather(
                *(dial(trunk, i, content, heard[i]) for i, content in enumerate(contents))
            )
        async with client.call(config("alone")) as call:
            listening = asyncio.create_task(listen(call, alone))
            await call.send_audio(angry_call)
            await call.finish()
            await listening
        assert (await client.capabilities()).active_sessions == 0
    assert [summary.session_id for _, summary in dialled] == [f"call-{i}" for i in range(6)]
    for index, events in enumerate(heard):
        if index % 2:
            assert kinds(events) == ["SessionOpened", "SessionSummary"]
        else:
            assert events[1:-1] == alone[1:-1]
            assert "HandoffRequested" in kinds(events)


async def test_one_refused_call_leaves_the_others_alone(address, connect, angry_call):
    async with (
        connect(address) as client,
        TrunkClient(client, interval_ms=20) as trunk,
        trunk.call(config(1)) as call,
    ):
        with pytest.raises(CallRefusedError) as refused:
            await trunk.call(config(2, policy="none-such")).__aenter__()
        with pytest.raises(CallRefusedError) as taken:
            await trunk.call(config(1)).__aenter__()
        await call.send_audio(angry_call[:SECOND])
        summary = await call.finish()
    assert refused.value.status is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.field == "config.policy"
    assert taken.value.status is grpc.StatusCode.ALREADY_EXISTS
    assert seconds_from_proto(summary.audio_duration) == 1


async def test_calls_of_a_broken_trunk_all_come_back(proxy, connect, angry_call):
    heard = [[] for _ in range(5)]
    async with connect(proxy.address) as client, TrunkClient(client, interval_ms=20) as trunk:
        calls = [await trunk.call(config(i)).__aenter__() for i in range(5)]
        listening = [
            asyncio.create_task(listen(call, events))
            for call, events in zip(calls, heard, strict=True)
        ]
        for second in range(30):
            content = angry_call[second * SECOND : (second + 1) * SECOND]
            await asyncio.gather(*(call.send_audio(content) for call in calls))
            if second % 10 == 5:
                proxy.cut()
                await until(lambda: not any(call.connected for call in calls))
                await until(lambda: all(call.connected for call in calls))
        summaries = await asyncio.gather(*(call.finish() for call in calls))
        await asyncio.gather(*listening)
        for call in calls:
            await call.__aexit__(None, None, None)
    assert proxy.connections <= 6
    for call, summary, events in zip(calls, summaries, heard, strict=True):
        assert call.statistics.resumes == 3
        assert call.statistics.lost_samples == 0
        assert seconds_from_proto(summary.audio_duration) == 30
        assert seconds_from_proto(summary.gaps) == 0
        assert kinds(events).count("HandoffRequested") == summary.handoffs == 1


async def test_what_calls_say_together_goes_out_together(address, connect, angry_call):
    async with connect(address) as client, TrunkClient(client, interval_ms=100) as trunk:
        calls = [await trunk.call(config(i)).__aenter__() for i in range(4)]
        messages, write = [], trunk._stream._rpc.write

        async def count(message):
            messages.append(message)
            await write(message)

        trunk._stream._rpc.write = count
        for begin in range(0, SECOND // 10, 320):
            for call in calls:
                call.send_audio_nowait(angry_call[begin : begin + 320])
        await until(lambda: not any(call.statistics.unsent_samples for call in calls))
        del trunk._stream._rpc.write
        for call in calls:
            await call.__aexit__(None, None, None)
    # Five chunks of 20 ms from each of four calls: one message, one chunk of 100 ms a call.
    (message,) = messages
    assert [len(request.request.audio.content) for request in message.requests] == [1600] * 4


async def test_leaving_the_trunk_ends_its_calls(address, connect, angry_call):
    async with connect(address) as client:
        async with TrunkClient(client) as trunk:
            call = await trunk.call(config(1)).__aenter__()
            await call.send_audio(angry_call[:SECOND])
        events = []
        with pytest.raises(ClientUsageError, match="its calls inside"):
            await listen(call, events)
        assert kinds(events) == ["SessionOpened", "SessionSummary"]
        with pytest.raises(ClientUsageError, match="its calls inside"):
            await call.__aexit__(None, None, None)
        with pytest.raises(ClientUsageError, match="async with"):
            await trunk.call(config(2)).__aenter__()
        assert (await client.capabilities()).active_sessions == 0


async def test_an_interval_out_of_range_is_refused(address, connect):
    async with connect(address) as client:
        for interval_ms in (19, 101):
            with pytest.raises(ClientUsageError, match="20 to 100"):
                TrunkClient(client, interval_ms=interval_ms)


async def talk(carrier):
    async with carrier.call(config(0)) as call:
        await call.send_audio(bytes(SECOND))
        await call.finish()


@pytest.mark.parametrize("trunked", [False, True], ids=["a stream each", "one trunk"])
@pytest.mark.parametrize("method", ["next_request", "receive_response"])
async def test_a_defect_of_ours_is_not_taken_for_a_broken_stream(
    address, connect, monkeypatch, method, trunked
):
    """A stream that breaks is made anew; a fault of our own must come out."""

    def faulty(*_):
        raise ArithmeticError("a fault of our own")

    monkeypatch.setattr(CallProtocol, method, faulty)
    async with connect(address) as client, TrunkClient(client, interval_ms=20) as trunk:
        with pytest.raises(ArithmeticError, match="of our own"):
            await talk(trunk if trunked else client)


async def test_a_defect_in_reading_a_trunk_comes_out(address, connect, monkeypatch):
    def faulty(_):
        raise ArithmeticError("a fault of our own")

    monkeypatch.setattr(trunk_module, "failure_from_status", faulty)
    async with connect(address) as client, TrunkClient(client, interval_ms=20) as trunk:
        with pytest.raises(ArithmeticError, match="of our own"):
            async with trunk.call(config(0, policy="no-such")):
                pass
