"""Calls against a real server, through a network that breaks."""

import asyncio

import pytest

from tests.client.conftest import MONO
from voiceguard.client import (
    CallLostError,
    ClientUsageError,
    MonitorClient,
    session_config,
)
from voiceguard.core.events import HandoffOutcome
from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.wire import seconds_from_proto

SECOND = 16_000
"""Bytes of a second of mono 16-bit audio at 8 kHz."""


def config(session_id="call-1", **changes):
    return session_config(session_id, MONO, **changes)


async def listen(call, events):
    """Do what a dialer does with events: keep them, and answer handoffs."""
    async for event in call:
        events.append(event)
        if isinstance(event, pb.HandoffRequested):
            await call.acknowledge(event.handoff_id, HandoffOutcome.ACCEPTED)


def kinds(events):
    return [type(event).__name__ for event in events]


async def until(condition, timeout_s=10.0):
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - what a dialer sees has no event to wait for
            await asyncio.sleep(0.01)


async def test_a_call_from_its_first_sample_to_its_summary(address, connect, angry_call):
    events = []
    async with connect(address) as client:
        async with client.call(config(pressure_updates=True)) as call:
            listening = asyncio.create_task(listen(call, events))
            for begin in range(0, len(angry_call), 320):
                await call.send_audio(angry_call[begin : begin + 320])
            summary = await call.finish()
            await listening
        capabilities = await client.capabilities()
    assert kinds(events)[0] == "SessionOpened"
    assert kinds(events)[-1] == "SessionSummary"
    assert events[-1] == summary == await call.finish()
    assert {"PressureUpdate", "AlertChanged", "SessionFlagged"} <= set(kinds(events))
    assert kinds(events).count("HandoffRequested") == summary.handoffs == 1
    assert seconds_from_proto(summary.audio_duration) == len(angry_call) / SECOND
    assert seconds_from_proto(summary.gaps) == 0
    assert capabilities.active_sessions == 0
    assert call.statistics.replayed_samples == call.statistics.lost_samples == 0


async def test_a_connection_that_is_cut_again_and_again_loses_nothing(
    proxy, address, connect, angry_call
):
    events, whole = [], []
    async with connect(proxy.address) as client, client.call(config()) as call:
        listening = asyncio.create_task(listen(call, events))
        for begin in range(0, len(angry_call), SECOND // 5):
            await call.send_audio(angry_call[begin : begin + SECOND // 5])
            if begin % (6 * SECOND) == 3 * SECOND:
                await until(lambda: call.connected and not call.statistics.unsent_samples)
                proxy.cut()
                await until(lambda: not call.connected)
        summary = await call.finish()
        await listening
    async with connect(address) as client, client.call(config("whole")) as undisturbed:
        listening = asyncio.create_task(listen(undisturbed, whole))
        await undisturbed.send_audio(angry_call)
        expected = await undisturbed.finish()
        await listening
    assert call.statistics.resumes >= 4
    assert call.statistics.reopened == 0
    assert call.statistics.lost_samples == 0
    assert seconds_from_proto(summary.gaps) == 0
    expected.session_id = summary.session_id
    assert summary == expected
    once = [event for event in events if not isinstance(event, pb.SessionOpened)]
    assert once == [*whole[1:-1], summary]


async def test_what_an_outage_takes_is_reported_as_a_gap(proxy, connect, angry_call):
    events = []
    async with connect(proxy.address) as client, client.call(config()) as call:
        listening = asyncio.create_task(listen(call, events))
        await call.send_audio(angry_call[: 5 * SECOND])
        await until(lambda: not call.statistics.unsent_samples)
        # What the server has shows in nothing but the next resume.
        proxy.is_open = False
        proxy.cut()
        await until(lambda: not call.connected)
        fallen = 0
        for begin in range(5 * SECOND, 20 * SECOND, SECOND // 10):
            fallen += call.send_audio_nowait(angry_call[begin : begin + SECOND // 10])
        assert fallen == 5 * 8000
        proxy.is_open = True
        await until(lambda: call.connected)
        await call.send_audio(angry_call[20 * SECOND :])
        summary = await call.finish()
        await listening
    lost_s = call.statistics.lost_samples / 8000
    assert lost_s >= 5
    assert seconds_from_proto(summary.gaps) == lost_s
    assert seconds_from_proto(summary.audio_duration) == len(angry_call) / SECOND
    (gap,) = [event for event in events if isinstance(event, pb.AudioGap)]
    assert seconds_from_proto(gap.end_offset) == 10
    assert seconds_from_proto(gap.end_offset) - seconds_from_proto(gap.start_offset) == lost_s


async def test_a_restarted_server_gets_a_new_session_on_the_same_clock(
    serve, connect, free_port, angry_call
):
    events, target = [], f"127.0.0.1:{free_port}"
    async with connect(target) as client:
        async with serve(listen=target):
            call = await client.call(config()).__aenter__()
            listening = asyncio.create_task(listen(call, events))
            await call.send_audio(angry_call[: 24 * SECOND])
            await until(lambda: "HandoffRequested" in kinds(events))
        async with serve(listen=target):
            await call.send_audio(angry_call[24 * SECOND :])
            summary = await call.finish()
            await listening
            await call.__aexit__(None, None, None)
    openings = [event for event in events if isinstance(event, pb.SessionOpened)]
    assert [opened.accepted_samples for opened in openings] == [0, 0]
    assert call.statistics.reopened == 1
    # The new session hears the last ten seconds again, asks for a human again, and knows
    # where in the call it is.
    assert kinds(events).count("HandoffRequested") == 2
    assert seconds_from_proto(summary.audio_duration) == len(angry_call) / SECOND
    assert seconds_from_proto(summary.gaps) >= 12


async def test_a_draining_server_is_used_to_its_end_and_then_left_for_its_successor(
    serve, connect, free_port, angry_call
):
    events, target = [], f"127.0.0.1:{free_port}"
    async with connect(target) as client:
        async with serve(listen=target, drain_grace_s=0.3) as (server, _):
            call = await client.call(config()).__aenter__()
            listening = asyncio.create_task(listen(call, events))
            await call.send_audio(angry_call[:SECOND])
            draining = asyncio.create_task(server.drain())
            await until(lambda: "FlowNotice" in kinds(events))
            await call.send_audio(angry_call[SECOND : 2 * SECOND])
            assert call.connected
            await draining
        await until(lambda: not call.connected)
        async with serve(listen=target):
            await call.send_audio(angry_call[2 * SECOND : 3 * SECOND])
            summary = await call.finish()
            await listening
            await call.__aexit__(None, None, None)
    (notice,) = [event for event in events if isinstance(event, pb.FlowNotice)]
    assert notice.kind == pb.FlowNotice.KIND_DRAINING
    so_far, last = [event for event in events if isinstance(event, pb.SessionSummary)]
    assert seconds_from_proto(so_far.audio_duration) == 2
    assert last == summary
    # The call's own clock: the new session heard the part before again.
    assert seconds_from_proto(summary.audio_duration) == 3
    assert seconds_from_proto(summary.gaps) == 0
    assert call.statistics.reopened == 1


async def test_a_call_that_ends_while_its_server_drains_ends_well(serve, connect, angry_call):
    events = []
    async with (
        serve(drain_grace_s=10.0) as (server, target),
        connect(target) as client,
        client.call(config()) as call,
    ):
        await call.send_audio(angry_call[:SECOND])
        draining = asyncio.create_task(server.drain())
        async for event in call:
            events.append(event)
            if isinstance(event, pb.FlowNotice):
                break
        summary = await call.finish()
        await draining
    assert seconds_from_proto(summary.audio_duration) == 1


# ---- a dialer's own mistakes, and its ways to leave ----


async def test_what_cannot_be_done_is_said_and_changes_nothing(address, connect):
    async with connect(address) as client:
        call = client.call(config())
        with pytest.raises(ClientUsageError, match="async with"):
            await call.send_audio(b"\0\0")
        async with call:
            with pytest.raises(ClientUsageError, match="3 bytes"):
                await call.send_audio(b"\0\0\0")
            with pytest.raises(ClientUsageError, match="3 bytes"):
                call.send_audio_nowait(b"\0\0\0")
            with pytest.raises(ClientUsageError, match="handoff-7"):
                await call.acknowledge("handoff-7", HandoffOutcome.ACCEPTED)
            with pytest.raises(ClientUsageError, match="once"):
                await call.__aenter__()
            await call.send_audio(b"")
            summary = await call.finish()
            with pytest.raises(ClientUsageError, match="finished"):
                await call.send_audio(b"\0\0")
    assert seconds_from_proto(summary.audio_duration) == 0
    with pytest.raises(ClientUsageError, match="async with"):
        MonitorClient(address).call(config())


async def test_leaving_a_call_ends_its_session(address, connect, angry_call):
    async with connect(address) as client:
        async with client.call(config()) as call:
            await call.send_audio(angry_call[:SECOND])
        assert [event async for event in call][-1].session_id == "call-1"

        async def fail():
            async with client.call(config()) as call:
                await call.send_audio(angry_call[:SECOND])
                raise KeyError

        with pytest.raises(KeyError):
            await fail()
        assert (await client.capabilities()).active_sessions == 0


async def test_a_cancelled_dialer_leaves_no_session_behind(address, connect, angry_call):
    async with connect(address) as client:

        async def dial():
            async with client.call(config()) as call:
                await call.send_audio(angry_call[:SECOND])
                await asyncio.sleep(3600)

        dialing = asyncio.create_task(dial())
        await asyncio.sleep(0.3)
        dialing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialing
        assert (await client.capabilities()).active_sessions == 0


async def test_another_process_goes_on_with_a_session(address, connect, angry_call):
    async with connect(address) as first, connect(address) as second:
        old = await first.call(config()).__aenter__()
        await old.send_audio(angry_call[: 2 * SECOND])
        await until(lambda: not old.statistics.unsent_samples)
        await asyncio.sleep(0.2)
        taken_over = config()
        taken_over.resume_token = old.resume_token
        async with second.call(taken_over) as new:
            assert new.next_sample == 16_000
            with pytest.raises(CallLostError, match="newer stream"):
                async for _ in old:
                    pass
            await new.send_audio(angry_call[2 * SECOND : 3 * SECOND])
            summary = await new.finish()
        await old.__aexit__(None, None, None)
    assert seconds_from_proto(summary.audio_duration) == 3
    assert seconds_from_proto(summary.gaps) == 0


async def test_a_hold_is_not_scored(address, connect, angry_call):
    async def score(*, held):
        async with connect(address) as client, client.call(config(f"held-{held}")) as call:
            await call.send_audio(angry_call[: 14 * SECOND])
            if held:
                await call.hold()
            await call.send_audio(angry_call[14 * SECOND :])
            if held:
                await call.resume()
            return await call.finish()

    plain, held = await score(held=False), await score(held=True)
    assert plain.handoffs == 1
    assert held.handoffs == 0
    assert held.audio_duration == plain.audio_duration


# ---- backpressure ----


async def test_a_stalled_network_stops_files_but_never_a_media_loop(proxy, connect, angry_call):
    async with connect(proxy.address) as client, client.call(config()) as call:
        proxy.stall()
        sending = asyncio.create_task(call.send_audio(angry_call))
        await asyncio.sleep(0.3)
        assert not sending.done()
        assert call.statistics.unsent_samples <= 5 * 8000
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)

        began_s = asyncio.get_running_loop().time()
        fallen = sum(call.send_audio_nowait(angry_call[:1600]) for _ in range(200))
        assert asyncio.get_running_loop().time() - began_s < 0.5
        assert fallen > 0
        assert call.statistics.unsent_samples == 10 * 8000
        proxy.flow()
        summary = await call.finish()
    assert seconds_from_proto(summary.gaps) == call.statistics.lost_samples / 8000 > 0
    assert seconds_from_proto(summary.audio_duration) == call.statistics.received_samples / 8000


async def test_a_dialer_that_never_reads_still_gets_its_alerts(address, connect, angry_call):
    async with connect(address) as client, client.call(config(pressure_updates=True)) as call:
        call._inbox._capacity = 4
        await call.send_audio(angry_call)
        summary = await call.finish()
        read = [event async for event in call]
    assert call.statistics.dropped_events > 0
    assert kinds(read).count("HandoffRequested") == summary.handoffs
    assert {"SessionOpened", "AlertChanged", "SessionFlagged"} <= set(kinds(read))
    assert read[-1] == summary
