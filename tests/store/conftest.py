from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from tests.store.postgres import MISSING, PostgresServer, find_programs
from tests.store.support import ORIGIN
from voiceguard.store.database import Database
from voiceguard.store.projection import Projection
from voiceguard.store.queries import SessionFinder

BACKENDS = ("sqlite", "postgresql")


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


@pytest.fixture(params=BACKENDS)
def backend(request):
    return request.param


@pytest.fixture
def empty_url(backend, tmp_path, request):
    """URL of a database that has nothing in it."""
    if backend == "sqlite":
        return f"sqlite:///{tmp_path}/sessions.db"
    return request.getfixturevalue("postgres").empty_database()


@pytest.fixture
def url(backend, tmp_path, request):
    """URL of a database that may be migrated already."""
    if backend == "sqlite":
        return f"sqlite:///{tmp_path}/sessions.db"
    return request.getfixturevalue("postgres").migrated_database()


@pytest.fixture
def database(url):
    database = Database.open(url)
    yield database
    database.close()


@pytest.fixture
def projection(database):
    return Projection(database, ORIGIN)


@pytest.fixture
def finder(database):
    return SessionFinder(database)
