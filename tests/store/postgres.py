"""A PostgreSQL server of the tests' own, in a temporary folder, on a socket file."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psycopg

MISSING = (
    "PostgreSQL is not installed; the tests need its programs only: apt-get install postgresql"
)
_TEMPLATE = "migrated"


def find_programs() -> Path | None:
    """Return the folder of `initdb` and `postgres`, the newest one, or None."""
    debian = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    newest = sorted(debian, key=lambda path: int(path.parent.parent.name), reverse=True)
    on_path = shutil.which("postgres")
    for program in (*newest, *([Path(on_path)] if on_path else [])):
        if program.with_name("initdb").exists():
            return program.parent
    return None


class PostgresServer:
    """May be stopped and started again; what it holds stays."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._data = folder / "data"
        self._log = folder / "log"
        self._sockets = folder
        # It refuses to run as root, so then it runs as the user of Debian's package.
        self._account = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        self._process: subprocess.Popen | None = None
        self._names = (f"test_{number}" for number in itertools.count(1))
        if self._account is not None:
            os.chown(folder, self._account.pw_uid, self._account.pw_gid)
        self._run("initdb", "-D", self._data, "-U", "tester", "--no-sync", "-E", "UTF8",
                  "--auth-local=trust")  # fmt: skip
        # One user must show a password, to see what a wrong one is told.
        rules = self._data / "pg_hba.conf"
        rules.write_text("local all keyed scram-sha-256\n" + rules.read_text())

    def url(self, name: str) -> str:
        return f"postgresql://tester@/{name}?host={self._sockets}"

    def start(self) -> None:
        options = {
            "listen_addresses": "", "unix_socket_directories": self._sockets, "fsync": "off",
            "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "60",
            "shared_buffers": "32MB", "log_min_messages": "fatal",
        }  # fmt: skip
        settings = [f"--{name}={value}" for name, value in options.items()]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._data, *settings],
                stdout=log, stderr=log, cwd="/", **self._as_account(),
            )  # fmt: skip
        for _ in range(200):
            with contextlib.suppress(psycopg.OperationalError):
                self.execute("postgres", "SELECT 1")
                return
            assert self._process.poll() is None, self._log.read_text()
            time.sleep(0.05)
        raise TimeoutError(self._log.read_text())

    def stop(self) -> None:
        """Stop at once: those who are connected are cut off."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # "fast" shutdown
            self._process.wait(20)
            self._process = None

    def empty_database(self) -> str:
        """Return the URL of a new database with nothing in it."""
        name = next(self._names)
        self.execute("postgres", f"CREATE DATABASE {name}")
        return self.url(name)

    def make_template(self, migrate) -> None:
        """Let `migrate` fill a database that `migrated_database` copies."""
        self.execute("postgres", f"CREATE DATABASE {_TEMPLATE}")
        migrate(self.url(_TEMPLATE))

    def migrated_database(self) -> str:
        name = next(self._names)
        self.execute("postgres", f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
        return self.url(name)

    def execute(self, database: str, statement: str) -> None:
        with psycopg.connect(self.url(database), autocommit=True, connect_timeout=5) as connection:
            connection.execute(statement)

    def _run(self, program: str, *arguments: object) -> None:
        command = [self._programs / program, *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True, cwd="/", **self._as_account())

    def _as_account(self) -> dict:
        if self._account is None:
            return {}
        return {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}
