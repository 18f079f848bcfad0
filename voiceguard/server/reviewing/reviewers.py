"""The file of reviewers: what a server reads, and what `voiceguard reviewers` writes.

The file is replaced as a whole, so that a server that reads it finds it old or new, never
halves; comments and other lines stay as they are.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from voiceguard.core.errors import ConfigurationError
from voiceguard.server.reviewing.accounts import (
    Account,
    PasswordSecret,
    Role,
    Secret,
    TokenSecret,
    check_password_text,
    new_token,
    parse_line,
    read_accounts,
)

__all__ = [
    "Account",
    "ReviewersFile",
    "Role",
    "add_password",
    "add_token",
    "kind_of",
    "list_accounts",
    "remove",
]


class ReviewersFile:
    """The reviewers that a server lets in.

    Args:
        path: the file.

    Raises:
        ConfigurationError: the file cannot be read, is open to others, or has a bad line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._accounts: tuple[Account, ...] = ()
        self._nobody = PasswordSecret.of_nobody()
        self.reload()

    def __len__(self) -> int:
        return len(self._accounts)

    def reload(self) -> None:
        """Read the file again.

        Raises:
            ConfigurationError: something is wrong; the accounts stay as they were.
        """
        self._accounts = read_accounts(self._path)

    def find_password(self, name: str) -> Account | None:
        """Return the account that signs in under a name, None when there is none."""
        for account in self._accounts:
            if account.name == name and isinstance(account.secret, PasswordSecret):
                return account
        return None

    def find_token(self, token: str) -> Account | None:
        """Return whose token this is, None when nobody's.

        Takes the same time wherever in the file the token is, and whether it is there.
        """
        presented = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        found = None
        for account in self._accounts:
            secret = account.secret
            if isinstance(secret, TokenSecret) and hmac.compare_digest(secret.digest, presented):
                found = account
        return found

    def has_epoch(self, epoch: str) -> bool:
        """Return whether an account is still what it was."""
        return any(hmac.compare_digest(account.epoch, epoch) for account in self._accounts)

    def check_password(self, name: str, password: str) -> Account | None:
        """Return the account that name and password are of, None when they are of none.

        Takes a tenth of a second, so not for the event loop, whether there is such a name or not.
        """
        account = self.find_password(name)
        secret = account.secret if account is not None else self._nobody
        fits = isinstance(secret, PasswordSecret) and secret.fits(password)
        return account if fits else None


def add_password(path: Path, tenant: str, name: str, role: Role, password: str) -> None:
    """Add a reviewer who signs in with a password, or change the password that they have.

    Args:
        path: the file; made when there is none.
        tenant: whose sessions they see.
        name: what they sign in with.
        role: what they may do.
        password: at least 8 characters.

    Raises:
        ConfigurationError: a value is not accepted, contradicts the file, or the file cannot be
            read or written; it stays as it was.
    """
    check_password_text(password)
    account = _checked_account(tenant, name, role, PasswordSecret.of(password))

    def is_replaced(other: Account) -> bool:
        return other.name == name and isinstance(other.secret, PasswordSecret)

    _write(path, _without(path, is_replaced), account)


def add_token(path: Path, tenant: str, name: str, role: Role) -> str:
    """Add a token for a program that reviews; a name may have several.

    Returns:
        The token, which is kept nowhere.

    Raises:
        ConfigurationError: as `add_password`.
    """
    token, secret = new_token()
    _write(path, _without(path, lambda _: False), _checked_account(tenant, name, role, secret))
    return token


def remove(path: Path, name: str) -> int:
    """Remove a reviewer with all credentials; return how many those were.

    Raises:
        ConfigurationError: the file cannot be read or written; it stays as it was.
    """
    removed = sum(account.name == name for account in read_accounts(path))
    if removed:
        _write(path, _without(path, lambda other: other.name == name), None)
    return removed


def list_accounts(path: Path) -> tuple[Account, ...]:
    """Return the accounts in the file, in its order.

    Raises:
        ConfigurationError: the file cannot be read.
    """
    return read_accounts(path)


def kind_of(account: Account) -> str:
    """Return `password` or `token`, to show to people."""
    match account.secret:
        case PasswordSecret():
            return "password"
        case TokenSecret():
            return "token"


def _checked_account(tenant: str, name: str, role: Role, secret: Secret) -> Account:
    try:
        return parse_line(str(Account(tenant, name, role, secret)))
    except ValueError as error:
        raise ConfigurationError(f"reviewer: {error}") from error


def _without(path: Path, is_dropped: Callable[[Account], bool]) -> list[str]:
    """Return the file's lines without those of some accounts."""
    if not path.exists():
        return []
    read_accounts(path)  # says what is wrong, before anything is changed
    kept = []
    for line in path.read_text("utf-8").splitlines():
        entry = line.partition("#")[0].strip()
        if not entry or not is_dropped(parse_line(entry)):
            kept.append(line)
    return kept


def _write(path: Path, lines: list[str], account: Account | None) -> None:
    """Replace the file by these lines and an account, once they are known to be good."""
    content = "".join(f"{line}\n" for line in (*lines, *([str(account)] if account else [])))
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    except OSError as error:
        raise ConfigurationError(f"reviewers_file = {path}: {error.strerror}") from error
    draft = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _check_draft(path, draft)
        draft.replace(path)
    except OSError as error:
        raise ConfigurationError(f"reviewers_file = {path}: {error.strerror}") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()


def _check_draft(path: Path, draft: Path) -> None:
    """Read what is about to become the file, as the server will."""
    try:
        read_accounts(draft)
    except ConfigurationError as error:
        raise ConfigurationError(str(error).replace(str(draft), str(path))) from error
