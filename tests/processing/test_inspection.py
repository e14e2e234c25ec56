"""What the doctor says of archives."""

from __future__ import annotations

import json
import random
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import rasterio

from alos_mosaic.errors import CorruptArchiveError, InvalidRequestError
from alos_mosaic.grid import Grid, Tile
from alos_mosaic.messages import TileYear
from alos_mosaic.naming import parse_member
from alos_mosaic.processing.inspection import guess_contents, inspect_archive
from alos_mosaic.products import FOREST_PRODUCT, product_of
from local.archives import (
    CellPixels,
    Container,
    Form,
    Naming,
    Packing,
    make_cell,
    make_forest_cell,
    members,
    place_archive,
    write_archive,
    write_files,
)

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


def test_the_tile_and_year_come_from_members_then_from_the_name(tmp_path: Path, grid: Grid) -> None:
    path = tmp_path / "some.zip"
    with zipfile.ZipFile(path, "w") as content:
        content.writestr("folder/readme.txt", "")
        content.writestr("folder/N23W161_2022_sl_HH_FP6QAR.tif", "")
    assert guess_contents(path, grid) == (TileYear(2022, TILE), product_of(2022))
    path = tmp_path / "N10E010_09_MOS_F__DAR.zip"
    with zipfile.ZipFile(path, "w") as content:
        content.writestr("readme.txt", "")
    assert guess_contents(path, grid) == (TileYear(2009, Tile.from_name("N10E010")), product_of(2009))
    path = tmp_path / "download.zip"
    with zipfile.ZipFile(path, "w") as content:
        content.writestr("x/N23W161_15_FNF_F02DAR.tar.gz", "")
    assert guess_contents(path, grid) == (TileYear(2015, TILE), product_of(2015, FOREST_PRODUCT))


@pytest.mark.parametrize("name", ["N10E010_20_MOS.tar.gz", "N10E010_20_MOS.zip", "x"])
def test_what_is_no_archive_is_corrupt(tmp_path: Path, grid: Grid, name: str) -> None:
    for content in (b"", b"\x1f\x8b\x08", b"PK\x03\x04 and so on", b"<html>"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CorruptArchiveError, match=name):
            guess_contents(tmp_path / name, grid)


def test_an_archive_that_names_nothing_is_refused(tmp_path: Path, grid: Grid) -> None:
    with zipfile.ZipFile(tmp_path / "some.zip", "w"):
        pass
    with pytest.raises(InvalidRequestError, match="tells a tile and a year"):
        guess_contents(tmp_path / "some.zip", grid)


@pytest.mark.parametrize("packing", [Packing(), Packing("folder"), Packing(nested=Container.ZIP)])
@pytest.mark.parametrize("name", ["N25W165_16_FNF_F02DAR.tar.gz", "N25W165_16_FNF_F02DAR.zip"])
def test_a_forest_archive(tmp_path: Path, work: Path, grid: Grid, name: str, packing: Packing) -> None:
    cells = [make_forest_cell(cell, 2016, grid) for cell in TILE.cells[:2]]
    archive = write_archive(tmp_path / name, cells, 2016, packing=packing)
    found = inspect_archive(archive, work, grid)
    assert (found.works, found.problems, found.product, found.year) == (True, (), FOREST_PRODUCT, 2016)
    assert found.cells == tuple(cell.name for cell in TILE.cells[:2])
    assert {(member.band, member.masked, member.problem) for member in found.members} == {("C", 0, None)}


@pytest.mark.parametrize("kind", list(Container))
def test_any_damage_is_a_typed_error_or_a_finding(tmp_path: Path, work: Path, grid: Grid, kind: Container) -> None:
    files = [(f"folder/{name}", data) for name, data in members(make_cell(TILE.cells[0], 2020, grid), 2020)]
    path = tmp_path / f"N25W165_20_MOS_F02DAR{kind}"
    write_files(path, files)
    whole = path.read_bytes()
    luck = random.Random(kind)
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(luck.choice([1, 4, 20])):
            at = luck.randrange(len(data))
            data[len(data) - 1 - at % 900 if luck.random() < 0.5 else at] = luck.randrange(256)
        path.write_bytes(data[: luck.choice([len(data), len(data), luck.randrange(len(data))])])
        with suppress(CorruptArchiveError, InvalidRequestError):
            assert inspect_archive(path, work, grid).tile


@pytest.mark.parametrize("tag", [b"nan", b"inf", b"-77", b"1e9"])
def test_a_tag_that_no_pixel_can_hold_is_none(tmp_path: Path, work: Path, grid: Grid, tag: bytes) -> None:
    """GDAL keeps a GeoTIFF's tag as text, so any number may stand there, and NaN."""
    files = dict(members(make_cell(TILE.cells[0], 2020, grid), 2020))
    name = f"{TILE.cells[0]}_20_sl_HH_F02DAR.tif"
    (tmp_path / name).write_bytes(files[name])
    with rasterio.open(tmp_path / name, "r+") as dataset:
        dataset.nodata = 123
    with_tag = (tmp_path / name).read_bytes()
    assert with_tag.count(b"123\0") == 1
    files[name] = with_tag.replace(b"123\0", tag + b"\0")
    write_files(tmp_path / "a.zip", files.items())
    found = inspect_archive(tmp_path / "a.zip", work, grid)
    assert found.works
    json.dumps(found.to_dict(), allow_nan=False)
    assert [member.nodata for member in found.members if member.file_name == name] == [None]


def test_a_raster_of_floats_with_nan_for_nodata_is_named(tmp_path: Path, work: Path, grid: Grid) -> None:
    cell = make_cell(TILE.cells[0], 2020, grid)
    for code in ("HH", "mask"):
        arrays = {**cell.arrays, code: cell.arrays[code].astype("float32")}
        files = dict(members(CellPixels(cell.cell, arrays), 2020))
        (name,) = (name for name in files if f"_{code}_" in name)
        (tmp_path / name).write_bytes(files[name])
        with rasterio.open(tmp_path / name, "r+") as dataset:
            dataset.nodata = float("nan")
        files[name] = (tmp_path / name).read_bytes()
        write_files(tmp_path / "a.zip", files.items())
        found = inspect_archive(tmp_path / "a.zip", work, grid)
        assert any(name in problem and "float32" in problem for problem in found.problems)


def test_masks_that_are_none_are_told(tmp_path: Path, work: Path, grid: Grid) -> None:
    cell = make_cell(TILE.cells[0], 2020, grid)
    for number, dtype in enumerate(("float32", "complex64", "uint16")):
        arrays = {**cell.arrays, "mask": cell.arrays["mask"].astype(dtype)}
        path = write_archive(tmp_path / f"{number}.zip", [CellPixels(cell.cell, arrays)], 2020)
        found = inspect_archive(path, work, grid)
        assert any("_mask_" in problem and dtype in problem for problem in found.problems)


def test_a_sidecar_that_is_left_out_is_odd_and_no_more(tmp_path: Path, work: Path, grid: Grid) -> None:
    sidecars = [("N25W165_20_F02DAR.xml", b"<a/>"), ("N25W165_20_FP6QAR.xml", b"<b/>")]
    cell = make_cell(TILE.cells[0], 2020, grid)
    rasters = [(name, data) for name, data in members(cell, 2020, naming=Naming()) if parse_member(name)]
    write_files(tmp_path / "a.zip", [*rasters, *sidecars])
    found = inspect_archive(tmp_path / "a.zip", work, grid)
    assert found.works
    assert found.warnings == (
        "sidecar left out: N25W165_20_F02DAR.xml and N25W165_20_FP6QAR.xml differ, the second is left out",
    )
