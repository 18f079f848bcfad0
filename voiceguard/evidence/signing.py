"""The key that signs the log's checkpoints.

A checkpoint is a C2SP tlog-checkpoint (https://c2sp.org/tlog-checkpoint) in a C2SP signed note
(https://c2sp.org/signed-note), as Go's golang.org/x/mod/sumdb/note reads it.
"""

from __future__ import annotations

import base64
import contextlib
import secrets
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from voiceguard.core.errors import ConfigurationError
from voiceguard.evidence.files import PRIVATE_MODE, check_private_file, create_durably
from voiceguard.evidence.verify import VerifierKey

ED25519: Final = b"\x01"
"""Signature type of Ed25519 in signed notes."""

MAX_ORIGIN_CHARACTERS: Final = 200
"""More than any name needs, and few enough for a line that people read."""


def check_origin(origin: str) -> None:
    """Refuse what cannot be the name of a log, and of its key, in a signed note.

    Raises:
        ConfigurationError: it is empty, too long, or has a space, a plus or a control character.
    """
    if not origin:
        raise ConfigurationError("evidence_origin is empty: give the log a name")
    if len(origin) > MAX_ORIGIN_CHARACTERS:
        message = f"evidence_origin is longer than {MAX_ORIGIN_CHARACTERS} characters"
        raise ConfigurationError(message)
    if any(letter in " +" or not letter.isprintable() for letter in origin):
        message = (
            f"evidence_origin = {origin!r}: no spaces, plus or control characters; "
            "give a name such as voiceguard.example/log"
        )
        raise ConfigurationError(message)


def new_origin() -> str:
    """Return a name, made at random, for a log that was given none."""
    return f"voiceguard/{secrets.token_hex(8)}"


class Signer:
    """Signs checkpoints of one log.

    Args:
        private_key: Ed25519.
        origin: name of the log.

    Raises:
        ConfigurationError: the origin cannot be a log's name.
    """

    def __init__(self, private_key: Ed25519PrivateKey, origin: str) -> None:
        check_origin(origin)
        self._private_key = private_key
        self._public_key = private_key.public_key().public_bytes_raw()
        self._key_id = VerifierKey(origin, self._public_key).id_
        self.origin = origin

    @classmethod
    def load_or_create(cls, path: Path, origin: str) -> Signer:
        """Read the key, or make one where there is none; no file is ever written over.

        Args:
            path: PEM file of PKCS #8, made with permissions 0600.
            origin: name of the log.

        Raises:
            ConfigurationError: the file is open to others, is no Ed25519 key, or cannot be read
                or made; or the origin cannot be a log's name.
        """
        check_origin(origin)
        try:
            if not path.exists():
                with contextlib.suppress(FileExistsError):  # somebody made it at this moment
                    create_durably(path, _new_key_pem(), PRIVATE_MODE)
            check_private_file(path, "evidence key")
            content = path.read_bytes()
        except OSError as error:
            raise ConfigurationError(f"evidence key {path}: {error.strerror}") from error
        return cls(_parse_key(path, content), origin)

    @property
    def verifier_key(self) -> str:
        """The public key as people pass it on: `name+key id+base64` (C2SP signed-note)."""
        encoded = base64.b64encode(ED25519 + self._public_key).decode()
        return f"{self.origin}+{self._key_id.hex()}+{encoded}"

    def sign_checkpoint(self, size: int, root: bytes) -> bytes:
        """Return a signed checkpoint.

        Args:
            size: leaves of the tree.
            root: its hash, 32 bytes.
        """
        text = f"{self.origin}\n{size}\n{base64.b64encode(root).decode()}\n"
        signature = self._key_id + self._private_key.sign(text.encode())
        line = f"\N{EM DASH} {self.origin} {base64.b64encode(signature).decode()}\n"
        return f"{text}\n{line}".encode()


def _new_key_pem() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )


def _parse_key(path: Path, content: bytes) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        message = f"evidence key {path}: not an Ed25519 key in PEM (PKCS #8) without a password"
        raise ConfigurationError(message)
    return key
