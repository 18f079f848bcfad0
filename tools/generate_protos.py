"""Generate `voiceguard/v1` from `proto/`, or check that what is checked in is what they give.

Usage: python tools/generate_protos.py [--check]

The generator runs in an environment of its own under `build/`, made of
`tools/protos-requirements.txt`, because its versions are the oldest ones that
voiceguard supports and not those it is developed with.
"""

import argparse
import difflib
import hashlib
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "tools" / "protos-requirements.txt"
PROTOS = ROOT / "proto"
PACKAGE = Path("voiceguard") / "v1"


def generator_python() -> Path:
    """Return the interpreter of the generator's environment, made on first use."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    environment = ROOT / "build" / f"protos-{version}-{digest}"
    python = environment / "bin" / "python"
    done = environment / "complete"
    if not done.exists():
        print("installing the protobuf generator (a few seconds)", flush=True)
        venv.create(environment, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-qq", "-r", REQUIREMENTS], check=True)
        done.touch()
    return python


def generate(target: Path) -> None:
    """Write the generated files under `target`, in the folders of their packages."""
    python = generator_python()
    site_packages = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    plugins = [
        f"--plugin=protoc-gen-{name}={python.parent / f'protoc-gen-{name}'}"
        for name in ("mypy", "mypy_grpc")
    ]
    outputs = [
        f"--{name}_out={options}{target}"
        for name, options in (
            ("python", ""),
            ("grpc_python", ""),
            ("mypy", "quiet:"),
            ("mypy_grpc", "quiet:"),
        )
    ]
    sources = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    # google/rpc/status.proto comes with googleapis-common-protos.
    include = [f"-I{PROTOS}", f"-I{site_packages}"]
    subprocess.run(
        [python, "-m", "grpc_tools.protoc", *include, *plugins, *outputs, *sources], check=True
    )


def generated_files(folder: Path) -> dict[str, str]:
    """Return the text of each generated file in `folder`, by its name."""
    return {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*_pb2*.py*")}


def report_differences(checked_in: dict[str, str], fresh: dict[str, str]) -> bool:
    """Print how the two sets of files differ; return whether they do."""
    differ = False
    for name in sorted(checked_in.keys() | fresh.keys()):
        difference = list(
            difflib.unified_diff(
                checked_in.get(name, "").splitlines(),
                fresh.get(name, "").splitlines(),
                f"{PACKAGE / name} (checked in)",
                f"{PACKAGE / name} (generated)",
                lineterm="",
                n=1,
            )
        )
        if difference:
            differ = True
            print("\n".join(line[:160] for line in difference[:40]))
    return differ


def main() -> int:
    """Generate, or check with `--check`; return the exit status."""
    parser = argparse.ArgumentParser(description="Generate voiceguard/v1 from proto/.")
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    arguments = parser.parse_args()
    target = ROOT / PACKAGE
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh = generated_files(Path(folder) / PACKAGE)
    checked_in = generated_files(target)
    if arguments.check:
        if report_differences(checked_in, fresh):
            print("voiceguard/v1 is not what proto/ gives: run `make protos`")
            return 1
        print(f"voiceguard/v1: {len(fresh)} generated files are what proto/ gives")
        return 0
    for name in checked_in.keys() - fresh.keys():
        (target / name).unlink()
    for name, text in fresh.items():
        (target / name).write_text(text, encoding="utf-8")
    print(f"wrote {len(fresh)} files to {PACKAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
