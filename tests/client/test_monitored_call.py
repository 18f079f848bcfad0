"""Calls against a real server, through a network that breaks."""

import asyncio
import datetime as dt
import hashlib

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.client.conftest import MONO
from voiceguard.client import (
    CallLostError,
    CallRefusedError,
    ClientUsageError,
    MonitorClient,
    RetryPolicy,
    TlsOptions,
    session_config,
)
from voiceguard.core.events import Consent, ConsentState, HandoffOutcome
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


def self_signed(directory):
    """Write a certificate for voiceguard.test and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "voiceguard.test")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("voiceguard.test")]), False)
        .sign(key, hashes.SHA256())
    )
    paths = directory / "certificate.pem", directory / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    paths[1].chmod(0o600)
    return paths


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


# ---- refusals ----


@pytest.mark.parametrize(
    ("changes", "status", "field"),
    [
        ({"policy": "none-such"}, grpc.StatusCode.INVALID_ARGUMENT, "config.policy"),
        ({"session_id": "no spaces"}, grpc.StatusCode.INVALID_ARGUMENT, "config.session_id"),
        (
            {"consent": Consent(ConsentState.REFUSED)},
            grpc.StatusCode.FAILED_PRECONDITION,
            "",
        ),
    ],
)
async def test_a_refused_call_says_why_at_once(address, connect, changes, status, field):
    async with connect(address) as client:
        with pytest.raises(CallRefusedError) as refused:
            async with client.call(config(**changes)):
                pytest.fail("entered a refused call")
    assert refused.value.status is status
    assert refused.value.field == field
    assert refused.value.retry_after_s is None


async def test_an_id_in_use_and_a_foreign_token_are_refused(address, connect):
    async with connect(address) as client, client.call(config()):
        with pytest.raises(CallRefusedError) as taken:
            await client.call(config()).__aenter__()
        stranger = config("stranger")
        stranger.resume_token = "guessed"
        with pytest.raises(CallRefusedError) as unknown:
            await client.call(stranger).__aenter__()
    assert taken.value.status is grpc.StatusCode.ALREADY_EXISTS
    assert unknown.value.status is grpc.StatusCode.NOT_FOUND


async def test_a_full_server_says_when_to_come_again(serve, connect):
    async with serve(max_sessions=1) as (_, target):
        patient = RetryPolicy(tries=3, total_s=3.0)
        async with connect(target, opening=patient) as client, client.call(config()):
            with pytest.raises(CallRefusedError) as refused:
                await client.call(config("call-2")).__aenter__()
    assert refused.value.status is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert refused.value.retry_after_s is not None


async def test_no_server_is_a_lost_call_within_the_time_allowed(free_port):
    impatient = RetryPolicy(tries=100, total_s=0.3, initial_s=0.05)
    async with MonitorClient(f"127.0.0.1:{free_port}", opening=impatient) as client:
        began_s = asyncio.get_running_loop().time()
        with pytest.raises(CallLostError) as lost:
            await client.call(config()).__aenter__()
        assert asyncio.get_running_loop().time() - began_s < 3
        assert lost.value.tries >= 1
        with pytest.raises(CallLostError):
            await client.capabilities(timeout_s=1.0)


async def test_a_call_whose_server_stays_away_is_lost(serve, connect, angry_call):
    impatient = RetryPolicy(tries=3, total_s=1.0, initial_s=0.02)
    async with serve() as (_, target):
        client = await connect(target, resuming=impatient).__aenter__()
        call = await client.call(config()).__aenter__()
        await call.send_audio(angry_call[:SECOND])
    with pytest.raises(CallLostError) as lost:
        async for _ in call:
            pass
    assert lost.value.tries == 3
    for attempt in (call.send_audio(b"\0\0"), call.hold(), call.finish()):
        with pytest.raises(CallLostError):
            await attempt
    with pytest.raises(CallLostError):
        call.send_audio_nowait(b"\0\0")
    # The program has seen it: leaving does not say so again.
    await call.__aexit__(None, None, None)
    await client.__aexit__(None, None, None)


async def test_a_server_that_asks_for_a_token_gets_it(serve, connect, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text(f"acme:{hashlib.sha256(b'correct horse').hexdigest()}\n")
    tokens.chmod(0o600)
    async with serve(tokens_file=tokens) as (_, target):
        async with connect(target, token="correct horse") as client:
            assert (await client.capabilities()).max_sessions > 0
            async with client.call(config()) as call:
                await call.finish()
        async with connect(target) as client:
            with pytest.raises(CallRefusedError) as asked:
                await client.capabilities()
            with pytest.raises(CallRefusedError) as refused:
                await client.call(config()).__aenter__()
    assert asked.value.status is refused.value.status is grpc.StatusCode.UNAUTHENTICATED


async def test_a_server_with_a_certificate_of_its_own(serve, connect, tmp_path):
    certificate, key = self_signed(tmp_path)
    async with serve(tls_certificate=certificate, tls_private_key=key, listen="localhost:0") as (
        _,
        target,
    ):
        port = target.rpartition(":")[2]
        trusting = TlsOptions.from_files(certificate, server_name="voiceguard.test")
        async with (
            connect(f"127.0.0.1:{port}", tls=trusting) as client,
            client.call(config()) as call,
        ):
            await call.finish()
        impatient = RetryPolicy(tries=1, total_s=1.0)
        strict = connect(f"127.0.0.1:{port}", tls=TlsOptions(certificate.read_bytes()))
        distrusting = connect(f"127.0.0.1:{port}", tls=TlsOptions(), opening=impatient)
        for stranger in (strict, distrusting):
            stranger.opening = impatient
            async with stranger:
                with pytest.raises(CallLostError, match=r"(?i)ssl|tls|cert|peer|connect"):
                    await stranger.call(config()).__aenter__()


async def test_a_server_that_does_not_answer_is_given_up(proxy, connect, monkeypatch):
    monkeypatch.setattr("voiceguard.client.call.OPEN_TIMEOUT_S", 0.1)
    proxy.stall()
    impatient = RetryPolicy(tries=2, total_s=5.0, initial_s=0.01)
    async with connect(proxy.address, opening=impatient) as client:
        with pytest.raises(CallLostError, match="no answer") as lost:
            await client.call(config()).__aenter__()
        assert lost.value.tries == 2
    proxy.flow()


async def test_a_summary_that_does_not_come_is_not_waited_for(proxy, connect, angry_call):
    async with connect(proxy.address) as client:
        call = await client.call(config()).__aenter__()
        await call.send_audio(angry_call[:SECOND])
        proxy.stall()
        with pytest.raises(CallLostError, match="no summary"):
            await call.finish(timeout_s=0.2)
        with pytest.raises(CallLostError, match="no summary"):
            await listen(call, [])
        proxy.flow()
        await call.__aexit__(None, None, None)


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
