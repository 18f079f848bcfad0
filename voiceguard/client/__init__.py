"""The client of voiceguard for dialers: a call's audio out, its alerts and handoffs in.

    async with MonitorClient("127.0.0.1:50051") as client:
        async with client.call(session_config("call-1", audio_format)) as call:
            await call.send_audio(pcm)
            async for event in call:
                ...

A call survives broken streams: it keeps the last 10 s of audio, resumes where the
server says that it is, and yields each alert, handoff and flag once.
"""

from voiceguard.client.call import MonitoredCall
from voiceguard.client.client import MonitorClient
from voiceguard.client.config import session_config
from voiceguard.client.errors import (
    CallLostError,
    CallRefusedError,
    ClientUsageError,
    MonitorError,
    ServerUnreachableError,
)
from voiceguard.client.events import CallEvent, event_of, response_of
from voiceguard.client.retry import RetryPolicy
from voiceguard.client.review import RecordedEvent, ReviewClient
from voiceguard.client.security import TlsOptions
from voiceguard.client.statistics import CallStatistics
from voiceguard.client.trunk import TrunkClient

__all__ = [
    "CallEvent",
    "CallLostError",
    "CallRefusedError",
    "CallStatistics",
    "ClientUsageError",
    "MonitorClient",
    "MonitorError",
    "MonitoredCall",
    "RecordedEvent",
    "RetryPolicy",
    "ReviewClient",
    "ServerUnreachableError",
    "TlsOptions",
    "TrunkClient",
    "event_of",
    "response_of",
    "session_config",
]
