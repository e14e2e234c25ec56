"""What we publish, opened by the tools people use: the same grid, types, nodata and pixels as went in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import odc.stac
import pystac
import pytest
import rasterio
from datacube import Datacube
from datacube.cfg import ODCConfig
from datacube.index.hl import Doc2Dataset
from datacube.model import Dataset
from datacube.storage import BandInfo
from datacube.utils.masking import make_mask
from odc.apps.dc_tools._stac import stac_transform
from odc.geo.geobox import GeoBox
from rio_cogeo.cogeo import cog_validate
from rio_tiler.io import Reader, STACReader
from rio_tiler.models import ImageData

FindItem = Callable[[int], Path]
ReadItem = Callable[[int], dict[str, Any]]
Expected = Callable[[int, str], np.ndarray]
Converter = Callable[[dict[str, Any]], dict[str, Any]]

TILE: Final = "N10E010"
YEARS: Final = (1996, 2009, 2020)
BANDS: Final = {"hh": "uint16", "hv": "uint16", "linci": "uint8", "date": "uint16", "mask": "uint8"}
PIXELS: Final = 1100
"""A side of the tile, which spans 5 degrees."""
GEOBOX: Final = GeoBox.from_bbox((10, 5, 15, 10), "EPSG:4326", shape=(PIXELS, PIXELS))
WINDOW: Final = (11.5, 8.25, 13.25, 9.5)
"""West, south, east, north: over cells that exist and cells that do not, on the pixels' edges."""
ROWS, COLUMNS = slice(110, 385), slice(330, 715)
EMPTY: Final = (11, 5.5, 14, 7.5)
"""Where no block is stored."""


def bands_of(year: int) -> list[str]:
    return [band for band in BANDS if not (year == 1996 and band == "hv")]


EVERY_BAND: Final = [(year, band) for year in YEARS for band in bands_of(year)]


def cog_path(item_path: FindItem, year: int, band: str) -> str:
    return pystac.Item.from_file(item_path(year)).assets[band].get_absolute_href()


# The files themselves


@pytest.mark.parametrize(("year", "band"), EVERY_BAND)
def test_rio_cogeo_finds_nothing_to_say(item_path: FindItem, year: int, band: str) -> None:
    assert cog_validate(cog_path(item_path, year, band), strict=True) == (True, [], [])


@pytest.mark.parametrize(("year", "band"), EVERY_BAND)
def test_the_clients_meet_blocks_that_are_not_stored(item_path: FindItem, year: int, band: str) -> None:
    with rasterio.open(cog_path(item_path, year, band)) as dataset:
        stored = [
            dataset.get_tag_item(f"BLOCK_OFFSET_{column}_{row}", dm="TIFF", bidx=1) is not None
            for row in range(3)
            for column in range(3)
        ]
    assert stored[0]
    assert not any(stored[3:])


# odc-stac


def load(items: list[dict[str, Any]], **where: Any) -> Any:
    return odc.stac.load([pystac.Item.from_dict(item) for item in items], **where)


def assert_typed(cube: Any, bands: list[str]) -> None:
    assert list(cube.data_vars) == bands
    for band in bands:
        assert (cube[band].dtype, cube[band].odc.nodata) == (BANDS[band], 0)


def test_odc_stac_stacks_two_years_of_a_tile(item: ReadItem, expected: Expected) -> None:
    cube = load([item(2009), item(2020)])
    assert cube.odc.geobox.shape == (PIXELS, PIXELS)
    np.testing.assert_allclose(cube.odc.geobox.affine, GEOBOX.affine, atol=1e-12)
    assert_typed(cube, list(BANDS))
    assert list(cube.time.dt.year) == [2009, 2020]
    for band in BANDS:
        for layer, year in zip(cube[band], (2009, 2020), strict=True):
            np.testing.assert_array_equal(layer, expected(year, band))


def test_odc_stac_loads_a_window_by_bounding_box(item: ReadItem, expected: Expected) -> None:
    cube = load([item(2009), item(2020)], bbox=WINDOW)
    assert_typed(cube, list(BANDS))
    for band in BANDS:
        for layer, year in zip(cube[band], (2009, 2020), strict=True):
            np.testing.assert_array_equal(layer, expected(year, band)[ROWS, COLUMNS])


def test_odc_stac_loads_chunks_lazily(item: ReadItem, expected: Expected) -> None:
    cube = load([item(2020)], geobox=GEOBOX, bands=["hh"], chunks={"x": 512, "y": 512})
    np.testing.assert_array_equal(cube.hh[0].compute(scheduler="synchronous"), expected(2020, "hh"))


def test_odc_stac_loads_jers(item: ReadItem, expected: Expected) -> None:
    cube = load([item(1996)])
    assert_typed(cube, bands_of(1996))
    assert cube.odc.geobox.shape == (PIXELS, PIXELS)
    for band in bands_of(1996):
        np.testing.assert_array_equal(cube[band][0], expected(1996, band))


def test_odc_stac_reads_nothing_where_no_block_is_stored(item: ReadItem) -> None:
    cube = load([item(2020)], bbox=EMPTY)
    assert_typed(cube, list(BANDS))
    assert not any(cube[band].any() for band in BANDS)


# datacube


def product(name: str, bands: list[str]) -> dict[str, Any]:
    """Return a product definition in the shape of Digital Earth Africa's, resolution cut to 15 digits as theirs."""
    pixel = round(5 / PIXELS, 15)
    measurements: list[dict[str, Any]] = [
        {"name": band, "dtype": BANDS[band], "nodata": 0, "units": "1", "aliases": [band.upper()]} for band in bands
    ]
    values = {"0": "no_data", "50": "water", "100": "lay_over", "150": "shadowing", "255": "land"}
    flags = {"category": {"bits": list(range(8)), "values": values, "description": "What the pixel shows"}}
    next(each for each in measurements if each["name"] == "mask")["flags_definition"] = flags
    return {
        "name": name,
        "description": "Annual mosaic",
        "metadata_type": "eo3",
        "metadata": {"product": {"name": name}},
        "storage": {"crs": "EPSG:4326", "resolution": {"latitude": -pixel, "longitude": pixel}},
        "measurements": measurements,
    }


@pytest.fixture
def cube() -> Datacube:
    """A data cube in memory that knows the products and no dataset yet."""
    datacube = Datacube(config=ODCConfig(raw_dict={"default": {"index_driver": "memory"}}))
    datacube.index.products.add_document(product("alos_palsar_mosaic", bands_of(2020)))
    datacube.index.products.add_document(product("jers_sar_mosaic", bands_of(1996)))
    return datacube


def as_it_is(item: dict[str, Any]) -> dict[str, Any]:
    """Leave the conversion to datacube, which takes STAC items since 1.9."""
    return item


CONVERTERS: Final = (stac_transform, as_it_is)
"""The ways an item becomes a dataset: that of the tools Digital Earth Africa indexes with, and datacube's own."""


def index(cube: Datacube, item: dict[str, Any], uri: str, convert: Converter) -> Dataset:
    dataset, error = Doc2Dataset(cube.index, eo3=True, skip_lineage=True)(convert(item), uri)
    assert error is None
    return cube.index.datasets.add(dataset)


@pytest.mark.parametrize("convert", CONVERTERS)
@pytest.mark.parametrize("year", YEARS)
def test_datacube_indexes_the_item_and_loads_a_window(
    cube: Datacube, item: ReadItem, item_path: FindItem, expected: Expected, year: int, convert: Converter
) -> None:
    published = item(year)
    dataset = index(cube, item(year), item_path(year).as_uri(), convert)
    assert str(dataset.id) == published["id"]
    assert dataset.product.name == published["properties"]["odc:product"]
    assert dataset.metadata.platform == published["properties"]["platform"]
    assert (dataset.time.begin.year, dataset.time.end.year) == (year, year)

    west, south, east, north = WINDOW
    loaded = cube.load(
        datasets=cube.find_datasets(product=dataset.product.name, region_code=TILE),
        lon=(west, east),
        lat=(south, north),
        output_crs="EPSG:4326",
        resolution=5 / PIXELS,
    )
    assert_typed(loaded, bands_of(year))
    for band in bands_of(year):
        np.testing.assert_array_equal(loaded[band], [expected(year, band)[ROWS, COLUMNS]])


@pytest.mark.parametrize("convert", CONVERTERS)
def test_datacube_stacks_two_years_on_the_grid_of_the_product(
    cube: Datacube, item: ReadItem, item_path: FindItem, expected: Expected, convert: Converter
) -> None:
    datasets = [index(cube, item(year), item_path(year).as_uri(), convert) for year in (2009, 2020)]
    as_far_as_cells_exist = cube.load(datasets=datasets, measurements=["mask"]).odc.geobox
    assert as_far_as_cells_exist.shape == (PIXELS * 2 // 5, PIXELS)
    np.testing.assert_allclose(as_far_as_cells_exist.affine, GEOBOX.affine, atol=1e-9)
    loaded = cube.load(datasets=datasets, like=GEOBOX)
    assert list(loaded.time.dt.year) == [2009, 2020]
    for band in BANDS:
        np.testing.assert_array_equal(loaded[band], [expected(2009, band), expected(2020, band)])
    is_water = make_mask(loaded.mask, category="water")
    np.testing.assert_array_equal(is_water[0], expected(2009, "mask") == 50)


# rio-tiler


@pytest.mark.parametrize(("year", "band"), EVERY_BAND)
def test_rio_tiler_reads_parts_and_previews(item_path: FindItem, expected: Expected, year: int, band: str) -> None:
    path = cog_path(item_path, year, band)
    with Reader(path) as reader:
        assert_image(reader.part(WINDOW), expected(year, band)[ROWS, COLUMNS])
        preview = reader.preview(max_size=PIXELS // 2)
        empty = reader.part(EMPTY)
    with rasterio.open(path, overview_level=0) as overview:
        assert_image(preview, overview.read(1))
    assert preview.array.count() > 0
    assert empty.array.mask.all()


@pytest.mark.parametrize("year", YEARS)
def test_rio_tiler_reads_the_assets_of_an_item(item_path: FindItem, expected: Expected, year: int) -> None:
    with STACReader(str(item_path(year))) as reader:
        assert sorted(reader.assets) == sorted(bands_of(year))
        assert (reader.bounds, reader.width, reader.height) == ((10, 5, 15, 10), PIXELS, PIXELS)
        for band in bands_of(year):
            assert_image(reader.part(WINDOW, assets=[band]), expected(year, band)[ROWS, COLUMNS])
            assert reader.preview(assets=[band], max_size=PIXELS // 2).array.count() > 0
            assert reader.part(EMPTY, assets=[band]).array.mask.all()


def test_rio_tiler_computes_a_ratio(item_path: FindItem, expected: Expected) -> None:
    hh, hv = (expected(2020, band)[ROWS, COLUMNS].astype(float) for band in ("hh", "hv"))
    with STACReader(str(item_path(2020))) as reader:
        ratio = reader.part(WINDOW, assets=["hh", "hv"], expression="b1/b2").array[0]
    seen = hv > 0
    np.testing.assert_array_equal(~ratio.mask, seen)
    np.testing.assert_allclose(ratio.data[seen], hh[seen] / hv[seen], rtol=1e-6)


def assert_image(image: ImageData, pixels: np.ndarray) -> None:
    """The one band is these pixels, masked where they are 0."""
    np.testing.assert_array_equal(image.array.data, [pixels])
    np.testing.assert_array_equal(image.array.mask, [pixels == 0])


# In a bucket: which object does each client ask for?

BUCKET: Final = "s3://bucket/some/folder"


@pytest.fixture
def item_in_bucket(item: ReadItem) -> dict[str, Any]:
    """The item of 2020 as it would be published to S3."""
    document = item(2020)
    (self_link,) = (link for link in document["links"] if link["rel"] == "self")
    self_link["href"] = f"{BUCKET}/{TILE}_20.stac-item.json"
    return document


HH_IN_BUCKET: Final = f"{BUCKET}/{TILE}_20_sl_HH_F02DAR.tif"


def test_odc_stac_finds_assets_beside_an_item_in_a_bucket(item_in_bucket: dict[str, Any]) -> None:
    parsed = odc.stac.parse_item(pystac.Item.from_dict(item_in_bucket))
    assert parsed["hh"].uri == HH_IN_BUCKET


@pytest.mark.parametrize("convert", CONVERTERS)
def test_datacube_finds_assets_beside_an_item_in_a_bucket(
    cube: Datacube, item_in_bucket: dict[str, Any], convert: Converter
) -> None:
    dataset = index(cube, item_in_bucket, f"{BUCKET}/{TILE}_20.stac-item.json", convert)
    assert BandInfo(dataset, "hh").uri == HH_IN_BUCKET


def test_rio_tiler_finds_assets_beside_an_item_in_a_bucket(item_in_bucket: dict[str, Any]) -> None:
    with STACReader(None, item=item_in_bucket) as reader:
        assert reader._get_asset_info("hh")["url"] == HH_IN_BUCKET
