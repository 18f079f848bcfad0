from __future__ import annotations

import dataclasses

import pytest

from tests.server.support import running
from voiceguard.engine.model import StressModel
from voiceguard.engine.testing import create_model
from voiceguard.server.settings import ServerSettings


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory):
    return create_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def model(model_dir):
    return StressModel.load(model_dir)


@pytest.fixture(scope="session")
def settings(model_dir):
    return ServerSettings(
        listen="127.0.0.1:0",
        model_dir=model_dir,
        metrics_listen="",
        log_level="error",
        keep_sessions=False,
    )


@pytest.fixture
def serving(settings):
    """Return what runs a server, with changed settings if need be."""

    def with_changes(**changes):
        return running(dataclasses.replace(settings, **changes))

    return with_changes


@pytest.fixture
async def server(serving):
    async with serving() as running_server:
        yield running_server
