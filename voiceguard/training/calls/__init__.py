"""Simulated calls: written, rendered, heard by the engine, judged.

Training fits the constants of the pressure index on calls of development
speakers; `benchmarks/calls` reports on the same kind of calls of others.
"""

from voiceguard.training.calls.fitting import cross_validate, describe, fit_evidence
from voiceguard.training.calls.rates import Rates, rates_of
from voiceguard.training.calls.scoring import CallMaker, RunnerModel, ScoredCall
from voiceguard.training.calls.script import CallSounds, voices_of
from voiceguard.training.calls.simulate import default_policy, simulate_calls

__all__ = [
    "CallMaker",
    "CallSounds",
    "Rates",
    "RunnerModel",
    "ScoredCall",
    "cross_validate",
    "default_policy",
    "describe",
    "fit_evidence",
    "rates_of",
    "simulate_calls",
    "voices_of",
]
