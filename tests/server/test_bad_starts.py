"""`voiceguard serve` on data that will not do: one line, an exit code, and nothing changed."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.kept import keeping, keeping_settings
from tests.server.support import angry_call, calm_call, make_config

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def made(model_dir, tmp_path_factory):
    """A folder of data with two sessions."""
    import asyncio

    from voiceguard.server.settings import ServerSettings

    folder = tmp_path_factory.mktemp("made")
    settings = ServerSettings(
        listen="127.0.0.1:0", model_dir=model_dir, metrics_listen="", log_level="error"
    )

    async def keep() -> None:
        async with keeping(keeping_settings(settings, folder)) as server:
            for session_id, content in (("call-1", angry_call()), ("call-2", calm_call(2))):
                call = server.call()
                await call.open(make_config(session_id))
                await call.play(content)
                await server.ended(session_id)

    asyncio.run(keep())
    return folder


@pytest.fixture
def folder(made, tmp_path):
    shutil.copytree(made, tmp_path / "kept")
    return tmp_path / "kept"


@pytest.fixture
def serve(folder, model_dir):
    """Return what runs `voiceguard serve` over the folder, and the process."""
    running = []

    def begin(**environment):
        python_path = os.pathsep.join([environment.pop("blocked", ""), str(ROOT)]).strip(":")
        named = {f"VOICEGUARD_{name.upper()}": value for name, value in environment.items()}
        command = [
            sys.executable, "-m", "voiceguard", "serve", "--listen", "127.0.0.1:0",
            "--model", model_dir,
        ]  # fmt: skip
        places = {
            "VOICEGUARD_DATA_DIR": str(folder / "data"),
            "VOICEGUARD_REVIEWERS_FILE": str(folder / "reviewers"),
            "VOICEGUARD_METRICS_LISTEN": "",
        }
        process = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": python_path, **places, **named},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def files_of(folder):
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != "lock":
            found[str(path.relative_to(folder))] = (path.read_bytes(), path.stat().st_mtime_ns)
    return found


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def wrong_key(folder):
    return {"master_key": "ab" * 32}


def missing_key(folder):
    (folder / "data" / "master.key").unlink()


def missing_keyring(folder):
    (folder / "data" / "keyring.json").unlink()


def other_database(folder):
    path = folder / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE invoices (number INTEGER)")
    connection.close()
    path.chmod(0o600)
    return {"database_url": f"sqlite:///{path}"}


def newer_schema(folder):
    with sqlite3.connect(folder / "data" / "sessions.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()


def no_database(folder):
    (folder / "data" / "sessions.db").write_bytes(b"not a database, but a text\n" * 200)


def unknown_kind(folder):
    return {"database_url": "oracle://somewhere/else"}


def no_driver(folder):
    blocked = folder / "blocked"
    blocked.mkdir()
    (blocked / "psycopg.py").write_text("raise ImportError(name='psycopg')")
    return {"database_url": "postgresql://nobody@/calls", "blocked": str(blocked)}


def changed_leaf(folder):
    flip(folder / "data" / "log" / "leaves", 100)


def lost_leaves(folder):
    path = folder / "data" / "log" / "leaves"
    path.write_bytes(path.read_bytes()[:200])


def readable_reviewers(folder):
    (folder / "reviewers").chmod(0o644)


def broken_reviewers(folder):
    with (folder / "reviewers").open("a") as file:
        file.write("what is this\n")


def no_folder(folder):
    (folder / "file").touch()
    return {"data_dir": str(folder / "file" / "data")}


BAD = {
    "wrong master key": (wrong_key, "master"),
    "missing master key": (missing_key, "the master key of the data"),
    "missing keyring": (missing_keyring, "keyring.json is missing"),
    "another's database": (other_database, "is a database of something else"),
    "newer schema": (newer_schema, "newer release"),
    "a driver that is not there": (no_driver, "driver"),
    "no database": (no_database, "not a database"),
    "unknown kind of database": (unknown_kind, "database_url"),
    "changed leaf": (changed_leaf, "log"),
    "lost leaves": (lost_leaves, "log"),
    "readable reviewers": (readable_reviewers, "reviewers"),
    "broken reviewers": (broken_reviewers, "reviewers"),
    "data_dir cannot be made": (no_folder, "data_dir"),
}


@pytest.mark.parametrize(("spoil", "says"), BAD.values(), ids=BAD.keys())
def test_bad_data_stop_the_start_with_one_line(folder, serve, spoil, says):
    environment = spoil(folder) or {}
    before = files_of(folder)
    process = serve(**environment)
    out, err = process.communicate(timeout=30)
    lines = [line for line in err.splitlines() if not line.startswith("{")]
    assert process.returncode in {1, 2}, err
    assert len(lines) == 1, err
    assert lines[0].startswith("error: ")
    assert says in lines[0]
    assert out == ""
    assert files_of(folder) == before


def test_a_database_that_is_away_does_not_stop_the_start(folder, serve):
    url = f"postgresql://nobody@/calls?host={folder}"
    (folder / "data" / "sessions.db").unlink()
    process = serve(database_url=url)
    assert process.stdout.readline().startswith("voiceguard serves on ")
    said = iter(process.stderr.readline, "")
    assert any('"reason": "spooling"' in line for line in said)


def test_what_a_server_says_is_json_lines_of_its_own(folder, serve):
    shutil.rmtree(folder / "data")
    process = serve()
    assert process.stdout.readline().startswith("voiceguard serves on ")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert all(line.startswith("{") for line in err.splitlines()), err
    assert "alembic" not in err
    assert '"master_key_made"' in err
