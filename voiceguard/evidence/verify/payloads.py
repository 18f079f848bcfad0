"""What the leaves commit to: whole files, and lines of files."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from .contents import LINE, WHOLE, Contents
from .forms import count_in
from .leaves import Leaf
from .wording import lines_in_words, spans_in_words, spans_of


def check_payloads(contents: Contents, leaves: Sequence[Leaf]) -> None:
    """Check what the leaves commit to, events excepted."""
    by_file: dict[str, list[Leaf]] = {name: [] for name in LINE.values()}
    others = leaves
    if others and others[-1].kind == "exported":
        _check_whole(contents, "manifest.json", others[-1])
        others = others[:-1]
    else:
        contents.report("The last leaf is missing: the one that records this export.")
    for leaf in others:
        if leaf.kind in WHOLE:
            _check_whole(contents, WHOLE[leaf.kind], leaf)
        elif leaf.kind in LINE:
            by_file[LINE[leaf.kind]].append(leaf)
        elif leaf.kind != "events":
            contents.report(f"Leaf {leaf.number} is of a kind that no bundle has.")
    for name, of_file in by_file.items():
        _check_lines(contents, name, of_file)


def _check_whole(contents: Contents, name: str, leaf: Leaf) -> None:
    """Check a file that one leaf commits to."""
    if name in contents.files and not leaf.holds(contents.file(name).content):
        contents.report(f"{name} is not what leaf {leaf.number} recorded.")


def _check_lines(contents: Contents, name: str, leaves: Sequence[Leaf]) -> None:
    """Check a file of which each leaf commits to a line.

    A line that was taken out or put in is told from one that was changed by how many there are.
    """
    lines, at = contents.file(name).lines(), 0
    spare = len(lines) - len(leaves)
    unknown: list[int] = []

    def fits(leaf: Leaf, line: int) -> bool:
        end = b"" if leaf.kind == "exported" else b"\n"
        return line < len(lines) and leaf.holds(lines[line] + end)

    for leaf in leaves:
        if spare > 0 and not fits(leaf, at) and fits(leaf, at + 1):
            unknown.append(at + 1)
            at, spare = at + 1, spare - 1
        if fits(leaf, at):
            at += 1
        elif spare < 0:
            contents.report(f"{name}: the line that leaf {leaf.number} recorded is missing.")
            spare += 1
        else:
            at += 1
            contents.report(f"{name}: line {at} is not what leaf {leaf.number} recorded.")
    unknown += range(at + 1, len(lines) + 1)
    if unknown:
        contents.report(f"{name}: {lines_in_words(unknown)}: of no leaf.")
    contents.check_last_line(name)


class _Passage(NamedTuple):
    """Lines of events.jsonl that one leaf recorded, counted from 1."""

    leaf: int
    first: int
    last: int


def check_events(contents: Contents, leaves: Sequence[Leaf]) -> None:
    """Check the lines of events.jsonl, and that each belongs to one leaf."""
    lines, following = contents.file("events.jsonl").lines(), 0
    unknown: list[range] = []
    wrong: list[_Passage] = []
    for leaf in leaves:
        if leaf.kind != "events":
            continue
        try:
            first, count = count_in(leaf.values, "first"), count_in(leaf.values, "count")
        except (ValueError, KeyError):
            contents.report(f"Leaf {leaf.number} does not say which events it has.")
            continue
        if first < following:
            contents.report(f"Leaf {leaf.number} has events that are another's.")
        unknown.append(range(following + 1, min(first, len(lines)) + 1))
        following = first + count
        if not leaf.holds(b"".join(line + b"\n" for line in lines[first:following])):
            wrong.append(_Passage(leaf.number, first + 1, following))
    unknown.append(range(following + 1, len(lines) + 1))
    _report_passages(contents, wrong)
    if any(unknown):
        contents.report(f"events.jsonl: {lines_in_words(chain(*unknown))}: of no leaf.")
    contents.check_last_line("events.jsonl")


def _report_passages(contents: Contents, wrong: Sequence[_Passage]) -> None:
    """Report events that were changed: leaves that follow each other are told in one sentence."""
    for span in spans_of(passage.leaf for passage in wrong):
        told = [passage for passage in wrong if span[0] <= passage.leaf <= span[1]]
        place = spans_in_words("line", "lines", [(told[0].first, told[-1].last)])
        recorded = spans_in_words("leaf", "leaves", [span])
        contents.report(f"events.jsonl: {place}: not what {recorded} recorded.")
