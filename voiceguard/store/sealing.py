"""Sealing: authenticated encryption of records and small files under a session's own key.

AES-256-GCM (NIST SP 800-38D) with a nonce of 96 random bits for each message. A session has some
thousands of messages, far below the 2^32 that section 8.3 allows under one key.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from voiceguard.store.errors import SealBrokenError

KEY_BYTES: Final = 32
SALT_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Payload:
    """What a record says, and the salt that its leaf commits to it with."""

    salt: bytes = field(repr=False)
    content: bytes = field(repr=False)


def new_key() -> bytes:
    """Return 32 random bytes."""
    return os.urandom(KEY_BYTES)


def derive_key(key: bytes, purpose: str, salt: bytes = b"") -> bytes:
    """Return a key for one purpose (HKDF-SHA-256, RFC 5869).

    Args:
        key: 32 random bytes.
        purpose: tells the keys that are derived from one key apart.
        salt: makes a key of its own for each, where one purpose has many.
    """
    info = b"voiceguard " + purpose.encode()
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt or None, info=info).derive(key)


def seal(key: bytes, content: bytes, label: str) -> bytes:
    """Return content sealed under a key: nonce, ciphertext, tag.

    Args:
        key: 32 bytes.
        content: any bytes.
        label: what this is; it opens only as the same.
    """
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, content, label.encode())


def unseal(key: bytes, sealed: bytes, label: str) -> bytes:
    """Return what `seal` sealed.

    Raises:
        SealBrokenError: it was changed, has another label, or another key.
    """
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], label.encode())
    except (InvalidTag, ValueError):
        message = f"{label}: was changed since it was sealed, or sealed with another key"
        raise SealBrokenError(message) from None


def seal_payload(key: bytes, uid: str, number: int, payload: Payload) -> bytes:
    """Return the payload of a session's record, sealed for its place.

    Args:
        key: of the session.
        uid: of the session.
        number: of the record within the session.
        payload: to be sealed.
    """
    return seal(key, payload.salt + payload.content, f"{uid}:{number}")


def unseal_payload(key: bytes, uid: str, number: int, sealed: bytes) -> Payload:
    """Return what `seal_payload` sealed.

    Raises:
        SealBrokenError: it was changed, or belongs to another session or place.
    """
    content = unseal(key, sealed, f"{uid}:{number}")
    return Payload(content[:SALT_BYTES], content[SALT_BYTES:])
