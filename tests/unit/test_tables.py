"""The mission, band and layout tables, and the names made from them."""

from __future__ import annotations

import functools
import gzip
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alos_mosaic.bands import BANDS, FOREST_CLASSES, bands_of, possible_codes
from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.extra_layouts import layouts_from_json
from alos_mosaic.grid import Cell, Tile, tiles_of_region
from alos_mosaic.layouts import ARCHIVE_ENDINGS, LAYOUTS, SITE_SCHEMES, Layout, for_tiles, layouts_of
from alos_mosaic.missions import MISSIONS, mission_of
from alos_mosaic.naming import item_id, item_key, parse_member, parse_sidecar
from alos_mosaic.products import FOREST_PRODUCT, PRODUCTS, product_of

YEARS = [*range(1993, 1999), *range(2007, 2011), *range(2015, 2027)]


@pytest.mark.parametrize("year", YEARS)
def test_every_year_with_a_mosaic_has_its_mission(year: int) -> None:
    expected = "JERS-1" if year < 2000 else "PALSAR" if year < 2012 else "PALSAR-2"
    assert mission_of(year, 2026).name == expected


@pytest.mark.parametrize("year", [1992, 1999, 2006, 2011, 2014, 2027, 0, -1])
def test_a_year_without_a_mosaic_is_refused_with_the_valid(year: int) -> None:
    with pytest.raises(InvalidRequestError, match="1993-1998, 2007-2010, 2015-2026"):
        mission_of(year, 2026)


def test_jers_has_no_cross_polarization() -> None:
    assert [band.code for band in bands_of(mission_of(1996))] == ["HH", "linci", "date", "mask"]
    assert [band.code for band in bands_of(mission_of(2020))] == ["HH", "HV", "linci", "date", "mask"]


def test_every_mission_has_layouts_and_every_layout_a_mission() -> None:
    assert all(layouts_of(mission) for mission in MISSIONS)
    assert {row.product for row in LAYOUTS} == set(PRODUCTS)
    assert {layout.mission for layout in LAYOUTS} == {mission.name for mission in MISSIONS}
    assert len({layout.name for layout in LAYOUTS}) == len(LAYOUTS)


@pytest.mark.parametrize(
    ("year", "path"),
    [
        (1996, "pub/ALOS-2/JERS-1_MSC/25m_MSC/1996/N10E010_96_MOS.tar.gz"),
        (2009, "pub/ALOS/ext1/PALSAR_MSC/25m_MSC/2009/N10E010_09_MOS.tar.gz"),
        (2017, "pub/ALOS-2/ext1/PALSAR-2_MSC/25m_MSC/2017/N10E010_17_MOS_F02DAR.tar.gz"),
    ],
)
def test_the_first_layout_is_the_one_of_the_listings(year: int, path: str) -> None:
    first = next(row for row in layouts_of(mission_of(year)) if row.release == 1)
    assert first.archive_path(Tile.from_name("N10E010"), year) == path


@pytest.mark.parametrize(
    ("year", "product", "names"),
    [
        (1996, None, ["jers-1-v1", "jers-1-v1-ext1"]),
        (2009, None, ["palsar-v2", "palsar-v1"]),
        (2020, None, ["palsar-2-v2", "palsar-2-v1", "palsar-2-v1-ext2", "palsar-2-site-v2", "palsar-2-site-v1"]),
        (2035, None, ["palsar-2-v2", "palsar-2-v1", "palsar-2-v1-ext2", "palsar-2-site-v2", "palsar-2-site-v1"]),
        (2009, FOREST_PRODUCT, ["palsar-fnf-v1"]),
        (2016, FOREST_PRODUCT, ["palsar-2-fnf-v2", "palsar-2-fnf-v1"]),
        (2035, FOREST_PRODUCT, ["palsar-2-fnf-v2"]),
    ],
)
def test_the_newest_release_is_tried_first(year: int, product: str | None, names: list[str]) -> None:
    rows = layouts_of(mission_of(year, 2035), product)
    assert [row.name for row in rows if row.covers(year)] == names
    assert [row.release for row in rows] == sorted((row.release for row in rows), reverse=True) or "site" in names[-1]


def test_the_site_serves_cells_only_and_over_https_only() -> None:
    site = [row for row in LAYOUTS if row.schemes == SITE_SCHEMES]
    assert [row.cell_archive_path(Cell.from_name("S04W070"), 2020) for row in site] == [
        "ALOS/en/palsar_fnf/data/2020/dir_zip/2020/N00W070/S04W070_20_MOS_F02DAR.zip",
        "ALOS/en/palsar_fnf/data/2020/dir_gz/2020/N00W070/S04W070_20_MOS_F02DAR.tar.gz",
    ]
    assert SITE_SCHEMES == ("https",)
    assert all(row.serves_cells and not row.serves_tiles for row in site)
    assert all(row.serves_cells and row.serves_tiles for row in LAYOUTS if row not in site)


def test_the_servers_own_tree_may_be_mirrored_over_https() -> None:
    rows = for_tiles(layouts_of(mission_of(2020)), 2020, "https://mirror.example/folder")
    assert [row.name for row in rows] == ["palsar-2-v2", "palsar-2-v1", "palsar-2-v1-ext2"]


@functools.cache
def rows_in(folder: str, year: int) -> list[Layout]:
    return [row for row in LAYOUTS if row.covers(year) and row.folder(year) == folder]


def round_trip(path: str, year: int) -> Layout:
    """Return the one row that says where this archive lies, having told its tile or cell from the path alone."""
    folder, _, name = path.strip("/").rpartition("/")
    parent, _, last = folder.rpartition("/")
    if rows := rows_in(folder, year):
        tile = Tile.from_name(name[:7])
        (found,) = [row for row in rows if row.serves_tiles and row.archive_name(tile, year) == name]
        assert found.archive_path(tile, year) == path.strip("/")
        assert found.tile_of(name, year) == tile
        return found
    cell = Cell.from_name(name[:7])
    assert cell.tile.name == last
    (found,) = [row for row in rows_in(parent, year) if row.serves_cells and row.archive_name(cell, year) == name]
    assert found.cell_archive_path(cell, year) == path.strip("/")
    return found


def test_every_archive_in_the_real_listings_is_where_a_layout_says(samples: Path) -> None:
    files = sorted((samples / "listings").glob("*.gz"))
    assert len(files) == 10
    served: dict[str, int] = {}
    for file in files:
        year = int(file.name.split("_")[2])
        for path in gzip.decompress(file.read_bytes()).decode().split():
            if path.endswith(ARCHIVE_ENDINGS):
                row = round_trip(path, year)
                assert row.mission == mission_of(year).name
                served[row.name] = served.get(row.name, 0) + 1
    assert set(served) == {"jers-1-v1", "palsar-v1", "palsar-2-v1", "palsar-fnf-v1", "palsar-2-fnf-v1"}
    assert served["jers-1-v1"] == 1147 + 24540


@given(
    st.sampled_from(LAYOUTS), st.sampled_from(tiles_of_region("global")), st.integers(0, 24), st.integers(1993, 2060)
)
def test_every_archive_is_where_a_layout_says(layout: Layout, tile: Tile, index: int, year: int) -> None:
    """The twin of the test over the real listings, with made-up names."""
    year = min(max(year, layout.first_year or year), layout.last_year or year)
    cell = tile.cells[index]
    assert round_trip(layout.cell_archive_path(cell, year), year).folder(year) == layout.folder(year)
    if layout.serves_tiles:
        assert round_trip(f"/{layout.archive_path(tile, year)}", year) == layout


@pytest.mark.parametrize(
    "junk", ["off", "tmp", "list2016.txt", "N12E010_17_MOS_F02DAR.tar.gz", "N10E010_17_FNF.tar.gz"]
)
def test_junk_in_a_listing_is_no_archive(junk: str) -> None:
    assert all(row.tile_of(junk, 2017) is None for row in LAYOUTS if row.mission == "PALSAR-2")


def row(**changes: object) -> str:
    given = {
        "name": "new",
        "mission": "PALSAR-2",
        "folder_template": "a/{year}/{yy}",
        "archive_template": "{square}_{yy}_X{suffix}.zip",
    }
    kept = {key: value for key, value in {**given, **changes}.items() if value is not ...}
    return json.dumps([kept])


def test_a_row_of_the_configuration_is_tried_first() -> None:
    text = row(suffix="_F02DAR", release=2, first_year=2027, schemes=["https", "s3"], serves_cells=False)
    (extra,) = layouts_from_json(text)
    assert extra.archive_path(Tile.from_name("N10E010"), 2027) == "a/2027/27/N10E010_27_X_F02DAR.zip"
    assert (extra.product, extra.release, extra.schemes) == ("alos_palsar_mosaic", 2, ("https", "s3"))
    assert (extra.serves_tiles, extra.serves_cells, extra.covers(2026), extra.covers(2027)) == (
        True,
        False,
        False,
        True,
    )
    assert layouts_of(mission_of(2020), None, [extra]) == (extra, *layouts_of(mission_of(2020)))
    assert extra not in layouts_of(mission_of(2020), FOREST_PRODUCT, [extra])
    assert extra not in layouts_of(mission_of(2009), None, [extra])
    (forest,) = layouts_from_json(row(product=FOREST_PRODUCT))
    assert layouts_of(mission_of(2020), FOREST_PRODUCT, [forest])[0] is forest
    assert layouts_from_json(row(mission="JERS-1"))[0].product == "jers_sar_mosaic"
    assert layouts_from_json("[]") == layouts_from_json(None) == ()


@pytest.mark.parametrize("product", ["alos_palsar_mosaic", FOREST_PRODUCT])
def test_a_rows_release_follows_from_the_ending_unless_told(product: str) -> None:
    endings = {"{square}.zip": 2, "{square}.tar.gz": 1}
    for template, release in endings.items():
        assert layouts_from_json(row(product=product, archive_template=template))[0].release == release
        told = row(product=product, archive_template=template, release=3 - release)
        assert layouts_from_json(told)[0].release == 3 - release


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("{}", "array"),
        ("[1]", "extra layout 1: a row is a JSON object"),
        (row(name=...), "lacks name"),
        (row(folder="x"), "unknown keys folder"),
        (row(name="palsar-2-v2"), "called palsar-2-v2 already"),
        (row(name="a b"), "name looks like"),
        (row(name=1), "name looks like"),
        (row(mission="ALOS-4"), "mission is one of JERS-1, PALSAR, PALSAR-2"),
        (row(mission=["PALSAR"]), "mission is one of"),
        (row(mission="JERS-1", product=FOREST_PRODUCT), "JERS-1 has no alos_palsar_fnf"),
        (row(product="x"), "product is one of"),
        (row(folder_template="/a/{year}"), "folder_template is a relative path"),
        (row(folder_template="a/../{year}"), "folder_template is a relative path"),
        (row(folder_template=""), "folder_template is a relative path"),
        (row(folder_template="a/{tile}"), "folder_template is made of"),
        (row(folder_template="a/{year.real}"), "folder_template is made of"),
        (row(folder_template="a/{year!r}"), "folder_template is made of"),
        (row(folder_template="a/{year:>999999999}"), "folder_template is made of"),
        (row(folder_template="a/{"), "folder_template is no template"),
        (row(folder_template="a?b"), "folder_template is made of"),
        (row(archive_template="{square}.7z"), "archive_template is a file name"),
        (row(archive_template="x.zip"), "archive_template is a file name"),
        (row(archive_template="a/{square}.zip"), "archive_template is a file name"),
        (row(suffix="/x"), "suffix looks like"),
        (row(release=3), "release is one of 1, 2"),
        (row(release=True), "release is one of 1, 2"),
        (row(first_year="2020"), "first_year is a year"),
        (row(last_year=True), "last_year is a year"),
        (row(schemes="ftp"), "schemes is a list"),
        (row(schemes=["gopher"]), "schemes is a list"),
        (row(schemes=[]), "schemes is a list"),
        (row(serves_cells=1), "serves_cells is one of True, False"),
    ],
)
def test_a_row_that_makes_no_sense_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidRequestError, match=re.escape(reason)):
        layouts_from_json(text)


def test_products_follow_from_the_year_or_are_chosen() -> None:
    assert {product_of(year, None, 2026).name for year in YEARS} == {"alos_palsar_mosaic", "jers_sar_mosaic"}
    assert product_of(2009, "alos_palsar_mosaic") == product_of(2009)
    forest = product_of(2009, FOREST_PRODUCT)
    assert [band.code for band in bands_of(mission_of(2009), forest)] == ["C"]
    assert {"HH", "mask"} & possible_codes(forest) == {"C"} & possible_codes() == set()
    for year, name in ((1996, FOREST_PRODUCT), (1996, "alos_palsar_mosaic"), (2009, "jers_sar_mosaic"), (2020, "x")):
        with pytest.raises(InvalidRequestError, match=f"{name}"):
            product_of(year, name)


def test_the_forest_maps_codes_mean_what_their_release_says() -> None:
    assert FOREST_CLASSES[1][3] == FOREST_CLASSES[2][4] == "water"
    assert FOREST_CLASSES[1][0] == FOREST_CLASSES[2][0] == "no_data"
    assert {row.release for row in LAYOUTS if row.archive_template.endswith(".zip")} == {2}
    assert {row.release for row in LAYOUTS if row.archive_template.endswith(".tar.gz")} == {1}


@pytest.mark.parametrize("year", ["20", "2020"])
@pytest.mark.parametrize("suffix", ["", "_F02DAR", "_F__DAR", "_FP6QAR", "_U02DDL"])
@pytest.mark.parametrize("extension", ["", ".hdr", ".tif"])
@pytest.mark.parametrize("band", [*BANDS, "C"])
@pytest.mark.parametrize("prefix", ["", "sl_"])
def test_member_names_of_every_kind_are_read(prefix: str, band: str, extension: str, suffix: str, year: str) -> None:
    member = parse_member(f"S04W070_{year}_{prefix}{band}{suffix}{extension}")
    assert member is not None
    assert (member.cell.name, member.band_code, member.extension) == ("S04W070", band, extension)
    assert member.suffix == suffix.removeprefix("_")
    assert member.is_of_year(2020)
    assert not member.is_of_year(2019)


@pytest.mark.parametrize(
    "name",
    ["N10E010_20_F02DAR.xml", "off", "tmp", "N10E010_20_sl_HH_F02DAR.tif.aux.xml", "N10E010_20_HHH", "x_N10E010_20_HH"],
)
def test_other_names_are_no_members(name: str) -> None:
    assert parse_member(name) is None


@pytest.mark.parametrize("name", ["N23W161_20_F02DAR.xml", "N23W161_2020_FP6QAR.xml", "N23W161_20.xml"])
def test_sidecar_names_are_read(name: str) -> None:
    sidecar = parse_sidecar(name)
    assert sidecar is not None
    assert (sidecar.cell.name, sidecar.band_code, sidecar.extension) == ("N23W161", "", ".xml")
    assert sidecar.is_of_year(2020)
    assert parse_member(name) is None


@pytest.mark.parametrize("name", ["N23W161_20_F02DAR.tif", "N23W161.xml", "x.xml", "N23W161_20_F02DAR.tif.aux.xml"])
def test_other_names_are_no_sidecars(name: str) -> None:
    assert parse_sidecar(name) is None


def test_a_forest_map_has_an_id_and_keys_of_its_own() -> None:
    forest, tile = product_of(2020, FOREST_PRODUCT), Tile.from_name("N10E010")
    assert item_id(forest.algorithm, 2020, tile) != item_id(product_of(2020).algorithm, 2020, tile)
    assert item_key(forest, 2020, tile) == "alos_palsar_fnf/2020/N10E010/N10E010_20.stac-item.json"


def test_ids_and_keys_are_digital_earth_africas() -> None:
    tile = Tile.from_name("N10E010")
    assert str(item_id("alos", 2020, tile)) == "8b5a33ba-ccdd-54a0-b6ca-d68941461fc9"
    assert str(item_id("jers", 1996, Tile.from_name("N00E010"))) == "4c331a1d-75f2-52ac-a4cc-216fc9c61728"
    assert item_key(product_of(1996), 1996, tile) == "jers_sar_mosaic/1996/N10E010/N10E010_96.stac-item.json"
