"""What a call yields: the messages of `monitor.proto`, one type for each kind of event.

The messages themselves, not copies of them: their comments in the interface file
are the documentation, and `match` tells them apart by type.
"""

from __future__ import annotations

from typing import Final, TypeAlias, cast

from voiceguard.v1 import monitor_pb2 as pb

__all__ = ["CallEvent", "event_of", "response_of"]

CallEvent: TypeAlias = (
    pb.SessionOpened
    | pb.SpeechEvent
    | pb.PressureUpdate
    | pb.AlertChanged
    | pb.HandoffRequested
    | pb.SessionFlagged
    | pb.AudioGap
    | pb.FlowNotice
    | pb.SessionSummary
)
"""Everything that a monitored call may yield."""

_MEMBERS: Final[dict[type, str]] = {
    pb.SessionOpened: "opened",
    pb.SpeechEvent: "speech",
    pb.PressureUpdate: "pressure",
    pb.AlertChanged: "alert",
    pb.HandoffRequested: "handoff",
    pb.SessionFlagged: "flagged",
    pb.AudioGap: "gap",
    pb.FlowNotice: "flow",
    pb.SessionSummary: "summary",
}


def event_of(response: pb.MonitorResponse) -> CallEvent | None:
    """Return the event inside a response; None for a kind that this version does not know."""
    member = response.WhichOneof("event")
    return None if member is None else cast("CallEvent", getattr(response, member))


def response_of(event: CallEvent) -> pb.MonitorResponse:
    """Return an event inside a response, as a log in protobuf JSON holds it."""
    response = pb.MonitorResponse()
    getattr(response, _MEMBERS[type(event)]).CopyFrom(event)
    return response
