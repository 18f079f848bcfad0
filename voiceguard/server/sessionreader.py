"""Reads what is kept of sessions and opens what is sealed, for reviewers. Everything here blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from voiceguard.evidence.leaves import LeafKind
from voiceguard.evidence.verify import parse_canonical
from voiceguard.server.reviewwire import SessionDetails, session_to_proto, timestamp
from voiceguard.server.status import CallRefusedError, unknown_session
from voiceguard.server.storestatus import erased
from voiceguard.store.archive import Archive
from voiceguard.store.eventcodec import event_from_line
from voiceguard.store.queries import SessionRow, StoredRecord
from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.v1 import review_pb2 as rpb
from voiceguard.wire import event_to_proto

STORED_ID: Final = re.compile(r"[A-Za-z0-9._:@-]{1,128}(~[0-9]{1,9})?")
"""Ids of kept sessions: the client's own, and which time it is that the client uses it."""

BATCH_RECORDS: Final = 200
"""Records of events that are read at a time."""


@dataclass(frozen=True, slots=True)
class EventPlace:
    """Where a page of events begins."""

    record: int = 0
    """Index of the first event of the record that the next event stands in."""
    sequence: int = 0
    """Index of the next event."""


@dataclass(frozen=True, slots=True)
class EventPage:
    """Some events of a session."""

    events: Sequence[pb.MonitorResponse]
    recorded_at: Sequence[Timestamp]
    following: EventPlace | None
    """None: these were the last."""


class SessionReader:
    """What reviewers see of sessions.

    Args:
        archive: keeps them.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def find(self, tenant: str, session_id: str) -> SessionRow:
        """Return a session of a tenant.

        Raises:
            CallRefusedError: there is none of this id; another tenant's is none.
        """
        row = None
        if STORED_ID.fullmatch(session_id):
            row = self._archive.finder.find(tenant, session_id)
        if row is None:
            raise CallRefusedError(unknown_session())
        return row

    def session(self, row: SessionRow) -> rpb.Session:
        """Return a session as reviewers see it.

        Raises:
            SealBrokenError: what was sealed does not open.
        """
        if row.erased_at_ms is not None:
            return session_to_proto(row, None, {})
        kinds = [LeafKind.OPENED] + ([LeafKind.VERDICT] if row.verdicts else [])
        records = self._archive.finder.records(row.uid, kinds=kinds)
        opened = [record for record in records if record.kind == LeafKind.OPENED]
        comments = {
            record.n: self._comment(row, record)
            for record in records
            if record.kind == LeafKind.VERDICT
        }
        return session_to_proto(row, SessionDetails(self._open(row, opened[0])), comments)

    def sessions(self, rows: Sequence[SessionRow]) -> list[rpb.Session]:
        """Return several sessions as reviewers see them."""
        return [self.session(row) for row in rows]

    def details(self, row: SessionRow) -> SessionDetails:
        """Return what was sealed about a session as a whole.

        Raises:
            CallRefusedError: it was erased.
        """
        if row.erased_at_ms is not None:
            raise CallRefusedError(erased())
        (opened,) = self._archive.finder.records(row.uid, kinds=[LeafKind.OPENED])
        return SessionDetails(self._open(row, opened))

    def events(self, row: SessionRow, place: EventPlace, size: int) -> EventPage:
        """Return a page of a session's events.

        Args:
            row: of the session.
            place: where the page begins.
            size: how many events it has at most.

        Raises:
            CallRefusedError: the session was erased.
        """
        audio_format = self.details(row).audio_format
        events: list[pb.MonitorResponse] = []
        recorded_at: list[Timestamp] = []
        for record, line in self._lines(row, place):
            event, sequence, at_ms = event_from_line(line)
            if sequence < place.sequence:
                continue
            response = event_to_proto(event, audio_format, row.session_id)
            if response is None:
                continue
            if len(events) == size:
                following = EventPlace(record.first_event or 0, sequence)
                return EventPage(events, recorded_at, following)
            events.append(response)
            recorded_at.append(timestamp(at_ms))
        return EventPage(events, recorded_at, None)

    def _lines(self, row: SessionRow, place: EventPlace) -> Iterator[tuple[StoredRecord, str]]:
        """Yield the lines of all events from a place on, each with its record."""
        first = place.record
        while True:
            records = self._archive.finder.records(
                row.uid,
                kinds=[LeafKind.EVENTS],
                first_event_at_least=first,
                limit=BATCH_RECORDS,
            )
            for record in records:
                # Not splitlines: texts within may hold other ends of lines, such as U+2028.
                for line in self._open(row, record).decode().removesuffix("\n").split("\n"):
                    yield record, line
            if len(records) < BATCH_RECORDS:
                return
            first = (records[-1].first_event or 0) + 1

    def _comment(self, row: SessionRow, record: StoredRecord) -> str:
        line = self._open(row, record).removesuffix(b"\n")
        return str(parse_canonical(line)["comment"])

    def _open(self, row: SessionRow, record: StoredRecord) -> bytes:
        return self._archive.unseal(row, record).content
