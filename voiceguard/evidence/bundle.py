"""Puts a session's evidence together as one zip that `verify` checks.

In three steps, because the last leaf of a session commits to the manifest of its own bundle:
`draft_bundle`, then the manifest is recorded as the payload of an `exported` leaf, then
`write_bundle`. The audio is read twice and never held in memory.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Final, Protocol

from voiceguard.evidence.errors import EvidenceError
from voiceguard.evidence.leaves import Leaf, LeafKind
from voiceguard.evidence.timestamps import Timestamp
from voiceguard.evidence.verify import (
    CHUNK_BYTES,
    FILES,
    FORMAT,
    MAX_BUNDLE_BYTES,
    MAX_LEAVES,
    Checkpoint,
    ZipEntry,
    canonical_json,
    central_directory,
    local_header,
    parse_canonical,
)

REPORT_NAMES: Final = ("report.en.html", "report.zh.html", "timeline.svg")
"""Files for people, made elsewhere."""

_FILE_OF: Final[Mapping[LeafKind, str]] = {
    LeafKind.OPENED: "session.json",
    LeafKind.EVENTS: "events.jsonl",
    LeafKind.CLOSED: "closed.json",
    LeafKind.AUDIO: "audio.json",
    LeafKind.VERDICT: "verdicts.jsonl",
    LeafKind.ACCESSED: "access.jsonl",
    LeafKind.HELD: "access.jsonl",
    LeafKind.RELEASED: "access.jsonl",
    LeafKind.EXPORTED: "exports.jsonl",
}
"""Where the payload of a leaf goes; no others are exported."""

_ALWAYS: Final = ("events.jsonl", "verdicts.jsonl", "access.jsonl", "exports.jsonl")
"""There even when they are empty."""


class BundleError(EvidenceError):
    """A session's evidence cannot be exported; the message says why."""


class BundleOutdatedError(BundleError):
    """Something was recorded of the session while it was exported: draft the bundle anew."""


class AudioStream(Protocol):
    """A FLAC file that can be read more than once."""

    def read(self, size: int = ..., /) -> bytes:
        """Return at most so many bytes, none at the end."""
        ...

    def seek(self, offset: int, /) -> int:
        """Go to a place, counted from the beginning."""
        ...


class LogView(Protocol):
    """What a bundle needs of the evidence log; `EvidenceLog` has it."""

    def inclusion_proof(self, index: int, size: int) -> list[bytes]:
        """Return the proof that a leaf lies in the tree of the first `size`."""
        ...

    def consistency_proof(self, old: int, new: int) -> list[bytes]:
        """Return the proof that one tree begins with another."""
        ...

    def checkpoint(self) -> bytes:
        """Return a signed checkpoint of all leaves."""
        ...


@dataclass(frozen=True, slots=True)
class BundleLeaf:
    """A leaf of a session with what it commits to."""

    index: int
    """Within the log."""
    leaf: bytes
    salt: bytes = field(repr=False)
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class BundleSource:
    """What a session's evidence is made of."""

    leaves: Sequence[BundleLeaf]
    """All there are, in their order."""
    audio: AudioStream | None
    """The FLAC file; None: none was kept."""
    policy: bytes
    """The policy's file, to the last byte."""
    model: bytes
    """The model's manifest, to the last byte."""


Content = bytes | AudioStream


@dataclass(frozen=True, slots=True)
class _Measured:
    content: Content = field(repr=False)
    size: int
    crc32: int
    sha256: str


@dataclass(frozen=True, slots=True)
class BundleDraft:
    """A bundle that lacks the record of its own export."""

    manifest: bytes
    """To be the payload of an `exported` leaf."""
    leaves: Sequence[BundleLeaf]
    files: Mapping[str, _Measured]
    """All that the manifest names."""


def content_files(source: BundleSource) -> dict[str, Content]:
    """Return session.json to model.toml, by name.

    The other parts of a bundle are made from them: reports for people, then the manifest.

    Raises:
        BundleError: the session is erased or has no end yet, or its audio is not there.
    """
    pieces: dict[str, list[bytes]] = {name: [] for name in _ALWAYS}
    kinds = set()
    for item in source.leaves:
        kind = Leaf.from_bytes(item.leaf).kind
        if kind not in _FILE_OF:
            raise BundleError(f"a session with a record of the kind {kind} cannot be exported")
        end = b"\n" if kind is LeafKind.EXPORTED else b""
        pieces.setdefault(_FILE_OF[kind], []).append(item.payload + end)
        kinds.add(kind)
    if not {LeafKind.OPENED, LeafKind.CLOSED} <= kinds:
        raise BundleError("the session has no end yet; export it once it is over")
    files: dict[str, Content] = {name: b"".join(parts) for name, parts in pieces.items()}
    has_audio = "audio.json" in pieces and _audio_facts(pieces["audio.json"][0])[0] > 0
    if has_audio and source.audio is None:
        raise BundleError("the session's audio was recorded, but is not there")
    if has_audio and source.audio is not None:
        files["audio.flac"] = source.audio
    return files | {"policy.toml": source.policy, "model.toml": source.model}


def draft_bundle(
    source: BundleSource,
    reports: Mapping[str, bytes],
    *,
    origin: str,
    exported_at_ms: int,
    exported_by: str,
) -> BundleDraft:
    """Return a bundle up to the record of its own export.

    Args:
        source: of the session.
        reports: content of each of `REPORT_NAMES`.
        origin: name of the evidence log.
        exported_at_ms: milliseconds since 1970, UTC.
        exported_by: who exports it.

    Raises:
        BundleError: it cannot be exported: see `content_files`; or its audio was changed.
        ValueError: `reports` are other files than those.
        OSError: the audio cannot be read.
    """
    if set(reports) != set(REPORT_NAMES):
        raise ValueError(f"reports must be {', '.join(REPORT_NAMES)}")
    if len(source.leaves) >= MAX_LEAVES:
        raise BundleError(f"the session has more than {MAX_LEAVES - 1} records")
    contents = content_files(source) | dict(reports)
    files = {name: _measure(name, contents[name]) for name in FILES if name in contents}
    if "audio.flac" in files:
        _, recorded = _audio_facts(_first_payload(source, LeafKind.AUDIO))
        if files["audio.flac"].sha256 != recorded:
            raise BundleError("the session's audio is not what was recorded: it was changed")
    manifest = build_manifest(
        {name: (file.size, file.sha256) for name, file in files.items()},
        evidence_id=Leaf.from_bytes(source.leaves[0].leaf).session,
        origin=origin,
        exported_at_ms=exported_at_ms,
        exported_by=exported_by,
    )
    return BundleDraft(manifest, source.leaves, files)


def build_manifest(
    files: Mapping[str, tuple[int, str]],
    *,
    evidence_id: str,
    origin: str,
    exported_at_ms: int,
    exported_by: str,
) -> bytes:
    """Return manifest.json.

    Args:
        files: bytes and SHA-256 of each file that is in the bundle beside the log's own.
        evidence_id: of the session.
        origin: name of the evidence log.
        exported_at_ms: milliseconds since 1970, UTC.
        exported_by: who exports it.
    """
    return canonical_json(
        {
            "format": FORMAT,
            "evidence_id": evidence_id,
            "origin": origin,
            "exported_at_ms": exported_at_ms,
            "exported_by": exported_by,
            "files": {name: {"bytes": size, "sha256": digest}
                      for name, (size, digest) in files.items()},
        }
    )  # fmt: skip


def write_bundle(
    target: BinaryIO,
    draft: BundleDraft,
    exported: BundleLeaf,
    log: LogView,
    timestamp: Timestamp | None = None,
) -> None:
    """Write a bundle whose export has been recorded. Nothing is sought in the target.

    Args:
        target: is written from where it is; what is in it after an error is no bundle.
        draft: of the bundle.
        exported: the leaf that recorded its manifest, durable in the log.
        log: of the session.
        timestamp: a checkpoint of this log and what an outside authority says of it.

    Raises:
        BundleOutdatedError: the leaf does not follow the draft's leaves.
        BundleError: the bundle would be larger than a bundle may be, or its audio was changed.
        OSError: the audio cannot be read, or the target not be written.
    """
    leaf = Leaf.from_bytes(exported.leaf)
    if leaf.kind is not LeafKind.EXPORTED or exported.payload != draft.manifest:
        raise BundleError("this leaf records the export of another bundle")
    if leaf.number != len(draft.leaves):
        raise BundleOutdatedError("something was recorded of the session while it was exported")
    checkpoint = log.checkpoint()
    size = Checkpoint.parse(checkpoint).size
    contents: dict[str, Content] = {
        "manifest.json": draft.manifest,
        "leaves.jsonl": b"".join(
            _leaf_line(item, log.inclusion_proof(item.index, size))
            for item in (*draft.leaves, exported)
        ),
        "checkpoint": checkpoint,
    }
    if timestamp is not None:
        proof = log.consistency_proof(timestamp.size, size)
        contents["timestamp.checkpoint"] = timestamp.checkpoint
        contents["timestamp.tsr"] = timestamp.response
        contents["consistency.json"] = canonical_json({"proof": [item.hex() for item in proof]})
    parts = {**draft.files, **{name: _measure(name, item) for name, item in contents.items()}}
    _write_zip(target, {name: parts[name] for name in FILES if name in parts})


def _leaf_line(item: BundleLeaf, proof: Sequence[bytes]) -> bytes:
    values = {
        "index": item.index,
        "leaf": item.leaf.decode("ascii"),
        "salt": item.salt.hex(),
        "proof": [hash_.hex() for hash_ in proof],
    }
    return canonical_json(values) + b"\n"


def _first_payload(source: BundleSource, kind: LeafKind) -> bytes:
    return next(item.payload for item in source.leaves if Leaf.from_bytes(item.leaf).kind is kind)


def _audio_facts(payload: bytes) -> tuple[int, str]:
    """Return bytes and SHA-256 of the FLAC file that audio.json describes."""
    values = parse_canonical(payload)
    return values["bytes"], values["sha256"]


def _pieces(content: Content) -> Iterator[bytes]:
    """Yield a content from its beginning, a MiB at most at once."""
    if isinstance(content, bytes):
        yield content
        return
    content.seek(0)
    while piece := content.read(CHUNK_BYTES):
        yield piece


def _measure(name: str, content: Content) -> _Measured:
    size, crc32, digest = 0, 0, hashlib.sha256()
    for piece in _pieces(content):
        size += len(piece)
        crc32 = zlib.crc32(piece, crc32)
        digest.update(piece)
    if size > FILES[name]:
        raise BundleError(f"{name} has {size} bytes; a bundle takes at most {FILES[name]}")
    return _Measured(content, size, crc32, digest.hexdigest())


def _write_zip(target: BinaryIO, files: Mapping[str, _Measured]) -> None:
    entries: list[ZipEntry] = []
    offset = 0
    for name, file in files.items():
        entry = ZipEntry(name, file.size, file.crc32, offset)
        entries.append(entry)
        offset += len(local_header(entry)) + file.size
    if offset + len(central_directory(entries, 0)) > MAX_BUNDLE_BYTES:
        raise BundleError(f"the bundle would have more than {MAX_BUNDLE_BYTES} bytes (4 GiB)")
    for entry, file in zip(entries, files.values(), strict=True):
        target.write(local_header(entry))
        crc32 = 0
        for piece in _pieces(file.content):
            crc32 = zlib.crc32(piece, crc32)
            target.write(piece)
        if crc32 != entry.crc32:
            raise BundleError(f"{entry.name} was changed while it was exported")
    target.write(central_directory(entries, offset))
