import pytest
from click.testing import CliRunner

from tests.store.calls import flagged_call, opening
from tests.store.waiting import settle
from voiceguard.cli.store import store
from voiceguard.core.errors import ConfigurationError
from voiceguard.store import rotation
from voiceguard.store.archive import Archive
from voiceguard.store.errors import SealBrokenError
from voiceguard.store.keys import MasterKey, read_masters
from voiceguard.store.rotation import rotate_keys
from voiceguard.store.settings import ArchiveSettings

NEW = MasterKey(b"n" * 32)


class KilledError(BaseException):
    """Stands for the moment at which the process ends."""


@pytest.fixture
def settings(tmp_path):
    return ArchiveSettings(data_dir=tmp_path / "data")


@pytest.fixture
def uids(settings):
    """Sessions of an archive that was closed, one of them without end."""
    archive = opened(settings)
    uids = [flagged_call(archive, f"call-{number}") for number in range(5)]
    settle(archive)
    uids.append(archive.begin(opening("left")).evidence_id)
    erased = archive.erase(uids.pop(0), "ann", "asked for").result(10)
    archive.applied(erased).result(10)
    archive.close()
    return uids


def opened(settings):
    archive = Archive.open(settings)
    archive.start()
    return archive


def check(settings, uids):
    """See that everything can be read still, and that audio and pseudonyms are as they were."""
    archive = opened(settings)
    settle(archive)
    pseudonym = archive.keys.pseudonym("acme", "+8613800138000")
    for uid in uids:
        row = archive.finder.find_uid(uid)
        assert row.key_id == archive.keys.key_id
        assert row.customer == pseudonym
        assert archive.payloads(row)[0].payload
        if row.audio == "kept":
            assert archive.open_audio(row).read(4) == b"fLaC"
    assert archive.finder.find_uid(uids[-1]).ended == "interrupted"
    archive.close()


def test_keys_are_wrapped_again_and_nothing_else_changes(settings, uids):
    old = settings.find_master_key()
    audio = {path: path.read_bytes() for path in (settings.data_dir / "audio").iterdir()}
    said = []
    assert rotate_keys(settings, NEW, said.append) == len(uids)
    assert said == [len(uids)]
    assert list(read_masters(settings.keyring_path)) == [NEW.key_id]
    assert settings.find_master_key().key_id == NEW.key_id
    assert {path: path.read_bytes() for path in (settings.data_dir / "audio").iterdir()} == audio
    check(settings, uids)
    old.store(settings.data_dir / "master.key")
    with pytest.raises(ConfigurationError, match="not the one that this data"):
        Archive.open(settings)


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("step", "times"), [
    ("write_masters", 1), ("write_masters", 2), ("rewrap", 1), ("rewrap", 2), ("store", 1),
])  # fmt: skip
def test_a_change_that_is_killed_can_be_run_again(settings, uids, monkeypatch, step, times, done):
    monkeypatch.setattr(rotation, "MAX_AT_ONCE", 2)
    left = times

    def dying(call):
        def run(*parts):
            nonlocal left
            left -= 1
            if left or done:
                result = call(*parts)
            if not left:
                raise KilledError
            return result

        return run

    place, name = {
        "write_masters": (rotation, "write_masters"),
        "rewrap": (rotation.SessionFinder, "replace_wrapped_keys"),
        "store": (MasterKey, "store"),
    }[step]
    with monkeypatch.context() as patch:
        patch.setattr(place, name, dying(getattr(place, name)))
        with pytest.raises(KilledError):
            rotate_keys(settings, NEW)
    if settings.find_master_key().key_id != NEW.key_id:
        rotate_keys(settings, NEW)
    check(settings, uids)
    assert list(read_masters(settings.keyring_path)) == [NEW.key_id]


def test_a_server_may_start_with_either_key_in_between(settings, uids, monkeypatch):
    monkeypatch.setattr(rotation, "MAX_AT_ONCE", 2)

    def killed(_: int) -> None:
        raise KilledError

    with pytest.raises(KilledError):
        rotate_keys(settings, NEW, killed)
    for changes in ({}, {"master_key": (b"n" * 32).hex()}):
        archive = opened(ArchiveSettings(data_dir=settings.data_dir, **changes))
        settle(archive)
        uids.insert(0, flagged_call(archive, f"between-{len(changes)}"))
        settle(archive)
        rows = [archive.finder.find_uid(uid) for uid in uids]
        other = [row for row in rows if row.key_id != archive.keys.key_id]
        assert other
        with pytest.raises(SealBrokenError, match="finish the change with"):
            archive.payloads(other[0])
        archive.close()
    rotate_keys(settings, NEW)
    check(settings, uids)


def test_a_server_that_runs_keeps_its_keys(settings):
    archive = opened(settings)
    with pytest.raises(ConfigurationError, match="in use by another server"):
        rotate_keys(settings, NEW)
    archive.close()


def test_the_same_key_and_a_wrong_old_key_change_nothing(settings, uids):
    before = settings.keyring_path.read_bytes()
    with pytest.raises(ConfigurationError, match="is the old one"):
        rotate_keys(settings, settings.find_master_key())
    wrong = ArchiveSettings(data_dir=settings.data_dir, master_key="ab" * 32)
    with pytest.raises(ConfigurationError, match="not the one that this data"):
        rotate_keys(wrong, NEW)
    assert settings.keyring_path.read_bytes() == before
    check(settings, uids)


def test_the_command_makes_the_new_key_and_says_what_it_did(settings, uids, tmp_path):
    new_file = tmp_path / "new.key"
    arguments = ["rotate-key", "--data-dir", settings.data_dir, "--new-key-file", new_file]
    result = CliRunner().invoke(store, [str(item) for item in arguments])
    assert result.exit_code == 0, result.output
    new = MasterKey.from_file(new_file)
    assert f"the keys of {len(uids)} sessions" in result.output
    assert new.key_id in result.output
    assert settings.find_master_key().key_id == new.key_id
    check(settings, uids)


def test_the_command_says_when_settings_must_follow(settings, uids, tmp_path):
    old_file = tmp_path / "old.key"
    (settings.data_dir / "master.key").rename(old_file)
    new_file = tmp_path / "new.key"
    result = CliRunner().invoke(
        store,
        ["rotate-key", "--data-dir", str(settings.data_dir), "--new-key-file", str(new_file),
         "--old-key-file", str(old_file)],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "before the server starts" in result.output
    assert not (settings.data_dir / "master.key").exists()
    check(ArchiveSettings(data_dir=settings.data_dir, master_key_file=new_file), uids)
