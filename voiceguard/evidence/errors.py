"""Errors of the evidence log."""

from __future__ import annotations

from voiceguard.core.errors import VoiceguardError


class EvidenceError(VoiceguardError):
    """Evidence is damaged, was changed, or is not what it was taken for; nothing was changed."""


class TimestampError(EvidenceError):
    """An authority gave no timestamp, or one that does not fit what was asked."""
