"""The scribe: numbers, commits to and seals records, and refuses those that must not be written.

Only the writer's thread calls it, so the order of its calls is the order of the log.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Final

from voiceguard.core.events import Event
from voiceguard.core.policy import AudioKeeping
from voiceguard.evidence.leaves import Leaf, LeafKind
from voiceguard.evidence.verify import commitment_of
from voiceguard.store.drafts import End, Prepared, Submission
from voiceguard.store.errors import (
    SessionErasedError,
    SessionHeldError,
    SessionRunningError,
    StoreError,
)
from voiceguard.store.keys import Keyring
from voiceguard.store.ledger import SessionLedger, SessionState
from voiceguard.store.payloads import (
    Opening,
    closed_payload,
    events_payload,
    opened_columns,
    session_payload,
)
from voiceguard.store.records import Closed, Columns, HoldSet, Noted
from voiceguard.store.sealing import SALT_BYTES, Payload, seal_payload
from voiceguard.store.tally import Tally

DAY_MS: Final = 24 * 3600 * 1000


class Scribe:
    """Prepares records.

    Args:
        keyring: wraps the sessions' keys, and names customers.
        ledger: keeps a session's state as long as a record of it is not written.
    """

    def __init__(self, keyring: Keyring, ledger: SessionLedger) -> None:
        self._keyring = keyring
        self._ledger = ledger

    def open(self, state: SessionState, opening: Opening) -> Prepared:
        """Return the record of a session's beginning."""
        customer = self._keyring.pseudonym(opening.tenant, opening.customer_number)
        wrapped = self._keyring.wrap(state.uid, state.key)
        return self._prepare(
            state,
            LeafKind.OPENED,
            opening.opened_at_ms,
            session_payload(state.uid, opening, customer),
            opened_columns(opening, customer, wrapped, self._keyring.key_id),
            {"policy_sha256": opening.policy_sha256, "model_sha256": opening.model_sha256},
        )

    def events(
        self, state: SessionState, tally: Tally, events: Sequence[tuple[Event, int]]
    ) -> Prepared:
        """Return the record of the newest events, which the tally has received.

        Args:
            state: of a running session.
            tally: its tally.
            events: with the wall time of each, ms since 1970, UTC.
        """
        columns = tally.take_batch()
        return self._prepare(
            state,
            LeafKind.EVENTS,
            events[-1][1],
            events_payload(events, columns.first),
            columns,
            {"first": columns.first, "count": columns.count},
        )

    def close(self, end: End, tally: Tally, keep_audio: AudioKeeping, retention_days: float
              ) -> Prepared:  # fmt: skip
        """Return the record of a session's end; it runs no longer."""
        keeps = end.has_audio and (
            keep_audio is AudioKeeping.ALL
            or (keep_audio is AudioKeeping.FLAGGED and tally.is_flagged)
        )
        columns = tally.closed(
            end.ended,
            end.at_ms,
            audio="pending" if keeps else "none",
            retain_until_ms=end.at_ms + round(retention_days * DAY_MS),
            samples=end.samples,
        )
        end.state.running = False
        return self._prepare_closed(end.state, columns)

    def submit(self, draft: Submission) -> Prepared:
        """Return the record that somebody asked for.

        Raises:
            SessionErasedError, SessionHeldError, SessionRunningError: it must not be written.
        """
        state = draft.state
        if state is None:
            leaf = Leaf(draft.kind, draft.at_ms, facts=draft.facts)
            return Prepared(None, leaf, draft.columns, b"", draft.future)
        _check_allowed(state, draft.kind)
        prepared = self._prepare(
            state, draft.kind, draft.at_ms, draft.payload, draft.columns, draft.facts, draft.future
        )
        match draft.columns:
            case HoldSet(hold=hold):
                state.held = hold
            case _ if draft.kind is LeafKind.ERASED:
                state.erased = True
                state.key = b""
            case _ if draft.kind is LeafKind.CLOSED:
                state.running = False
            case _:
                pass
        return prepared

    def note_lost(self, records: int, at_ms: int) -> Prepared:
        """Return the record that says how many could not be kept."""
        return Prepared(None, Leaf(LeafKind.LOST, at_ms, facts={"records": records}), Noted(), b"")

    def _prepare_closed(self, state: SessionState, columns: Closed) -> Prepared:
        return self._prepare(
            state,
            LeafKind.CLOSED,
            columns.closed_at_ms,
            closed_payload(columns),
            columns,
            closed_facts(columns, state.next_number + 1),
        )

    def _prepare(
        self,
        state: SessionState,
        kind: LeafKind,
        at_ms: int,
        payload: bytes | None,
        columns: Columns,
        facts: Mapping[str, str | int | bool],
        future: Future[int] | None = None,
    ) -> Prepared:
        number = state.next_number
        commitment, sealed = "", b""
        if payload is not None:
            salted = Payload(os.urandom(SALT_BYTES), payload)
            commitment = commitment_of(salted.salt, payload)
            sealed = seal_payload(state.key, state.uid, number, salted)
        leaf = Leaf(kind, at_ms, state.uid, number, commitment, facts)
        state.next_number = number + 1
        self._ledger.pin_known(state)
        return Prepared(state, leaf, columns, sealed, future)


def closed_facts(columns: Closed, leaves: int) -> dict[str, str | int | bool]:
    """Return what the leaf of a session's end says in the open.

    Args:
        columns: of the end.
        leaves: of the session, this one included.
    """
    return {
        "ended": columns.ended,
        "events": columns.events,
        "leaves": leaves,
        "audio": columns.audio == "pending",
    }


def _check_allowed(state: SessionState, kind: LeafKind) -> None:
    if state.erased:
        raise SessionErasedError(f"session {state.uid} was erased; nothing more is recorded of it")
    if kind is not LeafKind.ERASED:
        return
    if state.held:
        raise SessionHeldError(f"session {state.uid} is under legal hold; release it first")
    if state.running:
        raise SessionRunningError(f"session {state.uid} has not ended; erase it when it has")


def fail(future: Future[int] | None, error: StoreError) -> None:
    """Tell whoever waits for a record that it was not written."""
    if future is not None and future.set_running_or_notify_cancel():
        future.set_exception(error)


def file_digest(content: bytes) -> str:
    """Return the SHA-256 of a policy's or model's file, as leaves name it."""
    return hashlib.sha256(content).hexdigest()
