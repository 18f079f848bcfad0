from __future__ import annotations

import pytest

from voiceguard.engine.model import StressModel
from voiceguard.engine.testing import create_model


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> StressModel:
    """A small real model that takes loudness for anger."""
    return StressModel.load(create_model(tmp_path_factory.mktemp("models") / "tiny"))
