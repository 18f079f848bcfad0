"""How problems are worded: numbers of leaves and lines, and values that came from outside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

Span = tuple[int, int]
"""First and last of numbers that follow each other."""

_MAX_SPANS: Final = 10
_MAX_LETTERS: Final = 200


def spans_of(numbers: Iterable[int]) -> list[Span]:
    """Return rising numbers as the spans that they make."""
    spans: list[Span] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1] = (spans[-1][0], number)
        else:
            spans.append((number, number))
    return spans


def span_in_words(span: Span) -> str:
    """Return `3` or `3 to 5`."""
    return str(span[0]) if span[0] == span[1] else f"{span[0]} to {span[1]}"


def spans_in_words(one: str, many: str, spans: Sequence[Span]) -> str:
    """Return spans after the word for one thing or for many, such as `lines 3 to 5, 9`."""
    text = ", ".join(span_in_words(span) for span in spans[:_MAX_SPANS])
    is_one = len(spans) == 1 and spans[0][0] == spans[0][1]
    return f"{one if is_one else many} {text}" + (" ..." if len(spans) > _MAX_SPANS else "")


def lines_in_words(numbers: Iterable[int]) -> str:
    """Return rising numbers of lines, such as `line 7`."""
    return spans_in_words("line", "lines", spans_of(numbers))


def leaves_in_words(numbers: Iterable[int]) -> str:
    """Return rising numbers of leaves as a sentence begins, such as `Leaf 7`."""
    return spans_in_words("Leaf", "Leaves", spans_of(numbers))


def shown(value: object) -> str:
    """Return a value from outside as one short line that can be printed anywhere."""
    known = isinstance(value, str | int | Exception)
    text = str(value)[:_MAX_LETTERS] if known else type(value).__name__
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )
