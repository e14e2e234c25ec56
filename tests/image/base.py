"""The stand-in for Lambda's base image, made of Debian packages and of wheels that fit the real one.

What is slow to get is kept in ``build/image`` until ``make clean``.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from infra.assets import REPOSITORY
from tests.image.engine import Engine, run

CACHE: Final = REPOSITORY / "build/image"
REQUIREMENTS: Final = REPOSITORY / "lambdas/process_tile/requirements.txt"
BASE: Final = "lambda-python"
BASE_DOCKERFILE: Final = Path(__file__).parent / "base/Dockerfile"
_CONSTRAINTS: Final = REPOSITORY / "constraints.txt"
_PACKAGE: Final = REPOSITORY / "layers/alos_mosaic/pyproject.toml"
_DEBIAN: Final = "trixie"
"""The Debian release whose Python is the 3.13 of the real base."""
_DEBIAN_PACKAGES: Final = "python3,python3-venv,ca-certificates,libstdc++6"
_PYTHON: Final = "3.13"
_GLIBCS: Final = ("manylinux_2_34", "manylinux_2_28", "manylinux2014")
"""What Amazon Linux 2023, with its glibc 2.34, can load: https://docs.aws.amazon.com/linux/al2023/ug/core-glibc.html"""


def build_base(engine: Engine) -> int:
    """Build the image :data:`BASE`; return how many of its bytes are wheels, which the real one does not hold."""
    with ThreadPoolExecutor() as pool:  # one waits for the network while the other unpacks
        debian, wheels = pool.map(lambda get: get(), (_debian_tar, _wheels))
    engine.docker("import", str(debian), "debian-python")
    engine.build(wheels, BASE_DOCKERFILE, BASE, DEBIAN="debian-python")
    return sum(wheel.stat().st_size for wheel in wheels.iterdir())


def for_lambda(architecture: str) -> list[str]:
    """Return the options that make pip look for wheels of Lambda's Python and Amazon Linux 2023, and nothing else."""
    platforms = (f"--platform={glibc}_{architecture}" for glibc in _GLIBCS)
    return ["--only-binary=:all:", "--implementation=cp", f"--python-version={_PYTHON}", *platforms]


def pip(*arguments: str) -> None:
    """Run this environment's pip, set up as this machine has it."""
    run(sys.executable, "-m", "pip", *arguments)


def cached(name: str, contents: str, make: Callable[[Path], None]) -> Path:
    """Return ``build/image/NAME-...``, which ``make`` wrote once for these contents; older ones go away."""
    target = CACHE / f"{name}-{hashlib.sha256(contents.encode()).hexdigest()[:12]}"
    if not target.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        for stale in CACHE.glob(f"{name}-*"):
            shutil.rmtree(stale) if stale.is_dir() else stale.unlink()
        partial = CACHE / f"{name}-partial"
        make(partial)
        partial.rename(target)
    return target


def _debian_tar() -> Path:
    def make(path: Path) -> None:
        options = ("--quiet", "--variant=minbase", f"--include={_DEBIAN_PACKAGES}", "--format=tar")
        run("mmdebstrap", *options, _DEBIAN, str(path))

    return cached("debian", f"{_DEBIAN} {_DEBIAN_PACKAGES}", make)


def _wheels() -> Path:
    """Download what is pinned, the runtime's client and what builds our package; fail if Lambda could not load it."""
    build_tools = tomllib.loads(_PACKAGE.read_text())["build-system"]["requires"]

    def make(path: Path) -> None:
        wanted = [f"--requirement={REQUIREMENTS}", f"--constraint={_CONSTRAINTS}", "awslambdaric", *build_tools]
        pip("download", "--quiet", f"--dest={path}", *for_lambda("x86_64"), *wanted)

    contents = "\n".join([REQUIREMENTS.read_text(), _CONSTRAINTS.read_text(), *build_tools, *_GLIBCS, _PYTHON])
    return cached("wheels", contents, make)
