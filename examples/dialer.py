"""Play a recording to a voiceguard server as a dialer sends a call, and act on what it says."""

import argparse
import asyncio
import sys
import uuid

import soundfile

from voiceguard.client import MonitorClient, MonitoredCall, session_config
from voiceguard.core.errors import VoiceguardError
from voiceguard.core.events import AudioFormat, Encoding, HandoffOutcome, Role
from voiceguard.v1 import monitor_pb2 as pb


async def act_on_events(call: MonitoredCall) -> None:
    """Print what the server says; answer a request for a human as soon as it comes."""
    async for event in call:
        if isinstance(event, pb.AlertChanged):
            level = pb.AlertLevel.Name(event.level).removeprefix("ALERT_LEVEL_").lower()
            print(f"{event.offset.seconds:5} s  {level}, pressure {event.pressure_index:.0f}")
        elif isinstance(event, pb.HandoffRequested):
            print(f"         {event.handoff_id}: {event.explanation}")
            await call.acknowledge(event.handoff_id, HandoffOutcome.ACCEPTED, "supervisor 1")
        elif isinstance(event, pb.SessionFlagged):
            print(f"         flagged: {event.reason}")


async def play(call: MonitoredCall, recording: soundfile.SoundFile) -> None:
    """Send the recording as it would be heard, `given.speed` times as fast."""
    message_s, clock = given.message_ms / 1000, asyncio.get_running_loop().time
    due_s = clock()
    for block in recording.blocks(int(recording.samplerate * message_s), dtype="int16"):
        await call.send_audio(block.astype("<i2").tobytes())
        due_s += message_s / given.speed
        await asyncio.sleep(due_s - clock())
    summary = await call.finish()
    print(f"the call is over: peak {summary.peak_pressure_index:.0f}, {summary.handoffs} handoffs")


async def dial(recording: soundfile.SoundFile) -> None:
    """Play one call and act on what is said about it."""
    roles = (Role.CUSTOMER, *[Role.HUMAN_AGENT] * (recording.channels - 1))
    audio_format = AudioFormat(Encoding.LINEAR16, recording.samplerate, roles)
    config = session_config(f"dialer-{uuid.uuid4()}", audio_format)
    async with MonitorClient(given.server) as client, client.call(config) as call:
        await asyncio.gather(act_on_events(call), play(call, recording))


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("file", help="one channel: the customer; two: the customer, the agent")
parser.add_argument("--server", default="127.0.0.1:50051")
parser.add_argument("--speed", type=float, default=1.0, help="1: real time")
parser.add_argument("--message-ms", type=int, choices=(20, 100), default=100)
given = parser.parse_args()
try:
    asyncio.run(dial(soundfile.SoundFile(given.file)))
except (VoiceguardError, soundfile.SoundFileError) as error:
    sys.exit(f"dialer: {error}")
