"""Counting pixels, block by block."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from alos_mosaic.bands import BANDS
from alos_mosaic.grid import Cell, Grid
from alos_mosaic.missions import mission_of
from alos_mosaic.naming import MemberName
from alos_mosaic.processing.archive import Member
from alos_mosaic.processing.mosaic import Mosaic, Recipe
from alos_mosaic.processing.statistics import BandCounts, TileStatistics, tile_statistics
from alos_mosaic.products import product_of
from local.archives import CellPixels, Form, make_cell, members
from tests.processing.unpacking import Members

CELL = Cell.from_name("N23W161")


def counted(code: str, *blocks: list[int]) -> BandCounts:
    counts = BandCounts(code, BANDS[code].dtype)
    for block in blocks:
        if any(block):
            counts.add(np.array(block, BANDS[code].dtype).reshape(2, 2), min(block), max(block))
    return counts


def test_blocks_add_up() -> None:
    counts = {
        "HH": counted("HH", [9, 8, 0, 0], [70, 2, 0, 5]),
        "date": counted("date", [7, 7, 0, 0], [9, 9, 9, 9], [0, 0, 0, 0]),
        "mask": counted("mask", [255, 1, 0, 0], [255, 255, 255, 255]),
    }
    assert tile_statistics(counts, 12, 3) == TileStatistics(
        {0: 6, 1: 1, 255: 5}, {7: 2, 9: 4}, {}, 3, {"HH": (2, 70), "date": (7, 9)}
    )


def test_a_forest_map_is_counted_by_class() -> None:
    found = tile_statistics({"C": counted("C", [0, 1, 2, 2])}, 4, 0)
    assert found == TileStatistics({}, {}, {0: 1, 1: 1, 2: 2}, 0, {"C": (1, 2)})


def test_a_band_without_a_valid_pixel_has_no_range() -> None:
    counts = counted("date", [0, 0, 0, 0])
    assert tile_statistics({"date": counts}, 4, 0) == TileStatistics()


@pytest.mark.parametrize(("code", "dtype"), [("mask", "uint8"), ("date", "uint16")])
def test_counts_are_those_of_unique(code: str, dtype: str) -> None:
    rng = np.random.default_rng(1)
    counts, blocks = BandCounts(code, dtype), []
    for low, high in product([0, 1, 200], [200, 201, np.iinfo(dtype).max + 1]):
        blocks.append(rng.integers(low, max(high, low + 1), (40, 40)).astype(dtype))
        counts.add(blocks[-1], int(blocks[-1].min()), int(blocks[-1].max()))
    values, found = np.unique(np.stack(blocks), return_counts=True)
    assert counts.pixels_by_value(len(blocks) * 1600) == dict(zip(values.tolist(), found.tolist(), strict=True))


def statistics_of(cell: CellPixels, form: Form, grid: Grid, folder: Path) -> TileStatistics:
    found: Members = {}
    files = dict(members(cell, 2017, form))
    with Mosaic(Recipe(mission_of(2017), product_of(2017), grid), folder) as mosaic:
        for name, content in files.items():
            if name.endswith((".hdr", ".xml")):
                continue
            code = next(code for code in BANDS if f"_{code}_" in name)
            extension = ".tif" if form.is_geotiff else ""
            parsed = MemberName(cell.cell, "17", code, "F02DAR", extension)
            mosaic.take(Member(parsed, name, bytearray(content), files.get(f"{name}.hdr")))
        merged = mosaic.finish()
    assert merged is not None, mosaic.defects
    assert not found
    return merged.statistics


@pytest.mark.parametrize(("form", "hidden"), [(Form.GEOTIFF, 1), (Form.ENVI, 3)])
def test_values_under_mask_0_count_unless_they_are_0_or_the_tag(
    tmp_path: Path, grid: Grid, form: Form, hidden: int
) -> None:
    cell = make_cell(CELL, 2017, grid, form=form)
    tag = 1 if form.is_geotiff else 0
    for code in ("HH", "HV", "linci", "date"):
        cell.arrays[code][cell.arrays["mask"] == 0] = tag
    cell.arrays["mask"][:] = 255
    cell.arrays["mask"][0, :10] = 0
    for code in ("HH", "HV", "linci", "date"):
        cell.arrays[code][0, :10] = tag
    cell.arrays["HH"][0, :4] = [5, 1, 1, 0]
    cell.arrays["HH"][1, :2] = 60_000
    cell.arrays["HH"][2, :2] = 1  # where the mask says data: the tag is no data, an undeclared 1 is
    found = statistics_of(cell, form, grid, tmp_path)
    assert found.values_under_nodata == hidden
    assert found.pixels_by_mask_value == {0: 10, 255: grid.cell_pixels**2 - 10}
    low, high = found.range_by_band["HH"]
    assert high == 60_000
    assert (low == 1) is (form is Form.ENVI)
