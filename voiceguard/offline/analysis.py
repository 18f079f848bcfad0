"""Recordings through the same engine as live calls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from voiceguard.core.errors import AudioFileError
from voiceguard.core.events import AudioFormat, Consent, Encoding, Event, Role
from voiceguard.core.policy import Policy
from voiceguard.core.pressure import EvidenceWeights
from voiceguard.engine.local import LocalCall
from voiceguard.engine.model import StressModel
from voiceguard.offline.recordings import Envelope, RecordingReader, RecordingShape
from voiceguard.offline.timeline import Waveform
from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.wire import event_to_proto


@dataclass(frozen=True, slots=True)
class Engine:
    """A model with the constants that belong to it."""

    model: StressModel
    weights: EvidenceWeights

    @classmethod
    def load(cls, model_dir: Path) -> Engine:
        """Load the model of a folder.

        Raises:
            ModelError: it is not what its manifest says.
        """
        model = StressModel.load(model_dir)
        return cls(model, EvidenceWeights.from_mapping(model.manifest.pressure))

    @property
    def version(self) -> str:
        """Name and version of the model, as `SessionOpened` has them."""
        return f"{self.model.manifest.name}@{self.model.manifest.version}"


def roles_of(path: Path, shape: RecordingShape, roles: tuple[Role, ...] | None) -> tuple[Role, ...]:
    """Return who speaks on each channel of a recording.

    Args:
        path: the recording, for messages.
        shape: what its header says.
        roles: what the user says; None: nothing. A recording of one channel is then the
            customer's; with more, only the user can know.

    Raises:
        AudioFileError: nobody said, or the number of roles is not that of the channels.
    """
    if roles is None and shape.channels == 1:
        return (Role.CUSTOMER,)
    if roles is None:
        message = (
            f"{path}: has {shape.channels} channels; say who speaks on each, "
            "for example --roles customer,agent"
        )
        raise AudioFileError(message)
    if len(roles) != shape.channels:
        channels = "1 channel" if shape.channels == 1 else f"{shape.channels} channels"
        message = f"{path}: has {channels}, but --roles names {len(roles)}"
        raise AudioFileError(message)
    return roles


class RecordingAnalysis:
    """One recording being analysed.

    Args:
        reader: the recording, open.
        roles: who speaks on each of its channels.
        policy: thresholds to decide by.
        engine: what scores.
        session_id: name of the session in `opened` and `summary`.
        consent: what the customer agreed to.
        keep_waveform: keep the envelope of the samples, for a picture.

    Raises:
        ClientError: no channel may be scored.
        ConsentError: the customer's consent is missing under this policy.
    """

    def __init__(
        self,
        reader: RecordingReader,
        *,
        roles: tuple[Role, ...],
        policy: Policy,
        engine: Engine,
        session_id: str,
        consent: Consent | None = None,
        keep_waveform: bool = False,
    ) -> None:
        self._reader = reader
        self._policy = policy
        self._engine = engine
        self._session_id = session_id
        rate_hz = reader.shape.sample_rate_hz
        self._call = LocalCall(
            policy,
            AudioFormat(Encoding.LINEAR16, rate_hz, roles),
            model=engine.model,
            weights=engine.weights,
            consent=consent,
        )
        self._envelope = Envelope(rate_hz, reader.shape.channels) if keep_waveform else None

    @property
    def received_s(self) -> float:
        """How much of the recording has been analysed."""
        return self._call.received_s

    @property
    def waveform(self) -> Waveform | None:
        """The envelope of what was analysed, if it was to be kept."""
        if self._envelope is None:
            return None
        return Waveform(self._envelope.extremes(), self._envelope.stretch_s)

    def responses(self) -> Iterator[pb.MonitorResponse]:
        """Yield what a server would tell the client of this call, speech events included.

        Raises:
            AudioFileError: the recording cannot be read; when that shows only after some
                of it, the events and the summary of the good part have been yielded before.
            ModelError: the model failed.
        """
        failure: AudioFileError | None = None
        with self._call:
            blocks = self._reader.blocks()
            opened = False
            while True:
                try:
                    block = next(blocks, None)
                except AudioFileError as error:
                    failure = error
                    break
                if block is None:
                    break
                if not opened:
                    opened = True
                    yield self._opened()
                if self._envelope is not None:
                    self._envelope.receive(block)
                yield from self._told(self._call.receive_audio(block.astype("<i2").tobytes()))
            if opened:
                yield from self._told(self._call.finish())
        if failure is not None:
            raise failure

    def _opened(self) -> pb.MonitorResponse:
        return pb.MonitorResponse(
            opened=pb.SessionOpened(
                session_id=self._session_id,
                policy_version=self._policy.version,
                model_version=self._engine.version,
            )
        )

    def _told(self, events: list[Event]) -> Iterator[pb.MonitorResponse]:
        for event in events:
            response = event_to_proto(event, self._call.audio_format, self._session_id)
            if response is not None:
                yield response
