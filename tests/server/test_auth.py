"""Closed doors: nobody gets anything that no rule gives them."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import hashlib
import ipaddress
import ssl

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from tests.server.support import (
    Caller,
    as_stream_error,
    calm_call,
    kinds,
    make_config,
    running,
    stream_end,
)
from voiceguard.app import open_server
from voiceguard.core.errors import ConfigurationError
from voiceguard.server.auth import METHODS, REVIEW_SERVICE, Access
from voiceguard.server.settings import ServerSettings
from voiceguard.server.tokens import TokenFile
from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.v1 import review_pb2 as rpb

GOOD, OTHER = "good-token", "other-token"


def digest(token):
    return hashlib.sha256(token.encode()).hexdigest()


@pytest.fixture
def tokens_file(tmp_path):
    path = tmp_path / "tokens"
    path.write_text(f"# who may come in\nacme:{digest(GOOD)}\n\nglobex:{digest(OTHER)}  # new\n")
    path.chmod(0o600)
    return path


def bearer(token):
    return [("authorization", f"Bearer {token}")]


async def call_any(channel, method, metadata=(), begun=None):
    """Call a method with nothing, and return the status code; add each call to `begun`."""
    begun = [] if begun is None else begun
    stream = channel.stream_stream(method)(metadata=tuple(metadata))
    begun.append(stream)
    try:
        await stream.write(b"")
        await stream.done_writing()
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        # Refused before the message was out: gRPC then tells of its own failed write, and only
        # a call that sends nothing is told why.
        stream = channel.stream_stream(method)(metadata=tuple(metadata))
        begun.append(stream)
    try:
        if await asyncio.wait_for(stream.read(), 20) is not grpc.aio.EOF:
            stream.cancel()  # it was let in; a watch would go on for ever
            return grpc.StatusCode.OK
        return await stream.code()
    except grpc.aio.AioRpcError as error:
        return error.code()


def registered_methods():
    """Return every method of every service that the server may have, from their descriptors."""
    files = (pb.DESCRIPTOR, rpb.DESCRIPTOR, health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR)
    return [
        f"/{service.full_name}/{method.name}"
        for file in files
        for service in file.services_by_name.values()
        for method in service.methods
    ]


def test_there_is_a_rule_for_every_method():
    assert set(registered_methods()) == set(METHODS)


FOR_REVIEWERS = {
    name for name, access in METHODS.items() if access in {Access.REVIEWERS, Access.SIGN_IN}
}
FOR_OTHERS = [name for name in METHODS if name not in FOR_REVIEWERS]


def test_every_method_of_review_is_for_reviewers():
    assert {name.split("/")[1] for name in FOR_REVIEWERS} == {REVIEW_SERVICE}
    assert [name for name in FOR_REVIEWERS if METHODS[name] is Access.SIGN_IN] == [
        f"/{REVIEW_SERVICE}/SignIn"
    ]
    assert not any(REVIEW_SERVICE in name for name in FOR_OTHERS)


@pytest.mark.parametrize("method", sorted(FOR_REVIEWERS))
async def test_without_a_file_of_reviewers_nobody_reviews(serving, tokens_file, method):
    for changes in ({}, {"tokens_file": tokens_file}):
        async with serving(**changes) as server:
            for metadata in ((), bearer(GOOD)):
                stream = server.channel.unary_stream(method)(b"", metadata=metadata)
                error = await stream_end(stream)
                assert error.code is grpc.StatusCode.UNAUTHENTICATED
                assert "voiceguard reviewers add" in error.message
                assert "reviewers_file" in error.message


@pytest.mark.parametrize("method", [*FOR_OTHERS, "/voiceguard.v1.MonitorService/NoSuchMethod"])
async def test_no_method_without_a_token(serving, tokens_file, method):
    async with serving(tokens_file=tokens_file, reflection=True) as server:
        wrong = (
            [],
            bearer("wrong"),
            bearer(""),
            bearer(digest(GOOD)),
            [("authorization", GOOD)],
            [("authorization", f"Basic {GOOD}")],
            bearer(GOOD) + bearer(OTHER),
        )
        refused = []
        for metadata in wrong:
            code = await call_any(server.channel, method, metadata, refused)
            assert code is grpc.StatusCode.UNAUTHENTICATED
        code = await call_any(server.channel, method, bearer(GOOD))
        assert code is not grpc.StatusCode.UNAUTHENTICATED
        count = server.metric("voiceguard_refusals_total", reason="UNAUTHENTICATED")
        assert count == len(refused)


async def test_a_method_without_a_rule_is_closed(serving, tokens_file, monkeypatch):
    method = "/voiceguard.v1.MonitorService/GetCapabilities"
    fewer = {name: access for name, access in METHODS.items() if name != method}
    monkeypatch.setattr("voiceguard.server.auth.METHODS", fewer)
    async with serving(tokens_file=tokens_file) as server:
        code = await call_any(server.channel, method, bearer(GOOD))
        assert code is grpc.StatusCode.PERMISSION_DENIED
    async with serving() as server:
        assert await call_any(server.channel, method) is grpc.StatusCode.PERMISSION_DENIED


async def test_health_may_be_opened(serving, tokens_file):
    async with serving(tokens_file=tokens_file, health_without_credentials=True) as server:
        stub = health_pb2_grpc.HealthStub(server.channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        code = await call_any(server.channel, "/voiceguard.v1.MonitorService/Monitor")
        assert code is grpc.StatusCode.UNAUTHENTICATED


async def test_a_token_works_and_tenants_are_apart(serving, tokens_file):
    async with serving(tokens_file=tokens_file) as server:
        call, other = server.call(bearer(GOOD)), server.call(bearer(OTHER))
        opened = await call.open()
        await other.open()  # the same session id of another tenant
        call.call.cancel()
        thief = server.call(bearer(OTHER))
        config = make_config(resume_token=opened.resume_token)
        await thief.send(pb.MonitorRequest(config=config))
        assert (await thief.expect_error()).code is grpc.StatusCode.NOT_FOUND
        again = server.call(bearer(GOOD))
        await again.open(config)
        assert kinds(await again.play(calm_call(1)))[-1] == "summary"


async def test_tokens_are_read_again(serving, tokens_file):
    async with serving(tokens_file=tokens_file) as server:
        tokens_file.write_text(f"acme:{digest('newer')}\n")
        assert server.server.reload()
        await server.call(bearer("newer")).open()
        refused = server.call(bearer(GOOD))
        assert (await refused.expect_error()).code is grpc.StatusCode.UNAUTHENTICATED
        tokens_file.write_text("acme:short\n")
        assert not server.server.reload()
        await server.call(bearer("newer")).open(make_config("call-2"))


@pytest.mark.parametrize(
    ("content", "mode", "problem"),
    [
        ("acme:abc\n", 0o600, "line 1"),
        (f"two words:{'0' * 64}\n", 0o600, "line 1"),
        ("", 0o600, "no token"),
        ("# nobody\n", 0o600, "no token"),
        (f"acme:{'0' * 64}\n", 0o604, "chmod"),
        (f"acme:{'0' * 64}\n", 0o620, "chmod"),
        ("\x00\xff", 0o600, "line 1"),
        ("#" * 1_100_000, 0o600, "larger"),
    ],
)
def test_a_bad_token_file_is_refused(tmp_path, content, mode, problem):
    path = tmp_path / "tokens"
    path.write_text(content)
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match=problem):
        TokenFile(path)


def test_a_missing_token_file_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="No such file"):
        TokenFile(tmp_path / "tokens")


# ---- TLS ----


class Authority:
    """Makes certificates."""

    def __init__(self, folder):
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self.path, _ = self.issue("ca", self.name, self.key)

    def issue(self, file, subject, key=None):
        key_to_write = key or ec.generate_private_key(ec.SECP256R1())
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key_to_write.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=key is not None, path_length=None), True)
        )
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        names = x509.SubjectAlternativeName([x509.DNSName("localhost"), address])
        if key is None:
            builder = builder.add_extension(names, critical=False)
        certificate = builder.sign(self.key, hashes.SHA256())
        pem = serialization.Encoding.PEM
        certificate_path, key_path = self.folder / f"{file}.pem", self.folder / f"{file}.key"
        certificate_path.write_bytes(certificate.public_bytes(pem))
        key_path.write_bytes(
            key_to_write.private_bytes(
                pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        key_path.chmod(0o600)
        return certificate_path, key_path

    def issue_to(self, name):
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else []
        return self.issue(f"client-{name}", x509.Name(attributes))

    def channel(self, target, client=None):
        certificate, key = client or (None, None)
        credentials = grpc.ssl_channel_credentials(
            self.path.read_bytes(),
            key.read_bytes() if key else None,
            certificate.read_bytes() if certificate else None,
        )
        return grpc.aio.secure_channel(target, credentials)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def tls(authority):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate, key = authority.issue("server", name)
    return {"tls_certificate": certificate, "tls_private_key": key}


async def test_tls_with_tokens_on_any_address(settings, authority, tls, tokens_file):
    open_settings = dataclasses.replace(
        settings, listen="0.0.0.0:0", tokens_file=tokens_file, **tls
    )
    async with open_server(open_settings) as (_, address):
        assert address.uses_tls
        port = address.target.rpartition(":")[2]
        async with authority.channel(f"127.0.0.1:{port}") as channel:
            await Caller(channel, bearer(GOOD)).open()
            error = await Caller(channel).expect_error()
            assert error.code is grpc.StatusCode.UNAUTHENTICATED
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            error = await Caller(channel, bearer(GOOD)).expect_error()
            assert error.code is grpc.StatusCode.UNAVAILABLE


async def test_client_certificates(settings, authority, tls):
    closed = dataclasses.replace(settings, tls_client_ca=authority.path, **tls)
    async with open_server(closed) as (server, address):
        async with authority.channel(address.target) as channel:  # none
            error = await Caller(channel).expect_error()
            assert error.code is grpc.StatusCode.UNAVAILABLE
        stranger = Authority(authority.folder / "..")
        async with authority.channel(address.target, stranger.issue_to("acme")) as channel:
            error = await Caller(channel).expect_error()
            assert error.code is grpc.StatusCode.UNAVAILABLE
        async with authority.channel(address.target, authority.issue_to("acme")) as channel:
            await Caller(channel).open()
            assert [item.key.tenant for item in server._desk.registry] == ["acme"]
        async with authority.channel(address.target, authority.issue_to("a b")) as channel:
            error = await Caller(channel).expect_error()
            assert error.code is grpc.StatusCode.PERMISSION_DENIED
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary("/voiceguard.v1.MonitorService/GetCapabilities")(b"")
            assert as_stream_error(caught.value).reason == "PERMISSION_DENIED"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"listen": "0.0.0.0:0"}, "tls_certificate"),
        ({"listen": "[::]:0"}, "tls_certificate"),
        ({"listen": "192.0.2.1:50051"}, "other machines"),
        ({"listen": "no-such-host.invalid:1"}, "not known"),
        ({"listen": "127.0.0.1"}, "host:port"),
        ({"listen": "::1:50051"}, "host:port"),
        ({"listen": "127.0.0.1:99999"}, "host:port"),
        ({"listen": ""}, "host:port"),
        ({"tls_certificate": "x"}, "together"),
        ({"tls_client_ca": "x"}, "tls_client_ca"),
        ({"listen": "0.0.0.0:0", "tls_certificate": "x", "tls_private_key": "y"}, "known clients"),
    ],
)
def test_open_doors_are_refused(changes, problem):
    with pytest.raises(ConfigurationError, match=problem):
        ServerSettings(**changes)


@pytest.mark.parametrize("listen", ["localhost:0", "127.0.0.2:1", "[::1]:0", "unix:/tmp/socket"])
def test_loopback_needs_nothing(listen):
    assert ServerSettings(listen=listen).listen == listen


async def test_bad_tls_files_are_refused(settings, authority, tls, tmp_path):
    async def start(**changes):
        async with running(dataclasses.replace(settings, **{**tls, **changes})):
            pass

    garbage = tmp_path / "garbage.pem"
    garbage.write_text("garbage")
    garbage.chmod(0o600)
    open_key = tmp_path / "open.key"
    open_key.write_bytes(tls["tls_private_key"].read_bytes())
    open_key.chmod(0o644)
    other_key = authority.issue_to("other")[1]
    with pytest.raises(ConfigurationError, match="tls_certificate"):
        await start(tls_certificate=garbage)
    with pytest.raises(ConfigurationError, match="unencrypted key"):
        await start(tls_private_key=garbage)
    with pytest.raises(ConfigurationError, match="unencrypted key"):
        await start(tls_private_key=other_key)
    with pytest.raises(ConfigurationError, match="chmod"):
        await start(tls_private_key=open_key)
    with pytest.raises(ConfigurationError, match="tls_client_ca"):
        await start(tls_client_ca=garbage)
    with pytest.raises(ConfigurationError, match="No such file"):
        await start(tls_client_ca=tmp_path / "missing")
    encrypted = tmp_path / "encrypted.key"
    key = serialization.load_pem_private_key(tls["tls_private_key"].read_bytes(), None)
    encrypted.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    encrypted.chmod(0o600)
    with pytest.raises(ConfigurationError, match="unencrypted key"):
        await start(tls_private_key=encrypted)
    assert ssl.OPENSSL_VERSION_INFO >= (1, 1, 1)
