"""The states of a monitored call as its client sees them: one table."""

from __future__ import annotations

import enum
from typing import Final

from voiceguard.core.statetable import StateTable

__all__ = ["LINK_TABLE", "LinkInput", "LinkState"]


class LinkState(enum.Enum):
    """Where a call stands with its server."""

    OPENING = enum.auto()
    """No session yet."""
    STREAMING = enum.auto()
    """Audio goes out, events come in."""
    RESUMING = enum.auto()
    """The stream broke; coming back with the token."""
    REOPENING = enum.auto()
    """The server has ended or lost the session; a new one takes its place."""
    FINISHING = enum.auto()
    """All audio is out or on its way; the summary is awaited."""
    RESUMING_TO_FINISH = enum.auto()
    """The stream broke while the call was finishing, or the other way round."""
    REOPENING_TO_FINISH = enum.auto()
    """The telephone call ended while a new session was to be opened for its last seconds."""
    FINISHED = enum.auto()
    """The summary is here."""
    FAILED = enum.auto()
    """Refused, or lost."""


class LinkInput(enum.Enum):
    """What happens to a call."""

    OPENED = enum.auto()
    """`SessionOpened` came."""
    BROKEN = enum.auto()
    """The stream ended in a way worth another try."""
    SESSION_GONE = enum.auto()
    """NOT_FOUND, and its summary cannot have been on the way."""
    FINISH_ASKED = enum.auto()
    """The dialer says that the telephone call is over."""
    SUMMARISED = enum.auto()
    """`SessionSummary` came."""
    GIVEN_UP = enum.auto()
    """The server refused, or there is no try left."""


_STATE, _INPUT = LinkState, LinkInput

LINK_TABLE: Final = StateTable(
    name="monitored call, client",
    initial=_STATE.OPENING,
    transitions={
        _STATE.OPENING: {
            _INPUT.OPENED: _STATE.STREAMING,
            _INPUT.SESSION_GONE: _STATE.FAILED,
            _INPUT.FINISH_ASKED: _STATE.FAILED,
            _INPUT.GIVEN_UP: _STATE.FAILED,
        },
        # A summary that nobody asked for: a draining server ended the session at the end of its
        # grace, and the telephone call goes on.
        _STATE.STREAMING: {
            _INPUT.BROKEN: _STATE.RESUMING,
            _INPUT.SESSION_GONE: _STATE.REOPENING,
            _INPUT.FINISH_ASKED: _STATE.FINISHING,
            _INPUT.SUMMARISED: _STATE.REOPENING,
            _INPUT.GIVEN_UP: _STATE.FAILED,
        },
        _STATE.RESUMING: {
            _INPUT.OPENED: _STATE.STREAMING,
            _INPUT.SESSION_GONE: _STATE.REOPENING,
            _INPUT.FINISH_ASKED: _STATE.RESUMING_TO_FINISH,
            _INPUT.GIVEN_UP: _STATE.FAILED,
        },
        _STATE.REOPENING: {
            _INPUT.OPENED: _STATE.STREAMING,
            _INPUT.SESSION_GONE: _STATE.FAILED,
            _INPUT.FINISH_ASKED: _STATE.REOPENING_TO_FINISH,
            _INPUT.GIVEN_UP: _STATE.FAILED,
        },
        _STATE.FINISHING: {
            _INPUT.BROKEN: _STATE.RESUMING_TO_FINISH,
            _INPUT.SESSION_GONE: _STATE.FAILED,
            _INPUT.SUMMARISED: _STATE.FINISHED,
            _INPUT.GIVEN_UP: _STATE.FAILED,
        },
        _STATE.RESUMING_TO_FINISH: {
            _INPUT.OPENED: _STATE.FINISHING,
            _INPUT.SESSION_GONE: _STATE.REOPENING_TO_FINISH,
            _INPUT.GIVEN_UP: _STATE.FAILED,
        },
        _STATE.REOPENING_TO_FINISH: {
            _INPUT.OPENED: _STATE.FINISHING,
            _INPUT.SESSION_GONE: _STATE.FAILED,
            _INPUT.GIVEN_UP: _STATE.FAILED,
        },
    },
    ignored={
        _STATE.OPENING: {_INPUT.BROKEN, _INPUT.SUMMARISED},
        _STATE.STREAMING: {_INPUT.OPENED},
        _STATE.RESUMING: {_INPUT.BROKEN, _INPUT.SUMMARISED},
        _STATE.REOPENING: {_INPUT.BROKEN, _INPUT.SUMMARISED},
        _STATE.FINISHING: {_INPUT.OPENED, _INPUT.FINISH_ASKED},
        _STATE.RESUMING_TO_FINISH: {_INPUT.BROKEN, _INPUT.FINISH_ASKED, _INPUT.SUMMARISED},
        _STATE.REOPENING_TO_FINISH: {_INPUT.BROKEN, _INPUT.FINISH_ASKED, _INPUT.SUMMARISED},
        _STATE.FINISHED: frozenset(_INPUT),
        _STATE.FAILED: frozenset(_INPUT),
    },
)
