"""`SessionRecord`: what a running session leaves behind, as its stream's thread sees it.

Nothing here waits, hashes or raises: what comes is put down for other threads, in microseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from voiceguard.core.events import Event
from voiceguard.core.policy import AudioKeeping
from voiceguard.store.drafts import Begin, End, Happened
from voiceguard.store.ledger import SessionState
from voiceguard.store.parts import AudioSink, Piece
from voiceguard.store.payloads import Opening
from voiceguard.store.recorder import URGENT_EVENTS, Recorder

PIECE_S: Final = 2.0
"""Audio that a session gathers before it is written: what a crash may take."""


class SessionRecord:
    """Keeps one session. Use it from one thread.

    Args:
        state: of the session, new.
        opening: what it was opened with.
        recorder: writes its records.
        sink: takes its audio.
    """

    def __init__(
        self, state: SessionState, opening: Opening, recorder: Recorder, sink: AudioSink
    ) -> None:
        self._state = state
        self._format = opening.audio_format
        self._recorder = recorder
        self._sink = sink
        self._keeps_audio = opening.keep_audio is not AudioKeeping.NONE
        self._piece_bytes = int(PIECE_S * self._format.sample_rate_hz) * self._format.frame_bytes
        self._chunks: list[tuple[int, bytes]] = []
        self._chunk_bytes = 0
        self._next_sample = 0
        self._has_audio = False
        self._is_closed = False
        recorder.put(Begin(state, opening), urgent=True)

    @property
    def evidence_id(self) -> str:
        """Of the session, 32 hexadecimal digits."""
        return self._state.uid

    def receive_audio(self, content: bytes, start_sample: int) -> None:
        """Take audio as the client sent it; what came before is left out.

        Args:
            content: whole sample frames in the session's format.
            start_sample: index of the first of them on the session's audio clock.
        """
        frame_bytes = self._format.frame_bytes
        end_sample = start_sample + len(content) // frame_bytes
        if end_sample <= self._next_sample or self._is_closed:
            return
        if start_sample < self._next_sample:
            content = content[(self._next_sample - start_sample) * frame_bytes :]
            start_sample = self._next_sample
        self._next_sample = end_sample
        if not self._keeps_audio:
            return
        self._chunks.append((start_sample, content))
        self._chunk_bytes += len(content)
        if self._chunk_bytes >= self._piece_bytes:
            self._send_piece()

    def receive_events(self, events: Sequence[Event], at_ms: int) -> None:
        """Take the next events.

        Args:
            events: in order.
            at_ms: wall time, milliseconds since 1970, UTC.
        """
        if not events or self._is_closed:
            return
        urgent = not URGENT_EVENTS.isdisjoint(map(type, events))
        self._recorder.put(Happened(self._state, tuple(events), at_ms), urgent=urgent)

    def close(self, ended: str, at_ms: int) -> None:
        """End the session. Idempotent.

        Args:
            ended: completed, failed or abandoned.
            at_ms: wall time, milliseconds since 1970, UTC.
        """
        if self._is_closed:
            return
        self._is_closed = True
        if self._chunks:
            self._send_piece()
        end = End(self._state, ended, at_ms, self._next_sample, self._has_audio)
        self._recorder.put(end, urgent=True)

    def _send_piece(self) -> None:
        chunks, self._chunks = self._chunks, []
        self._chunk_bytes = 0
        self._has_audio = True
        self._sink.put(Piece(self._state.uid, self._state.key, self._format.frame_bytes, chunks))
