"""From the operator's settings to those of the archive."""

from __future__ import annotations

from typing import Final

from voiceguard.resources import default_data_dir
from voiceguard.server.settings import ServerSettings
from voiceguard.store.settings import ArchiveSettings

_MB: Final = 1_000_000


def archive_settings(settings: ServerSettings) -> ArchiveSettings:
    """Return what the archive of a server is opened with."""
    return ArchiveSettings(
        data_dir=settings.data_dir or default_data_dir(),
        database_url=settings.database_url,
        master_key_file=settings.master_key_file,
        master_key=settings.master_key,
        evidence_key_file=settings.evidence_key_file,
        evidence_origin=settings.evidence_origin,
        spool_limit_bytes=int(settings.spool_limit_mb * _MB),
    )
