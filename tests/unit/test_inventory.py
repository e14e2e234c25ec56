"""What the packaged inventory says; how it is made is in test_listings.py."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alos_mosaic import inventory
from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.grid import REGIONS, Cell, Tile
from alos_mosaic.inventory import (
    ArchiveKind,
    Listing,
    cells_of_tile,
    known_years,
    listing_of,
    nearest_listing,
    tiles_of_any_year,
    tiles_of_year,
)

COUNTS = {
    1996: (1147, 24540), 2007: (1150, 26481), 2008: (1174, 26872), 2009: (1215, 27341), 2010: (1177, 27323),
    2015: (1091, 23402), 2016: (1093, 23116), 2017: (1099, 23289), 2018: (1102, 24555), 2020: (1124, 21887),
}  # fmt: skip
"""5x5 and 1x1 archives of mosaics on JAXA's server in April 2021."""
FOREST_TILES = {2007: 1150, 2008: 1174, 2009: 1215, 2010: 1177, 2015: 1091, 2016: 1093, 2017: 1099}
AFRICAN_MESH = {tile for tile in REGIONS["africa"] if -20 <= tile.west <= 50 and -30 <= tile.north <= 40}


@pytest.mark.parametrize(("year", "nearest"), [(2017, 2017), (2026, 2020), (2013, 2015), (1993, 1996), (2019, 2018)])
def test_a_year_that_is_not_known_is_like_the_nearest(year: int, nearest: int) -> None:
    assert nearest_listing(year) == listing_of(nearest)
    assert (listing_of(year) is None) == (year != nearest)


def test_the_package_knows_what_jaxa_published_in_april_2021() -> None:
    assert known_years() == tuple(COUNTS)
    for year, counts in COUNTS.items():
        listing = inventory.packaged()[year, ArchiveKind.MOSAIC]
        assert (listing.tile_count, listing.cell_count, listing.date) == (*counts, "2021-04")
        assert listing.origin.startswith("JAXA_")
        assert len(tiles_of_year(year)) == counts[0]
        assert sum(len(cells_of_tile(year, tile)) for tile in tiles_of_year(year)) == counts[1]


def test_forest_maps_are_known_apart() -> None:
    assert known_years(ArchiveKind.FOREST) == tuple(FOREST_TILES)
    assert {year: len(tiles_of_year(year, ArchiveKind.FOREST)) for year in FOREST_TILES} == FOREST_TILES
    assert tiles_of_any_year(ArchiveKind.FOREST) <= tiles_of_any_year()


def test_of_africas_mesh_three_quarters_exist() -> None:
    assert len(AFRICAN_MESH) == 225
    assert {170, 177} <= {len(tiles_of_year(year) & AFRICAN_MESH) for year in COUNTS} <= set(range(170, 178))


def test_a_year_that_nobody_has_listed_holds_nothing_known() -> None:
    assert tiles_of_year(2021) == frozenset()
    assert cells_of_tile(2021, Tile.from_name("N10E010")) == ()
    assert len(tiles_of_any_year()) == 1306


def test_cells_are_the_tiles_own_in_its_order() -> None:
    tile = Tile.from_name("N10E010")
    assert cells_of_tile(2020, tile) == tile.cells
    assert [cell.name for cell in cells_of_tile(2009, Tile.from_name("N25W165"))] == [
        "N25W162", "N25W161", "N24W161", "N23W161", "N22W161", "N21W161",
    ]  # fmt: skip


def test_the_packaged_file_is_small_and_spelt_by_the_command() -> None:
    text = inventory.packaged_path().read_text()
    assert len(text) < 50_000
    assert inventory.parse(inventory.spell(inventory.packaged())) == inventory.packaged()
    assert json.loads(inventory.spell(inventory.packaged())).keys() == json.loads(text).keys()


@settings(deadline=None)
@given(
    st.sets(st.sampled_from(REGIONS["global"]), max_size=50),
    st.sets(st.sampled_from(REGIONS["global"]), max_size=5),
    st.data(),
)
def test_a_listing_survives_its_json(tiles: set[Tile], others: set[Tile], data: st.DataObject) -> None:
    every_cell = [cell for tile in sorted(others) for cell in tile.cells]
    cells: set[Cell] = data.draw(st.sets(st.sampled_from(every_cell))) if every_cell else set()
    listing = Listing.from_dict(json.loads(json.dumps(Listing.of("2021-04", "here", tiles, cells).to_dict())))
    assert (listing.tile_count, listing.cell_count) == (len(tiles), len(cells))
    assert listing.tiles == tiles | {cell.tile for cell in cells}
    assert {cell for tile in listing.tiles for cell in listing.cells_of(tile)} == cells


BITS = Listing.of("2021-04", "here", (), ()).to_dict()


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", '{"schema_version": 2, "years": {}}', '{"schema_version": 1, "years": {"x": {"MOS": {}}}}',
        json.dumps({"schema_version": 1, "years": {"2020": {"XYZ": BITS}}}),
        json.dumps({"schema_version": 1, "years": {"2020": {"MOS": {**BITS, "tiles": "!"}}}}),
        json.dumps({"schema_version": 1, "years": {"2020": {"MOS": {**BITS, "tiles": "AAAA"}}}}),
        json.dumps({"schema_version": 1, "years": {"2020": {"MOS": {**BITS, "tiles": BITS["cells"]}}}}),
    ],
)  # fmt: skip
def test_what_is_no_inventory_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="inventory"):
        inventory.parse(text)
