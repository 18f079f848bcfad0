"""The command line, for where voiceguard's own is not."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .bundle import verify_bundle
from .checkpoints import VerifierKey
from .findings import describe


def main(arguments: Sequence[str] | None = None) -> int:
    """Check one bundle; return 0 when it is good, 1 when it is refused, 2 for wrong usage."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {__package__}", description="Check an evidence bundle offline."
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--key", required=True, help="the log's public key, or a file with it")
    parser.add_argument(
        "--tsa-certificate", type=Path, help="certificates of timestamp authorities you trust, PEM"
    )
    options = parser.parse_args(arguments)
    try:
        key = VerifierKey.find(options.key)
        roots = options.tsa_certificate.read_bytes() if options.tsa_certificate else None
        with options.bundle.open("rb") as file:
            verdict = verify_bundle(file, key, roots)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr] # a terminal of any encoding
    print("\n".join(describe(verdict)))  # noqa: T201 - this is a command
    return 0 if verdict.ok else 1
