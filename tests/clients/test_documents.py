"""The documents beside the COGs and the product definitions, by the tools that judge and index them."""

from __future__ import annotations

import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import stac_geoparquet.arrow
import yaml
from datacube import Datacube
from datacube.index.hl import Doc2Dataset
from datacube.utils.masking import make_mask
from odc.geo.geobox import GeoBox

PRODUCTS: Final = Path(__file__).parents[2] / "products"
YEARS: Final = {1996: "jers_sar_mosaic", 2009: "alos_palsar_mosaic", 2020: "alos_palsar_mosaic"}
GEOBOX: Final = GeoBox.from_bbox((10, 5, 15, 10), "EPSG:4326", shape=(1100, 1100))


def eo3_path(item_path: Path) -> Path:
    return item_path.with_name(item_path.name.replace(".stac-item.json", ".odc-metadata.yaml"))


@pytest.mark.parametrize(("year", "product"), YEARS.items())
def test_eodatasets3_finds_nothing_to_say(year: int, product: str, item_path: Callable[[int], Path]) -> None:
    command = [Path(sysconfig.get_path("scripts"), "eo3-validate"), "-f", "plain", "-W", "--thorough"]
    # The product first: without one the dataset passes unseen.
    documents = [PRODUCTS / f"{product}.odc-product.yaml", eo3_path(item_path(year))]
    ended = subprocess.run([*command, *documents], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout.count("✓")) == (0, 2), ended.stdout + ended.stderr


@pytest.mark.parametrize("year", YEARS)
def test_datacube_indexes_the_eo3_document_and_loads(
    year: int,
    our_cube: Datacube,
    item: Callable[[int], dict[str, Any]],
    item_path: Callable[[int], Path],
    expected: Callable[[int, str], np.ndarray],
) -> None:
    path = eo3_path(item_path(year))
    resolve = Doc2Dataset(our_cube.index, eo3=True, skip_lineage=True)
    dataset, error = resolve(yaml.safe_load(path.read_text("utf-8")), path.as_uri())
    assert error is None
    assert str(dataset.id) == item(year)["id"]
    our_cube.index.datasets.add(dataset)
    datasets = our_cube.find_datasets(product=YEARS[year], region_code="N10E010")
    loaded = our_cube.load(datasets=datasets, like=GEOBOX)
    for band in loaded.data_vars:
        np.testing.assert_array_equal(loaded[band], [expected(year, band)])
    np.testing.assert_array_equal(make_mask(loaded.mask, category="water")[0], expected(year, "mask") == 50)


def without_none(value: Any) -> Any:
    """Columns of a table are there for all rows."""
    if isinstance(value, dict):
        return {key: without_none(each) for key, each in value.items() if each is not None}
    return [without_none(each) for each in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize("years", [(1996, 2009, 2020), (2010,), (2016,), (2009, 2016, 2017, 2018), (2009, 2010, 2018)])
def test_stac_geoparquet_takes_items_there_and_back(
    years: tuple[int, ...], item: Callable[[int], dict[str, Any]]
) -> None:
    items = [item(year) for year in years]
    table = stac_geoparquet.arrow.parse_stac_items_to_arrow(items).read_all()
    back = [without_none(each) for each in stac_geoparquet.arrow.stac_table_to_items(table)]
    assert [each["id"] for each in back] == [each["id"] for each in items]
    for one, other in zip(items, back, strict=True):
        assert {**other["geometry"]} == one["geometry"]
        assert without_none(one["assets"]) == other["assets"]
        times = {"datetime", "start_datetime", "end_datetime", "created", "updated"}  # the same instants, spelled anew
        assert {key: value for key, value in without_none(one["properties"]).items() if key not in times} == {
            key: value for key, value in other["properties"].items() if key not in times
        }
