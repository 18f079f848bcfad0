"""Ask the server in this container whether it serves; exit 0 if so, 1 if not.

The image's HEALTHCHECK. Settings, from the environment:

    VOICEGUARD_HEALTH_ADDRESS      where to ask (127.0.0.1:50051)
    VOICEGUARD_HEALTH_CA           PEM file of the server's authority: ask over TLS
    VOICEGUARD_HEALTH_NAME         name in the server's certificate, where it is not the address's
    VOICEGUARD_HEALTH_CERTIFICATE  PEM file of a client certificate, with
    VOICEGUARD_HEALTH_KEY          the PEM file of its key
    VOICEGUARD_HEALTH_TOKEN_FILE   file with a bearer token
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

DEADLINE_S = 3.0


def open_channel(settings: Mapping[str, str]) -> grpc.Channel:
    """Return a channel to the server, over TLS if an authority is set."""
    address = settings.get("VOICEGUARD_HEALTH_ADDRESS", "127.0.0.1:50051")
    authority = settings.get("VOICEGUARD_HEALTH_CA")
    if not authority:
        return grpc.insecure_channel(address)
    certificate = settings.get("VOICEGUARD_HEALTH_CERTIFICATE")
    key = settings.get("VOICEGUARD_HEALTH_KEY")
    credentials = grpc.ssl_channel_credentials(
        root_certificates=Path(authority).read_bytes(),
        private_key=Path(key).read_bytes() if key else None,
        certificate_chain=Path(certificate).read_bytes() if certificate else None,
    )
    name = settings.get("VOICEGUARD_HEALTH_NAME")
    options = [("grpc.ssl_target_name_override", name)] if name else []
    return grpc.secure_channel(address, credentials, options)


def bearer_metadata(settings: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the metadata that authenticate the question: none, or a bearer token."""
    token_file = settings.get("VOICEGUARD_HEALTH_TOKEN_FILE")
    if not token_file:
        return []
    token = Path(token_file).read_text(encoding="utf-8").strip()
    return [("authorization", f"Bearer {token}")]


def main() -> int:
    """Ask, say what is wrong if anything is, and return the exit status."""
    try:
        with open_channel(os.environ) as channel:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(),
                timeout=DEADLINE_S,
                metadata=bearer_metadata(os.environ),
            )
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    except grpc.RpcError as error:
        print(error, file=sys.stderr)
        return 1
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        print(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
