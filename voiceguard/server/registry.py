"""The live sessions of a server, with and without a stream, and who may resume them."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterator
from typing import Final

from voiceguard.server.live import LiveSession
from voiceguard.server.status import CallRefusedError, already_exists, server_full, unknown_token
from voiceguard.server.terms import SessionKey

TOKEN_BYTES: Final = 32
"""Random bytes in a resume token: more than anybody can guess."""

FULL_RETRY_S: Final = 5.0
"""When a client that found the server full may try again."""


class SessionRegistry:
    """Every session of this server that is not finished, by tenant and id.

    Args:
        max_sessions: how many it takes.
        resume_grace_s: how long one without a stream is kept.
    """

    def __init__(self, max_sessions: int, resume_grace_s: float) -> None:
        self._max_sessions = max_sessions
        self._resume_grace_s = resume_grace_s
        self._sessions: dict[SessionKey, LiveSession] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[LiveSession]:
        return iter(list(self._sessions.values()))

    @property
    def detached(self) -> int:
        """How many wait for their client to come back."""
        return sum(item.detached_at_s is not None for item in self._sessions.values())

    def check_vacancy(self, key: SessionKey) -> None:
        """Make sure that a session may be opened.

        Raises:
            CallRefusedError: its id is taken, or the server is full.
        """
        if key in self._sessions:
            raise CallRefusedError(already_exists())
        if len(self._sessions) >= self._max_sessions:
            raise CallRefusedError(server_full(self._max_sessions, FULL_RETRY_S))

    def add(self, session: LiveSession) -> None:
        """Take a new session; `check_vacancy` has let it in. Gives it a token."""
        self._sessions[session.key] = session
        session.token = secrets.token_urlsafe(TOKEN_BYTES)

    def find(self, key: SessionKey, token: str) -> LiveSession:
        """Return the session that a client wants to resume.

        Raises:
            CallRefusedError: the token is not good for this session, or there is no such
                session; which of the two, the client is not told.
        """
        session = self._sessions.get(key)
        known = (secrets.token_urlsafe(TOKEN_BYTES),) if session is None else session.tokens
        given = token.encode("utf-8", "replace")
        matches = [hmac.compare_digest(good.encode(), given) for good in known]
        if session is None or not any(matches):
            raise CallRefusedError(unknown_token())
        return session

    def renew_token(self, session: LiveSession, used_token: str) -> None:
        """Give a resumed session a new token.

        The one that it came back with stays good until the client speaks on its new stream:
        only then has it surely received the new one.
        """
        session.offer_token(secrets.token_urlsafe(TOKEN_BYTES), used_token)

    def remove(self, session: LiveSession) -> None:
        """Forget a session. Idempotent."""
        if self._sessions.get(session.key) is session:
            del self._sessions[session.key]

    def take_expired(self, now_s: float) -> list[LiveSession]:
        """Remove and return the sessions whose clients did not come back in time."""
        expired = [
            session
            for session in self._sessions.values()
            if session.detached_at_s is not None
            and now_s - session.detached_at_s >= self._resume_grace_s
        ]
        for session in expired:
            self.remove(session)
        return expired
