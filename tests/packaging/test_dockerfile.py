import fnmatch
import json
from dataclasses import dataclass

import pytest

from tests.packaging.repository import ROOT

WRITES_NOTHING = {"COPY", "ENV", "USER", "WORKDIR", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK"}


@dataclass(frozen=True, slots=True)
class Instruction:
    name: str
    rest: str


def read_stages() -> list[list[Instruction]]:
    """Return the instructions of each build stage, FROM first."""
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    stages: list[list[Instruction]] = []
    for line in text.replace("\\\n", " ").splitlines():
        name, _, rest = line.strip().partition(" ")
        if name == "FROM":
            stages.append([])
        if name and stages:
            stages[-1].append(Instruction(name, " ".join(rest.split())))
    return stages


@pytest.fixture(scope="module")
def image():
    """The instructions of the stage that becomes the image."""
    return read_stages()[-1]


def only(instructions, name):
    (instruction,) = (each for each in instructions if each.name == name)
    return instruction.rest


def test_image_is_slim_and_built_in_another_stage(image):
    stages = read_stages()
    assert len(stages) == 2
    assert all(stage[0].rest.split()[0].endswith("-slim") for stage in stages)
    assert any(each.rest.startswith("--from=build ") for each in image if each.name == "COPY")


def test_image_runs_as_a_numbered_user_that_is_not_root(image):
    user, _, group = only(image, "USER").partition(":")
    assert int(user) > 0
    assert int(group) > 0
    after = image[[each.name for each in image].index("USER") + 1 :]
    assert not {each.name for each in after} & {"RUN", "COPY", "ADD", "USER"}


def test_image_writes_nowhere_but_in_tmp_and_its_volume(image):
    assert {each.name for each in image} <= WRITES_NOTHING | {"FROM", "ENTRYPOINT", "CMD", "VOLUME"}
    folder = only(image, "VOLUME")
    assert f"VOICEGUARD_DATA_DIR={folder}" in only(image, "ENV")
    owner = f"--chown={only(image, 'USER')} {folder} {folder}"
    assert any(each.rest.endswith(owner) for each in image if each.name == "COPY")
    assert "PYTHONDONTWRITEBYTECODE=1" in only(image, "ENV")
    assert only(image, "WORKDIR") == "/tmp"


def is_in_build_context(name: str) -> bool:
    """Whether .dockerignore lets a file or folder of the repository into the build."""
    included = True
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.lstrip("!")
        if not line or line.startswith("#") or pattern.startswith("**/"):
            continue
        if fnmatch.fnmatch(name, pattern):
            included = line.startswith("!")
    return included


def test_copied_files_exist_and_reach_the_build():
    copied = [
        source.rstrip("/")
        for stage in read_stages()
        for each in stage
        if each.name == "COPY" and not each.rest.startswith("--from=")
        for source in each.rest.split()[:-1]
    ]
    assert {"setup.py", "voiceguard", "models"} <= set(copied)
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert [name for name in copied if not is_in_build_context(name)] == []
    assert not is_in_build_context(".git")


def test_health_check_runs_the_copied_script(image):
    arguments = only(image, "HEALTHCHECK")
    command = json.loads(arguments[arguments.index("CMD ") + 4 :])
    targets = [each.rest.split()[-1] for each in image if each.name == "COPY"]
    assert command[0] == "python"
    assert command[1] in targets


def test_image_serves_on_loopback_unless_told_otherwise(image):
    assert json.loads(only(image, "ENTRYPOINT")) == ["voiceguard"]
    assert json.loads(only(image, "CMD")) == ["serve", "--listen", "127.0.0.1:50051"]
    assert only(image, "EXPOSE") == "50051"
    assert only(image, "STOPSIGNAL") == "SIGTERM"
