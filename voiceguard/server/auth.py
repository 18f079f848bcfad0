"""Who may call what: nobody anything, unless a rule here lets them.

One interceptor stands before every method of every service. A service that is
added without a rule is closed.
"""

from __future__ import annotations

import enum
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final, TypeAlias

import grpc
from structlog.typing import FilteringBoundLogger

from voiceguard.core.errors import ConfigurationError
from voiceguard.server.metrics import ServerMetrics
from voiceguard.server.reviewing.signin import Reviewer, ReviewGate
from voiceguard.server.settings import ServerSettings
from voiceguard.server.status import (
    CallRefusedError,
    Refusal,
    permission_denied,
    unauthenticated,
)
from voiceguard.server.tokens import TENANT_NAME, TokenFile, check_secret_file

LOCAL_TENANT: Final = "local"
"""Tenant of whoever comes over a loopback address that asks for no credentials."""


class Access(enum.Enum):
    """Whom a method is for."""

    CALLERS = "callers"
    """Everybody with the credentials that the server asks for."""
    PROBES = "probes"
    """The same, or everybody, if the operator says so."""
    REVIEWERS = "reviewers"
    """Reviewers, with credentials of their own; callers' credentials are worth nothing."""
    SIGN_IN = "sign_in"
    """Everybody who gets as far as the port, where there are reviewers at all."""


MONITOR_SERVICE: Final = "voiceguard.v1.MonitorService"
REVIEW_SERVICE: Final = "voiceguard.v1.ReviewService"
HEALTH_SERVICE: Final = "grpc.health.v1.Health"
REFLECTION_SERVICE: Final = "grpc.reflection.v1alpha.ServerReflection"

METHODS: Final[Mapping[str, Access]] = {
    f"/{MONITOR_SERVICE}/Monitor": Access.CALLERS,
    f"/{MONITOR_SERVICE}/MonitorTrunk": Access.CALLERS,
    f"/{MONITOR_SERVICE}/GetCapabilities": Access.CALLERS,
    f"/{REVIEW_SERVICE}/SignIn": Access.SIGN_IN,
    f"/{REVIEW_SERVICE}/ListSessions": Access.REVIEWERS,
    f"/{REVIEW_SERVICE}/GetSession": Access.REVIEWERS,
    f"/{REVIEW_SERVICE}/ListEvents": Access.REVIEWERS,
    f"/{REVIEW_SERVICE}/WatchAlerts": Access.REVIEWERS,
    f"/{REVIEW_SERVICE}/GetAudio": Access.REVIEWERS,
    f"/{REVIEW_SERVICE}/GetWaveform": Access.REVIEWERS,
    f"/{REVIEW_SERVICE}/RecordVerdict": Access.REVIEWERS,
    f"/{REVIEW_SERVICE}/SetLegalHold": Access.REVIEWERS,
    f"/{REVIEW_SERVICE}/EraseSession": Access.REVIEWERS,
    f"/{REVIEW_SERVICE}/GetStatistics": Access.REVIEWERS,
    f"/{REVIEW_SERVICE}/ListAccess": Access.REVIEWERS,
    f"/{REVIEW_SERVICE}/ExportEvidence": Access.REVIEWERS,
    f"/{HEALTH_SERVICE}/Check": Access.PROBES,
    f"/{HEALTH_SERVICE}/List": Access.PROBES,
    f"/{HEALTH_SERVICE}/Watch": Access.PROBES,
    f"/{REFLECTION_SERVICE}/ServerReflectionInfo": Access.CALLERS,
}
"""Every method that may be called at all."""

_TENANT: Final[ContextVar[str | None]] = ContextVar("tenant", default=None)
_REVIEWER: Final[ContextVar[Reviewer | None]] = ContextVar("reviewer", default=None)

NO_REVIEWERS: Final = (
    "nobody can review on this server: make a reviewer with `voiceguard reviewers add`, set "
    "reviewers_file to its file, and keep_sessions to true"
)

_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"  # subscripted in its stubs only


class Doorkeeper(grpc.aio.ServerInterceptor):
    """Lets calls through to their method, or does not.

    Client certificates are checked by TLS before anything gets here.

    Args:
        tokens: who may come in; None: no token is asked for.
        health_is_open: whether health may be asked without a token.
        reviewers: who may review; None: nobody.
        metrics: counts who was turned away.
        log: says so.
    """

    def __init__(
        self,
        tokens: TokenFile | None,
        *,
        health_is_open: bool,
        reviewers: ReviewGate | None = None,
        metrics: ServerMetrics,
        log: FilteringBoundLogger,
    ) -> None:
        self._tokens = tokens
        self._health_is_open = health_is_open
        self._reviewers = reviewers
        self._metrics = metrics
        self._log = log

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler | None:
        """Return the method's handler, or one that refuses."""
        method = str(handler_call_details.method)
        refusal = self._check(method, handler_call_details)
        if refusal is None:
            handler = await continuation(handler_call_details)
            if handler is None or method in METHODS:
                return handler  # None: there is no such method, which gRPC says itself
            refusal = permission_denied("this method is not open to anybody")
        self._metrics.count_refusal(refusal.reason)
        self._log.info("caller_refused", reason=refusal.reason)
        return _refusing_handler(refusal)

    def _check(self, method: str, details: grpc.HandlerCallDetails) -> Refusal | None:
        """Return why a caller is turned away, None when they are not."""
        match METHODS.get(method):
            case Access.REVIEWERS:
                return self._check_reviewer(details)
            case Access.SIGN_IN:
                return unauthenticated(NO_REVIEWERS) if self._reviewers is None else None
            case Access.PROBES if self._health_is_open:
                return None
            case Access.CALLERS | Access.PROBES | None:
                return self._check_caller(details)

    def _check_caller(self, details: grpc.HandlerCallDetails) -> Refusal | None:
        if self._tokens is None:
            return None
        token = _bearer_token(details)
        if token is None:
            return unauthenticated("send metadata `authorization: Bearer <token>`")
        tenant = self._tokens.find_tenant(token)
        if tenant is None:
            return unauthenticated("the bearer token is not known")
        _TENANT.set(tenant)
        return None

    def _check_reviewer(self, details: grpc.HandlerCallDetails) -> Refusal | None:
        if self._reviewers is None:
            return unauthenticated(NO_REVIEWERS)
        token = _bearer_token(details)
        if token is None:
            return unauthenticated("send metadata `authorization: Bearer <token>` of a reviewer")
        reviewer = self._reviewers.find(token)
        if reviewer is None:
            return unauthenticated("the token is not a reviewer's, or has ended; sign in again")
        _REVIEWER.set(reviewer)
        return None


def reviewer_of_call() -> Reviewer:
    """Return who is asking, in a method for reviewers.

    Raises:
        CallRefusedError: nobody was let in; so a method without its rule stays closed.
    """
    reviewer = _REVIEWER.get()
    if reviewer is None:
        raise CallRefusedError(unauthenticated(NO_REVIEWERS))
    return reviewer


def _bearer_token(details: grpc.HandlerCallDetails) -> str | None:
    values = [value for key, value in details.invocation_metadata or () if key == "authorization"]
    if len(values) != 1:
        return None
    scheme, _, token = str(values[0]).partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def _refusing_handler(refusal: Refusal) -> _Handler:
    """Return a handler that refuses, whatever kind of method it stands for."""

    async def refuse(_requests: object, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        await context.abort(refusal.code, refusal.message, refusal.trailing_metadata())

    return grpc.stream_stream_rpc_method_handler(refuse)


def tenant_of(context: grpc.aio.ServicerContext[Any, Any], settings: ServerSettings) -> str | None:
    """Return whose call this is: by token, else by client certificate, else local.

    Returns:
        None when a client's certificate names nobody.
    """
    tenant = _TENANT.get()
    if tenant is not None:
        return tenant
    if settings.tls_client_ca is None:
        return LOCAL_TENANT
    names = list(context.auth_context().get("x509_common_name", ()))
    name = names[0].decode("utf-8", "replace") if len(names) == 1 else ""
    return name if TENANT_NAME.fullmatch(name) else None


def server_credentials(settings: ServerSettings) -> grpc.ServerCredentials | None:
    """Return what the server's port is opened with; None: plaintext.

    Raises:
        ConfigurationError: a file is missing, open to others, or not what it should be.
    """
    if settings.tls_certificate is None or settings.tls_private_key is None:
        return None
    check_secret_file("tls_private_key", settings.tls_private_key)
    _check_pair(settings.tls_certificate, settings.tls_private_key)
    authorities = settings.tls_client_ca
    return grpc.ssl_server_credentials(
        [
            (
                _read("tls_private_key", settings.tls_private_key),
                _read("tls_certificate", settings.tls_certificate),
            )
        ],
        root_certificates=_read_authorities(authorities) if authorities else None,
        require_client_auth=authorities is not None,
    )


def _check_pair(certificate: Path, key: Path) -> None:
    """Try a certificate and its key; gRPC itself would only say that it cannot listen."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password=_refuse_password)
    except (OSError, ValueError) as error:
        message = (
            f"tls_certificate = {certificate}, tls_private_key = {key}: not a PEM certificate "
            f"and its unencrypted key ({type(error).__name__})"
        )
        raise ConfigurationError(message) from error


def _refuse_password() -> str:
    raise ValueError("the key is encrypted")


def _read_authorities(path: Path) -> bytes:
    content = _read("tls_client_ca", path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(
            cadata=content.decode("ascii")
        )
    except (ssl.SSLError, ValueError) as error:
        message = f"tls_client_ca = {path}: not a PEM file of certificates"
        raise ConfigurationError(message) from error
    return content


def _read(setting: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"{setting} = {path}: {error.strerror}"
        raise ConfigurationError(message) from error
