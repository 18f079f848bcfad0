"""`voiceguard evidence verify`: is this bundle what the log recorded?"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from voiceguard.cli.exits import ExitCode
from voiceguard.evidence.verify import VerifierKey, describe, verify_bundle


def _key(ctx: click.Context, param: click.Parameter, value: str) -> VerifierKey:
    _ = ctx, param
    try:
        return VerifierKey.find(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--key",
    required=True,
    callback=_key,
    metavar="KEY|FILE",
    help="The log's public key, or a file with it, had from somebody you trust.",
)
@click.option(
    "--tsa-certificate",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Certificates (PEM) of timestamp authorities that you trust. The bundle must then have "
    "a timestamp by one of them.",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def verify(
    *, bundle: Path, key: VerifierKey, tsa_certificate: Path | None, as_json: bool
) -> ExitCode:
    """Check an evidence bundle offline, from the bundle and the log's public key alone.

    Prints OK, or REFUSED and what is wrong. Ends with 0 when the bundle is
    good, 1 when it is refused, 2 when it was called wrongly.

    \b
    Examples:
      voiceguard evidence verify call.zip --key voiceguard.pub
      voiceguard evidence verify call.zip --key voiceguard.pub --tsa-certificate tsa.pem
    """  # noqa: D301 - click takes the backspace for "keep these lines"
    roots = tsa_certificate.read_bytes() if tsa_certificate else None
    with bundle.open("rb") as file:
        verdict = verify_bundle(file, key, roots)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(verdict), indent=2))
    else:
        click.echo("\n".join(describe(verdict)).encode("utf-8", "replace"))
    return ExitCode.OK if verdict.ok else ExitCode.FAILED
