"""The reviewers' accounts, kept in a file: a line `tenant:name:role:secret` for each credential.

A secret is `scrypt$N$r$p$salt$hash` (a password, RFC 7914, salt and hash in base64) or
`sha256$digest` (a token, which is random, so that a plain digest of it gives nothing away).
`#` begins a comment.
"""

from __future__ import annotations

import base64
import binascii
import enum
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from voiceguard.core.errors import ConfigurationError
from voiceguard.server.tokens import MAX_FILE_BYTES, TENANT_NAME, check_secret_file

REVIEWER_NAME: Final = re.compile(r"[A-Za-z0-9._@-]{1,64}")

MAX_PASSWORD_CHARACTERS: Final = 1024

SCRYPT_N: Final = 2**15
SCRYPT_R: Final = 8
SCRYPT_P: Final = 1
"""Cost of new passwords: 32 MiB and about a tenth of a second
(https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html)."""

MAX_SCRYPT_BYTES: Final = 256 * 1024 * 1024
"""Most memory that one password in the file may ask for."""

_SALT_BYTES: Final = 16
_HASH_BYTES: Final = 32
_TOKEN_BYTES: Final = 32
_SETTING: Final = "reviewers_file"


class Role(enum.StrEnum):
    """What a reviewer may do."""

    REVIEWER = "reviewer"
    """Find, see, hear, judge and export."""
    COMPLIANCE = "compliance"
    """The same; and hold, erase, and see who had to do with a session."""


@dataclass(frozen=True, slots=True)
class PasswordSecret:
    """What is kept of a password."""

    n: int
    r: int
    p: int
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    def __str__(self) -> str:
        salt, digest = (base64.b64encode(part).decode() for part in (self.salt, self.digest))
        return f"scrypt${self.n}${self.r}${self.p}${salt}${digest}"

    @classmethod
    def of(cls, password: str) -> PasswordSecret:
        """Return what to keep of a new password. Takes a tenth of a second."""
        salt = secrets.token_bytes(_SALT_BYTES)
        digest = _scrypt(password, salt, SCRYPT_N, SCRYPT_R, SCRYPT_P, _HASH_BYTES)
        return cls(SCRYPT_N, SCRYPT_R, SCRYPT_P, salt, digest)

    @classmethod
    def of_nobody(cls) -> PasswordSecret:
        """Return a secret that no password fits, as costly to check as a real one."""
        salt, digest = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_HASH_BYTES)
        return cls(SCRYPT_N, SCRYPT_R, SCRYPT_P, salt, digest)

    def fits(self, password: str) -> bool:
        """Return whether this is the password. Takes a tenth of a second, right or wrong."""
        digest = _scrypt(password, self.salt, self.n, self.r, self.p, len(self.digest))
        return hmac.compare_digest(digest, self.digest)


@dataclass(frozen=True, slots=True)
class TokenSecret:
    """What is kept of a token."""

    digest: bytes = field(repr=False)

    def __str__(self) -> str:
        return f"sha256${self.digest.hex()}"


Secret = PasswordSecret | TokenSecret


@dataclass(frozen=True, slots=True)
class Account:
    """One credential of a reviewer: a line of the file."""

    tenant: str
    name: str
    role: Role
    secret: Secret

    def __str__(self) -> str:
        return f"{self.tenant}:{self.name}:{self.role}:{self.secret}"

    @property
    def epoch(self) -> str:
        """Changes when anything of the account does; says nothing of its secret."""
        return hashlib.sha256(str(self).encode()).hexdigest()[:32]


def read_accounts(path: Path) -> tuple[Account, ...]:
    """Return the accounts in a file; there may be none.

    Raises:
        ConfigurationError: the file cannot be read, is open to others, or has a bad line.
    """
    check_secret_file(_SETTING, path)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{_SETTING} = {path}: cannot be read as text") from error
    if len(content) > MAX_FILE_BYTES:
        raise ConfigurationError(f"{_SETTING} = {path}: larger than {MAX_FILE_BYTES} bytes")
    accounts: list[Account] = []
    for number, account in _parse(path, text):
        _check_agreement(path, number, account, accounts)
        accounts.append(account)
    return tuple(accounts)


def parse_line(entry: str) -> Account:
    """Return the account that a line of the file stands for.

    Raises:
        ValueError: it stands for none; the message says what is wrong, without the line.
    """
    parts = entry.split(":")
    if len(parts) != 4:
        raise ValueError("it is not `tenant:name:role:secret`")
    tenant, name, role, secret = parts
    if not TENANT_NAME.fullmatch(tenant):
        raise ValueError("the tenant is not 1 to 64 letters, digits and . _ -")
    if not REVIEWER_NAME.fullmatch(name):
        raise ValueError("the name is not 1 to 64 letters, digits and . _ @ -")
    if role not in set(Role):
        raise ValueError(f"the role is none of {', '.join(Role)}")
    return Account(tenant, name, Role(role), _parse_secret(secret))


def check_password_text(password: str) -> None:
    """Refuse a password that cannot be one.

    Raises:
        ConfigurationError: it is shorter than 8 characters or absurdly long.
    """
    if len(password) < 8:
        raise ConfigurationError("password: give at least 8 characters")
    if len(password) > MAX_PASSWORD_CHARACTERS:
        raise ConfigurationError(f"password: at most {MAX_PASSWORD_CHARACTERS} characters")


def new_token() -> tuple[str, TokenSecret]:
    """Return a token for a program, and what to keep of it."""
    token = "vgr1." + secrets.token_urlsafe(_TOKEN_BYTES)
    return token, TokenSecret(hashlib.sha256(token.encode()).digest())


def _parse(path: Path, text: str) -> Iterator[tuple[int, Account]]:
    for number, line in enumerate(text.splitlines(), start=1):
        entry = line.partition("#")[0].strip()
        if not entry:
            continue
        try:
            yield number, parse_line(entry)
        except ValueError as error:
            message = f"{_SETTING} = {path}: line {number}: {error}"
            raise ConfigurationError(message) from error


def _check_agreement(path: Path, number: int, account: Account, before: list[Account]) -> None:
    """Refuse a line that contradicts one above it: a name stands for one person."""
    for other in before:
        if other.name != account.name:
            continue
        if (other.tenant, other.role) != (account.tenant, account.role):
            problem = f"{account.name} has another tenant or role above; a name stands for one"
        elif isinstance(account.secret, PasswordSecret) and isinstance(
            other.secret, PasswordSecret
        ):
            problem = f"{account.name} has a password above"
        else:
            continue
        raise ConfigurationError(f"{_SETTING} = {path}: line {number}: {problem}")


def _parse_secret(text: str) -> Secret:
    kind, *parts = text.split("$")
    try:
        match kind, parts:
            case "sha256", [digest] if re.fullmatch(r"[0-9a-f]{64}", digest):
                return TokenSecret(bytes.fromhex(digest))
            case "scrypt", [n, r, p, salt, digest]:
                return _checked(
                    PasswordSecret(
                        int(n),
                        int(r),
                        int(p),
                        base64.b64decode(salt, validate=True),
                        base64.b64decode(digest, validate=True),
                    )
                )
            case _:
                pass
    except (ValueError, binascii.Error):
        pass  # said below, without the secret
    raise ValueError("the secret is neither `scrypt$N$r$p$salt$hash` nor `sha256$digest`")


def _checked(secret: PasswordSecret) -> PasswordSecret:
    """Refuse costs that no password should have, before one is paid."""
    is_power = secret.n > 1 and not secret.n & (secret.n - 1)
    costs = 128 * secret.n * secret.r
    in_range = 0 < costs <= MAX_SCRYPT_BYTES and 0 < secret.p <= 16
    if not (is_power and in_range and len(secret.salt) >= 8 and len(secret.digest) >= 16):
        raise ValueError("out of range")
    return secret


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int, length: int) -> bytes:
    return hashlib.scrypt(
        password.encode("utf-8", "surrogatepass"),
        salt=salt,
        n=n,
        r=r,
        p=p,
        maxmem=128 * r * (n + p + 2) + 1024 * 1024,
        dklen=length,
    )
