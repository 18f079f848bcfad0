import io
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceguard.store.errors import SealBrokenError
from voiceguard.store.sealedfiles import SEGMENT_BYTES, SealedReader, SealedWriter
from voiceguard.store.sealing import Payload, seal_payload, unseal_payload

KEY = bytes(range(32))
SIZES = (0, 1, SEGMENT_BYTES - 1, SEGMENT_BYTES, SEGMENT_BYTES + 1, 3 * SEGMENT_BYTES + 77)




def sealed_file(content: bytes, label: str = "a", key: bytes = KEY) -> bytes:
    file = io.BytesIO()
    with SealedWriter(file, key, label) as writer:
        writer.write(content)
    return file.getvalue()


def opened(sealed: bytes, label: str = "a", key: bytes = KEY) -> bytes:
    with SealedReader(io.BytesIO(sealed), key, label) as reader:
        return reader.read()


def some_bytes(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def test_a_payload_opens_at_its_place_alone():
    payload = Payload(b"s" * 32, b"what was said")
    sealed = seal_payload(KEY, "uid", 3, payload)
    assert unseal_payload(KEY, "uid", 3, sealed) == payload
    for key, uid, number in ((bytes(32), "uid", 3), (KEY, "other", 3), (KEY, "uid", 4)):
        with pytest.raises(SealBrokenError):
            unseal_payload(key, uid, number, sealed)
    for place in range(len(sealed)):
        broken = bytearray(sealed)
        broken[place] ^= 1
        with pytest.raises(SealBrokenError):
            unseal_payload(KEY, "uid", 3, bytes(broken))
    with pytest.raises(SealBrokenError):
        unseal_payload(KEY, "uid", 3, b"")


@pytest.mark.parametrize("size", SIZES)
def test_a_file_comes_back_as_it_was(size):
    content = some_bytes(size)
    sealed = sealed_file(content)
    assert opened(sealed) == content
    assert SealedReader(io.BytesIO(sealed), KEY, "a").size == size
    if size > 16:
        assert content[:16] not in sealed


@settings(max_examples=50)
@given(st.lists(st.integers(0, 3 * SEGMENT_BYTES), min_size=1, max_size=8), st.data())
def test_any_range_of_a_file_can_be_read(sizes, data):
    content = some_bytes(sum(sizes))
    file = io.BytesIO()
    with SealedWriter(file, KEY, "a") as writer:
        place = 0
        for size in sizes:
            writer.write(content[place : place + size])
            place += size
        assert writer.tell() == len(content)
    with SealedReader(io.BytesIO(file.getvalue()), KEY, "a") as reader:
        for _ in range(5):
            start = data.draw(st.integers(0, len(content) + 10))
            size = data.draw(st.integers(0, 2 * SEGMENT_BYTES))
            reader.seek(start)
            assert reader.read(size) == content[start : start + size]


def test_the_first_segment_can_be_written_again_and_no_other():
    content = bytearray(some_bytes(3 * SEGMENT_BYTES))
    file = io.BytesIO()
    with SealedWriter(file, KEY, "a") as writer:
        writer.write(content)
        writer.seek(100)
        writer.write(b"corrected")
        writer.seek(SEGMENT_BYTES - 4)
        with pytest.raises(io.UnsupportedOperation):
            writer.write(b"too late")
    content[100:109] = b"corrected"
    assert opened(file.getvalue()) == content


def test_any_changed_byte_is_noticed():
    sealed = sealed_file(some_bytes(2 * SEGMENT_BYTES + 500))
    rng = random.Random(1)
    for place in [*range(60), *(rng.randrange(len(sealed)) for _ in range(60)), len(sealed) - 1]:
        broken = bytearray(sealed)
        broken[place] ^= 0x10
        with pytest.raises(SealBrokenError):
            opened(bytes(broken))


def test_a_cut_file_is_noticed_wherever_it_is_cut():
    sealed = sealed_file(some_bytes(2 * SEGMENT_BYTES + 500))
    whole = SEGMENT_BYTES + 16
    for size in (0, 3, 43, 44, 43 + whole, 43 + whole + 5, 43 + 2 * whole, len(sealed) - 1):
        with pytest.raises(SealBrokenError):
            opened(sealed[:size])
    with pytest.raises(SealBrokenError):
        opened(sealed + bytes(16))


def test_swapped_segments_are_noticed():
    sealed = sealed_file(some_bytes(4 * SEGMENT_BYTES))
    whole, head = SEGMENT_BYTES + 16, 43
    first, second = sealed[head : head + whole], sealed[head + whole : head + 2 * whole]
    with pytest.raises(SealBrokenError):
        opened(sealed[:head] + second + first + sealed[head + 2 * whole :])


def test_another_files_segment_is_noticed():
    content = some_bytes(2 * SEGMENT_BYTES)
    one, two = sealed_file(content), sealed_file(content)
    assert one != two
    with pytest.raises(SealBrokenError):
        opened(one[: 43 + SEGMENT_BYTES + 16] + two[43 + SEGMENT_BYTES + 16 :])
    for label, key in (("b", KEY), ("a", bytes(32))):
        with pytest.raises(SealBrokenError):
            opened(one, label, key)
