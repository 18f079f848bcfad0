"""How commands reach a server: the options, what they mean, and what an error tells people."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import click
import grpc

from voiceguard.cli.exits import ServerFailure
from voiceguard.client import (
    CallRefusedError,
    ClientUsageError,
    MonitorError,
    ReviewClient,
    ServerUnreachableError,
    TlsOptions,
)
from voiceguard.client.security import is_local

DEFAULT_SERVER: Final = "127.0.0.1:50051"
SERVER_VARIABLE: Final = "VOICEGUARD_SERVER"
TOKEN_VARIABLE: Final = "VOICEGUARD_REVIEW_TOKEN"  # noqa: S105 - a name
TOKEN_FILE_VARIABLE: Final = "VOICEGUARD_REVIEW_TOKEN_FILE"  # noqa: S105 - a name

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
ResultT = TypeVar("ResultT")
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_HINTS: Final = {
    grpc.StatusCode.UNAUTHENTICATED: (
        f"give a reviewer's token with --token-file FILE or {TOKEN_VARIABLE}; "
        "`voiceguard reviewers add NAME --token --file FILE` makes one for the server's file"
    ),
    grpc.StatusCode.PERMISSION_DENIED: "use the token of a reviewer whose role allows it",
    grpc.StatusCode.NOT_FOUND: "`voiceguard sessions list` shows what there is",
    grpc.StatusCode.UNIMPLEMENTED: (
        "this server keeps no sessions, or is older than this program; look at --server"
    ),
}
"""What to do about a refusal whose own words do not say it."""


@dataclass(frozen=True, slots=True)
class Connection:
    """How a server is reached, and as whom."""

    address: str
    tls: TlsOptions | None = None
    token: str | None = field(default=None, repr=False)


_PEM: Final = click.Path(path_type=Path, dir_okay=False)

_SERVER_OPTIONS: Final[tuple[Decorator, ...]] = (
    click.option(
        "--server",
        "address",
        metavar="HOST:PORT",
        default=DEFAULT_SERVER,
        show_default=True,
        envvar=SERVER_VARIABLE,
        help=f"Where the server is; {SERVER_VARIABLE} says the same.",
    ),
    click.option(
        "--ca",
        type=_PEM,
        help="PEM file of the authority that signed the server's certificate. Turns TLS on.",
    ),
    click.option(
        "--cert",
        type=_PEM,
        help="PEM file of this client's certificate, where the server asks for one.",
    ),
    click.option("--key", type=_PEM, help="PEM file of that certificate's key."),
    click.option("--server-name", help="Name in the server's certificate, if it is not the host."),
)

_CALL_TOKEN_OPTION: Final[Decorator] = click.option(
    "--token-file",
    type=_PEM,
    help="File with the bearer token, where the server asks for one.",
)

_REVIEW_TOKEN_OPTION: Final[Decorator] = click.option(
    "--token-file",
    type=_PEM,
    envvar=TOKEN_FILE_VARIABLE,
    help="File with a reviewer's token. "
    f"{TOKEN_FILE_VARIABLE} names one too; {TOKEN_VARIABLE} is the token itself.",
)


def server_options(command: FunctionT) -> FunctionT:
    """Give a command the options that say where the server is, as they are, without a token."""
    return _decorated(command, _SERVER_OPTIONS)


def call_options(command: FunctionT) -> FunctionT:
    """Give a command that sends calls its `connection`, with the token of a dialer."""
    return _with_connection(command, (*_SERVER_OPTIONS, _CALL_TOKEN_OPTION), read_token)


def review_options(command: FunctionT) -> FunctionT:
    """Give a command of reviewers its `connection`, with the token of a reviewer."""

    def find_token(path: Path | None) -> str | None:
        return read_token(path) or os.environ.get(TOKEN_VARIABLE, "").strip() or None

    return _with_connection(command, (*_SERVER_OPTIONS, _REVIEW_TOKEN_OPTION), find_token)


def _with_connection(
    command: FunctionT,
    options: tuple[Decorator, ...],
    find_token: Callable[[Path | None], str | None],
) -> FunctionT:
    @functools.wraps(command)
    def connected(
        *,
        address: str,
        ca: Path | None,
        cert: Path | None,
        key: Path | None,
        server_name: str | None,
        token_file: Path | None = None,
        **others: Any,  # noqa: ANN401 - the command's own
    ) -> object:
        tls = _tls(ca, cert, key, server_name)
        if tls is None and not is_local(address):
            problem = (
                f"{address} is not on this machine, and nothing may cross a network in the clear: "
                "turn TLS on with --ca FILE"
            )
            raise click.UsageError(problem)
        connection = Connection(address, tls, find_token(token_file))
        return command(connection=connection, **others)

    return cast("FunctionT", _decorated(connected, options))  # it takes what the command takes, too


def _decorated(command: FunctionT, options: tuple[Decorator, ...]) -> FunctionT:
    decorated: Callable[..., Any] = command
    for option in reversed(options):
        decorated = option(decorated)
    return cast("FunctionT", decorated)


def _tls(
    ca: Path | None, cert: Path | None, key: Path | None, server_name: str | None
) -> TlsOptions | None:
    if (ca, cert, key, server_name) == (None, None, None, None):
        return None
    try:
        return TlsOptions.from_files(ca, cert, key, server_name=server_name)
    except ClientUsageError as error:
        raise click.UsageError(str(error)) from None


def read_token(path: Path | None) -> str | None:
    """Return the token in a file; None when there is no file.

    Raises:
        click.UsageError: the file cannot be read, or is empty.
    """
    if path is None:
        return None
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        message = f"--token-file {path} cannot be read: {getattr(error, 'strerror', error)}"
        raise click.UsageError(message) from None
    if not token:
        message = f"--token-file {path} is empty"
        raise click.UsageError(message)
    return token


def ask_server(
    connection: Connection, question: Callable[[ReviewClient], Awaitable[ResultT]]
) -> ResultT:
    """Connect as a reviewer, ask, and return the answer.

    Raises:
        ServerFailure: the server refused, was not reached or broke off; says what to do.
        click.UsageError: the options make no sense together.
    """

    async def ask() -> ResultT:
        async with ReviewClient(
            connection.address, tls=connection.tls, token=connection.token
        ) as client:
            return await question(client)

    try:
        return asyncio.run(ask())
    except ClientUsageError as error:
        raise click.UsageError(str(error)) from None
    except MonitorError as error:
        raise ServerFailure(describe_failure(error, connection.address)) from None


def describe_failure(error: MonitorError, address: str) -> str:
    """Return what went wrong with a question, and what to do, in one line."""
    match error:
        case CallRefusedError(status=grpc.StatusCode() as status) if status in _HINTS:
            return f"{error}; {_HINTS[status]}"
        case ServerUnreachableError(status=grpc.StatusCode.UNAVAILABLE):
            return f"{address}: {error}; is `voiceguard serve` running there? See --server"
        case ServerUnreachableError():
            return f"{address}: {error}; try again"
        case _:
            return str(error)
