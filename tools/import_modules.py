"""Import every module of the installed voiceguard, or every one that an extra is needed for.

Usage: python -I import_modules.py {base|extras} PACKAGE...

PACKAGE... are the packages and modules that need an extra: "base" leaves them out, and
"extras" imports them alone. Runs in the environment that the wheel was
installed into, by tools/check_wheel.py.
"""

import importlib
import pkgutil
import sys
import traceback

import voiceguard
from voiceguard import resources

HEAVY = {"librosa", "matplotlib", "torch"}  # must not slow down what the base install imports


def module_names() -> list[str]:
    """Return the names of all modules but those that run when they are imported.

    A package that cannot be imported is named all the same, so that its failure is found where
    it should have been possible; what lies inside it is not.
    """
    packages = pkgutil.walk_packages(voiceguard.__path__, "voiceguard.", onerror=lambda _: None)
    names = ["voiceguard", *(package.name for package in packages)]
    return [name for name in names if not name.endswith(".__main__")]


def failed_imports(names: list[str]) -> list[str]:
    """Import `names`, print why any fails, and return those that did."""
    failed = []
    for name in names:
        try:
            importlib.import_module(name)
        except Exception:  # noqa: BLE001 (whatever it is, it is the finding)
            traceback.print_exc()
            failed.append(name)
    return failed


def main() -> int:
    """Import, look at the resources, and return the exit status."""
    with_extras, packages = sys.argv[1] == "extras", tuple(sys.argv[2:])
    inside = tuple(f"{package}." for package in packages)
    names = [
        name
        for name in module_names()
        if (name in packages or name.startswith(inside)) == with_extras
    ]
    failed = failed_imports(names)
    if failed:
        print(f"cannot be imported from the wheel: {', '.join(failed)}")
        return 1
    brought_in = HEAVY & sys.modules.keys()
    if brought_in and not with_extras:
        print(f"importing the base package brought in {', '.join(sorted(brought_in))}")
        return 1
    for folder in (resources.models_dir(), resources.policies_dir(), resources.samples_dir()):
        if not any(folder.iterdir()):
            print(f"{folder} is empty")
            return 1
    print(f"imported {len(names)} modules of voiceguard {voiceguard.__version__} ({sys.argv[1]})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
