"""The recording, MiB by MiB, so that a replaced piece is told by its place in the call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .contents import CHUNK_BYTES, Contents
from .forms import count_in, parse_digest
from .wording import span_in_words, spans_of


@dataclass(frozen=True, slots=True)
class _Recorded:
    """What audio.json says of audio.flac."""

    size: int
    """Bytes."""
    seconds: float
    chunks: tuple[str, ...]
    """SHA-256 of each MiB."""

    @classmethod
    def parse(cls, values: dict[str, Any]) -> _Recorded:
        """Return what an object says.

        Raises:
            ValueError, KeyError, TypeError: it describes no audio.
        """
        size, samples = count_in(values, "bytes"), count_in(values, "samples")
        rate_hz = count_in(values, "sample_rate_hz")
        chunks = tuple(parse_digest(item).hex() for item in values["chunks"])
        if values["chunk_bytes"] != CHUNK_BYTES or len(chunks) != -(-size // CHUNK_BYTES):
            raise ValueError("chunks and length disagree")
        return cls(size, samples / max(rate_hz, 1), chunks)


def check_audio(contents: Contents) -> None:
    """Check audio.flac against audio.json."""
    audio = contents.file("audio.flac")
    if "audio.json" not in contents.files:
        if "audio.flac" in contents.files:
            contents.report("audio.flac belongs to no leaf.")
        return
    values = contents.json("audio.json")
    try:
        recorded = _Recorded.parse(values)
    except (ValueError, KeyError, TypeError):
        contents.report("audio.json does not say what audio.flac should be.")
        return
    size = recorded.size
    if (size > 0) != ("audio.flac" in contents.files):
        contents.report("audio.flac is missing." if size else "audio.flac belongs to no leaf.")
        return
    if audio.size != size:
        contents.report(f"audio.flac has {audio.size} bytes, but {size} were recorded.")
    pairs = zip(audio.chunks, recorded.chunks, strict=False)
    wrong = [number for number, (found, known) in enumerate(pairs) if found != known]
    for first, last in spans_of(wrong):
        start_s = recorded.seconds * first * CHUNK_BYTES / size
        end_s = recorded.seconds * min((last + 1) * CHUNK_BYTES / size, 1)
        contents.report(
            f"audio.flac: MiB {span_in_words((first + 1, last + 1))} of {len(recorded.chunks)}, "
            f"from about {start_s:.0f} s to {end_s:.0f} s, is not what was recorded."
        )
    if size and not wrong and audio.sha256 != values.get("sha256"):
        contents.report("audio.flac does not have the digest that audio.json names.")
