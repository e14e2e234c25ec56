"""Outlines of cells: valid GeoJSON that covers the cells and nothing else, whatever their pattern."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alos_mosaic.errors import OutputError
from alos_mosaic.grid import Cell, Tile
from alos_mosaic.processing.metadata.footprint import bounding_box, footprint

TILES = [Tile.from_name(name) for name in ("N10E010", "N00W005", "N85W180", "S55E175")]

some_cells = st.sampled_from(TILES).flatmap(lambda tile: st.sets(st.sampled_from(tile.cells), min_size=1))


def polygons(geometry: dict[str, Any]) -> list[list[list[list[int]]]]:
    return [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]


def area(ring: list[list[int]]) -> float:
    """Counter-clockwise is positive."""
    return sum(ax * by - bx * ay for (ax, ay), (bx, by) in pairwise(ring)) / 2


def covers(rings: list[list[list[int]]], x: float, y: float) -> bool:
    """Even-odd rule: edges crossed on the way east."""
    crossed = 0
    for ring in rings:
        for (ax, ay), (bx, by) in pairwise(ring):
            crossed += ax == bx and ax > x and min(ay, by) < y < max(ay, by)
    return crossed % 2 == 1


@given(some_cells)
def test_an_outline_covers_its_cells_and_no_other(cells: set[Cell]) -> None:
    found = polygons(footprint(cells))
    tile = next(iter(cells)).tile
    for cell in tile.cells:
        hits = [covers(rings, cell.west + 0.5, cell.north - 0.5) for rings in found]
        assert sum(hits) == (cell in cells)


@given(some_cells)
def test_rings_are_closed_simple_turned_right_and_as_short_as_can_be(cells: set[Cell]) -> None:
    for rings in polygons(footprint(cells)):
        for number, ring in enumerate(rings):
            assert ring[0] == ring[-1]
            assert len({tuple(point) for point in ring}) == len(ring) - 1
            assert (area(ring) > 0) == (number == 0)
            edges = [(bx - ax, by - ay) for (ax, ay), (bx, by) in pairwise(ring)]
            for (ax, ay), (bx, by) in pairwise([*edges, edges[0]]):
                assert ax * bx + ay * by == 0, "two edges in a row go the same way"


@given(some_cells)
def test_the_area_is_the_number_of_cells(cells: set[Cell]) -> None:
    assert sum(area(ring) for rings in polygons(footprint(cells)) for ring in rings) == len(cells)


@given(some_cells)
def test_the_order_of_cells_does_not_matter(cells: set[Cell]) -> None:
    assert footprint(sorted(cells)) == footprint(sorted(cells, reverse=True))


@given(some_cells)
def test_the_box_is_the_outlines(cells: set[Cell]) -> None:
    points = [point for rings in polygons(footprint(cells)) for point in rings[0]]
    west, south = (min(point[axis] for point in points) for axis in (0, 1))
    east, north = (max(point[axis] for point in points) for axis in (0, 1))
    assert bounding_box(cells) == [west, south, east, north]


def test_a_whole_tile_is_one_square() -> None:
    assert footprint(TILES[0].cells) == {
        "type": "Polygon",
        "coordinates": [[[10, 5], [15, 5], [15, 10], [10, 10], [10, 5]]],
    }


def test_a_hole_that_touches_the_outline_at_a_corner_is_a_ring_of_its_own() -> None:
    around = [
        Cell.from_name(name) for name in ("N10E010", "N10E011", "N10E012", "N09E010", "N09E012", "N08E010", "N08E011")
    ]
    outline = footprint(around)
    assert outline["type"] == "Polygon"
    assert [area(ring) for ring in outline["coordinates"]] == [8, -1]


def test_no_cell_has_no_outline() -> None:
    with pytest.raises(OutputError):
        footprint([])
