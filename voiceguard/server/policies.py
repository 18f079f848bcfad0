"""The policies that a server knows, read from a folder of TOML files."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from voiceguard.core.errors import PolicyError
from voiceguard.core.policy import Policy

MAX_POLICY_BYTES: Final = 64 * 1024
"""No policy is anywhere near this; a file that is larger was put there by mistake."""


def load_policies(folder: Path) -> dict[str, Policy]:
    """Read every `*.toml` in a folder.

    Returns:
        Policies by name, in order of name.

    Raises:
        PolicyError: a file cannot be read or is not a policy, two have one name,
            or there is none.
    """
    policies: dict[str, Policy] = {}
    for path in sorted(folder.glob("*.toml")):
        policy = Policy.from_toml(_read(path), path.name)
        if policy.name in policies:
            raise PolicyError(path.name, f"another file in {folder} has the name {policy.name!r}")
        policies[policy.name] = policy
    if not policies:
        raise PolicyError(str(folder), "the folder holds no *.toml file")
    return dict(sorted(policies.items()))


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_POLICY_BYTES:
            raise PolicyError(path.name, f"larger than {MAX_POLICY_BYTES} bytes")
        return path.read_bytes()
    except OSError as error:
        raise PolicyError(path.name, f"cannot be read: {error.strerror}") from error


class PolicyShelf:
    """Policies to choose from; reloading changes sessions that open later, never live ones.

    Args:
        folder: where the files lie.
        default: name of the policy of sessions that ask for none.

    Raises:
        PolicyError: as `load_policies`; or there is no policy named `default`.
    """

    def __init__(self, folder: Path, default: str) -> None:
        self._folder = folder
        self._default = default
        self._policies: dict[str, Policy] = {}
        self.reload()

    @property
    def names(self) -> list[str]:
        """All names, the default first."""
        others = [name for name in self._policies if name != self._default]
        return [self._default, *others]

    @property
    def versions(self) -> list[str]:
        """The version of every policy, in the order of `names`."""
        return [self._policies[name].version for name in self.names]

    def reload(self) -> None:
        """Read the folder again.

        Raises:
            PolicyError: something is wrong; the policies stay as they were.
        """
        policies = load_policies(self._folder)
        if self._default not in policies:
            known = ", ".join(policies)
            raise PolicyError(self._default, f"not found in {self._folder}, which has {known}")
        self._policies = policies

    def find(self, name: str) -> Policy | None:
        """Return a policy by its name, the default for an empty one, None when unknown."""
        return self._policies.get(name or self._default)
