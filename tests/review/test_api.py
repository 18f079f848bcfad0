"""What browsers ask of the page, and what strangers try."""

from __future__ import annotations

import base64
import json

import grpc
import httpx
import pytest

from tests.review.conftest import ORIGIN, OURS, sign_in
from tests.review.servicer import PASSWORD, serving
from voiceguard.review import ReviewPageSettings, create_app
from voiceguard.v1 import review_pb2 as rpb

AUDIO = "/api/sessions/call-worst/audio"


async def test_headers_are_on_everything(page) -> None:
    for path in ("/", "/static/js/main.js", "/api/me", "/api/nothing", "/static/../settings.py"):
        headers = (await page.get(path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        expected = "no-cache" if path == "/static/js/main.js" else "no-store"
        assert headers["cache-control"] == expected or path.startswith("/static/")


async def test_the_nonce_is_the_document_s_own(page) -> None:
    first, second = await page.get("/"), await page.get("/")
    nonce = first.text.partition('style-nonce" content="')[2].partition('"')[0]
    assert len(nonce) >= 20
    assert f"'nonce-{nonce}'" in first.headers["content-security-policy"]
    assert nonce not in second.text


async def test_the_cookie_is_for_nobody_else(page) -> None:
    cookie = (await sign_in(page)).headers["set-cookie"]
    assert cookie.startswith("voiceguard=")
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie
    assert "Secure" not in cookie
    age_s = int(cookie.partition("Max-Age=")[2].partition(";")[0])
    assert 3500 < age_s <= 3600


async def test_behind_https_the_cookie_is_bound_to_the_host(service) -> None:
    origin = "https://review.example.com"
    async with serving(service) as target:
        app = create_app(ReviewPageSettings(server=target, public_origin=origin))
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url=origin) as client,
        ):
            client.headers.update({**OURS, "origin": origin})
            response = await sign_in(client)
            assert response.headers["set-cookie"].startswith("__Host-voiceguard=")
            assert "Secure" in response.headers["set-cookie"]
            assert "strict-transport-security" in response.headers
            assert (await client.get("/api/me")).json()["name"] == "ada"


async def test_without_sign_in_there_is_nothing(page) -> None:
    assert (await page.get("/api/me")).json() is None
    for method, path in (
        ("POST", "/api/sessions"),
        ("POST", "/api/statistics"),
        ("GET", "/api/sessions/call-worst"),
        ("GET", "/api/sessions/call-worst/events"),
        ("GET", "/api/sessions/call-worst/waveform"),
        ("GET", AUDIO),
        ("POST", "/api/sessions/call-worst/evidence"),
        ("POST", "/api/sessions/call-worst/erase"),
        ("GET", "/api/alerts"),
    ):
        response = await page.request(method, path, json={} if method == "POST" else None)
        assert response.status_code == 401, path
        assert response.json()["error"]["code"] == "signed_out"


async def test_a_wrong_password_is_said_and_kept_nowhere(page, service) -> None:
    response = await page.post("/api/sign-in", json={"name": "ada", "password": "guess"})
    assert response.status_code == 401
    assert "set-cookie" not in response.headers
    assert "guess" not in response.text


def _cookie(**changes: object) -> str:
    content = {
        "token": "token-of-ada",
        "name": "ada",
        "tenant": "acme",
        "role": "reviewer",
        "expires_at_ms": 32503680000000,
        **changes,
    }
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "nonsense",
        "%%%",
        "eyJ",
        _cookie(token="token-of-mallory"),
        _cookie(token="token-of-ada\r\nx: y"),
        _cookie(token=1),
        _cookie(expires_at_ms=1),
        _cookie(expires_at_ms="never"),
        _cookie(more=1),
        base64.urlsafe_b64encode(b"[" * 3000).decode(),
        base64.urlsafe_b64encode(b"[]").decode(),
        "A" * 5000,
    ],
)
async def test_a_tampered_cookie_signs_nobody_in(page, value) -> None:
    page.cookies.set("voiceguard", value)
    response = await page.post("/api/sessions", json={})
    assert response.status_code == 401


async def test_a_role_written_into_the_cookie_opens_nothing(page) -> None:
    page.cookies.set("voiceguard", _cookie(role="compliance"))
    response = await page.post("/api/sessions/call-worst/erase", json={"reason": "because"})
    assert response.status_code == 403
    assert response.json()["error"]["code"] == "forbidden"


async def test_a_sign_in_that_the_server_ended_is_over(page, service) -> None:
    await sign_in(page)
    service.revoked.add("ada")
    assert (await page.get("/api/sessions/call-worst")).status_code == 401


async def test_an_expired_sign_in_asks_the_server_nothing(page, service) -> None:
    service.expires_in_s = -1
    await sign_in(page)
    page.cookies.set("voiceguard", _cookie(expires_at_ms=1))
    service.requests.clear()
    assert (await page.post("/api/sessions", json={})).status_code == 401
    assert service.requests == []


async def test_signing_out_drops_the_cookie(page) -> None:
    await sign_in(page)
    cookie = (await page.post("/api/sign-out", json={})).headers["set-cookie"]
    assert "Max-Age=0" in cookie


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", ""),
        ("origin", "http://127.0.0.1:9999"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("x-voiceguard", ""),
    ],
)
async def test_other_sites_cannot_post(page, service, header, value) -> None:
    await sign_in(page)
    response = await page.post(
        "/api/sessions/call-worst/verdicts", json={"kind": "confirmed"}, headers={header: value}
    )
    assert response.status_code == 403
    assert not service.kept["call-worst"].session.verdicts


async def test_other_sites_cannot_fetch_data(page) -> None:
    await sign_in(page)
    response = await page.get("/api/me", headers={"sec-fetch-site": "cross-site"})
    assert response.status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8080", "", "[", "a b"])
async def test_a_name_made_to_point_here_is_refused(page, host) -> None:
    assert (await page.get("/", headers={"host": host})).status_code == 421


async def test_bodies_have_a_limit(page) -> None:
    await sign_in(page)
    response = await page.post("/api/sessions", content=b"x" * 70000)
    assert response.status_code == 413

    async def endless():
        yield b"{}"

    assert (await page.post("/api/sessions", content=endless())).status_code == 411


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"page_size": -1}, "page_size"),
        ({"page_size": "many"}, "page_size"),
        ({"page_size": True}, "page_size"),
        ({"page_size": 2**40}, "page_size"),
        ({"page_token": "forged' OR 1=1"}, "page_token"),
        ({"level": "purple"}, "level"),
        ({"after_ms": -5}, "after_ms"),
        ({"after_ms": 10**18}, "after_ms"),
        ({"flagged_only": "yes"}, "flagged_only"),
        ([], "body"),
    ],
)
async def test_bad_filters_name_their_field(page, body, field) -> None:
    await sign_in(page)
    response = await page.post("/api/sessions", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["field"] == field


async def test_broken_json_is_the_browser_s_fault(page) -> None:
    await sign_in(page)
    for content in (b"{", b"\xff", b"[" * 60000):
        assert (await page.post("/api/sessions", content=content)).status_code == 400


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (grpc.StatusCode.UNAVAILABLE, 503),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 429),
        (grpc.StatusCode.FAILED_PRECONDITION, 409),
        (grpc.StatusCode.INTERNAL, 502),
    ],
)
async def test_the_server_s_errors_are_http_s(page, service, code, status) -> None:
    await sign_in(page)
    service.failing = code
    assert (await page.post("/api/sessions", json={})).status_code == status


async def test_a_server_that_is_away_is_named_without_its_address() -> None:
    app = create_app(ReviewPageSettings(server="127.0.0.1:1"))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN) as client,
    ):
        body = {"name": "ada", "password": PASSWORD}
        response = await client.post("/api/sign-in", json=body, headers=OURS)
    assert response.status_code == 503
    assert "127.0.0.1" not in response.text


async def test_an_unknown_session_is_not_found(page) -> None:
    await sign_in(page)
    response = await page.get("/api/sessions/other-tenants-call")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"


async def test_the_queue_is_worst_first_and_paged(page) -> None:
    await sign_in(page)
    query = {"flagged_only": True, "order": "worst", "page_size": 2, "with_total": True}
    first = (await page.post("/api/sessions", json=query)).json()
    assert [one["id"] for one in first["sessions"]] == ["call-worst", "call-bad"]
    assert first["total"] == 3
    query["page_token"] = first["next_page_token"]
    second = (await page.post("/api/sessions", json=query)).json()
    assert [one["id"] for one in second["sessions"]] == ["call-hostile"]
    assert second["next_page_token"] == ""


async def test_a_verdict_reaches_the_server(page, service) -> None:
    await sign_in(page)
    body = {"kind": "false_alarm", "comment": "calm all along", "handoff_id": "handoff-1"}
    response = await page.post("/api/sessions/call-worst/verdicts", json=body)
    assert response.json()["reviewer"] == "ada"
    (verdict,) = service.kept["call-worst"].session.verdicts
    assert verdict.kind == rpb.Verdict.KIND_FALSE_ALARM
    assert verdict.comment == "calm all along"
    missing = await page.post("/api/sessions/call-worst/verdicts", json={})
    assert missing.json()["error"]["field"] == "kind"


async def test_nobody_waits_for_an_answer_once_the_call_is_over(page, service) -> None:
    await sign_in(page)
    session = service.kept["call-worst"].session
    (handoff,) = (await page.get("/api/sessions/call-worst")).json()["handoffs"]
    assert handoff["outcome"] == "expired"
    session.ClearField("ended_at")
    (handoff,) = (await page.get("/api/sessions/call-worst")).json()["handoffs"]
    assert handoff["outcome"] == "waiting"


async def test_events_come_as_columns(page) -> None:
    await sign_in(page)
    timeline = (await page.get("/api/sessions/call-worst/events")).json()
    curve = timeline["curves"]["0"]
    assert curve["end_s"] == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5]
    assert curve["index"][-1] == 95
    assert curve["scores"]["anger"][0] == 0.1
    assert [mark["kind"] for mark in timeline["marks"]] == ["flag", "handoff"]


async def test_compliance_holds_erases_and_sees_who_looked(page, service) -> None:
    await sign_in(page, "grace")
    await page.get("/api/sessions/call-bad")
    hold = {"hold": True, "reason": "court order"}
    assert (await page.post("/api/sessions/call-bad/hold", json=hold)).json()["legal_hold"]
    refused = await page.post("/api/sessions/call-bad/erase", json={"reason": "asked to"})
    assert refused.status_code == 409
    await page.post("/api/sessions/call-bad/hold", json={"hold": False, "reason": "over"})
    erased = await page.post("/api/sessions/call-bad/erase", json={"reason": "asked to"})
    assert erased.json()["erased_at_ms"]
    entries = (await page.get("/api/sessions/call-bad/access")).json()["entries"]
    assert [entry["action"] for entry in entries] == ["viewed", "held", "released", "erased"]


async def test_a_defect_is_told_by_its_type_alone(page, monkeypatch, capsys) -> None:
    def fail(_session):
        raise KeyError("+8613800138000")

    await sign_in(page)
    monkeypatch.setattr("voiceguard.review.api.session_to_json", fail)
    response = await page.get("/api/sessions/call-worst")
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "defect"
    said = capsys.readouterr().err
    assert "KeyError at " in said
    assert "138" not in said
    assert "call-worst" not in said
