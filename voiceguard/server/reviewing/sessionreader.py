"""Reads what is kept of sessions and opens what is sealed, for reviewers.

Everything here blocks, so it is for `StoreThreads`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from voiceguard.evidence.leaves import Leaf, LeafKind
from voiceguard.evidence.verify import parse_canonical
from voiceguard.server.reviewing.refusals import erased
from voiceguard.server.reviewing.wire import SessionDetails, session_to_proto, timestamp
from voiceguard.server.status import CallRefusedError, unknown_session
from voiceguard.store.archive import Archive
from voiceguard.store.eventcodec import event_from_line
from voiceguard.store.rows import SessionRow, StoredRecord
from voiceguard.store.sealing import unseal_payload
from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.v1 import review_pb2 as rpb
from voiceguard.wire import event_to_proto

STORED_ID: Final = re.compile(r"[A-Za-z0-9._:@-]{1,128}(~[0-9]{1,9})?")
"""Ids of kept sessions: the client's own, and which time it is that the client uses it."""

BATCH_RECORDS: Final = 200
"""Records of events that are read at a time."""


@dataclass(frozen=True, slots=True)
class EventPage:
    """Some events of a session."""

    events: Sequence[pb.MonitorResponse]
    recorded_at: Sequence[Timestamp]
    following: int | None
    """Index of the event that the next page begins with; None: these were the last."""


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
        return self.sessions([row])[0]

    def sessions(self, rows: Sequence[SessionRow]) -> list[rpb.Session]:
        """Return several sessions as reviewers see them.

        Raises:
            SealBrokenError: what was sealed does not open.
        """
        kept = [row.uid for row in rows if row.erased_at_ms is None]
        records = self._archive.finder.records_of(kept, (LeafKind.OPENED, LeafKind.VERDICT))
        return [self._session(row, records.get(row.uid, ())) for row in rows]

    def _session(self, row: SessionRow, records: Sequence[StoredRecord]) -> rpb.Session:
        if row.erased_at_ms is not None:
            return session_to_proto(row, None, {})
        key = self._archive.keys.unwrap(row.uid, row.wrapped_key, row.key_id)
        details, comments = None, {}
        for record in records:
            payload = unseal_payload(key, row.uid, record.n, record.sealed).content
            if record.kind == LeafKind.OPENED:
                details = SessionDetails(payload)
            else:
                line = parse_canonical(payload.removesuffix(b"\n"))
                comments[record.n] = str(line["comment"])
        return session_to_proto(row, details, comments)

    def details(self, row: SessionRow) -> SessionDetails:
        """Return what was sealed about a session as a whole.

        Raises:
            CallRefusedError: it was erased.
        """
        if row.erased_at_ms is not None:
            raise CallRefusedError(erased())
        (opened,) = self._archive.payloads(row, kinds=[LeafKind.OPENED])
        return SessionDetails(opened.payload)

    def events(self, row: SessionRow, first: int, size: int) -> EventPage:
        """Return a page of a session's events.

        Args:
            row: of the session.
            first: index of the event that the page begins with.
            size: how many events it has at most.

        Raises:
            CallRefusedError: the session was erased.
        """
        audio_format = self.details(row).audio_format
        events: list[pb.MonitorResponse] = []
        recorded_at: list[Timestamp] = []
        for line in self._lines(row, first):
            event, sequence, at_ms = event_from_line(line)
            response = event_to_proto(event, audio_format, row.session_id)
            if sequence < first or response is None:
                continue
            if len(events) == size:
                return EventPage(events, recorded_at, sequence)
            events.append(response)
            recorded_at.append(timestamp(at_ms))
        return EventPage(events, recorded_at, None)

    def _lines(self, row: SessionRow, first: int) -> Iterator[str]:
        """Yield the lines of the events from one on, and of those in the same record before it."""
        while True:
            records = self._archive.payloads(
                row, kinds=[LeafKind.EVENTS], first_event_at_least=first, limit=BATCH_RECORDS
            )
            for record in records:
                # Not splitlines: texts within may hold other ends of lines, such as U+2028.
                yield from record.payload.decode().removesuffix("\n").split("\n")
            if len(records) < BATCH_RECORDS:
                return
            facts = Leaf.from_bytes(records[-1].leaf).facts
            first = int(facts["first"]) + int(facts["count"])
