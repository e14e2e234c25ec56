"""``alos-mosaic show``: a quicklook in the format that is asked for, or in the desktop's viewer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from typer.testing import CliRunner, Result

from alos_mosaic.cli.main import app
from alos_mosaic.processing.quicklook import write_class_quicklook

pytestmark = pytest.mark.filterwarnings(f"ignore::{NotGeoreferencedWarning.__module__}.NotGeoreferencedWarning")
CLASSES = np.repeat(np.array([[0, 1], [2, 3]], np.uint8), 8, axis=0).repeat(8, axis=1)
NAMES = {0: "no_data", 1: "forest", 2: "non_forest", 3: "water"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A published tile, as far as it takes to show it."""
    place = tmp_path / "out/alos_palsar_mosaic/2020/N10E010"
    place.mkdir(parents=True)
    write_class_quicklook(CLASSES, NAMES, place / "N10E010_20.webp")
    item = {"assets": {"thumbnail": {"href": "./N10E010_20.webp"}}, "properties": {"title": "A tile"}}
    (place / "N10E010_20.stac-item.json").write_text(json.dumps(item))
    return place


def show(folder: Path, *arguments: str, code: int = 0) -> Result:
    done = CliRunner().invoke(app, ["show", folder.as_uri(), *arguments])
    assert done.exit_code == code, done.output
    return done


@pytest.mark.parametrize(
    ("name", "driver", "bands"),
    [("q.webp", "WEBP", 4), ("q.png", "PNG", 4), ("q.jpg", "JPEG", 3), ("q.jpeg", "JPEG", 3), ("Q.PNG", "PNG", 4)],
)
def test_a_picture_is_what_its_name_says(folder: Path, tmp_path: Path, name: str, driver: str, bands: int) -> None:
    path = tmp_path / name
    assert show(folder, "--to", str(path)).stdout == f"{path}: A tile\n"
    with rasterio.open(folder / "N10E010_20.webp") as dataset:
        expected = dataset.read()
    with rasterio.open(path) as dataset:
        assert (dataset.driver, dataset.count) == (driver, bands)
        pixels = dataset.read()
    if bands == 4:
        np.testing.assert_array_equal(pixels, expected)
        return
    white = np.where(expected[3] == 0, 255, expected[:3]).astype(int)
    assert abs(pixels.astype(int) - white)[:, 2:6, 2:6].max() < 30, "JPEG, without data white"
    assert abs(pixels.astype(int) - white)[:, 10:14, 10:14].max() < 30


@pytest.mark.parametrize("name", ["q.gif", "q", "q.tif"])
def test_no_other_format_is_written(folder: Path, tmp_path: Path, name: str) -> None:
    done = show(folder, "--to", str(tmp_path / name), code=1)
    assert done.stderr.startswith("alos-mosaic: a quicklook's file ends in .webp, .png, .jpg or .jpeg, not in ")
    assert not (tmp_path / name).exists()


def viewer(folder: Path, script: str) -> None:
    program = folder / "xdg-open"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@pytest.fixture
def desktop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs with a display and nothing else."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    return tmp_path / "bin"


def test_what_is_shown_lies_where_nobody_else_can_have_laid_a_link(folder: Path, desktop: Path) -> None:
    victim = desktop / "victim"
    (desktop.parent / "N10E010_20.webp").symlink_to(victim)
    show(folder)
    assert not victim.exists()


def test_a_viewer_is_opened_without_its_noise(folder: Path, desktop: Path, capfd: pytest.CaptureFixture[str]) -> None:
    viewer(desktop, f'echo noise; echo noise >&2; echo "$1" > {desktop}/opened')
    done = show(folder)
    (path,) = desktop.parent.glob("alos-mosaic-show-*/N10E010_20.webp")
    assert (desktop / "opened").read_text() == f"{path}\n"
    assert (done.stdout, done.stderr) == (f"{path}: A tile\n", "")
    assert "noise" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("lack", ["viewer", "display", "opener"])
def test_without_a_viewer_that_is_said(folder: Path, desktop: Path, monkeypatch: pytest.MonkeyPatch, lack: str) -> None:
    if lack != "opener":
        viewer(desktop, "exit 3" if lack == "viewer" else "exit 0")
    if lack == "display":
        monkeypatch.delenv("DISPLAY")
    done = show(folder)
    (path,) = desktop.parent.glob("alos-mosaic-show-*/N10E010_20.webp")
    assert done.stdout == f"{path}: A tile\n"
    assert done.stderr == "No viewer was found to open it: copy it, or name a file with --to\n"
