"""Policies: what is accepted, and what the refusal says."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceguard.core.errors import PolicyError
from voiceguard.core.events import AlertLevel
from voiceguard.core.policy import AlertPolicy, AudioKeeping, Policy
from voiceguard.resources import policies_dir

DEFAULT = (policies_dir() / "default.toml").read_bytes()


def test_the_default_policy_reads_and_is_versioned_by_its_bytes() -> None:
    policy = Policy.from_toml(DEFAULT, "default.toml")
    assert policy.name == "default"
    assert policy.version.startswith("default@sha256:")
    assert policy.handoff_level is AlertLevel.ORANGE
    assert policy.keep_audio is AudioKeeping.FLAGGED
    assert policy.retention_days == 180
    assert policy.content == DEFAULT
    other = Policy.from_toml(DEFAULT + b"\n# a remark\n", "default.toml")
    assert other.version != policy.version


@pytest.mark.parametrize("path", sorted(policies_dir().glob("*.toml")), ids=lambda path: path.name)
def test_every_shipped_policy_is_valid_and_named_after_its_file(path: Path) -> None:
    assert Policy.from_toml(path.read_bytes(), path.name).name == path.stem


@given(st.floats(0.1, 100), st.floats(0, 100))
def test_a_clear_threshold_at_or_above_raise_cannot_be_constructed(
    raise_threshold: float, above: float
) -> None:
    with pytest.raises(PolicyError, match="clear_threshold"):
        AlertPolicy(raise_threshold, raise_threshold + above, 1, 1, 1)


@pytest.mark.parametrize("value", [math.nan, math.inf, -1, True, "5"])
@pytest.mark.parametrize("field", range(5))
def test_thresholds_and_times_are_finite_numbers(field: int, value: float) -> None:
    values: list[float] = [60, 40, 1, 1, 1]
    values[field] = value
    with pytest.raises(PolicyError):
        AlertPolicy(*values)


@pytest.mark.parametrize("raise_threshold", [0, 100.5])
def test_the_raise_threshold_lies_within_the_index(raise_threshold: float) -> None:
    with pytest.raises(PolicyError, match="raise_threshold"):
        AlertPolicy(raise_threshold, 0, 1, 1, 1)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b"schema = 1", b"schema = 2", "schema must be 1"),
        (b'name = "default"', b"name = 5", "name must be a text"),
        (b"[flag]", b"[flags]", "flag is missing"),
        (b"[alerts.red]", b"[alerts.purple]", "alerts.red is missing"),
        (b"cooldown_s = 60", b"cooldown_s = -1", "handoff.cooldown_s is -1"),
        (b"cooldown_s = 60", b"cooldown_s = true", "handoff.cooldown_s must be a number"),
        (b"cooldown_s = 60", b"cooldown_s = nan", "handoff.cooldown_s is nan"),
        (b"cooldown_s = 60", b"cooldown_s = 60\nwarmup = 1", "handoff.warmup is not a setting"),
        (b"require_consent = false", b'require_consent = "no"', "must be true or false"),
        (b'[flag]\nlevel = "orange"', b'[flag]\nlevel = "green"', "flag.level must be one of"),
        (b"clear_threshold = 48", b"clear_threshold = 90", "alerts.orange: clear_threshold"),
        (b"raise_threshold = 60", b"raise_threshold = 85", "levels must rise"),
        (b"[session]", b"[session", "not a TOML file"),
        (b"# What", b"\xff\xfe", "not a TOML file"),
        (b"[keep]", b"[kept]", "keep is missing"),
        (b'audio = "flagged"', b'audio = "some"', "keep.audio must be one of flagged, all, none"),
        (b"retention_days = 180", b"retention_days = 0", "must be more than 0"),
        (b"schema = 1", b"schema = 1\nextra = 1", "extra is not a setting"),
        (b"schema = 1", b"schema = 1\nflag = 3", "not a TOML file"),
    ],
)
def test_a_wrong_file_is_refused_by_name_and_setting(old: bytes, new: bytes, problem: str) -> None:
    assert old in DEFAULT
    with pytest.raises(PolicyError, match=r"^policy mine\.toml: ") as refused:
        Policy.from_toml(DEFAULT.replace(old, new, 1), "mine.toml")
    assert problem in str(refused.value)


def test_levels_may_be_switched_off() -> None:
    never = DEFAULT.replace(b'level = "orange"', b'level = "never"')
    policy = Policy.from_toml(never, "never.toml")
    assert policy.handoff_level is None
    assert policy.flag_level is None
