"""Kills a process that appends to an evidence log, again and again, and looks at what is left.

    python tests/evidence/kill_log.py FOLDER SEED KILLS

A program of its own, without threads, so that it can fork: a kill costs milliseconds. Each child
opens the log that the last one left, appends groups of leaves and says through a pipe how many
are acknowledged, until it is killed, which may be in the middle of opening. Then everything
acknowledged must be there, nothing that was not meant, and every root that was ever signed must
still be the root of that many leaves.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import struct
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from voiceguard.evidence.audit import audit_log
from voiceguard.evidence.checkpoints import open_checkpoint, parse_key
from voiceguard.evidence.frames import frame
from voiceguard.evidence.leaves import Leaf, LeafKind
from voiceguard.evidence.log import EvidenceLog
from voiceguard.evidence.signing import Signer

ACKNOWLEDGED = struct.Struct("<Q")

LONGEST_LIFE_S = 0.03


@dataclass
class Seen:
    """What is known of the log for certain."""

    rounds: list[int] = field(default_factory=list)
    """By leaf, the round whose child wrote it."""
    roots: dict[int, bytes] = field(default_factory=dict)
    """By size, as signed."""
    checked: int = 0
    """Leaves whose content was compared after their round."""
    torn: int = 0
    unacknowledged: int = 0
    killed_while_opening: int = 0


def leaf_of(seed: int, round_: int, index: int) -> bytes:
    """Return the leaf that the child of a round writes at a place."""
    digest = hashlib.sha256(f"{seed} {round_} {index}".encode()).hexdigest()
    length = int(digest[:4], 16) % (20_000 if digest[4] == "0" else 300)
    text = (digest * (length // len(digest) + 1))[: length + 1]
    return Leaf(LeafKind.STARTED, index, facts={"version": text}).to_bytes()


def write_until_killed(folder: Path, signer: Signer, seed: int, round_: int, pipe: int) -> None:
    rng = random.Random(f"{seed} {round_}")
    log = EvidenceLog.open(folder, signer)
    while True:
        count = rng.choice([1, 1, 3, 20, rng.randint(1, 200)])
        log.append([leaf_of(seed, round_, log.size + place) for place in range(count)])
        os.write(pipe, ACKNOWLEDGED.pack(log.size))
        if rng.random() < 0.1:
            log.checkpoint()


def run_and_kill(folder: Path, signer: Signer, seed: int, round_: int, life_s: float) -> int | None:
    """Return how many leaves a child had acknowledged when it was killed; None: none yet."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            write_until_killed(folder, signer, seed, round_, writer)
        finally:
            os._exit(1)
    os.close(writer)
    time.sleep(life_s)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the child ended by itself"
    said = b""
    while part := os.read(reader, 1 << 16):
        said += part
    os.close(reader)
    if len(said) < ACKNOWLEDGED.size:
        return None
    return int(ACKNOWLEDGED.unpack(said[-ACKNOWLEDGED.size :])[0])


def damage_as_a_power_cut_does(folder: Path, rng: random.Random) -> None:
    """Leave a part of a write at the end, or less of the index than there was."""
    if rng.random() < 0.3:
        with (folder / "leaves").open("ab") as file:
            file.write(frame(b"x" * 500)[: rng.randint(1, 507)])
    if rng.random() < 0.1:
        path = folder / rng.choice(["hashes", "offsets"])
        if path.exists():
            os.truncate(path, rng.randint(0, path.stat().st_size))


def check(folder: Path, signer: Signer, seed: int, round_: int, seen: Seen, rng) -> None:
    key = parse_key(signer.verifier_key)
    if (folder / "checkpoint").exists():
        signed = open_checkpoint((folder / "checkpoint").read_bytes(), key)
        assert seen.roots.setdefault(signed.size, signed.root) == signed.root
    before = (folder / "leaves").stat().st_size if (folder / "leaves").exists() else 0
    log = EvidenceLog.open(folder, signer)
    seen.torn += (folder / "leaves").stat().st_size < before
    known = len(seen.rounds)
    assert log.size >= known, f"{known - log.size} acknowledged leaves are lost"
    for index in range(seen.checked, log.size):
        assert log.leaf(index) == leaf_of(seed, round_, index), f"leaf {index} is another"
    seen.checked = log.size
    seen.unacknowledged += log.size - known
    seen.rounds += [round_] * (log.size - known)
    for index in rng.sample(range(log.size), min(log.size, 20)):
        assert log.leaf(index) == leaf_of(seed, seen.rounds[index], index)
    for size in rng.sample(sorted(seen.roots), min(len(seen.roots), 20)):
        assert log.root(size) == seen.roots[size], f"the root of {size} leaves is another"
    if rng.random() < 0.2:
        log.close()
    else:
        log._store.close()  # nothing signed: the next child begins as after the kill


def main() -> None:
    folder, seed, kills = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    rng = random.Random(seed)
    signer = Signer.load_or_create(folder / "evidence.key", "voiceguard.example/kills")
    log_folder = folder / "log"
    seen = Seen()
    for round_ in range(kills):
        life_s = rng.uniform(0, LONGEST_LIFE_S)
        acknowledged = run_and_kill(log_folder, signer, seed, round_, life_s)
        if acknowledged is None:
            seen.killed_while_opening += 1
        else:
            assert acknowledged > len(seen.rounds)
            seen.rounds += [round_] * (acknowledged - len(seen.rounds))
        if log_folder.exists():
            damage_as_a_power_cut_does(log_folder, rng)
            check(log_folder, signer, seed, round_, seen, rng)
    EvidenceLog.open(log_folder, signer).close()
    report = audit_log(log_folder, signer.verifier_key)
    assert report.is_clean, report.problems
    assert report.size == len(seen.rounds)
    with EvidenceLog.open(log_folder, signer) as log:
        for size, root in seen.roots.items():
            assert log.root(size) == root
    figures = {"leaves": report.size, "checkpoints": len(seen.roots), "torn": seen.torn}
    figures["unacknowledged"] = seen.unacknowledged
    figures["killed_while_opening"] = seen.killed_while_opening
    print(json.dumps(figures))  # noqa: T201 - for whoever started it


if __name__ == "__main__":
    main()
