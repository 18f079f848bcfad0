"""The program as a whole: its help, its documentation, what it imports, how it ends."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from voiceguard import __version__
from voiceguard.cli.exits import ExitCode
from voiceguard.cli.program import COMMANDS, program

DOCUMENT = Path(__file__).parents[2] / "docs" / "cli.md"


def walk(command: click.Command, name: str = "voiceguard") -> list[tuple[str, click.Command]]:
    found = [(name, command)]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for child_name in command.list_commands(context):
            child = command.get_command(context, child_name)
            assert child is not None
            found += walk(child, f"{name} {child_name}")
    return found


def section(text: str, name: str) -> str:
    """Return what docs/cli.md says under the heading of a command."""
    match = re.search(rf"^#+ `{re.escape(name)}`$(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL)
    assert match, f"docs/cli.md has no section `{name}`"
    return match.group(1)


def all_commands() -> list[tuple[str, click.Command]]:
    pytest.importorskip("torch")  # train and evaluate are commands too
    return walk(program)


def test_every_command_and_option_is_documented() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for name, command in all_commands():
        own = text if name == "voiceguard" else section(text, name)
        for option in command.params:
            for flag in option.opts if isinstance(option, click.Option) else ():
                assert f"`{flag}" in own, f"docs/cli.md: {name} lacks {flag}"


def test_the_document_names_no_option_that_is_not_there() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for name, command in all_commands():
        if name == "voiceguard":
            continue
        known = {flag for option in command.params for flag in option.opts} | {"--help"}
        documented = set(re.findall(r"^\| `(--[a-z-]+)", section(text, name), re.MULTILINE))
        assert documented <= known, f"docs/cli.md: {name} has no {documented - known}"


def test_every_command_has_help_with_an_example() -> None:
    for name, command in all_commands():
        assert command.help, name
        if not isinstance(command, click.Group) or name == "voiceguard":
            assert f"{name} " in command.help, f"{name} has no example"
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help, f"{name} {option.opts[0]} has no help"


def test_the_document_lists_the_exit_codes() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for code in ExitCode:
        assert re.search(rf"^\| {int(code)} \|", text, re.MULTILINE)


def test_the_overview_imports_nothing_heavy() -> None:
    script = (
        "import sys; sys.argv = ['voiceguard', '--help']\n"
        "from voiceguard.cli.program import run\n"
        "assert run(['--help']) == 0\n"
        "heavy = {'numpy', 'grpc', 'onnxruntime', 'soundfile', 'matplotlib', 'rich', 'torch'}\n"
        "loaded = heavy & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for name, entry in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(entry.summary)}$", done.stdout, re.MULTILINE)


def test_the_version(voiceguard) -> None:
    ended = voiceguard("--version")
    assert (ended.code, ended.out) == (0, f"voiceguard {__version__}\n")


def test_wrong_usage_ends_with_2_and_one_line(voiceguard) -> None:
    for arguments in (["nonsense"], ["analyze"], ["score", "--nonsense"], ["serve", "extra"]):
        ended = voiceguard(*arguments)
        assert ended.code == ExitCode.USAGE
        assert len(ended.errors) == 1
        assert ended.err.splitlines()[-1].endswith("--help'.")


def test_a_command_without_its_extra_says_what_to_install(voiceguard, monkeypatch) -> None:
    def missing(_: str) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr("importlib.import_module", missing)
    ended = voiceguard("train")
    assert ended.code == ExitCode.USAGE
    assert ended.errors == [
        "error: 'train' needs torch: install it with pip install 'voiceguard[training]'"
    ]


def test_an_interrupt_ends_with_130(voiceguard, monkeypatch) -> None:
    def interrupted(_: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("voiceguard.engine.model.StressModel.load", interrupted)
    ended = voiceguard("model", "info")
    assert (ended.code, ended.errors) == (ExitCode.INTERRUPTED, ["error: interrupted"])


def test_a_reader_that_leaves_ends_it_quietly(model_dir) -> None:
    call = Path(__file__).parents[2] / "voiceguard" / "samples" / "sample-call.flac"
    command = [sys.executable, "-m", "voiceguard", "analyze", call, "--roles", "customer,bot"]
    with subprocess.Popen(
        [*command, "--json", "--model", model_dir], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b'{"file"')
        process.stdout.close()
        assert process.wait(60) == ExitCode.BROKEN_PIPE
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_a_broken_model_is_one_line(voiceguard, tmp_path) -> None:
    ended = voiceguard("model", "info", "--model", tmp_path)
    assert ended.code == ExitCode.FAILED
    assert len(ended.errors) == 1
    assert "model.toml" in ended.errors[0]
