"""Forms that values have, one each, and what is computed of bytes.

A value that could be written in two ways could be changed from one to the other unseen.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any, Final

DIGEST_BYTES: Final = 32
"""SHA-256."""

_MAX_NUMBER: Final = (1 << 53) - 1
"""Beyond it readers of JSON disagree (RFC 8259, section 6)."""


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
    try:
        values = json.loads(content)
        if isinstance(values, dict) and canonical_json(values) == content:
            return values
    except RecursionError:  # brackets within brackets
        pass
    raise ValueError("not a JSON object in canonical form")


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


def parse_digest(text: str) -> bytes:
    """Return the 32 bytes of a digest in lower-case hexadecimal digits.

    Raises:
        ValueError: it is something else.
    """
    content = bytes.fromhex(text)
    if len(content) != DIGEST_BYTES or content.hex() != text:
        raise ValueError("not 64 hexadecimal digits")
    return content


def parse_base64(text: str) -> bytes:
    """Return the bytes of base64 in its one form (RFC 4648, sections 3.5 and 4).

    Raises:
        ValueError: it is something else.
    """
    content = base64.b64decode(text, validate=True)
    if base64.b64encode(content).decode() != text:
        raise ValueError("not base64 in its one form")
    return content


def count_in(values: dict[str, Any], name: str, most: int = _MAX_NUMBER) -> int:
    """Return a whole number of an object, from 0 to the most that it may be.

    Raises:
        ValueError, KeyError: there is none.
    """
    value = values[name]
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"{name} is not a number")
    return value
