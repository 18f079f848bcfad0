"""Build the wheel and show that it works where nothing of the repository is near.

The source distribution is built first and the wheel from it, so that both are
complete. The wheel goes into a clean environment, and every module of it is
imported: first with the base install, then, for the modules that need them,
with the extras.
"""

import argparse
import shlex
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Packages and modules that only work with an extra installed; all others must import without any.
EXTRA_OF_PACKAGE = {
    "voiceguard.cli.review": "review",  # the same
    "voiceguard.review": "review",  # Starlette and uvicorn
    "voiceguard.training": "training",  # PyTorch, and what reads corpora
}


def build_wheel(target: Path) -> Path:
    """Build the source distribution, and from it the wheel; return the wheel."""
    command = [sys.executable, "-m", "build", "--outdir", str(target), str(ROOT)]
    done = subprocess.run(
        command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        print(done.stdout)
    done.check_returncode()
    (wheel,) = target.glob("*.whl")
    return wheel


def missing_or_foreign(wheel: Path) -> list[str]:
    """Return what the wheel lacks of the repository's files, and what it has beyond them."""
    expected = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "voiceguard").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    } | {
        str("voiceguard" / path.relative_to(ROOT))
        for manifest in (ROOT / "models").glob("*/model.toml")
        for path in manifest.parent.rglob("*")
        if path.is_file()
    }
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    return [f"missing in the wheel: {name}" for name in sorted(expected - packed)] + [
        f"in the wheel but not in the repository: {name}" for name in sorted(packed - expected)
    ]


def install(python: Path, *requirements: str) -> None:
    """Install `requirements` into the environment of `python`."""
    subprocess.run([python, "-m", "pip", "install", "-qq", *requirements], check=True)


def check(wheel: Path, environment: Path, torch: str) -> None:
    """Install the wheel, run its command and import its modules, without and with extras."""
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"

    def run(*command: Path | str, stdout: int | None = None) -> None:
        # Not in the repository: its files must not be found by chance.
        subprocess.run(command, check=True, cwd=environment, stdout=stdout)

    import_modules = (python, "-I", ROOT / "tools" / "import_modules.py")
    packages = sorted(EXTRA_OF_PACKAGE)
    print("installing the wheel in a clean environment", flush=True)
    install(python, str(wheel))
    run(*import_modules, "base", *packages)
    run(environment / "bin" / "voiceguard", "--help", stdout=subprocess.DEVNULL)
    print("installing its extras (about a minute)", flush=True)
    install(python, f"{wheel}[{','.join(sorted(set(EXTRA_OF_PACKAGE.values())))}]", torch)
    run(*import_modules, "extras", *packages)


def main() -> int:
    """Build and check; return the exit status."""
    parser = argparse.ArgumentParser(description="Build the wheel and check that it works.")
    parser.add_argument("--torch", default="torch", help="requirement that brings PyTorch")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print("building the wheel", flush=True)
        try:
            wheel = build_wheel(Path(folder))
            faults = missing_or_foreign(wheel)
            print("".join(f"{fault}\n" for fault in faults), end="")
            check(wheel, Path(folder) / "environment", arguments.torch)
        except subprocess.CalledProcessError as error:
            print(f"failed: {shlex.join(map(str, error.cmd))}")
            return 1
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
