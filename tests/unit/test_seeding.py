"""Which tiles a run seeds: the selection, less what JAXA is not known to publish."""

from __future__ import annotations

from typing import Any

import pytest

from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.grid import REGIONS
from alos_mosaic.inventory import known_years, tiles_of_any_year, tiles_of_year
from alos_mosaic.messages import RunRequest, TileYear
from alos_mosaic.seeding import tiles_to_seed

AFRICAN_TILES = {
    1996: 181, 2007: 179, 2008: 184, 2009: 180, 2010: 180, 2015: 179, 2016: 177, 2017: 177, 2018: 178, 2020: 178,
}  # fmt: skip
"""The mesh and the islands; of the mesh's 225 alone 170 to 177 exist."""
MID_ATLANTIC = [-40, 30, -35, 35]


def seeded(years: list[int], **selection: Any) -> tuple[TileYear, ...]:
    given = {"years": years, **selection}
    return tiles_to_seed(RunRequest.from_input(given, default_region="global", current_year=2026))


@pytest.mark.parametrize(("year", "count"), AFRICAN_TILES.items())
def test_of_a_region_only_what_exists_is_seeded(year: int, count: int) -> None:
    tiles = [tile_year.tile for tile_year in seeded([year], region="africa")]
    assert len(tiles) == count
    mesh = [tile for tile in tiles if tile.west in range(-20, 51) and tile.north in range(-30, 41)]
    assert 170 <= len(mesh) <= 177
    assert tiles == [tile for tile in REGIONS["africa"] if tile in tiles_of_year(year)]


def test_the_whole_globe_is_what_the_inventory_knows() -> None:
    everything = seeded(list(known_years()))
    assert len(everything) == len(set(everything)) == 11_372
    assert [tile_year.year for tile_year in everything] == sorted(tile_year.year for tile_year in everything)


def test_a_year_that_nobody_has_listed_gets_every_tile_of_any_year() -> None:
    tiles = {tile_year.tile for tile_year in seeded([2026])}
    assert tiles == tiles_of_any_year()
    both = seeded([2020, 2026], region="africa")
    assert sum(tile_year.year == 2020 for tile_year in both) == AFRICAN_TILES[2020]
    assert sum(tile_year.year == 2026 for tile_year in both) > max(AFRICAN_TILES.values())


def test_a_box_is_filtered_too() -> None:
    assert [tile_year.tile.name for tile_year in seeded([2009], bbox=[0, -5, 15, 0])] == [
        "N00E000",
        "N00E005",
        "N00E010",
    ]
    assert [tile_year.tile.name for tile_year in seeded([2020], bbox=[0, -5, 15, 0])] == ["N00E005", "N00E010"]


def test_named_tiles_are_seeded_as_asked() -> None:
    names = [str(tile_year.tile) for tile_year in seeded([2020], tiles=["N35W040", "N10E010"])]
    assert names == ["N35W040", "N10E010"]


@pytest.mark.parametrize("years", [[2020], [1996, 2026]])
def test_a_selection_of_nothing_is_refused(years: list[int]) -> None:
    with pytest.raises(InvalidRequestError, match=rf"none of the selected tiles \(1\) in {', '.join(map(str, years))}"):
        seeded(years, bbox=MID_ATLANTIC)
