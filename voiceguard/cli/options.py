"""Options that several commands share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import click

from voiceguard.core.errors import PolicyError
from voiceguard.core.events import Consent, ConsentState, Role
from voiceguard.core.policy import Policy
from voiceguard.core.units import MAX_CHANNELS
from voiceguard.resources import models_dir, policies_dir

ROLES: Final = {
    "customer": Role.CUSTOMER,
    "agent": Role.HUMAN_AGENT,
    "human_agent": Role.HUMAN_AGENT,
    "bot": Role.AUTOMATED_AGENT,
    "automated_agent": Role.AUTOMATED_AGENT,
    "mixed": Role.MIXED,
}
"""What may be written for a channel's role."""

MODEL_NAME: Final = "stress"
"""The model that is used unless another is named."""

_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")


def parse_roles(text: str) -> tuple[Role, ...]:
    """Return the roles of a text such as ``customer,agent``.

    Raises:
        click.BadParameter: a word that is no role, or too many of them.
    """
    names = [name.strip().lower().replace("-", "_") for name in text.split(",")]
    unknown = [name for name in names if name not in ROLES]
    if unknown:
        message = f"'{unknown[0]}' is no role; give one of {', '.join(ROLES)} for each channel"
        raise click.BadParameter(message)
    if len(names) > MAX_CHANNELS:
        message = f"{len(names)} roles; a recording has at most {MAX_CHANNELS} channels"
        raise click.BadParameter(message)
    return tuple(ROLES[name] for name in names)


def _roles(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> tuple[Role, ...] | None:
    _ = ctx, param
    return None if value is None else parse_roles(value)


def _policy(ctx: click.Context, param: click.Parameter, value: str) -> Policy:
    _ = ctx, param
    try:
        return load_policy(value)
    except PolicyError as error:
        raise click.BadParameter(str(error)) from None


def load_policy(name: str) -> Policy:
    """Return a policy by its name, or from a file.

    Args:
        name: of a policy that comes with voiceguard, or the path of a TOML file.

    Raises:
        PolicyError: there is no such policy, or its file is not valid.
    """
    path = policies_dir() / f"{name}.toml" if _NAME.fullmatch(name) else Path(name)
    try:
        content = path.read_bytes()
    except OSError as error:
        known = ", ".join(sorted(file.stem for file in policies_dir().glob("*.toml")))
        problem = f"cannot be read ({error.strerror}); name a TOML file or one of: {known}"
        raise PolicyError(name, problem) from None
    return Policy.from_toml(content, name)


def default_model_dir() -> Path:
    """Return the folder of the model that comes with voiceguard.

    Raises:
        FileNotFoundError: the installation is incomplete.
    """
    return models_dir() / MODEL_NAME


roles_option = click.option(
    "--roles",
    callback=_roles,
    metavar="ROLE,...",
    help="Who speaks on each channel, in order: customer, agent (human_agent), "
    "bot (automated_agent) or mixed. Only customers are scored.",
)

policy_option = click.option(
    "--policy",
    callback=_policy,
    metavar="NAME|FILE",
    default="default",
    show_default=True,
    help="Thresholds to decide by: the name of one that comes with voiceguard, or a TOML file.",
)


def _consent(ctx: click.Context, param: click.Parameter, value: bool) -> Consent:  # noqa: FBT001
    _ = ctx, param
    return Consent(ConsentState.GIVEN, notice_given=True) if value else Consent()


consent_option = click.option(
    "--consent-given",
    "consent",
    is_flag=True,
    callback=_consent,
    help="The customer was told and agreed; for policies that require it.",
)

model_option = click.option(
    "--model",
    "model_dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of another model, with model.toml in it.",
)
