"""The journal: spool and evidence log, written together.

A record goes into the spool first, then its leaf into the log, each on the disk before the next.
So whatever the log has can be shown, and what a crash left between the two is put right at the
next start: it was complete, and nobody had been told of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from voiceguard.evidence.log import EvidenceLog
from voiceguard.evidence.signing import Signer
from voiceguard.store.errors import StoreError
from voiceguard.store.records import Record
from voiceguard.store.spool import Spool

_REPAIR_RECORDS = 1000


class Journal:
    """Spool and log of one store.

    Args:
        spool: the records that the database may lack.
        log: the leaves of all.

    Raises:
        StoreError: the two do not belong together.
        OSError: the disk is full or broken.
    """

    def __init__(self, spool: Spool, log: EvidenceLog) -> None:
        self.spool = spool
        self.log = log
        self._reconcile()
        self._spooled = log.size

    @classmethod
    def open(cls, data_dir: Path, signer: Signer) -> Journal:
        """Open both in a store's folder, repaired.

        Raises:
            EvidenceError, StoreError: one of them is damaged, or they do not belong together.
            OSError: the disk is full or broken.
        """
        log = EvidenceLog.open(data_dir / "log", signer)
        try:
            spool = Spool(data_dir / "spool")
            try:
                return cls(spool, log)
            except BaseException:
                spool.close()
                raise
        except BaseException:
            log.close()
            raise

    @property
    def next_index(self) -> int:
        """Leaf index of the next record."""
        return self.log.size

    @property
    def durable(self) -> int:
        """Leaf index after the last record that both have: nothing later may be applied."""
        return self.log.size

    def read(self, index: int, max_records: int) -> list[Record]:
        """Return records from a leaf index on, as `Spool.read`."""
        return self.spool.read(index, max_records)

    def discard(self, applied: int) -> None:
        """Delete what the database has, as `Spool.discard`."""
        self.spool.discard(applied)

    def commit(self, records: Sequence[Record]) -> None:
        """Make records durable.

        Args:
            records: from `next_index` on. After an error: the same again.

        Raises:
            OSError: the disk is full or broken.
        """
        after = records[-1].leaf_index + 1
        if self._spooled < after:
            self.spool.append(records)
            self._spooled = after
        self.log.append([record.leaf.to_bytes() for record in records])

    def close(self) -> None:
        """Close both."""
        self.spool.close()
        self.log.close()

    def _reconcile(self) -> None:
        """Append to the log what only the spool has."""
        bounds = self.spool.bounds
        if bounds is None:
            return
        first, after = bounds
        if first > self.log.size or after < self.log.size:
            message = (
                f"the spool has records {first} to {after - 1}, the evidence log {self.log.size} "
                "leaves: they do not belong together; restore both from one backup"
            )
            raise StoreError(message)
        while self.log.size < after:
            records = self.spool.read(self.log.size, _REPAIR_RECORDS)
            self.log.append([record.leaf.to_bytes() for record in records])
