"""Recordings instead of live calls: the same engine over files, scores in bulk, timelines."""
