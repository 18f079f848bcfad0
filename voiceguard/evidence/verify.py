"""Checks evidence offline, from a bundle and the log's public key alone.

    python verify.py BUNDLE --key PUB

This file imports nothing of voiceguard, so that it can be read, copied and run by itself. The
rest of voiceguard takes its formats from here: what is written is what is checked.

A bundle is a zip of one session. Everything in it hangs on the public key:

    public key      signs the checkpoint: size and root of the log's Merkle tree
    root            holds each leaf of the session, by the leaf's inclusion proof
    leaves          are numbered from 0 without gaps; `closed` counts them and the events
    each leaf       commits to its payload: a file of the bundle, or lines of one
    `opened`        names the digests of policy and model; audio.json those of the audio
    last leaf       is `exported` and commits to manifest.json, which names every other file
    the zip         has one form only, so that there is no byte that could be changed unseen

Sections: 1 forms and hashes, 2 proofs, 3 keys and checkpoints, 4 the zip, 5 the bundle.
"""

from __future__ import annotations

import argparse
import base64
import dataclasses
import hashlib
import hmac
import json
import re
import struct
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, BinaryIO, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509 import load_pem_x509_certificates

# ---------------------------------------------------------------- 1. Forms and hashes

DIGEST_BYTES: Final = 32
"""SHA-256."""


def canonical_json(values: dict[str, Any]) -> bytes:
    """Return an object as JSON that has one form only: sorted keys, no spaces, ASCII."""
    return json.dumps(
        values, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    ).encode("ascii")


def parse_canonical(content: bytes) -> dict[str, Any]:
    """Return the object that `canonical_json` wrote.

    Raises:
        ValueError: it is not JSON, no object, or not in its one form.
    """
    try:
        values = json.loads(content)
        if isinstance(values, dict) and canonical_json(values) == content:
            return values
    except RecursionError:  # brackets within brackets
        pass
    raise ValueError("not a JSON object in canonical form")


def commitment_of(salt: bytes, payload: bytes) -> str:
    """Return what a leaf says of a payload: HMAC-SHA-256 under the salt, 64 hexadecimal digits.

    Nobody who lacks the salt can tell which payload it was, or try guesses (RFC 2104).
    """
    return hmac.new(salt, payload, hashlib.sha256).hexdigest()


def leaf_hash(content: bytes) -> bytes:
    """Return the hash of a leaf (RFC 6962, section 2.1)."""
    return hashlib.sha256(b"\x00" + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node (RFC 6962, section 2.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


# ---------------------------------------------------------------- 2. Proofs


def proves_inclusion(
    index: int, size: int, hash_: bytes, proof: Sequence[bytes], root: bytes
) -> bool:
    """Return whether a leaf lies in a tree (RFC 9162, section 2.1.3.2).

    Args:
        index: of the leaf, from 0.
        size: leaves of the tree.
        hash_: `leaf_hash` of the leaf.
        proof: hashes of the subtrees beside its way to the root, lowest first.
        root: hash of the tree.
    """
    if not 0 <= index < size:
        return False
    place, last = index, size - 1
    for sibling in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            hash_ = node_hash(sibling, hash_)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            hash_ = node_hash(hash_, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and hash_ == root


def proves_consistency(
    old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Return whether a tree begins with an older one (RFC 9162, section 2.1.4.2).

    Args:
        old: leaves of the older tree, at least one.
        new: leaves of the newer one.
        old_root: hash of the older tree.
        new_root: hash of the newer one.
        proof: as the log gave it.
    """
    if old == new:
        return not proof and old_root == new_root
    if not 0 < old < new or not proof:
        return False
    first, *rest = proof if old & (old - 1) else [old_root, *proof]
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old_hash = new_hash = first
    for sibling in rest:
        if last == 0:
            return False
        if place & 1 or place == last:
            old_hash, new_hash = node_hash(sibling, old_hash), node_hash(sibling, new_hash)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            new_hash = node_hash(new_hash, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and old_hash == old_root and new_hash == new_root


# ---------------------------------------------------------------- 3. Keys and checkpoints

_ED25519: Final = b"\x01"
"""Signature type of Ed25519 (C2SP signed-note)."""

_KEY_ID_BYTES: Final = 4
_CHECKPOINT: Final = re.compile(
    r"([^\n]+)\n(0|[1-9][0-9]{0,17})\n([A-Za-z0-9+/]{43}=)\n(?:[^\n]+\n)*"
)
"""Origin, size, root, extension lines (C2SP tlog-checkpoint)."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A log's public key."""

    name: str
    """Origin of the log."""
    public_key: bytes
    """32 bytes (RFC 8032)."""

    @property
    def id_(self) -> bytes:
        """Four bytes that tell keys of one name apart (C2SP signed-note)."""
        named = self.name.encode() + b"\n" + _ED25519 + self.public_key
        return hashlib.sha256(named).digest()[:_KEY_ID_BYTES]

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Return the key of a line `name+key id+base64` (C2SP signed-note).

        Raises:
            ValueError: it is none, or not of Ed25519.
        """
        name, _, rest = text.strip().partition("+")
        id_, _, encoded = rest.partition("+")
        try:
            content = _from_base64(encoded)
            key = cls(name, content[1:])
            if name and content[:1] == _ED25519 and len(content) == 33 and key.id_.hex() == id_:
                return key
        except ValueError:
            pass
        raise ValueError(
            "not a public key of an evidence log; it is one line: name+8 digits+base64"
        )

    @classmethod
    def find(cls, text: str) -> VerifierKey:
        """Return the key that a text is, or that is in the file of that name.

        Raises:
            ValueError: there is no key, and it says why.
        """
        try:
            return cls.parse(text)
        except ValueError as error:
            try:
                with Path(text).open(encoding="utf-8") as file:
                    return cls.parse(file.read(10_000))
            except UnicodeError:
                raise error from None
            except OSError:
                raise ValueError(f"{text[:100]!r} is no key and no file of one") from None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What somebody signed: that a log had this root at this size."""

    origin: str
    size: int
    """Leaves."""
    root: bytes
    text: bytes
    """That is signed."""
    signatures: tuple[str, ...]
    """Lines, one of each signer."""

    @classmethod
    def parse(cls, note: bytes) -> Checkpoint:
        """Return what a note says, whoever signed it.

        Raises:
            ValueError: it is no checkpoint in a signed note.
        """
        text, gap, signatures = note.decode("utf-8").rpartition("\n\n")
        match = _CHECKPOINT.fullmatch(text + "\n")
        if not gap or match is None or not signatures.endswith("\n"):
            raise ValueError("not a signed checkpoint of an evidence log")
        root = _from_base64(match[3])
        lines = tuple(signatures[:-1].split("\n"))
        return cls(match[1], int(match[2]), root, f"{text}\n".encode(), lines)

    def check_signature(self, key: VerifierKey) -> None:
        """Accept a signature of this key; those of others, such as witnesses, are passed over.

        Raises:
            ValueError: it is another log's checkpoint, or this key did not sign it.
        """
        if self.origin != key.name:
            raise ValueError(f"of the log {self.origin!r}, but the key is of {key.name!r}")
        start = f"\N{EM DASH} {key.name} "
        ours = [line.removeprefix(start) for line in self.signatures if line.startswith(start)]
        signatures = [_from_base64(line) for line in ours]
        if not any(signature[:_KEY_ID_BYTES] == key.id_ for signature in signatures):
            raise ValueError("not signed by this key, but by another of the same name or none")
        public = Ed25519PublicKey.from_public_bytes(key.public_key)
        for signature in signatures:
            try:
                public.verify(signature[_KEY_ID_BYTES:], self.text)
            except InvalidSignature:
                continue
            return
        raise ValueError("its signature is wrong: this is not what the log signed")


def _from_base64(text: str) -> bytes:
    """Return the bytes of base64 in its one form (RFC 4648, sections 3.5 and 4).

    Raises:
        ValueError: it is something else.
    """
    content = base64.b64decode(text, validate=True)
    if base64.b64encode(content).decode() != text:
        raise ValueError("not base64 in its one form")
    return content


# ---------------------------------------------------------------- 4. The zip

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

_TIMESTAMP: Final = ("timestamp.checkpoint", "timestamp.tsr", "consistency.json")
_OPTIONAL: Final = {"audio.json", "audio.flac", *_TIMESTAMP}
_UNPROMISED: Final = {"manifest.json", "leaves.jsonl", "checkpoint", *_TIMESTAMP}
"""What the manifest does not name: itself, and what is there only once its leaf is."""

_STREAMED: Final = {"audio.flac", "report.en.html", "report.zh.html", "timeline.svg"}
"""Compared by digest only, and not held in memory."""

# PKWARE APPNOTE.TXT, sections 4.3.7, 4.3.12 and 4.3.16. Of one form: stored, made by Unix as a
# plain file that all may read, for version 1.0, at the first moment that a zip can name.
_LOCAL: Final = struct.Struct("<4s5H3L2H")
_CENTRAL: Final = struct.Struct("<4s6H3L5H2L")
_END: Final = struct.Struct("<4s4H2LH")
_LOCAL_SIGNATURE: Final = b"PK\x03\x04"
_VERSION: Final = 10
_MADE_BY: Final = 3 << 8 | _VERSION
_DATE: Final = 1 << 5 | 1  # 1980-01-01
_MODE: Final = 0o100644 << 16


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """A file in the zip."""

    name: str
    size: int
    crc32: int
    offset: int
    """Of its header, in bytes from the beginning of the zip."""


def local_header(entry: ZipEntry) -> bytes:
    """Return what stands before the content of a file."""
    fields = (_VERSION, 0, 0, 0, _DATE, entry.crc32, entry.size, entry.size, len(entry.name), 0)
    return _LOCAL.pack(_LOCAL_SIGNATURE, *fields) + entry.name.encode("ascii")


def central_directory(entries: Sequence[ZipEntry], offset: int) -> bytes:
    """Return what stands after the last file, which is where `offset` is."""
    records = b"".join(_central_record(entry) for entry in entries)
    count = len(entries)
    end = _END.pack(b"PK\x05\x06", 0, 0, count, count, len(records), offset, 0)
    return records + end


def _central_record(entry: ZipEntry) -> bytes:
    fields = (_MADE_BY, _VERSION, 0, 0, 0, _DATE, entry.crc32, entry.size, entry.size)
    rest = (len(entry.name), 0, 0, 0, 0, _MODE, entry.offset)
    return _CENTRAL.pack(b"PK\x01\x02", *fields, *rest) + entry.name.encode("ascii")


@dataclass(frozen=True, slots=True)
class _File:
    size: int = 0
    sha256: str = ""
    chunks: tuple[str, ...] = ()
    """SHA-256 of each MiB."""
    content: bytes = b""
    """Empty for what is streamed."""

    def lines(self) -> list[bytes]:
        """Return the lines, without their ends; only a line feed ends one."""
        lines = self.content.split(b"\n", MAX_LINES)
        return lines if lines[-1] else lines[:-1]


_NOTHING: Final = _File()

MAX_LEAVES: Final = 100_000
"""Of a session: fifty hours of speech."""

MAX_LINES: Final = 2_000_000
"""Of a file in a bundle: as many events as a week of speech has."""

_Report = Callable[[str], None]
"""Is given each problem, as a sentence."""


def _read_zip(file: BinaryIO, report: _Report) -> dict[str, _File]:
    """Return the files of a zip in its one form.

    Raises:
        ValueError: it is not in that form.
        OSError: it cannot be read.
    """
    files: dict[str, _File] = {}
    entries: list[ZipEntry] = []
    offset = 0
    while (start := _read(file, _LOCAL.size))[:4] == _LOCAL_SIGNATURE:
        entry = _read_header(file, start, offset, entries)
        content, crc32 = _read_content(file, entry)
        if crc32 != entry.crc32:
            report(f"{entry.name}: its bytes are not those that the zip has the checksum of.")
        files[entry.name] = content
        entries.append(entry)
        offset += len(local_header(entry)) + entry.size
    if not entries:
        problem = "does not begin as a zip does" if start else "is empty"
        raise ValueError(f"This is no evidence bundle: it {problem}.")
    expected = central_directory(entries, offset)
    _compare_end(start + _read(file, len(expected) + 1 - len(start)), expected, entries, offset)
    return files


def _read(file: BinaryIO, size: int) -> bytes:
    """Return so many bytes, fewer only at the end of the file."""
    content = file.read(size)
    while content and len(content) < size and (more := file.read(size - len(content))):
        content += more
    return content


def _read_header(
    file: BinaryIO, start: bytes, offset: int, entries: Sequence[ZipEntry]
) -> ZipEntry:
    if len(start) < _LOCAL.size:
        raise ValueError(f"The file ends too early, at byte {offset + len(start)}.")
    *_, crc32, _, size, name_length, _ = _LOCAL.unpack(start)
    raw = _read(file, name_length)
    name = raw.decode("ascii", "replace")
    order = list(FILES)
    if name not in FILES:
        raise ValueError(f"At byte {offset} is {_shown(name)!r}, which is no file of a bundle.")
    entry = ZipEntry(name, size, crc32, offset)
    if local_header(entry) != start + raw:
        raise ValueError(f"The zip's header of {name}, at byte {offset}, is not in its one form.")
    if entries and order.index(entries[-1].name) >= order.index(name):
        raise ValueError(f"{name} is in the bundle twice, or not at its place.")
    if size > FILES[name] or offset + size > MAX_BUNDLE_BYTES:
        raise ValueError(f"{name} claims to have {size} bytes, which is more than it may have.")
    return entry


def _read_content(file: BinaryIO, entry: ZipEntry) -> tuple[_File, int]:
    """Return a file's content and its CRC-32."""
    whole, crc32, left = hashlib.sha256(), 0, entry.size
    digests: list[str] = []
    kept: list[bytes] = []
    while left:
        chunk = _read(file, min(left, CHUNK_BYTES))
        if not chunk:
            raise ValueError(f"The file ends within {entry.name}: {left} of its bytes are missing.")
        whole.update(chunk)
        crc32 = zlib.crc32(chunk, crc32)
        digests.append(hashlib.sha256(chunk).hexdigest())
        if entry.name not in _STREAMED:
            kept.append(chunk)
        left -= len(chunk)
    return _File(entry.size, whole.hexdigest(), tuple(digests), b"".join(kept)), crc32


def _compare_end(found: bytes, expected: bytes, entries: Sequence[ZipEntry], offset: int) -> None:
    """Refuse whatever is not the directory that belongs to the files."""
    if found == expected:
        return
    if expected.startswith(found):
        raise ValueError(f"The file ends too early, at byte {offset + len(found)}.")
    if found.startswith(expected):
        raise ValueError("Something follows the end of the zip.")
    at = next(i for i, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b)
    where, end = "at its end", 0
    for entry in entries:
        end += len(_central_record(entry))
        if at < end:
            where = f"in the record of {entry.name}"
            break
    raise ValueError(
        f"After {entries[-1].name} the zip's directory is not in its one form: byte {offset + at}, "
        f"{where}."
    )


# ---------------------------------------------------------------- 5. The bundle

FORMAT: Final = "voiceguard-evidence/1"
"""Of the manifest."""

MAX_PROBLEMS: Final = 100
_MAX_NUMBER: Final = (1 << 53) - 1
_MAX_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999."""

_WHOLE: Final = {"opened": "session.json", "closed": "closed.json", "audio": "audio.json"}
_LINE: Final = {
    "verdict": "verdicts.jsonl",
    "accessed": "access.jsonl",
    "held": "access.jsonl",
    "released": "access.jsonl",
    "exported": "exports.jsonl",
}
"""Where the payload of a leaf is: a whole file, or a line for each leaf of its kinds. `events` have
as many lines of events.jsonl as they say; the last `exported` has manifest.json."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a bundle says. It is true only as far as the verdict is good.

    Times are in milliseconds since 1970, UTC, by the clock of the server that recorded.
    """

    log: str = ""
    """Origin of the log that signed."""
    tree_size: int = 0
    """Leaves of the log that are signed."""
    evidence_id: str = ""
    session_id: str = ""
    opened_at_ms: int | None = None
    closed_at_ms: int | None = None
    exported_at_ms: int | None = None
    leaves: int = 0
    events: int = 0
    verdicts: int = 0
    accesses: int = 0
    audio_bytes: int = 0
    timestamped_leaves: int = 0
    """The session's leaves that an outside timestamp is about, the first so many."""
    timestamp_checked: bool = False
    """Whether the authority's signature was checked."""
    timestamp_at_ms: int | None = None
    """By the authority's clock; None: not checked."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a bundle is what the log recorded."""

    ok: bool
    problems: tuple[str, ...]
    """Sentences; empty when all is well."""
    facts: Facts


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A leaf of the session, as leaves.jsonl has it."""

    index: int
    """Within the log."""
    number: int
    """Within the session."""
    kind: str
    at_ms: int
    values: dict[str, Any]
    hash_: bytes
    salt: bytes
    proof: tuple[bytes, ...]

    @classmethod
    def parse(cls, line: bytes) -> _Leaf:
        """Return a leaf from its line.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: it is none.
        """
        outer = parse_canonical(line)
        content = outer["leaf"].encode("ascii")
        values = parse_canonical(content)
        salt = _digest(outer["salt"]) if outer["salt"] else b""
        proof = tuple(_digest(item) for item in outer["proof"])
        is_flat = all(isinstance(value, str | int) for value in values.values())
        if len(outer) != 4 or values["v"] != 1 or not is_flat:
            raise ValueError("not a leaf of this format")
        if bool(salt) != bool(values.get("commitment")):
            raise ValueError("a salt without a commitment, or a commitment without a salt")
        index, number = _count(outer, "index"), _count(values, "n", MAX_LINES)
        kind, at_ms = str(values["kind"]), _count(values, "at_ms", _MAX_MS)
        return cls(index, number, kind, at_ms, values, leaf_hash(content), salt, proof)

    def holds(self, payload: bytes) -> bool:
        """Return whether it commits to these bytes."""
        return commitment_of(self.salt, payload) == self.values.get("commitment")


def _digest(text: str) -> bytes:
    content = bytes.fromhex(text)
    if len(content) != DIGEST_BYTES or content.hex() != text:
        raise ValueError("not 64 hexadecimal digits")
    return content


def _count(values: dict[str, Any], name: str, most: int = _MAX_NUMBER) -> int:
    """Return a whole number of an object; ValueError, KeyError when there is none."""
    value = values[name]
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"{name} is not a number")
    return value


def verify_bundle(file: BinaryIO, key: VerifierKey, tsa_roots: bytes | None = None) -> Verdict:
    """Return whether a bundle is what a log recorded; whatever the file holds, nothing is raised.

    Args:
        file: the bundle, read once from here to its end. Of the audio one MiB is held in memory.
        key: the log's public key, had from somebody you trust.
        tsa_roots: certificates (PEM) of the timestamp authorities that you trust; the bundle
            must have a timestamp by one of them. None: a timestamp is not checked.
    """
    problems: list[str] = []
    try:
        files = _read_zip(file, problems.append)
    except (ValueError, OSError) as error:
        return Verdict(False, (*problems, str(error)), Facts())
    missing = [name for name in FILES if name not in files and name not in _OPTIONAL]
    problems += [f"{name} is missing." for name in missing]
    bundle = _Bundle(files, key, problems.append)
    facts = bundle.check(tsa_roots)
    if len(problems) > MAX_PROBLEMS:
        problems[MAX_PROBLEMS:] = [f"And {len(problems) - MAX_PROBLEMS} more problems."]
    return Verdict(not problems, tuple(problems), facts)


class _Bundle:
    """The files of a bundle while they are checked against each other."""

    def __init__(self, files: dict[str, _File], key: VerifierKey, report: _Report) -> None:
        self.files = files
        self.key = key
        self.report = report
        self.tree: Checkpoint | None = None
        self.leaves: list[_Leaf] = []

    def file(self, name: str) -> _File:
        """Return a file, an empty one when it is missing."""
        return self.files.get(name, _NOTHING)

    def first(self, kind: str) -> _Leaf | None:
        """Return the first leaf of a kind."""
        return next((leaf for leaf in self.leaves if leaf.kind == kind), None)

    def json(self, name: str) -> dict[str, Any]:
        """Return the object that a file is; that it is none is reported."""
        try:
            return parse_canonical(self.file(name).content)
        except ValueError:
            self.report(f"{name} is not a JSON object in its one form.")
            return {}

    def check(self, tsa_roots: bytes | None) -> Facts:
        """Check everything, from the signature down, and return what was found."""
        self.tree = self.checkpoint("checkpoint")
        self.read_leaves()
        self.check_order()
        self.check_payloads()
        self.check_events()
        self.check_counts()
        self.check_documents()
        self.check_audio()
        self.check_manifest()
        stamped, stamped_at_ms = self.check_timestamp(tsa_roots)
        opened, closed = self.first("opened"), self.first("closed")
        session = self.json("session.json") if "session.json" in self.files else {}
        last = self.leaves[-1] if self.leaves else None
        if opened and session.get("evidence_id") != opened.values.get("session"):
            self.report("session.json is of another session than the leaves.")
        return Facts(
            log=_shown(self.tree.origin) if self.tree else "",
            tree_size=self.tree.size if self.tree else 0,
            evidence_id=_shown(opened.values.get("session", "")) if opened else "",
            session_id=_shown(session.get("session_id", "")),
            opened_at_ms=opened.at_ms if opened else None,
            closed_at_ms=closed.at_ms if closed else None,
            exported_at_ms=last.at_ms if last and last.kind == "exported" else None,
            leaves=len(self.leaves),
            events=len(self.file("events.jsonl").lines()),
            verdicts=len(self.file("verdicts.jsonl").lines()),
            accesses=len(self.file("access.jsonl").lines()),
            audio_bytes=self.file("audio.flac").size,
            timestamped_leaves=stamped,
            timestamp_checked=stamped_at_ms is not None,
            timestamp_at_ms=stamped_at_ms,
        )

    def checkpoint(self, name: str) -> Checkpoint | None:
        """Return what a file of a checkpoint says, reporting what is wrong with it."""
        note = self.file(name).content
        try:
            found = Checkpoint.parse(note)
        except ValueError:
            self.report(f"{name} is not a signed checkpoint of an evidence log.")
            return None
        try:
            found.check_signature(self.key)
        except ValueError as error:
            self.report(f"{name} does not count: {_shown(error)}.")
        if note.count(b"\n") != 5:  # origin, size, root, nothing, our signature
            self.report(f"{name} is not in its one form: other lines were added to it.")
        return found

    def read_leaves(self) -> None:
        """Read leaves.jsonl, and check that each leaf lies in the signed tree."""
        content = self.file("leaves.jsonl")
        self.check_last_line("leaves.jsonl")
        outside, unproved = [], []
        for number, line in enumerate(content.lines(), start=1):
            if number > MAX_LEAVES:
                self.report(
                    f"leaves.jsonl has more than {MAX_LEAVES} lines; the rest was not read."
                )
                break
            try:
                leaf = _Leaf.parse(line)
            except (ValueError, KeyError, TypeError, AttributeError):
                self.report(f"leaves.jsonl: line {number} is not a leaf in its one form.")
                continue
            proof, tree = leaf.proof, self.tree
            self.leaves.append(dataclasses.replace(leaf, proof=()))
            if tree and leaf.index >= tree.size:
                outside.append(leaf.number)
            elif tree and not proves_inclusion(leaf.index, tree.size, leaf.hash_, proof, tree.root):
                unproved.append(leaf.number)
        if outside and self.tree:
            size = self.tree.size
            self.report(f"{_leaves(outside)}: not in the signed tree, which has {size} leaves.")
        if unproved:
            self.report(f"{_leaves(unproved)}: the proof does not lead to the signed root.")

    def check_order(self) -> None:
        """Check that no leaf is missing, there twice, of another session or out of order."""
        if not self.leaves:
            self.report("There is not one leaf of the session.")
            return
        numbers = [leaf.number for leaf in self.leaves]
        ordered = sorted(numbers)
        gaps = [range(a + 1, b) for a, b in pairwise([-1, *ordered]) if b > a + 1]
        if gaps:
            self.report(f"{_leaves(chain(*gaps))}: missing.")
        if twice := sorted(number for number, count in Counter(numbers).items() if count > 1):
            self.report(f"{_leaves(twice)}: there more than once.")
        moved = [(found, due) for found, due in zip(numbers, ordered, strict=True) if found != due]
        if len(moved) == 2:
            self.report(f"Leaves {moved[0][1]} and {moved[0][0]} are swapped.")
        elif moved:
            self.report(f"{_leaves(due for _, due in moved)}: not in their order.")
        elif any(b.index <= a.index for a, b in pairwise(self.leaves)):
            self.report("The leaves are not in the order in which the log has them.")
        session = self.leaves[0].values.get("session")
        others = [leaf.number for leaf in self.leaves if leaf.values.get("session") != session]
        if others:
            self.report(f"{_leaves(others)}: of another session.")

    def check_payloads(self) -> None:
        """Check what the leaves commit to, events excepted."""
        by_file: dict[str, list[_Leaf]] = {name: [] for name in _LINE.values()}
        others = self.leaves
        if others and others[-1].kind == "exported":
            self.check_whole(others[-1], "manifest.json")
            others = others[:-1]
        else:
            self.report("The last leaf is missing: the one that records this export.")
        for leaf in others:
            if leaf.kind in _WHOLE:
                self.check_whole(leaf, _WHOLE[leaf.kind])
            elif leaf.kind in _LINE:
                by_file[_LINE[leaf.kind]].append(leaf)
            elif leaf.kind != "events":
                self.report(f"Leaf {leaf.number} is of a kind that no bundle has.")
        for name, leaves in by_file.items():
            self.check_lines(name, leaves)

    def check_whole(self, leaf: _Leaf, name: str) -> None:
        """Check a file that one leaf commits to."""
        if name in self.files and not leaf.holds(self.file(name).content):
            self.report(f"{name} is not what leaf {leaf.number} recorded.")

    def check_lines(self, name: str, leaves: Sequence[_Leaf]) -> None:
        """Check a file of which each leaf commits to a line.

        A line that was taken out or put in is told from one that was changed by how many there are.
        """
        lines, at = self.file(name).lines(), 0
        spare = len(lines) - len(leaves)
        unknown = []

        def fits(leaf: _Leaf, line: int) -> bool:
            end = b"" if leaf.kind == "exported" else b"\n"
            return line < len(lines) and leaf.holds(lines[line] + end)

        for leaf in leaves:
            if spare > 0 and not fits(leaf, at) and fits(leaf, at + 1):
                unknown.append(at + 1)
                at, spare = at + 1, spare - 1
            if fits(leaf, at):
                at += 1
            elif spare < 0:
                self.report(f"{name}: the line that leaf {leaf.number} recorded is missing.")
                spare += 1
            else:
                at += 1
                self.report(f"{name}: line {at} is not what leaf {leaf.number} recorded.")
        unknown += range(at + 1, len(lines) + 1)
        if unknown:
            self.report(f"{name}: {_several('line', 'lines', unknown)}: of no leaf.")
        self.check_last_line(name)

    def check_events(self) -> None:
        """Check the lines of events.jsonl, and that each belongs to one leaf."""
        lines, following = self.file("events.jsonl").lines(), 0
        unknown: list[range] = []
        wrong: list[tuple[int, int, int]] = []
        for leaf in self.leaves:
            if leaf.kind != "events":
                continue
            try:
                first, count = _count(leaf.values, "first"), _count(leaf.values, "count")
            except (ValueError, KeyError):
                self.report(f"Leaf {leaf.number} does not say which events it has.")
                continue
            if first < following:
                self.report(f"Leaf {leaf.number} has events that are another's.")
            unknown.append(range(following + 1, min(first, len(lines)) + 1))
            following = first + count
            if not leaf.holds(b"".join(line + b"\n" for line in lines[first:following])):
                wrong.append((leaf.number, first + 1, following))
        unknown.append(range(following + 1, len(lines) + 1))
        # Leaves that follow each other are told in one sentence.
        for first, last in _spans(number for number, *_ in wrong):
            of_these = [item for item in wrong if first <= item[0] <= last]
            place = _several("line", "lines", [of_these[0][1], of_these[-1][2]], is_span=True)
            recorded = _several("leaf", "leaves", [first, last], is_span=True)
            self.report(f"events.jsonl: {place}: not what {recorded} recorded.")
        if any(unknown):
            found = _several("line", "lines", chain(*unknown))
            self.report(f"events.jsonl: {found}: of no leaf.")
        self.check_last_line("events.jsonl")

    def check_last_line(self, name: str) -> None:
        """Check that a file of lines ends with the end of one."""
        if self.file(name).content[-1:] not in {b"", b"\n"}:
            self.report(f"{name} does not end with the end of a line.")

    def check_counts(self) -> None:
        """Check what `closed` says that there must be."""
        for kind in _WHOLE:
            if sum(leaf.kind == kind for leaf in self.leaves) > 1:
                self.report(f"There is more than one leaf of the kind {kind}.")
        if self.leaves and self.leaves[0].kind != "opened":
            self.report("The first leaf is missing: the one that opened the session.")
        closed = self.first("closed")
        if closed is None:
            self.report("The leaf that closed the session is missing: nothing shows its end.")
            return
        events = len(self.file("events.jsonl").lines())
        if closed.values.get("events") != events:
            said = _shown(closed.values.get("events"))
            self.report(f"events.jsonl has {events} events, but the session closed with {said}.")
        if closed.values.get("leaves") != closed.number + 1:
            said = _shown(closed.values.get("leaves"))
            self.report(
                f"The session closed with {said} leaves, but the last of them is number "
                f"{closed.number}."
            )
        audio = self.first("audio")
        if (closed.values.get("audio") is True) != (audio is not None):
            self.report(
                "The session closed with audio, but the leaf of it is missing."
                if audio is None
                else "There is a leaf of audio, but the session closed without."
            )
        if (audio is None) != ("audio.json" not in self.files):
            self.report("audio.json is missing." if audio else "audio.json belongs to no leaf.")

    def check_documents(self) -> None:
        """Check policy and model."""
        opened = self.first("opened")
        for name, fact in (("policy.toml", "policy_sha256"), ("model.toml", "model_sha256")):
            known = opened.values.get(fact) if opened else None
            if name in self.files and known != self.file(name).sha256:
                self.report(f"{name} is not the one that the session was opened with.")

    def check_audio(self) -> None:
        """Check audio.flac against audio.json, MiB by MiB."""
        audio = self.file("audio.flac")
        if "audio.json" not in self.files:
            if "audio.flac" in self.files:
                self.report("audio.flac belongs to no leaf.")
            return
        values = self.json("audio.json")
        try:
            size, seconds, chunks = _audio_facts(values)
        except (ValueError, KeyError, TypeError):
            self.report("audio.json does not say what audio.flac should be.")
            return
        if (size > 0) != ("audio.flac" in self.files):
            self.report("audio.flac is missing." if size else "audio.flac belongs to no leaf.")
            return
        if audio.size != size:
            self.report(f"audio.flac has {audio.size} bytes, but {size} were recorded.")
        pairs = zip(audio.chunks, chunks, strict=False)
        wrong = [number for number, (found, recorded) in enumerate(pairs) if found != recorded]
        for first, last in _spans(wrong):
            start_s = seconds * first * CHUNK_BYTES / size
            end_s = seconds * min((last + 1) * CHUNK_BYTES / size, 1)
            self.report(
                f"audio.flac: MiB {_span((first + 1, last + 1))} of {len(chunks)}, from about "
                f"{start_s:.0f} s to {end_s:.0f} s, is not what was recorded."
            )
        if size and not wrong and audio.sha256 != values.get("sha256"):
            self.report("audio.flac does not have the digest that audio.json names.")

    def check_manifest(self) -> None:
        """Check that every file is the one that was exported."""
        if "manifest.json" not in self.files:
            return
        manifest = self.json("manifest.json")
        named = manifest.get("files")
        if manifest.get("format") != FORMAT or not isinstance(named, dict):
            self.report(f"manifest.json is not of the format {FORMAT}.")
            return
        opened = self.first("opened")
        if opened and manifest.get("evidence_id") != opened.values.get("session"):
            self.report("manifest.json is of another session.")
        if self.tree and manifest.get("origin") != self.tree.origin:
            self.report("manifest.json is of another log.")
        present = self.files.keys() - _UNPROMISED
        for name in sorted(present | named.keys()):
            file = self.file(name)
            if name not in named:
                self.report(f"{name} is not in manifest.json.")
            elif name not in present:
                self.report(f"{_shown(name)} is in manifest.json, but not in the bundle.")
            elif named[name] != {"bytes": file.size, "sha256": file.sha256}:
                self.report(f"{name} is not the file that manifest.json names.")

    def check_consistency(self, older: Checkpoint, tree: Checkpoint) -> None:
        """Check that the log begins as it was when it was timestamped."""
        values = self.json("consistency.json")
        try:
            proof = [_digest(item) for item in values["proof"]]
            is_proved = len(values) == 1 and proves_consistency(
                older.size, tree.size, older.root, tree.root, proof
            )
        except (ValueError, KeyError, TypeError):
            is_proved = False
        if not is_proved:
            self.report("consistency.json does not show that the log begins as it was timestamped.")

    def check_timestamp(self, tsa_roots: bytes | None) -> tuple[int, int | None]:
        """Return how many leaves an outside timestamp is about, and its time if it was checked."""
        present = [name for name in _TIMESTAMP if name in self.files]
        if not present:
            if tsa_roots is not None:
                self.report("There is no timestamp to check.")
            return 0, None
        if len(present) < len(_TIMESTAMP):
            self.report(f"The timestamp is not whole: there is only {', '.join(present)}.")
            return 0, None
        older, tree = self.checkpoint("timestamp.checkpoint"), self.tree
        if older is None or tree is None:
            return 0, None
        self.check_consistency(older, tree)
        stamp, note = self.file("timestamp.tsr").content, self.file("timestamp.checkpoint").content
        if not any(hash_(note).digest() in stamp for hash_ in _IMPRINTS):
            self.report("timestamp.tsr is not about timestamp.checkpoint.")
        about = sum(leaf.index < older.size for leaf in self.leaves)
        if tsa_roots is None:
            return about, None
        try:
            return about, _timestamp_ms(stamp, note, tsa_roots)
        except ModuleNotFoundError:
            self.report("The timestamp cannot be checked: install rfc3161-client.")
        except Exception as error:  # noqa: BLE001 - whatever parsers of hostile bytes raise
            self.report(f"timestamp.tsr does not hold: {_shown(error)}.")
        return about, None


def _audio_facts(values: dict[str, Any]) -> tuple[int, float, tuple[str, ...]]:
    """Return bytes, seconds and digests of the MiB of the audio that audio.json describes.

    Raises:
        ValueError, KeyError, TypeError: it describes none.
    """
    size, samples = _count(values, "bytes"), _count(values, "samples")
    rate_hz = _count(values, "sample_rate_hz")
    chunks = tuple(_digest(item).hex() for item in values["chunks"])
    if values["chunk_bytes"] != CHUNK_BYTES or len(chunks) != -(-size // CHUNK_BYTES):
        raise ValueError("chunks and length disagree")
    return size, samples / max(rate_hz, 1), chunks


_IMPRINTS: Final = (hashlib.sha256, hashlib.sha384, hashlib.sha512)


def _timestamp_ms(response: bytes, message: bytes, roots: bytes) -> int:
    """Return when an authority saw a message, ms since 1970 (RFC 3161)."""
    from rfc3161_client import VerifierBuilder, decode_timestamp_response  # noqa: PLC0415 - an extra

    answer = decode_timestamp_response(response)
    verifier = VerifierBuilder(roots=load_pem_x509_certificates(roots)).build()
    verifier.verify_message(answer, message)
    return round(answer.tst_info.gen_time.timestamp() * 1000)


def _spans(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return rising numbers as first and last of each run."""
    spans: list[tuple[int, int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1] = (spans[-1][0], number)
        else:
            spans.append((number, number))
    return spans


def _span(span: tuple[int, int]) -> str:
    return str(span[0]) if span[0] == span[1] else f"{span[0]} to {span[1]}"


def _several(one: str, many: str, numbers: Iterable[int], *, is_span: bool = False) -> str:
    """Return numbers in words; a span is given by its first and last."""
    if is_span:
        first, last = numbers
        spans = [(first, last)]
    else:
        spans = _spans(numbers)
    text = ", ".join(_span(span) for span in spans[:10]) + (" ..." if len(spans) > 10 else "")
    return f"{one if len(spans) == 1 and spans[0][0] == spans[0][1] else many} {text}"


def _leaves(numbers: Iterable[int]) -> str:
    return _several("Leaf", "Leaves", numbers)


def _shown(value: object) -> str:
    """Return a value from outside as one short line that can be printed anywhere."""
    known = isinstance(value, str | int | Exception)
    text = str(value)[:200] if known else type(value).__name__
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


# ---------------------------------------------------------------- 6. The command


def describe(verdict: Verdict) -> list[str]:
    """Return a verdict as lines for people: OK or REFUSED first, then why, then what it is."""
    facts = verdict.facts
    if not verdict.ok:
        lines = ["REFUSED: this is not what the log recorded.", ""]
        lines += [f"  - {problem}" for problem in verdict.problems]
        if facts.evidence_id:
            lines += ["", f"It claims to be session {facts.session_id} ({facts.evidence_id})."]
        return lines
    audio = f"{facts.audio_bytes} bytes, each MiB checked" if facts.audio_bytes else "none"
    held = (
        f"{facts.events} events, {facts.verdicts} verdicts, {facts.accesses} accesses, "
        f"in {facts.leaves} leaves"
    )
    return [
        "OK: all of this is what the log recorded, and nothing up to its export is missing.",
        "",
        f"  signed by    {facts.log}, a log of {facts.tree_size} leaves",
        f"  session      {facts.session_id} ({facts.evidence_id})",
        f"  recorded     {_time(facts.opened_at_ms)} to {_time(facts.closed_at_ms)}",
        f"  exported     {_time(facts.exported_at_ms)}",
        f"  holds        {held}",
        f"  audio        {audio}",
        f"  timestamp    {_timestamp(facts)}",
        "",
        "The times are the recording server's own. That its log was not made anew as a whole only",
        "an outside timestamp or witness can show; that it was fed the real call, nothing here.",
    ]


def _timestamp(facts: Facts) -> str:
    if not facts.timestamped_leaves:
        return "none of an outside authority"
    about = f"about the first {facts.timestamped_leaves} of these leaves"
    if facts.timestamp_checked:
        return f"{_time(facts.timestamp_at_ms)} by a trusted authority, {about}"
    return f"there, but not checked (give the authority's certificate), {about}"


def _time(at_ms: int | None) -> str:
    if at_ms is None:
        return "unknown"
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def main(arguments: Sequence[str] | None = None) -> int:
    """Check one bundle; return 0 when it is good, 1 when it is refused, 2 for wrong usage."""
    parser = argparse.ArgumentParser(description="Check an evidence bundle offline.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--key", required=True, help="the log's public key, or a file with it")
    parser.add_argument(
        "--tsa-certificate", type=Path, help="certificates of timestamp authorities you trust, PEM"
    )
    options = parser.parse_args(arguments)
    try:
        key = VerifierKey.find(options.key)
        roots = options.tsa_certificate.read_bytes() if options.tsa_certificate else None
        with options.bundle.open("rb") as file:
            verdict = verify_bundle(file, key, roots)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr] # a terminal of any encoding
    print("\n".join(describe(verdict)))  # noqa: T201 - this is a command
    return 0 if verdict.ok else 1


if __name__ == "__main__":
    sys.exit(main())
