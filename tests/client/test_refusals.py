"""Servers that say no, say nothing, or are not there."""

import asyncio
import datetime as dt
import hashlib

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.client.test_monitored_call import SECOND, config, listen
from voiceguard.client import (
    CallLostError,
    CallRefusedError,
    MonitorClient,
    RetryPolicy,
    TlsOptions,
)
from voiceguard.core.events import Consent, ConsentState


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
