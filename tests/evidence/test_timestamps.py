"""Timestamps of checkpoints, by a real authority of OpenSSL and by bad ones."""

from __future__ import annotations

import socket
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.evidence.tsa import Authority, served
from voiceguard.core.errors import ConfigurationError
from voiceguard.evidence.errors import TimestampError
from voiceguard.evidence.log import EvidenceLog
from voiceguard.evidence.signing import Signer
from voiceguard.evidence.timestamps import (
    MAX_RESPONSE_BYTES,
    Timestamp,
    TimestampKeeper,
    check_timestamp_url,
    find_covering,
    request_timestamp,
    store_timestamp,
    timestamped_checkpoints,
    verify_timestamp,
)

CHECKPOINT = b"voiceguard.example/log\n7\nroot\n\nsignature\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authorities") / "one")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def log(tmp_path):
    signer = Signer.load_or_create(tmp_path / "evidence.key", "voiceguard.example/log")
    with EvidenceLog.open(tmp_path / "log", signer) as opened:
        yield opened


def test_a_timestamp_is_made_and_holds(authority) -> None:
    with served(authority.answer) as url:
        response = request_timestamp(url, CHECKPOINT)
    seen_at = verify_timestamp(response, CHECKPOINT, [authority.root])
    assert abs(datetime.now(UTC) - seen_at) < timedelta(minutes=1)


def test_of_another_checkpoint(authority) -> None:
    with served(authority.answer) as url:
        response = request_timestamp(url, CHECKPOINT)
    with pytest.raises(TimestampError, match="does not hold"):
        verify_timestamp(response, CHECKPOINT + b"x", [authority.root])


def test_of_an_authority_that_is_not_trusted(authority, tmp_path) -> None:
    other = Authority(tmp_path / "other")
    with served(authority.answer) as url:
        response = request_timestamp(url, CHECKPOINT)
    with pytest.raises(TimestampError, match="does not hold"):
        verify_timestamp(response, CHECKPOINT, [other.root])
    verify_timestamp(response, CHECKPOINT, [other.root, authority.root])


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_changed_anywhere(authority) -> None:
    with served(authority.answer) as url:
        response = request_timestamp(url, CHECKPOINT)
    seen_at = verify_timestamp(response, CHECKPOINT, [authority.root])
    refused = 0
    for place in range(0, len(response), 3):
        changed = bytearray(response)
        changed[place] ^= 0x11
        try:
            # A few bytes say nothing, such as a name of the kind of text that a name is in.
            assert verify_timestamp(bytes(changed), CHECKPOINT, [authority.root]) == seen_at
        except TimestampError:
            refused += 1
    assert refused > 0.9 * len(response) / 3


def other_answers(authority) -> list[tuple[str, bytes]]:
    import rfc3161_client

    def to(content: bytes, *, nonce: bool = True, sha512: bool = False) -> bytes:
        builder = rfc3161_client.TimestampRequestBuilder(content, nonce=nonce)
        hashes = rfc3161_client.HashAlgorithm
        kind = hashes.SHA512 if sha512 else hashes.SHA256
        return authority.answer(builder.hash_algorithm(kind).build().as_bytes())[1]

    return [
        ("one to another request", to(CHECKPOINT)),
        ("one to another request", to(CHECKPOINT, nonce=False)),
        ("something else than it was asked to", to(b"another")),
        ("gave no timestamp", to(CHECKPOINT, sha512=True)),
    ]


def test_answers_that_do_not_fit(authority) -> None:
    for words, answer in other_answers(authority):
        refused = pytest.raises(TimestampError, match=words)
        with served(lambda _, answer=answer: (200, answer)) as url, refused:
            request_timestamp(url, CHECKPOINT)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not an RFC 3161 timestamp"),
        (b"<html>no</html>", "not an RFC 3161 timestamp"),
        (bytes(1000), "not an RFC 3161 timestamp"),
        (bytes.fromhex("30053003020100"), "holds no timestamp"),
        (bytes.fromhex("30053003020102"), "gave no timestamp"),
        (bytes(MAX_RESPONSE_BYTES + 1), "more than"),
    ],
)
def test_answers_that_are_garbage(content, words) -> None:
    with served(lambda _: (200, content)) as url, pytest.raises(TimestampError, match=words):
        request_timestamp(url, CHECKPOINT)
    with pytest.raises(TimestampError):
        verify_timestamp(content, CHECKPOINT, [])


def test_an_authority_that_fails() -> None:
    refused = pytest.raises(TimestampError, match="HTTP status 503")
    with served(lambda _: (503, b"later")) as url, refused:
        request_timestamp(url, CHECKPOINT)
    with pytest.raises(TimestampError, match="cannot be reached"):
        request_timestamp(url, CHECKPOINT)


@pytest.mark.parametrize(
    "said", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9"]
)
def test_an_authority_that_speaks_no_http(said) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(said)

        serving = threading.Thread(target=serve)
        serving.start()
        with pytest.raises(TimestampError, match=r"cannot be reached|not an RFC 3161"):
            request_timestamp(f"http://127.0.0.1:{server.getsockname()[1]}/", CHECKPOINT, 5)
        serving.join()


def test_an_authority_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        with pytest.raises(TimestampError, match="timed out"):
            request_timestamp(url, CHECKPOINT, 0.2)


@pytest.mark.parametrize("url", ["", "tsa.example", "ftp://tsa.example", "file:///etc", "http://["])
def test_addresses_that_are_none(url) -> None:
    with pytest.raises(ConfigurationError, match="timestamp_url"):
        check_timestamp_url(url)


def test_without_the_library(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "rfc3161_client", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'voiceguard\[timestamps\]'"):
        check_timestamp_url("https://tsa.example")


# --- what is kept


def test_the_smallest_that_covers_a_leaf(tmp_path) -> None:
    log_folder = tmp_path
    assert find_covering(log_folder, 0) is None
    for size in (1000, 20, 3):
        store_timestamp(log_folder, Timestamp(size, b"checkpoint %d" % size, b"tsr %d" % size))
    for name in ("x.checkpoint", "7.checkpoint", "\u0664.checkpoint"):
        (log_folder / "timestamps" / name).touch()
    assert [path.stem for path in timestamped_checkpoints(log_folder)] == ["3", "20", "1000"]
    expected = {0: 3, 2: 3, 3: 20, 19: 20, 20: 1000, 999: 1000}
    for index, size in expected.items():
        assert find_covering(log_folder, index) == Timestamp(
            size, b"checkpoint %d" % size, b"tsr %d" % size
        )
    assert find_covering(log_folder, 1000) is None


def test_the_keeper_stamps_what_is_new(tmp_path, log, authority) -> None:
    folder = tmp_path / "log"
    queries = []
    with served(lambda query: queries.append(query) or authority.answer(query)) as url:
        keeper = TimestampKeeper(folder, url, log.checkpoint)
        assert keeper.run_once() is None  # an empty log
        log.append([b"one", b"two"])
        path = keeper.run_once()
        assert path == folder / "timestamps" / "2.tsr"
        assert keeper.run_once() is None
        assert TimestampKeeper(folder, url, log.checkpoint).run_once() is None  # after a restart
        assert len(queries) == 1
    log.append([b"three"])
    with pytest.raises(TimestampError, match="cannot be reached"):
        keeper.run_once()
    found = find_covering(folder, 1)
    assert found is not None
    assert found.checkpoint == Path(path).with_suffix(".checkpoint").read_bytes()
    verify_timestamp(found.response, found.checkpoint, [authority.root])
    assert find_covering(folder, 2) is None
