"""Files that commands save what a server sends to: whole or not at all, and never by surprise."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import BinaryIO

import click

from voiceguard.cli.terminal import printable
from voiceguard.offline.files import write_atomically

force_option = click.option("--force", is_flag=True, help="Replace the file if there is one.")


def check_target(target: Path, *, force: bool = True) -> None:
    """Refuse a file that cannot be written, before anything is fetched.

    Raises:
        click.UsageError: its folder is not there, it is a folder, or it is there already and is
            not to be replaced.
    """
    if not target.parent.is_dir():
        message = f"{printable(target.parent)} is no folder; make it first"
        raise click.UsageError(message)
    if target.is_dir():
        message = f"{printable(target)} is a folder; name a file"
        raise click.UsageError(message)
    if target.exists() and not force:
        message = f"{printable(target)} is there already; say --force to replace it"
        raise click.UsageError(message)


@contextmanager
def whole_file(target: Path) -> Iterator[BinaryIO]:
    """Open a file that takes its name when the block ends well.

    Raises:
        click.ClickException: it could not be written, for example as the disk is full. Nothing
            of it is left.
    """
    try:
        with write_atomically(target) as stream:
            yield stream
    except OSError as error:
        message = f"{printable(target)}: {error.strerror or error}; no part of it was kept"
        raise click.ClickException(message) from error


async def save(
    pieces: AsyncGenerator[bytes, None], stream: BinaryIO, show: Callable[[bytes, int], None]
) -> int:
    """Write pieces as they come; return how many bytes they were.

    Args:
        pieces: of the file, in order.
        stream: to write them to.
        show: told of the first piece, and of the bytes so far, after each.
    """
    done = 0
    first = b""
    async with aclosing(pieces) as coming:
        async for piece in coming:
            first = first or piece
            stream.write(piece)
            done += len(piece)
            show(first, done)
    return done


def size_words(size_bytes: int) -> str:
    """Return a size as people read it: 812 kB, 14.2 MB."""
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:.0f} kB"
