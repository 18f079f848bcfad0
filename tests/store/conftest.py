from __future__ import annotations

import pytest

from tests.store.support import ORIGIN
from voiceguard.store.database import Database
from voiceguard.store.projection import Projection
from voiceguard.store.queries import SessionFinder

BACKENDS = ("sqlite", "postgresql")


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
