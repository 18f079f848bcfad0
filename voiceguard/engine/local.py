"""A call driven step by step in the caller's own thread, as fast as its audio comes.

Files, tests and benchmarks use it. Detector, resampler, model, micro-batches and
rounding are those of the server, so the same audio gives the same events.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Final, Self

from voiceguard.core.channel import FrontEnd
from voiceguard.core.events import (
    AudioFormat,
    Consent,
    ControlAction,
    Event,
    HandoffOutcome,
    ScoreRequest,
)
from voiceguard.core.policy import Policy
from voiceguard.core.pressure import EvidenceWeights
from voiceguard.core.session import CallSession
from voiceguard.engine.resample import StreamResampler
from voiceguard.engine.scoring import UNLIMITED, HopModel, ScoreBatcher, Track
from voiceguard.engine.vad import WebRtcDetector

__all__ = ["FRONT_END", "LocalCall"]

FRONT_END: Final = FrontEnd(new_vad=WebRtcDetector, new_resampler=StreamResampler)
"""What a session is lent: WebRTC's detector and soxr."""


class LocalCall:
    """One call: its inputs go in, and the events that follow come back at once.

    Nothing is ever late or missed here: every hop is scored before the call that
    completed it returns.

    Args:
        policy: thresholds to judge by.
        audio_format: encoding, rate and the role of each channel.
        model: what scores; several calls may share it, one after the other.
        weights: constants of the pressure index, fitted together with the model.
        consent: what the customer agreed to.

    Raises:
        ClientError: the format names no channel that may be scored.
        ConsentError: the customer's consent is refused, or missing under this policy.
    """

    def __init__(
        self,
        policy: Policy,
        audio_format: AudioFormat,
        *,
        model: HopModel,
        weights: EvidenceWeights,
        consent: Consent | None = None,
    ) -> None:
        self._session = CallSession(
            policy, audio_format, front_end=FRONT_END, weights=weights, consent=consent
        )
        self._batcher = ScoreBatcher(model, UNLIMITED)
        self._tracks: dict[int, Track] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def audio_format(self) -> AudioFormat:
        """The format that the call was opened with."""
        return self._session.audio_format

    @property
    def received_s(self) -> float:
        """Length of the call so far in seconds, gaps included."""
        return self.audio_format.seconds(self._session.received_samples)

    def receive_audio(self, content: bytes, first_sample: int | None = None) -> list[Event]:
        """Take the next chunk, of any length; return the events that it completes.

        Args:
            content: a whole number of sample frames in the call's format.
            first_sample: index of the first of them; None: it follows the last chunk.

        Raises:
            ClientError: a broken sample frame or an impossible index; nothing has changed.
            ModelError: the model failed.
            SessionFinishedError: the call has been finished.
        """
        self._session.receive_audio(content, first_sample)
        return self._score()

    def receive_control(self, action: ControlAction) -> list[Event]:
        """Stop scoring for a hold, or go on, from the audio received so far.

        Raises:
            ModelError: the model failed.
            SessionFinishedError: the call has been finished.
        """
        self._session.receive_control(action)
        return self._score()

    def receive_handoff_outcome(
        self, handoff_id: str, outcome: HandoffOutcome, reason: str = ""
    ) -> list[Event]:
        """Record what became of a handoff.

        Raises:
            ClientError: no handoff of this call has this id.
        """
        self._session.receive_handoff_outcome(handoff_id, outcome, reason)
        return self._session.take_events()

    def finish(self) -> list[Event]:
        """End the call; return its last events, the summary at the end. Idempotent.

        Raises:
            ModelError: the model failed.
        """
        self._session.end_audio()
        events = self._score()
        self._session.finish()
        self.close()
        return events + self._session.take_events()

    def events(self, chunks: Iterable[bytes]) -> Iterator[Event]:
        """Yield everything that a call of these chunks says, from its start to its summary.

        Raises:
            ClientError: a broken sample frame.
            ModelError: the model failed.
            SessionFinishedError: the call has been finished.
        """
        for chunk in chunks:
            yield from self.receive_audio(chunk)
        yield from self.finish()

    def close(self) -> None:
        """Let go of the model's state; what was not scored by now never is. Idempotent."""
        for track in self._tracks.values():
            self._batcher.close_track(track)
        self._tracks.clear()

    def _score(self) -> list[Event]:
        """Score what the session asks for until it asks no more."""
        for request in self._session.take_score_requests():
            self._batcher.submit(self._track(request), request)
        for _, answer in self._batcher.run_due():
            self._session.receive_score(answer)
        return self._session.take_events()

    def _track(self, request: ScoreRequest) -> Track:
        if request.channel not in self._tracks:
            self._tracks[request.channel] = self._batcher.open_track()
        return self._tracks[request.channel]
