"""A forest map, a tile with VH and VV in one cell, and tiles at the antimeridian, by the same tools as every tile."""

from __future__ import annotations

import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import odc.stac
import pystac
import pytest
import rasterio
import yaml
from datacube import Datacube
from datacube.index.hl import Doc2Dataset
from datacube.utils.masking import make_mask
from odc.geo.geobox import GeoBox
from rio_cogeo.cogeo import cog_validate

FindItem = Callable[[int], Path]
ReadItem = Callable[[int], dict[str, Any]]
Expected = Callable[[int, str], np.ndarray]

PRODUCTS: Final = Path(__file__).parents[2] / "products"
MOSAIC: Final = ("hh", "hv", "linci", "date", "mask")
FOREST, QUAD, EAST, WEST = 2010, 2016, 2017, 2018
BOUNDS: Final = {FOREST: (10, 5, 15, 10), QUAD: (10, 5, 15, 10), EAST: (175, 65, 180, 70), WEST: (-180, 65, -175, 70)}
BANDS: Final = {FOREST: ("c",), QUAD: ("hh", "hv", "vh", "vv", *MOSAIC[2:]), EAST: MOSAIC, WEST: MOSAIC}
MEASUREMENTS: Final = {**BANDS, QUAD: MOSAIC}
"""What a cube has of them: VH and VV are in no product definition, since most tiles lack them."""
NAMES: Final = {
    FOREST: "alos_palsar_fnf",
    QUAD: "alos_palsar_mosaic",
    EAST: "alos_palsar_mosaic",
    WEST: "alos_palsar_mosaic",
}
every_year = pytest.mark.parametrize("year", BOUNDS)


def geobox(year: int) -> GeoBox:
    return GeoBox.from_bbox(BOUNDS[year], "EPSG:4326", shape=(1100, 1100))


def eo3_path(item_path: Path) -> Path:
    return item_path.with_name(item_path.name.replace(".stac-item.json", ".odc-metadata.yaml"))


@every_year
def test_rio_cogeo_finds_nothing_to_say(year: int, item_path: FindItem, expected: Expected) -> None:
    item = pystac.Item.from_file(item_path(year))
    assert set(item.assets) - {"thumbnail"} >= set(BANDS[year])
    for band in BANDS[year]:
        path = item.assets[band].get_absolute_href()
        assert cog_validate(path, strict=True) == (True, [], [])
        with rasterio.open(path) as dataset:
            np.testing.assert_array_equal(dataset.read(1), expected(year, band))
            np.testing.assert_allclose(dataset.bounds, BOUNDS[year], atol=1e-12)


@every_year
def test_odc_stac_loads_every_band(year: int, item: ReadItem, expected: Expected) -> None:
    cube = odc.stac.load([pystac.Item.from_dict(item(year))])
    assert sorted(cube.data_vars) == sorted(BANDS[year])
    assert cube.odc.geobox.shape == (1100, 1100)
    np.testing.assert_allclose(cube.odc.geobox.affine, geobox(year).affine, atol=1e-12)
    for band in BANDS[year]:
        np.testing.assert_array_equal(cube[band][0], expected(year, band))


@every_year
def test_odc_stac_loads_a_window_up_to_the_edge(year: int, item: ReadItem, expected: Expected) -> None:
    west, south, east, north = BOUNDS[year]
    window = (west, south + 3, west + 1, north) if year != EAST else (east - 1, south + 3, east, north)
    columns = slice(0, 220) if year != EAST else slice(880, 1100)
    cube = odc.stac.load([pystac.Item.from_dict(item(year))], bbox=window)
    for band in BANDS[year]:
        np.testing.assert_array_equal(cube[band][0], expected(year, band)[:440, columns])


@pytest.mark.parametrize("year", [EAST, WEST])
def test_an_items_outline_stays_on_its_side_of_the_antimeridian(year: int, item: ReadItem) -> None:
    west, south, east, north = item(year)["bbox"]
    longitudes, latitudes = zip(*item(year)["geometry"]["coordinates"][0], strict=True)
    bounds = BOUNDS[year]
    assert bounds[0] <= west == min(longitudes) < max(longitudes) == east <= bounds[2]
    assert bounds[1] <= south == min(latitudes) < max(latitudes) == north <= bounds[3]
    assert (east if year == EAST else west) == (180 if year == EAST else -180)


@every_year
def test_eodatasets3_finds_nothing_to_say_but_of_bands_that_cubes_leave_out(year: int, item_path: FindItem) -> None:
    command = [Path(sysconfig.get_path("scripts"), "eo3-validate"), "-f", "plain", "--thorough"]
    documents = [PRODUCTS / f"{NAMES[year]}.odc-product.yaml", eo3_path(item_path(year))]
    ended = subprocess.run([*command, *documents], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    warnings = [line.strip() for line in ended.stdout.splitlines() if line.strip().startswith("W ")]
    if year == QUAD:
        (warning,) = warnings
        assert warning.startswith("W extra_measurements"), warning
        assert warning.endswith(": vh, vv"), warning
    else:
        assert (warnings, ended.stdout.count("✓")) == ([], 2)


@every_year
def test_datacube_indexes_the_eo3_document_and_loads(
    year: int, our_cube: Datacube, item: ReadItem, item_path: FindItem, expected: Expected
) -> None:
    path = eo3_path(item_path(year))
    resolve = Doc2Dataset(our_cube.index, eo3=True, skip_lineage=True)
    dataset, error = resolve(yaml.safe_load(path.read_text("utf-8")), path.as_uri())
    assert error is None
    assert str(dataset.id) == item(year)["id"]
    our_cube.index.datasets.add(dataset)
    region = item(year)["properties"]["odc:region_code"]
    found = our_cube.find_datasets(product=NAMES[year], region_code=region)
    loaded = our_cube.load(datasets=found, like=geobox(year))
    assert set(loaded.data_vars) == set(MEASUREMENTS[year])
    for band in loaded.data_vars:
        np.testing.assert_array_equal(loaded[band], [expected(year, band)])
    if year != FOREST:
        np.testing.assert_array_equal(make_mask(loaded.mask, category="land")[0], expected(year, "mask") == 255)
