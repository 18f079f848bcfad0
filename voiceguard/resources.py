"""Where voiceguard's files lie: models, policies and the sample call, and what a server keeps.

Policies and samples are package data. Models lie at the top of the repository,
where people look for them and where training writes them, and are packed into
the wheel as `voiceguard/models`; so they are found in one of two places.
"""

import os
from pathlib import Path

__all__ = ["default_data_dir", "models_dir", "policies_dir", "samples_dir"]

_PACKAGE_DIR = Path(__file__).resolve().parent


def models_dir() -> Path:
    """Return the folder that holds one folder for each model, named as the model.

    Returns:
        `voiceguard/models` of an installed wheel, or `models` of the checkout
        that this module was imported from.

    Raises:
        FileNotFoundError: neither is there: the installation is incomplete.

    """
    return _existing_dir(_PACKAGE_DIR / "models", _PACKAGE_DIR.parent / "models")


def policies_dir() -> Path:
    """Return the folder of the policies that come with voiceguard, one TOML file each.

    Raises:
        FileNotFoundError: it is not there: the installation is incomplete.

    """
    return _existing_dir(_PACKAGE_DIR / "policies")


def samples_dir() -> Path:
    """Return the folder of the sample call and its attribution.

    Raises:
        FileNotFoundError: it is not there: the installation is incomplete.

    """
    return _existing_dir(_PACKAGE_DIR / "samples")


def default_data_dir() -> Path:
    """Return the folder of what a server keeps when it is told of no other; it need not exist.

    It is in `$XDG_STATE_HOME`, or in `~/.local/state` where that is not an absolute path (XDG
    Base Directory Specification 0.8).
    """
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    return (state if state.is_absolute() else Path("~/.local/state").expanduser()) / "voiceguard"


def _existing_dir(*candidates: Path) -> Path:
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    places = " nor ".join(str(candidate) for candidate in candidates)
    message = f"no {candidates[0].name} at {places}: install voiceguard again"
    raise FileNotFoundError(message)
