"""Signing in: tokens that cannot be made by others, and tries that are counted."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import timedelta

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceguard.server.reviewing.accounts import Account, PasswordSecret, Role, TokenSecret
from voiceguard.server.reviewing.reviewers import ReviewersFile
from voiceguard.server.reviewing.signin import (
    ReviewGate,
    SignInTokens,
    decode_base64url,
    encode_base64url,
)
from voiceguard.server.reviewing.signindesk import MAX_COUNTED, SignInDesk, Tries, peer_address
from voiceguard.server.status import CallRefusedError

SECRET = b"k" * 32
ACCOUNT = Account("acme", "ada", Role.REVIEWER, TokenSecret(bytes(32)))


class Clock:
    """A clock that tests set."""

    def __init__(self):
        self.now_s = 1000.0

    def seconds(self):
        return self.now_s

    def milliseconds(self):
        return int(self.now_s * 1000)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cheap(monkeypatch):
    monkeypatch.setattr("voiceguard.server.reviewing.accounts.SCRYPT_N", 2)


@pytest.fixture
def path(tmp_path, cheap):
    path = tmp_path / "reviewers"
    lines = [
        Account("acme", "ada", Role.REVIEWER, PasswordSecret.of("right password")),
        Account("globex", "bob", Role.COMPLIANCE, PasswordSecret.of("other password")),
    ]
    path.write_text("\n".join(map(str, lines)))
    path.chmod(0o600)
    return path


@pytest.fixture
def gate(path, clock):
    return ReviewGate(ReviewersFile(path), SignInTokens(SECRET), clock.milliseconds)


@pytest.fixture
def desk(gate, clock):
    desk = SignInDesk(
        gate, lifetime=timedelta(hours=1), clock=clock.seconds, now_ms=clock.milliseconds
    )
    yield desk
    desk.close()


async def refusal(desk, name, password="wrong password", peer="ipv4:1.2.3.4"):
    with pytest.raises(CallRefusedError) as caught:
        await desk.sign_in(name, password, peer)
    return caught.value.refusal


# ---- tokens ----


def test_a_token_names_its_account():
    tokens = SignInTokens(SECRET)
    reviewer = tokens.read(tokens.issue(ACCOUNT, 5000))
    assert reviewer is not None
    assert (reviewer.tenant, reviewer.name, reviewer.role) == ("acme", "ada", Role.REVIEWER)
    assert reviewer.expires_at_ms == 5000
    assert reviewer.epoch == ACCOUNT.epoch


def test_another_server_s_token_is_nobody_s():
    assert SignInTokens(b"x" * 32).read(SignInTokens(SECRET).issue(ACCOUNT, 5000)) is None


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_changed_token_is_read(data):
    tokens = SignInTokens(SECRET)
    token = tokens.issue(ACCOUNT, 5000)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters().filter(lambda char: char != token[at]))
    assert tokens.read(token[:at] + other + token[at + 1 :]) is None
    assert tokens.read(token[:at]) is None
    assert tokens.read(token + other) is None


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_no_text_is_read(text):
    tokens = SignInTokens(SECRET)
    assert tokens.read(text) is None
    assert tokens.read(f"vgs1.{text}") is None
    assert tokens.read(f"vgs1..{text}") is None


def test_a_role_cannot_be_written_in():
    tokens = SignInTokens(SECRET)
    _, payload, mac = tokens.issue(ACCOUNT, 5000).split(".")
    better = decode_base64url(payload).replace(b'"reviewer"', b'"compliance"')
    assert tokens.read(f"vgs1.{encode_base64url(better)}.{mac}") is None


async def test_a_token_ends(desk, gate, clock):
    token, reviewer = await desk.sign_in("ada", "right password", "unix")
    assert gate.find(token) == reviewer
    clock.now_s += 3599.9
    assert gate.find(token) == reviewer
    clock.now_s += 0.1
    assert gate.find(token) is None


@pytest.mark.parametrize("change", ["password", "role", "removed"])
async def test_a_changed_account_ends_its_tokens(desk, gate, path, change):
    token, reviewer = await desk.sign_in("ada", "right password", "unix")
    other, _ = await desk.sign_in("bob", "other password", "unix")
    account = gate.accounts.find_password("ada")
    new = {
        "password": dataclasses.replace(account, secret=PasswordSecret.of("new password")),
        "role": dataclasses.replace(account, role=Role.COMPLIANCE),
        "removed": "",
    }[change]
    path.write_text(f"{new}\n{gate.accounts.find_password('bob')}\n")
    gate.accounts.reload()
    assert gate.find(token) is None
    assert not gate.is_still_good(reviewer)
    assert gate.find(other) is not None


# ---- tries ----


async def test_a_wrong_password_and_an_unknown_name_get_one_answer(desk):
    answers = {
        await refusal(desk, name) for name in ("ada", "nobody", "", "' OR 1=1 --", "x" * 999)
    }
    assert len(answers) == 1
    assert answers.pop().code is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("name", ["ada", "nobody"])
async def test_five_wrong_tries_close_a_name(desk, clock, name):
    for number in range(5):
        clock.now_s += 1
        assert (await refusal(desk, name)).code is grpc.StatusCode.UNAUTHENTICATED, number
    closed = await refusal(desk, name, "right password")
    assert closed.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert closed.retry_after_s == pytest.approx(296)
    await desk.sign_in("bob", "other password", "ipv4:1.2.3.4")  # others may
    clock.now_s += 295
    assert (await refusal(desk, name)).code is grpc.StatusCode.RESOURCE_EXHAUSTED
    clock.now_s += 1.1
    assert (await refusal(desk, name)).code is grpc.StatusCode.UNAUTHENTICATED


async def test_the_right_password_forgets_the_wrong_ones(desk):
    for _ in range(3):
        for _ in range(4):
            await refusal(desk, "ada")
        await desk.sign_in("ada", "right password", "unix")


async def test_twenty_wrong_tries_close_a_peer(desk):
    for number in range(20):
        await refusal(desk, f"name{number}")
    closed = await refusal(desk, "bob", "other password")
    assert closed.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    await desk.sign_in("bob", "other password", "ipv4:5.6.7.8")


async def test_right_ones_do_not_close_a_peer(desk):
    for _ in range(25):
        await desk.sign_in("ada", "right password", "ipv4:1.2.3.4")


async def test_tries_at_once_are_counted_too(desk):
    tries = [desk.sign_in("ada", "wrong password", f"ipv4:{n}") for n in range(50)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    codes = [result.refusal.code for result in results]
    assert codes.count(grpc.StatusCode.UNAUTHENTICATED) == 5


async def test_only_so_many_wait(desk):
    tries = [desk.sign_in(f"name{n}", "wrong password", f"ipv4:{n}") for n in range(50)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    codes = [result.refusal.code for result in results]
    assert codes.count(grpc.StatusCode.RESOURCE_EXHAUSTED) == 50 - 32
    await desk.sign_in("ada", "right password", "unix")


async def test_a_closed_desk_checks_nothing(desk):
    desk.close()
    assert (await refusal(desk, "ada", "right password")).reason == "DRAINING"


def test_memory_is_bounded(clock):
    tries = Tries(5, clock.seconds)
    for number in range(MAX_COUNTED + 100):
        tries.add(f"name{number}")
    assert len(tries) == MAX_COUNTED


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:127.0.0.1:4711", "ipv4:127.0.0.1"),
        ("ipv6:%5B::1%5D:4711", "ipv6:%5B::1%5D"),
        ("unix:", "unix"),
        ("", ""),
    ],
)
def test_a_peer_is_an_address_without_a_port(peer, address):
    assert peer_address(peer) == address
