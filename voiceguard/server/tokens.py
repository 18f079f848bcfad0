"""Bearer tokens, kept as digests in a file."""

from __future__ import annotations

import hashlib
import hmac
import re
import stat
from pathlib import Path
from typing import Final

from voiceguard.core.errors import ConfigurationError

MAX_FILE_BYTES: Final = 1024 * 1024

TENANT_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")

_LINE: Final = re.compile(rf"({TENANT_NAME.pattern}):([0-9a-f]{{64}})")


def check_secret_file(setting: str, path: Path) -> None:
    """Refuse a file with secrets that everybody on the machine may read, or others may change.

    Raises:
        ConfigurationError: it is so, or the file cannot be looked at.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        message = f"{setting} = {path}: {error.strerror}"
        raise ConfigurationError(message) from error
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        message = f"{setting} = {path}: others may read or change it; run chmod 600 (or 640) on it"
        raise ConfigurationError(message)


class TokenFile:
    """The tokens of a file: a line `tenant:sha256` for each, `#` begins a comment.

    Several tokens may stand for one tenant, so that they can be changed one by one.

    Args:
        path: the file.

    Raises:
        ConfigurationError: the file cannot be read, is open to others, or has a bad line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._digests: list[tuple[bytes, str]] = []
        self.reload()

    def __len__(self) -> int:
        return len(self._digests)

    def reload(self) -> None:
        """Read the file again.

        Raises:
            ConfigurationError: something is wrong; the tokens stay as they were.
        """
        check_secret_file("tokens_file", self._path)
        try:
            with self._path.open("rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
            text = content.decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            message = f"tokens_file = {self._path}: cannot be read as text"
            raise ConfigurationError(message) from error
        if len(content) > MAX_FILE_BYTES:
            message = f"tokens_file = {self._path}: larger than {MAX_FILE_BYTES} bytes"
            raise ConfigurationError(message)
        self._digests = self._parse(text)

    def find_tenant(self, token: str) -> str | None:
        """Return whose token this is, None when nobody's.

        Takes the same time wherever in the file the token is, and whether it is there.
        """
        presented = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        found = None
        for digest, tenant in self._digests:
            if hmac.compare_digest(digest, presented):
                found = tenant
        return found

    def _parse(self, text: str) -> list[tuple[bytes, str]]:
        digests = []
        for number, line in enumerate(text.splitlines(), start=1):
            entry = line.partition("#")[0].strip()
            if not entry:
                continue
            match = _LINE.fullmatch(entry)
            if match is None:
                message = (
                    f"tokens_file = {self._path}: line {number} is not "
                    "`tenant:` and 64 hexadecimal digits, the SHA-256 of the token"
                )
                raise ConfigurationError(message)
            digests.append((bytes.fromhex(match[2]), match[1]))
        if not digests:
            message = f"tokens_file = {self._path}: holds no token, so nobody could be let in"
            raise ConfigurationError(message)
        return digests
