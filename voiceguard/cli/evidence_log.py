"""`voiceguard evidence key | checkpoint | audit | timestamp`: the log where it lies.

They read the folder of a server, which may be running, and open no log for writing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import click

from voiceguard.cli.exits import ExitCode, note, report
from voiceguard.core.errors import ConfigurationError
from voiceguard.evidence.audit import AuditReport, audit_log
from voiceguard.evidence.checkpoints import open_checkpoint, parse_key
from voiceguard.evidence.files import PUBLIC_MODE, replace_durably
from voiceguard.evidence.log import CHECKPOINT_NAME, read_public_key
from voiceguard.evidence.timestamps import TimestampKeeper
from voiceguard.resources import default_data_dir

LOG_FOLDER: Final = "log"
"""Within the folder of a server."""

data_dir_option = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="VOICEGUARD_DATA_DIR",
    help="Folder of the server, as its setting `data_dir` says. Default: the server's default.",
)

key_option = click.option(
    "--key",
    "verifier_key",
    metavar="KEY|FILE",
    help="The log's public key, or a file with it. Default: the one beside the log, which "
    "whoever changed the log may have changed too.",
)


@click.command()
@data_dir_option
def key(*, data_dir: Path | None) -> None:
    """Print the log's public key, which others need to check evidence.

    Give it to them in a way that they trust: whoever checks with another key
    checks nothing.

    \b
    Example:
      voiceguard evidence key > voiceguard.pub
    """  # noqa: D301 - click takes the backspace for "keep these lines"
    click.echo(_own_key(_log_folder(data_dir)))


@click.command()
@data_dir_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write; by default it is printed.",
)
def checkpoint(*, data_dir: Path | None, out: Path | None) -> None:
    """Print the log's newest signed checkpoint.

    Keep some of them elsewhere, with somebody who has no interest in the log:
    `evidence audit --checkpoint` shows by it that nothing before was changed.
    A server signs one at most a second after something was added.

    \b
    Examples:
      voiceguard evidence checkpoint
      voiceguard evidence checkpoint --out 2026-11-24.checkpoint
    """  # noqa: D301 - click takes the backspace for "keep these lines"
    folder = _log_folder(data_dir)
    content = _newest_checkpoint(folder, _own_key(folder))
    if out is None:
        click.echo(content, nl=False)
    else:
        replace_durably(out, content, PUBLIC_MODE)


@click.command()
@data_dir_option
@key_option
@click.option(
    "--checkpoint",
    "older",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A checkpoint of this log that was kept elsewhere.",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def audit(
    *, data_dir: Path | None, verifier_key: str | None, older: Path | None, as_json: bool
) -> int:
    """Read the whole log and check it: each entry, the tree, the signatures, each session.

    The server may be running. The exit code is 1 when anything is wrong.

    \b
    Examples:
      voiceguard evidence audit
      voiceguard evidence audit --key voiceguard.pub --checkpoint 2026-11-24.checkpoint
      voiceguard evidence audit --data-dir /var/lib/voiceguard --json
    """  # noqa: D301 - click takes the backspace for "keep these lines"
    from voiceguard.cli.terminal import progress  # noqa: PLC0415 - only here, and it is slow

    folder = _log_folder(data_dir)
    known = _own_key(folder) if verifier_key is None else _given_key(verifier_key)
    kept = None if older is None else older.read_bytes()
    with progress("of the log") as bar:
        found = audit_log(folder, known, kept, lambda done, of: bar.show(done, of, "reading"))
    if as_json:
        click.echo(json.dumps(_as_json(found), indent=2))
    else:
        _print(found)
    return ExitCode.OK if found.is_clean else ExitCode.FAILED


@click.command()
@data_dir_option
@click.option(
    "--url",
    required=True,
    envvar="VOICEGUARD_TIMESTAMP_URL",
    help="RFC 3161 authority to ask, http or https.",
)
def timestamp(*, data_dir: Path | None, url: str) -> None:
    """Have the newest checkpoint timestamped now, and keep the answer beside the log.

    A server does it by itself where `timestamp_url` is set.

    \b
    Example:
      voiceguard evidence timestamp --url https://tsa.example/rfc3161
    """  # noqa: D301 - click takes the backspace for "keep these lines"
    folder = _log_folder(data_dir)
    known = _own_key(folder)
    made = TimestampKeeper(folder, url, lambda: _newest_checkpoint(folder, known)).run_once()
    if made is None:
        note("nothing was added since the last timestamp")
    else:
        click.echo(made)


def _log_folder(data_dir: Path | None) -> Path:
    folder = (data_dir or default_data_dir()) / LOG_FOLDER
    if not folder.is_dir():
        message = f"no evidence log at {folder}: give the server's folder with --data-dir"
        raise click.UsageError(message)
    return folder


def _own_key(folder: Path) -> str:
    found = read_public_key(folder)
    if found is None:
        raise click.UsageError(f"no public key beside the log in {folder}: give it with --key")
    parse_key(found)
    return found


def _given_key(text: str) -> str:
    """Return a key that was given as itself, or as the name of a file with it."""
    try:
        parse_key(text)
    except ConfigurationError:
        try:
            content = Path(text).read_text("utf-8")
            parse_key(content)
        except (OSError, UnicodeDecodeError, ValueError, ConfigurationError):
            message = f"{text!r} is neither a public key of an evidence log nor a file with one"
            raise click.BadParameter(message, param_hint="--key") from None
        return content
    return text


def _newest_checkpoint(folder: Path, verifier_key: str) -> bytes:
    """Return the newest checkpoint once its signature has been checked.

    Raises:
        EvidenceError: it is not signed by this key.
        OSError: it cannot be read; a log that nothing was added to has none.
    """
    content = (folder / CHECKPOINT_NAME).read_bytes()
    open_checkpoint(content, parse_key(verifier_key))
    return content


def _as_json(found: AuditReport) -> dict[str, object]:
    return {
        "clean": found.is_clean,
        "origin": found.origin,
        "entries": found.size,
        "root": found.root.hex(),
        "signed_entries": found.signed_size,
        "older_checkpoint_entries": found.older_size,
        "timestamped_checkpoints": found.timestamped,
        "sessions": found.sessions,
        "open_sessions": found.open_session_count,
        "first_open_sessions": list(found.open_sessions),
        "sessions_awaiting_audio": found.awaiting_audio,
        "lost_records": found.lost_records,
        "unfinished_bytes": found.unfinished_bytes,
        "problems": list(found.problems),
        "problem_count": found.problem_count,
    }


def _print(found: AuditReport) -> None:
    signed = "no checkpoint" if found.signed_size is None else f"{found.signed_size:,} signed"
    click.echo(f"log:       {found.origin}")
    click.echo(f"entries:   {found.size:,} ({signed})")
    click.echo(f"root:      {found.root.hex()}")
    click.echo(f"sessions:  {found.sessions:,}, {found.open_session_count:,} of them open")
    if found.older_size is not None and found.is_clean:
        click.echo(f"unchanged: the first {found.older_size:,} entries, by the older checkpoint")
    if found.timestamped:
        click.echo(f"stamped:   {found.timestamped:,} checkpoints")
    if found.lost_records:
        note(f"{found.lost_records:,} records could not be kept; the log says so itself")
    for problem in found.problems:
        report(problem)
    left_out = found.problem_count - len(found.problems)
    if left_out:
        note(f"{left_out:,} more problems are not shown")
    if found.is_clean:
        click.echo("All is well.")
