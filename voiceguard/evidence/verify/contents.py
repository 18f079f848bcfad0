"""What may be in a bundle, and what is in one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from .forms import parse_canonical

FORMAT: Final = "voiceguard-evidence/1"
"""Of the manifest."""

MAX_BUNDLE_BYTES: Final = (1 << 32) - 1
"""Of a zip without the extensions for larger ones (PKWARE APPNOTE.TXT, section 4.4.1.4)."""

CHUNK_BYTES: Final = 1 << 20
"""Audio has a digest for each so many bytes."""

_MIB: Final = 1 << 20
FILES: Final = {
    "manifest.json": _MIB,
    "session.json": _MIB,
    "events.jsonl": 64 * _MIB,
    "closed.json": _MIB,
    "audio.json": _MIB,
    "audio.flac": MAX_BUNDLE_BYTES,
    "verdicts.jsonl": 16 * _MIB,
    "access.jsonl": 16 * _MIB,
    "exports.jsonl": 16 * _MIB,
    "policy.toml": _MIB,
    "model.toml": _MIB,
    "report.en.html": 64 * _MIB,
    "report.zh.html": 64 * _MIB,
    "timeline.svg": 64 * _MIB,
    "leaves.jsonl": 64 * _MIB,
    "checkpoint": _MIB,
    "timestamp.checkpoint": _MIB,
    "timestamp.tsr": _MIB,
    "consistency.json": _MIB,
}
"""All that may be in a bundle, in this order, and how many bytes each may have."""

TIMESTAMP_FILES: Final = ("timestamp.checkpoint", "timestamp.tsr", "consistency.json")
"""There all together or not at all."""

OPTIONAL: Final = {"audio.json", "audio.flac", *TIMESTAMP_FILES}
"""What a bundle may lack; whether a session has audio, `closed` says."""

UNPROMISED: Final = {"manifest.json", "leaves.jsonl", "checkpoint", *TIMESTAMP_FILES}
"""What the manifest does not name: itself, and what is there only once its leaf is."""

STREAMED: Final = {"audio.flac", "report.en.html", "report.zh.html", "timeline.svg"}
"""Compared by digest only, and not held in memory."""

WHOLE: Final = {"opened": "session.json", "closed": "closed.json", "audio": "audio.json"}
"""Files that are the payload of the one leaf of a kind."""

LINE: Final = {
    "verdict": "verdicts.jsonl",
    "accessed": "access.jsonl",
    "held": "access.jsonl",
    "released": "access.jsonl",
    "exported": "exports.jsonl",
}
"""Files that have a line for each leaf of some kinds. `events` have as many lines of events.jsonl
as they say; the last `exported` has manifest.json."""

MAX_LEAVES: Final = 100_000
"""Of a session: fifty hours of speech."""

MAX_LINES: Final = 2_000_000
"""Of a file in a bundle: as many events as a week of speech has."""

Report = Callable[[str], None]
"""Is given each problem, as a sentence."""


@dataclass(frozen=True, slots=True)
class File:
    """A file as it was read from the zip."""

    size: int = 0
    """Bytes."""
    sha256: str = ""
    chunks: tuple[str, ...] = ()
    """SHA-256 of each MiB."""
    content: bytes = b""
    """Empty for what is streamed."""

    def lines(self) -> list[bytes]:
        """Return the lines, without their ends; only a line feed ends one."""
        lines = self.content.split(b"\n", MAX_LINES)
        return lines if lines[-1] else lines[:-1]


_NOTHING: Final = File()


@dataclass(frozen=True, slots=True)
class Contents:
    """The files of one bundle, and where to say what is wrong with them."""

    files: Mapping[str, File]
    report: Report

    def file(self, name: str) -> File:
        """Return a file, an empty one when it is missing."""
        return self.files.get(name, _NOTHING)

    def json(self, name: str) -> dict[str, Any]:
        """Return the object that a file is; that it is none is reported."""
        try:
            return parse_canonical(self.file(name).content)
        except ValueError:
            self.report(f"{name} is not a JSON object in its one form.")
            return {}

    def check_last_line(self, name: str) -> None:
        """Report a file of lines that does not end with the end of one."""
        if self.file(name).content[-1:] not in {b"", b"\n"}:
            self.report(f"{name} does not end with the end of a line.")
