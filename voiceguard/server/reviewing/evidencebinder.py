"""`EvidenceBinder`: a session's records, audio and report bound into one file that verifies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final

from voiceguard.evidence.bundle import (
    BundleDraft,
    BundleLeaf,
    BundleSource,
    content_files,
    draft_bundle,
    write_bundle,
)
from voiceguard.evidence.leaves import Leaf, LeafKind
from voiceguard.evidence.log import EvidenceLog
from voiceguard.evidence.report import (
    REPORT_FILES,
    facts_from_payloads,
    render_report,
    render_timeline,
)
from voiceguard.evidence.timestamps import Timestamp, find_covering
from voiceguard.evidence.verify import parse_canonical
from voiceguard.server.reviewing.evidencesource import EvidenceParts
from voiceguard.store.contents import OpenedRecord

TIMELINE_FILE: Final = "timeline.svg"

_OF_THE_CALL: Final = frozenset({LeafKind.OPENED, LeafKind.EVENTS, LeafKind.CLOSED, LeafKind.AUDIO})
"""What a timestamp has to cover to say when the call was recorded."""


class EvidenceBinder:
    """Makes the files of a bundle and writes it.

    Args:
        log: proves the records.
        log_folder: of the log, with its timestamps.
    """

    def __init__(self, log: EvidenceLog, log_folder: Path) -> None:
        self._log = log
        self._log_folder = log_folder

    def manifest(self, parts: EvidenceParts, exported_by: str, exported_at_ms: int) -> bytes:
        """Return manifest.json, which names every file that the parts give."""
        return self._draft(parts, parts.records, exported_by, exported_at_ms).manifest

    def write(self, target: BinaryIO, parts: EvidenceParts) -> None:
        """Write the bundle from its first byte to its last.

        Args:
            target: to write to; it cannot go back.
            parts: the same as for the manifest, which is the payload of their last record now.

        Raises:
            BundleError: the parts are not the same.
        """
        *before, exported = parts.records
        manifest = parse_canonical(exported.payload)
        draft = self._draft(parts, before, manifest["exported_by"], manifest["exported_at_ms"])
        write_bundle(target, draft, _bundle_leaf(exported), self._log, self._timestamp(before))

    def _draft(
        self,
        parts: EvidenceParts,
        records: Sequence[OpenedRecord],
        exported_by: str,
        exported_at_ms: int,
    ) -> BundleDraft:
        leaves = [_bundle_leaf(record) for record in records]
        source = BundleSource(leaves, parts.audio, parts.policy, parts.model)
        return draft_bundle(
            source,
            self._reports(source),
            origin=self._log.origin,
            exported_at_ms=exported_at_ms,
            exported_by=exported_by,
        )

    def _reports(self, source: BundleSource) -> dict[str, bytes]:
        files = {
            name: content
            for name, content in content_files(source).items()
            if isinstance(content, bytes)
        }
        leaves = [(item.index, Leaf.from_bytes(item.leaf)) for item in source.leaves]
        facts = facts_from_payloads(files, self._log.origin, leaves)
        reports = {
            name: render_report(facts, language).encode() for language, name in REPORT_FILES.items()
        }
        return reports | {TIMELINE_FILE: render_timeline(facts).encode()}

    def _timestamp(self, records: Sequence[OpenedRecord]) -> Timestamp | None:
        newest = max(record.index for record in records if record.kind in _OF_THE_CALL)
        return find_covering(self._log_folder, newest)


def _bundle_leaf(record: OpenedRecord) -> BundleLeaf:
    return BundleLeaf(record.index, record.leaf, record.salt, record.payload)
