"""`voiceguard store`: what is done to a server's data while it is stopped."""

from __future__ import annotations

from pathlib import Path

import click

from voiceguard.cli.exits import note
from voiceguard.cli.settings import load_server_settings
from voiceguard.server.archiving import archive_settings
from voiceguard.store.keys import MasterKey
from voiceguard.store.rotation import rotate_keys


@click.group()
def store() -> None:
    """Look after a server's data."""


@store.command("rotate-key")
@click.option(
    "--new-key-file",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="File of the new master key; made when it is not there.",
)
@click.option(
    "--old-key-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File of the present one. Default: as the settings say.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="TOML file with the server's settings.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the server. Default: as the settings say.",
)
def rotate_key(
    *,
    new_key_file: Path,
    old_key_file: Path | None,
    config: Path | None,
    data_dir: Path | None,
) -> None:
    """Change the master key: every session's key is wrapped with the new one.

    Stop the server first. Audio, pseudonyms and the evidence log stay as they
    are. If it is cut off, run it again with the same keys.

    \b
    Example:
      voiceguard store rotate-key --new-key-file /etc/voiceguard/master-2027.key
    """  # noqa: D301 - click takes the backspace for "keep these lines"
    given = {"data_dir": data_dir, "master_key_file": old_key_file}
    settings = archive_settings(load_server_settings(config, given))
    if new_key_file.exists():
        new = MasterKey.from_file(new_key_file)
    else:
        new = MasterKey.create(new_key_file)
        note(f"made {new_key_file}: keep a copy where the data is not")
    count = rotate_keys(settings, new, _say_progress)
    click.echo(f"the keys of {count} sessions are wrapped with the new master key {new.key_id}")
    if settings.master_key_file is not None or settings.master_key:
        note("set master_key_file or master_key to the new key before the server starts")


def _say_progress(count: int) -> None:
    click.echo(f"{count} sessions", err=True)
