"""Reads the server's settings from the command line, the environment and a TOML file."""

from __future__ import annotations

import dataclasses
import tomllib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pydantic
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from voiceguard.core.errors import ConfigurationError
from voiceguard.server.settings import ServerSettings

__all__ = ["ENVIRONMENT_PREFIX", "load_server_settings", "setting_variable"]

ENVIRONMENT_PREFIX: Final = "VOICEGUARD_"
"""A setting's environment variable is this and its name in capitals."""


def load_server_settings(
    config: Path | None = None, overrides: Mapping[str, object] | None = None
) -> ServerSettings:
    """Put the settings of a server together.

    What the command line says wins over the environment (`VOICEGUARD_*`), that
    over the file, that over the defaults.

    Args:
        config: a TOML file with settings by name at its top level; None: no file.
        overrides: settings from the command line; those that are None are left out.

    Raises:
        ConfigurationError: a setting is unknown, of the wrong kind or out of range, or
            the file cannot be read.
    """
    given: dict[str, Any] = {
        name: value for name, value in (overrides or {}).items() if value is not None
    }
    _check_readable(config)
    try:
        values = _reader(config)(**given)
    except pydantic.ValidationError as error:
        raise ConfigurationError(_describe(error)) from error
    return ServerSettings(**values.model_dump())


def setting_variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return ENVIRONMENT_PREFIX + name.upper()


def _reader(config: Path | None) -> type[BaseSettings]:
    """Return a reader of one file, with a field for each of `ServerSettings`."""

    class Reader(BaseSettings):
        model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, extra="forbid")

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            del dotenv_settings, file_secret_settings
            file = TomlConfigSettingsSource(settings_cls, toml_file=config)
            return (init_settings, env_settings, file)

    kinds = typing.get_type_hints(ServerSettings)
    fields: dict[str, Any] = {
        item.name: (
            kinds[item.name],
            pydantic.Field(default=item.default, description=item.metadata["description"]),
        )
        for item in dataclasses.fields(ServerSettings)
    }
    return pydantic.create_model("ServerSettingsReader", __base__=Reader, **fields)


def _check_readable(config: Path | None) -> None:
    """Refuse a file that is not there or not TOML; a missing one would count as empty."""
    if config is None:
        return
    try:
        with config.open("rb") as file:
            tomllib.load(file)
    except OSError as error:
        message = f"{config}: {error.strerror}"
        raise ConfigurationError(message) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        message = f"{config}: not a TOML file: {error}"
        raise ConfigurationError(message) from error


def _describe(error: pydantic.ValidationError) -> str:
    """Return all that is wrong in one line, without the values, which may be secret."""
    problems = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        name = ".".join(str(part) for part in item["loc"]) or "settings"
        unknown = item["type"] == "extra_forbidden"
        problems.append(f"{name}: {'no such setting' if unknown else item['msg']}")
    return "; ".join(problems)
