"""What can be wrong with the database of sessions."""

from __future__ import annotations

from voiceguard.core.errors import VoiceguardError


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
