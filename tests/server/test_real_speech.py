"""The shipped model and the sample call, through the real server."""

from __future__ import annotations

import asyncio
import dataclasses

import numpy as np
import pytest
import soundfile

from tests.server.support import (
    RATE_HZ,
    audio,
    audio_config,
    kinds,
    local_responses,
    pieces,
    running,
    without_repeats,
)
from voiceguard.core.events import AudioFormat, Encoding, Role
from voiceguard.engine.model import StressModel
from voiceguard.resources import models_dir, samples_dir

TWO_SIDED = AudioFormat(Encoding.LINEAR16, RATE_HZ, (Role.CUSTOMER, Role.HUMAN_AGENT))

CALLS = 20


@pytest.fixture(scope="module")
def stress():
    return StressModel.load(models_dir() / "stress")


@pytest.fixture(scope="module")
def sample_call():
    samples, rate_hz = soundfile.read(samples_dir() / "sample-call.flac", dtype="int16")
    assert rate_hz == RATE_HZ
    assert samples.shape[1] == 2
    return samples


async def test_twenty_calls_at_once_give_the_events_of_the_file_analyser(
    settings, stress, sample_call
):
    """Each begins at another place of the call, and is cut in another way."""
    contents = [
        np.roll(sample_call, -index * 2 * RATE_HZ, axis=0)[: 30 * RATE_HZ].tobytes()
        for index in range(CALLS)
    ]
    real = dataclasses.replace(settings, model_dir=models_dir() / "stress")
    async with running(real) as server:

        async def play(index):
            call = server.call()
            await call.open(audio_config(TWO_SIDED, session_id=f"call-{index}"))
            return without_repeats(await call.play(contents[index], 3200 + 4 * 97 * index))

        results = await asyncio.gather(*(play(index) for index in range(CALLS)))
    for index, result in enumerate(results):
        expected = local_responses(stress, contents[index], TWO_SIDED, f"call-{index}")
        assert result == expected
    assert any("handoff" in kinds(result) for result in results)


async def test_windows_are_answered_in_a_quarter_of_a_second(settings, sample_call):
    """In chunks of 20 ms, played ten times as fast as speech to keep the test short."""
    real = dataclasses.replace(settings, model_dir=models_dir() / "stress")
    content = sample_call[: 40 * RATE_HZ].tobytes()
    async with running(real) as server:
        call = server.call()
        await call.open(audio_config(TWO_SIDED))

        async def send():
            for piece in pieces(content, 640):
                await call.send(audio(piece))
                await asyncio.sleep(0.002)
            await call.half_close()

        sending = asyncio.create_task(send())
        assert kinds(await call.rest())[-1] == "summary"
        await sending
        windows = server.metric("voiceguard_event_lag_seconds_count")
        quick = server.metric("voiceguard_event_lag_seconds_bucket", le="0.25")
        assert windows > 10
        assert quick >= 0.95 * windows  # the machine may be busy with other things
