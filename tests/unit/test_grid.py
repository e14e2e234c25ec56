from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.grid import REGIONS, Bounds, Cell, Grid, Tile, parse_bbox, tiles_of_region, tiles_over

norths = st.integers(-11, 17).map(lambda step: step * 5)
wests = st.integers(-36, 35).map(lambda step: step * 5)
tiles = st.builds(Tile, norths, wests)


@given(tiles)
def test_a_tile_survives_its_name(tile: Tile) -> None:
    assert Tile.from_name(tile.name) == tile


@given(tiles)
def test_a_tile_has_25_cells_that_fill_it_and_know_it(tile: Tile) -> None:
    cells = tile.cells
    assert len(set(cells)) == 25
    assert {cell.tile for cell in cells} == {tile}
    assert {Cell.from_name(cell.name) for cell in cells} == set(cells)
    assert min(cell.bounds.west for cell in cells) == tile.bounds.west
    assert max(cell.bounds.north for cell in cells) == tile.bounds.north
    assert min(cell.bounds.south for cell in cells) == tile.bounds.south
    assert max(cell.bounds.east for cell in cells) == tile.bounds.east


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        ("N10E010", Bounds(10, 5, 15, 10)),
        ("N00W005", Bounds(-5, -5, 0, 0)),
        ("N85W180", Bounds(-180, 80, -175, 85)),
        ("S55E175", Bounds(175, -60, 180, -55)),
        ("N00E000", Bounds(0, -5, 5, 0)),
    ],
)
def test_a_tile_is_named_by_its_north_west_corner(name: str, bounds: Bounds) -> None:
    assert Tile.from_name(name).bounds == bounds


@pytest.mark.parametrize(
    ("cell", "tile"), [("N23W161", "N25W165"), ("S04E010", "N00E010"), ("N00E010", "N00E010"), ("S59E179", "S55E175")]
)
def test_the_tile_of_a_cell(cell: str, tile: str) -> None:
    assert Cell.from_name(cell).tile.name == tile


@pytest.mark.parametrize(
    "name",
    [
        "N12E010",
        "S00E010",
        "N10W000",
        "E180",
        "N10E180",
        "N90E010",
        "S60E010",
        "n10e010",
        "N10E10",
        "",
        "N10E010 ",
        None,
        5,
    ],
)
def test_a_name_off_the_grid_is_refused_by_name(name: object) -> None:
    with pytest.raises(InvalidRequestError, match=str(name) if name else "not a tile"):
        Tile.from_name(name)  # type: ignore[arg-type]


def test_regions_hold_each_tile_once() -> None:
    for region in REGIONS.values():
        assert len(set(region)) == len(region)
    names = {tile.name for tile in tiles_of_region("africa")}
    assert {"N40W020", "S30E050", "N00E055", "N15W030"} <= names
    assert len(names) == 225 + 9
    world = {tile.name for tile in tiles_of_region("global")}
    assert names <= world
    assert {"N85W180", "S55E175", "N00W180"} <= world


def test_an_unknown_region_is_refused_with_the_known() -> None:
    with pytest.raises(InvalidRequestError, match="atlantis.*africa, global"):
        tiles_of_region("atlantis")


@given(tiles)
def test_a_box_inside_a_tile_finds_just_that_tile(tile: Tile) -> None:
    box = tile.bounds
    assert tiles_over(box) == (tile,)
    assert tiles_over(Bounds(box.west + 1, box.south + 1, box.east - 1, box.north - 1)) == (tile,)


def test_a_box_over_the_antimeridian_finds_both_sides() -> None:
    names = [tile.name for tile in tiles_over(Bounds(174, -16, -179, -14))]
    assert names == ["S10W180", "S10E170", "S10E175", "S15W180", "S15E170", "S15E175"]


def test_a_box_over_everything_finds_everything() -> None:
    assert set(tiles_over(Bounds(-180, -90, 180, 90))) == set(REGIONS["global"])


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        ([0, 5, 5, 5], "south"),
        ([0, 6, 5, 5], "south"),
        ([0, 0, 5], "west, south, east, north"),
        ([], "west, south, east, north"),
        ("0,0,5,5", "west, south, east, north"),
        ([0, 0, "5", 5], "'5'"),
        ([0, 0, True, 5], "True"),
        ([0, -91, 5, 5], "latitudes"),
        ([0, 0, 181, 5], "longitudes"),
        ([5, 0, 5, 5], "width"),
        ([180, 0, -180, 5], "width"),
        ([10**400, 0, 5, 5], "no coordinate"),
        ([float("nan"), 0, 5, 5], "longitudes"),
        ([0, float("nan"), 5, 5], "south"),
    ],
)
def test_a_senseless_box_is_refused_with_the_reason(numbers: object, reason: str) -> None:
    with pytest.raises(InvalidRequestError, match=reason):
        parse_bbox(numbers)  # type: ignore[arg-type]


def test_the_grid_places_cells_in_their_tile() -> None:
    grid = Grid()
    assert grid.tile_pixels == 22500
    assert grid.offset(Cell.from_name("N23W161")) == (2 * 4500, 4 * 4500)
    assert grid.transform(Tile.from_name("N25W165")) == (1 / 4500, 0.0, -165.0, 0.0, -1 / 4500, 25.0)


@pytest.mark.parametrize("pixels", [0, -1, 4501])
def test_a_cell_has_no_impossible_size(pixels: int) -> None:
    with pytest.raises(InvalidRequestError):
        Grid(pixels)
