"""Items, collections, EO3 documents and product definitions, field by field; schemas need ``ALOS_MOSAIC_SAMPLES``."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
import yaml
from pystac.validation import JsonSchemaSTACValidator, validate_dict

import alos_mosaic
from alos_mosaic.bands import BANDS, FOREST_CLASSES, MASK_CLASSES
from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.grid import Tile
from alos_mosaic.inventory import Listing
from alos_mosaic.processing.metadata import (
    TileProduct,
    collection_key,
    collection_of,
    describe,
    eo3_document,
    eo3_text,
    product_definition,
    provenance,
)
from alos_mosaic.processing.metadata.described import PRODUCT_NAMES, described
from alos_mosaic.processing.metadata.odc_product import definition_file_name
from alos_mosaic.processing.metadata.provenance import code_version
from alos_mosaic.processing.metadata.yaml_text import to_yaml
from alos_mosaic.processing.statistics import TileStatistics
from tests.processing.described_tiles import CELL_PIXELS, CELLS, GOLDEN, forest_map, mosaic
from tests.processing.written_documents import GOLDEN_FOLDER, PRODUCTS_FOLDER, eo3_file, golden_eo3, golden_item

HREF = "s3://bucket/alos_palsar_mosaic/2020/N10E010/N10E010_20.stac-item.json"
Properties = dict[str, Any]


@pytest.fixture
def tile(tmp_path: Path) -> TileProduct:
    return mosaic(2020, tmp_path)


@pytest.fixture
def properties(tile: TileProduct) -> Properties:
    return describe(tile, HREF)["properties"]


@pytest.mark.parametrize("name", GOLDEN)
def test_items_are_the_golden_ones(name: str, tmp_path: Path) -> None:
    assert golden_item(GOLDEN[name](tmp_path)) == json.loads((GOLDEN_FOLDER / f"{name}.json").read_text("utf-8"))


@pytest.mark.parametrize("name", GOLDEN)
def test_eo3_documents_are_the_golden_ones(name: str, tmp_path: Path) -> None:
    golden = (GOLDEN_FOLDER / f"{name}.odc-metadata.yaml").read_text("utf-8")
    assert golden_eo3(GOLDEN[name](tmp_path)) == golden


@pytest.fixture
def validate(samples: Path) -> Callable[[dict[str, Any]], None]:
    def check(document: dict[str, Any]) -> None:
        validator = JsonSchemaSTACValidator()
        for uri in document["stac_extensions"]:
            extension, version = uri.split("/")[3:5]
            schema = samples / "stac-schemas" / extension / version / "schema.json"
            validator.schema_cache[uri] = json.loads(schema.read_text())
        validated = validate_dict(document, validator=validator)
        assert set(document["stac_extensions"]) <= set(validated)

    return check


@pytest.mark.parametrize("name", GOLDEN)
def test_items_validate_with_all_their_extensions(
    name: str, tmp_path: Path, validate: Callable[[dict[str, Any]], None]
) -> None:
    product = GOLDEN[name](tmp_path)
    validate(describe(product, HREF, eo3_file(product)))


@pytest.mark.parametrize("name", PRODUCT_NAMES)
def test_collections_validate_with_all_their_extensions(name: str, validate: Callable[[dict[str, Any]], None]) -> None:
    validate(collection_of(name))


# The item, a twin that needs no schema


@pytest.mark.parametrize("name", GOLDEN)
def test_every_extension_is_used_and_every_prefix_declared(name: str, tmp_path: Path) -> None:
    item = describe(GOLDEN[name](tmp_path), HREF)
    fields = [*item["properties"], *(field for asset in item["assets"].values() for field in asset)]
    used = {field.partition(":")[0] for field in fields if ":" in field} - {"odc", "alos_mosaic"}
    declared = {uri.split("/")[3] for uri in item["stac_extensions"]}
    assert {"projection" if prefix == "proj" else prefix for prefix in used} | {"raster"} == declared


def test_the_item_has_the_year_and_the_place(tile: TileProduct) -> None:
    item = describe(tile, HREF)
    properties = item["properties"]
    assert (item["stac_version"], item["id"]) == ("1.1.0", "8b5a33ba-ccdd-54a0-b6ca-d68941461fc9")
    assert (properties["start_datetime"], properties["end_datetime"]) == (
        "2020-01-01T00:00:00Z",
        "2020-12-31T23:59:59Z",
    )
    assert (properties["odc:product"], properties["odc:region_code"]) == ("alos_palsar_mosaic", "N10E010")
    assert properties["proj:shape"] == [22500, 22500]
    assert properties["proj:transform"] == [1 / 4500, 0.0, 10.0, 0.0, -1 / 4500, 10.0]
    assert item["geometry"]["type"] == "MultiPolygon"
    assert not {"proj:epsg", "raster:bands"} & {*properties, *item["assets"]["hh"]}


def test_bands_say_how_to_read_them(tile: TileProduct) -> None:
    assets = describe(tile, HREF)["assets"]
    (hh,) = assets["hh"]["bands"]
    assert (hh["name"], hh["data_type"], hh["nodata"], hh["unit"]) == ("HH", "uint16", 0, "1")
    assert "10 * log10(DN ** 2) - 83.00" in hh["description"]
    assert hh["alos_mosaic:calibration_factor_db"] == -83.0
    assert hh["statistics"] == {"minimum": 311, "maximum": 40273}
    assert assets["hh"]["sar:polarizations"] == ["HH"]
    assert assets["date"]["bands"][0]["alos_mosaic:date_epoch"] == "2014-05-24"
    assert [assets[name]["bands"][0]["unit"] for name in ("linci", "date", "mask")] == ["deg", "d", "1"]
    classes = {each["value"]: each["name"] for each in assets["mask"]["classification:classes"]}
    assert classes == {
        **MASK_CLASSES,
        1: "scansar_land",
        2: "scansar_lay_over",
        3: "scansar_shadowing",
        4: "scansar_water",
    }
    for asset in assets.values():
        assert asset["file:checksum"].startswith("1220")
        assert len(asset["file:checksum"]) == 4 + 64
        assert asset["file:size"] > 0
    assert assets["thumbnail"]["roles"] == ["thumbnail"]


def test_cells_present_and_absent_make_up_the_tile(properties: Properties) -> None:
    present, absent = properties["alos_mosaic:cells"], properties["alos_mosaic:cells_absent"]
    assert properties["alos_mosaic:cells_present"] == len(present) == 9
    assert sorted(present + absent) == sorted(cell.name for cell in Tile.from_name("N10E010").cells)


def test_shares_are_percentages_of_what_they_say(properties: Properties) -> None:
    valid = len(CELLS) * CELL_PIXELS - 5_000_000
    assert properties["alos_mosaic:valid_percent"] == round(100 * valid / (25 * CELL_PIXELS), 4)
    assert properties["alos_mosaic:water_percent"] == round(100 * 3_000_000 / valid, 4)
    assert properties["alos_mosaic:layover_percent"] == round(100 * 60_000 / valid, 4)
    assert properties["alos_mosaic:shadow_percent"] == round(100 * 12_345 / valid, 4)


def test_observations_are_dates_of_the_missions_calendar(properties: Properties, tmp_path: Path) -> None:
    assert properties["alos_mosaic:first_observation"] == "2019-12-12"
    assert properties["alos_mosaic:median_observation"] == "2020-04-30"
    assert properties["alos_mosaic:last_observation"] == "2020-09-07"
    assert properties["alos_mosaic:outside_year_percent"] == pytest.approx(0.5642)
    jers = describe(mosaic(1996, tmp_path), HREF)["properties"]
    assert jers["alos_mosaic:first_observation"] == "1995-12-12"


def with_statistics(tile: TileProduct, **counted: Any) -> Properties:
    return describe(replace(tile, statistics=TileStatistics(**counted)), HREF)["properties"]


@pytest.mark.parametrize(
    ("days", "median"), [({5: 1, 6: 1}, 5), ({5: 1, 6: 2}, 6), ({3: 1, 5: 2, 6: 1}, 5), ({7: 3}, 7)]
)
def test_the_median_is_a_pixels_day(tile: TileProduct, days: dict[int, int], median: int) -> None:
    properties = with_statistics(tile, pixels_by_mask_value={255: 4}, pixels_by_date=days)
    assert properties["alos_mosaic:median_observation"] == f"2014-05-{24 + median}"
    assert properties["alos_mosaic:outside_year_percent"] == 100


@pytest.mark.parametrize(("hidden", "warned"), [(0, False), (4, False), (5, True)])
def test_values_under_nodata_are_a_warning_above_a_thousandth(tile: TileProduct, hidden: int, warned: bool) -> None:
    properties = with_statistics(tile, pixels_by_mask_value={0: 1000, 255: 1}, values_under_nodata=hidden)
    assert properties["alos_mosaic:values_under_nodata"] == hidden
    assert ("alos_mosaic:warnings" in properties) == warned


def test_bands_of_a_few_cells_hide_no_values_of_the_others(tile: TileProduct) -> None:
    quad = tuple(replace(tile.cogs[0], band=BANDS[code]) for code in ("VH", "VV"))
    counted = {"pixels_by_mask_value": {0: 1000, 255: 1}, "values_under_nodata": 5}
    (warning,) = with_statistics(replace(tile, cogs=(*tile.cogs, *quad)), **counted)["alos_mosaic:warnings"]
    assert warning.startswith("5 of 4000 values")


def test_a_mask_value_nobody_knows_is_a_warning(tile: TileProduct) -> None:
    (warning,) = with_statistics(tile, pixels_by_mask_value={0: 1, 7: 1, 255: 1})["alos_mosaic:warnings"]
    assert "7" in warning


def test_cells_left_out_are_told(tile: TileProduct) -> None:
    properties = describe(replace(tile, defective_cells=tile.absent_cells[:1]), HREF)["properties"]
    assert properties["alos_mosaic:cells_defective"] == ["N09E012"]
    assert "N09E012" in properties["alos_mosaic:warnings"][0]


def test_cells_that_jaxa_was_known_to_have_are_missed(tile: TileProduct) -> None:
    *others, defective, lacking = tile.absent_cells
    listing = Listing.of("2021-04", "a listing", [], [*tile.cells[1:], defective, lacking])
    found = replace(tile, listing=listing, defective_cells=(defective,))
    assert others
    (_, warning) = describe(found, HREF)["properties"]["alos_mosaic:warnings"]
    assert warning == f"JAXA's listing of 2021-04 has cells that this archive lacks: {lacking}"
    whole = replace(tile, listing=Listing.of("2021-04", "a listing", [], tile.cells))
    assert "alos_mosaic:warnings" not in describe(whole, HREF)["properties"]


def test_nothing_but_the_bare_tile_is_needed(tile: TileProduct) -> None:
    bare = TileProduct(tile.tile_year, tile.grid, tile.archive, tile.cells, tile.cogs, None)
    properties = describe(bare, HREF)["properties"]
    assert "alos_mosaic:run" not in properties
    assert set(properties["processing:software"]) == {"alos-mosaic", "GDAL", "rasterio", "numpy", "isal"}
    assert not [name for name in properties if name.endswith("percent")]


def test_two_runs_differ_in_created_updated_and_run_only(tile: TileProduct) -> None:
    other = replace(tile, run="another", updated=datetime(2030, 1, 1, tzinfo=UTC))
    one, two = (describe(each, HREF) for each in (tile, other))
    for item in (one, two):
        for name in ("created", "updated", "alos_mosaic:run"):
            del item["properties"][name]
    assert json.dumps(one) == json.dumps(two)


def test_where_it_comes_from_and_whose_it_is(tile: TileProduct) -> None:
    item = describe(tile, HREF)
    properties = item["properties"]
    assert properties["alos_mosaic:archive"]["modified"] == "2021-04-07T01:02:03Z"
    assert properties["alos_mosaic:archive"]["layout"] == tile.archive.layout.name
    assert (properties["processing:version"], properties["alos_mosaic:run"]) == ("1+0123456789ab", "a-run")
    assert properties["providers"][0]["roles"] == ["producer", "licensor"]
    assert "JAXA" in properties["alos_mosaic:attribution"]
    assert {"license", "describedby", "self"} <= {link["rel"] for link in item["links"]}
    assert [link["href"] for link in item["links"] if link["rel"] == "self"] == [HREF]


def test_the_code_version_tells_changed_code_from_the_release(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = Path(alos_mosaic.__file__).parent
    shutil.copytree(package, tmp_path / "copy", ignore=shutil.ignore_patterns("__pycache__"))
    released = code_version()
    assert re.fullmatch(rf"{re.escape(alos_mosaic.__version__)}\+[0-9a-f]{{12}}", released)
    monkeypatch.setattr(provenance, "_PACKAGE", tmp_path / "copy")
    code_version.cache_clear()
    assert code_version() == released, "the same code elsewhere"
    (tmp_path / "copy" / "bands.py").write_text("# changed\n")
    code_version.cache_clear()
    assert code_version() != released
    code_version.cache_clear()


def test_the_forest_map_carries_its_table(tmp_path: Path) -> None:
    item = describe(forest_map(2020), HREF)
    assert item["id"] != describe(mosaic(2020, tmp_path), HREF)["id"]
    assert [each["name"] for each in item["assets"]["c"]["classification:classes"]][1:3] == [
        "dense_forest",
        "sparse_forest",
    ]
    assert item["properties"]["alos_mosaic:dense_forest_percent"] == pytest.approx(54.9451)
    assert not [name for name in item["properties"] if name.startswith("sar:")]


@pytest.mark.parametrize(
    ("release", "classes", "warning"),
    [
        (2, {0: 1, 1: 1, 2: 1, 3: 1, 4: 1}, None),
        (1, {0: 1, 1: 1, 2: 1, 3: 1}, None),
        (
            1,
            {1: 1, 4: 7},
            "7 pixels have classes that the table lacks: 4; that of v2 has them: is this the wrong table?",
        ),
        (2, {1: 1, 9: 2, 255: 3}, "5 pixels have classes that the table lacks: 9, 255"),
    ],
)
def test_a_class_that_the_table_lacks_is_a_warning(release: int, classes: dict[int, int], warning: str | None) -> None:
    tile = replace(forest_map(2020), classes=FOREST_CLASSES[release])
    expected = [] if warning is None else [warning]
    assert with_statistics(tile, pixels_by_class=classes).get("alos_mosaic:warnings", []) == expected


@pytest.mark.parametrize(
    ("name", "release"), [("jers-1", "v1"), ("palsar", "v2"), ("palsar-2", "v1"), ("forest", "v2")]
)
def test_items_and_datasets_tell_the_release(name: str, release: str, tmp_path: Path) -> None:
    tile = GOLDEN[name](tmp_path)
    for found in (tile, replace(tile, archive=None, cell_archives=(tile.archive,))):
        assert describe(found, HREF)["properties"]["alos_mosaic:source_release"] == release
        assert eo3_document(found, "item.json")["properties"]["odc:dataset_version"] == release.removeprefix("v")


# Collections


def test_the_collection_link_leads_where_the_collection_lies(tile: TileProduct) -> None:
    item = describe(tile, HREF)
    (link,) = (link for link in item["links"] if link["rel"] == "collection")
    resolved = urljoin(HREF.replace("s3://", "https://"), link["href"])
    assert resolved == f"https://bucket/{collection_key(item['collection'])}"


def test_collections_span_the_grid_and_the_missions() -> None:
    alos, jers = collection_of("alos_palsar_mosaic"), collection_of("jers_sar_mosaic")
    assert alos["extent"]["spatial"]["bbox"] == [[-180, -60, 180, 85]]
    assert alos["extent"]["temporal"]["interval"] == [["2007-01-01T00:00:00Z", None]]
    assert jers["extent"]["temporal"]["interval"] == [["1993-01-01T00:00:00Z", "1998-12-31T23:59:59Z"]]
    assert list(jers["item_assets"]) == ["hh", "linci", "date", "mask"]
    assert "- 84.66" in jers["item_assets"]["hh"]["bands"][0]["description"]
    assert alos["license"] == "other"


# Open Data Cube


def test_the_eo3_document_is_the_items_twin(tile: TileProduct) -> None:
    document, item = yaml.safe_load(eo3_text(tile, "item.json")), describe(tile, HREF)
    assert document == eo3_document(tile, "item.json")
    assert (document["id"], document["crs"]) == (item["id"], "epsg:4326")
    assert document["geometry"] == item["geometry"]
    assert document["grids"]["default"]["shape"] == item["properties"]["proj:shape"]
    assert document["grids"]["default"]["transform"][:6] == item["properties"]["proj:transform"]
    paths = {name: f"./{measurement['path']}" for name, measurement in document["measurements"].items()}
    assert paths == {name: asset["href"] for name, asset in item["assets"].items() if name != "thumbnail"}
    assert document["accessories"] == {
        "metadata:stac": {"path": "item.json"},
        "thumbnail": {"path": "N10E010_20.webp"},
    }
    assert document["properties"]["odc:region_code"] == "N10E010"
    assert document["properties"]["dtr:end_datetime"] == "2020-12-31T23:59:59Z"


@pytest.mark.parametrize("name", PRODUCT_NAMES)
def test_product_definitions_are_those_of_the_band_table(name: str) -> None:
    path = PRODUCTS_FOLDER / definition_file_name(name)
    assert path.read_text("utf-8") == to_yaml(product_definition(name))
    definition = yaml.safe_load(path.read_text("utf-8"))
    assert definition == product_definition(name)
    assert {each["name"] for each in definition["measurements"]} == {band.measurement for band in described(name).bands}


def test_no_other_product_definition_lies_there() -> None:
    assert {path.name for path in PRODUCTS_FOLDER.iterdir()} == {definition_file_name(name) for name in PRODUCT_NAMES}


def test_a_product_nobody_knows_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="known are"):
        collection_of("sentinel")


@pytest.mark.parametrize(
    "document",
    [
        {"a": {"b": [{"c": 1, "d": [1, 2]}, {"e": None}], "f": {}}, "g": []},
        {"texts": ["yes", "1e5", "null", "a: b", "# no", "äöü", "'\"\\"], "numbers": [1e-05, 1e22, -0.5, 0]},
        {255: "land", "odd key: ": True, "long": ["x" * 60, "y" * 60]},
        {"nested": [[1, [2]], [{"a": 1}]]},
    ],
)
def test_yaml_reads_back(document: dict[Any, Any]) -> None:
    assert yaml.safe_load(to_yaml(document)) == document
