"""What every request must show and every response must carry, whatever it is about.

Defences, and where they are described: names made to point here (DNS rebinding) by the
Host header; requests of other sites by SameSite cookies, a header of our own, Origin and
Fetch Metadata (OWASP Cross-Site Request Forgery Prevention Cheat Sheet); scripts that got
in by a Content Security Policy (W3C CSP Level 3) that allows the page's own files alone.
"""

from __future__ import annotations

import sys
import traceback
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voiceguard.review.problems import DEFECT, Problem, problem_response

__all__ = ["CSRF_HEADER", "Guard", "content_security_policy"]

CSRF_HEADER: Final = "x-voiceguard"
"""Header that every POST must carry; no other site can send it without our consent."""

MAX_BODY_BYTES: Final = 64 * 1024
"""Largest body of a request: a comment of 4096 characters is a quarter of it at most."""

_DIRECTIVES: Final = (
    "default-src 'none'",
    "script-src 'self'",
    "img-src 'self' data: blob:",
    "media-src 'self' blob:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
)

_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}


def content_security_policy(nonce: str = "") -> str:
    """Return the policy of a response.

    Args:
        nonce: of the one style sheet that wavesurfer.js writes into its own shadow root;
            empty where there is none.
    """
    styles = f"style-src 'self' 'nonce-{nonce}'" if nonce else "style-src 'self'"
    return "; ".join((*_DIRECTIVES, styles))


class Guard:
    """Outermost layer of the page: refuses what cannot be meant, adds headers to the rest.

    Args:
        app: what it stands before.
        hosts: names that browsers may ask for, lower case, without port.
        is_https: whether browsers reach the page by https.
    """

    def __init__(self, app: ASGIApp, *, hosts: frozenset[str], is_https: bool) -> None:
        self._app = app
        self._hosts = hosts
        self._scheme = "https" if is_https else "http"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        started = False

        async def send_guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                self._add_headers(MutableHeaders(scope=message), str(scope["path"]))
            await send(message)

        problem = self._problem(scope)
        app = self._app if problem is None else problem_response(problem)
        try:
            await app(scope, receive, send_guarded)
        except ClientDisconnect:
            return
        except Exception as defect:  # noqa: BLE001 - at the edge: its message may quote a call
            report_defect(defect)
            if not started:  # else the browser sees the answer break off
                await problem_response(DEFECT)(scope, receive, send_guarded)

    def _problem(self, scope: Scope) -> Problem | None:
        """Return why a request is refused before anything looks at it, None when it is not."""
        headers = Headers(scope=scope)
        if _host_name(headers.get("host", "")) not in self._hosts:
            return Problem(421, "wrong_host", "this page is not served under that host name")
        if scope["method"] == "POST":
            return self._post_problem(headers)
        site = headers.get("sec-fetch-site", "none")
        if str(scope["path"]).startswith("/api/") and site not in {"same-origin", "none"}:
            return Problem(403, "cross_site", "only the page itself may ask for this")
        return None

    def _post_problem(self, headers: Headers) -> Problem | None:
        ours = f"{self._scheme}://{headers.get('host', '')}"
        foreign = headers.get("origin", "") != ours
        if foreign or headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return Problem(403, "cross_site", "only the page itself may send this")
        if headers.get(CSRF_HEADER) != "1":
            return Problem(403, "cross_site", f"send the header {CSRF_HEADER}: 1")
        length = headers.get("content-length", "")
        if not length.isdigit():
            return Problem(411, "invalid", "send a Content-Length")
        if int(length) > MAX_BODY_BYTES:
            return Problem(413, "too_large", f"over {MAX_BODY_BYTES} bytes")
        return None

    def _add_headers(self, headers: MutableHeaders, path: str) -> None:
        for name, value in _HEADERS.items():
            headers[name] = value
        if "content-security-policy" not in headers:
            headers["Content-Security-Policy"] = content_security_policy()
        if self._scheme == "https":
            headers["Strict-Transport-Security"] = "max-age=31536000"
        headers["Cache-Control"] = "no-cache" if path.startswith("/static/") else "no-store"


def report_defect(defect: BaseException) -> None:
    """Say on standard error what went wrong and where, without a message that may quote a call."""
    origin = defect.__cause__ or defect
    frames = traceback.extract_tb(origin.__traceback__)[-3:]
    where = ", ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames)
    sys.stderr.write(f"voiceguard review: {type(origin).__name__} at {where}\n")


def _host_name(host: str) -> str:
    """Return a Host header without its port, lower case; empty when it is not one."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""
