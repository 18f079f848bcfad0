import json
import shutil
import subprocess
import sys

import pytest

from tests.packaging.repository import ROOT
from voiceguard import resources

PRINT_FOLDERS = """
import json
from voiceguard import resources
folders = [resources.models_dir(), resources.policies_dir(), resources.samples_dir()]
print(json.dumps([str(folder) for folder in folders]))
"""


@pytest.fixture
def small_repository(tmp_path):
    """A repository with this one's set-up and next to nothing in it."""
    root = tmp_path / "repository"
    package = root / "voiceguard"
    files = {
        "models/stress/model.toml": "name = 'stress'",
        "models/stress/model.onnx": "weights",
        "models/stress/notes/CARD.md": "card",
        "models/unfinished/model.onnx": "no manifest, so not a model yet",
        "voiceguard/policies/default.toml": "name = 'default'",
        "voiceguard/samples/call.wav": "audio",
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, root)
    for name in ("__init__.py", "resources.py", "py.typed"):
        shutil.copy(ROOT / "voiceguard" / name, package)
    return root


def folders_seen_from(directory):
    command = [sys.executable, "-B", "-c", f"import sys; sys.path.insert(0, '.')\n{PRINT_FOLDERS}"]
    done = subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def test_checkout_uses_the_models_at_its_top(small_repository):
    assert folders_seen_from(small_repository) == [
        str(small_repository / "models"),
        str(small_repository / "voiceguard/policies"),
        str(small_repository / "voiceguard/samples"),
    ]


def test_built_package_carries_models_policies_and_samples(small_repository):
    built = small_repository / "built"
    command = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(built)]
    subprocess.run(command, cwd=small_repository, check=True, capture_output=True)
    shutil.rmtree(small_repository / "models")

    assert folders_seen_from(built) == [
        str(built / "voiceguard/models"),
        str(built / "voiceguard/policies"),
        str(built / "voiceguard/samples"),
    ]
    packed = {str(path.relative_to(built)) for path in built.rglob("*") if path.is_file()}
    assert packed - {"voiceguard/__init__.py", "voiceguard/resources.py"} == {
        "voiceguard/models/stress/model.onnx",
        "voiceguard/models/stress/model.toml",
        "voiceguard/models/stress/notes/CARD.md",
        "voiceguard/policies/default.toml",
        "voiceguard/py.typed",
        "voiceguard/samples/call.wav",
    }


def test_incomplete_installation_says_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(resources, "_PACKAGE_DIR", tmp_path / "voiceguard")
    for find in (resources.models_dir, resources.policies_dir, resources.samples_dir):
        with pytest.raises(FileNotFoundError, match="install voiceguard again"):
            find()


def test_every_package_folder_is_a_package():
    by_path = ROOT / "voiceguard/store/migrations"  # Alembic runs them, nothing imports them
    files = (ROOT / "voiceguard").rglob("*.py")
    folders = {path.parent for path in files if not path.is_relative_to(by_path)}
    assert [folder.name for folder in folders if not (folder / "__init__.py").exists()] == []
