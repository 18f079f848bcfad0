"""Fits a shipped model to a user's own lines and callers: `calibrate`, and `train --base`.

docs/adaptation.md says for whom and how.
"""
