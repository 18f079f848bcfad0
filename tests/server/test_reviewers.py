"""The reviewers' file: read, changed, refused."""

from __future__ import annotations

import hashlib
import stat
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceguard.core.errors import ConfigurationError
from voiceguard.server.reviewing.accounts import (
    PasswordSecret,
    Role,
    TokenSecret,
    parse_line,
    read_accounts,
)
from voiceguard.server.reviewing.reviewers import (
    ReviewersFile,
    add_password,
    add_token,
    kind_of,
    list_accounts,
    remove,
)

PASSWORD = "correct horse battery"
CHEAP = "scrypt$16$8$1$" + "A" * 22 + "==$" + "A" * 43 + "="
DIGEST = "0" * 64


@pytest.fixture
def path(tmp_path):
    return tmp_path / "reviewers"


def write(path, text, mode=0o600):
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_password_opens_and_another_does_not(path):
    add_password(path, "acme", "ada", Role.REVIEWER, PASSWORD)
    accounts = ReviewersFile(path)
    found = accounts.check_password("ada", PASSWORD)
    assert found is not None
    assert (found.tenant, found.name, found.role) == ("acme", "ada", Role.REVIEWER)
    assert accounts.check_password("ada", PASSWORD + " ") is None
    assert accounts.check_password("ada", "") is None
    assert accounts.check_password("bob", PASSWORD) is None
    assert PASSWORD not in path.read_text()
    assert PASSWORD not in repr(found)
    assert accounts.find_password("ada").secret.salt.hex() not in repr(found)


def test_an_unknown_name_takes_as_long_as_a_wrong_password(path):
    add_password(path, "acme", "ada", Role.REVIEWER, PASSWORD)
    accounts = ReviewersFile(path)

    def least_s(name):
        times = []
        for _ in range(3):
            begun = time.thread_time()
            accounts.check_password(name, "wrong password")
            times.append(time.thread_time() - begun)
        return min(times)

    known_s, unknown_s = least_s("ada"), least_s("bob")
    assert unknown_s > 0.5 * known_s
    assert known_s > 0.01


def test_a_token_opens_and_is_kept_as_a_digest(path):
    token = add_token(path, "acme", "export", Role.COMPLIANCE)
    second = add_token(path, "acme", "export", Role.COMPLIANCE)
    accounts = ReviewersFile(path)
    assert accounts.find_token(token).name == accounts.find_token(second).name == "export"
    assert accounts.find_token(token + "x") is None
    assert accounts.find_token("") is None
    assert accounts.find_token(hashlib.sha256(token.encode()).hexdigest()) is None
    assert token not in path.read_text()
    assert accounts.check_password("export", token) is None


def test_the_file_is_for_its_owner_alone(path):
    add_password(path, "acme", "ada", Role.REVIEWER, PASSWORD)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_changing_a_password_keeps_everything_else(path):
    write(path, f"# ours\nacme:ada:reviewer:{CHEAP} # Ada\nacme:ada:reviewer:sha256${DIGEST}\n")
    before = ReviewersFile(path)
    add_password(path, "acme", "ada", Role.REVIEWER, PASSWORD)
    lines = path.read_text().splitlines()
    assert lines[:2] == ["# ours", f"acme:ada:reviewer:sha256${DIGEST}"]
    assert len(lines) == 3
    old, new = before.find_password("ada"), ReviewersFile(path).find_password("ada")
    assert old.epoch != new.epoch
    before.reload()
    assert not before.has_epoch(old.epoch)
    assert before.has_epoch(new.epoch)


def test_removing(path):
    add_password(path, "acme", "ada", Role.REVIEWER, PASSWORD)
    add_token(path, "acme", "ada", Role.REVIEWER)
    add_token(path, "acme", "bob", Role.REVIEWER)
    assert [(item.name, kind_of(item)) for item in list_accounts(path)] == [
        ("ada", "password"),
        ("ada", "token"),
        ("bob", "token"),
    ]
    assert remove(path, "ada") == 2
    assert remove(path, "ada") == 0
    assert [item.name for item in list_accounts(path)] == ["bob"]


@pytest.mark.parametrize(
    ("tenant", "name", "problem"),
    [
        ("two words", "ada", "tenant"),
        ("acme", "a:b", "tenant:name"),
        ("acme", "ada#", "name"),
        ("acme", "", "name"),
        ("acme", "x" * 65, "name"),
        ("acme", "Robert'); DROP TABLE sessions", "name"),
        ("acme", "<b>ada</b>", "name"),
        ("globex", "bob", "another tenant"),
        ("acme\nacme", "bob", "tenant"),
    ],
)
def test_bad_names_change_nothing(path, tenant, name, problem):
    add_token(path, "acme", "bob", Role.REVIEWER)
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match=problem):
        add_token(path, tenant, name, Role.REVIEWER)
    assert path.read_bytes() == before


@pytest.mark.parametrize("password", ["short", "", "x" * 1025])
def test_bad_passwords_are_refused(path, password):
    with pytest.raises(ConfigurationError, match="characters"):
        add_password(path, "acme", "ada", Role.REVIEWER, password)
    assert not path.exists()


def test_a_role_that_differs_is_refused(path):
    add_token(path, "acme", "bob", Role.REVIEWER)
    with pytest.raises(ConfigurationError, match=r"line 2.*role"):
        add_token(path, "acme", "bob", Role.COMPLIANCE)


@pytest.mark.parametrize(
    ("text", "mode", "problem"),
    [
        ("acme:ada:reviewer", 0o600, "line 1"),
        (f"#\n\nacme:ada:owner:sha256${DIGEST}", 0o600, "line 3.*role"),
        (f"acme:ada:reviewer:sha256${DIGEST[1:]}", 0o600, "line 1.*secret"),
        (f"acme:ada:reviewer:md5${DIGEST}", 0o600, "line 1.*secret"),
        (
            "acme:ada:reviewer:scrypt$15$8$1$AAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAA",
            0o600,
            "secret",
        ),
        (
            "acme:ada:reviewer:scrypt$16777216$64$1$AAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAA",
            0o600,
            "secret",
        ),
        ("acme:ada:reviewer:scrypt$16$8$1$!!$AAAA", 0o600, "line 1.*secret"),
        (f"acme:ada:reviewer:{CHEAP}\nacme:ada:reviewer:{CHEAP}", 0o600, "line 2.*password"),
        (f"acme:ada:reviewer:{CHEAP}", 0o644, "chmod"),
        (f"acme:ada:reviewer:{CHEAP}", 0o620, "chmod"),
        ("#" * 1_100_000, 0o600, "larger"),
    ],
)
def test_a_bad_file_is_refused(path, text, mode, problem):
    write(path, text, mode)
    with pytest.raises(ConfigurationError, match=problem) as caught:
        ReviewersFile(path)
    assert DIGEST not in str(caught.value)


def test_a_missing_file_is_refused_and_no_text_is_too(path):
    with pytest.raises(ConfigurationError, match="No such file"):
        ReviewersFile(path)
    path.write_bytes(b"\xff\xfe")
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="text"):
        ReviewersFile(path)


def test_a_broken_file_leaves_the_accounts_as_they_were(path):
    token = add_token(path, "acme", "bob", Role.REVIEWER)
    accounts = ReviewersFile(path)
    path.write_text("nonsense\n")
    with pytest.raises(ConfigurationError, match="line 1"):
        accounts.reload()
    assert accounts.find_token(token).name == "bob"


def test_an_empty_file_lets_nobody_in(path):
    assert len(ReviewersFile(write(path, "# nobody\n"))) == 0


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_no_line_surprises(line):
    try:
        account = parse_line(line)
    except ValueError:
        return
    assert parse_line(str(account)) == account


def test_a_line_reads_as_it_was_written():
    for secret in (
        PasswordSecret(16, 8, 1, b"s" * 16, b"d" * 32),
        TokenSecret(bytes(32)),
    ):
        line = f"acme:ada@acme.example:compliance:{secret}"
        assert str(parse_line(line)) == line
        assert parse_line(line).secret == secret


def test_what_was_read_is_what_read_accounts_gives(path):
    add_token(path, "acme", "bob", Role.REVIEWER)
    assert read_accounts(path) == list_accounts(path)
