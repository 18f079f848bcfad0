"""Logs that say what happens and hold nothing of a call.

What may be logged is on a list; everything else is dropped before it is
written. So a careless line of code can lose a detail, never leak one.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any, Final, TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger, Processor

ALLOWED_KEYS: Final = frozenset(
    {
        # what structlog adds
        "event",
        "level",
        "timestamp",
        # who and what
        "session",
        "tenant",
        "policy",
        "policies",
        "model",
        "version",
        "address",
        "setting",
        "method",
        # how it went
        "reason",
        "field",
        "ended",
        "problem",
        "error_type",
        "where",
        "signal",
        "handoff",
        "outcome",
        # numbers
        "audio_s",
        "grace_s",
        "sessions",
        "dropped",
        "dropped_keys",
    }
)
"""Every key that a log line may have."""

MAX_VALUE_CHARACTERS: Final = 300

_NUMBER: Final = re.compile(r"(?:\+|\b)\d(?:[\s().-]{0,3}\d){6,}\b")
"""What may be a telephone number: seven digits or more, as people write them."""

_OURS: Final = frozenset({"timestamp", "model", "version", "policy", "policies", "address"})
"""Keys whose values never come from a client: a version may look like a number."""

_PSEUDONYM_KEY: Final = secrets.token_bytes(16)
"""New with every process: telephone numbers are few enough to try them all without it."""

_LETTERS: Final = str.maketrans("0123456789abcdef", "abcdefghijklmnop")

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def keep_allowed(
    _logger: object, _name: str, entry: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Drop what is not on the list, and hide what looks like a telephone number.

    A structlog processor. Strings are cut at `MAX_VALUE_CHARACTERS`; values of
    other kinds than text, numbers and lists of text are dropped.
    """
    kept = {
        key: clean
        for key, value in entry.items()
        if key in ALLOWED_KEYS and (clean := _clean(key, value)) is not None
    }
    dropped = len(entry) - len(kept)
    if dropped:
        kept["dropped_keys"] = dropped
    return kept


def _clean(key: str, value: object) -> object:
    match value:
        case bool() | int() | float():
            return value
        case str():
            text = value[:MAX_VALUE_CHARACTERS]
            return text if key in _OURS else _NUMBER.sub(_pseudonym, text)
        case list() | tuple() if all(isinstance(item, str) for item in value):
            return [_clean(key, item) for item in value]
        case _:
            return None


def _pseudonym(match: re.Match[str]) -> str:
    """Return a short keyed digest: one number reads the same as long as this process runs.

    It has letters only, so that no digit of it can pass for one of the number.
    """
    digest = hashlib.blake2s(match.group().encode(), digest_size=4, key=_PSEUDONYM_KEY)
    return "#" + digest.hexdigest().translate(_LETTERS)


def describe_defect(defect: BaseException) -> dict[str, object]:
    """Return where an unexpected error came from, without its message.

    The message of an error that nobody foresaw may quote anything, audio
    included; its type and its lines of code do not.
    """
    frames = traceback.extract_tb(defect.__traceback__)[-5:]
    where = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
    return {"error_type": type(defect).__name__, "where": where}


def new_log(
    level: str = "info", log_format: str = "json", stream: TextIO | None = None
) -> FilteringBoundLogger:
    """Return a log.

    Args:
        level: debug, info, warning or error.
        log_format: json, console, or auto: console when `stream` is a terminal.
        stream: where to write; default: standard error.
    """
    target = sys.stderr if stream is None else stream
    console = log_format == "console" or (log_format == "auto" and target.isatty())
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=target.isatty())
        if console
        else structlog.processors.JSONRenderer()
    )
    return cast(
        "FilteringBoundLogger",
        structlog.wrap_logger(
            structlog.PrintLogger(target),
            wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                keep_allowed,
                renderer,
            ],
        ),
    )
