"""The audit of a whole log: what it passes, and what it says of each kind of damage."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from voiceguard.core.errors import ConfigurationError
from voiceguard.evidence.audit import MAX_PROBLEMS, AuditReport, audit_log
from voiceguard.evidence.frames import frame
from voiceguard.evidence.leaves import Leaf, LeafKind
from voiceguard.evidence.log import EvidenceLog
from voiceguard.evidence.sessions import AUDIO_GRACE_MS, SessionChecks
from voiceguard.evidence.signing import Signer
from voiceguard.evidence.timestamps import Timestamp, store_timestamp

T0 = 1_790_000_000_000


@pytest.fixture(scope="session")
def signer(tmp_path_factory) -> Signer:
    path = tmp_path_factory.mktemp("key") / "evidence.key"
    return Signer.load_or_create(path, "voiceguard.example/log")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "log"


def uid(number: int) -> str:
    return f"{number:032x}"


def leaf(kind: LeafKind, session: int, n: int, at_ms: int = T0, **facts) -> Leaf:
    return Leaf(kind, at_ms, uid(session), n, "ab" * 32, facts)


def whole_session(session: int, *, batches: int = 3, audio: bool = True) -> list[Leaf]:
    leaves = [leaf(LeafKind.OPENED, session, 0, policy_sha256="p", model_sha256="m")]
    leaves += [
        leaf(LeafKind.EVENTS, session, number + 1, first=4 * number, count=4)
        for number in range(batches)
    ]
    closed = batches + 1
    leaves.append(
        leaf(
            LeafKind.CLOSED,
            session,
            closed,
            ended="completed",
            events=4 * batches,
            leaves=closed + 1,
            audio=audio,
        )
    )
    if audio:
        leaves.append(leaf(LeafKind.AUDIO, session, closed + 1))
    leaves.append(leaf(LeafKind.VERDICT, session, len(leaves)))
    return leaves


def interleaved(*sessions: list[Leaf]) -> list[Leaf]:
    rest = [list(session) for session in sessions]
    mixed = []
    while any(rest):
        mixed += [session.pop(0) for session in rest if session]
    return mixed


def write(folder: Path, signer: Signer, leaves: Iterable[Leaf]) -> bytes:
    with EvidenceLog.open(folder, signer) as log:
        log.append([item.to_bytes() for item in leaves])
        return log.checkpoint()


def audit(folder: Path, signer: Signer, older: bytes | None = None) -> AuditReport:
    return audit_log(folder, signer.verifier_key, older)


LOG = [
    Leaf(LeafKind.STARTED, T0, facts={"version": "1"}),
    *interleaved(whole_session(1), whole_session(2, audio=False), whole_session(3, batches=0)),
]


def test_a_good_log(folder, signer) -> None:
    note = write(folder, signer, LOG)
    told = []
    report = audit_log(folder, signer.verifier_key, note, lambda *at: told.append(at))
    assert report.problems == ()
    assert report.is_clean
    assert (report.size, report.signed_size, report.older_size) == (len(LOG),) * 3
    assert (report.sessions, report.open_session_count, report.awaiting_audio) == (3, 0, 0)
    assert report.origin == "voiceguard.example/log"
    with EvidenceLog.open(folder, signer) as log:
        assert report.root == log.root()


def test_an_empty_log(folder, signer) -> None:
    EvidenceLog.open(folder, signer).close()
    report = audit(folder, signer)
    assert report.is_clean
    assert (report.size, report.signed_size, report.sessions) == (0, 0, 0)


def test_progress_is_told(folder, signer) -> None:
    with EvidenceLog.open(folder, signer) as log:
        log.append([Leaf(LeafKind.STARTED, T0).to_bytes()] * 25_000)
    told: list[tuple[int, int]] = []
    assert audit_log(folder, signer.verifier_key, None, lambda *at: told.append(at)).is_clean
    length = (folder / "leaves").stat().st_size
    assert told == [(length * 10 // 25, length), (length * 20 // 25, length)]


def test_a_log_that_somebody_adds_to(folder, signer) -> None:
    write(folder, signer, LOG)
    stop = threading.Event()
    with EvidenceLog.open(folder, signer) as log:

        def add() -> None:
            session = 100
            while not stop.is_set():
                log.append([item.to_bytes() for item in whole_session(session)])
                log.checkpoint()
                session += 1

        adding = threading.Thread(target=add)
        adding.start()
        try:
            reports = [audit(folder, signer)]
            until_s = time.monotonic() + 30
            while len(reports) < 20 or reports[-1].size == reports[0].size:
                assert time.monotonic() < until_s, "the log does not grow"
                reports.append(audit(folder, signer))
        finally:
            stop.set()
            adding.join()
    assert not any(report.problems for report in reports)


def test_open_sessions_are_no_problem(folder, signer) -> None:
    write(folder, signer, [*LOG, *whole_session(4)[:-3], *whole_session(5)[:-2]])
    report = audit(folder, signer)
    assert report.is_clean
    assert (report.open_sessions, report.open_session_count) == ((uid(4),), 1)
    assert report.awaiting_audio == 1
    assert report.sessions == 5


def test_a_write_that_goes_on_is_no_problem(folder, signer) -> None:
    write(folder, signer, LOG)
    with (folder / "leaves").open("ab") as file:
        file.write(frame(b"x" * 100)[:50])
    report = audit(folder, signer)
    assert report.is_clean
    assert report.unfinished_bytes == 50


def test_lost_records_are_named(folder, signer) -> None:
    write(folder, signer, [*LOG, Leaf(LeafKind.LOST, T0, facts={"records": 17})])
    assert audit(folder, signer).lost_records == 17


# --- damage


def test_a_leaf_changed(folder, signer) -> None:
    note = write(folder, signer, LOG)
    path = folder / "leaves"
    for place in (12, len(path.read_bytes()) // 2):
        content = path.read_bytes()
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        report = audit(folder, signer, note)
        assert "is damaged; what follows it was not read" in report.problems[0]
        assert any("The older checkpoint signs" in problem for problem in report.problems)
        path.write_bytes(content)
    assert audit(folder, signer, note).is_clean


def test_a_leaf_changed_with_its_checksum(folder, signer) -> None:
    note = write(folder, signer, LOG)
    changed = list(LOG)
    changed[0] = Leaf(LeafKind.STARTED, T0, facts={"version": "2"})
    (folder / "leaves").write_bytes(b"".join(frame(item.to_bytes()) for item in changed))
    report = audit(folder, signer, note)
    changed_before = f"signs another log than this: entries before {len(LOG)} were changed"
    assert len(report.problems) == 3
    for start, problem in zip(
        (
            f"log/checkpoint {changed_before}",
            f"The older checkpoint {changed_before}",
            "log/hashes",
        ),
        report.problems,
        strict=True,
    ):
        assert problem.startswith(start)


def test_the_last_leaves_removed(folder, signer) -> None:
    note = write(folder, signer, LOG)
    (folder / "leaves").write_bytes(b"".join(frame(item.to_bytes()) for item in LOG[:-1]))
    report = audit(folder, signer, note)
    assert (
        f"The older checkpoint signs {len(LOG)} entries, but only {len(LOG) - 1} can be read: "
        f"entries before {len(LOG)} were changed or removed." in report.problems
    )


def test_a_log_made_anew_by_whoever_has_the_key(folder, signer, tmp_path) -> None:
    note = write(folder, signer, LOG)
    without = [item for item in LOG if item.session != uid(2)]
    for more in (0, 100):
        anew = tmp_path / f"anew{more}"
        write(anew, signer, without + [Leaf(LeafKind.STARTED, T0)] * more)
        assert audit(anew, signer).is_clean  # by itself it shows nothing
        problem = audit(anew, signer, note).problems[0]
        assert problem.startswith("The older checkpoint signs")
        assert problem.endswith(f"entries before {len(LOG)} were changed or removed.")


def test_a_timestamped_checkpoint_counts_too(folder, signer, tmp_path) -> None:
    note = write(folder, signer, LOG)
    write(tmp_path / "anew", signer, LOG[1:])
    for place in (folder, tmp_path / "anew"):
        store_timestamp(place, Timestamp(len(LOG), note, b"any"))
    good = audit(folder, signer)
    assert (good.is_clean, good.timestamped) == (True, 1)
    assert (
        f"log/timestamps/{len(LOG)}.checkpoint signs"
        in audit(tmp_path / "anew", signer).problems[0]
    )


def test_checkpoints_that_do_not_count(folder, signer, tmp_path) -> None:
    write(folder, signer, LOG)
    other = Signer.load_or_create(tmp_path / "other.key", signer.origin)
    forged = other.sign_checkpoint(1, bytes(32))
    assert audit(folder, signer, forged).problems == (
        "The older checkpoint does not count: it is not signed by this log's key.",
    )
    (folder / "checkpoint").write_bytes(b"nonsense")
    report = audit(folder, signer)
    assert report.signed_size is None
    assert report.problems == (
        "log/checkpoint does not count: it is not a signed checkpoint of an evidence log.",
    )
    (folder / "checkpoint").unlink()
    report = audit(folder, signer)
    assert (report.is_clean, report.signed_size) == (True, None)


@pytest.mark.parametrize("name", ["hashes", "offsets"])
def test_an_index_that_does_not_follow(folder, signer, name) -> None:
    write(folder, signer, LOG)
    path = folder / name
    content = path.read_bytes()
    path.write_bytes(content[:40] + b"\xff" + content[41:])
    problem = f"log/{name} does not follow from the entries"
    assert audit(folder, signer).problems[0].startswith(problem)
    path.unlink()
    assert audit(folder, signer).is_clean  # it is made again at the next start


def test_a_key_that_is_none(folder, signer) -> None:
    write(folder, signer, LOG)
    with pytest.raises(ConfigurationError, match="not a public key"):
        audit_log(folder, "nonsense")


def test_a_folder_without_a_log(tmp_path, signer) -> None:
    with pytest.raises(FileNotFoundError):
        audit(tmp_path, signer)


# --- sessions


def problems_of(leaves: Iterable[Leaf | bytes]) -> list[str]:
    problems: list[str] = []
    checks = SessionChecks(problems.append)
    for index, item in enumerate(leaves):
        checks.take(index, item if isinstance(item, bytes) else item.to_bytes())
    checks.finish()
    return problems


GOOD = whole_session(1)  # opened, three times events, closed, audio, verdict


def without(place: int) -> list[Leaf]:
    return GOOD[:place] + GOOD[place + 1 :]


def test_sessions_as_they_should_be() -> None:
    assert problems_of(GOOD) == []
    later = leaf(LeafKind.HELD, 1, 7), leaf(LeafKind.RELEASED, 1, 8), leaf(LeafKind.EXPORTED, 1, 9)
    erased = leaf(LeafKind.ERASED, 1, 10, cause="request")
    assert problems_of([*GOOD, *later, erased]) == []
    looked_at = [*GOOD[:2], leaf(LeafKind.ACCESSED, 1, 2), leaf(LeafKind.VERDICT, 1, 3)]
    assert problems_of(looked_at) == []


@pytest.mark.parametrize(
    ("leaves", "expected"),
    [
        (without(0), ["it begins with events, not with opened", "number 1 follows where 0"]),
        (without(2), ["event 8 follows where 4 was due", "number 3 follows where 2 was due"]),
        (without(4), ["audio before the session was closed", "number 5 follows where 4"]),
        (without(5), ["number 6 follows where 5 was due"]),
        ([*GOOD[:2], GOOD[1]], ["number 1 follows where 2", "event 0 follows where 4"]),
        ([GOOD[0], *GOOD[2:4]], ["number 2 follows where 1", "event 4 follows where 0"]),
        ([*GOOD, GOOD[0]], ["opened a second time", "number 0 follows where 7"]),
        ([*GOOD, GOOD[4]], ["closed after it was closed", "number 4 follows where 7"]),
        (
            [*GOOD, leaf(LeafKind.EVENTS, 1, 7, first=12, count=1)],
            ["events after it was closed"],
        ),
        ([*GOOD[:6], leaf(LeafKind.AUDIO, 1, 6)], ["audio that was not announced"]),
        (
            [GOOD[0], leaf(LeafKind.CLOSED, 1, 1, events=3, leaves=2, audio=False)],
            ["closed with 3 events, but 0 are there"],
        ),
        (
            [GOOD[0], leaf(LeafKind.CLOSED, 1, 1, events=0, leaves=4, audio=False)],
            ["closed with 4 leaves, but 2 are there"],
        ),
        (
            [GOOD[0], leaf(LeafKind.EVENTS, 1, 1, first="0", count=[])],
            ["event 0 follows where 0 was due"],
        ),
    ],
)
def test_sessions_as_they_should_not_be(leaves, expected) -> None:
    found = problems_of(leaves)
    for words in expected:
        assert any(words in problem and uid(1) in problem for problem in found), (words, found)
    assert len(found) <= len(expected) + 2


def test_audio_is_missing_once_it_had_its_time() -> None:
    closed = GOOD[:5]
    soon = Leaf(LeafKind.STARTED, T0 + AUDIO_GRACE_MS)
    late = Leaf(LeafKind.STARTED, T0 + AUDIO_GRACE_MS + 1)
    assert problems_of([*closed, soon]) == []
    assert problems_of([*closed, late]) == [f"Session {uid(1)}: its audio is missing."]
    erased = leaf(LeafKind.ERASED, 1, 5, cause="request")
    assert problems_of([*closed, erased, late]) == []


@pytest.mark.parametrize(
    "content",
    [
        b"x",
        b"[]",
        b"\xff\xfe",
        b'{"v":1}',
        b'{"at_ms":1,"kind":"nonsense","v":1}',
        b'{"at_ms":1,"kind":"started","v":2}',
        b'{"at_ms":"1","kind":"started","v":1}',
        b'{"at_ms":1,"kind":"events","n":"0","session":"%s","v":1}' % uid(1).encode(),
        b'{"at_ms":1,"kind":"events","n":0,"session":7,"v":1}',
        b'{"at_ms":1,"kind":"events","n":0,"session":"../etc","v":1}',
        b'{"at_ms":1,"kind":["events"],"n":0,"v":1}',
        b'{"at_ms": 1, "kind": "started", "v": 1}',
        b"[" * 60_000,
        bytes(range(100, 200)),
    ],
)
def test_leaves_that_are_none(content) -> None:
    assert problems_of([content]) == ["Entry 0 is nothing that voiceguard writes."]


def test_there_may_be_many_problems(folder, signer) -> None:
    write(folder, signer, [leaf(LeafKind.EVENTS, number, 0) for number in range(1, 501)])
    report = audit(folder, signer)
    assert report.problem_count == 1000  # not opened, and no event's number
    assert len(report.problems) == MAX_PROBLEMS
    assert report.open_session_count == 500
    assert len(report.open_sessions) == 100
