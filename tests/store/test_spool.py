import errno
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceguard.evidence.leaves import Leaf, LeafKind
from voiceguard.store import spool as spool_module
from voiceguard.store.errors import SegmentDamagedError
from voiceguard.store.records import Noted, Record
from voiceguard.store.spool import Spool


def record(index: int, size: int = 20) -> Record:
    return Record(index, Leaf(LeafKind.STARTED, index), Noted(), bytes([index % 256]) * size)


def records(first: int, after: int) -> list[Record]:
    return [record(index) for index in range(first, after)]


def read_all(spool: Spool, index: int = 0) -> list[Record]:
    found = []
    while more := spool.read(index, 7):
        found += more
        index = more[-1].leaf_index + 1
    return found


@pytest.fixture
def small_segments(monkeypatch):
    monkeypatch.setattr(spool_module, "MAX_SEGMENT_BYTES", 400)


def test_records_come_back_in_order(tmp_path, small_segments):
    spool = Spool(tmp_path)
    for first in range(0, 50, 5):
        spool.append(records(first, first + 5))
    assert len(list(tmp_path.iterdir())) > 3
    assert read_all(spool) == records(0, 50)
    assert read_all(spool, 13) == records(13, 50)
    assert spool.read(50, 10) == []
    spool.close()
    again = Spool(tmp_path)
    assert again.bounds == (0, 50)
    assert read_all(again) == records(0, 50)
    again.append(records(50, 51))
    assert read_all(again, 45) == records(45, 51)
    again.close()


def test_what_was_applied_is_deleted(tmp_path, small_segments):
    spool = Spool(tmp_path)
    for first in range(0, 50, 5):
        spool.append(records(first, first + 5))
    before = spool.bytes_on_disk
    spool.discard(30)
    first, after = spool.bounds
    assert 20 < first <= 30
    assert after == 50
    assert spool.bytes_on_disk < before
    spool.end_segment()
    spool.discard(50)
    assert spool.bounds is None
    assert not list(tmp_path.iterdir())
    spool.append(records(50, 52))
    assert read_all(spool, 50) == records(50, 52)
    spool.close()


@given(st.integers(0, 400))
def test_a_torn_tail_is_cut_wherever_it_is_torn(tmp_path_factory, cut):
    folder = tmp_path_factory.mktemp("spool")
    spool = Spool(folder)
    ends = []
    for index in range(5):
        spool.append([record(index)])
        ends.append(spool.bytes_on_disk)
    spool.close()
    (path,) = folder.iterdir()
    path.write_bytes(path.read_bytes()[:cut])
    whole = sum(end <= cut for end in ends)
    again = Spool(folder)
    assert read_all(again) == records(0, whole)
    again.append(records(whole, whole + 2))
    assert read_all(again) == records(0, whole + 2)
    again.close()


@pytest.mark.parametrize("call", ["fdatasync", "pwrite", "fsync", "open"])
def test_a_full_disk_leaves_the_spool_as_it_was(tmp_path, monkeypatch, call):
    spool = Spool(tmp_path)
    spool.append(records(0, 3))
    spool.end_segment()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for _ in range(3):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, full)
            with pytest.raises(OSError, match="No space"):
                spool.append(records(3, 6))
        assert read_all(spool) == records(0, 3)
    spool.append(records(3, 6))
    assert read_all(spool) == records(0, 6)
    spool.close()
    again = Spool(tmp_path)
    assert read_all(again) == records(0, 6)
    again.close()


def test_what_could_not_be_cut_off_after_a_failed_sync_counts_once(tmp_path, monkeypatch):
    spool = Spool(tmp_path)
    spool.append(records(0, 3))

    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", broken)
        patch.setattr(os, "ftruncate", broken)
        with pytest.raises(OSError, match="Input/output"):
            spool.append(records(3, 6))
    spool.append(records(3, 8))
    spool.close()
    again = Spool(tmp_path)
    assert read_all(again) == records(0, 8)
    again.close()


def test_missing_records_in_the_middle_are_refused(tmp_path, small_segments):
    spool = Spool(tmp_path)
    for first in range(0, 50, 5):
        spool.append(records(first, first + 5))
    spool.close()
    paths = sorted(tmp_path.iterdir())
    paths[1].unlink()
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(SegmentDamagedError, match="are missing"):
        Spool(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
