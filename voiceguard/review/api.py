"""The page's JSON: each route asks ReviewService one thing, as the reviewer who asks."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from voiceguard.review.gateway import ReviewGateway
from voiceguard.review.identity import Identity, forget, identity_of, remember
from voiceguard.review.messages import (
    VERDICTS,
    access_to_json,
    milliseconds,
    session_to_json,
    statistics_to_json,
    verdict_to_json,
    waveform_to_json,
)
from voiceguard.review.problems import ApiError
from voiceguard.review.requests import list_request, read_fields, statistics_request
from voiceguard.review.timelines import TimelineColumns
from voiceguard.v1 import review_pb2 as rpb

__all__ = ["API_ROUTES"]

EVENTS_PER_PAGE: Final = 1000


async def sign_in(request: Request) -> Response:
    """Trade name and password for a cookie."""
    fields = await read_fields(request)
    gateway = _gateway(request)
    message = rpb.SignInRequest(name=fields.text("name"), password=fields.text("password"))
    answer = await gateway.ask(gateway.stub.SignIn, message)
    identity = Identity(
        token=answer.token,
        name=answer.name,
        tenant=answer.tenant,
        role=answer.role,
        expires_at_ms=milliseconds(answer.expires_at),
    )
    response = JSONResponse(_who(identity))
    remember(response, identity, is_https=request.app.state.is_https)
    return response


async def sign_out(request: Request) -> Response:
    """Drop the cookie."""
    response = JSONResponse({})
    forget(response, is_https=request.app.state.is_https)
    return response


async def who(request: Request) -> Response:
    """Say who is signed in; null when nobody is, which is no error of a page that begins."""
    try:
        return JSONResponse(_who(identity_of(request)))
    except ApiError:
        return JSONResponse(None)


async def list_sessions(request: Request) -> Response:
    """Return a page of sessions. By POST: a number that is searched for stays out of URLs."""
    identity, gateway = identity_of(request), _gateway(request)
    message = list_request(await read_fields(request))
    answer = await gateway.ask(gateway.stub.ListSessions, message, identity.token)
    return JSONResponse(
        {
            "sessions": [session_to_json(session) for session in answer.sessions],
            "next_page_token": answer.next_page_token,
            "total": answer.total if message.with_total else None,
        }
    )


async def get_session(request: Request) -> Response:
    """Return one session."""
    identity, gateway = identity_of(request), _gateway(request)
    message = rpb.GetSessionRequest(session_id=_session_id(request))
    answer = await gateway.ask(gateway.stub.GetSession, message, identity.token)
    return JSONResponse(session_to_json(answer.session))


async def list_events(request: Request) -> Response:
    """Return all events of a session, as the page draws them."""
    identity, gateway = identity_of(request), _gateway(request)
    columns = TimelineColumns()
    message = rpb.ListEventsRequest(session_id=_session_id(request), page_size=EVENTS_PER_PAGE)
    while True:
        page = await gateway.ask(gateway.stub.ListEvents, message, identity.token)
        columns.add(page)
        if not page.next_page_token:
            return JSONResponse(columns.to_json())
        message.page_token = page.next_page_token


async def get_waveform(request: Request) -> Response:
    """Return the outline of a session's audio."""
    identity, gateway = identity_of(request), _gateway(request)
    message = rpb.GetWaveformRequest(session_id=_session_id(request))
    answer = await gateway.ask(gateway.stub.GetWaveform, message, identity.token)
    return JSONResponse(waveform_to_json(answer))


async def record_verdict(request: Request) -> Response:
    """Add what the reviewer found."""
    identity, gateway = identity_of(request), _gateway(request)
    fields = await read_fields(request)
    message = rpb.RecordVerdictRequest(
        session_id=_session_id(request),
        handoff_id=fields.text("handoff_id"),
        kind=fields.choice("kind", VERDICTS) or rpb.Verdict.KIND_UNSPECIFIED,
        comment=fields.text("comment"),
    )
    answer = await gateway.ask(gateway.stub.RecordVerdict, message, identity.token)
    return JSONResponse(verdict_to_json(answer.verdict))


async def set_hold(request: Request) -> Response:
    """Put a session under legal hold, or release it."""
    identity, gateway = identity_of(request), _gateway(request)
    fields = await read_fields(request)
    message = rpb.SetLegalHoldRequest(
        session_id=_session_id(request), hold=fields.flag("hold"), reason=fields.text("reason")
    )
    answer = await gateway.ask(gateway.stub.SetLegalHold, message, identity.token)
    return JSONResponse(session_to_json(answer.session))


async def erase(request: Request) -> Response:
    """Destroy a session."""
    identity, gateway = identity_of(request), _gateway(request)
    fields = await read_fields(request)
    message = rpb.EraseSessionRequest(session_id=_session_id(request), reason=fields.text("reason"))
    answer = await gateway.ask(gateway.stub.EraseSession, message, identity.token)
    return JSONResponse(session_to_json(answer.session))


async def list_access(request: Request) -> Response:
    """Return who had to do with a session."""
    identity, gateway = identity_of(request), _gateway(request)
    message = rpb.ListAccessRequest(session_id=_session_id(request))
    answer = await gateway.ask(gateway.stub.ListAccess, message, identity.token)
    return JSONResponse({"entries": [access_to_json(entry) for entry in answer.entries]})


async def get_statistics(request: Request) -> Response:
    """Return the counts of a time."""
    identity, gateway = identity_of(request), _gateway(request)
    message = statistics_request(await read_fields(request))
    answer = await gateway.ask(gateway.stub.GetStatistics, message, identity.token)
    return JSONResponse(statistics_to_json(answer))


def _gateway(request: Request) -> ReviewGateway:
    gateway: ReviewGateway = request.app.state.gateway
    return gateway


def _session_id(request: Request) -> str:
    return str(request.path_params["session_id"])


def _who(identity: Identity) -> dict[str, object]:
    return {
        "name": identity.name,
        "tenant": identity.tenant,
        "role": identity.role,
        "expires_at_ms": identity.expires_at_ms,
    }


API_ROUTES: Final = (
    Route("/api/sign-in", sign_in, methods=["POST"]),
    Route("/api/sign-out", sign_out, methods=["POST"]),
    Route("/api/me", who, methods=["GET"]),
    Route("/api/sessions", list_sessions, methods=["POST"]),
    Route("/api/statistics", get_statistics, methods=["POST"]),
    Route("/api/sessions/{session_id}", get_session, methods=["GET"]),
    Route("/api/sessions/{session_id}/events", list_events, methods=["GET"]),
    Route("/api/sessions/{session_id}/waveform", get_waveform, methods=["GET"]),
    Route("/api/sessions/{session_id}/verdicts", record_verdict, methods=["POST"]),
    Route("/api/sessions/{session_id}/hold", set_hold, methods=["POST"]),
    Route("/api/sessions/{session_id}/erase", erase, methods=["POST"]),
    Route("/api/sessions/{session_id}/access", list_access, methods=["GET"]),
)
"""Everything that answers with JSON."""
