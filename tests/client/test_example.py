"""The example as an integrator runs it: a program of its own, against a real server."""

import asyncio
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.core.drive import voice

DIALER = Path(__file__).parents[2] / "examples" / "dialer.py"


@pytest.fixture
def recording(tmp_path, angry_call):
    """A call on two channels, customer and agent."""
    customer = np.frombuffer(angry_call, dtype="<i2")
    agent = voice(len(customer) / 8000, 20000, seed=3)
    path = tmp_path / "call.wav"
    soundfile.write(path, np.stack([customer, agent], axis=1), 8000)
    return path


async def run(*arguments):
    dialer = await asyncio.create_subprocess_exec(
        sys.executable,
        DIALER,
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await dialer.communicate()
    return dialer.returncode, out.decode(), err.decode()


@pytest.mark.parametrize("message_ms", [20, 100])
async def test_it_plays_a_call_and_answers_the_handoff(address, recording, message_ms):
    code, out, err = await run(
        recording, "--server", address, "--speed", 60, "--message-ms", message_ms
    )
    assert (code, err) == (0, "")
    assert "orange, pressure" in out
    assert out.count("handoff-1:") == 1
    assert "flagged:" in out
    assert out.splitlines()[-1].endswith(", 1 handoffs")


async def test_it_says_in_a_line_what_is_wrong(free_port, recording, tmp_path):
    code, _, err = await run(recording, "--server", f"127.0.0.1:{free_port}")
    assert code == 1
    assert err.startswith("dialer: the monitored call was lost")
    assert len(err.splitlines()) == 1

    code, _, err = await run(tmp_path / "missing.wav")
    assert code == 1
    assert err.startswith("dialer: Error opening")
    assert len(err.splitlines()) == 1


def test_it_stays_short():
    assert len(DIALER.read_text(encoding="utf-8").splitlines()) < 60
