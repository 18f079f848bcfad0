"""The master key and what it guards: the sessions' keys, and the keys of the whole store.

The master key itself never encrypts: what is derived from it does, so that its id may be shown.
Keys are wrapped with AES-256-GCM, bound to what they are for.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from voiceguard.core.errors import ConfigurationError
from voiceguard.evidence.files import (
    PRIVATE_MODE,
    check_private_file,
    create_durably,
    replace_durably,
)
from voiceguard.store.errors import SealBrokenError
from voiceguard.store.sealing import KEY_BYTES, derive_key, new_key, seal, unseal

KEYRING_FORMAT: Final = "voiceguard-keyring/1"

_KEY_TEXT: Final = re.compile(rf"[0-9a-fA-F]{{{2 * KEY_BYTES}}}")

_CHECK: Final = b"voiceguard"
"""What a wrapped check value holds."""

PSEUDONYM_DIGITS: Final = 32
"""128 bits: no two numbers of one operator meet by chance."""


class MasterKey:
    """The key that all others are wrapped with.

    Args:
        secret: 32 bytes.
    """

    __slots__ = ("_secret", "_wrapping_key", "key_id")

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._wrapping_key = derive_key(secret, "wrapping key")
        self.key_id = derive_key(secret, "key id").hex()[:8]
        """Tells master keys apart, and nothing about them."""

    @classmethod
    def from_text(cls, text: str, source: str) -> MasterKey:
        """Return the key that 64 hexadecimal digits stand for.

        Args:
            text: the digits; white space around them is left out.
            source: setting or file they come from, for the message.

        Raises:
            ConfigurationError: it is something else.
        """
        digits = text.strip()
        if not _KEY_TEXT.fullmatch(digits):
            message = (
                f"{source}: not 64 hexadecimal digits; `openssl rand -hex {KEY_BYTES}` makes a key"
            )
            raise ConfigurationError(message)
        return cls(bytes.fromhex(digits))

    @classmethod
    def from_file(cls, path: Path) -> MasterKey:
        """Read the key from a file.

        Raises:
            ConfigurationError: it cannot be read, is open to others, or holds something else.
        """
        check_private_file(path, "master key")
        try:
            text = path.read_text("ascii")
        except OSError as error:
            raise ConfigurationError(f"master key {path}: {error.strerror}") from error
        except UnicodeDecodeError:
            text = ""
        return cls.from_text(text, f"master key {path}")

    @classmethod
    def create(cls, path: Path) -> MasterKey:
        """Make a new key and keep it in a file that only its owner reads.

        Raises:
            FileExistsError: there is one, which stays.
            OSError: it cannot be written.
        """
        secret = new_key()
        create_durably(path, secret.hex().encode() + b"\n", PRIVATE_MODE)
        return cls(secret)

    def store(self, path: Path) -> None:
        """Put the key in a file, in the place of another.

        Raises:
            OSError: it cannot be written; the other stays.
        """
        replace_durably(path, self._secret.hex().encode() + b"\n", PRIVATE_MODE)

    def wrap(self, key: bytes, purpose: str) -> str:
        """Return a key wrapped for a purpose, as base64."""
        return base64.b64encode(seal(self._wrapping_key, key, purpose)).decode()

    def unwrap(self, wrapped: str, purpose: str) -> bytes:
        """Return the key that `wrap` wrapped.

        Raises:
            SealBrokenError: it was wrapped with another key, for another purpose, or changed.
        """
        try:
            sealed = base64.b64decode(wrapped, validate=True)
        except (binascii.Error, ValueError):
            sealed = b""
        return unseal(self._wrapping_key, sealed, purpose)


class Keyring:
    """The keys of one store, opened.

    Args:
        master: wraps new keys, and opens those wrapped with it.
        pseudonym_key: 32 bytes; names customers.
        token_key: 32 bytes; signs what the review service hands out.
    """

    def __init__(self, master: MasterKey, pseudonym_key: bytes, token_key: bytes) -> None:
        self._master = master
        self._pseudonym_key = pseudonym_key
        self.token_key = token_key

    @property
    def key_id(self) -> str:
        """Of the master key."""
        return self._master.key_id

    @classmethod
    def create(cls, path: Path, master: MasterKey) -> Keyring:
        """Make the keys of a new store and keep them, wrapped, in a file.

        Raises:
            FileExistsError: there is one, which stays.
            OSError: it cannot be written.
        """
        keyring = cls(master, new_key(), new_key())
        create_durably(path, _keyring_bytes({master.key_id: keyring.wrapped_with(master)}),
                       PRIVATE_MODE)  # fmt: skip
        return keyring

    @classmethod
    def open(cls, path: Path, master: MasterKey) -> Keyring:
        """Read the keys of a store.

        Raises:
            ConfigurationError: the master key is not the one they were wrapped with, or the file
                cannot be read.
        """
        entry = read_masters(path).get(master.key_id)
        if entry is None:
            raise ConfigurationError(wrong_key_message(path))
        try:
            if master.unwrap(entry["check"], "check") != _CHECK:
                raise SealBrokenError("check")
            return cls(
                master,
                master.unwrap(entry["pseudonym_key"], "pseudonym key"),
                master.unwrap(entry["token_key"], "token key"),
            )
        except (SealBrokenError, KeyError):
            raise ConfigurationError(wrong_key_message(path)) from None

    def wrapped_with(self, master: MasterKey) -> dict[str, str]:
        """Return the entry of a keyring file for one master key."""
        return {
            "check": master.wrap(_CHECK, "check"),
            "pseudonym_key": master.wrap(self._pseudonym_key, "pseudonym key"),
            "token_key": master.wrap(self.token_key, "token key"),
        }

    def wrap(self, uid: str, session_key: bytes) -> str:
        """Return a session's key under the master key, bound to the session, as base64."""
        return self._master.wrap(session_key, session_purpose(uid))

    def unwrap(self, uid: str, wrapped: str, key_id: str) -> bytes:
        """Return a session's key.

        Args:
            uid: of the session.
            wrapped: as `wrap` gave it.
            key_id: of the master key that it was wrapped with.

        Raises:
            SealBrokenError: it was wrapped with another key or for another session.
        """
        if key_id != self.key_id:
            message = (
                f"the key of session {uid} is wrapped with master key {key_id}, the configured "
                f"one is {self.key_id}; finish the change with `voiceguard store rotate-key`"
            )
            raise SealBrokenError(message)
        return self._master.unwrap(wrapped, session_purpose(uid))

    def pseudonym(self, tenant: str, number: str) -> str:
        """Return what stands for a customer's number: 32 hexadecimal digits.

        HMAC-SHA-256 (RFC 2104) of tenant and number, so that nobody without the key can try all
        numbers, and two tenants cannot find out that they called the same customer.

        The number is reduced to its digits and a leading plus; one without digits to its text.
        It is not understood: `+86 138...` and `138...` stay two customers, and so do `00` and `+`
        before a country code. Whoever calls must write numbers in one way (E.164 is best).

        Args:
            tenant: whose customer it is.
            number: as the client sent it; an empty one has an empty pseudonym.
        """
        normal = normal_number(number)
        if not normal:
            return ""
        content = tenant.encode() + b"\0" + normal.encode()
        digest = hmac.new(self._pseudonym_key, content, hashlib.sha256)
        return digest.hexdigest()[:PSEUDONYM_DIGITS]


def normal_number(number: str) -> str:
    """Return a number's digits with its leading plus; without any digit, its trimmed text."""
    text = unicodedata.normalize("NFKC", number).strip()
    digits = "".join(letter for letter in text if letter in "0123456789")
    if not digits:
        return text
    return "+" + digits if text.startswith("+") else digits


def session_purpose(uid: str) -> str:
    """Return what a session's key is wrapped for."""
    return f"session key {uid}"


def read_masters(path: Path) -> dict[str, dict[str, str]]:
    """Return the entries of a keyring file, by the ids of their master keys.

    Raises:
        ConfigurationError: it cannot be read, or is something else.
    """
    try:
        values = json.loads(path.read_bytes())
        if values["format"] != KEYRING_FORMAT:
            raise ValueError(values["format"])
        return {str(key_id): dict(entry) for key_id, entry in values["masters"].items()}
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"{path}: not a keyring of this release; put back the one from a backup"
        raise ConfigurationError(message) from error


def write_masters(path: Path, masters: Mapping[str, Mapping[str, str]]) -> None:
    """Put a keyring file in the place of another, whole or not at all.

    Raises:
        OSError: it cannot be written; the other stays.
    """
    replace_durably(path, _keyring_bytes(masters), PRIVATE_MODE)


def wrong_key_message(path: Path) -> str:
    """Return what is said of a master key that does not fit."""
    return (
        f"the master key is not the one that this data was written with ({path}); nothing was "
        "started or changed. Set master_key_file or master_key to the right one"
    )


def _keyring_bytes(masters: Mapping[str, Mapping[str, str]]) -> bytes:
    values: dict[str, Any] = {"format": KEYRING_FORMAT, "masters": masters}
    return json.dumps(values, indent=1, sort_keys=True).encode() + b"\n"
