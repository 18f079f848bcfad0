"""A log whose process is killed at random moments, under load.

VOICEGUARD_KILLS says how often, and after a colon with which seed: 1000:7.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).with_name("kill_log.py")


def test_nothing_acknowledged_is_lost(tmp_path) -> None:
    kills, _, seed = os.environ.get("VOICEGUARD_KILLS", "50").partition(":")
    command = [sys.executable, PROGRAM, tmp_path, seed or "1", kills]
    root = str(PROGRAM.parents[2])
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": root}
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["leaves"] > 10 * int(kills)
    assert figures["checkpoints"] > 0
    assert figures["torn"] > 0
