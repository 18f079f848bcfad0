"""The ledger: what the writer must know of a session to write its next record."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from voiceguard.store.payloads import Opening
from voiceguard.store.tally import Tally


@dataclass(slots=True, eq=False)
class SessionState:
    """One session, as its newest record left it.

    Only the writer's thread changes `next_number`, `running`, `held` and `erased`.
    """

    uid: str
    key: bytes = field(repr=False)
    """Of the session; empty: destroyed."""
    next_number: int = 0
    running: bool = False
    held: bool = False
    """Whether it is under legal hold."""
    erased: bool = False
    opening: Opening | None = None
    """None: it was opened by an earlier process."""
    tally: Tally | None = None
    """None: it does not run."""
    last_index: int = -1
    """Leaf index of its newest record that was written."""
    pins: int = 0
    """Records on their way that count on this being the only copy."""


class SessionLedger:
    """The sessions that run, or have records which the database does not have yet.

    Others are loaded from the database for as long as a record of them is on its way. So a number
    is never given twice: what is forgotten has been applied, and what is loaded is all there is.

    Args:
        load: returns the state of a session as the database has it, by its evidence id. It may
            block, and raises what the caller of `pin` is to be told.
    """

    def __init__(self, load: Callable[[str], SessionState]) -> None:
        self._load = load
        self._states: dict[str, SessionState] = {}
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._applied = 0

    def __contains__(self, uid: str) -> bool:
        with self._lock:
            return uid in self._states

    def __len__(self) -> int:
        return len(self._states)

    def add(self, state: SessionState) -> None:
        """Take a session that begins."""
        with self._lock:
            self._states[state.uid] = state

    def drop(self, state: SessionState) -> None:
        """Forget a session whose beginning could not be recorded; nothing more of it will be."""
        with self._lock:
            state.running = False
            self._states.pop(state.uid, None)

    def pin(self, uid: str) -> SessionState:
        """Return a session's state, which stays until `unpin`; not for the writer's thread.

        Raises:
            UnknownSessionError: there is no such session.
            StoreError: the database is away.
        """
        # One at a time from the look to the entry, else one could load what another makes old.
        with self._loading:
            with self._lock:
                state = self._states.get(uid)
                if state is not None:
                    state.pins += 1
                    return state
            loaded = self._load(uid)
            with self._lock:
                state = self._states.setdefault(uid, loaded)
                state.pins += 1
                return state

    def pin_known(self, state: SessionState) -> None:
        """Keep a state for one more record."""
        with self._lock:
            state.pins += 1

    def unpin(self, state: SessionState, index: int | None = None) -> None:
        """Let go of a state.

        Args:
            state: that was pinned.
            index: of the leaf that was written meanwhile, if one was.
        """
        with self._lock:
            state.pins -= 1
            if index is not None:
                state.last_index = index
            self._forget(state)

    def receive_applied(self, applied: int, uids: Iterable[str]) -> None:
        """Take note how far the database is; forget the sessions that need not be remembered.

        Args:
            applied: leaf index up to which it has all records.
            uids: sessions with records among the newest of these.
        """
        with self._lock:
            self._applied = applied
            for uid in uids:
                state = self._states.get(uid)
                if state is not None:
                    self._forget(state)

    def _forget(self, state: SessionState) -> None:
        if not state.running and not state.pins and state.last_index < self._applied:
            self._states.pop(state.uid, None)
