"""The evidence log on disk: what it keeps, what it repairs, what it refuses."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evidence import reference
from voiceguard.core.errors import ConfigurationError
from voiceguard.evidence.checkpoints import open_checkpoint, parse_key
from voiceguard.evidence.errors import EvidenceError
from voiceguard.evidence.frames import (
    FRAME_OVERHEAD_BYTES,
    MAX_LEAF_BYTES,
    find_frame,
    frame,
    read_frames,
    unframe,
)
from voiceguard.evidence.log import EvidenceLog, choose_origin
from voiceguard.evidence.recovery import _BATCH_LEAVES
from voiceguard.evidence.signing import Signer
from voiceguard.evidence.storage import LeafStore

ORIGIN = "voiceguard.example/log"


@pytest.fixture(scope="session")
def signer(tmp_path_factory) -> Signer:
    return Signer.load_or_create(tmp_path_factory.mktemp("key") / "evidence.key", ORIGIN)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "log"


def numbered(first: int, count: int) -> list[bytes]:
    return [f"leaf {number} ".encode() * (number % 7 + 1) for number in range(first, first + count)]


def stop(log: EvidenceLog) -> None:
    """End as a kill does: nothing is signed, the files stay as they are."""
    log._store.close()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def check(log: EvidenceLog, leaves: list[bytes]) -> None:
    assert log.size == len(leaves)
    assert [log.leaf(index) for index in range(log.size)] == leaves
    assert log.root() == reference.mth(leaves)


def test_what_is_appended_is_there(folder, signer) -> None:
    leaves = numbered(0, 50)
    with EvidenceLog.open(folder, signer) as log:
        assert (log.size, log.origin) == (0, ORIGIN)
        assert log.root() == reference.mth([])
        assert log.append(leaves[:1]) == 0
        assert log.append(leaves[1:20]) == 1
        assert log.append([]) == 20
        assert log.append(leaves[20:]) == 20
        check(log, leaves)
    with EvidenceLog.open(folder, signer) as log:
        check(log, leaves)


def test_proofs_of_the_log_hold(folder, signer) -> None:
    leaves = numbered(0, 77)
    with EvidenceLog.open(folder, signer) as log:
        log.append(leaves)
        root = log.root(70)
        assert root == reference.mth(leaves[:70])
        for index in range(70):
            proof = log.inclusion_proof(index, 70)
            assert reference.includes(index, 70, leaves[index], proof, root)
        for old in range(1, 77):
            proof = log.consistency_proof(old, 77)
            assert reference.consistent(old, 77, log.root(old), log.root(), proof)
        for call in (lambda: log.root(78), lambda: log.inclusion_proof(0, 78)):
            with pytest.raises(ValueError, match="77 leaves"):
                call()
        for index in (77, -1):
            with pytest.raises(IndexError):
                log.leaf(index)


def test_checkpoints_are_signed_and_kept(folder, signer) -> None:
    key = parse_key(signer.verifier_key)
    with EvidenceLog.open(folder, signer) as log:
        assert open_checkpoint(log.checkpoint(), key).size == 0
        log.append(numbered(0, 3))
        note = log.checkpoint()
        assert (folder / "checkpoint").read_bytes() == note
        signed = open_checkpoint(note, key)
        assert (signed.origin, signed.size, signed.root) == (ORIGIN, 3, log.root())
        stamp = (folder / "checkpoint").stat().st_ino
        assert log.checkpoint() == note
        assert (folder / "checkpoint").stat().st_ino == stamp  # nothing new, nothing written
        log.append(numbered(3, 2))
    assert open_checkpoint((folder / "checkpoint").read_bytes(), key).size == 5
    with EvidenceLog.open(folder, signer) as log:
        log.append(numbered(5, 1))
        assert (folder / "checkpoint").read_bytes() != note
    assert sorted(contents(folder)) == ["checkpoint", "hashes", "key.pub", "leaves", "offsets"]


@pytest.mark.parametrize("leaf", [b"", bytes(MAX_LEAF_BYTES + 1)])
def test_leaves_that_are_none(folder, signer, leaf) -> None:
    with EvidenceLog.open(folder, signer) as log:
        with pytest.raises(ValueError, match="must have 1 to"):
            log.append([b"good", leaf])
        check(log, [])
        log.append([bytes(MAX_LEAF_BYTES)])
        assert log.leaf(0) == bytes(MAX_LEAF_BYTES)


def test_the_log_of_another_key_or_name(folder, signer, tmp_path) -> None:
    with EvidenceLog.open(folder, signer) as log:
        log.append(numbered(0, 3))
    before = contents(folder)
    for other in (
        Signer.load_or_create(tmp_path / "other.key", ORIGIN),
        Signer(signer._private_key, "another.example/log"),
    ):
        with pytest.raises(ConfigurationError, match="another key or name"):
            EvidenceLog.open(folder, other)
    (folder / "key.pub").unlink()
    with pytest.raises(EvidenceError, match="not of 'another"):
        EvidenceLog.open(folder, Signer(signer._private_key, "another.example/log"))
    (folder / "key.pub").unlink()
    with EvidenceLog.open(folder, signer) as log:
        assert log.size == 3
    assert contents(folder) == before


def test_a_log_keeps_its_name(folder, signer) -> None:
    assert choose_origin(folder, "wanted") == "wanted"
    made = choose_origin(folder, "")
    assert made != choose_origin(folder, "")
    EvidenceLog.open(folder, signer).close()
    assert choose_origin(folder, "") == ORIGIN


# --- after a kill


@pytest.mark.parametrize("signed", [None, 0, 4])
def test_a_torn_tail_is_cut_off_wherever_it_was_torn(folder, signer, tmp_path, signed) -> None:
    leaves = numbered(0, 6)
    log = EvidenceLog.open(folder, signer)
    if signed is not None:
        log.append(leaves[:signed])
        log.checkpoint()
    log.append(leaves[log.size : 4])
    whole = (folder / "leaves").stat().st_size
    log.append(leaves[4:])
    stop(log)
    ends = [whole]
    for leaf in leaves[4:]:
        ends.append(ends[-1] + FRAME_OVERHEAD_BYTES + len(leaf))
    for size in range(whole, ends[-1] + 1):
        copy = tmp_path / "copy"
        shutil.copytree(folder, copy)
        os.truncate(copy / "leaves", size)
        expected = 4 + sum(end <= size for end in ends[1:])
        with EvidenceLog.open(copy, signer) as log:
            check(log, leaves[:expected])
            log.append(leaves[expected:])
            check(log, leaves)
        shutil.rmtree(copy)


@pytest.mark.parametrize("tail", [b"\0" * 5000, b"\xff" * 100, b"\0\0\0\0", bytes(range(256)) * 12])
def test_garbage_after_the_last_leaf_is_cut_off(folder, signer, tail) -> None:
    leaves = numbered(0, 9)
    log = EvidenceLog.open(folder, signer)
    log.append(leaves)
    stop(log)
    whole = (folder / "leaves").read_bytes()
    (folder / "leaves").write_bytes(whole + tail)
    with EvidenceLog.open(folder, signer) as log:
        check(log, leaves)
    assert (folder / "leaves").read_bytes() == whole


@pytest.mark.parametrize("signed", [0, 6, 9])
@pytest.mark.parametrize("name", ["hashes", "offsets"])
@pytest.mark.parametrize("left", [None, 0, 3, 40])
def test_an_index_that_is_missing_or_short_is_made_again(
    folder, signer, name, left, signed
) -> None:
    leaves = numbered(0, 9)
    log = EvidenceLog.open(folder, signer)
    log.append(leaves[:signed])
    log.checkpoint()
    log.append(leaves[signed:])
    stop(log)
    before = contents(folder)
    if left is None:
        (folder / name).unlink()
    else:
        os.truncate(folder / name, left)
    log = EvidenceLog.open(folder, signer)
    check(log, leaves)
    stop(log)
    assert contents(folder) == before


def test_an_index_of_many_leaves_is_made_again(folder, signer) -> None:
    with EvidenceLog.open(folder, signer) as log:
        log.append(numbered(0, 2 * _BATCH_LEAVES + 1))
    before = contents(folder)
    (folder / "hashes").unlink()
    EvidenceLog.open(folder, signer).close()
    assert contents(folder) == before


@pytest.mark.parametrize("name", ["hashes", "offsets"])
def test_an_index_of_nonsense_is_made_again(folder, signer, name) -> None:
    leaves = numbered(0, 9)
    with EvidenceLog.open(folder, signer) as log:
        log.append(leaves)
    before = contents(folder)
    (folder / name).write_bytes(b"\xff" * len(before[name]))
    with EvidenceLog.open(folder, signer) as log:
        check(log, leaves)
    assert contents(folder) == before


def test_a_start_reads_only_the_end_of_a_long_log(folder, signer, monkeypatch) -> None:
    with EvidenceLog.open(folder, signer) as log:
        for first in range(0, 3000, 1000):
            log.append(numbered(first, 1000))
    log = EvidenceLog.open(folder, signer)
    log.append(numbered(3000, 10))
    stop(log)
    read = []
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, n, at: read.append(n) or pread(fd, n, at))
    EvidenceLog.open(folder, signer).close()
    assert sum(min(count, MAX_LEAF_BYTES) for count in read) < 200_000
    assert len(read) < 400


# --- damage


def damaged(folder: Path, signer: Signer, expected: str) -> None:
    before = contents(folder)
    with pytest.raises(EvidenceError, match=expected):
        EvidenceLog.open(folder, signer)
    assert contents(folder) == before


@pytest.fixture
def signed_log(folder, signer) -> list[bytes]:
    leaves = numbered(0, 20)
    with EvidenceLog.open(folder, signer) as log:
        log.append(leaves)
    return leaves


def test_fewer_leaves_than_were_signed(folder, signer, signed_log) -> None:
    path = folder / "leaves"
    path.write_bytes(b"".join(map(frame, signed_log[:-1])))
    damaged(folder, signer, "has 19 whole entries, but 20 were signed")
    os.truncate(path, path.stat().st_size - 1)
    damaged(folder, signer, "has 18 whole entries, but 20 were signed")
    os.truncate(path, 0)
    damaged(folder, signer, "has 0 whole entries")


def test_other_leaves_than_were_signed(folder, signer, signed_log) -> None:
    for changed in (
        [*signed_log[:19], b"another"],
        [signed_log[1], signed_log[0], *signed_log[2:]],
        [*signed_log[:19], signed_log[18], signed_log[19]],
    ):
        (folder / "leaves").write_bytes(b"".join(map(frame, changed)))
        for name in ("hashes", "offsets"):
            (folder / name).unlink(missing_ok=True)
            (folder / name).touch()
        damaged(folder, signer, "entries before 20 were changed")


def test_a_damaged_leaf_before_good_ones(folder, signer) -> None:
    leaves = numbered(0, 6)
    log = EvidenceLog.open(folder, signer)
    log.append(leaves)  # never signed
    stop(log)
    whole = (folder / "leaves").read_bytes()
    third = sum(len(frame(leaf)) for leaf in leaves[:2])
    for place in (third, third + 2, third + 5, third + FRAME_OVERHEAD_BYTES):
        changed = bytearray(whole)
        changed[place] ^= 0x40
        (folder / "leaves").write_bytes(changed)
        damaged(folder, signer, f"entry 2, at byte {third}, is not whole, but whole ones follow")


def test_a_checkpoint_that_is_none(folder, signer, signed_log) -> None:
    path = folder / "checkpoint"
    note = path.read_bytes()
    for content in (b"", note[:-10], note.replace(b"\n20\n", b"\n19\n")):
        path.write_bytes(content)
        damaged(folder, signer, "checkpoint: not ")


def test_a_leaf_changed_under_a_running_log(folder, signer, signed_log) -> None:
    with EvidenceLog.open(folder, signer) as log:
        for changed in (frame(signed_log[0][:-1] + b"!"), b"\0" * len(frame(signed_log[0]))):
            with (folder / "leaves").open("r+b") as file:
                file.write(changed)
            with pytest.raises(EvidenceError, match=r"entry 0 .* is damaged or was changed"):
                log.leaf(0)
        assert log.leaf(1) == signed_log[1]


# --- a full or broken disk


class Disk:
    """Fails where it is told to."""

    def __init__(self, monkeypatch) -> None:
        self.pwrites_left = 10**9
        self.bytes_left = 10**9
        self.syncs_fail = False
        self.cuts_fail = False
        self._real = (os.pwrite, os.fdatasync, os.ftruncate)
        monkeypatch.setattr(os, "pwrite", self.pwrite)
        monkeypatch.setattr(os, "fdatasync", self.fdatasync)
        monkeypatch.setattr(os, "ftruncate", self.ftruncate)

    def pwrite(self, descriptor, content, offset) -> int:
        self.pwrites_left -= 1
        content = memoryview(content)[: self.bytes_left]
        if self.pwrites_left < 0 or not content:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.bytes_left -= len(content)
        return self._real[0](descriptor, content, offset)

    def fdatasync(self, descriptor) -> None:
        if self.syncs_fail:
            raise OSError(errno.EIO, "Input/output error")
        self._real[1](descriptor)

    def ftruncate(self, descriptor, size) -> None:
        if self.cuts_fail:
            raise OSError(errno.EIO, "Input/output error")
        self._real[2](descriptor, size)

    def mend(self) -> None:
        self.pwrites_left = self.bytes_left = 10**9
        self.syncs_fail = self.cuts_fail = False


@pytest.mark.parametrize("cuts_fail", [False, True])
@pytest.mark.parametrize(
    "fault",
    [
        {"bytes_left": 0},
        {"bytes_left": 5},
        {"bytes_left": 60},
        {"pwrites_left": 1},
        {"pwrites_left": 2},
        {"syncs_fail": True},
    ],
    ids=str,
)
def test_a_failed_append_leaves_the_log_as_it_was(
    folder, signer, monkeypatch, fault, cuts_fail
) -> None:
    leaves = numbered(0, 30)
    with EvidenceLog.open(folder, signer) as log:
        log.append(leaves[:11])
        before = contents(folder)
        disk = Disk(monkeypatch)
        disk.cuts_fail = cuts_fail
        for name, value in fault.items():
            setattr(disk, name, value)
        for _ in range(2):
            with pytest.raises(OSError, match=r"No space|Input/output"):
                log.append(leaves[20:])
            check(log, leaves[:11])
        disk.mend()
        if not cuts_fail:
            assert contents(folder) == before
        log.append(leaves[11:13])  # shorter than what is to be cut off
        check(log, leaves[:13])
        log.append(leaves[13:])
        check(log, leaves)
    with EvidenceLog.open(folder, signer) as log:
        check(log, leaves)


def test_a_kill_while_the_disk_is_full(folder, signer, monkeypatch) -> None:
    leaves = numbered(0, 5)
    log = EvidenceLog.open(folder, signer)
    log.append(leaves)
    disk = Disk(monkeypatch)
    disk.bytes_left, disk.cuts_fail = 50, True
    with pytest.raises(OSError, match="No space"):
        log.append([b"x" * 100])
    disk.mend()
    stop(log)
    with EvidenceLog.open(folder, signer) as log:
        check(log, leaves)


def test_no_room_for_a_checkpoint(folder, signer, monkeypatch) -> None:
    log = EvidenceLog.open(folder, signer)
    log.append(numbered(0, 5))
    note = log.checkpoint()
    log.append(numbered(5, 5))
    disk = Disk(monkeypatch)
    disk.bytes_left = 10
    with pytest.raises(OSError, match="No space"):
        log.checkpoint()
    assert (folder / "checkpoint").read_bytes() == note
    with pytest.raises(OSError, match="No space"):
        log.close()
    disk.mend()
    assert not list(folder.glob(".*.part"))
    with EvidenceLog.open(folder, signer) as log:
        check(log, numbered(0, 10))


def test_a_folder_that_cannot_be_used(tmp_path, signer) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="exists"):
        EvidenceLog.open(tmp_path / "file", signer)


# --- threads


def test_many_read_while_one_appends(folder, signer) -> None:
    problems: list[BaseException] = []
    ready = threading.Event()
    with EvidenceLog.open(folder, signer) as log:

        def read() -> None:
            try:
                while not ready.is_set():
                    size = log.size
                    if size:
                        leaf = log.leaf(size - 1)
                        proof = log.inclusion_proof(size - 1, size)
                        assert reference.includes(size - 1, size, leaf, proof, log.root(size))
                        log.checkpoint()
            except BaseException as error:  # noqa: BLE001 - shown below
                problems.append(error)

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        for first in range(0, 2000, 10):
            log.append(numbered(first, 10))
        ready.set()
        for reader in readers:
            reader.join()
        assert not problems
        assert log.size == 2000


# --- frames


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=20), st.binary(max_size=20))
@settings(deadline=None)
def test_frames_are_read_back(tmp_path_factory, leaves, tail) -> None:
    path = tmp_path_factory.getbasetemp() / "frames"
    whole = b"".join(map(frame, leaves))
    path.write_bytes(whole + tail)
    with path.open("rb") as file:
        found = list(read_frames(file.fileno(), 0, len(whole)))
        assert [leaf for _, leaf in found] == leaves
        assert not leaves or found[-1][0] == len(whole)
        assert all(unframe(frame(leaf)) == leaf for leaf in leaves)


@pytest.mark.parametrize("before", [0, 1, 1000, (1 << 20) - 5, (1 << 20) + 70_000, 3 << 20])
def test_a_frame_is_found_wherever_it_lies(tmp_path, before) -> None:
    path = tmp_path / "frames"
    content = bytes(before) + frame(b"x" * MAX_LEAF_BYTES)
    path.write_bytes(content)
    with path.open("rb") as file:
        # Zeros read as its checksum's beginning are no frame, so it is found at its own place.
        assert find_frame(file.fileno(), 0, len(content)) == before
        assert find_frame(file.fileno(), 0, len(content) - 1) is None
        assert find_frame(file.fileno(), before + 1, len(content)) is None


def test_many_frames_across_the_reading_size(tmp_path, signer) -> None:
    leaves = [bytes([number % 251 + 1]) * (number * 37 % 60_000 + 1) for number in range(200)]
    path = tmp_path / "frames"
    path.write_bytes(b"".join(map(frame, leaves)))
    with path.open("rb") as file:
        assert [leaf for _, leaf in read_frames(file.fileno(), 0, path.stat().st_size)] == leaves


def test_files_that_cannot_be_opened_leave_none_open(tmp_path) -> None:
    (tmp_path / "hashes").mkdir()
    open_files = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OSError, match="directory"):
        LeafStore(tmp_path)
    assert len(list(Path("/proc/self/fd").iterdir())) == open_files
