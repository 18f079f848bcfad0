"""Checks evidence offline, from a bundle and a public key alone.

This module imports nothing of voiceguard, so that it can be read, copied and run by itself. The
rest of voiceguard takes its formats from here: what is written is what is checked.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any, Final

DIGEST_BYTES: Final = 32
"""SHA-256."""


def canonical_json(values: dict[str, Any]) -> bytes:
    """Return an object as JSON that has one form only: sorted keys, no spaces, ASCII."""
    return json.dumps(
        values, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    ).encode("ascii")


def parse_canonical(content: bytes) -> dict[str, Any]:
    """Return the object that `canonical_json` wrote.

    Raises:
        ValueError: it is not JSON, no object, or not in its one form.
    """
    values = json.loads(content)
    if not isinstance(values, dict) or canonical_json(values) != content:
        raise ValueError("not a JSON object in canonical form")
    return values


def commitment_of(salt: bytes, payload: bytes) -> str:
    """Return what a leaf says of a payload: HMAC-SHA-256 under the salt, 64 hexadecimal digits.

    Nobody who lacks the salt can tell which payload it was, or try guesses (RFC 2104).
    """
    return hmac.new(salt, payload, hashlib.sha256).hexdigest()


def leaf_hash(content: bytes) -> bytes:
    """Return the hash of a leaf (RFC 6962, section 2.1)."""
    return hashlib.sha256(b"\x00" + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node (RFC 6962, section 2.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()
