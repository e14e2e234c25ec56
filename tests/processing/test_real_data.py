"""The real cell N23W161 of 2020 at full size, as part of tile N25W165."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
from pystac.validation import JsonSchemaSTACValidator, validate_dict
from rasterio.windows import Window
from rio_cogeo.cogeo import cog_validate

from alos_mosaic.bands import bands_of
from alos_mosaic.grid import Cell, Grid, Tile
from alos_mosaic.messages import Mode, TileRequest, TileYear
from alos_mosaic.missions import mission_of
from alos_mosaic.processing.pipeline import Workplace, process_tile
from alos_mosaic.processing.publish import FileTarget
from alos_mosaic.results import State
from local.archives import add_archive_file

CELL = Cell.from_name("N23W161")
ASKED = TileYear(2020, CELL.tile)


@pytest.fixture(scope="module")
def published(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    add_archive_file(folder / "mirror", CELL.tile, 2020, samples / "N23W161_20_MOS_F02DAR.tar.gz")
    (folder / "work").mkdir()
    place = Workplace((folder / "mirror").as_uri(), FileTarget(folder / "out"), folder / "work")
    result = process_tile(TileRequest(ASKED), place)
    assert (result.state, result.cells) == (State.PUBLISHED, (CELL.name,))
    return folder / "out/alos_palsar_mosaic/2020/N25W165"


@pytest.fixture(scope="module")
def source(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """The cell's bands as JAXA ships them, read without any code of ours."""
    archive = samples / "N23W161_20_MOS_F02DAR.tar.gz"
    names = {"HH": "sl_HH", "HV": "sl_HV", "linci": "linci", "date": "date", "mask": "mask"}
    arrays = {}
    for code, name in names.items():
        with rasterio.open(f"/vsitar/{archive}/N23W161_20_{name}_F02DAR.tif") as dataset:
            arrays[code] = dataset.read(1)
    return arrays


@pytest.mark.parametrize("code", [band.code for band in bands_of(mission_of(2020))])
def test_every_valid_pixel_equals_the_source_and_every_other_is_zero(
    code: str, published: Path, source: dict[str, np.ndarray]
) -> None:
    grid, tile = Grid(), Tile.from_name("N25W165")
    path = published / f"N25W165_20_sl_{code}_F02DAR.tif"
    valid = source["mask"] != 0
    assert valid.any()
    row, column = grid.offset(CELL)
    with rasterio.open(path) as dataset:
        assert dataset.shape == (22500, 22500)
        assert dataset.nodata == 0
        assert tuple(dataset.transform)[:6] == grid.transform(tile)
        pixels = dataset.read(1)
    cell = pixels[row : row + 4500, column : column + 4500]
    np.testing.assert_array_equal(cell[valid], source[code][valid])
    assert not cell[~valid].any()
    cell[:] = 0
    assert not pixels.any()
    assert cog_validate(path, strict=True, quiet=True)[0]


def test_the_overviews_show_the_cell(published: Path, source: dict[str, np.ndarray]) -> None:
    """Where all four below are valid, the finest overview is their root mean square, and their mode if all agree."""
    for code in ("HH", "mask"):
        with rasterio.open(published / f"N25W165_20_sl_{code}_F02DAR.tif", overview_level=0) as dataset:
            row, column = (offset // 2 for offset in Grid().offset(CELL))
            pixels = dataset.read(1, window=Window(column, row, 2250, 2250))
        four = source[code].reshape(2250, 2, 2250, 2).swapaxes(1, 2).reshape(2250, 2250, 4).astype(float)
        valid = (source["mask"].reshape(2250, 2, 2250, 2) != 0).all(axis=(1, 3))
        alike = valid & (four == four[..., :1]).all(axis=2)
        np.testing.assert_array_equal(pixels[alike], four[alike][:, 0])
        if code == "HH":
            assert np.abs(pixels[valid] - np.sqrt(np.mean(four[valid] ** 2, axis=1))).max() <= 0.501
        assert alike.any() or code == "HH"


def test_the_item_validates_with_all_its_extensions(published: Path, samples: Path) -> None:
    content = json.loads((published / "N25W165_20.stac-item.json").read_text())
    validator = JsonSchemaSTACValidator()
    for uri in content["stac_extensions"]:
        extension, version = uri.split("/")[3:5]
        schema = samples / "stac-schemas" / extension / version / "schema.json"
        validator.schema_cache[uri] = json.loads(schema.read_text())
    validated = validate_dict(content, validator=validator)
    assert set(content["stac_extensions"]) <= set(validated)
    assert pystac.Item.from_dict(content, migrate=False).id == "9bf79d1a-aae8-57a7-9a9b-a59b5e2fc646"


def test_described_again_it_has_the_same_item(published: Path, tmp_path: Path) -> None:
    path = published / "N25W165_20.stac-item.json"
    before = json.loads(path.read_text())
    place = Workplace("file:///nowhere", FileTarget(published.parents[2]), tmp_path)
    result = process_tile(TileRequest(ASKED, Mode.METADATA_ONLY), place)
    assert (result.state, result.cells) == (State.PUBLISHED, (CELL.name,))
    after = json.loads(path.read_text())
    for item in (before, after):
        del item["properties"]["updated"]
        item["properties"].pop("alos_mosaic:pixels_made", None)
        for link in item["links"]:
            link.pop("file:checksum", None)  # of the EO3 document, which tells the time, too
    assert after == before
