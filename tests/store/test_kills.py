"""Kills at random moments under load: nothing acknowledged is lost, and all fits together."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import queue
import random
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import soundfile
from sqlalchemy import select

from tests.store.kills import CHUNK_SAMPLES, FORMAT, MOST_CHUNKS, call_audio
from tests.store.waiting import settle
from voiceguard.core.audio import decode
from voiceguard.evidence.leaves import Leaf, LeafKind
from voiceguard.evidence.verify import commitment_of, parse_canonical
from voiceguard.store.archive import Archive, ArchiveSettings
from voiceguard.store.schema import RECORDS

KILLS = int(os.environ.get("VOICEGUARD_KILLS", "50"))
SEED = int(os.environ.get("VOICEGUARD_KILLS_SEED", "1"))

LONGEST_S = 0.5
"""Of one life."""


class Zygote:
    """Starts archives under load, and kills them."""

    def __init__(self, data_dir: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.store.kills", str(data_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self._until("READY")

    def life(self, seed: int, length_s: float) -> list[list[str]]:
        """Let an archive live for a while; return what it said."""
        self._process.stdin.write(f"{seed}\n")
        self._process.stdin.flush()
        said, pid = [], None
        while pid is None:
            words = self._next()
            if words[0] == "PID":
                pid = int(words[1])
            else:
                said.append(words)
        time.sleep(length_s)
        os.kill(pid, signal.SIGKILL)
        return said + self._until("DEAD")

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(10)
        self._reader.join(10)
        self._process.stdout.close()

    def _until(self, word: str) -> list[list[str]]:
        said = []
        while (words := self._next())[0] != word:
            said.append(words)
        return said

    def _next(self) -> list[str]:
        return self._lines.get(timeout=20).split()

    def _read(self) -> None:
        for line in self._process.stdout:
            self._lines.put(line)


class Witness:
    """Remembers what was acknowledged, and looks whether it is there."""

    def __init__(self) -> None:
        self.leaves: dict[int, str] = {}
        self.checkpoints: dict[int, bytes] = {}
        self.submitted: dict[int, tuple[str, str]] = {}
        self.looked_at = 0
        self.heard = 0
        self.numbers: defaultdict[str, int] = defaultdict(int)
        self.closed: set[str] = set()
        self.erased: set[str] = set()

    def listen(self, said: list[list[str]]) -> None:
        for words in said:
            match words:
                case ["C", index, digest]:
                    assert self.leaves.setdefault(int(index), digest) == digest
                case ["K", note]:
                    lines = base64.b64decode(note).decode().split("\n")
                    self.checkpoints[int(lines[1])] = base64.b64decode(lines[2])
                case ["S", uid, what, index]:
                    self.submitted[int(index)] = (uid, what)
                case _:
                    raise AssertionError(f"the archive said {words}")

    def look(self, archive: Archive, data_dir: Path) -> None:
        log = archive.log
        for size, root in self.checkpoints.items():
            assert log.root(size) == root
        assert max(self.leaves, default=-1) < log.size
        new = range(self.looked_at, log.size)
        leaves = {index: log.leaf(index) for index in new}
        for index, content in leaves.items():
            known = self.leaves.get(index)
            assert known in (None, hashlib.sha256(content).hexdigest())
        self._look_at_sessions(archive, leaves, data_dir)
        self.looked_at = log.size

    def look_again(self, archive: Archive) -> None:
        """Look at all that was ever acknowledged, not only what is new."""
        for index, digest in self.leaves.items():
            assert hashlib.sha256(archive.log.leaf(index)).hexdigest() == digest

    def _look_at_sessions(self, archive: Archive, leaves: dict[int, bytes], data_dir: Path) -> None:
        database = archive._link.database
        with database.reading() as connection:
            query = select(RECORDS).where(RECORDS.c.leaf_index >= self.looked_at)
            rows = {row.leaf_index: row for row in connection.execute(query)}
        touched = set()
        for index, content in leaves.items():
            leaf = Leaf.from_bytes(content)
            if not leaf.session:
                assert leaf.kind is LeafKind.STARTED, "nothing may be lost while there is room"
                continue
            assert bytes(rows[index].leaf) == content
            assert leaf.number == self.numbers[leaf.session], "numbers have no gaps"
            self.numbers[leaf.session] += 1
            touched.add(leaf.session)
            if leaf.kind is LeafKind.CLOSED:
                assert leaf.facts["leaves"] == leaf.number + 1
                self.closed.add(leaf.session)
            if leaf.kind is LeafKind.ERASED:
                self.erased.add(leaf.session)
            if index in self.submitted:
                uid, what = self.submitted[index]
                expected = {"hold": "held", "release": "released", "erase": "erased"}
                assert (leaf.session, leaf.kind) == (uid, expected.get(what, what))
        assert set(self.numbers) == self.closed, "every session has its end"
        for uid in touched:
            self._look_at_session(archive, uid, data_dir)

    def _look_at_session(self, archive: Archive, uid: str, data_dir: Path) -> None:
        row = archive.finder.find_uid(uid)
        assert row.leaves == self.numbers[uid]
        files = [path.name for path in (data_dir / "audio").glob(f"{uid}*")]
        if uid in self.erased:
            assert not row.wrapped_key
            assert not files
            return
        events = 0
        for record in archive.payloads(row):
            leaf = Leaf.from_bytes(record.leaf)
            if record.payload:
                assert leaf.commitment == commitment_of(record.salt, record.payload)
            if leaf.kind is LeafKind.EVENTS:
                assert leaf.facts["first"] == events
                events += leaf.facts["count"]
                assert record.payload.count(b"\n") == leaf.facts["count"]
            if leaf.kind is LeafKind.CLOSED:
                assert leaf.facts["events"] == events == row.events
            if leaf.kind is LeafKind.AUDIO:
                self._listen_to(archive, row, parse_canonical(record.payload))
        assert row.audio in {"none", "kept"}
        if row.ended == "completed" and row.high_sensitivity and row.audio_s:
            assert row.audio == "kept"
        if row.audio == "none":
            assert not files

    def _listen_to(self, archive: Archive, row, facts) -> None:
        if not facts["samples"]:
            return
        self.heard += 1
        with archive.open_audio(row) as file:
            content = file.read()
        assert hashlib.sha256(content).hexdigest() == facts["sha256"]
        samples, rate_hz = soundfile.read(io.BytesIO(content), dtype="int16")
        assert (len(samples), rate_hz) == (facts["samples"], 8000)
        expected = decode(call_audio(row.uid, MOST_CHUNKS), FORMAT)
        assert np.array_equal(samples, expected[: len(samples)])
        assert len(samples) % CHUNK_SAMPLES == 0
        if facts["complete"]:
            assert len(samples) == round(row.audio_s * 8000)
        assert archive.waveform(row).samples == len(samples)


def test_nothing_acknowledged_is_lost_by_kills(tmp_path):
    data_dir = tmp_path / "data"
    rng = random.Random(SEED)
    zygote, witness = Zygote(data_dir), Witness()
    try:
        for kill in range(KILLS):
            witness.listen(zygote.life(rng.getrandbits(32), rng.uniform(0, LONGEST_S)))
            # What the first lives leave may be nothing; the archive is then begun here.
            archive = Archive.open(ArchiveSettings(data_dir=data_dir), _fail)
            archive.start()
            try:
                settle(archive)
                witness.look(archive, data_dir)
                if kill == KILLS - 1:
                    witness.look_again(archive)
            finally:
                archive.close()
    finally:
        zygote.close()
    assert len(witness.leaves) > 20 * KILLS, "the load was too small to mean anything"
    assert witness.heard
    assert witness.erased
    assert witness.checkpoints


def _fail(what: str, error: BaseException) -> None:
    raise AssertionError(what) from error
