"""Every setting is documented, and can be set in every place."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from voiceguard.cli.settings import load_server_settings, setting_variable
from voiceguard.core.errors import ConfigurationError
from voiceguard.server.settings import ServerSettings

DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"


def shown_default(value):
    if value is None or value == "":
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize("item", dataclasses.fields(ServerSettings), ids=lambda item: item.name)
def test_a_setting_is_documented_with_its_default(item):
    row = f"| `{item.name}` | `{shown_default(item.default)}` | {item.metadata['description']} |"
    assert row in DOCUMENT.read_text().splitlines()


def test_the_document_names_no_other_setting():
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")]
    assert len(rows) == len(dataclasses.fields(ServerSettings))


@pytest.fixture
def config(tmp_path):
    def write(text):
        path = tmp_path / "voiceguard.toml"
        path.write_text(text)
        return path

    return write


def test_defaults():
    assert load_server_settings() == ServerSettings()


def test_the_command_line_wins_over_the_environment_over_the_file(config, monkeypatch):
    path = config('max_sessions = 3\nlog_level = "debug"\nlisten = "127.0.0.1:3"\n')
    monkeypatch.setenv(setting_variable("max_sessions"), "2")
    monkeypatch.setenv("VOICEGUARD_LISTEN", "127.0.0.1:2")
    settings = load_server_settings(path, {"listen": "127.0.0.1:1", "log_format": None})
    assert (settings.log_level, settings.max_sessions) == ("debug", 2)
    assert settings.listen == "127.0.0.1:1"


def test_kinds_of_values(config):
    path = config('reflection = true\nstall_after_s = 3\nmodel_dir = "/models/a"\n')
    settings = load_server_settings(path)
    assert settings.reflection is True
    assert settings.stall_after_s == 3.0
    assert settings.model_dir == Path("/models/a")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("max_session = 3", "max_session: no such setting"),
        ('max_sessions = "many"', "max_sessions: Input should be a valid integer"),
        ("max_sessions = 0", "max_sessions = 0: it must be 1 or more"),
        ("idle_timeout_s = nan", "idle_timeout_s"),
        ("idle_timeout_s = inf", "idle_timeout_s"),
        ('log_level = "loud"', "log_level"),
        ('log_format = "xml"', "log_format"),
        ('metrics_listen = "9464"', "metrics_listen"),
        ('listen = "0.0.0.0:50051"', "tls_certificate"),
        ("listen = ", "not a TOML file"),
        ("[server]\nlisten = 'a'", "server: no such setting"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(config, text, problem):
    with pytest.raises(ConfigurationError) as caught:
        load_server_settings(config(text))
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(ConfigurationError, match="No such file"):
        load_server_settings(tmp_path / "none.toml")


def test_a_file_that_is_not_text(tmp_path):
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="not a TOML file"):
        load_server_settings(path)
