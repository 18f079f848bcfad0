"""`voiceguard sessions verdict | hold | erase`: what reviewers change."""

from __future__ import annotations

import sys

import click

from voiceguard.cli.connection import Connection, ask_server, review_options
from voiceguard.cli.session_filters import VERDICTS
from voiceguard.cli.session_words import local_time
from voiceguard.cli.terminal import print_message, printable_text

_json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print the answer as one line of JSON."
)


@click.command()
@click.argument("session_id", metavar="SESSION")
@click.argument("kind", metavar="|".join(VERDICTS), type=click.Choice(list(VERDICTS)))
@click.option("--handoff", "handoff_id", default="", metavar="ID", help="About this handoff alone.")
@click.option("--comment", default="", metavar="TEXT", help="In your own words.")
@_json_option
@review_options
def verdict(
    *,
    session_id: str,
    kind: str,
    handoff_id: str,
    comment: str,
    as_json: bool,
    connection: Connection,
) -> None:
    """Say whether the system was right about a session, or about one of its handoffs.

    A verdict is added to those before it; nothing is overwritten.

    \b
    Examples:
      voiceguard sessions verdict call-4711 confirmed
      voiceguard sessions verdict call-4711 false-alarm --handoff handoff-1 --comment "laughter"
    """  # noqa: D301 - click takes the backspace for "keep these lines"
    recorded = ask_server(
        connection,
        lambda client: client.record_verdict(
            session_id, VERDICTS[kind], handoff_id=handoff_id, comment=comment
        ),
    )
    if as_json:
        print_message(recorded)
        return
    about = f" on {printable_text(handoff_id)}" if handoff_id else ""
    click.echo(f"{printable_text(session_id)}: {kind}{about}, recorded as {recorded.verdict_id}")


@click.command()
@click.argument("session_id", metavar="SESSION")
@click.option("--reason", required=True, metavar="TEXT", help="Why; it is written down.")
@click.option("--release", is_flag=True, help="End the hold: the retention applies again.")
@_json_option
@review_options
def hold(
    *, session_id: str, reason: str, release: bool, as_json: bool, connection: Connection
) -> None:
    """Keep a session whatever the retention says, or stop doing so. For the role compliance.

    \b
    Examples:
      voiceguard sessions hold call-4711 --reason "complaint 2026-118"
      voiceguard sessions hold call-4711 --release --reason "complaint settled"
    """  # noqa: D301 - click takes the backspace for "keep these lines"
    session = ask_server(
        connection,
        lambda client: client.set_legal_hold(session_id, hold=not release, reason=reason),
    )
    if as_json:
        print_message(session)
        return
    name = printable_text(session_id)
    if session.legal_hold:
        click.echo(f"{name}: under legal hold")
    elif session.HasField("retain_until"):
        click.echo(f"{name}: released, kept until {local_time(session.retain_until)}")
    else:
        click.echo(f"{name}: released")


@click.command()
@click.argument("session_id", metavar="SESSION")
@click.option("--reason", required=True, metavar="TEXT", help="Why; it is written down.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_json_option
@review_options
def erase(
    *, session_id: str, reason: str, yes: bool, as_json: bool, connection: Connection
) -> None:
    """Destroy a session's key, and with it audio, events and metadata, for good.

    Asks for the session's id to be typed again. Ids, times and the session's
    leaves in the evidence log stay, so that the log still verifies. A session
    under legal hold, or live, is not erased. For the role compliance.

    \b
    Examples:
      voiceguard sessions erase call-4711 --reason "request of 24 November"
      voiceguard sessions erase call-4711 --reason "request of 24 November" --yes
    """  # noqa: D301 - click takes the backspace for "keep these lines"
    if not yes:
        _confirm(session_id)
    session = ask_server(connection, lambda client: client.erase_session(session_id, reason=reason))
    if as_json:
        print_message(session)
        return
    click.echo(f"{printable_text(session_id)}: erased {local_time(session.erased_at)}")


def _confirm(session_id: str) -> None:
    """Have the id typed again.

    Raises:
        click.UsageError: nobody is there to type.
        click.ClickException: something else was typed.
    """
    if not sys.stdin.isatty():
        raise click.UsageError("erasing is for good: say --yes where nobody can be asked")
    name = printable_text(session_id)
    typed = click.prompt(f"This is for good. Type {name} to erase it", err=True)
    if typed != session_id:
        raise click.ClickException("nothing was erased: that is not the id of the session")
