"""`voiceguard reviewers`: who may review, in the file that the server's `reviewers_file` names."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

import click
from rich import box
from rich.table import Table

from voiceguard.cli.exits import note
from voiceguard.cli.terminal import printable, results_console
from voiceguard.server.reviewing.accounts import Account, Role
from voiceguard.server.reviewing.reviewers import add_password, add_token, kind_of, list_accounts
from voiceguard.server.reviewing.reviewers import remove as remove_accounts

LEAST_PASSWORD_CHARACTERS: Final = 10
"""Of new passwords. NIST SP 800-63B-4 asks for 8 beside another factor, and for 15 alone; sign-in
tries are limited by the server."""

_RELOAD: Final = "a running server reads the file again on SIGHUP"

file_option = click.option(
    "--file",
    "path",
    required=True,
    metavar="FILE",
    envvar="VOICEGUARD_REVIEWERS_FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The server's reviewers_file; VOICEGUARD_REVIEWERS_FILE says the same.",
)


@click.group()
def reviewers() -> None:
    """Say who may review: add, list and remove the accounts in the server's file of reviewers.

    \b
    Example:
      voiceguard reviewers add ann --file reviewers
    """  # noqa: D301 - click takes the backspace for "keep these lines"


@reviewers.command()
@click.argument("name", metavar="NAME")
@file_option
@click.option("--tenant", default="local", show_default=True, help="Whose sessions they see.")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.REVIEWER.value,
    show_default=True,
    help="A reviewer finds, hears, judges and exports; compliance also holds, erases and sees "
    "who looked.",
)
@click.option(
    "--token",
    "with_token",
    is_flag=True,
    help="Make a token for a program or the command line instead of a password. Shown once.",
)
def add(*, name: str, path: Path, tenant: str, role: str, with_token: bool) -> None:
    """Add a reviewer who signs in with a password, or change the password.

    Asks for the password twice. With --token prints a token instead, once: the
    file keeps only its digest. The file is made when there is none.

    \b
    Examples:
      voiceguard reviewers add ann --file reviewers
      voiceguard reviewers add carol --file reviewers --role compliance
      voiceguard reviewers add nightly --file reviewers --token > token
    """  # noqa: D301 - click takes the backspace for "keep these lines"
    if with_token:
        click.echo(add_token(path, tenant, name, Role(role)))
        note(f"this token is shown once and kept nowhere; {_RELOAD}")
        return
    add_password(path, tenant, name, Role(role), _ask_password(name))
    click.echo(f"{name} may review as {role} of {tenant}")
    note(_RELOAD)


def _ask_password(name: str) -> str:
    """Have a new password typed twice.

    Raises:
        click.UsageError: nobody is there to type, or it is too short.
    """
    if not sys.stdin.isatty():
        raise click.UsageError("a password is typed at a terminal; programs use --token")
    password: str = click.prompt(
        f"Password of {name}", hide_input=True, confirmation_prompt="Once more", err=True
    )
    if len(password) < LEAST_PASSWORD_CHARACTERS:
        message = f"a password has at least {LEAST_PASSWORD_CHARACTERS} characters"
        raise click.UsageError(message)
    return password


@reviewers.command("list")
@file_option
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON for each credential.")
def list_reviewers(*, path: Path, as_json: bool) -> None:
    """List the reviewers, without their secrets.

    \b
    Examples:
      voiceguard reviewers list --file reviewers
      voiceguard reviewers list --file reviewers --json
    """  # noqa: D301 - click takes the backspace for "keep these lines"
    accounts = list_accounts(path)
    if as_json:
        for account in accounts:
            click.echo(json.dumps(_plain(account)))
        return
    if not accounts:
        note(f"{printable(path)} names no reviewers; `voiceguard reviewers add` does")
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, header_style="bold")
    for heading in _plain(accounts[0]):
        table.add_column(heading)
    for account in accounts:
        table.add_row(*_plain(account).values())
    results_console().print(table)


def _plain(account: Account) -> dict[str, str]:
    return {
        "name": account.name,
        "tenant": account.tenant,
        "role": account.role.value,
        "credential": kind_of(account),
    }


@reviewers.command()
@click.argument("name", metavar="NAME")
@file_option
def remove(*, name: str, path: Path) -> None:
    """Remove a reviewer: password, tokens, and with them every sign-in.

    \b
    Example:
      voiceguard reviewers remove ann --file reviewers
    """  # noqa: D301 - click takes the backspace for "keep these lines"
    removed = remove_accounts(path, name)
    if not removed:
        message = f"{printable(path)} names no reviewer {name!r}; `voiceguard reviewers list`"
        raise click.ClickException(message)
    click.echo(f"{name} may not review any more: {removed} credentials removed")
    note(_RELOAD)
