"""Simulated calls of held-out speakers, through the engine: how well and how soon it hands off."""
