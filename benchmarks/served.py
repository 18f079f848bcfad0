"""`voiceguard serve` and `voiceguard review` as processes of their own, to be measured."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from voiceguard.server.reviewing.accounts import Role
from voiceguard.server.reviewing.reviewers import add_password, add_token

REVIEWER: Final = "rita"
PASSWORD: Final = "correct horse battery"  # noqa: S105 - of a server that lives for seconds
STOP_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Served:
    """A running server, and how a reviewer gets in."""

    address: str
    token: str = field(repr=False)
    token_file: Path

    def command(self, *words: str) -> list[str]:
        """Return the command line of `voiceguard WORDS` as the reviewer gives it."""
        access = ("--server", self.address, "--token-file", str(self.token_file))
        return [sys.executable, "-m", "voiceguard", *words, *access]


@contextmanager
def serving(data_dir: Path, tenant: str) -> Iterator[Served]:
    """Run a server over a folder, with a reviewer of a tenant who may do everything.

    Raises:
        RuntimeError: it did not start; it has said why.
    """
    reviewers, token_file = data_dir / "reviewers", data_dir / "token"
    add_password(reviewers, tenant, REVIEWER, Role.COMPLIANCE, PASSWORD)
    token = add_token(reviewers, tenant, REVIEWER, Role.COMPLIANCE)
    token_file.write_text(token, "ascii")
    arguments = ("serve", "--data-dir", str(data_dir), "--reviewers", str(reviewers))
    with _running((*arguments, "--listen", "127.0.0.1:0")) as line:
        yield Served(line.split()[-1], token, token_file)


@contextmanager
def review_page(address: str) -> Iterator[str]:
    """Run the reviewers' page for a server; give its URL, without the last slash."""
    with _running(("review", "--listen", "127.0.0.1:0", "--server", address)) as line:
        yield line.split()[-1].rstrip("/")


@contextmanager
def _running(arguments: Sequence[str]) -> Iterator[str]:
    """Run a command of voiceguard until left; give the line that it says it is ready with."""
    process = subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "voiceguard", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "VOICEGUARD_METRICS_LISTEN": "", "VOICEGUARD_LOG_LEVEL": "warning"},
    )
    assert process.stdout is not None  # noqa: S101 - it was asked for just above
    try:
        line = process.stdout.readline()
        if not line:
            message = f"voiceguard {arguments[0]} did not start"
            raise RuntimeError(message)
        yield line
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
