"""What the session itself says that there must be, so that nothing can be left out unseen.

Its `opened` leaf names policy and model, its `closed` leaf counts, its manifest names every file.
"""

from __future__ import annotations

from collections.abc import Sequence

from .checkpoints import Checkpoint
from .contents import FORMAT, UNPROMISED, WHOLE, Contents
from .leaves import Leaf, first_of
from .wording import shown


def check_counts(contents: Contents, leaves: Sequence[Leaf]) -> None:
    """Check that the session has a beginning and an end, and as much as `closed` says."""
    for kind in WHOLE:
        if sum(leaf.kind == kind for leaf in leaves) > 1:
            contents.report(f"There is more than one leaf of the kind {kind}.")
    if leaves and leaves[0].kind != "opened":
        contents.report("The first leaf is missing: the one that opened the session.")
    closed = first_of(leaves, "closed")
    if closed is None:
        contents.report("The leaf that closed the session is missing: nothing shows its end.")
        return
    events = len(contents.file("events.jsonl").lines())
    if closed.values.get("events") != events:
        said = shown(closed.values.get("events"))
        contents.report(f"events.jsonl has {events} events, but the session closed with {said}.")
    if closed.values.get("leaves") != closed.number + 1:
        said = shown(closed.values.get("leaves"))
        contents.report(
            f"The session closed with {said} leaves, but the last of them is number "
            f"{closed.number}."
        )
    _check_presence_of_audio(contents, closed, first_of(leaves, "audio"))


def _check_presence_of_audio(contents: Contents, closed: Leaf, audio: Leaf | None) -> None:
    """Check that there is audio if the session closed with it, and only then."""
    if (closed.values.get("audio") is True) != (audio is not None):
        contents.report(
            "The session closed with audio, but the leaf of it is missing."
            if audio is None
            else "There is a leaf of audio, but the session closed without."
        )
    if (audio is None) != ("audio.json" not in contents.files):
        contents.report("audio.json is missing." if audio else "audio.json belongs to no leaf.")


def check_documents(contents: Contents, leaves: Sequence[Leaf]) -> None:
    """Check that policy and model are those that `opened` names."""
    opened = first_of(leaves, "opened")
    for name, fact in (("policy.toml", "policy_sha256"), ("model.toml", "model_sha256")):
        known = opened.values.get(fact) if opened else None
        if name in contents.files and known != contents.file(name).sha256:
            contents.report(f"{name} is not the one that the session was opened with.")


def check_manifest(contents: Contents, leaves: Sequence[Leaf], tree: Checkpoint | None) -> None:
    """Check that every file is the one that was exported."""
    if "manifest.json" not in contents.files:
        return
    manifest = contents.json("manifest.json")
    named = manifest.get("files")
    if manifest.get("format") != FORMAT or not isinstance(named, dict):
        contents.report(f"manifest.json is not of the format {FORMAT}.")
        return
    opened = first_of(leaves, "opened")
    if opened and manifest.get("evidence_id") != opened.values.get("session"):
        contents.report("manifest.json is of another session.")
    if tree and manifest.get("origin") != tree.origin:
        contents.report("manifest.json is of another log.")
    present = contents.files.keys() - UNPROMISED
    for name in sorted(present | named.keys()):
        file = contents.file(name)
        if name not in named:
            contents.report(f"{name} is not in manifest.json.")
        elif name not in present:
            contents.report(f"{shown(name)} is in manifest.json, but not in the bundle.")
        elif named[name] != {"bytes": file.size, "sha256": file.sha256}:
            contents.report(f"{name} is not the file that manifest.json names.")
