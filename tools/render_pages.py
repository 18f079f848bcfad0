"""Write docs/state-machines.md from the tables that the program runs on.

python tools/render_pages.py            # write it
python tools/render_pages.py --check    # exit 1 if it is out of date
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from voiceguard.core.alerts import ALERT_TABLE
from voiceguard.core.handoffs import REQUEST_TABLE, TRIGGER_TABLE
from voiceguard.core.pressure import Constants
from voiceguard.core.speech import SEGMENT_TABLE
from voiceguard.engine.manifest import load_manifest
from voiceguard.resources import models_dir
from voiceguard.server.call import CALL_TABLE

if TYPE_CHECKING:
    from voiceguard.core.statetable import StateTable

DOCS: Final = Path(__file__).parents[1] / "docs"

CONSTANTS: Final = re.compile(
    r"(<!-- constants: .*? -->\n).*?(<!-- end of constants -->)", re.DOTALL
)

INTRODUCTION: Final = """\
# State machines

Drawn by `python tools/render_pages.py` from the tables that the program
runs on; a test fails when this page and the tables differ. In a table, `·` means
that the input changes nothing in that state, on purpose.
"""

MACHINES: Final[list[tuple[StateTable[Any, Any], str]]] = [
    (
        SEGMENT_TABLE,
        "One scored channel, one input a frame of 20 ms (`voiceguard/core/speech.py`).",
    ),
    (
        ALERT_TABLE,
        (
            "One alert level of one channel, one input a hop of scored speech. `HELD` comes when "
            "the index has been on its side of the threshold for the policy's `hold_s` or "
            "`clear_hold_s`; time between the thresholds is not counted "
            "(`voiceguard/core/alerts.py`)."
        ),
    ),
    (
        TRIGGER_TABLE,
        (
            "When a session asks for a human. A cooldown delays `REACHED`, it does not lose it "
            "(`voiceguard/core/handoffs.py`)."
        ),
    ),
    (
        REQUEST_TABLE,
        (
            "What became of one handoff request. A human who comes after the deadline still came "
            "(`voiceguard/core/handoffs.py`)."
        ),
    ),
    (
        CALL_TABLE,
        (
            "One monitored call on the wire, alone on a stream or on a trunk "
            "(`voiceguard/server/call.py`)."
        ),
    ),
]


def state_machines(_: str) -> str:
    """Return docs/state-machines.md."""
    parts = [INTRODUCTION]
    for table, remark in MACHINES:
        name = table.name[0].upper() + table.name[1:]
        parts.append(
            f"## {name}\n\n{remark}\n\n```mermaid\n{table.to_mermaid()}```\n\n{table.to_markdown()}"
        )
    return "\n".join(parts)


def pressure_index(page: str) -> str:
    """Return docs/pressure-index.md with the constants of the shipped model."""
    values = load_manifest(models_dir() / "stress" / "model.toml").pressure
    rows = [f"| `{name}` | {value:g} |" for name, value in _flat(values)]
    table = "\n".join(["| constant | value |", "|---|---|", *rows])
    return CONSTANTS.sub(lambda found: f"{found[1]}{table}\n{found[2]}", page)


def _flat(constants: Constants, path: str = "") -> Iterator[tuple[str, float]]:
    for name, value in constants.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


PAGES: Final[dict[str, Callable[[str], str]]] = {
    "state-machines.md": state_machines,
    "pressure-index.md": pressure_index,
}


def main(arguments: list[str]) -> int:
    """Write the pages, or check them."""
    outdated = []
    for name, render in PAGES.items():
        path = DOCS / name
        before = path.read_text("utf-8") if path.exists() else ""
        after = render(before)
        if before != after:
            outdated.append(name)
            if arguments != ["--check"]:
                path.write_text(after, "utf-8")
    print("out of date: " + ", ".join(outdated) if outdated else "all pages are up to date")
    return 1 if outdated and arguments == ["--check"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
