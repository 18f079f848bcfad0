"""`voiceguard review`: the reviewers' page."""

from __future__ import annotations

from pathlib import Path

import click

from voiceguard.cli.connection import server_options
from voiceguard.review.serving import run
from voiceguard.review.settings import ReviewPageSettings, is_loopback_host, split_address


@click.command()
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default="127.0.0.1:8080",
    show_default=True,
    help="Where the page is. Addresses that other machines reach need TLS.",
)
@click.option(
    "--tls-cert",
    type=click.Path(path_type=Path, dir_okay=False),
    help="PEM file of the page's certificate chain; makes it https.",
)
@click.option(
    "--tls-key",
    type=click.Path(path_type=Path, dir_okay=False),
    help="PEM file of that certificate's key.",
)
@click.option(
    "--public-origin",
    default="",
    metavar="URL",
    help="Where browsers find the page, if a proxy that speaks TLS stands in front of it: "
    "https://review.example.",
)
@click.option(
    "--allow-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    help="A further host name that browsers may reach the page by; may be repeated.",
)
@server_options
def review(  # noqa: PLR0913 - one for each option
    *,
    listen: str,
    tls_cert: Path | None,
    tls_key: Path | None,
    public_origin: str,
    allowed_hosts: tuple[str, ...],
    address: str,
    ca: Path | None,
    cert: Path | None,
    key: Path | None,
    server_name: str | None,
) -> None:
    """Show the reviewers' page until SIGTERM or Ctrl-C.

    The page asks a voiceguard server for everything and keeps nothing itself.
    Reviewers sign in with what `voiceguard reviewers add` has made. --ca,
    --cert, --key and --server-name are about the way to that server,
    --tls-cert and --tls-key about the way from browsers.

    \b
    Examples:
      voiceguard review
      voiceguard review --server vg.example:50051 --ca ca.pem
      voiceguard review --listen 0.0.0.0:8443 --tls-cert page.pem --tls-key page.key
    """  # noqa: D301 - click takes the backspace for "keep these lines"
    host, _ = split_address("--listen", listen)
    if tls_cert is None and not public_origin and not is_loopback_host(host):
        message = (
            f"--listen {listen} can be reached from other machines, and passwords must not cross "
            "a network in the clear: give --tls-cert and --tls-key"
        )
        raise click.UsageError(message)
    run(
        ReviewPageSettings(
            listen=listen,
            server=address,
            server_tls=(ca, cert, key, server_name) != (None, None, None, None),
            server_ca=ca,
            server_name=server_name or "",
            client_certificate=cert,
            client_key=key,
            tls_certificate=tls_cert,
            tls_private_key=tls_key,
            public_origin=public_origin,
            allowed_hosts=allowed_hosts,
        ),
        on_ready=click.echo,
    )
