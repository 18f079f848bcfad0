"""Small real evidence: a session in a log of the reference tree, and bundles made of it."""

from __future__ import annotations

import hashlib
import io
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.evidence import reference
from voiceguard.evidence.bundle import (
    REPORT_NAMES,
    BundleLeaf,
    BundleSource,
    draft_bundle,
    write_bundle,
)
from voiceguard.evidence.leaves import Leaf, LeafKind
from voiceguard.evidence.signing import Signer
from voiceguard.evidence.timestamps import Timestamp
from voiceguard.evidence.verify import (
    FILES,
    Verdict,
    VerifierKey,
    ZipEntry,
    canonical_json,
    central_directory,
    commitment_of,
    local_header,
    verify_bundle,
)

ORIGIN = "voiceguard.example/log"
UID = "0123456789abcdef0123456789abcdef"
MIB = 1 << 20
POLICY = b'version = "default-1"\n'
MODEL = b'name = "stress"\n'
REPORTS = {name: f"<p>{name}</p>".encode() for name in REPORT_NAMES}
EVENTS_OF_A_LEAF = 4


class TinyLog:
    """A log by RFC 6962's own recursive words."""

    def __init__(self, key: bytes = b"k" * 32, origin: str = ORIGIN) -> None:
        self.signer = Signer(Ed25519PrivateKey.from_private_bytes(key), origin)
        self.origin = origin
        self.leaves: list[bytes] = []

    def append(self, leaf: bytes) -> int:
        self.leaves.append(leaf)
        return len(self.leaves) - 1

    def inclusion_proof(self, index: int, size: int) -> list[bytes]:
        return reference.path(index, self.leaves[:size])

    def consistency_proof(self, old: int, new: int) -> list[bytes]:
        return reference.proof(old, self.leaves[:new])

    def checkpoint(self, size: int | None = None) -> bytes:
        size = len(self.leaves) if size is None else size
        return self.signer.sign_checkpoint(size, reference.mth(self.leaves[:size]))

    @property
    def key(self) -> VerifierKey:
        return VerifierKey.parse(self.signer.verifier_key)


@dataclass
class Recording:
    """A session while it is recorded into a log."""

    log: TinyLog
    uid: str = UID
    leaves: list[BundleLeaf] = field(default_factory=list)

    def record(self, kind: LeafKind, payload: bytes, **facts: str | int | bool) -> BundleLeaf:
        number = len(self.leaves)
        salt = hashlib.sha256(f"{self.uid}{number}".encode()).digest()
        commitment = commitment_of(salt, payload)
        at_ms = 1_700_000_000_000 + number
        leaf = Leaf(kind, at_ms, self.uid, number, commitment, facts).to_bytes()
        self.log.append(Leaf(LeafKind.STARTED, at_ms, facts={"version": "1"}).to_bytes())
        item = BundleLeaf(self.log.append(leaf), leaf, salt, payload)
        self.leaves.append(item)
        return item


def event_line(number: int) -> bytes:
    return json.dumps({"seq": number, "event": "说话"}, ensure_ascii=False).encode() + b"\n"


def audio_json(audio: bytes) -> bytes:
    return canonical_json(
        {
            "file": "audio.flac",
            "bytes": len(audio),
            "sha256": hashlib.sha256(audio).hexdigest() if audio else "",
            "chunk_bytes": MIB,
            "chunks": [
                hashlib.sha256(audio[start : start + MIB]).hexdigest()
                for start in range(0, len(audio), MIB)
            ],
            "samples": 8000 * 60 if audio else 0,
            "sample_rate_hz": 8000,
            "channels": 2,
            "complete": True,
            "missing_samples": 0,
        }
    )


def record_session(
    log: TinyLog, audio: bytes | None, *, batches: int = 3, uid: str = UID
) -> Recording:
    """Record a session with a verdict and some accesses."""
    recording = Recording(log, uid)
    digests = {
        "policy_sha256": hashlib.sha256(POLICY).hexdigest(),
        "model_sha256": hashlib.sha256(MODEL).hexdigest(),
    }
    session = canonical_json({"evidence_id": uid, "session_id": f"call-{uid[:4]}"})
    recording.record(LeafKind.OPENED, session, **digests)
    for first in range(0, batches * EVENTS_OF_A_LEAF, EVENTS_OF_A_LEAF):
        lines = b"".join(event_line(first + i) for i in range(EVENTS_OF_A_LEAF))
        recording.record(LeafKind.EVENTS, lines, first=first, count=EVENTS_OF_A_LEAF)
    events = batches * EVENTS_OF_A_LEAF
    facts: dict[str, str | int | bool] = {
        "ended": "completed",
        "events": events,
        "leaves": len(recording.leaves) + 1,
        "audio": audio is not None,
    }
    recording.record(LeafKind.CLOSED, canonical_json({"events": events}), **facts)
    if audio is not None:
        recording.record(LeafKind.AUDIO, audio_json(audio))
    recording.record(LeafKind.ACCESSED, canonical_json({"actor": "li", "action": "viewed"}) + b"\n")
    recording.record(LeafKind.VERDICT, canonical_json({"kind": "confirmed"}) + b"\n")
    recording.record(LeafKind.HELD, canonical_json({"actor": "wang", "action": "held"}) + b"\n")
    recording.record(
        LeafKind.ACCESSED, canonical_json({"actor": "zhao", "action": "heard"}) + b"\n"
    )
    return recording


def export(recording: Recording, audio: bytes | None, timestamp: Timestamp | None = None) -> bytes:
    """Export a session as the server does."""
    stream = io.BytesIO(audio) if audio else None
    source = BundleSource(tuple(recording.leaves), stream, POLICY, MODEL)
    draft = draft_bundle(
        source, REPORTS, origin=recording.log.origin, exported_at_ms=1, exported_by="li"
    )
    exported = recording.record(LeafKind.EXPORTED, draft.manifest)
    target = io.BytesIO()
    write_bundle(target, draft, exported, recording.log, timestamp)
    return target.getvalue()


def make_bundle(audio: bytes | None = None, *, batches: int = 3) -> tuple[bytes, VerifierKey]:
    log = TinyLog()
    bundle = export(record_session(log, audio, batches=batches), audio)
    return bundle, log.key


def check(bundle: bytes, key: VerifierKey, roots: bytes | None = None) -> Verdict:
    return verify_bundle(io.BytesIO(bundle), key, roots)


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Return files as a forger would pack them who knows the one form."""
    entries, pieces, offset = [], [], 0
    for name in FILES:
        if name in files:
            content = files[name]
            entry = ZipEntry(name, len(content), zlib.crc32(content), offset)
            entries.append(entry)
            pieces += [local_header(entry), content]
            offset += len(pieces[-2]) + len(content)
    return b"".join([*pieces, central_directory(entries, offset)])


def unzipped(bundle: bytes) -> dict[str, bytes]:
    import zipfile

    with zipfile.ZipFile(io.BytesIO(bundle)) as file:
        return {name: file.read(name) for name in file.namelist()}


def forge(bundle: bytes, change: Callable[[dict[str, bytes]], None]) -> bytes:
    """Return a bundle with its files changed, and everything packed anew, digests included."""
    files = unzipped(bundle)
    change(files)
    return zipped(files)


def lines_of(content: bytes) -> list[bytes]:
    return content.split(b"\n")[:-1]


def joined(lines: Sequence[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)
