"""The log's key: how it is kept, and what it signs."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from voiceguard.core.errors import ConfigurationError
from voiceguard.evidence.checkpoints import open_checkpoint, parse_key
from voiceguard.evidence.errors import EvidenceError
from voiceguard.evidence.signing import Signer, check_origin, new_origin

ORIGIN = "voiceguard.example/log"
ROOT = hashlib.sha256(b"root").digest()


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer(Ed25519PrivateKey.generate(), ORIGIN)


def test_gos_own_example() -> None:
    # PeterNeumann's key of golang.org/x/mod/sumdb/note: its id from name and public key.
    text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    key = parse_key(text + "\n")
    assert key.name == "PeterNeumann"
    public = Ed25519PublicKey.from_public_bytes(key.public_key)
    signature = base64.b64decode(
        "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    )
    text = (
        "If you think cryptography is the answer to your problem,\n"
        "then you don't know what your problem is.\n"
    )
    assert signature[:4].hex() == "c74f20a3"
    public.verify(signature[4:], text.encode())


def test_a_checkpoint_has_the_form_of_c2sp(signer) -> None:
    note = signer.sign_checkpoint(42, ROOT)
    text, _, signatures = note.decode().partition("\n\n")
    assert text.split("\n") == [ORIGIN, "42", base64.b64encode(ROOT).decode()]
    dash, name, encoded = signatures.removesuffix("\n").split(" ")
    assert (dash, name) == ("\u2014", ORIGIN)
    content = base64.b64decode(encoded)
    key = parse_key(signer.verifier_key)
    material = ORIGIN.encode() + b"\n\x01" + key.public_key
    assert content[:4] == hashlib.sha256(material).digest()[:4]
    assert signer.verifier_key.split("+")[1] == content[:4].hex()
    Ed25519PublicKey.from_public_bytes(key.public_key).verify(content[4:], f"{text}\n".encode())


@given(size=st.integers(0, 10**12), root=st.binary(min_size=32, max_size=32))
def test_what_is_signed_is_read(size: int, root: bytes) -> None:
    signer = Signer(Ed25519PrivateKey.generate(), ORIGIN)
    note = signer.sign_checkpoint(size, root)
    key = parse_key(signer.verifier_key)
    signed = open_checkpoint(note, key)
    assert (signed.origin, signed.size, signed.root) == (ORIGIN, size, root)


def test_a_witness_may_sign_too(signer) -> None:
    note = signer.sign_checkpoint(7, ROOT)
    text, _, line = note.partition(b"\n\n")
    witness = "\u2014 witness.example AAAAAAAAAAAA\n".encode()
    key = parse_key(signer.verifier_key)
    assert open_checkpoint(text + b"\n\n" + witness + line, key).size == 7


def test_any_changed_byte_is_refused(signer) -> None:
    note = signer.sign_checkpoint(123, ROOT)
    key = parse_key(signer.verifier_key)
    for place in range(len(note) - 1):  # without the last line's end, it reads the same
        for flipped in (0x01, 0x02, 0x20, 0x80):
            changed = bytearray(note)
            changed[place] ^= flipped
            with pytest.raises(EvidenceError):
                open_checkpoint(bytes(changed), key)


def test_another_key_of_the_same_name_is_refused(signer) -> None:
    other = Signer(Ed25519PrivateKey.generate(), ORIGIN)
    key = parse_key(other.verifier_key)
    with pytest.raises(EvidenceError, match="not signed by this log's key"):
        open_checkpoint(signer.sign_checkpoint(1, ROOT), key)


@pytest.mark.parametrize(
    "text",
    ["", "x", "a+b", "a+00000000+AAAA", "log+12345678+" + base64.b64encode(bytes(33)).decode()],
)
def test_what_is_no_public_key(text: str) -> None:
    with pytest.raises(ConfigurationError, match="not a public key"):
        parse_key(text)


@pytest.mark.parametrize(
    "origin",
    ["", "a b", "a+b", "a\nb", "a\tb", "a\u00a0b", "a\u2028b", "a\x7f", "\ud800", "x" * 201],
)
def test_names_that_no_log_can_have(origin: str) -> None:
    with pytest.raises(ConfigurationError, match="evidence_origin"):
        check_origin(origin)


def test_names_that_a_log_can_have() -> None:
    for origin in (ORIGIN, new_origin(), "日志.example/一", "a"):
        check_origin(origin)
    assert new_origin() != new_origin()


def test_a_key_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "evidence.key"
    first = Signer.load_or_create(path, ORIGIN)
    assert path.stat().st_mode & 0o777 == 0o600
    content = path.read_bytes()
    second = Signer.load_or_create(path, ORIGIN)
    assert first.verifier_key == second.verifier_key
    assert path.read_bytes() == content
    assert [item.name for item in tmp_path.iterdir()] == ["evidence.key"]


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evidence.key"
    Signer.load_or_create(path, ORIGIN)
    path.chmod(0o604)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        Signer.load_or_create(path, ORIGIN)


def pem(key, encryption=None) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        pem(generate_private_key(SECP256R1())),
        pem(Ed25519PrivateKey.generate(), BestAvailableEncryption(b"secret")),
    ],
    ids=["empty", "broken", "another kind", "with a password"],
)
def test_what_is_no_key_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "evidence.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="not an Ed25519 key"):
        Signer.load_or_create(path, ORIGIN)
    assert path.read_bytes() == content


def test_a_key_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        Signer.load_or_create(tmp_path / "missing" / "evidence.key", ORIGIN)
    (tmp_path / "folder").mkdir(mode=0o700)
    with pytest.raises(ConfigurationError, match="directory"):
        Signer.load_or_create(tmp_path / "folder", ORIGIN)
