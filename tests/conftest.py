"""What tests of several folders share."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from tests.store.postgres import MISSING, PostgresServer, find_programs
from voiceguard.store.database import Database


@pytest.fixture(scope="session")
def postgres():
    programs = find_programs()
    if programs is None:
        if os.environ.get("CI"):
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    # Not in pytest's folder: the path of a socket is short, and its user may not enter there.
    with tempfile.TemporaryDirectory(prefix="vg-postgres-") as folder:
        server = PostgresServer(programs, Path(folder))
        server.start()
        server.make_template(lambda url: Database.open(url).close())
        yield server
        server.stop()
