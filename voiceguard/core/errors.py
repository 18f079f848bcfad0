"""Errors that name the guilty side and say what to do.

Whatever raises anything else than a `VoiceguardError` has a bug.
"""

from __future__ import annotations


class VoiceguardError(Exception):
    """Base of all errors that voiceguard raises on purpose."""


class ClientError(VoiceguardError):
    """The caller sent something that breaks the contract.

    Args:
        field: path of the offending field as the caller knows it, for example
            ``config.audio.channels``.
        problem: what is wrong with it, and what to send instead.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class ConsentError(ClientError):
    """The customer has not consented, so the session must not be analysed."""


class SessionFinishedError(VoiceguardError):
    """Input was given to a session that has been finished already."""


class PolicyError(VoiceguardError):
    """A policy is not valid; the operator must correct its file.

    Args:
        policy: name or path of the policy.
        problem: what is wrong and what would be right.
    """

    def __init__(self, policy: str, problem: str) -> None:
        super().__init__(f"policy {policy}: {problem}")
        self.policy = policy
        self.problem = problem


class ModelError(VoiceguardError):
    """A model or its manifest is not what it claims to be; nothing was started."""


class AudioFileError(VoiceguardError):
    """A file cannot be read as audio; the message says why."""


class ConfigurationError(VoiceguardError):
    """The operator's settings do not fit together; the message says which."""
