"""Alerts as they happen, as Server-Sent Events (WHATWG HTML, section 9.2).

A browser reconnects by itself when the stream ends; one that is signed out is told so
instead, since its next try would fail the same way.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from voiceguard.review.gateway import ReviewGateway
from voiceguard.review.identity import identity_of
from voiceguard.review.problems import ApiError
from voiceguard.review.timelines import mark_of
from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.v1 import review_pb2 as rpb

__all__ = ["ALERT_ROUTES"]

HEARTBEAT_S: Final = 15.0
"""A comment goes out this often, in seconds, so that proxies keep the connection."""

RETRY_MS: Final = 3000
"""How long a browser waits before it connects again."""


async def watch_alerts(request: Request) -> Response:
    """Stream every flag and handoff, and alerts from orange, until the browser leaves."""
    identity = identity_of(request)
    gateway: ReviewGateway = request.app.state.gateway
    message = rpb.WatchAlertsRequest(min_level=pb.ALERT_LEVEL_ORANGE)
    answers = gateway.stream(gateway.stub.WatchAlerts, message, identity.token)
    content = _events(answers, request.app.state.closing)
    return StreamingResponse(content, media_type="text/event-stream")


async def _events(answers: AsyncIterator[Any], closing: asyncio.Event) -> AsyncIterator[str]:
    """Yield events and heartbeats until the server ends the stream or the page goes away."""
    yield f"retry: {RETRY_MS}\n\n"
    leaving = asyncio.create_task(closing.wait())
    coming: asyncio.Task[Any] | None = None
    try:
        while not closing.is_set():
            coming = coming or asyncio.create_task(anext(answers, None))
            await asyncio.wait(
                {coming, leaving}, timeout=HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED
            )
            if not coming.done():
                yield ": still here\n\n"
                continue
            answer, coming = coming.result(), None
            if answer is None:
                return
            mark = mark_of(answer.event)
            if mark is not None:
                data = json.dumps({"session_id": answer.session_id, **mark})
                yield f"event: {mark['kind']}\ndata: {data}\n\n"
    except ApiError as error:
        yield f"event: problem\ndata: {json.dumps({'code': error.problem.code})}\n\n"
    finally:
        leaving.cancel()
        if coming is not None:
            coming.cancel()
            with contextlib.suppress(asyncio.CancelledError, ApiError):
                await coming
        await answers.aclose()  # type: ignore[attr-defined]


ALERT_ROUTES: Final = (Route("/api/alerts", watch_alerts, methods=["GET"]),)
"""What answers with events."""
