"""Twenty calls at once through the real server, model and client: what the file analyser says."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from voiceguard.app import running_server
from voiceguard.client import MonitorClient, TrunkClient, session_config
from voiceguard.client.events import response_of
from voiceguard.core.events import AudioFormat, Encoding, HandoffOutcome, Role
from voiceguard.core.policy import Policy
from voiceguard.core.pressure import EvidenceWeights
from voiceguard.engine.local import LocalCall
from voiceguard.engine.model import StressModel
from voiceguard.resources import models_dir, policies_dir, samples_dir
from voiceguard.server.settings import ServerSettings
from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.wire import event_to_proto

CALLS = 20
STEREO = AudioFormat(Encoding.LINEAR16, 8000, (Role.CUSTOMER, Role.HUMAN_AGENT))


def recordings() -> list[NDArray[np.int16]]:
    """Return twenty different calls of real speech: the sample call from different starts,
    at different levels."""
    whole, _ = soundfile.read(samples_dir() / "sample-call.flac", dtype="int16")
    calls = []
    for index in range(CALLS):
        gain = 10 ** (-index / 40)
        rolled = np.roll(whole, -index * 16000, axis=0)[: 40 * 8000]
        calls.append(np.asarray(rolled * gain, dtype=np.int16))
    return calls


def analysed(samples: NDArray[np.int16], name: str) -> list[pb.MonitorResponse]:
    """Return what the analyser says of a call."""
    model = StressModel.load(models_dir() / "stress")
    policy = Policy.from_toml((policies_dir() / "default.toml").read_bytes(), "default.toml")
    call = LocalCall(
        policy,
        STEREO,
        model=model,
        weights=EvidenceWeights.from_mapping(model.manifest.pressure),
    )
    chunks = (samples[start : start + 800].tobytes() for start in range(0, len(samples), 800))
    wired = (event_to_proto(event, STEREO, name) for event in call.events(chunks))
    return [response for response in wired if response is not None]


async def monitored(
    client: MonitorClient | TrunkClient, samples: NDArray[np.int16], name: str, piece: int
) -> list[pb.MonitorResponse]:
    """Return what the server says of a call, streamed in pieces of so many sample frames."""
    config = session_config(name, STEREO, pressure_updates=True, speech_events=True)
    said: list[pb.MonitorResponse] = []

    async def listen() -> None:
        async for event in call:
            if not isinstance(event, pb.SessionOpened | pb.FlowNotice):
                said.append(response_of(event))
            if isinstance(event, pb.HandoffRequested):
                await call.acknowledge(event.handoff_id, HandoffOutcome.ACCEPTED)

    async with client.call(config) as call:
        listening = asyncio.create_task(listen())
        for start in range(0, len(samples), piece):
            await call.send_audio(samples[start : start + piece].tobytes())
        await call.finish()
        await listening
    return said


@pytest.mark.parametrize("trunked", [False, True], ids=["a stream each", "one trunk"])
async def test_twenty_calls_at_once_say_what_the_analyser_says(*, trunked: bool) -> None:
    calls = recordings()
    settings = ServerSettings(
        listen="127.0.0.1:0", metrics_listen="", log_level="error", keep_sessions=False
    )
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(running_server(settings))
        client = await stack.enter_async_context(MonitorClient(address.target))
        trunk = await stack.enter_async_context(TrunkClient(client)) if trunked else client
        together = await asyncio.gather(
            *(
                monitored(trunk, samples, f"call-{index}", 160 + 97 * index)
                for index, samples in enumerate(calls)
            )
        )
    handoffs = 0
    for index, (samples, said) in enumerate(zip(calls, together, strict=True)):
        expected = analysed(samples, f"call-{index}")
        assert said == expected, index
        handoffs += sum(response.HasField("handoff") for response in said)
    assert handoffs > 0
