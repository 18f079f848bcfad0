"""What an operator may set, with defaults that are safe.

The fields of `ServerSettings` are the one list of settings: the command line's
reader (`voiceguard.cli.settings`) and docs/configuration.md are made from it.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import math
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from voiceguard.core.errors import ConfigurationError

MAX_AUDIO_BYTES: Final = 64 * 1024
"""Most audio in one request of a call. Part of the interface, so not a setting."""

MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
"""Most bytes in one message, which only a trunk comes near. Part of the interface."""

UNIX_PREFIX: Final = "unix:"

LOG_LEVELS: Final = ("debug", "info", "warning", "error")
LOG_FORMATS: Final = ("auto", "json", "console")


def _about(description: str, least: float | None = None) -> Mapping[str, Any]:
    """Return a field's metadata: what it is for, and its smallest value."""
    return {"description": description, "least": least}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """All settings of one server.

    Raises:
        ConfigurationError: a value is out of range, or two do not fit together.
    """

    listen: str = field(
        default="127.0.0.1:50051",
        metadata=_about(
            "Address to serve on: `host:port`, `[ipv6]:port` or `unix:/path`. Port 0 takes any "
            "free port. An address that other machines reach needs TLS."
        ),
    )
    tls_certificate: Path | None = field(
        default=None, metadata=_about("PEM file of the server's certificate chain. Turns TLS on.")
    )
    tls_private_key: Path | None = field(
        default=None,
        metadata=_about("PEM file of the certificate's key; must not be readable by everybody."),
    )
    tls_client_ca: Path | None = field(
        default=None,
        metadata=_about(
            "PEM file of the authorities that sign client certificates. When set, every client "
            "must show one; its common name is the tenant."
        ),
    )
    tokens_file: Path | None = field(
        default=None,
        metadata=_about(
            "File of bearer tokens, a line `tenant:sha256-of-the-token` for each. When set, "
            "every call must show one. Read again on SIGHUP."
        ),
    )
    health_without_credentials: bool = field(
        default=False,
        metadata=_about(
            "Let `grpc.health.v1` be asked without a token, for probes that cannot send one."
        ),
    )
    reflection: bool = field(
        default=False, metadata=_about("Serve gRPC reflection, for tools such as grpcurl.")
    )
    model_dir: Path | None = field(
        default=None,
        metadata=_about("Folder of the model (`model.toml` and its file). Default: the own one."),
    )
    policies_dir: Path | None = field(
        default=None,
        metadata=_about(
            "Folder of policies, a TOML file each. Default: the own ones. Read again on SIGHUP."
        ),
    )
    default_policy: str = field(
        default="default", metadata=_about("Policy of sessions that name none.")
    )
    max_sessions: int = field(
        default=500,
        metadata=_about(
            "Sessions at once, broken ones within their grace included. One more is refused with "
            "RESOURCE_EXHAUSTED.",
            1,
        ),
    )
    config_timeout_s: float = field(
        default=10.0,
        metadata=_about("How long a new stream may take to send its configuration.", 0.05),
    )
    resume_grace_s: float = field(
        default=30.0,
        metadata=_about("How long a session whose stream broke waits to be resumed.", 0),
    )
    stall_after_s: float = field(
        default=10.0, metadata=_about("Without audio for this long, the client is told.", 0.05)
    )
    idle_timeout_s: float = field(
        default=300.0,
        metadata=_about("Without audio for this long, the session is ended.", 0.05),
    )
    unread_timeout_s: float = field(
        default=20.0,
        metadata=_about(
            "A stream whose client reads nothing for this long is closed; the session waits to "
            "be resumed.",
            0.05,
        ),
    )
    finish_timeout_s: float = field(
        default=5.0,
        metadata=_about("How long the summary waits for the last scores.", 0),
    )
    drain_grace_s: float = field(
        default=30.0,
        metadata=_about("How long open sessions may go on after SIGTERM.", 0),
    )
    handoff_repeat_s: float = field(
        default=2.0,
        metadata=_about("Time between two sendings of an unanswered handoff request.", 0.05),
    )
    score_deadline_s: float = field(
        default=10.0,
        metadata=_about(
            "A window that has waited this long for its scores is given up, and reported as "
            "missed.",
            0.1,
        ),
    )
    lag_notice_s: float = field(
        default=1.0,
        metadata=_about("A client is told when its oldest window has waited this long.", 0.05),
    )
    max_pending_scores: int = field(
        default=8,
        metadata=_about("A call with this many windows unscored is not read any further.", 1),
    )
    max_undelivered: int = field(
        default=256,
        metadata=_about(
            "Events kept for a client that does not read. Over that, pressure updates and speech "
            "events are dropped, oldest first.",
            8,
        ),
    )
    max_connection_age_s: float = field(
        default=0.0,
        metadata=_about(
            "Connections are asked to close at this age, so that load spreads; streams get "
            "`resume_grace_s` to end. 0: never.",
            0,
        ),
    )
    keep_sessions: bool = field(
        default=True,
        metadata=_about("Keep what was monitored, for review and as evidence, in `data_dir`."),
    )
    data_dir: Path | None = field(
        default=None,
        metadata=_about(
            "Folder of sessions, audio, evidence log and spool; one server at a time. Default: "
            "`voiceguard` in `$XDG_STATE_HOME` or `~/.local/state`."
        ),
    )
    database_url: str = field(
        default="",
        metadata=_about(
            "Where sessions are found: a SQLAlchemy URL, such as "
            "`postgresql+psycopg://user@host/voiceguard`. Empty: SQLite in `data_dir`."
        ),
    )
    master_key_file: Path | None = field(
        default=None,
        metadata=_about(
            "File of the key that wraps the sessions' keys, 64 hexadecimal digits; must not be "
            "readable by everybody. Default: `master.key` in `data_dir`, made at the first start."
        ),
    )
    master_key: str = field(
        default="",
        repr=False,
        metadata=_about("The same key itself, for environments that hand out secrets that way."),
    )
    evidence_key_file: Path | None = field(
        default=None,
        metadata=_about(
            "PEM file of the Ed25519 key that signs the evidence log. Default: `evidence.key` in "
            "`data_dir`, made at the first start."
        ),
    )
    evidence_origin: str = field(
        default="",
        metadata=_about(
            "Name of the evidence log in its checkpoints, such as `voiceguard.example/log`. "
            "Default: made at random at the first start. It never changes afterwards."
        ),
    )
    spool_limit_mb: float = field(
        default=1024.0,
        metadata=_about(
            "What is kept on disk while the database is away, in MB. Over that, records are "
            "lost, and health, metrics and the evidence log say so.",
            1,
        ),
    )
    reviewers_file: Path | None = field(
        default=None,
        metadata=_about(
            "File of the reviewers, written by `voiceguard reviewers`. Without it, nobody can "
            "review. Read again on SIGHUP."
        ),
    )
    sign_in_hours: float = field(
        default=12.0, metadata=_about("How long a reviewer stays signed in.", 0.001)
    )
    timestamp_url: str = field(
        default="",
        metadata=_about(
            "RFC 3161 authority that timestamps the evidence log's checkpoints. Empty: none."
        ),
    )
    timestamp_interval_s: float = field(
        default=3600.0,
        metadata=_about("Time between two timestamps, when something was added.", 1),
    )
    metrics_listen: str = field(
        default="127.0.0.1:9464",
        metadata=_about(
            "Address of the Prometheus endpoint, `host:port`. It has no access control. "
            "Empty: none."
        ),
    )
    log_level: str = field(
        default="info", metadata=_about(f"Least level that is logged: {', '.join(LOG_LEVELS)}.")
    )
    log_format: str = field(
        default="auto",
        metadata=_about("`json`, `console`, or `auto`: console when a person watches."),
    )

    def __post_init__(self) -> None:
        self._check_ranges()
        self._check_doors()
        split_address("listen", self.listen)
        if self.metrics_listen:
            split_address("metrics_listen", self.metrics_listen)
        _check_choice("log_level", self.log_level, LOG_LEVELS)
        _check_choice("log_format", self.log_format, LOG_FORMATS)

    @property
    def uses_tls(self) -> bool:
        """Whether the server speaks TLS."""
        return self.tls_certificate is not None

    def _check_ranges(self) -> None:
        for item in dataclasses.fields(self):
            least = item.metadata["least"]
            value = getattr(self, item.name)
            if least is not None and not (math.isfinite(value) and value >= least):
                message = f"{item.name} = {value}: it must be {least:g} or more"
                raise ConfigurationError(message)

    def _check_doors(self) -> None:
        if (self.tls_certificate is None) != (self.tls_private_key is None):
            raise ConfigurationError("set tls_certificate and tls_private_key together, or neither")
        if self.tls_client_ca is not None and not self.uses_tls:
            raise ConfigurationError("tls_client_ca needs tls_certificate and tls_private_key")
        if is_loopback(self.listen):
            return
        if not self.uses_tls:
            message = (
                f"listen = {self.listen} can be reached from other machines: set tls_certificate "
                "and tls_private_key, or listen on 127.0.0.1"
            )
            raise ConfigurationError(message)
        if self.tls_client_ca is None and self.tokens_file is None:
            message = (
                f"listen = {self.listen} can be reached from other machines: set tls_client_ca "
                "or tokens_file, so that only known clients are let in"
            )
            raise ConfigurationError(message)


def split_address(name: str, address: str) -> tuple[str, int]:
    """Split `host:port` or `[ipv6]:port`; a unix socket is its own host, with port 0.

    Args:
        name: of the setting, for the error.
        address: its value.

    Raises:
        ConfigurationError: it is none of these.
    """
    if address.startswith(UNIX_PREFIX) and len(address) > len(UNIX_PREFIX):
        return address, 0
    host, colon, port = address.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    numeric = port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535
    if not (colon and bare and numeric) or (":" in bare and bare == host):
        message = f"{name} = {address!r}: give host:port, [ipv6]:port or unix:/path"
        raise ConfigurationError(message)
    return bare, int(port)


def is_loopback(address: str) -> bool:
    """Return whether only this machine can reach an address.

    A name counts when every address that it stands for is loopback.

    Raises:
        ConfigurationError: the address cannot be understood.
    """
    host, _ = split_address("listen", address)
    if host.startswith(UNIX_PREFIX):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        message = f"listen = {address}: the host {host!r} is not known: {error.strerror}"
        raise ConfigurationError(message) from error
    return all(ipaddress.ip_address(str(item[4][0])).is_loopback for item in found)


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        message = f"{name} = {value!r}: it must be one of {', '.join(choices)}"
        raise ConfigurationError(message)
