"""The reviewers' page as an ASGI application."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from voiceguard.review.alerts import ALERT_ROUTES
from voiceguard.review.api import API_ROUTES
from voiceguard.review.gateway import ReviewGateway, open_gateway
from voiceguard.review.guard import Guard, content_security_policy
from voiceguard.review.media import MEDIA_ROUTES
from voiceguard.review.problems import DEFECT, ApiError, Problem, problem_response
from voiceguard.review.settings import ReviewPageSettings

__all__ = ["create_app"]

STATIC_DIR: Final = Path(__file__).with_name("static")

_NONCE: Final = "{{nonce}}"


def create_app(settings: ReviewPageSettings, gateway: ReviewGateway | None = None) -> Starlette:
    """Return the page.

    Args:
        settings: of the page.
        gateway: the way to the server; None: as the settings say. Closed with the page.

    Raises:
        ConfigurationError: a PEM file for the way to the server cannot be read.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        # A channel belongs to the event loop that it is opened in.
        app.state.gateway = gateway or open_gateway(settings)
        try:
            yield
        finally:
            app.state.closing.set()
            await app.state.gateway.close()

    app = Starlette(
        routes=[
            Route("/", front_page, methods=["GET"]),
            *API_ROUTES,
            *MEDIA_ROUTES,
            *ALERT_ROUTES,
            Mount("/static", StaticFiles(directory=STATIC_DIR), name="static"),
        ],
        middleware=[Middleware(Guard, hosts=settings.hosts(), is_https=settings.is_https)],
        exception_handlers={
            ApiError: answer_problem,
            HTTPException: answer_http_exception,
        },
        lifespan=lifespan,
    )
    app.state.is_https = settings.is_https
    app.state.closing = asyncio.Event()
    app.state.heads = OrderedDict()
    app.state.front_page = (STATIC_DIR / "index.html").read_text(encoding="utf-8")
    if gateway is not None:
        app.state.gateway = gateway
    return app


async def front_page(request: Request) -> Response:
    """Return the page's one document; what it shows is named behind the # of its address."""
    nonce = secrets.token_urlsafe(16)
    headers = {"Content-Security-Policy": content_security_policy(nonce)}
    return HTMLResponse(request.app.state.front_page.replace(_NONCE, nonce), headers=headers)


async def answer_problem(_request: Request, error: Exception) -> Response:
    """Say what is wrong with a request."""
    return problem_response(error.problem if isinstance(error, ApiError) else DEFECT)


async def answer_http_exception(_request: Request, error: Exception) -> Response:
    """Say that there is no such page, or that it is not asked for that way."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    code = "not_found" if status == 404 else "invalid"
    return problem_response(Problem(status, code, "there is nothing here"))
