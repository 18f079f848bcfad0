"""How reviewers show who they are: a password once, then a token that ends by itself.

A sign-in token is `vgs1.<payload>.<mac>`, both in base64url without padding: the payload says who
and until when, the MAC (HMAC-SHA-256, RFC 2104) that this server said so. Nothing is kept for it,
so it survives a restart. It is bound to the account as it stands in the reviewers' file: whoever
changes the password or removes the account ends it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from voiceguard.evidence.verify import canonical_json, parse_canonical
from voiceguard.server.reviewing.accounts import Account, Role
from voiceguard.server.reviewing.reviewers import ReviewersFile

TOKEN_FORM: Final = "vgs1"  # noqa: S105 - the name of the form, no token
"""What every sign-in token begins with."""

MAX_TOKEN_CHARACTERS: Final = 2048


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Who is asking, as authenticated."""

    tenant: str
    name: str
    role: Role
    epoch: str = field(repr=False)
    """Of the account; see `Account.epoch`."""
    expires_at_ms: int | None = None
    """When the credential ends, milliseconds since 1970, UTC; None: not by itself."""

    @classmethod
    def of(cls, account: Account, expires_at_ms: int | None = None) -> Reviewer:
        """Return the reviewer that an account stands for."""
        return cls(account.tenant, account.name, account.role, account.epoch, expires_at_ms)


def derive_key(secret: bytes, purpose: str) -> bytes:
    """Return a key for one purpose, so that what it signs is good for no other."""
    return hmac.new(secret, f"voiceguard {purpose}".encode(), hashlib.sha256).digest()


class SignInTokens:
    """Makes sign-in tokens, and reads them.

    Args:
        secret: at least 32 bytes that only the servers of this store know.
    """

    def __init__(self, secret: bytes) -> None:
        self._key = derive_key(secret, "sign-in")

    def issue(self, account: Account, expires_at_ms: int) -> str:
        """Return a token for an account."""
        payload = canonical_json(
            {
                "tenant": account.tenant,
                "name": account.name,
                "role": account.role.value,
                "epoch": account.epoch,
                "exp_ms": expires_at_ms,
            }
        )
        signed = f"{TOKEN_FORM}.{encode_base64url(payload)}"
        return f"{signed}.{encode_base64url(self._mac(signed))}"

    def read(self, token: str) -> Reviewer | None:
        """Return whom a token names, None when it is not one of ours; it may have ended."""
        signed, _, mac = token.rpartition(".")
        prefix, _, payload = signed.partition(".")
        if prefix != TOKEN_FORM or len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
            return None
        try:
            # The text itself is compared, not what it decodes to: a token has one form.
            expected = encode_base64url(self._mac(signed)).encode()
            if not hmac.compare_digest(expected, mac.encode()):
                return None
            values = parse_canonical(decode_base64url(payload))
            return Reviewer(
                values["tenant"],
                values["name"],
                Role(values["role"]),
                values["epoch"],
                int(values["exp_ms"]),
            )
        except (ValueError, KeyError):
            return None

    def _mac(self, signed: str) -> bytes:
        return hmac.new(self._key, signed.encode(), hashlib.sha256).digest()


class ReviewGate:
    """Tells reviewers from strangers.

    Args:
        accounts: the reviewers.
        tokens: those of sign-ins.
        now_ms: milliseconds since 1970, UTC.
    """

    def __init__(
        self, accounts: ReviewersFile, tokens: SignInTokens, now_ms: Callable[[], int]
    ) -> None:
        self.accounts = accounts
        self.tokens = tokens
        self._now_ms = now_ms

    def find(self, token: str) -> Reviewer | None:
        """Return whose token this is, None when nobody's, or when it has ended."""
        if not token.startswith(f"{TOKEN_FORM}."):
            account = self.accounts.find_token(token)
            return None if account is None else Reviewer.of(account)
        reviewer = self.tokens.read(token)
        return reviewer if reviewer is not None and self.is_still_good(reviewer) else None

    def is_still_good(self, reviewer: Reviewer) -> bool:
        """Return whether a reviewer's credential is good at this moment."""
        expires_at_ms = reviewer.expires_at_ms
        ended = expires_at_ms is not None and self._now_ms() >= expires_at_ms
        return not ended and self.accounts.has_epoch(reviewer.epoch)


def encode_base64url(content: bytes) -> str:
    """Return base64url without padding (RFC 4648, section 5)."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def decode_base64url(text: str) -> bytes:
    """Return the bytes of base64url without padding.

    Raises:
        ValueError: it is something else.
    """
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error
