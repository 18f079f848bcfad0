"""Who sits at the browser: the sign-in, kept in a cookie and nowhere else.

The cookie holds the server's signed token. What lies beside it (name, role) is there to
be shown: every request is decided by the server, by the token alone.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from dataclasses import asdict, dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from voiceguard.review.problems import ApiError, Problem

__all__ = ["Identity", "cookie_name", "forget", "identity_of", "remember"]

COOKIE: Final = "voiceguard"

MAX_COOKIE_CHARACTERS: Final = 4000
"""Browsers keep 4096 bytes of name and value at least (RFC 6265, section 6.1), and no more."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A reviewer who is signed in.

    Attributes:
        token: for the server; opaque here.
        name: of the account.
        tenant: whose sessions they see.
        role: "reviewer" or "compliance".
        expires_at_ms: when the sign-in ends, milliseconds since 1970, UTC.
    """

    token: str
    name: str
    tenant: str
    role: str
    expires_at_ms: int


def cookie_name(*, is_https: bool) -> str:
    """Return the cookie's name; `__Host-` binds it to this host (RFC 6265bis, section 4.1.3)."""
    return f"__Host-{COOKIE}" if is_https else COOKIE


def identity_of(request: Request) -> Identity:
    """Return who sends a request.

    Raises:
        ApiError: nobody is signed in, or the cookie is not one of ours.
    """
    value = request.cookies.get(cookie_name(is_https=request.app.state.is_https), "")
    identity = _decode(value)
    if identity is None or identity.expires_at_ms <= time.time() * 1000:
        raise ApiError(Problem(401, "signed_out", "sign in"))
    return identity


def remember(response: Response, identity: Identity, *, is_https: bool) -> None:
    """Have the browser keep a sign-in until it ends."""
    response.set_cookie(
        cookie_name(is_https=is_https),
        _encode(identity),
        max_age=max(0, int(identity.expires_at_ms / 1000 - time.time())),
        path="/",
        secure=is_https,
        httponly=True,
        samesite="strict",
    )


def forget(response: Response, *, is_https: bool) -> None:
    """Have the browser drop the sign-in."""
    response.delete_cookie(
        cookie_name(is_https=is_https), path="/", secure=is_https, httponly=True, samesite="strict"
    )


def _encode(identity: Identity) -> str:
    content = json.dumps(asdict(identity), separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _decode(value: str) -> Identity | None:
    if not value or len(value) > MAX_COOKIE_CHARACTERS:
        return None
    try:
        content = json.loads(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)))
        identity = Identity(**content)
    except (binascii.Error, ValueError, TypeError, RecursionError):
        return None
    texts = (identity.token, identity.name, identity.tenant, identity.role)
    well_formed = all(isinstance(text, str) for text in texts) and identity.token.isascii()
    if not well_formed or not identity.token.isprintable():
        return None
    return identity if isinstance(identity.expires_at_ms, int) else None
