"""Mission x layout x form: every way in which a tile has been served, pixel-exact against the arrays the test made."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.session import DummySession

from alos_mosaic.bands import BANDS, bands_of, bands_with
from alos_mosaic.errors import CorruptArchiveError, SourceUnavailableError
from alos_mosaic.extra_layouts import layouts_from_json
from alos_mosaic.grid import Grid, Tile
from alos_mosaic.layouts import LAYOUTS, Layout
from alos_mosaic.messages import TileRequest, TileYear
from alos_mosaic.missions import mission_of
from alos_mosaic.processing.pipeline import Workplace, process_tile
from alos_mosaic.products import FOREST_PRODUCT
from alos_mosaic.results import State, TileResult
from local.archives import (
    CellPixels,
    Container,
    Form,
    Naming,
    Packing,
    make_cell,
    make_forest_cell,
    make_quad_cell,
    write_archive,
)
from tests.processing.unpacking import merge, read_cell, unpack

TILE = Tile.from_name("N25W165")
CELLS = (TILE.cells[0], TILE.cells[7], TILE.cells[24])
YEARS = {"JERS-1": 1996, "PALSAR": 2009, "PALSAR-2": 2016}
PACKINGS = (Packing(), Packing("N25W165_MOS"), Packing(nested=Container.ZIP), Packing("a/b", Container.TAR_GZ))
NAMINGS = (Naming(), Naming(4), Naming(2, "_FP6QAR"), Naming(4, "_U02DDL"), Naming(2, "_F__DAR"))
TILE_ROWS = [row for row in LAYOUTS if row.serves_tiles]

MakePlace = Callable[[], Workplace]
Pixels = NDArray[Any]


@pytest.fixture
def without_aws() -> Iterator[None]:
    """As in the pipeline: else rasterio makes an AWS session for every file, 20 ms each."""
    with rasterio.Env(session=DummySession()):
        yield


def expected(cells: Iterable[CellPixels], code: str, grid: Grid) -> Pixels:
    """The whole tile as it must arrive: 0 wherever the mask is 0 or there is nothing."""
    whole = np.zeros((grid.tile_pixels, grid.tile_pixels), BANDS[code].dtype)
    for made in cells:
        if code not in made.arrays:
            continue
        row, column = grid.offset(made.cell)
        pixels, mask = made.arrays[code], made.arrays.get("mask", np.uint8(255))
        whole[row : row + grid.cell_pixels, column : column + grid.cell_pixels] = np.where(mask == 0, 0, pixels)
    return whole


@pytest.mark.parametrize("container", list(Container))
@pytest.mark.parametrize("year", YEARS.values(), ids=YEARS.keys())
@pytest.mark.parametrize("form", list(Form), ids=lambda form: form.name)
@pytest.mark.usefixtures("without_aws")
def test_every_form_packed_and_named_in_every_way(
    tmp_path: Path, grid: Grid, year: int, form: Form, container: Container
) -> None:
    cells = [make_cell(cell, year, grid, form=form) for cell in CELLS[:2]]
    for number, (packing, naming) in enumerate(itertools.product(PACKINGS, NAMINGS)):
        path = tmp_path / f"{number}{container}"
        write_archive(path, cells, year, form, naming=naming, packing=packing)
        found = unpack(path, tmp_path / str(number), TileYear(year, TILE), grid)
        merge(found.members, year, grid)
        assert set(found.sidecars) == (set(CELLS[:2]) if form.is_geotiff else set())
        for band in bands_of(mission_of(year)):
            for made in cells:
                pixels = read_cell(found.members[made.cell], band, made.cell, grid)
                seen = np.where(made.arrays["mask"] == 0, 0, made.arrays[band.code])
                np.testing.assert_array_equal(pixels, seen)


def cells_of(row: Layout, year: int, form: Form, grid: Grid) -> list[CellPixels]:
    if row.product == FOREST_PRODUCT:
        return [make_forest_cell(cell, year, grid, release=row.release) for cell in CELLS]
    first = make_quad_cell if row.mission == "PALSAR-2" else make_cell
    return [first(CELLS[0], year, grid, form=form), *(make_cell(cell, year, grid, form=form) for cell in CELLS[1:])]


def process(place: Workplace, year: int, product: str | None = None) -> TileResult:
    return process_tile(TileRequest(TileYear(year, TILE), product=product), place)


@pytest.mark.parametrize("form", list(Form), ids=lambda form: form.name)
@pytest.mark.parametrize("row", TILE_ROWS, ids=lambda row: row.name)
def test_every_layout_serves_every_form(
    place: MakePlace, mirror: Path, published: Path, grid: Grid, row: Layout, form: Form
) -> None:
    year = YEARS[row.mission]
    cells = cells_of(row, year, form, grid)
    turn = TILE_ROWS.index(row) + list(Form).index(form)
    packing, naming = PACKINGS[turn % len(PACKINGS)], NAMINGS[turn % len(NAMINGS)]
    write_archive(mirror / row.archive_path(TILE, year), cells, year, form, naming=naming, packing=packing)

    result = process(place(), year, row.product)

    assert (result.state, result.product, result.archive["layouts"]) == (State.PUBLISHED, row.product, [row.name])
    folder = published / row.product / str(year) / TILE.name
    codes = {code for made in cells for code in made.arrays}
    stem = f"{TILE}_{year % 100:02d}"
    assert {path.name for path in folder.iterdir()} == {f"{stem}_sl_{code}{row.suffix}.tif" for code in codes} | {
        f"{stem}.{extension}" for extension in ("stac-item.json", "odc-metadata.yaml", "webp")
    }
    for code in codes:
        with rasterio.open(folder / f"{stem}_sl_{code}{row.suffix}.tif") as dataset:
            assert (dataset.nodata, dataset.dtypes) == (0, (BANDS[code].dtype,))
            np.testing.assert_array_equal(dataset.read(1), expected(cells, code, grid))


def test_the_newest_release_wins_where_two_lie_side_by_side(place: MakePlace, mirror: Path, grid: Grid) -> None:
    for row in (row for row in TILE_ROWS if row.mission == "PALSAR-2"):
        write_archive(
            mirror / row.archive_path(TILE, 2016), cells_of(row, 2016, Form.GEOTIFF, grid), 2016, Form.GEOTIFF
        )
    assert process(place(), 2016).archive["layouts"] == ["palsar-2-v2"]
    assert process(place(), 2016, FOREST_PRODUCT).archive["layouts"] == ["palsar-2-fnf-v2"]


def test_a_mosaic_and_its_forest_map_do_not_know_each_other(
    place: MakePlace, mirror: Path, published: Path, grid: Grid
) -> None:
    for row in (row for row in TILE_ROWS if row.name in {"palsar-v1", "palsar-fnf-v1"}):
        write_archive(mirror / row.archive_path(TILE, 2009), cells_of(row, 2009, Form.ENVI, grid), 2009)
    assert process(place(), 2009).state is State.PUBLISHED
    assert process(place(), 2009, FOREST_PRODUCT).state is State.PUBLISHED
    assert process(place(), 2009, FOREST_PRODUCT).state is State.SKIPPED
    items = [json.loads(path.read_text()) for path in published.rglob("*.stac-item.json")]
    assert len({item["id"] for item in items}) == 2
    assert {item["properties"]["odc:product"]: set(item["assets"]) - {"thumbnail"} for item in items} == {
        "alos_palsar_mosaic": {"hh", "hv", "linci", "date", "mask"},
        FOREST_PRODUCT: {"c"},
    }


def test_a_tag_of_one_does_not_clear_the_forest(place: MakePlace, mirror: Path, published: Path, grid: Grid) -> None:
    row = next(row for row in TILE_ROWS if row.name == "palsar-2-fnf-v2")
    forest = CellPixels(CELLS[0], {"C": np.full((grid.cell_pixels, grid.cell_pixels), 1, np.uint8)})
    write_archive(mirror / row.archive_path(TILE, 2020), [forest], 2020, Form.GEOTIFF)
    process(place(), 2020, FOREST_PRODUCT)
    with rasterio.open(next(published.rglob("*_C_*.tif"))) as dataset:
        np.testing.assert_array_equal(dataset.read(1), expected([forest], "C", grid))


def test_a_forest_map_that_follows_another_table_is_warned_of(
    place: MakePlace, mirror: Path, published: Path, grid: Grid
) -> None:
    row = next(row for row in TILE_ROWS if row.name == "palsar-2-fnf-v1")
    forest = CellPixels(CELLS[0], {"C": np.full((grid.cell_pixels, grid.cell_pixels), 4, np.uint8)})
    write_archive(mirror / row.archive_path(TILE, 2016), [forest], 2016)
    assert process(place(), 2016, FOREST_PRODUCT).state is State.PUBLISHED
    properties = json.loads(next(published.rglob("*.stac-item.json")).read_text())["properties"]
    assert properties["alos_mosaic:source_release"] == "v1"
    assert any("lacks: 4; that of v2 has them" in text for text in properties["alos_mosaic:warnings"])


def test_an_archive_of_the_other_product_is_refused(place: MakePlace, mirror: Path, grid: Grid) -> None:
    row = next(row for row in TILE_ROWS if row.name == "palsar-2-v2")
    forest = [make_forest_cell(cell, 2020, grid) for cell in CELLS]
    write_archive(mirror / row.archive_path(TILE, 2020), forest, 2020)
    with pytest.raises(CorruptArchiveError, match="holds no raster"):
        process(place(), 2020)


def test_polarizations_that_no_cell_has_are_not_published() -> None:
    assert [band.code for band in bands_with({"HH", "HV", "C"}, mission_of(2020))] == [
        "HH", "HV", "linci", "date", "mask"
    ]  # fmt: skip


def test_a_row_of_the_configuration_serves(place: MakePlace, mirror: Path, grid: Grid) -> None:
    row = {"name": "moved", "mission": "PALSAR-2", "suffix": "_F02DAR", "release": 2}
    text = json.dumps([{**row, "folder_template": "new/{year}", "archive_template": "{square}_{year}_MOS{suffix}.zip"}])
    (extra,) = layouts_from_json(text)
    write_archive(mirror / "new/2020/N25W165_2020_MOS_F02DAR.zip", [make_cell(CELLS[0], 2020, grid)], 2020)
    with pytest.raises(SourceUnavailableError, match="moved"):
        process(place(), 2020)
    plain = place()
    known = Workplace(plain.source_url, plain.target, plain.work, grid=grid, extra_layouts=(extra,))
    assert process(known, 2020).archive["layouts"] == ["moved"]
