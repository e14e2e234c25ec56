"""``alos-mosaic doctor`` as a script and a person see it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alos_mosaic.grid import Grid, Tile
from local.archives import make_forest_cell, place_archive, write_archive
from tests.unit.test_cli import run

TILE = Tile.from_name("N10E010")


@pytest.fixture
def mirror(tmp_path: Path, grid: Grid) -> Path:
    for year in (1996, 2009, 2020):
        place_archive(tmp_path, TILE, year, grid, cells=TILE.cells[:1])
    return tmp_path


def test_a_source_that_works(mirror: Path) -> None:
    done = run("doctor", "--source", mirror.as_uri())
    assert done.returncode == 0, done.stderr
    assert "PALSAR-2 2020/N10E010" in done.stdout
    assert done.stdout.rstrip().endswith("All that a tile needs works.")
    findings = json.loads(run("doctor", "--source", mirror.as_uri(), "--json").stdout)
    assert findings["works"] is True
    assert {check["verdict"] for check in findings["checks"]} == {"ok", "no"}


def test_a_source_that_does_not(mirror: Path) -> None:
    arguments = ("doctor", "--source", mirror.as_uri(), "--tile", "N00E010", "--years", "2020")
    done = run(*arguments)
    assert done.returncode == 1
    assert "checks failed." in done.stdout
    done = run(*arguments, "--json")
    assert (done.returncode, json.loads(done.stdout)["works"]) == (1, False)


def test_layouts_of_the_environment_are_asked_for(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"name": "new", "mission": "PALSAR-2", "folder_template": "new", "archive_template": "{square}.zip"}
    monkeypatch.setenv("ALOS_MOSAIC_EXTRA_LAYOUTS", json.dumps([row]))
    done = run("doctor", "--source", mirror.as_uri(), "--json")
    assert "new" in {check["name"] for check in json.loads(done.stdout)["checks"]}
    monkeypatch.setenv("ALOS_MOSAIC_EXTRA_LAYOUTS", "[{}]")
    done = run("doctor", "--source", mirror.as_uri())
    assert (done.returncode, "extra layout 1" in done.stderr) == (1, True)


@pytest.mark.slow
def test_a_forest_archive(tmp_path: Path) -> None:
    cell = make_forest_cell(TILE.cells[0], 2009, Grid())
    archive = write_archive(tmp_path / "N10E010_09_FNF.tar.gz", [cell], 2009)
    done = run("doctor", "--archive", str(archive))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "alos_palsar_fnf 2009/N10E010, 1 of 25 cells" in done.stdout
    assert "mask values" not in done.stdout


@pytest.mark.slow
def test_an_archive(tmp_path: Path) -> None:
    archive = place_archive(tmp_path, TILE, 1996, Grid(), cells=TILE.cells[:1])
    done = run("doctor", "--archive", str(archive))
    assert done.returncode == 0, done.stderr
    assert "jers_sar_mosaic 1996/N10E010, 1 of 25 cells" in done.stdout
    assert "A tile can be made of it." in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        ((), 2, "one thing at a time"),
        (("--source", "file:///", "--archive", "x"), 2, "one thing at a time"),
        (("--source", "ftp://me:s3cret@host"), 1, "credentials"),
        (("--source", "file:///", "--years", "then"), 1, "'then' is not a year"),
        (("--archive", "/nowhere"), 1, "no file"),
        (("--archive", __file__), 1, "neither a tar.gz nor a zip"),
    ],
)
def test_what_makes_no_sense(arguments: tuple[str, ...], code: int, reason: str) -> None:
    done = run("doctor", *arguments)
    assert done.returncode == code
    assert reason in done.stderr
    assert "s3cret" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    if code == 1:
        assert json.loads(run("doctor", *arguments, "--json").stdout)["works"] is False
