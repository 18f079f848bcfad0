"""How a client proves who it is, and makes sure whom it talks to."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import grpc

from voiceguard.client.errors import ClientUsageError

__all__ = ["TlsOptions", "channel_credentials", "is_local", "open_channel"]


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """TLS towards the server; all certificates and keys in PEM.

    Attributes:
        root_certificates: authorities that may vouch for the server; None: the ones that
            gRPC comes with.
        certificate_chain: the client's own certificate, where the server asks for one.
        private_key: the key of that certificate.
        server_name: name to expect in the server's certificate, where it is not the
            address's host.

    Raises:
        ClientUsageError: a certificate without its key, or a key without its certificate.
    """

    root_certificates: bytes | None = None
    certificate_chain: bytes | None = None
    private_key: bytes | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        if (self.certificate_chain is None) != (self.private_key is None):
            raise ClientUsageError("a client certificate and its private key go together")

    @classmethod
    def from_files(
        cls,
        root_certificates: Path | None = None,
        certificate_chain: Path | None = None,
        private_key: Path | None = None,
        *,
        server_name: str | None = None,
    ) -> Self:
        """Read the PEM files.

        Raises:
            ClientUsageError: a file cannot be read, or a certificate lacks its key.
        """
        root, chain, key = map(_read_pem, (root_certificates, certificate_chain, private_key))
        return cls(root, chain, key, server_name)

    def __repr__(self) -> str:
        own = "with" if self.private_key else "without"
        return f"TlsOptions({own} a client certificate, server_name={self.server_name!r})"


def channel_credentials(
    address: str, tls: TlsOptions | None, *, allow_plaintext: bool
) -> grpc.ChannelCredentials | None:
    """Return what to secure the channel with; None: plaintext, where that is allowed.

    Raises:
        ClientUsageError: plaintext to another machine.
    """
    if tls is not None:
        return grpc.ssl_channel_credentials(
            tls.root_certificates, tls.private_key, tls.certificate_chain
        )
    if allow_plaintext or is_local(address):
        return None
    problem = (
        f"{address} is not on this machine, and calls must not cross a network in the clear: "
        "pass tls=TlsOptions(...), or allow_plaintext=True where something else encrypts the way"
    )
    raise ClientUsageError(problem)


def is_local(address: str) -> bool:
    """Tell whether a gRPC target can only be on this machine.

    A name other than ``localhost`` is taken for another machine, whatever it resolves to.
    """
    scheme, _, rest = address.partition(":")
    if scheme in {"unix", "unix-abstract"}:
        return True
    if scheme in {"dns", "ipv4", "ipv6"}:
        address = rest.rsplit("/", 1)[-1]
    return all(_is_loopback(_host_of(one)) for one in address.split(","))


def _host_of(address: str) -> str:
    if address.startswith("["):
        return address[1:].partition("]")[0]
    host, colon, _ = address.rpartition(":")
    return host if colon and ":" not in host else address


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _read_pem(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        problem = f"cannot read {path}: {error.strerror}; give a PEM file"
        raise ClientUsageError(problem) from error


def open_channel(
    address: str,
    credentials: grpc.ChannelCredentials | None,
    server_name: str | None,
    options: Sequence[tuple[str, str | int]],
) -> grpc.aio.Channel:
    """Return a channel, whose connection is made with the first call.

    Args:
        address: of the server.
        credentials: as `channel_credentials` gives them; None: plaintext.
        server_name: name to expect in the server's certificate; None: the address's host.
        options: of gRPC.
    """
    named = [] if server_name is None else [("grpc.ssl_target_name_override", server_name)]
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=[*options, *named])
    return grpc.aio.secure_channel(address, credentials, options=[*options, *named])
