"""Keys, and the checkpoints that they signed: C2SP tlog-checkpoint in a C2SP signed note."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from .forms import parse_base64

_ED25519: Final = b"\x01"
"""Signature type of Ed25519 (C2SP signed-note)."""

_KEY_ID_BYTES: Final = 4
_CHECKPOINT: Final = re.compile(
    r"([^\n]+)\n(0|[1-9][0-9]{0,17})\n([A-Za-z0-9+/]{43}=)\n(?:[^\n]+\n)*"
)
"""Origin, size, root, extension lines (C2SP tlog-checkpoint)."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A log's public key."""

    name: str
    """Origin of the log."""
    public_key: bytes
    """32 bytes (RFC 8032)."""

    @property
    def id_(self) -> bytes:
        """Four bytes that tell keys of one name apart (C2SP signed-note)."""
        named = self.name.encode() + b"\n" + _ED25519 + self.public_key
        return hashlib.sha256(named).digest()[:_KEY_ID_BYTES]

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Return the key of a line `name+key id+base64` (C2SP signed-note).

        Raises:
            ValueError: it is none, or not of Ed25519.
        """
        name, _, rest = text.strip().partition("+")
        id_, _, encoded = rest.partition("+")
        try:
            content = parse_base64(encoded)
            key = cls(name, content[1:])
            if name and content[:1] == _ED25519 and len(content) == 33 and key.id_.hex() == id_:
                return key
        except ValueError:
            pass
        raise ValueError(
            "not a public key of an evidence log; it is one line: name+8 digits+base64"
        )

    @classmethod
    def find(cls, text: str) -> VerifierKey:
        """Return the key that a text is, or that is in the file of that name.

        Raises:
            ValueError: there is no key, and it says why.
        """
        try:
            return cls.parse(text)
        except ValueError as error:
            try:
                with Path(text).open(encoding="utf-8") as file:
                    return cls.parse(file.read(10_000))
            except UnicodeError:
                raise error from None
            except OSError:
                raise ValueError(f"{text[:100]!r} is no key and no file of one") from None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What somebody signed: that a log had this root at this size."""

    origin: str
    size: int
    """Leaves."""
    root: bytes
    text: bytes
    """That is signed."""
    signatures: tuple[str, ...]
    """Lines, one of each signer."""

    @classmethod
    def parse(cls, note: bytes) -> Checkpoint:
        """Return what a note says, whoever signed it.

        Raises:
            ValueError: it is no checkpoint in a signed note.
        """
        text, gap, signatures = note.decode("utf-8").rpartition("\n\n")
        match = _CHECKPOINT.fullmatch(text + "\n")
        if not gap or match is None or not signatures.endswith("\n"):
            raise ValueError("not a signed checkpoint of an evidence log")
        root = parse_base64(match[3])
        lines = tuple(signatures[:-1].split("\n"))
        return cls(match[1], int(match[2]), root, f"{text}\n".encode(), lines)

    def check_signature(self, key: VerifierKey) -> None:
        """Accept a signature of this key; those of others, such as witnesses, are passed over.

        Raises:
            ValueError: it is another log's checkpoint, or this key did not sign it.
        """
        if self.origin != key.name:
            raise ValueError(f"of the log {self.origin!r}, but the key is of {key.name!r}")
        start = f"\N{EM DASH} {key.name} "
        ours = [line.removeprefix(start) for line in self.signatures if line.startswith(start)]
        signatures = [parse_base64(line) for line in ours]
        if not any(signature[:_KEY_ID_BYTES] == key.id_ for signature in signatures):
            raise ValueError("not signed by this key, but by another of the same name or none")
        public = Ed25519PublicKey.from_public_bytes(key.public_key)
        for signature in signatures:
            try:
                public.verify(signature[_KEY_ID_BYTES:], self.text)
            except InvalidSignature:
                continue
            return
        raise ValueError("its signature is wrong: this is not what the log signed")
