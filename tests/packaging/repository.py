"""Where the repository is that the packaging tests look at."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
