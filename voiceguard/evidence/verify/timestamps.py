"""An outside authority's word for when: a timestamp (RFC 3161) of a checkpoint of the log.

The checkpoint that was timestamped is mostly older than the one that the bundle hangs on, so the
bundle also shows that the log still begins as it did then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.x509 import load_pem_x509_certificates

from .checkpoints import Checkpoint, VerifierKey
from .contents import TIMESTAMP_FILES, Contents
from .forms import parse_digest
from .leaves import Leaf, read_checkpoint
from .proofs import proves_consistency
from .wording import shown

_IMPRINTS: Final = (hashlib.sha256, hashlib.sha384, hashlib.sha512)
"""By which an authority may name what it has seen."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a timestamp is about."""

    leaves: int = 0
    """The session's first so many; 0: there is none."""
    at_ms: int | None = None
    """Since 1970, UTC, by the authority's clock; None: its signature was not checked."""


def check_timestamp(
    contents: Contents,
    leaves: Sequence[Leaf],
    tree: Checkpoint | None,
    key: VerifierKey,
    tsa_roots: bytes | None,
) -> Stamp:
    """Check the timestamp, its signature only where there are certificates to check it by."""
    present = [name for name in TIMESTAMP_FILES if name in contents.files]
    if not present:
        if tsa_roots is not None:
            contents.report("There is no timestamp to check.")
        return Stamp()
    if len(present) < len(TIMESTAMP_FILES):
        contents.report(f"The timestamp is not whole: there is only {', '.join(present)}.")
        return Stamp()
    older = read_checkpoint(contents, "timestamp.checkpoint", key)
    if older is None or tree is None:
        return Stamp()
    _check_consistency(contents, older, tree)
    response = contents.file("timestamp.tsr").content
    note = contents.file("timestamp.checkpoint").content
    if not any(hash_(note).digest() in response for hash_ in _IMPRINTS):
        contents.report("timestamp.tsr is not about timestamp.checkpoint.")
    about = sum(leaf.index < older.size for leaf in leaves)
    if tsa_roots is None:
        return Stamp(about)
    try:
        return Stamp(about, _seen_ms(response, note, tsa_roots))
    except ModuleNotFoundError:
        contents.report("The timestamp cannot be checked: install rfc3161-client.")
    except Exception as error:  # noqa: BLE001 - whatever parsers of hostile bytes raise
        contents.report(f"timestamp.tsr does not hold: {shown(error)}.")
    return Stamp(about)


def _check_consistency(contents: Contents, older: Checkpoint, tree: Checkpoint) -> None:
    """Check that the log begins as it was when it was timestamped."""
    values = contents.json("consistency.json")
    try:
        proof = [parse_digest(item) for item in values["proof"]]
        is_proved = len(values) == 1 and proves_consistency(
            older.size, tree.size, older.root, tree.root, proof
        )
    except (ValueError, KeyError, TypeError):
        is_proved = False
    if not is_proved:
        contents.report("consistency.json does not show that the log begins as it was timestamped.")


def _seen_ms(response: bytes, message: bytes, roots: bytes) -> int:
    """Return when an authority saw a message, ms since 1970, UTC.

    Raises:
        Exception: of whatever kind, the response is no timestamp of it by one of the authorities.
    """
    from rfc3161_client import VerifierBuilder, decode_timestamp_response  # noqa: PLC0415 - an extra

    answer = decode_timestamp_response(response)
    verifier = VerifierBuilder(roots=load_pem_x509_certificates(roots)).build()
    verifier.verify_message(answer, message)
    return round(answer.tst_info.gen_time.timestamp() * 1000)
