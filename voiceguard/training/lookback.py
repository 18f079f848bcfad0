"""How far a score looks back."""

from __future__ import annotations

from typing import Final

LONG_HOPS: Final = 6
SHORT_HOPS: Final = 2
"""A score looks back on 3 s, and on the last 1 s by itself."""

PAST_HOPS: Final = LONG_HOPS - 1
