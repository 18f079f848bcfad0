"""A command line to type into, and a small model to go with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from voiceguard.cli.program import run
from voiceguard.engine.testing import create_model


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("error: ")]


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory) -> Path:
    return create_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def voiceguard(capsys) -> Callable[..., Ended]:
    def call(*arguments: object) -> Ended:
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Ended(code, captured.out, captured.err)

    return call
