"""Transition tables: state machines as data, checked once, drawn from the same table.

A machine here is a table and a current state, nothing else.  Counting, timing and thresholds
live in the code that turns measurements into *inputs*; what an input does in a state is
written in one table that a reader can check and that the documentation's diagram is drawn from.
The idea is that of h11 (``h11/_state.py``): everything that affects the machine is in one place.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

__all__ = ["StateTable", "StateTableError"]

StateT = TypeVar("StateT", bound=Enum)
InputT = TypeVar("InputT", bound=Enum)


class StateTableError(ValueError):
    """A transition table is incomplete or contradicts itself: a defect in the program."""


@dataclass(frozen=True, slots=True)
class StateTable(Generic[StateT, InputT]):
    """A complete transition table over two enums.

    Every pair of state and input is either in ``transitions`` or in ``ignored``; a pair in
    neither, or in both, or a state that cannot be reached from ``initial`` makes construction
    fail, so a forgotten case shows at import and not on a call.

    Attributes:
        name: what the machine is, as the documentation's heading.
        initial: the state a new machine starts in.
        transitions: for each state, the next state for each input that matters in it.
        ignored: for each state, the inputs that deliberately change nothing in it.

    Raises:
        StateTableError: the table is not complete, not consistent or not connected.

    """

    name: str
    initial: StateT
    transitions: Mapping[StateT, Mapping[InputT, StateT]]
    ignored: Mapping[StateT, AbstractSet[InputT]]

    def __post_init__(self) -> None:
        inputs = self._inputs()
        for state in type(self.initial):
            moves = set(self.transitions.get(state, {}))
            ignored = set(self.ignored.get(state, frozenset()))
            self._refuse(moves & ignored, f"{state.name} both follows and ignores")
            self._refuse(inputs - moves - ignored, f"{state.name} says nothing about")
        self._refuse(set(type(self.initial)) - self._reachable(), "no path leads to")

    def next_state(self, state: StateT, received: InputT) -> StateT:
        """Return the state that follows ``state`` on ``received``; itself where ignored."""
        return self.transitions[state].get(received, state)

    def to_mermaid(self) -> str:
        """Return the table as a Mermaid ``stateDiagram-v2``, ending in a newline.

        States and inputs appear by their enum names, in the order of their definition, so that
        the same table always gives the same text.  Ignored inputs are not drawn.
        """
        lines = ["stateDiagram-v2", f"    [*] --> {self.initial.name}"]
        for state in type(self.initial):
            for received, following in self.transitions.get(state, {}).items():
                lines.append(f"    {state.name} --> {following.name}: {received.name}")
        return "\n".join(lines) + "\n"

    def to_markdown(self) -> str:
        """Return the table as a Markdown table, a row a state, ``·`` where ignored."""
        inputs = list(next(iter(self._inputs())).__class__)
        rows = [
            "| state | " + " | ".join(received.name for received in inputs) + " |",
            "|---" * (len(inputs) + 1) + "|",
        ]
        for state in type(self.initial):
            cells = (self.transitions[state].get(received) for received in inputs)
            names = ("·" if cell is None else cell.name for cell in cells)
            rows.append(f"| {state.name} | " + " | ".join(names) + " |")
        return "\n".join(rows) + "\n"

    def _inputs(self) -> set[InputT]:
        """Return all members of the input enum, found from any input the table names."""
        for moves in self.transitions.values():
            for received in moves:
                return set(type(received))
        message = f"{self.name}: the table has no transition"
        raise StateTableError(message)

    def _reachable(self) -> set[StateT]:
        """Return the states some sequence of inputs leads to from the initial state."""
        found = {self.initial}
        waiting = [self.initial]
        while waiting:
            following = set(self.transitions.get(waiting.pop(), {}).values()) - found
            found |= following
            waiting.extend(following)
        return found

    def _refuse(self, offending: AbstractSet[Enum], complaint: str) -> None:
        """Raise if ``offending`` names anything.

        Raises:
            StateTableError: it does.

        """
        if offending:
            names = ", ".join(sorted(member.name for member in offending))
            message = f"{self.name}: {complaint} {names}"
            raise StateTableError(message)
