"""Checkpoints and keys of our own log, read by `verify`, with errors that say what is wrong."""

from __future__ import annotations

from typing import Final

from voiceguard.core.errors import ConfigurationError
from voiceguard.evidence.errors import EvidenceError
from voiceguard.evidence.verify import Checkpoint, VerifierKey

MAX_NOTE_BYTES: Final = 1 << 20
"""Room for many cosignatures of witnesses."""


def parse_key(text: str) -> VerifierKey:
    """Return the key of a text `name+key id+base64` (C2SP signed-note).

    Raises:
        ConfigurationError: it is none, or not of Ed25519.
    """
    try:
        return VerifierKey.parse(text)
    except ValueError:
        raise ConfigurationError(
            "not a public key of an evidence log; it is one line, name+8 digits+base64, as "
            "`voiceguard evidence key` prints it"
        ) from None


def open_checkpoint(note: bytes, key: VerifierKey) -> Checkpoint:
    """Return what a signed note says (C2SP tlog-checkpoint), once its signature has been checked.

    Raises:
        EvidenceError: it is no checkpoint, not of this log, or not signed by this key.
    """
    try:
        checkpoint = Checkpoint.parse(note if len(note) <= MAX_NOTE_BYTES else b"")
    except ValueError:
        raise EvidenceError("not a signed checkpoint of an evidence log") from None
    if checkpoint.origin != key.name:
        raise EvidenceError(f"a checkpoint of the log {checkpoint.origin!r}, not of {key.name!r}")
    try:
        checkpoint.check_signature(key)
    except ValueError:
        raise EvidenceError("not signed by this log's key") from None
    return checkpoint


def signed_size(note: bytes) -> int:
    """Return how many leaves a checkpoint signs, taking it on trust: it is our own."""
    return int(note.split(b"\n", 2)[1])
