"""`voiceguard serve`: live calls over gRPC."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from voiceguard.app import BoundAddress
from voiceguard.app import serve as run_server
from voiceguard.cli.settings import load_server_settings


@click.command()
@click.option("--listen", metavar="HOST:PORT", help="Where to serve.  [default: 127.0.0.1:50051]")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="TOML file with more settings; docs/configuration.md lists them all.",
)
@click.option(
    "--model",
    "model_dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of another model, with model.toml in it.",
)
@click.option(
    "--policies",
    "policies_dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of policies; SIGHUP reads it again.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where sessions, audio and the evidence log are kept.",
)
@click.option(
    "--reviewers",
    "reviewers_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File of the reviewers, written by `voiceguard reviewers`.",
)
def serve(
    *,
    listen: str | None,
    config: Path | None,
    model_dir: Path | None,
    policies_dir: Path | None,
    data_dir: Path | None,
    reviewers_file: Path | None,
) -> None:
    """Serve live calls over gRPC until SIGTERM or Ctrl-C, then let open calls end.

    Prints one line once calls are taken. Settings come from these options,
    then VOICEGUARD_* variables, then the file, then the defaults. Addresses
    that other machines reach need TLS and credentials.

    \b
    Examples:
      voiceguard serve --listen 127.0.0.1:50051
      voiceguard serve --config voiceguard.toml
      voiceguard serve --reviewers /etc/voiceguard/reviewers
    """  # noqa: D301 - click takes the backspace for "keep these lines"
    given = {
        "listen": listen,
        "model_dir": model_dir,
        "policies_dir": policies_dir,
        "data_dir": data_dir,
        "reviewers_file": reviewers_file,
    }
    settings = load_server_settings(config, given)
    asyncio.run(run_server(settings, on_ready=_say))


def _say(address: BoundAddress) -> None:
    click.echo(f"voiceguard serves on {address.target}")
