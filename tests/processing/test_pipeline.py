"""The whole recipe on one machine: pixels, item, states and errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
from rio_cogeo.cogeo import cog_validate

from alos_mosaic.bands import Resampling, bands_of
from alos_mosaic.errors import CorruptArchiveError, MosaicError, OutputError, SourceUnavailableError
from alos_mosaic.grid import CELLS_PER_TILE, Grid, Tile
from alos_mosaic.inventory import cells_of_tile
from alos_mosaic.layouts import layouts_of
from alos_mosaic.messages import Mode, TileRequest, TileYear
from alos_mosaic.missions import mission_of
from alos_mosaic.processing.overviews import halved
from alos_mosaic.processing.pipeline import Workplace, process_tile, work_folder
from alos_mosaic.processing.progress import TileProgress
from alos_mosaic.processing.publish import FileTarget
from alos_mosaic.results import State, TileResult
from local.archives import Form, make_cell, make_forest_cell, place_archive, write_archive

TILE = Tile.from_name("N25W165")
FAR_TILE = Tile.from_name("S55E175")
CELLS = (TILE.cells[0], TILE.cells[7], TILE.cells[24])

MakePlace = Callable[[], Workplace]


def request(year: int, tile: Tile = TILE, mode: Mode = Mode.SKIP) -> TileRequest:
    return TileRequest(TileYear(year, tile), mode, run="a-run")


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("year", "form", "keys"),
    [
        (1996, Form.ENVI, "jers_sar_mosaic/1996/N25W165/N25W165_96_sl_{}.tif"),
        (2009, Form.ENVI, "alos_palsar_mosaic/2009/N25W165/N25W165_09_sl_{}.tif"),
        (2017, Form.ENVI, "alos_palsar_mosaic/2017/N25W165/N25W165_17_sl_{}_F02DAR.tif"),
        (2017, Form.GEOTIFF, "alos_palsar_mosaic/2017/N25W165/N25W165_17_sl_{}_F02DAR.tif"),
        (2020, Form.GEOTIFF, "alos_palsar_mosaic/2020/N25W165/N25W165_20_sl_{}_F02DAR.tif"),
        (1996, Form.GEOTIFF, "jers_sar_mosaic/1996/N25W165/N25W165_96_sl_{}.tif"),
    ],
)
def test_every_pixel_of_every_mission_arrives(
    place: MakePlace, mirror: Path, published: Path, grid: Grid, year: int, form: Form, keys: str
) -> None:
    made = [make_cell(cell, year, grid, form=form) for cell in CELLS]
    archive = place_archive(mirror, TILE, year, grid, cells=[])
    write_archive(archive, made, year, form)

    result = process_tile(request(year), place())

    assert result.state is State.PUBLISHED
    assert result.cells == tuple(cell.name for cell in sorted(CELLS))
    bands = bands_of(mission_of(year))
    folder = keys.rpartition("/")[0]
    beside = ("stac-item.json", "odc-metadata.yaml", "webp")
    assert files_below(published) == {keys.format(band.code) for band in bands} | {
        f"{folder}/N25W165_{year % 100:02d}.{extension}" for extension in beside
    } | {f"{folder.partition('/')[0]}/collection.json"}
    for band in bands:
        expected = np.zeros((grid.tile_pixels, grid.tile_pixels), band.dtype)
        for cell in made:
            row, column = grid.offset(cell.cell)
            window = expected[row : row + grid.cell_pixels, column : column + grid.cell_pixels]
            window[:] = np.where(cell.arrays["mask"] == 0, 0, cell.arrays[band.code])
        path = published / keys.format(band.code)
        with rasterio.open(path) as dataset:
            assert (dataset.nodata, dataset.dtypes, dataset.crs.to_epsg()) == (0, (band.dtype,), 4326)
            assert tuple(dataset.transform)[:6] == grid.transform(TILE)
            np.testing.assert_array_equal(dataset.read(1), expected)
        assert cog_validate(path, strict=True, quiet=True)[0]


def test_a_nodata_tag_counts_where_the_mask_does_not(
    place: MakePlace, mirror: Path, published: Path, grid: Grid
) -> None:
    made = make_cell(CELLS[0], 2020, grid)
    made.arrays["mask"][:] = 255
    made.arrays["HH"][:3] = 1  # the tag of the GeoTIFF form
    write_archive(place_archive(mirror, TILE, 2020, grid, cells=[]), [made], 2020)
    process_tile(request(2020), place())
    with rasterio.open(next(published.rglob("*_HH_*.tif"))) as dataset:
        pixels = dataset.read(1)
    assert not pixels[:3].any()
    np.testing.assert_array_equal(pixels[3 : grid.cell_pixels, : grid.cell_pixels], made.arrays["HH"][3:])


def test_values_under_nodata_are_counted_in_the_result(
    place: MakePlace, mirror: Path, published: Path, grid: Grid
) -> None:
    made = make_cell(CELLS[0], 2020, grid)
    made.arrays["mask"][0, :3] = 0
    for code in ("HH", "HV", "linci", "date"):
        made.arrays[code][made.arrays["mask"] == 0] = 1  # the tag of the GeoTIFF form
    made.arrays["HH"][0, :3] = 77
    write_archive(place_archive(mirror, TILE, 2020, grid, cells=[]), [made], 2020)
    result = process_tile(request(2020), place())
    assert (result.values_under_nodata, result.to_dict()["values_under_nodata"]) == (3, 3)
    properties = json.loads(next(published.rglob("*.stac-item.json")).read_text())["properties"]
    assert properties["alos_mosaic:values_under_nodata"] == 3


def test_a_whole_tile_has_overviews_down_to_a_block(place: MakePlace, mirror: Path, published: Path) -> None:
    grid = Grid(220)
    place_archive(mirror, TILE, 1996, grid)
    workplace = place()
    process_tile(request(1996), Workplace(workplace.source_url, workplace.target, workplace.work, grid=grid))
    for path in published.rglob("*.tif"):
        with rasterio.open(path) as dataset:
            assert dataset.overviews(1) == [2, 4]
            assert dataset.block_shapes == [(512, 512)]
    assert (
        len(json.loads(next(published.rglob("*.stac-item.json")).read_text())["properties"]["alos_mosaic:cells"])
        == CELLS_PER_TILE
    )


def test_the_item_says_what_lies_beside_it(place: MakePlace, mirror: Path, published: Path, grid: Grid) -> None:
    place_archive(mirror, TILE, 2020, grid, cells=CELLS)
    process_tile(request(2020), place())
    path = next(published.rglob("*.stac-item.json"))
    content = json.loads(path.read_text())
    pystac.Item.from_file(path)
    properties = content["properties"]
    assert content["stac_version"] == "1.1.0"
    assert content["id"] == "9bf79d1a-aae8-57a7-9a9b-a59b5e2fc646"
    assert properties["odc:product"] == "alos_palsar_mosaic"
    assert properties["odc:region_code"] == "N25W165"
    assert properties["start_datetime"] == "2020-01-01T00:00:00Z"
    assert properties["end_datetime"] == "2020-12-31T23:59:59Z"
    assert properties["proj:code"] == "EPSG:4326"
    assert properties["alos_mosaic:archive"]["layout"] == "palsar-2-v1"
    assert properties["alos_mosaic:run"] == "a-run"
    assert set(content["assets"]) == {"hh", "hv", "linci", "date", "mask", "thumbnail"}
    for asset in content["assets"].values():
        file = path.parent / asset["href"]
        assert file.stat().st_size == asset["file:size"]
        assert asset["file:checksum"].startswith("1220")
        assert len(asset["file:checksum"]) == 4 + 64
    assert [link["href"] for link in content["links"] if link["rel"] == "self"] == [path.as_uri()]


@pytest.mark.parametrize("product", [None, "alos_palsar_fnf"])
def test_the_result_tells_the_item_s_shares(
    place: MakePlace, mirror: Path, published: Path, grid: Grid, product: str | None
) -> None:
    if product is None:
        place_archive(mirror, TILE, 2017, grid, cells=CELLS)
    else:
        row = next(row for row in layouts_of(mission_of(2017), product))
        made = [make_forest_cell(cell, 2017, grid) for cell in CELLS]
        write_archive(mirror / row.archive_path(TILE, 2017), made, 2017)
    result = process_tile(TileRequest(TileYear(2017, TILE), product=product), place())
    properties = json.loads(next(published.rglob("*.stac-item.json")).read_text())["properties"]
    assert result.valid_percent == properties["alos_mosaic:valid_percent"] > 0
    assert result.water_percent == properties["alos_mosaic:water_percent"]
    assert TileResult.from_dict(result.to_dict()) == result


def test_a_published_tile_is_skipped_and_a_damaged_one_is_not(
    place: MakePlace, mirror: Path, published: Path, grid: Grid
) -> None:
    place_archive(mirror, TILE, 2020, grid, cells=CELLS)
    assert process_tile(request(2020), place()).state is State.PUBLISHED
    before = {path: path.read_bytes() for path in published.rglob("*.tif")}
    assert process_tile(request(2020), place()).state is State.SKIPPED
    assert process_tile(request(2020, mode=Mode.OVERWRITE), place()).state is State.PUBLISHED
    assert {path: path.read_bytes() for path in published.rglob("*.tif")} == before

    damaged = next(published.rglob("*_mask_*.tif"))
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    assert process_tile(request(2020), place()).state is State.PUBLISHED
    assert damaged.read_bytes() == before[damaged]

    item = next(published.rglob("*.stac-item.json"))
    content = json.loads(item.read_text())
    for change in (
        {"id": "another"},
        {"assets": {"hh": content["assets"]["hh"]}},
        {"assets": dict.fromkeys(content["assets"], content["assets"]["hh"])},
        {"properties": {**content["properties"], "proj:shape": [1, 1]}},
    ):
        item.write_text(json.dumps({**content, **change}))
        assert process_tile(request(2020), place()).state is State.PUBLISHED

    damaged.unlink()
    assert process_tile(request(2020), place()).state is State.PUBLISHED
    next(published.rglob("*.stac-item.json")).write_text("{")
    assert process_tile(request(2020), place()).state is State.PUBLISHED


def test_the_item_tells_of_known_cells_that_are_not_there(
    place: MakePlace, mirror: Path, published: Path, grid: Grid
) -> None:
    """In the listings of 2021 this tile has two cells: islands of Hawaii."""
    known = cells_of_tile(2020, TILE)
    assert [cell.name for cell in known] == ["N23W161", "N22W161"]
    place_archive(mirror, TILE, 2020, grid, cells=known[:1])
    process_tile(request(2020), place())
    properties = json.loads(next(published.rglob("*.stac-item.json")).read_text())["properties"]
    assert "JAXA's listing of 2021-04 has cells that this archive lacks: N22W161" in properties["alos_mosaic:warnings"]


def test_a_tile_jaxa_does_not_have_is_absent(place: MakePlace, mirror: Path, published: Path, grid: Grid) -> None:
    place_archive(mirror, TILE, 2020, grid, cells=CELLS)
    result = process_tile(request(2020, FAR_TILE), place())
    assert result.state is State.ABSENT
    assert "none of S55E175" in str(result.cause)
    assert not published.exists()


def test_a_folder_that_is_gone_is_no_absence(place: MakePlace) -> None:
    with pytest.raises(SourceUnavailableError, match="moved"):
        process_tile(request(2020), place())


def test_a_folder_without_archives_is_no_absence(place: MakePlace, mirror: Path, grid: Grid) -> None:
    place_archive(mirror, TILE, 2020, grid, cells=CELLS).unlink()
    with pytest.raises(SourceUnavailableError, match="moved"):
        process_tile(request(2020), place())


def test_a_failed_tile_publishes_nothing(place: MakePlace, mirror: Path, published: Path, grid: Grid) -> None:
    archive = place_archive(mirror, TILE, 2020, grid, cells=CELLS)
    archive.write_bytes(archive.read_bytes()[:-200])
    with pytest.raises(CorruptArchiveError):
        process_tile(request(2020), place())
    assert not published.exists()


def test_an_item_that_can_not_be_published_leaves_no_item(
    place: MakePlace, mirror: Path, published: Path, grid: Grid
) -> None:
    place_archive(mirror, TILE, 2020, grid, cells=CELLS)
    (published / "alos_palsar_mosaic/2020/N25W165/N25W165_20.stac-item.json").mkdir(parents=True)
    with pytest.raises(MosaicError):
        process_tile(request(2020), place())
    assert not [name for name in files_below(published) if name.endswith(".stac-item.json")]


def test_a_work_folder_is_fresh_and_goes_away(tmp_path: Path) -> None:
    precious = tmp_path / "work" / "precious"
    precious.parent.mkdir()
    precious.touch()
    with pytest.raises(ZeroDivisionError), work_folder(tmp_path / "work") as folder:
        assert not list(folder.iterdir())
        (folder / "scratch").touch()
        raise ZeroDivisionError
    assert list((tmp_path / "work").iterdir()) == [precious]
    with pytest.raises(OutputError), work_folder(precious):
        pass


@pytest.mark.parametrize("resampling", [Resampling.RMS, Resampling.AVERAGE])
def test_overviews_of_backscatter_are_made_as_told_and_the_item_says_so(
    place: MakePlace, mirror: Path, published: Path, resampling: Resampling
) -> None:
    grid = Grid(220)
    place_archive(mirror, TILE, 2020, grid)
    process_tile(request(2020), replace(place(), grid=grid, backscatter_overviews=resampling))
    for path in published.rglob("*_H?_*.tif"):
        with rasterio.open(path) as dataset:
            base = dataset.read(1)
        with rasterio.open(path, overview_level=0) as dataset:
            np.testing.assert_array_equal(dataset.read(1), halved(base, resampling))
    item = json.loads(next(published.rglob("*.stac-item.json")).read_text())
    parameters = item["properties"]["alos_mosaic:parameters"]
    assert parameters == {
        "backscatter_overviews": resampling.value.lower(), "codec": "deflate", "level": 1, "predictor": 2,
        "block_pixels": 512, "accept_partial": False,
    }  # fmt: skip


def test_the_collection_is_there_for_the_item_and_mended_where_it_differs(
    place: MakePlace, mirror: Path, published: Path, grid: Grid
) -> None:
    place_archive(mirror, TILE, 2020, grid, cells=CELLS)
    process_tile(request(2020), place())
    path = published / "alos_palsar_mosaic/collection.json"
    first = path.read_bytes()
    collection = pystac.Collection.from_file(path)
    assert collection.id == "alos_palsar_mosaic"
    item = pystac.Item.from_file(next(published.rglob("*.stac-item.json")))
    found = item.get_collection()
    assert found is not None
    assert found.id == item.collection_id == collection.id
    path.write_text("{}")
    process_tile(request(2020, mode=Mode.OVERWRITE), place())
    assert path.read_bytes() == first
    before = path.stat().st_mtime_ns
    process_tile(request(2020, mode=Mode.OVERWRITE), place())
    assert path.stat().st_mtime_ns == before


def test_the_same_archive_gives_the_same_bytes(
    place: MakePlace, mirror: Path, published: Path, grid: Grid, tmp_path: Path
) -> None:
    place_archive(mirror, TILE, 2020, grid, cells=CELLS)
    process_tile(request(2020), place())
    process_tile(request(2020), replace(place(), target=FileTarget(tmp_path / "again")))
    for path in published.rglob("*"):
        again = tmp_path / "again" / path.relative_to(published)
        if path.suffix in (".tif", ".webp"):
            assert path.read_bytes() == again.read_bytes()
        elif path.name.endswith(".stac-item.json"):
            one, other = json.loads(path.read_text()), json.loads(again.read_text())
            for content in (one, other):
                for name in ("created", "updated"):
                    del content["properties"][name]
                links = [link for link in content["links"] if link["rel"] != "self"]
                content["links"] = [{**link, "file:checksum": ""} for link in links]  # the EO3 document tells a time
            assert one == other


def test_who_looks_on_is_told_how_far_a_tile_is(place: MakePlace, mirror: Path, grid: Grid) -> None:
    archive = place_archive(mirror, TILE, 2009, grid, cells=CELLS)
    workplace = place()
    process_tile(request(2009), workplace)
    size = archive.stat().st_size
    assert workplace.progress == TileProgress("publish", size, size, len(CELLS), bands=5, written_bands=5)


def test_a_result_says_what_a_tile_took(place: MakePlace, mirror: Path, grid: Grid) -> None:
    archive = place_archive(mirror, TILE, 2020, grid, cells=CELLS)
    result = process_tile(request(2020), place())
    assert set(result.seconds) == {"check", "gather", "transfer", "write", "describe", "publish"}
    assert result.peak_memory_bytes > 10_000_000
    assert result.peak_disk_bytes > archive.stat().st_size // 2
