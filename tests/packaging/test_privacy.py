import os
import subprocess
import sys

from tests.packaging.repository import ROOT


def files_written_by(code, home):
    dropped = ("ORT_", "XDG_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
    subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment | {"HOME": str(home)}, check=True
    )
    return [str(path.relative_to(home)) for path in home.rglob("*")]


def test_loading_onnxruntime_leaves_no_telemetry_behind(tmp_path):
    assert files_written_by("import voiceguard, onnxruntime", tmp_path) == []


def test_a_choice_made_before_is_kept(tmp_path):
    code = (
        "import os; os.environ['ORT_DISABLE_TELEMETRY'] = '0'\n"
        "import voiceguard; assert os.environ['ORT_DISABLE_TELEMETRY'] == '0'"
    )
    assert files_written_by(code, tmp_path) == []
