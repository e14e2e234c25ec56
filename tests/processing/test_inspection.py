"""What the doctor says of archives."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from alos_mosaic.errors import CorruptArchiveError, InvalidRequestError
from alos_mosaic.grid import Grid, Tile
from alos_mosaic.messages import TileYear
from alos_mosaic.processing.inspection import guess_tile_year, inspect_archive
from local.archives import CellPixels, Form, make_cell, place_archive, write_archive

TILE = Tile.from_name("N25W165")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.mark.parametrize(("year", "driver", "tag"), [(1996, "ENVI", None), (2009, "ENVI", None), (2020, "GTiff", 1)])
def test_a_good_archive(mirror: Path, work: Path, grid: Grid, year: int, driver: str, tag: int | None) -> None:
    archive = place_archive(mirror, TILE, year, grid, cells=TILE.cells[:2])
    renamed = archive.rename(archive.with_name("download.tar.gz"))
    found = inspect_archive(renamed, work, grid)
    assert found.works
    assert (found.tile, found.year, found.size_bytes) == (TILE.name, year, renamed.stat().st_size)
    assert found.cells == tuple(cell.name for cell in TILE.cells[:2])
    assert {member.driver for member in found.members} == {driver}
    assert {member.nodata for member in found.members if member.band != "mask"} == {tag}
    assert {member.dtype for member in found.members if member.band == "HH"} == {"uint16"}
    assert sum(member.masked_other for member in found.members) == 0
    assert sum(found.mask_values.values()) == 2 * grid.cell_pixels**2
    assert json.loads(json.dumps(found.to_dict()))["works"] is True


def test_values_under_the_mask_are_counted(tmp_path: Path, work: Path, grid: Grid) -> None:
    cell = make_cell(TILE.cells[0], 2020, grid)
    mask = np.full_like(cell.arrays["mask"], 255)
    mask[0, :10] = 0
    hh = np.full_like(cell.arrays["HH"], 7000)
    hh[0, :10] = [0, 0, 1, 1, 1, 1, 1, 5, 5, 5]
    hh[1, :2] = 1
    pixels = CellPixels(cell.cell, {**cell.arrays, "mask": mask, "HH": hh})
    archive = write_archive(tmp_path / "N25W165_20_MOS_F02DAR.tar.gz", [pixels], 2020, Form.GEOTIFF)
    found = inspect_archive(archive, work, grid)
    (facts,) = (member for member in found.members if member.band == "HH")
    assert (facts.masked, facts.masked_other, facts.unmasked_nodata) == (10, 3, 2)
    assert (facts.minimum, facts.maximum, facts.nodata) == (0, 7000, 1)
    assert found.mask_values == {0: 10, 255: grid.cell_pixels**2 - 10}


def test_what_is_missing_or_wrong_is_named(tmp_path: Path, work: Path, grid: Grid) -> None:
    cell = make_cell(TILE.cells[0], 2020, grid)
    arrays = {code: array for code, array in cell.arrays.items() if code != "mask"}
    arrays["HH"] = arrays["HH"].astype("uint8")
    archive = write_archive(tmp_path / "a.tar.gz", [CellPixels(cell.cell, arrays)], 2020, Form.GEOTIFF)
    found = inspect_archive(archive, work, grid)
    assert not found.works
    assert any("has no mask" in problem for problem in found.problems)
    arrays["mask"] = cell.arrays["mask"]
    archive = write_archive(tmp_path / "b.tar.gz", [CellPixels(cell.cell, arrays)], 2020, Form.GEOTIFF)
    (problem,) = inspect_archive(archive, work, grid).problems
    assert "N25W165_20_sl_HH_F02DAR.tif" in problem
    assert "uint8" in problem


def test_the_tile_and_year_come_from_members_then_from_the_name(tmp_path: Path) -> None:
    path = tmp_path / "some.zip"
    with zipfile.ZipFile(path, "w") as content:
        content.writestr("folder/readme.txt", "")
        content.writestr("folder/N23W161_2022_sl_HH_FP6QAR.tif", "")
    assert guess_tile_year(path) == TileYear(2022, TILE)
    path = tmp_path / "N10E010_09_MOS_F__DAR.zip"
    with zipfile.ZipFile(path, "w") as content:
        content.writestr("readme.txt", "")
    assert guess_tile_year(path) == TileYear(2009, Tile.from_name("N10E010"))


@pytest.mark.parametrize("name", ["N10E010_20_MOS.tar.gz", "N10E010_20_MOS.zip", "x"])
def test_what_is_no_archive_is_corrupt(tmp_path: Path, name: str) -> None:
    for content in (b"", b"\x1f\x8b\x08", b"PK\x03\x04 and so on", b"<html>"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CorruptArchiveError, match=name):
            guess_tile_year(tmp_path / name)


def test_an_archive_that_names_nothing_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "some.zip", "w"):
        pass
    with pytest.raises(InvalidRequestError, match="tells a tile and a year"):
        guess_tile_year(tmp_path / "some.zip")
