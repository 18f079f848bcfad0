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


class DatabaseError(VoiceguardError):
    """The database is not one that this release can use; the operator must say what to do.

    Trying again is of no use.
    """


class DatabaseUnavailableError(VoiceguardError):
    """The database cannot be reached or cannot write now: away, locked, its disk full.

    Nothing of what was asked for has been done; the same may be tried again later.
    """


class ProjectionError(VoiceguardError):
    """Records do not follow from what the database holds; nothing of them was applied.

    The evidence log and the database do not belong together, or the recorder has a defect.
    """
