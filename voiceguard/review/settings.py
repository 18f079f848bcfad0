"""What the operator of the reviewers' page may set."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from voiceguard.core.errors import ConfigurationError

__all__ = ["ReviewPageSettings", "is_loopback_host", "is_loopback_target", "split_address"]

HTTPS_PORT: Final = 443
HTTP_PORT: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewPageSettings:
    """All settings of one page.

    Attributes:
        listen: address of the page, `host:port` or `[ipv6]:port`; port 0 takes any free port.
        server: gRPC target of the voiceguard server, `host:port` or `unix:/path`.
        server_tls: whether the server speaks TLS. Given without a file, gRPC's own
            authorities vouch for it.
        server_ca: PEM file of the authorities that vouch for the server; turns TLS on.
        server_name: name to expect in the server's certificate, where it is not the target's.
        client_certificate: PEM file of the page's own certificate, where the server asks for one.
        client_key: PEM file of its key.
        tls_certificate: PEM file of the page's certificate chain; makes it https.
        tls_private_key: PEM file of its key.
        public_origin: where browsers find the page when a proxy that speaks TLS stands in
            front of it, such as `https://review.example.com`. Empty: at `listen`.
        allowed_hosts: further host names that browsers may reach the page by.

    Raises:
        ConfigurationError: two settings do not fit together, or passwords would cross a
            network in the clear.
    """

    listen: str = "127.0.0.1:8080"
    server: str = "127.0.0.1:50051"
    server_tls: bool = False
    server_ca: Path | None = None
    server_name: str = ""
    client_certificate: Path | None = None
    client_key: Path | None = None
    tls_certificate: Path | None = None
    tls_private_key: Path | None = None
    public_origin: str = ""
    allowed_hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        host, _ = split_address("listen", self.listen)
        if (self.tls_certificate is None) != (self.tls_private_key is None):
            raise ConfigurationError("set tls_certificate and tls_private_key together, or neither")
        if (self.client_certificate is None) != (self.client_key is None):
            raise ConfigurationError("set client_certificate and client_key together, or neither")
        if self.public_origin:
            _check_origin(self.public_origin)
        if not is_loopback_host(host) and not self.is_https:
            message = (
                f"listen = {self.listen} can be reached from other machines: set tls_certificate "
                "and tls_private_key, or public_origin = https://... where a proxy speaks TLS"
            )
            raise ConfigurationError(message)
        if not self.uses_server_tls and not is_loopback_target(self.server):
            message = (
                f"server = {self.server} is not on this machine, and passwords must not cross a "
                "network in the clear: set server_ca or server_tls"
            )
            raise ConfigurationError(message)

    @property
    def is_https(self) -> bool:
        """Whether browsers reach the page by https."""
        return self.tls_certificate is not None or self.public_origin.startswith("https://")

    @property
    def uses_server_tls(self) -> bool:
        """Whether the way to the server is encrypted."""
        return self.server_tls or self.server_ca is not None or self.client_certificate is not None

    def hosts(self) -> frozenset[str]:
        """Return the host names, without port, that a browser may ask for.

        Any other is a page of somebody else's whose name was made to point here.
        """
        host, _ = split_address("listen", self.listen)
        names = {host.lower(), *(name.lower() for name in self.allowed_hosts)}
        if is_loopback_host(host):
            names |= {"localhost", "127.0.0.1", "::1"}
        if self.public_origin:
            names.add((urlsplit(self.public_origin).hostname or "").lower())
        return frozenset(names)


def split_address(name: str, address: str) -> tuple[str, int]:
    """Split `host:port` or `[ipv6]:port`.

    Args:
        name: of the setting, for the error.
        address: its value.

    Raises:
        ConfigurationError: it is neither.
    """
    host, colon, port = address.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    numeric = port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535
    if not (colon and bare and numeric) or (":" in bare and bare == host):
        raise ConfigurationError(f"{name} = {address!r}: give host:port or [ipv6]:port")
    return bare, int(port)


def is_loopback_host(host: str) -> bool:
    """Tell whether a host can only be this machine; of names, `localhost` alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_loopback_target(target: str) -> bool:
    """Tell whether a gRPC target (grpc/doc/naming.md) can only be on this machine."""
    scheme, _, rest = target.partition(":")
    if scheme in {"unix", "unix-abstract"}:
        return True
    address = rest.rsplit("/", 1)[-1] if scheme in {"dns", "ipv4", "ipv6"} else target
    return all(
        is_loopback_host(one if one.count(":") > 1 and "]" not in one else one.rpartition(":")[0])
        for one in address.split(",")
    )


def _check_origin(origin: str) -> None:
    parts = urlsplit(origin)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path or parts.query:
        message = f"public_origin = {origin!r}: give a scheme and a host, https://review.example"
        raise ConfigurationError(message)
