"""The signed tree, and the leaves of the session in it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any, Final

from .checkpoints import Checkpoint, VerifierKey
from .contents import MAX_LEAVES, MAX_LINES, Contents, Report
from .forms import commitment_of, count_in, leaf_hash, parse_canonical, parse_digest
from .proofs import proves_inclusion
from .wording import leaves_in_words, shown

_MAX_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf of the session, as leaves.jsonl has it."""

    index: int
    """Within the log."""
    number: int
    """Within the session."""
    kind: str
    at_ms: int
    """Since 1970, UTC, by the clock of the server that recorded."""
    values: dict[str, Any]
    hash_: bytes
    salt: bytes
    proof: tuple[bytes, ...]

    @classmethod
    def parse(cls, line: bytes) -> Leaf:
        """Return a leaf from its line.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: it is none.
        """
        outer = parse_canonical(line)
        content = outer["leaf"].encode("ascii")
        values = parse_canonical(content)
        salt = parse_digest(outer["salt"]) if outer["salt"] else b""
        proof = tuple(parse_digest(item) for item in outer["proof"])
        is_flat = all(isinstance(value, str | int) for value in values.values())
        if len(outer) != 4 or values["v"] != 1 or not is_flat:
            raise ValueError("not a leaf of this format")
        if bool(salt) != bool(values.get("commitment")):
            raise ValueError("a salt without a commitment, or a commitment without a salt")
        index, number = count_in(outer, "index"), count_in(values, "n", MAX_LINES)
        kind, at_ms = str(values["kind"]), count_in(values, "at_ms", _MAX_MS)
        return cls(index, number, kind, at_ms, values, leaf_hash(content), salt, proof)

    def holds(self, payload: bytes) -> bool:
        """Return whether it commits to these bytes."""
        return commitment_of(self.salt, payload) == self.values.get("commitment")


def first_of(leaves: Sequence[Leaf], kind: str) -> Leaf | None:
    """Return the first leaf of a kind."""
    return next((leaf for leaf in leaves if leaf.kind == kind), None)


def read_checkpoint(contents: Contents, name: str, key: VerifierKey) -> Checkpoint | None:
    """Return what a file of a checkpoint says, reporting what is wrong with it."""
    note = contents.file(name).content
    try:
        found = Checkpoint.parse(note)
    except ValueError:
        contents.report(f"{name} is not a signed checkpoint of an evidence log.")
        return None
    try:
        found.check_signature(key)
    except ValueError as error:
        contents.report(f"{name} does not count: {shown(error)}.")
    if note.count(b"\n") != 5:  # origin, size, root, nothing, our signature
        contents.report(f"{name} is not in its one form: other lines were added to it.")
    return found


def read_leaves(contents: Contents, tree: Checkpoint | None) -> list[Leaf]:
    """Return the leaves of leaves.jsonl, reporting those that do not lie in the signed tree."""
    contents.check_last_line("leaves.jsonl")
    leaves: list[Leaf] = []
    outside: list[int] = []
    unproved: list[int] = []
    for number, line in enumerate(contents.file("leaves.jsonl").lines(), start=1):
        if number > MAX_LEAVES:
            contents.report(
                f"leaves.jsonl has more than {MAX_LEAVES} lines; the rest was not read."
            )
            break
        try:
            leaf = Leaf.parse(line)
        except (ValueError, KeyError, TypeError, AttributeError):
            contents.report(f"leaves.jsonl: line {number} is not a leaf in its one form.")
            continue
        leaves.append(dataclasses.replace(leaf, proof=()))  # not needed again, and large
        if tree is None:
            continue
        if leaf.index >= tree.size:
            outside.append(leaf.number)
        elif not proves_inclusion(leaf.index, tree.size, leaf.hash_, leaf.proof, tree.root):
            unproved.append(leaf.number)
    if tree and outside:
        named = leaves_in_words(outside)
        contents.report(f"{named}: not in the signed tree, which has {tree.size} leaves.")
    if unproved:
        contents.report(f"{leaves_in_words(unproved)}: the proof does not lead to the signed root.")
    return leaves


def check_order(leaves: Sequence[Leaf], report: Report) -> None:
    """Check that no leaf is missing, there twice, of another session or out of order."""
    if not leaves:
        report("There is not one leaf of the session.")
        return
    numbers = [leaf.number for leaf in leaves]
    ordered = sorted(numbers)
    gaps = [range(a + 1, b) for a, b in pairwise([-1, *ordered]) if b > a + 1]
    if gaps:
        report(f"{leaves_in_words(chain(*gaps))}: missing.")
    if twice := sorted(number for number, count in Counter(numbers).items() if count > 1):
        report(f"{leaves_in_words(twice)}: there more than once.")
    moved = [(found, due) for found, due in zip(numbers, ordered, strict=True) if found != due]
    if len(moved) == 2:
        report(f"Leaves {moved[0][1]} and {moved[0][0]} are swapped.")
    elif moved:
        report(f"{leaves_in_words(due for _, due in moved)}: not in their order.")
    elif any(b.index <= a.index for a, b in pairwise(leaves)):
        report("The leaves are not in the order in which the log has them.")
    session = leaves[0].values.get("session")
    others = [leaf.number for leaf in leaves if leaf.values.get("session") != session]
    if others:
        report(f"{leaves_in_words(others)}: of another session.")
