"""Page tokens: where the next page begins, in a form that only this server can write.

A token is base64url of a MAC and the place. The MAC (HMAC-SHA-256, RFC 2104, cut to 16 bytes)
covers also what was asked for, so that a token is worth nothing with other filters, in another
method or for another tenant, and it says when it was made, so that it ages.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any, Final

from google.protobuf.message import Message

from voiceguard.core.errors import ClientError
from voiceguard.evidence.verify import canonical_json, parse_canonical
from voiceguard.server.reviewing.signin import decode_base64url, derive_key, encode_base64url

MAX_AGE_MS: Final = 24 * 3600 * 1000
"""A token older than this is stale."""

MAX_TOKEN_CHARACTERS: Final = 1024

_MAC_BYTES: Final = 16

PAGING_FIELDS: Final = ("page_token", "page_size", "with_total")
"""Fields of a request that may differ from page to page."""


class PageTokens:
    """Writes page tokens and reads them.

    Args:
        secret: at least 32 bytes that only the servers of this store know.
        now_ms: milliseconds since 1970, UTC.
    """

    def __init__(self, secret: bytes, now_ms: Callable[[], int]) -> None:
        self._key = derive_key(secret, "page tokens")
        self._now_ms = now_ms

    def write(self, tenant: str, request: Message, place: dict[str, Any]) -> str:
        """Return the token of a place.

        Args:
            tenant: of the reviewer.
            request: what was asked for, whose kind and filters the token is bound to.
            place: JSON values that say where the next page begins.
        """
        content = canonical_json({"at": place, "ms": self._now_ms()})
        return encode_base64url(self._mac(tenant, request, content) + content)

    def read(self, tenant: str, request: Message, token: str) -> dict[str, Any]:
        """Return the place in a token that `write` made for the same tenant and filters.

        Raises:
            ClientError: it is forged, somebody else's, of another request, or too old.
        """
        foreign = ClientError("page_token", "not one of this request; ask for the first page")
        if len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
            raise foreign
        try:
            decoded = decode_base64url(token)
        except ValueError:
            raise foreign from None
        mac, content = decoded[:_MAC_BYTES], decoded[_MAC_BYTES:]
        if encode_base64url(decoded) != token or not hmac.compare_digest(
            mac, self._mac(tenant, request, content)
        ):
            raise foreign
        values = parse_canonical(content)
        if self._now_ms() - values["ms"] > MAX_AGE_MS:
            raise ClientError("page_token", "stale; ask for the first page again")
        place: dict[str, Any] = values["at"]
        return place

    def _mac(self, tenant: str, request: Message, content: bytes) -> bytes:
        filters = type(request)()
        filters.CopyFrom(request)
        for name in PAGING_FIELDS:
            if name in filters.DESCRIPTOR.fields_by_name:
                filters.ClearField(name)
        context = hmac.new(self._key, digestmod=hashlib.sha256)
        for part in (
            tenant.encode(),
            filters.DESCRIPTOR.full_name.encode(),
            filters.SerializeToString(deterministic=True),
            content,
        ):
            context.update(len(part).to_bytes(8, "big") + part)
        return context.digest()[:_MAC_BYTES]
