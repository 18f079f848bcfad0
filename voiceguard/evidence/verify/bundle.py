"""A bundle checked from the signature down: every check in its order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO, Final

from .audio import check_audio
from .checkpoints import Checkpoint, VerifierKey
from .contents import FILES, OPTIONAL, Contents
from .findings import Facts, Verdict
from .leaves import Leaf, check_order, first_of, read_checkpoint, read_leaves
from .payloads import check_events, check_payloads
from .promises import check_counts, check_documents, check_manifest
from .timestamps import Stamp, check_timestamp
from .wording import shown
from .zipform import read_zip

MAX_PROBLEMS: Final = 100
"""More are counted, not listed."""


def verify_bundle(file: BinaryIO, key: VerifierKey, tsa_roots: bytes | None = None) -> Verdict:
    """Return whether a bundle is what a log recorded; whatever the file holds, nothing is raised.

    Args:
        file: the bundle, read once from here to its end. Of the audio one MiB is held in memory.
        key: the log's public key, had from somebody you trust.
        tsa_roots: certificates (PEM) of the timestamp authorities that you trust; the bundle
            must have a timestamp by one of them. None: a timestamp is not checked.
    """
    problems: list[str] = []
    try:
        files = read_zip(file, problems.append)
    except (ValueError, OSError) as error:
        return Verdict(False, (*problems, str(error)), Facts())
    missing = [name for name in FILES if name not in files and name not in OPTIONAL]
    problems += [f"{name} is missing." for name in missing]
    facts = _check(Contents(files, problems.append), key, tsa_roots)
    if len(problems) > MAX_PROBLEMS:
        problems[MAX_PROBLEMS:] = [f"And {len(problems) - MAX_PROBLEMS} more problems."]
    return Verdict(not problems, tuple(problems), facts)


def _check(contents: Contents, key: VerifierKey, tsa_roots: bytes | None) -> Facts:
    """Check everything, and return what was found."""
    tree = read_checkpoint(contents, "checkpoint", key)
    leaves = read_leaves(contents, tree)
    check_order(leaves, contents.report)
    check_payloads(contents, leaves)
    check_events(contents, leaves)
    check_counts(contents, leaves)
    check_documents(contents, leaves)
    check_audio(contents)
    check_manifest(contents, leaves, tree)
    stamp = check_timestamp(contents, leaves, tree, key, tsa_roots)
    return _facts(contents, tree, leaves, stamp)


def _facts(
    contents: Contents, tree: Checkpoint | None, leaves: Sequence[Leaf], stamp: Stamp
) -> Facts:
    """Return what the bundle says, reporting a session.json that is of another session."""
    opened, closed = first_of(leaves, "opened"), first_of(leaves, "closed")
    session = contents.json("session.json") if "session.json" in contents.files else {}
    last = leaves[-1] if leaves else None
    if opened and session.get("evidence_id") != opened.values.get("session"):
        contents.report("session.json is of another session than the leaves.")
    return Facts(
        log=shown(tree.origin) if tree else "",
        tree_size=tree.size if tree else 0,
        evidence_id=shown(opened.values.get("session", "")) if opened else "",
        session_id=shown(session.get("session_id", "")),
        opened_at_ms=opened.at_ms if opened else None,
        closed_at_ms=closed.at_ms if closed else None,
        exported_at_ms=last.at_ms if last and last.kind == "exported" else None,
        leaves=len(leaves),
        events=len(contents.file("events.jsonl").lines()),
        verdicts=len(contents.file("verdicts.jsonl").lines()),
        accesses=len(contents.file("access.jsonl").lines()),
        audio_bytes=contents.file("audio.flac").size,
        timestamped_leaves=stamp.leaves,
        timestamp_checked=stamp.at_ms is not None,
        timestamp_at_ms=stamp.at_ms,
    )
