"""The configuration of a monitored call, from plain values."""

from __future__ import annotations

from voiceguard import wire
from voiceguard.core.events import AudioFormat, Consent
from voiceguard.v1 import monitor_pb2 as pb

__all__ = ["session_config"]


def session_config(
    session_id: str,
    audio_format: AudioFormat,
    *,
    policy: str = "",
    pressure_updates: bool = False,
    speech_events: bool = False,
    consent: Consent | None = None,
    call: pb.CallMetadata | None = None,
) -> pb.SessionConfig:
    """Return the configuration that opens a call's session.

    Args:
        session_id: 1 to 128 letters, digits and ``-_.:@``; unique among live sessions.
            Appears in logs: no names, no telephone numbers.
        audio_format: encoding, rate in hertz, and the role of each channel.
        policy: name of a policy on the server; empty means its default.
        pressure_updates: also yield a `PressureUpdate` for each half second of speech.
        speech_events: also yield a `SpeechEvent` at each start and end of speech.
        consent: what the customer agreed to; None: not known.
        call: what reviewers may know of the call.
    """
    return pb.SessionConfig(
        session_id=session_id,
        audio=wire.audio_format_to_proto(audio_format),
        policy=policy,
        pressure_updates=pressure_updates,
        speech_events=speech_events,
        consent=None if consent is None else wire.consent_to_proto(consent),
        call=call,
    )
