"""`voiceguard model info`: what the model is and where it comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import click

from voiceguard.cli.options import default_model_dir, model_option
from voiceguard.engine.model import StressModel


@click.group()
def model() -> None:
    """Say what the model is.

    \b
    Example:
      voiceguard model info
    """  # noqa: D301 - click takes the backspace for "keep these lines"


@model.command()
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@model_option
def info(*, as_json: bool, model_dir: Path | None) -> None:
    """Check the model and print what it is, what it was trained on and how to make it again.

    The file is compared with its manifest and tried out, as a server does
    before it serves.

    \b
    Examples:
      voiceguard model info
      voiceguard model info --json
    """  # noqa: D301 - click takes the backspace for "keep these lines"
    facts = StressModel.load(model_dir or default_model_dir()).describe()
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    for line in _lines(facts):
        click.echo(line)


def _lines(facts: Mapping[str, object], indent: str = "") -> list[str]:
    """Return plain data as lines of names and values, tables indented below theirs."""
    lines: list[str] = []
    for name, value in facts.items():
        label = f"{indent}{name.replace('_', ' ')}:"
        match value:
            case dict() if value:
                lines += [label, *_lines(value, indent + "  ")]
            case list() if value and all(isinstance(item, dict) for item in value):
                lines.append(label)
                for item in value:
                    first, *rest = _lines(item, indent + "    ")
                    lines += [f"{indent}  - {first.strip()}", *rest]
            case list():
                lines.append(f"{label} {', '.join(map(str, value))}")
            case float():
                lines.append(f"{label} {value:g}")
            case _:
                lines.append(f"{label} {value}")
    return lines
