import importlib
import re
from importlib import metadata

import voiceguard
from tests.packaging.repository import ROOT

NEEDED_ONLY_BY_TRAINING = {"av", "librosa", "matplotlib", "onnx", "scipy", "torch"}
NEEDED_ONLY_BY_EXTRAS = NEEDED_ONLY_BY_TRAINING | {
    "psycopg",
    "pyarrow",
    "rfc3161-client",
    "starlette",
    "uvicorn",
}


def lower_bound(requirements: list[str], name: str) -> tuple[int, ...]:
    for requirement in requirements:
        if match := re.fullmatch(rf"{re.escape(name)}>=([0-9.]+)", requirement):
            return tuple(int(part) for part in match[1].split("."))
    raise AssertionError(f"{name} has no plain lower bound")


def requirements_of_base() -> list[str]:
    return [text for text in metadata.requires("voiceguard") or [] if "extra ==" not in text]


def test_version_is_written_in_one_place():
    assert metadata.version("voiceguard") == voiceguard.__version__
    files = [ROOT / "setup.py", ROOT / "pyproject.toml", *(ROOT / "voiceguard").glob("*.py")]
    holding = [path.name for path in files if f'"{voiceguard.__version__}"' in path.read_text()]
    assert holding == ["__init__.py"]


def test_changelog_has_an_entry_for_the_version():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{voiceguard.__version__}]" in changelog


def test_base_install_is_light():
    names = {re.split(r"[<>=!~;\[ ]", text)[0].lower() for text in requirements_of_base()}
    assert not names & NEEDED_ONLY_BY_EXTRAS
    assert "webrtcvad" not in names  # docs/adr/0002-webrtcvad-wheels.md


def test_extras_bring_what_their_packages_import():
    assert set(metadata.metadata("voiceguard").get_all("Provides-Extra") or []) == {
        "dev",
        "parquet",
        "plots",
        "postgres",
        "review",
        "test",
        "timestamps",
        "training",
    }
    training = [
        text for text in metadata.requires("voiceguard") or [] if 'extra == "training"' in text
    ]
    names = {re.split(r"[<>=!~;\[ ]", text)[0].lower() for text in training}
    assert names >= NEEDED_ONLY_BY_TRAINING


def test_lower_bounds_are_what_the_generated_code_demands():
    messages = (ROOT / "voiceguard/v1/monitor_pb2.py").read_text(encoding="utf-8")
    stubs = (ROOT / "voiceguard/v1/monitor_pb2_grpc.py").read_text(encoding="utf-8")
    runtime = re.search(r"Domain\.PUBLIC,\s*(\d+),\s*(\d+),\s*(\d+)", messages)
    grpcio = re.search(r"GRPC_GENERATED_VERSION = '(\d+)\.(\d+)\.(\d+)'", stubs)
    assert runtime
    assert grpcio
    base = requirements_of_base()
    assert lower_bound(base, "protobuf") == tuple(map(int, runtime.groups()))
    for name in ("grpcio", "grpcio-health-checking", "grpcio-reflection", "grpcio-status"):
        assert lower_bound(base, name) == tuple(map(int, grpcio.groups()))


def test_command_is_there():
    (command,) = metadata.entry_points(group="console_scripts", name="voiceguard")
    assert command.value == "voiceguard.cli:main"
    assert callable(command.load())


def test_package_says_that_it_is_typed():
    assert (ROOT / "voiceguard" / "py.typed").exists()


def test_public_names_are_there():
    for name in ("voiceguard", "voiceguard.resources"):
        module = importlib.import_module(name)
        assert all(hasattr(module, public) for public in module.__all__)
