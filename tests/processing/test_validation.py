"""Validating a published tile: whatever is wrong with it has a check that says what is and what should be."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.shutil import copy
from rasterio.transform import Affine

from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.grid import Grid, Tile
from alos_mosaic.messages import Mode, TileRequest, TileYear
from alos_mosaic.naming import THUMBNAIL
from alos_mosaic.processing import validation
from alos_mosaic.processing.checks import Check, Verdict
from alos_mosaic.processing.checksums import sha256_of, to_multihash
from alos_mosaic.processing.pipeline import Workplace, process_tile
from alos_mosaic.processing.publish import FileTarget
from alos_mosaic.processing.published_place import PublishedPlace, quicklook_name, read_item
from alos_mosaic.processing.validation import validate_tile
from alos_mosaic.products import FOREST_PRODUCT
from local.archives import first_layout, make_cell, make_forest_cell, make_quad_cell, place_archive, write_archive

TILE = Tile.from_name("N10E010")
CELLS = TILE.cells[6:9]
FOLDER = "alos_palsar_mosaic/2020/N10E010"
ITEM = "N10E010_20.stac-item.json"
HH, HV, LINCI = ("N10E010_20_sl_HH_F02DAR.tif", "N10E010_20_sl_HV_F02DAR.tif", "N10E010_20_sl_linci_F02DAR.tif")

Item = dict[str, Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, grid: Grid) -> Path:
    """A folder with a whole tile in it."""
    folder = tmp_path_factory.mktemp("made")
    place_archive(folder / "mirror", TILE, 2020, grid, cells=CELLS)
    (folder / "work").mkdir()
    place = Workplace((folder / "mirror").as_uri(), FileTarget(folder / "out"), folder / "work", grid=grid)
    process_tile(TileRequest(TileYear(2020, TILE), run="a-run"), place)
    return folder / "out"


@pytest.fixture(autouse=True)
def _no_web(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the schemas out: they are pystac's to check, and some lie on the web."""
    monkeypatch.setattr(validation, "_schemas", lambda _: ())


@pytest.fixture
def tile(made: Path, tmp_path: Path) -> Path:
    """The folder of a tile of one's own, to be spoilt."""
    shutil.copytree(made, tmp_path / "out")
    return tmp_path / "out" / FOLDER


def checked(tile: Path, grid: Grid) -> dict[str, Check]:
    root = tile.parents[2]
    place = PublishedPlace.from_uri(tile.as_uri())
    checks = validate_tile(place, FileTarget(root), grid, root.parent / "work")
    return {f"{check.subject}: {check.name}": check for check in checks}


def failed(tile: Path, grid: Grid) -> dict[str, str]:
    return {name: each.detail for name, each in checked(tile, grid).items() if each.verdict is not Verdict.OK}


def read(tile: Path) -> Item:
    item: Item = json.loads((tile / ITEM).read_text())
    return item


def write(tile: Path, item: Item) -> None:
    (tile / ITEM).write_text(json.dumps(item))


def fit(tile: Path, asset: Item) -> None:
    """Let an asset say what its file is."""
    path = tile / asset["href"]
    asset |= {"file:size": path.stat().st_size, "file:checksum": to_multihash(sha256_of(path))}


def test_of_a_tile_as_it_was_made_all_is_well(made: Path, grid: Grid) -> None:
    checks = checked(made / FOLDER, grid)
    assert {name: check.detail for name, check in checks.items() if check.verdict is not Verdict.OK} == {}
    assert checks["hh: size"].detail == "150 x 150"
    assert {"item: id", "item: bbox", "hv: href", "hv: type", "hv: is cloud-optimized", "odc_yaml: href"} <= set(checks)
    subjects = [name.partition(":")[0] for name in checks]
    assert len(set(subjects)) == sum(a != b for a, b in zip(subjects, [None, *subjects[:-1]], strict=True))


@pytest.mark.parametrize(("year", "product"), [(1996, None), (2009, None), (2020, None), (2009, FOREST_PRODUCT)])
@pytest.mark.parametrize("mode", [Mode.OVERWRITE, Mode.METADATA_ONLY])
def test_so_it_is_of_every_mission_and_product(
    mirror: Path,
    place: Callable[[], Workplace],
    published: Path,
    grid: Grid,
    year: int,
    product: str | None,
    mode: Mode,
) -> None:
    """Cells in quad-polarization and two parts of a footprint included; also of a tile that is described anew."""
    cells = (TILE.cells[0], TILE.cells[7], TILE.cells[24])
    if product is None:
        cell = (make_quad_cell if year == 2020 else make_cell)(cells[0], year, grid)
        made = [cell, *(make_cell(each, year, grid) for each in cells[1:])]
        write_archive(place_archive(mirror, TILE, year, grid, cells=[]), made, year)
    else:
        forest = [make_forest_cell(each, year, grid) for each in cells]
        write_archive(mirror / first_layout(year).folder(year) / f"{TILE}_09_FNF.tar.gz", forest, year)
    request = TileRequest(TileYear(year, TILE), run="a-run", product=product)
    item_uri = process_tile(request, place()).item_uri
    if mode is not Mode.OVERWRITE:
        process_tile(replace(request, mode=mode), place())
    assert item_uri is not None
    checks = validate_tile(PublishedPlace.from_uri(item_uri), FileTarget(published), grid, published.parent / "work")
    assert [check for check in checks if check.verdict is not Verdict.OK] == []
    if year == 2020:
        assert {"vh", "vv"} <= {check.subject for check in checks}


def test_a_tile_on_another_grid_than_the_deployments_is_wrong(made: Path) -> None:
    wrong = failed(made / FOLDER, Grid())
    assert wrong["item: proj:shape"] == "is [150, 150], should be [22500, 22500]"
    assert wrong["hh: size"] == "is '150 x 150', should be '22500 x 22500'"
    assert {"item: proj:transform", "hh: transform", "mask: size"} <= set(wrong)


def change(*path: str, to: object) -> Callable[[Item], None]:
    def change_it(item: Item) -> None:
        for key in path[:-1]:
            item = item[key]
        item[path[-1]] = to

    return change_it


SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]}


@pytest.mark.parametrize(
    ("spoil", "wrong"),
    [
        (change("id", to="8b5a33ba"), {"item: id": "is '8b5a33ba', should be '8b5a33ba-ccdd-54a0-b6ca-d68941461fc9'"}),
        (
            change("collection", to="jers_sar_mosaic"),
            {"item: collection": "is 'jers_sar_mosaic', should be 'alos_palsar_mosaic'"},
        ),
        (
            change("properties", "odc:product", to=None),
            {"item: odc:product": "is None, should be 'alos_palsar_mosaic'"},
        ),
        (
            change("properties", "odc:region_code", to="N10E015"),
            {"item: odc:region_code": "is 'N10E015', should be 'N10E010'"},
        ),
        (change("properties", "platform", to="ALOS"), {"item: platform": "is 'ALOS', should be 'ALOS-2'"}),
        (
            change("properties", "datetime", to="1999-07-01T00:00:00Z"),
            {"item: datetime": "is '1999-07-01T00:00:00Z', should be '2020-07-01T00:00:00Z'"},
        ),
        (
            change("properties", "end_datetime", to="soon"),
            {"item: end_datetime": "is 'soon', should be '2020-12-31T23:59:59Z'"},
        ),
        (
            change("properties", "proj:code", to="EPSG:3857"),
            {"item: proj:code": "is 'EPSG:3857', should be 'EPSG:4326'"},
        ),
        (
            change("properties", "proj:transform", to=[1, 0, 99, 0, -1, 10]),
            {"item: proj:transform": "is [1, 0, 99, 0,"},
        ),
        (change("properties", "proj:shape", to=[15, 15]), {"item: proj:shape": "is [15, 15], should be [150, 150]"}),
        (change("bbox", to=[0, 0, 1, 1]), {"item: bbox": "is [0, 0, 1, 1], should be [11.0, 8.0, 14.0, 9.0]"}),
        (
            lambda item: item.update(geometry=SQUARE, bbox=[0, 0, 1, 1]),
            {
                "item: geometry": "spans [0.0, 0.0, 1.0, 1.0], should lie within [10.0, 5.0, 15.0, 10.0]",
                "item: cells": "['N09E011', 'N09E012', 'N09E013'], which the geometry does not outline",
            },
        ),
        (change("geometry", to=None), {"item: geometry": "can't be read: "}),
        (change("properties", "alos_mosaic:cells", to=["N09E011"]), {"item: cells": "['N09E011'], which the geometry"}),
        (lambda item: item["assets"].pop("hv"), {"item: assets": "lacks hv"}),
        (
            lambda item: item["assets"].update(c=dict(item["assets"]["hh"])),
            {"item: assets": "has c, which no such tile has", "c: bands": "is [{'name': 'HH'"},
        ),
        (change("assets", to=[]), {"item: assets": "lacks date, hh, hv, linci, mask"}),
        (change("assets", "hh", to="hh.tif"), {"hh: href": "is None", "hh: bands": "", "hh: is described": ""}),
        (change("assets", "hh", "href", to="../N10E010_20_sl_HH.tif"), {"hh: href": "", "hh: is there": ""}),
        (
            change("assets", "hh", "bands", to=[{"name": "HH", "data_type": "int16", "nodata": 0}]),
            {"hh: bands": "is [{'name': 'HH', 'data_type': 'int16', 'nodata': 0}], should be"},
        ),
        (change("assets", "hh", "file:size", to=float("inf")), {"hh: is described": "the item lacks or garbles"}),
        (change("assets", "hh", "proj:shape", to=[1, 1]), {"hh: proj:shape": "is [1, 1], should be [150, 150]"}),
    ],
)
def test_an_item_that_is_not_of_its_place(
    tile: Path, grid: Grid, spoil: Callable[[Item], object], wrong: dict[str, str]
) -> None:
    item = read(tile)
    spoil(item)
    write(tile, item)
    found = failed(tile, grid)
    found = {name: detail for name, detail in found.items() if not name.startswith("c: ") or name in wrong}
    assert found.keys() == wrong.keys()
    assert all(detail in found[name] for name, detail in wrong.items())


def test_bands_whose_files_are_swapped(tile: Path, grid: Grid) -> None:
    item = read(tile)
    hh, hv = item["assets"]["hh"], item["assets"]["hv"]
    for key in ("href", "file:size", "file:checksum"):
        hh[key], hv[key] = hv[key], hh[key]
    write(tile, item)
    assert failed(tile, grid) == {
        "hh: href": f"is './{HV}', should be a file called N10E010_20_sl_HH...",
        "hv: href": f"is './{HH}', should be a file called N10E010_20_sl_HV...",
    }


@pytest.mark.parametrize(
    ("name", "changes", "wrong"),
    [
        (LINCI, {"dtype": "uint16"}, {"linci: type": "is 'uint16', should be 'uint8'"}),
        (HV, {"dtype": "int16"}, {"hv: type": "is 'int16', should be 'uint16'"}),
        (HV, {"nodata": 1}, {"hv: nodata": "is 1.0, should be 0"}),
        (HV, {"nodata": None}, {"hv: nodata": "is None, should be 0"}),
        (HV, {"crs": "EPSG:3857"}, {"hv: reference system": "is 'EPSG:3857', should be 'EPSG:4326'"}),
        (
            HV,
            {"transform": Affine(1 / 30, 0, 10.5, 0, -1 / 30, 10)},
            {"hv: transform": f"is [{1 / 30}, 0.0, 10.5, 0.0, -{1 / 30}, 10.0], should be"},
        ),
        (HV, {"width": 75, "height": 75}, {"hv: size": "is '75 x 75', should be '150 x 150'"}),
        (HV, {"count": 2}, {"hv: type": "is 'uint16, uint16', should be 'uint16'"}),
    ],
)
def test_a_raster_that_is_not_its_bands(
    tile: Path, grid: Grid, name: str, changes: dict[str, Any], wrong: dict[str, str]
) -> None:
    path, plain = tile / name, tile.parents[3] / "plain.tif"
    with rasterio.open(path) as dataset:
        profile = dataset.profile | changes
        pixels = np.zeros((profile["count"], profile["height"], profile["width"]), profile["dtype"])
    with rasterio.open(plain, "w", **{key: profile[key] for key in (
        "driver", "dtype", "nodata", "width", "height", "count", "crs", "transform"
    )}) as dataset:  # fmt: skip
        dataset.write(pixels)
    copy(plain, path, driver="COG", blocksize=512, overviews="NONE")
    item = read(tile)
    for asset in item["assets"].values():
        fit(tile, asset)
    write(tile, item)
    found = failed(tile, grid)
    assert found.keys() == wrong.keys()
    assert all(detail in found[name] for name, detail in wrong.items())


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda content: content[:-1], "it has {less:,} bytes, the item says {size:,}"),
        (lambda content: content[:-1] + bytes([content[-1] ^ 1]), "its sha256 is "),
    ],
)
def test_bytes_that_are_not_the_items(tile: Path, grid: Grid, damage: Callable[[bytes], bytes], said: str) -> None:
    path = tile / "N10E010_20.webp"
    content = path.read_bytes()
    path.write_bytes(damage(content))
    found = failed(tile, grid)
    assert found.keys() == {"thumbnail: bytes are the item's"}
    told = found["thumbnail: bytes are the item's"]
    assert told.startswith(said.format(less=len(content) - 1, size=len(content)))


def test_files_that_are_missing_or_no_rasters(tile: Path, grid: Grid) -> None:
    (tile / HH).unlink()
    (tile / HV).write_bytes(b"no raster")
    item = read(tile)
    fit(tile, item["assets"]["hv"])
    write(tile, item)
    found = failed(tile, grid)
    assert found.keys() == {"hh: is there", "hv: can be read"}
    assert found["hh: is there"] == f"'{HH}' is missing"


@pytest.mark.parametrize("content", ["no json", "[]", "{}", "null"])
def test_what_is_no_item(tile: Path, grid: Grid, content: str) -> None:
    (tile / ITEM).write_text(content)
    assert failed(tile, grid) == {"item: is there": f"{(tile / ITEM).as_uri()} is no item"}
    place = PublishedPlace.from_uri(tile.as_uri())
    with pytest.raises(InvalidRequestError, match=rf"{ITEM} is no item"):
        read_item(FileTarget(tile.parents[2]), place)


def test_where_nothing_is_published(tile: Path, grid: Grid) -> None:
    (tile / ITEM).unlink()
    assert failed(tile, grid) == {"item: is there": f"{(tile / ITEM).as_uri()} does not exist"}
    place = PublishedPlace.from_uri(tile.as_uri())
    with pytest.raises(InvalidRequestError, match="nothing is published at"):
        read_item(FileTarget(tile.parents[2]), place)


@pytest.mark.parametrize(
    "uri", ["file:///out/jers_sar_mosaic/2020/N10E010", "file:///out/alos_palsar_mosaic/2012/N10E010"]
)
def test_a_year_that_has_no_such_product(uri: str) -> None:
    with pytest.raises(InvalidRequestError, match="20 has no jers_sar_mosaic|no mosaic of 2012"):
        PublishedPlace.from_uri(uri)


@pytest.mark.parametrize("name", ["properties", "assets"])
@pytest.mark.parametrize("value", [None, "x", 5])
def test_an_item_that_lacks_what_is_read(tile: Path, name: str, value: object) -> None:
    write(tile, read(tile) | {name: value})
    with pytest.raises(InvalidRequestError, match=rf"{ITEM} is no item: it has no {name}"):
        read_item(FileTarget(tile.parents[2]), PublishedPlace.from_uri(tile.as_uri()))


def test_a_quicklook_is_called_as_ours_are(tile: Path) -> None:
    place = PublishedPlace.from_uri(tile.as_uri())
    item = read_item(FileTarget(tile.parents[2]), place)
    assert quicklook_name(item, place) == "N10E010_20.webp"


@pytest.mark.parametrize(
    "href", ["/tmp/pwned.sh", "../N10E010_20.webp", "N10E010_20.webp.sh", f"./{ITEM}", "x\x1b[2J", "", None, 5]
)
def test_a_quicklook_of_another_name_is_no_name_for_a_file_here(tile: Path, href: object) -> None:
    place = PublishedPlace.from_uri(tile.as_uri())
    item = read_item(FileTarget(tile.parents[2]), place)
    item["assets"][THUMBNAIL]["href"] = href
    with pytest.raises(InvalidRequestError, match=r"for a quicklook, which would be \./N10E010_20\.webp") as raised:
        quicklook_name(item, place)
    assert "\x1b" not in str(raised.value)
    del item["assets"][THUMBNAIL]
    with pytest.raises(InvalidRequestError, match="has no quicklook; mode metadata-only makes one"):
        quicklook_name(item, place)
