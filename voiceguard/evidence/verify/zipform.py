"""The one form that a bundle's zip has, for those who write one and those who check one.

Files are stored in the order of `FILES`, each made by Unix as a plain file that all may read, for
version 1.0, at the first moment that a zip can name (PKWARE APPNOTE.TXT, sections 4.3.7, 4.3.12
and 4.3.16). What is read is compared with what would have been written.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final

from .contents import CHUNK_BYTES, FILES, MAX_BUNDLE_BYTES, STREAMED, File, Report
from .wording import shown

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
    """Return the central directory's record of a file."""
    fields = (_MADE_BY, _VERSION, 0, 0, 0, _DATE, entry.crc32, entry.size, entry.size)
    rest = (len(entry.name), 0, 0, 0, 0, _MODE, entry.offset)
    return _CENTRAL.pack(b"PK\x01\x02", *fields, *rest) + entry.name.encode("ascii")


def read_zip(file: BinaryIO, report: Report) -> dict[str, File]:
    """Return the files of a zip in its one form.

    Raises:
        ValueError: it is not in that form.
        OSError: it cannot be read.
    """
    files: dict[str, File] = {}
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
    """Return what a local header says of the next file, refusing all that may not stand there."""
    if len(start) < _LOCAL.size:
        raise ValueError(f"The file ends too early, at byte {offset + len(start)}.")
    *_, crc32, _, size, name_length, _ = _LOCAL.unpack(start)
    raw = _read(file, name_length)
    name = raw.decode("ascii", "replace")
    order = list(FILES)
    if name not in FILES:
        raise ValueError(f"At byte {offset} is {shown(name)!r}, which is no file of a bundle.")
    entry = ZipEntry(name, size, crc32, offset)
    if local_header(entry) != start + raw:
        raise ValueError(f"The zip's header of {name}, at byte {offset}, is not in its one form.")
    if entries and order.index(entries[-1].name) >= order.index(name):
        raise ValueError(f"{name} is in the bundle twice, or not at its place.")
    if size > FILES[name] or offset + size > MAX_BUNDLE_BYTES:
        raise ValueError(f"{name} claims to have {size} bytes, which is more than it may have.")
    return entry


def _read_content(file: BinaryIO, entry: ZipEntry) -> tuple[File, int]:
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
        if entry.name not in STREAMED:
            kept.append(chunk)
        left -= len(chunk)
    return File(entry.size, whole.hexdigest(), tuple(digests), b"".join(kept)), crc32


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
