import datetime as dt
import importlib.util
import ipaddress
from concurrent import futures

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tests.packaging.repository import ROOT

# Not imported by name: `docker` is also a library's.
SPEC = importlib.util.spec_from_file_location("healthcheck", ROOT / "docker/healthcheck.py")
healthcheck = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(healthcheck)

TOKEN = "a-token-of-this-test"


class DemandToken(grpc.ServerInterceptor):
    def intercept_service(self, continuation, handler_call_details):
        if ("authorization", f"Bearer {TOKEN}") in handler_call_details.invocation_metadata:
            return continuation(handler_call_details)
        return grpc.unary_unary_rpc_method_handler(
            lambda _, context: context.abort(grpc.StatusCode.UNAUTHENTICATED, "no token")
        )


@pytest.fixture
def servicer():
    return health.HealthServicer()


@pytest.fixture
def start_server(servicer, monkeypatch):
    """Start a server, tell the health check where it is, stop it at the end."""
    servers = []

    def start(credentials=None, interceptors=()):
        server = grpc.server(futures.ThreadPoolExecutor(1), interceptors=interceptors)
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
        address = "127.0.0.1:0"
        port = (
            server.add_secure_port(address, credentials)
            if credentials
            else server.add_insecure_port(address)
        )
        server.start()
        servers.append(server)
        monkeypatch.setenv("VOICEGUARD_HEALTH_ADDRESS", f"127.0.0.1:{port}")
        return server

    yield start
    for server in servers:
        server.stop(None).wait()


@pytest.fixture
def certificate(tmp_path):
    """A self-signed certificate for the loopback address: PEM files of it and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "voiceguard.test")])
    names = [x509.DNSName("voiceguard.test"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = dt.datetime.now(dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate_file = tmp_path / "certificate.pem"
    certificate_file.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    key_file = tmp_path / "key.pem"
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate_file, key_file


def test_healthy_while_the_server_serves(start_server):
    start_server()
    assert healthcheck.main() == 0


def test_unhealthy_while_the_server_drains(start_server, servicer, capsys):
    servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    start_server()
    assert healthcheck.main() == 1
    assert "NOT_SERVING" in capsys.readouterr().err


def test_unhealthy_once_the_server_is_gone(start_server):
    start_server().stop(None).wait()
    assert healthcheck.main() == 1


@pytest.mark.parametrize("mutual", [False, True], ids=["token", "client certificate and token"])
def test_asks_over_tls_with_its_credentials(
    start_server, certificate, tmp_path, monkeypatch, mutual
):
    certificate_file, key_file = certificate
    pair = (key_file.read_bytes(), certificate_file.read_bytes())
    credentials = grpc.ssl_server_credentials([pair], pair[1] if mutual else None, mutual)
    start_server(credentials, [DemandToken()])
    assert healthcheck.main() == 1

    token_file = tmp_path / "token"
    token_file.write_text(TOKEN + "\n")
    monkeypatch.setenv("VOICEGUARD_HEALTH_CA", str(certificate_file))
    monkeypatch.setenv("VOICEGUARD_HEALTH_NAME", "voiceguard.test")
    if mutual:
        monkeypatch.setenv("VOICEGUARD_HEALTH_CERTIFICATE", str(certificate_file))
        monkeypatch.setenv("VOICEGUARD_HEALTH_KEY", str(key_file))
    assert healthcheck.main() == 1

    monkeypatch.setenv("VOICEGUARD_HEALTH_TOKEN_FILE", str(token_file))
    assert healthcheck.main() == 0


def test_missing_file_is_named(monkeypatch, capsys):
    monkeypatch.setenv("VOICEGUARD_HEALTH_CA", "/nowhere/authority.pem")
    assert healthcheck.main() == 1
    assert "/nowhere/authority.pem" in capsys.readouterr().err
