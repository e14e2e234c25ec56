"""The package by itself: built as a wheel, installed into an empty environment, and used as anyone would."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from alos_mosaic.grid import Grid, Tile
from alos_mosaic.inventory import tiles_of_year
from local.archives import place_archive

REPOSITORY: Final = Path(__file__).parents[2]
PROJECT: Final = REPOSITORY / "layers" / "alos_mosaic"
SOURCE: Final = PROJECT / "python" / "alos_mosaic"
NOT_FOR_USERS: Final = {"aws-cdk-lib", "constructs", "jsii", "cdk-nag", "ministack", "moto", "pytest"}

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: setuptools leaves folders where it builds, and takes up what lies in them."""
    folder = tmp_path_factory.mktemp("wheel")
    left_out = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
    copy = shutil.copytree(PROJECT, folder / "project", ignore=left_out)
    _run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(copy))
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel in it, what that asks for, and nothing else."""
    folder = tmp_path_factory.mktemp("environment")
    _run(sys.executable, "-m", "venv", str(folder))
    _run(str(folder / "bin" / "pip"), "install", "--quiet", "-c", str(REPOSITORY / "constraints.txt"), str(wheel))
    return folder


@pytest.fixture
def command(environment: Path, tmp_path: Path) -> Command:
    """The installed command, run in a folder where this repository can't be imported by accident."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return _run(str(environment / "bin" / "alos-mosaic"), *arguments, cwd=tmp_path, check=False)

    return run


def test_the_wheel_holds_all_of_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = (path for path in SOURCE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    assert packed == {f"alos_mosaic/{path.relative_to(SOURCE).as_posix()}" for path in files}


def test_the_version_stands_in_one_place(wheel: Path, command: Command) -> None:
    found = re.search('__version__ = "(.+)"', (SOURCE / "__init__.py").read_text("utf-8"))
    assert found
    assert wheel.name == f"alos_mosaic-{found[1]}-py3-none-any.whl"
    assert command("--version").stdout == f"{found[1]}\n"
    others = [path for path in (*SOURCE.rglob("*.py"), *PROJECT.glob("*.toml")) if path != SOURCE / "__init__.py"]
    assert [path for path in others if f'"{found[1]}"' in path.read_text("utf-8")] == []


def test_it_brings_what_it_needs_and_no_more(environment: Path) -> None:
    pip = str(environment / "bin" / "pip")
    _run(pip, "check")
    installed = {each["name"].lower() for each in json.loads(_run(pip, "list", "--format", "json").stdout)}
    assert "rasterio" in installed
    assert not installed & NOT_FOR_USERS


def test_it_lists_tiles(command: Command) -> None:
    listed = command("tiles", "--years", "2020", "--region", "global")
    assert listed.returncode == 0, listed.stderr
    assert set(listed.stdout.splitlines()) == {f"2020/{tile}" for tile in tiles_of_year(2020)}


def test_it_makes_a_tile(command: Command, tmp_path: Path) -> None:
    made = _make(command, tmp_path, "2020/N10E010", "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["state"] == "published"
    (item,) = (tmp_path / "mosaics").rglob("*.stac-item.json")
    assert json.loads(item.read_text())["properties"]["alos_mosaic:cells"] == ["N10E010"]
    assert _make(command, tmp_path, "2020/S10E010").returncode == 3, "it is absent"


def test_it_validates_a_tile(command: Command, tmp_path: Path) -> None:
    if command("validate", "--help").returncode:
        pytest.skip("there is no command `validate` yet")
    assert _make(command, tmp_path, "2020/N10E010").returncode == 0
    (item,) = (tmp_path / "mosaics").rglob("*.stac-item.json")
    valid = command("validate", item.parent.as_uri())
    assert valid.returncode == 0, valid.stdout + valid.stderr
    next(item.parent.glob("*_mask_*.tif")).write_bytes(b"II*\0")
    assert command("validate", item.parent.as_uri()).returncode == 1


def _make(command: Command, folder: Path, name: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Process a tile from a mirror that has one cell of 2020/N10E010."""
    tile = Tile.from_name("N10E010")
    if not (folder / "mirror").is_dir():
        place_archive(folder / "mirror", tile, 2020, Grid(), cells=tile.cells[:1])
    places = ("--source", (folder / "mirror").as_uri(), "--to", (folder / "mosaics").as_uri())
    return command("process", name, *places, *options)


def _run(*arguments: str, cwd: Path | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command with nothing of this environment in its own."""
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "ALOS_", "VIRTUAL"))
    }
    done = subprocess.run(arguments, cwd=cwd, env=variables, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(arguments)}\n{done.stdout}{done.stderr}")
    return done
