"""`voiceguard reviewers`, the reviewers' page's options, and both on a real review service."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import queue
import threading
from contextlib import contextmanager

import pytest

from tests.server.reviewing import cheap_passwords, reviewing
from voiceguard.cli.exits import ExitCode
from voiceguard.server.reviewing.accounts import Role, read_accounts
from voiceguard.server.reviewing.reviewers import ReviewersFile

PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    cheap_passwords(monkeypatch)


@pytest.fixture
def types(monkeypatch):
    """Types passwords at a terminal."""

    def type_in(*words):
        left = list(words)
        monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
        monkeypatch.setattr("click.termui.hidden_prompt_func", lambda _: left.pop(0))

    return type_in


def test_a_password_is_typed_twice_and_lets_in(voiceguard, types, tmp_path) -> None:
    file = tmp_path / "reviewers"
    types(PASSWORD, PASSWORD)
    ended = voiceguard("reviewers", "add", "ann", "--file", file, "--role", "compliance")
    assert ended.code == 0
    assert PASSWORD not in ended.out + ended.err + file.read_text()
    account = ReviewersFile(file).check_password("ann", PASSWORD)
    assert account is not None
    assert (account.tenant, account.role) == ("local", Role.COMPLIANCE)
    assert file.stat().st_mode & 0o077 == 0


def test_a_short_password_and_no_terminal_are_refused(
    voiceguard, types, tmp_path, monkeypatch
) -> None:
    file = tmp_path / "reviewers"
    types("ninechars", "ninechars")
    short = voiceguard("reviewers", "add", "ann", "--file", file)
    assert short.code == ExitCode.USAGE
    assert "at least 10" in short.errors[0]
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n{PASSWORD}\n"))
    unseen = voiceguard("reviewers", "add", "ann", "--file", file)
    assert unseen.code == ExitCode.USAGE
    assert "--token" in unseen.errors[0]
    assert not file.exists()


def test_a_token_is_printed_once_and_not_kept(voiceguard, tmp_path) -> None:
    file = tmp_path / "reviewers"
    ended = voiceguard("reviewers", "add", "nightly", "--file", file, "--token", "--tenant", "acme")
    token = ended.out.strip()
    assert ended.code == 0
    assert token not in file.read_text()
    found = ReviewersFile(file).find_token(token)
    assert found is not None
    assert (found.name, found.tenant) == ("nightly", "acme")


def test_listing_and_removing(voiceguard, tmp_path, monkeypatch) -> None:
    file = tmp_path / "reviewers"
    monkeypatch.setenv("VOICEGUARD_REVIEWERS_FILE", str(file))
    for name in ("ann", "ben"):
        assert voiceguard("reviewers", "add", name, "--token").code == 0
    listed = voiceguard("reviewers", "list", "--json")
    assert [json.loads(line) for line in listed.out.splitlines()] == [
        {"name": name, "tenant": "local", "role": "reviewer", "credential": "token"}
        for name in ("ann", "ben")
    ]
    table = voiceguard("reviewers", "list").out
    assert "ann" in table
    assert "sha256" not in table
    assert voiceguard("reviewers", "remove", "ann").code == 0
    assert [account.name for account in read_accounts(file)] == ["ben"]
    again = voiceguard("reviewers", "remove", "ann")
    assert again.code == ExitCode.FAILED
    assert "names no reviewer 'ann'" in again.errors[0]


@pytest.mark.parametrize("arguments", [["list"], ["remove", "ann"]])
def test_a_file_that_is_not_there(voiceguard, tmp_path, arguments) -> None:
    ended = voiceguard("reviewers", *arguments, "--file", tmp_path / "no")
    assert ended.code != 0
    assert len(ended.errors) == 1


def test_a_page_that_others_reach_wants_tls(voiceguard) -> None:
    pytest.importorskip("uvicorn")
    ended = voiceguard("review", "--listen", "0.0.0.0:8080")
    assert ended.code == ExitCode.USAGE
    assert "--tls-cert" in ended.errors[0]


def test_the_page_gets_what_the_options_say(voiceguard, monkeypatch) -> None:
    pytest.importorskip("uvicorn")
    seen = []
    monkeypatch.setattr("voiceguard.cli.review.run", lambda settings, **_: seen.append(settings))
    options = "--listen 127.0.0.1:0 --server vg.example:1 --server-name vg --allow-host me"
    assert voiceguard("review", *options.split()).code == 0
    (settings,) = seen
    assert (settings.server, settings.server_tls, settings.server_name) == (
        "vg.example:1",
        True,
        "vg",
    )
    assert settings.allowed_hosts == ("me",)


@contextmanager
def real_service(folder):
    """Run the real service over a real archive in a thread; give its address and tokens."""
    given: queue.Queue = queue.Queue()

    async def serve() -> None:
        async with reviewing(folder) as rig:
            await rig.keep("call-1", audio=bytes(32_000))
            await rig.keep("call-2", campaign="=cmd|' /C calc'!A0")
            ended = asyncio.Event()
            given.put((rig.target, rig.tokens, asyncio.get_running_loop(), ended))
            await ended.wait()

    thread = threading.Thread(target=asyncio.run, args=[serve()])
    thread.start()
    address, tokens, loop, ended = given.get(timeout=30)
    try:
        yield address, tokens
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(30)


def test_the_whole_way_on_a_real_service(voiceguard, tmp_path, monkeypatch) -> None:
    with real_service(tmp_path) as (address, tokens):
        monkeypatch.setenv("VOICEGUARD_SERVER", address)
        monkeypatch.setenv("VOICEGUARD_REVIEW_TOKEN", tokens["ada"])
        listed = voiceguard("sessions", "list", "--json", "--number", "+86 138 0013 8000")
        found = [json.loads(line) for line in listed.out.splitlines()]
        assert [one["sessionId"] for one in found] == ["call-2", "call-1"]
        assert "138" not in found[0]["call"]["customerNumber"][:3]
        shown = voiceguard("sessions", "show", "call-1")
        assert shown.code == 0
        assert "campaign spring" in shown.out
        assert voiceguard("sessions", "audio", "call-1", "-o", tmp_path / "a.wav").code == 0
        assert (tmp_path / "a.wav").read_bytes().startswith(b"RIFF")
        assert voiceguard("sessions", "verdict", "call-1", "confirmed").code == 0
        exported = voiceguard("sessions", "export", "-o", "-", "--verdict", "confirmed")
        (row,) = csv.DictReader(io.StringIO(exported.out))
        assert (row["session_id"], row["verdict_reviewer"]) == ("call-1", "ada")
        everything = voiceguard("sessions", "export", "-o", "-").out
        assert "'=cmd" in everything
        denied = voiceguard("sessions", "hold", "call-1", "--reason", "case")
        assert (denied.code, "PERMISSION_DENIED" in denied.errors[0]) == (ExitCode.SERVER, True)
        monkeypatch.setenv("VOICEGUARD_REVIEW_TOKEN", tokens["carol"])
        assert voiceguard("sessions", "hold", "call-1", "--reason", "case").code == 0
        kept = voiceguard("sessions", "erase", "call-1", "--reason", "asked", "--yes")
        assert (kept.code, "FAILED_PRECONDITION" in kept.errors[0]) == (ExitCode.SERVER, True)
        erased = voiceguard("sessions", "erase", "call-2", "--reason", "asked", "--yes")
        assert erased.code == 0
        accesses = json.loads(voiceguard("sessions", "show", "call-1", "--access", "--json").out)
        actions = [(entry["actor"], entry["action"]) for entry in accesses["access"]]
        assert ("ada", "viewed") in actions
        assert ("ada", "heard") in actions
        monkeypatch.setenv("VOICEGUARD_REVIEW_TOKEN", tokens["gus"])
        assert voiceguard("sessions", "list").err == "note: no session matches\n"
        monkeypatch.setenv("VOICEGUARD_REVIEW_TOKEN", "wrong")
        refused = voiceguard("sessions", "list")
        assert refused.code == ExitCode.SERVER
        assert "UNAUTHENTICATED" in refused.errors[0]
