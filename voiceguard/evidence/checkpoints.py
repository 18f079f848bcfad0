"""Reading signed checkpoints: C2SP tlog-checkpoint in a C2SP signed note."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from voiceguard.core.errors import ConfigurationError
from voiceguard.evidence.errors import EvidenceError
from voiceguard.evidence.signing import ED25519, key_id
from voiceguard.evidence.verify import DIGEST_BYTES

MAX_NOTE_BYTES: Final = 1 << 20
"""Room for many cosignatures of witnesses."""

_PUBLIC_KEY_BYTES: Final = 32
_NOTE_TEXT: Final = re.compile(
    r"([^\n]+)\n(0|[1-9][0-9]{0,17})\n([A-Za-z0-9+/]{43}=)\n(?:[^\n]+\n)*"
)


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A log's public key."""

    name: str
    public_key: bytes

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Return the key of a text `name+key id+base64` (C2SP signed-note).

        Raises:
            ConfigurationError: it is none, or not of Ed25519.
        """
        name, _, rest = text.strip().partition("+")
        id_, _, encoded = rest.partition("+")
        try:
            key = _decode(encoded)
        except ValueError:
            key = b""
        kind, public_key = key[:1], key[1:]
        fits = name and kind == ED25519 and len(public_key) == _PUBLIC_KEY_BYTES
        if not fits or id_ != key_id(name, public_key).hex():
            raise ConfigurationError(
                "not a public key of an evidence log; it is one line, name+8 digits+base64, as "
                "`voiceguard evidence key` prints it"
            )
        return cls(name, public_key)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log signed: that it had this root at this size."""

    origin: str
    size: int
    """Leaves."""
    root: bytes

    @classmethod
    def open(cls, note: bytes, key: VerifierKey) -> Checkpoint:
        """Return what a note says, once its signature has been checked.

        Raises:
            EvidenceError: it is no checkpoint, not of this log, or not signed by this key.
        """
        try:
            whole = note.decode("utf-8")
        except UnicodeDecodeError:
            whole = ""
        body, gap, signatures = whole.rpartition("\n\n")
        text = body + "\n"
        match = _NOTE_TEXT.fullmatch(text)
        if not gap or match is None or len(note) > MAX_NOTE_BYTES:
            raise EvidenceError("not a signed checkpoint of an evidence log")
        if match[1] != key.name:
            raise EvidenceError(f"a checkpoint of the log {match[1]!r}, not of {key.name!r}")
        if not _is_signed(text, signatures, key):
            raise EvidenceError("not signed by this log's key")
        root = base64.b64decode(match[3])
        assert len(root) == DIGEST_BYTES  # noqa: S101 - 43 letters of base64 are 32 bytes
        return cls(match[1], int(match[2]), root)


def signed_size(note: bytes) -> int:
    """Return how many leaves a checkpoint signs, taking it on trust: it is our own."""
    return int(note.split(b"\n", 2)[1])


def _is_signed(text: str, signatures: str, key: VerifierKey) -> bool:
    """Return whether one of the lines is a signature of this key; others' are passed over."""
    wanted = key_id(key.name, key.public_key)
    start = f"\N{EM DASH} {key.name} "
    for line in signatures.split("\n"):
        if not line.startswith(start):
            continue
        try:
            signature = _decode(line.removeprefix(start))
            if signature[: len(wanted)] == wanted:
                public = Ed25519PublicKey.from_public_bytes(key.public_key)
                public.verify(signature[len(wanted) :], text.encode())
                return True
        except (ValueError, InvalidSignature):
            continue
    return False


def _decode(text: str) -> bytes:
    """Return the bytes of base64 (RFC 4648, section 4) in its one form.

    Raises:
        ValueError: it is not base64, or has bits set that no byte has (section 3.5).
    """
    content = base64.b64decode(text, validate=True)
    if base64.b64encode(content).decode() != text:
        raise ValueError("not base64 in its one form")
    return content
