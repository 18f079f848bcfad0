"""Package metadata of voiceguard. Tools are configured in pyproject.toml."""

import ast
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


def read_version() -> str:
    """Return `voiceguard.__version__` without importing the package, which is not built yet."""
    tree = ast.parse((ROOT / "voiceguard" / "__init__.py").read_text(encoding="utf-8"))
    assignments = (node for node in tree.body if isinstance(node, ast.Assign))
    values = {ast.unparse(node.targets[0]): node.value for node in assignments}
    return str(ast.literal_eval(values["__version__"]))


class BuildWithModels(build_py):
    """Packs `models/<name>/` of the repository into the wheel as `voiceguard/models/<name>/`.

    An editable install needs no copy: `voiceguard.resources` finds the checkout's.
    """

    def run(self) -> None:
        """Build the package, then add the models to it."""
        super().run()
        if not self.editable_mode:
            for source, target in self._model_files():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:  # noqa: FBT001, FBT002 (signature of setuptools)
        """Return all files that the build writes, as setuptools asks."""
        outputs: list[str] = super().get_outputs(include_bytecode)
        return outputs + [str(target) for _, target in self._model_files()]

    def _model_files(self) -> list[tuple[Path, Path]]:
        target_dir = Path(self.build_lib) / "voiceguard" / "models"
        return [
            (source, target_dir / source.relative_to(ROOT / "models"))
            for manifest in sorted((ROOT / "models").glob("*/model.toml"))
            for source in sorted(manifest.parent.rglob("*"))
            if source.is_file()
        ]


ONNX = "onnx>=1.18.0"
PLOTS = ["matplotlib>=3.10.0"]
TRAINING = [
    *PLOTS,
    # FFmpeg's codecs of mobile and Internet telephony: see docs/adr/0015-codecs-for-training.md.
    "av>=16.0.0",
    "librosa>=0.11.0",
    ONNX,
    "scipy>=1.15.0",
    "torch>=2.6.0",
]
PARQUET = ["pyarrow>=18.0.0"]
POSTGRES = ["psycopg[binary]>=3.2.0"]
REVIEW = ["starlette>=0.41.0", "uvicorn>=0.32.0"]
TIMESTAMPS = ["rfc3161-client>=1.0.0"]
TEST = [
    *PARQUET,
    *POSTGRES,
    *REVIEW,
    *TIMESTAMPS,
    "httpx>=0.28.0",
    "hypothesis>=6.122.0",
    ONNX,
    "playwright>=1.49.0",
    "pytest>=8.4.0",
    "pytest-asyncio>=1.0.0",
    "pytest-cov>=6.0.0",
    "setuptools>=77.0.0",
]
DEV = [
    *TEST,
    "build>=1.2.2",
    "import-linter>=2.5",
    "mypy>=1.18.0",
    "ruff==0.17.6",  # formatting differs between releases
    "types-grpcio>=1.82.1",
    "types-protobuf>=6.32.1",
    "types-setuptools>=80.9.0",
]

setup(
    name="voiceguard",
    version=read_version(),
    description="Listens to calls live and says when a human should take over",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    keywords=["call centre", "speech emotion", "gRPC", "onnx", "telephony", "real time"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: Telecommunications Industry",
        "Operating System :: MacOS",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Communications :: Telephony",
        "Topic :: Multimedia :: Sound/Audio :: Analysis",
        "Typing :: Typed",
    ],
    python_requires=">=3.11",
    # Said, though it is the default: editable installs are a plain path then, which type checkers
    # and editors follow, and not an import hook.
    package_dir={"": "."},
    packages=find_packages(include=["voiceguard", "voiceguard.*"]),
    package_data={
        "voiceguard": ["py.typed", "policies/*.toml", "samples/*"],
        "voiceguard.review": ["static/**/*", "static/*"],
        # Alembic loads these by their path; no package, so that nothing imports them else.
        "voiceguard.store": ["migrations/*", "migrations/versions/*.py"],
        "voiceguard.v1": ["*.pyi"],
    },
    cmdclass={"build_py": BuildWithModels},
    install_requires=[
        "alembic>=1.14.0",
        "click>=8.1.8",
        "cryptography>=44.0.0",
        "googleapis-common-protos>=1.70.0",
        # The generated code refuses a grpcio or protobuf older than its generator's.
        "grpcio>=1.72.1",
        "grpcio-health-checking>=1.72.1",
        "grpcio-reflection>=1.72.1",
        "grpcio-status>=1.72.1",
        "numpy>=2.1.0",
        "onnxruntime>=1.20.1",
        "prometheus-client>=0.21.0",
        "protobuf>=6.30.0",
        "pydantic-settings>=2.7.0",
        "rich>=13.9.4",
        "soundfile>=0.13.0",
        "soxr>=0.5.0",
        "sqlalchemy>=2.0.36",
        "structlog>=24.4.0",
        # Not webrtcvad: see docs/adr/0002-webrtcvad-wheels.md.
        "webrtcvad-wheels>=2.0.14",
    ],
    extras_require={
        "dev": DEV,
        "parquet": PARQUET,
        "plots": PLOTS,
        "postgres": POSTGRES,
        "review": REVIEW,
        "test": TEST,
        "timestamps": TIMESTAMPS,
        "training": TRAINING,
    },
    entry_points={"console_scripts": ["voiceguard = voiceguard.cli:main"]},
)
