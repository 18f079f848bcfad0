"""`voiceguard evidence` on the folder of a server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.evidence.tsa import Authority, served
from voiceguard.cli.exits import ExitCode
from voiceguard.evidence.leaves import Leaf, LeafKind
from voiceguard.evidence.log import EvidenceLog
from voiceguard.evidence.signing import Signer
from voiceguard.evidence.timestamps import verify_timestamp
from voiceguard.resources import default_data_dir

UID = "0123456789abcdef" * 2


@pytest.fixture
def data_dir(tmp_path, monkeypatch) -> Path:
    """The folder of a server whose log has 12 entries, found by default."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder = tmp_path / "voiceguard"
    folder.mkdir()
    grow(folder, 11, session=UID)
    return folder


def grow(folder: Path, count: int, session: str = "") -> Signer:
    signer = Signer.load_or_create(folder / "evidence.key", "voiceguard.example/log")
    leaves = [Leaf(LeafKind.STARTED, number, facts={"version": "1"}) for number in range(count)]
    if session:
        leaves.append(Leaf(LeafKind.OPENED, 5, session))
    with EvidenceLog.open(folder / "log", signer) as log:
        log.append([leaf.to_bytes() for leaf in leaves])
    return signer


def test_where_a_server_keeps_things_by_default(monkeypatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    for state, expected in (
        ("/state", "/state/voiceguard"),
        ("", "/home/someone/.local/state/voiceguard"),
        ("relative", "/home/someone/.local/state/voiceguard"),
    ):
        monkeypatch.setenv("XDG_STATE_HOME", state)
        assert default_data_dir() == Path(expected)
    monkeypatch.delenv("XDG_STATE_HOME")
    assert default_data_dir() == Path("/home/someone/.local/state/voiceguard")


def test_the_overview(voiceguard) -> None:
    ended = voiceguard("evidence", "--help")
    assert ended.code == ExitCode.OK
    for name in ("key", "checkpoint", "audit", "timestamp"):
        assert f"  {name} " in ended.out


def test_the_group_imports_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from voiceguard.cli.program import run\n"
        "assert run(['evidence', '--help']) == 0\n"
        "heavy = {'numpy', 'grpc', 'onnxruntime', 'rich', 'cryptography', 'voiceguard.evidence'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_key(voiceguard, data_dir) -> None:
    signer = grow(data_dir, 0)
    assert voiceguard("evidence", "key").out == signer.verifier_key + "\n"


def test_the_checkpoint(voiceguard, data_dir, tmp_path) -> None:
    content = (data_dir / "log" / "checkpoint").read_text("utf-8")
    assert voiceguard("evidence", "checkpoint").out == content
    out = tmp_path / "kept"
    assert voiceguard("evidence", "checkpoint", "--out", out).out == ""
    assert out.read_text("utf-8") == content
    (data_dir / "log" / "checkpoint").write_text(content.replace("\n12\n", "\n13\n"), "utf-8")
    ended = voiceguard("evidence", "checkpoint")
    assert (ended.code, ended.errors) == (1, ["error: not signed by this log's key"])


def test_an_audit_of_a_good_log(voiceguard, data_dir, tmp_path) -> None:
    kept = tmp_path / "kept"
    voiceguard("evidence", "checkpoint", "--out", kept)
    signer = grow(data_dir, 30)
    ended = voiceguard("evidence", "audit", "--checkpoint", kept)
    assert (ended.code, ended.err) == (0, "")
    assert "entries:   42 (42 signed)\n" in ended.out
    assert "sessions:  1, 1 of them open\n" in ended.out
    assert "unchanged: the first 12 entries, by the older checkpoint\n" in ended.out
    assert ended.out.endswith("All is well.\n")
    pub = tmp_path / "log.pub"
    pub.write_text(signer.verifier_key + "\n")
    for key in (signer.verifier_key, pub):
        ended = voiceguard("evidence", "audit", "--data-dir", data_dir, "--key", key, "--json")
        found = json.loads(ended.out)
        assert (ended.code, found["clean"], found["entries"], found["problems"]) == (
            0,
            True,
            42,
            [],
        )
        assert found["first_open_sessions"] == [UID]
        assert found["older_checkpoint_entries"] is None


def test_an_audit_of_a_changed_log(voiceguard, data_dir, tmp_path) -> None:
    kept = tmp_path / "kept"
    voiceguard("evidence", "checkpoint", "--out", kept)
    path = data_dir / "log" / "leaves"
    content = bytearray(path.read_bytes())
    content[20] ^= 1
    path.write_bytes(content)
    ended = voiceguard("evidence", "audit", "--checkpoint", kept)
    assert ended.code == ExitCode.FAILED
    assert "error: Entry 0, at byte 0 of log/leaves, is damaged" in ended.err
    assert "error: The older checkpoint signs 12 entries, but only 0 can be read" in ended.err
    assert "All is well" not in ended.out
    ended = voiceguard("evidence", "audit", "--json")
    assert ended.code == ExitCode.FAILED
    assert json.loads(ended.out)["problem_count"] == 2


def test_an_audit_with_another_key(voiceguard, data_dir, tmp_path) -> None:
    other = Signer.load_or_create(tmp_path / "other.key", "voiceguard.example/log")
    ended = voiceguard("evidence", "audit", "--key", other.verifier_key)
    assert ended.code == ExitCode.FAILED
    assert "log/checkpoint does not count: it is not signed by this log's key." in ended.err


@pytest.mark.parametrize("key", ["nonsense", "/", "a\0b", "/dev/null"])
def test_keys_that_are_none(voiceguard, data_dir, key) -> None:
    ended = voiceguard("evidence", "audit", "--key", key)
    assert ended.code == ExitCode.USAGE
    assert "neither a public key" in ended.err


@pytest.mark.parametrize("command", [["key"], ["checkpoint"], ["audit"]])
def test_without_a_log(voiceguard, tmp_path, command) -> None:
    ended = voiceguard("evidence", *command, "--data-dir", tmp_path)
    assert ended.code == ExitCode.USAGE
    assert "no evidence log at" in ended.errors[0]
    (tmp_path / "log").mkdir()
    ended = voiceguard("evidence", *command, "--data-dir", tmp_path)
    assert ended.code == ExitCode.USAGE
    assert "no public key beside the log" in ended.errors[0]


def test_a_log_without_a_checkpoint(voiceguard, data_dir) -> None:
    (data_dir / "log" / "checkpoint").unlink()
    ended = voiceguard("evidence", "checkpoint")
    assert ended.code == ExitCode.FAILED
    assert "checkpoint: No such file" in ended.errors[0]
    assert "entries:   12 (no checkpoint)" in voiceguard("evidence", "audit").out


def test_a_timestamp(voiceguard, data_dir, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    authority = Authority(tmp_path / "authority")
    with served(authority.answer) as url:
        ended = voiceguard("evidence", "timestamp", "--url", url)
        made = data_dir / "log" / "timestamps" / "12.tsr"
        assert (ended.code, ended.out) == (0, f"{made}\n")
        again = voiceguard("evidence", "timestamp", "--url", url)
        assert again.err == "note: nothing was added since the last timestamp\n"
    checkpoint = (data_dir / "log" / "checkpoint").read_bytes()
    verify_timestamp(made.read_bytes(), checkpoint, [authority.root])
    assert "stamped:   1 checkpoints" in voiceguard("evidence", "audit").out
    grow(data_dir, 1)
    ended = voiceguard("evidence", "timestamp", "--url", url)
    assert ended.code == ExitCode.FAILED
    assert "cannot be reached" in ended.errors[0]
    assert voiceguard("evidence", "timestamp", "--url", "x").code == ExitCode.USAGE


def test_progress_of_a_long_audit(voiceguard, data_dir, monkeypatch) -> None:
    shown = []
    monkeypatch.setattr(
        "voiceguard.cli.terminal.WorkProgress.show", lambda _, *at: shown.append(at)
    )
    grow(data_dir, 10_000)
    assert voiceguard("evidence", "audit").code == ExitCode.OK
    assert [text for _, _, text in shown] == ["reading"]
