import os
import re
import shutil
import subprocess

import pytest

from tests.packaging.repository import ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def make(*arguments):
    # What a surrounding make passes on would change what this one prints.
    environment = {name: value for name, value in os.environ.items() if "MAKE" not in name}
    done = subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def test_help_lists_every_target():
    (phony,) = re.findall(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)
    listed = re.findall(r"^  make (\S+) +\S", make("help"), re.MULTILINE)
    assert sorted(listed) == sorted(phony.split())


def test_help_is_what_a_bare_make_prints():
    assert make() == make("help")


def test_demo_passes_call_and_speed_on():
    command = make("-n", "demo", "CALL=my call.wav", "SPEED=1").splitlines()[-1]
    assert command.endswith('voiceguard demo --call "my call.wav" --speed "1"')
    assert make("-n", "demo").splitlines()[-1].rstrip().endswith("voiceguard demo")


def test_ci_runs_checks_and_tests():
    script = ROOT / ".ci" / "run"
    text = script.read_text(encoding="utf-8")
    assert os.access(script, os.X_OK)
    assert "set -euo pipefail" in text
    assert {"run make check", "run make test"} <= set(text.splitlines())


@pytest.fixture
def find_python(tmp_path):
    """Run tools/find-python where only the given commands exist, each a Python of some kind."""
    shell = shutil.which("sh")

    def run(**kinds):
        for name, answer in kinds.items():
            command = tmp_path / name
            command.write_text(f"#!{shell}\n{answer}\n")
            command.chmod(0o755)
        return subprocess.run(
            [shell, ROOT / "tools/find-python", *kinds],
            env={"PATH": str(tmp_path)},
            check=False,
            capture_output=True,
            text=True,
        )

    return run


def test_first_fit_python_is_taken(find_python, tmp_path):
    done = find_python(
        broken="exit 127", old="echo old", bare="echo bare", a="echo fit", b="echo fit"
    )
    assert done.returncode == 0
    assert done.stdout.strip() == str(tmp_path / "a")


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ({"old": "echo old"}, "old is too old: voiceguard needs Python 3.11 or newer"),
        ({"old": "echo old", "bare": "echo bare"}, "bare lacks venv: install it"),
        ({"broken": "exit 127"}, "no Python found (tried: broken)"),
    ],
)
def test_one_line_says_why_no_python_fits(find_python, kinds, message):
    done = find_python(**kinds)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1
    assert "make PYTHON=" in done.stderr


def test_real_python_is_asked_the_right_question():
    done = subprocess.run(
        [ROOT / "tools/find-python", "python3"], check=False, capture_output=True, text=True
    )
    assert done.stdout.strip().endswith("python3") or "python3 " in done.stderr
