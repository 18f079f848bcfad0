import contextlib
import socket

import pytest

from tests.client.proxy import CuttingProxy
from tests.core.drive import voice
from voiceguard.app import open_server
from voiceguard.client import MonitorClient, RetryPolicy
from voiceguard.core.events import AudioFormat, Encoding, Role
from voiceguard.engine.testing import create_model
from voiceguard.server.settings import ServerSettings

MONO = AudioFormat(Encoding.LINEAR16, 8000, (Role.CUSTOMER,))
SOON = RetryPolicy(tries=100, total_s=10.0, initial_s=0.02, longest_s=0.1)
"""Comes back as fast as a test wants to be."""


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory):
    """A real model that hears loudness as anger."""
    return create_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def angry_call():
    """Half a minute that leads to a handoff: calm first, then loud; 16-bit mono at 8 kHz."""
    return voice(14.0, 1000, seed=1).tobytes() + voice(16.0, 28000, seed=2).tobytes()


@pytest.fixture
def serve(model_dir):
    """Runs a real server; gives the server and its address."""

    @contextlib.asynccontextmanager
    async def run(**changes):
        changes = {
            "listen": "127.0.0.1:0",
            "metrics_listen": "",
            "log_level": "error",
            "keep_sessions": False,
        } | changes
        async with open_server(ServerSettings(model_dir=model_dir, **changes)) as (server, at):
            yield server, at.target

    return run


@pytest.fixture
async def address(serve):
    """A server's address."""
    async with serve() as (_, target):
        yield target


@pytest.fixture
async def proxy(address):
    """A proxy in front of a server, whose connections a test can cut."""
    async with CuttingProxy(address) as between:
        yield between


@pytest.fixture
def free_port():
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def connect():
    """Makes clients that come back fast."""

    def new_client(target, **changes):
        return MonitorClient(target, **({"opening": SOON, "resuming": SOON} | changes))

    return new_client
