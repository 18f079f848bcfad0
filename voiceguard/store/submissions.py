"""Having something written of a session that has ended, and waiting for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Protocol

from voiceguard.evidence.leaves import LeafKind
from voiceguard.store.drafts import Submission
from voiceguard.store.ledger import SessionLedger
from voiceguard.store.recorder import Recorder
from voiceguard.store.records import Columns, Noted


class Submitter(Protocol):
    """Has one record written."""

    def __call__(
        self,
        uid: str,
        kind: LeafKind,
        payload: bytes | None,
        columns: Columns,
        facts: Mapping[str, str | int | bool] = ...,
    ) -> Future[int]:
        """Return what has the leaf's index once the record is durable."""
        ...


class Submissions:
    """Takes what reviewers, retention and repair want written.

    Args:
        ledger: of the sessions.
        recorder: writes the records.
        clock_ms: wall time, ms since 1970, UTC.
    """

    def __init__(
        self, ledger: SessionLedger, recorder: Recorder, clock_ms: Callable[[], int]
    ) -> None:
        self._ledger = ledger
        self._recorder = recorder
        self._clock_ms = clock_ms

    def submit(
        self,
        uid: str,
        kind: LeafKind,
        payload: bytes | None,
        columns: Columns,
        facts: Mapping[str, str | int | bool] | None = None,
    ) -> Future[int]:
        """Have a record written. May wait for the database, so not for the event loop's thread.

        Args:
            uid: evidence id of the session.
            kind: of the leaf.
            payload: that the leaf commits to; None: there is none.
            columns: for the database.
            facts: of the leaf.

        Returns:
            The leaf's index, once the record is durable. Or one of these errors: StoreFullError,
            StoreClosedError, SessionErasedError, SessionHeldError, SessionRunningError.

        Raises:
            UnknownSessionError: there is no such session.
            DatabaseUnavailableError: it is away, and the session must be looked up there.
            SealBrokenError: the session's key is wrapped with another master key.
        """
        state = self._ledger.pin(uid)
        draft = Submission(state, kind, self._clock_ms(), payload, columns, facts or {})
        self._recorder.put(draft, urgent=True)
        return draft.future

    def note(self, kind: LeafKind, facts: Mapping[str, str | int | bool]) -> Future[int]:
        """Have something about the log itself written.

        Returns:
            The leaf's index, once it is durable.
        """
        draft = Submission(None, kind, self._clock_ms(), None, Noted(), facts)
        self._recorder.put(draft, urgent=True)
        return draft.future
