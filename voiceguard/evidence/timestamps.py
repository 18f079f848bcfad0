"""Timestamps of the log's checkpoints by an outside authority (RFC 3161).

A log alone shows what its operator says. That an authority saw a checkpoint at a certain time
shows that everything in the log up to there was there by then, and the operator cannot change
that afterwards.

In `timestamps`, beside the log, SIZE.checkpoint is what was timestamped and SIZE.tsr what the
authority answered: a TimeStampResp in DER.
"""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

from cryptography.x509 import (
    Certificate,
    DuplicateExtension,
    InvalidVersion,
    UnsupportedGeneralNameType,
)

from voiceguard.core.errors import ConfigurationError
from voiceguard.evidence.checkpoints import signed_size
from voiceguard.evidence.errors import TimestampError
from voiceguard.evidence.files import LOG_MODE, replace_durably

if TYPE_CHECKING:
    from rfc3161_client import TimeStampRequest, TimeStampResponse

FOLDER_NAME: Final = "timestamps"
CHECKPOINT_SUFFIX: Final = ".checkpoint"
RESPONSE_SUFFIX: Final = ".tsr"

TIMEOUT_S: Final = 20.0

MAX_RESPONSE_BYTES: Final = 1 << 20
"""An answer has some kilobytes, most of them certificates."""

_QUERY_TYPE: Final = "application/timestamp-query"
"""RFC 3161, section 3.4."""

_SHA256: Final = "2.16.840.1.101.3.4.2.1"

_CERTIFICATE_ERRORS: Final = (DuplicateExtension, InvalidVersion, UnsupportedGeneralNameType)
"""What certificates of nonsense raise, beside ValueError."""

_GRANTED: Final = 0
"""PKIStatus (RFC 3161, section 2.4.2)."""


@dataclass(frozen=True, slots=True)
class Timestamp:
    """A checkpoint and its timestamp, as they were stored."""

    size: int
    """Leaves that the checkpoint signs."""
    checkpoint: bytes
    response: bytes
    """TimeStampResp in DER."""


def check_timestamp_url(url: str) -> None:
    """Refuse a setting that cannot be an authority's address, or cannot be used.

    Raises:
        ConfigurationError: it is no http or https URL, or the library for it is missing.
    """
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        parts = urllib.parse.SplitResult("", "", "", "", "")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(f"timestamp_url = {url!r}: give an http or https URL")
    _library()


def request_timestamp(url: str, checkpoint: bytes, timeout_s: float = TIMEOUT_S) -> bytes:
    """Have a checkpoint timestamped.

    Only its SHA-256 is sent. Whether the authority's certificate is one to be trusted is not
    looked at here; `verify_timestamp` does, at any later time.

    Args:
        url: of the authority, http or https.
        checkpoint: as it was signed.
        timeout_s: for each step of the connection.

    Returns:
        The answer, a TimeStampResp in DER, once it is known to fit.

    Raises:
        TimestampError: the authority is not reached, refuses, or answers something else.
        ConfigurationError: the URL is none, or the library is missing.
    """
    check_timestamp_url(url)
    request = (
        _library()
        .TimestampRequestBuilder()
        .data(checkpoint)
        .hash_algorithm(_library().HashAlgorithm.SHA256)
        .nonce(nonce=True)
        .cert_request(cert_request=True)
        .build()
    )
    answer = _post(url, request.as_bytes(), timeout_s)
    _check_answer(request, _decode(answer), checkpoint)
    return answer


def verify_timestamp(
    response: bytes,
    checkpoint: bytes,
    roots: Sequence[Certificate],
    intermediates: Sequence[Certificate] = (),
) -> datetime:
    """Return when an authority saw a checkpoint.

    Args:
        response: its TimeStampResp in DER, with its certificate in it.
        checkpoint: as it was signed.
        roots: certificates of the authorities that are trusted, one at least.
        intermediates: certificates between those and the one in the response.

    Raises:
        TimestampError: it is not a timestamp of this checkpoint by such an authority.
        ConfigurationError: the library is missing.
    """
    library = _library()
    answer = _decode(response)
    builder = library.VerifierBuilder(roots=list(roots), intermediates=list(intermediates))
    try:
        builder.build().verify(answer, hashlib.sha256(checkpoint).digest())
        seen_at: datetime = answer.tst_info.gen_time
    except (library.VerificationError, ValueError, *_CERTIFICATE_ERRORS) as error:
        raise TimestampError(f"the timestamp does not hold: {error}") from error
    return seen_at


def timestamped_checkpoints(log_folder: Path) -> list[Path]:
    """Return the checkpoints that have a timestamp, the smallest first."""
    folder = log_folder / FOLDER_NAME
    sizes = [
        int(path.stem)
        for path in folder.glob(f"*{CHECKPOINT_SUFFIX}")
        if path.stem.isascii()
        and path.stem.isdigit()
        and path.with_suffix(RESPONSE_SUFFIX).is_file()
    ]
    return [folder / f"{size}{CHECKPOINT_SUFFIX}" for size in sorted(sizes)]


def find_covering(log_folder: Path, index: int) -> Timestamp | None:
    """Return the smallest timestamped checkpoint that signs a leaf, None when there is none."""
    for path in timestamped_checkpoints(log_folder):
        size = int(path.stem)
        if size > index:
            response = path.with_suffix(RESPONSE_SUFFIX).read_bytes()
            return Timestamp(size, path.read_bytes(), response)
    return None


def store_timestamp(log_folder: Path, timestamp: Timestamp) -> Path:
    """Keep a timestamp beside the log, and return its file.

    Raises:
        OSError: it cannot be written.
    """
    folder = log_folder / FOLDER_NAME
    folder.mkdir(exist_ok=True)
    path = folder / f"{timestamp.size}{CHECKPOINT_SUFFIX}"
    replace_durably(path, timestamp.checkpoint, LOG_MODE)
    # Last: it counts once it is there.
    replace_durably(path.with_suffix(RESPONSE_SUFFIX), timestamp.response, LOG_MODE)
    return path.with_suffix(RESPONSE_SUFFIX)


class TimestampKeeper:
    """Has new checkpoints timestamped, one each time it is asked to.

    Args:
        log_folder: of the log.
        url: of the authority.
        sign: gives a signed checkpoint of the log as it is, such as `EvidenceLog.checkpoint`.
        timeout_s: for each step of the connection.

    Raises:
        ConfigurationError: the URL is none, or the library for it is missing.
    """

    def __init__(
        self,
        log_folder: Path,
        url: str,
        sign: Callable[[], bytes],
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        check_timestamp_url(url)
        self._log_folder = log_folder
        self._url = url
        self._sign = sign
        self._timeout_s = timeout_s

    def run_once(self) -> Path | None:
        """Have the log as it is now timestamped, when anything was added since the last time.

        Returns:
            The file of the authority's answer; None: nothing was added.

        Raises:
            TimestampError: there is no timestamp; try again later.
            OSError: it cannot be kept.
        """
        checkpoint = self._sign()
        size = signed_size(checkpoint)
        if size <= self._last_size():
            return None
        response = request_timestamp(self._url, checkpoint, self._timeout_s)
        return store_timestamp(self._log_folder, Timestamp(size, checkpoint, response))

    def _last_size(self) -> int:
        known = timestamped_checkpoints(self._log_folder)
        return int(known[-1].stem) if known else 0


def _library() -> ModuleType:
    try:
        import rfc3161_client  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        raise ConfigurationError(
            "timestamps need rfc3161-client: install it with pip install 'voiceguard[timestamps]'"
        ) from None
    return rfc3161_client


def _post(url: str, query: bytes, timeout_s: float) -> bytes:
    request = urllib.request.Request(  # noqa: S310 - http or https, as was checked
        url, data=query, headers={"Content-Type": _QUERY_TYPE}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310
            content: bytes = answer.read(MAX_RESPONSE_BYTES + 1)
    except urllib.error.HTTPError as error:
        with error:
            raise TimestampError(f"{url} answered with HTTP status {error.code}") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise TimestampError(f"{url} cannot be reached: {reason}") from error
    if len(content) > MAX_RESPONSE_BYTES:
        raise TimestampError(f"{url} answered with more than {MAX_RESPONSE_BYTES} bytes")
    return content


def _decode(response: bytes) -> TimeStampResponse:
    try:
        answer: TimeStampResponse = _library().decode_timestamp_response(response)
    except ValueError as error:
        raise TimestampError("the answer is not an RFC 3161 timestamp") from error
    return answer


def _check_answer(request: TimeStampRequest, answer: TimeStampResponse, checkpoint: bytes) -> None:
    """Refuse an answer that is none to this request (RFC 3161, section 2.4.2)."""
    if answer.status != _GRANTED:
        reason = ", ".join(answer.status_string) or f"status {answer.status}"
        raise TimestampError(f"the authority gave no timestamp: {reason}")
    try:
        info = answer.tst_info
        imprint = info.message_imprint
        algorithm = imprint.hash_algorithm.dotted_string
    except ValueError as error:
        raise TimestampError("the answer holds no timestamp that can be read") from error
    if algorithm != _SHA256 or imprint.message != hashlib.sha256(checkpoint).digest():
        raise TimestampError("the authority timestamped something else than it was asked to")
    if info.nonce != request.nonce:
        raise TimestampError("the authority's answer is one to another request")
