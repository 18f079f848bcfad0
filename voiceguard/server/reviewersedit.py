"""Changes the file of reviewers: `voiceguard reviewers` is thin over this.

The file is replaced as a whole, so that a server that reads it finds it old or new, never
halves; comments and other lines stay as they are.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from voiceguard.core.errors import ConfigurationError
from voiceguard.server.reviewers import (
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
