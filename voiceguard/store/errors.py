"""Errors of the store, each with whose fault it is and what to do."""

from __future__ import annotations

from voiceguard.core.errors import VoiceguardError


class StoreError(VoiceguardError):
    """What is kept cannot be written or read; the message says why."""


class StoreFullError(StoreError):
    """There is no room for the record; it was not kept. Free some, and try again."""


class StoreClosedError(StoreError):
    """The store has been closed; nothing more is kept."""


class SealBrokenError(StoreError):
    """Something sealed was changed, cut, moved, or sealed with another key."""


class UnknownSessionError(StoreError):
    """No session of this evidence id is kept."""


class SessionRunningError(StoreError):
    """The session has not ended, so it cannot be erased yet."""


class SessionErasedError(StoreError):
    """The session was erased: its key is destroyed, and nothing more is recorded of it."""


class SessionHeldError(StoreError):
    """The session is under legal hold; release it first."""


class SegmentDamagedError(StoreError):
    """A segment of the spool was damaged after it was written."""
