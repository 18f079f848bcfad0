"""What a reviewer is told when the store cannot do what was asked for."""

from __future__ import annotations

from typing import Final

import grpc

from voiceguard.server.reviewing.threads import AWAY_RETRY_S
from voiceguard.server.status import (
    Refusal,
    session_state,
    store_damaged,
    store_unavailable,
    unknown_session,
)
from voiceguard.store.errors import (
    DatabaseError,
    DatabaseUnavailableError,
    SealBrokenError,
    SessionErasedError,
    SessionHeldError,
    SessionRunningError,
    StoreError,
    UnknownSessionError,
)

STORE_ERRORS: Final = (StoreError, DatabaseError, DatabaseUnavailableError)
"""What the store raises on purpose."""


def erased() -> Refusal:
    """Return the refusal of what an erased session has no more."""
    return session_state("SESSION_ERASED", "the session was erased; its key is destroyed")


def live(problem: str) -> Refusal:
    """Return the refusal of what a live session cannot give yet."""
    return session_state("SESSION_LIVE", problem)


def held() -> Refusal:
    """Return the refusal to erase a session under legal hold."""
    return session_state("SESSION_HELD", "the session is under legal hold; release it first")


def audio_pending(retry_after_s: float) -> Refusal:
    """Return the refusal of evidence that lacks its audio as yet."""
    return Refusal(
        grpc.StatusCode.UNAVAILABLE,
        "AUDIO_PENDING",
        "the session's audio is still being stored; try again in a moment",
        retry_after_s=retry_after_s,
    )


def too_many_verdicts(most: int) -> Refusal:
    """Return the refusal of one verdict too many on a session."""
    return session_state("TOO_MANY_VERDICTS", f"the session has {most} verdicts, the most it may")


def no_audio(problem: str) -> Refusal:
    """Return the refusal of audio that is not there."""
    return session_state("NO_AUDIO", problem)


def refusal_of_store(error: StoreError | DatabaseError | DatabaseUnavailableError) -> Refusal:
    """Return the status for an error of the store."""
    match error:
        case UnknownSessionError():
            return unknown_session()
        case SessionErasedError():
            return erased()
        case SessionHeldError():
            return held()
        case SessionRunningError():
            return live("the session is live; try again once it has ended")
        case SealBrokenError():
            return store_damaged()
        case _:
            return store_unavailable(AWAY_RETRY_S)
