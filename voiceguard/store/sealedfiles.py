"""Sealed files that can be read from any place: audio of a session under the session's key.

The STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizar: Online Authenticated-Encryption and
its Nonce-Reuse Misuse-Resistance, CRYPTO 2015) as Google's Tink has it (AES-GCM-HKDF streaming):
each file has its own key, derived with a random salt; a segment's nonce is a random prefix, its
index, and whether it is the last. So a segment that was changed, moved, cut off or taken from
another file does not open.

    magic(4) salt(32) prefix(7) | segment | segment | ...      segment = ciphertext, tag(16)
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from voiceguard.store.errors import SealBrokenError
from voiceguard.store.sealing import SALT_BYTES, TAG_BYTES, derive_key

if TYPE_CHECKING:  # collections.abc.Buffer comes with Python 3.12
    from _typeshed import ReadableBuffer, WriteableBuffer

SEGMENT_BYTES: Final = 64 * 1024
"""Of content, in each segment but the last."""

_MAGIC: Final = b"VGS1"
_PREFIX_BYTES: Final = 7
_HEADER_BYTES: Final = len(_MAGIC) + SALT_BYTES + _PREFIX_BYTES
_SEALED_BYTES: Final = SEGMENT_BYTES + TAG_BYTES


class _Cipher:
    """Seals and opens the segments of one file."""

    def __init__(self, key: bytes, label: str, header: bytes) -> None:
        salt = header[len(_MAGIC) : len(_MAGIC) + SALT_BYTES]
        self._prefix = header[len(_MAGIC) + SALT_BYTES :]
        self._cipher = AESGCM(derive_key(key, f"file {label}", salt))
        self._label = label

    def seal(self, content: bytes, index: int, *, last: bool) -> bytes:
        return self._cipher.encrypt(self._nonce(index, last=last), content, self._label.encode())

    def open(self, sealed: bytes, index: int, *, last: bool) -> bytes:
        nonce = self._nonce(index, last=last)
        try:
            return self._cipher.decrypt(nonce, sealed, self._label.encode())
        except (InvalidTag, ValueError):
            message = (
                f"{self._label}: segment {index} was changed, moved or cut since it was written"
            )
            raise SealBrokenError(message) from None

    def _nonce(self, index: int, *, last: bool) -> bytes:
        return self._prefix + index.to_bytes(4, "big") + bytes([last])


class SealedWriter(io.RawIOBase):
    """Seals what is written, segment by segment.

    What has gone into a segment can be written again only within the first one, which is held
    back until the end: encoders go back to correct their header.

    Args:
        file: open for writing at its start; stays open. It holds nothing usable before `close`.
        key: of the session.
        label: what the file is; it opens only as the same.
    """

    def __init__(self, file: BinaryIO, key: bytes, label: str) -> None:
        super().__init__()
        header = _MAGIC + os.urandom(SALT_BYTES + _PREFIX_BYTES)
        self._file = file
        self._cipher = _Cipher(key, label, header)
        self._first = bytearray()
        self._rest = bytearray()
        self._rest_index = 1
        self._size = 0
        self._position = 0
        file.write(header)

    def writable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True; what can be written again is another matter."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def tell(self) -> int:
        """Return the place where the next byte goes."""
        return self._position

    def write(self, content: ReadableBuffer) -> int:
        """Take bytes at the current place: the end, or within the first segment.

        Raises:
            io.UnsupportedOperation: the place lies in what has been sealed.
            OSError: the disk is full or broken.
        """
        data = memoryview(content).cast("B")
        if self._position == self._size:
            self._append(data)
        elif self._position + len(data) <= len(self._first):
            self._first[self._position : self._position + len(data)] = data
        else:
            raise io.UnsupportedOperation("only the first segment can be written again")
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        """Seal what is held back. The file is complete afterwards, but not on the disk yet.

        Raises:
            OSError: the disk is full or broken.
        """
        if self.closed:
            return
        try:
            only = self._size <= SEGMENT_BYTES
            if not only:
                self._write_rest(last=True)
            self._file.seek(_HEADER_BYTES)
            self._file.write(self._cipher.seal(bytes(self._first), 0, last=only))
            self._file.flush()
        finally:
            super().close()

    def _append(self, data: memoryview) -> None:
        self._size += len(data)
        space = SEGMENT_BYTES - len(self._first)
        self._first += data[:space]
        self._rest += data[space:]
        while len(self._rest) > SEGMENT_BYTES:
            self._write_rest(last=False)

    def _write_rest(self, *, last: bool) -> None:
        content = bytes(self._rest[:SEGMENT_BYTES])
        del self._rest[:SEGMENT_BYTES]
        self._file.seek(_HEADER_BYTES + self._rest_index * _SEALED_BYTES)
        self._file.write(self._cipher.seal(content, self._rest_index, last=last))
        self._rest_index += 1


class SealedReader(io.RawIOBase):
    """Reads a sealed file from any place.

    Args:
        file: open for reading; closed with the reader.
        key: of the session.
        label: that it was sealed with.

    Raises:
        SealBrokenError: it is no sealed file; here, or when a part that was changed is read.
    """

    def __init__(self, file: BinaryIO, key: bytes, label: str) -> None:
        super().__init__()
        self._file = file  # first, because `close` is called whatever happens here
        header = file.read(_HEADER_BYTES)
        if len(header) != _HEADER_BYTES or not header.startswith(_MAGIC):
            raise SealBrokenError(f"{label}: not a sealed file")
        self._cipher = _Cipher(key, label, header)
        sealed_bytes = file.seek(0, io.SEEK_END) - _HEADER_BYTES
        self._segments = max(-(-sealed_bytes // _SEALED_BYTES), 1)
        self.size = max(sealed_bytes - self._segments * TAG_BYTES, 0)
        """Bytes of content."""
        self._position = 0
        self._held_index = -1
        self._held = b""
        self._segment(self._segments - 1)

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def tell(self) -> int:
        """Return the place where the next byte comes from."""
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill a buffer; return how many bytes there were.

        Raises:
            SealBrokenError: this part of the file was changed.
        """
        target = memoryview(buffer).cast("B")
        filled = 0
        while filled < len(target) and self._position < self.size:
            index, offset = divmod(self._position, SEGMENT_BYTES)
            piece = self._segment(index)[offset : offset + len(target) - filled]
            target[filled : filled + len(piece)] = piece
            filled += len(piece)
            self._position += len(piece)
        return filled

    def close(self) -> None:
        """Close the file, too."""
        if not self.closed:
            self._file.close()
        super().close()

    def _segment(self, index: int) -> bytes:
        if index != self._held_index:
            self._file.seek(_HEADER_BYTES + index * _SEALED_BYTES)
            sealed = self._file.read(_SEALED_BYTES)
            self._held = self._cipher.open(sealed, index, last=index == self._segments - 1)
            self._held_index = index
        return self._held
