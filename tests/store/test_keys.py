import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceguard.core.errors import ConfigurationError
from voiceguard.store.errors import SealBrokenError
from voiceguard.store.keys import Keyring, MasterKey, normal_number

NUMBER = "+86 138-0013-8000"


@pytest.fixture
def master():
    return MasterKey(bytes(range(32)))


@pytest.fixture
def keyring(tmp_path, master):
    return Keyring.create(tmp_path / "keyring.json", master)


def test_a_master_key_is_64_hexadecimal_digits(tmp_path):
    assert MasterKey.from_text(" " + "aB" * 32 + "\n", "master_key").key_id
    for text in ("", "ab" * 31, "ab" * 33, "xy" * 32, "Ａ" * 64):
        with pytest.raises(ConfigurationError, match="64 hexadecimal digits"):
            MasterKey.from_text(text, "master_key")


def test_a_refused_master_key_is_not_quoted():
    with pytest.raises(ConfigurationError) as caught:
        MasterKey.from_text("secret" * 10, "master_key")
    assert "secret" not in str(caught.value)


def test_a_key_file_open_to_others_is_refused(tmp_path):
    path = tmp_path / "key"
    path.write_text("ab" * 32)
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        MasterKey.from_file(path)
    path.chmod(0o600)
    assert MasterKey.from_file(path).key_id == MasterKey(b"\xab" * 32).key_id


def test_a_made_key_is_its_owners_alone_and_never_replaced(tmp_path):
    path = tmp_path / "key"
    made = MasterKey.create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        MasterKey.create(path)
    assert MasterKey.from_file(path).key_id == made.key_id


def test_the_id_tells_nothing_of_the_key(master):
    assert len(master.key_id) == 8
    assert master.key_id not in bytes(range(32)).hex()


def test_keys_unwrap_for_their_session_and_key_alone(keyring):
    wrapped = keyring.wrap("a" * 32, b"k" * 32)
    assert keyring.unwrap("a" * 32, wrapped, keyring.key_id) == b"k" * 32
    with pytest.raises(SealBrokenError):
        keyring.unwrap("b" * 32, wrapped, keyring.key_id)
    with pytest.raises(SealBrokenError, match="rotate-key"):
        keyring.unwrap("a" * 32, wrapped, "00000000")
    with pytest.raises(SealBrokenError):
        keyring.unwrap("a" * 32, wrapped[:-8] + "AAAAAAA=", keyring.key_id)
    with pytest.raises(SealBrokenError):
        keyring.unwrap("a" * 32, "no base64!", keyring.key_id)


def test_a_keyring_opens_with_its_own_master_key_alone(tmp_path, keyring, master):
    path = tmp_path / "keyring.json"
    before = path.read_bytes()
    assert Keyring.open(path, master).token_key == keyring.token_key
    with pytest.raises(ConfigurationError, match="not the one that this data was written with"):
        Keyring.open(path, MasterKey(bytes(32)))
    assert path.read_bytes() == before


def test_a_key_of_the_right_id_is_still_checked(tmp_path, keyring, master):
    path = tmp_path / "keyring.json"
    values = json.loads(path.read_bytes())
    other = MasterKey(bytes(32))
    values["masters"] = {other.key_id: values["masters"][master.key_id]}
    path.write_text(json.dumps(values))
    with pytest.raises(ConfigurationError, match="not the one"):
        Keyring.open(path, other)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"format": "other", "masters": {}}'])
def test_something_else_than_a_keyring_is_refused(tmp_path, master, content):
    path = tmp_path / "keyring.json"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match="not a keyring"):
        Keyring.open(path, master)


def test_a_number_has_one_pseudonym_however_it_is_written(keyring):
    pseudonym = keyring.pseudonym("acme", NUMBER)
    assert len(pseudonym) == 32
    for same in ("+8613800138000", " +86 (138) 0013.8000 ", "＋８６１３８００１３８０００"):
        assert keyring.pseudonym("acme", same) == pseudonym
    for other in ("8613800138000", "13800138000", "+8613800138001"):
        assert keyring.pseudonym("acme", other) != pseudonym
    assert keyring.pseudonym("other", NUMBER) != pseudonym


def test_no_number_has_no_pseudonym_and_names_differ(keyring):
    assert keyring.pseudonym("acme", "") == keyring.pseudonym("acme", "  ") == ""
    assert keyring.pseudonym("acme", "anonymous") != keyring.pseudonym("acme", "withheld")


def test_pseudonyms_differ_between_archives(tmp_path, master, keyring):
    other = Keyring.create(tmp_path / "other.json", master)
    assert other.pseudonym("acme", NUMBER) != keyring.pseudonym("acme", NUMBER)


@given(st.text())
def test_normalising_twice_changes_nothing(number):
    assert normal_number(normal_number(number)) == normal_number(number)
