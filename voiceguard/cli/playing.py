"""Plays a recording to a server as the audio of a call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from voiceguard.cli.live import CallDisplay
from voiceguard.client import MonitoredCall
from voiceguard.client.events import CallEvent
from voiceguard.core.errors import AudioFileError
from voiceguard.core.events import HandoffOutcome
from voiceguard.offline.recordings import Envelope, RecordingReader
from voiceguard.v1 import monitor_pb2 as pb

CHUNK_S: Final = 0.1
"""Audio in one message, as dialers send it."""

FASTEST: Final = 0.0
"""The speed that means: as fast as the server takes it."""


@dataclass(frozen=True, slots=True)
class Playing:
    """One recording on its way to a server."""

    call: MonitoredCall
    reader: RecordingReader
    speed: float
    """1: as it was spoken; 8: eight times as fast; `FASTEST`."""
    answer: HandoffOutcome | None
    """What to answer to a handoff; None: nothing."""
    display: CallDisplay
    tell: Callable[[CallEvent], None]
    """Called with every event, also those that are not shown."""
    envelope: Envelope | None = None
    """Gathers the waveform for a picture."""

    async def play(self) -> None:
        """Send everything, show and answer what comes, and return with the summary.

        Raises:
            AudioFileError: the recording is damaged; what was good has been played, and the
                session was finished.
            MonitorError: the server refused the call or lost it.
        """
        sending = asyncio.create_task(self._send())
        try:
            async for event in self.call:
                await self._receive(event)
            problem = await sending
        finally:
            sending.cancel()
            await asyncio.wait({sending})
        if problem is not None:
            raise problem

    async def _send(self) -> AudioFileError | None:
        """Send the recording at its speed, then finish; return what is wrong with it."""
        problem: AudioFileError | None = None
        clock = asyncio.get_running_loop().time
        start_s, sent_s = clock(), 0.0
        chunk_samples = int(CHUNK_S * self.reader.shape.sample_rate_hz)
        try:
            for block in self.reader.blocks():
                if self.envelope is not None:
                    self.envelope.receive(block)
                for first in range(0, len(block), chunk_samples):
                    chunk = block[first : first + chunk_samples]
                    if self.speed > 0:
                        await asyncio.sleep(start_s + sent_s / self.speed - clock())
                    await self.call.send_audio(chunk.astype("<i2").tobytes())
                    sent_s += len(chunk) / self.reader.shape.sample_rate_hz
                    self.display.receive_sent(sent_s)
        except AudioFileError as error:
            problem = error
        await self.call.finish()
        return problem

    async def _receive(self, event: CallEvent) -> None:
        self.tell(event)
        self.display.receive_event(event)
        if isinstance(event, pb.HandoffRequested) and self.answer is not None:
            await self.call.acknowledge(event.handoff_id, self.answer)
            self.display.receive_note(f"answered {event.handoff_id}: {self.answer.value}")
