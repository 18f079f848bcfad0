"""Write docs/state-machines.md from the tables that the program runs on.

python tools/render_state_machines.py            # write it
python tools/render_state_machines.py --check    # exit 1 if it is out of date
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from voiceguard.core.alerts import ALERT_TABLE
from voiceguard.core.handoffs import REQUEST_TABLE, TRIGGER_TABLE
from voiceguard.core.speech import SEGMENT_TABLE
from voiceguard.server.call import CALL_TABLE

if TYPE_CHECKING:
    from voiceguard.core.statetable import StateTable

PAGE: Final = Path(__file__).parents[1] / "docs" / "state-machines.md"

INTRODUCTION: Final = """\
# State machines

Drawn by `python tools/render_state_machines.py` from the tables that the program
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


def render() -> str:
    """Return the page."""
    parts = [INTRODUCTION]
    for table, remark in MACHINES:
        name = table.name[0].upper() + table.name[1:]
        parts.append(
            f"## {name}\n\n{remark}\n\n```mermaid\n{table.to_mermaid()}```\n\n{table.to_markdown()}"
        )
    return "\n".join(parts)


def main(arguments: list[str]) -> int:
    """Write the page, or check it."""
    if arguments == ["--check"]:
        return 0 if PAGE.read_text("utf-8") == render() else 1
    PAGE.write_text(render(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
