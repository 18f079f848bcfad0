"""Runs the reviewers' page until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from types import FrameType
from typing import Final

import uvicorn
from starlette.applications import Starlette

from voiceguard.core.errors import ConfigurationError
from voiceguard.review.app import create_app
from voiceguard.review.settings import ReviewPageSettings, split_address

__all__ = ["run"]

GRACE_S: Final = 3
"""How long answers may take to end once the page is told to stop, in seconds."""


def run(settings: ReviewPageSettings, *, on_ready: Callable[[str], None] = print) -> None:
    """Serve the page until SIGTERM or Ctrl-C.

    Args:
        settings: of the page.
        on_ready: called with one line that says where the page is, once it is there.

    Raises:
        ConfigurationError: the address is taken, or a PEM file does not do.
    """
    app = create_app(settings)
    host, port = split_address("listen", settings.listen)
    _check_certificate(settings)
    with contextlib.closing(_bind(settings.listen, host, port)) as listener:
        config = uvicorn.Config(
            app,
            access_log=False,  # addresses of the page's data name sessions
            log_level="warning",
            server_header=False,
            ssl_certfile=settings.tls_certificate,
            ssl_keyfile=settings.tls_private_key,
            timeout_graceful_shutdown=GRACE_S,
            ws="none",
        )
        url = settings.public_origin or _url(settings, host, listener.getsockname()[1])
        server = _Server(config, app, lambda: on_ready(f"voiceguard review is at {url}"))
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(server.serve(sockets=[listener]))


class _Server(uvicorn.Server):
    """Says when it takes requests; ends streams that would go on for ever when it stops."""

    def __init__(
        self, config: uvicorn.Config, app: Starlette, on_ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._app = app
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._app.state.closing.set()
        super().handle_exit(sig, frame)


def _bind(listen: str, host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigurationError(f"listen = {listen}: {error.strerror}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        message = f"listen = {listen}: {error.strerror}; choose another address or port"
        raise ConfigurationError(message) from error
    return listener


def _check_certificate(settings: ReviewPageSettings) -> None:
    """Try the page's certificate and key; uvicorn itself would fail with a traceback."""
    if settings.tls_certificate is None or settings.tls_private_key is None:
        return
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings.tls_certificate, settings.tls_private_key)
    except (OSError, ValueError) as error:
        message = (
            f"tls_certificate = {settings.tls_certificate}, tls_private_key = "
            f"{settings.tls_private_key}: not a PEM certificate and its unencrypted key "
            f"({type(error).__name__})"
        )
        raise ConfigurationError(message) from error


def _url(settings: ReviewPageSettings, host: str, port: int) -> str:
    scheme = "https" if settings.is_https else "http"
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}:{port}/"
