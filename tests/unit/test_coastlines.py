"""Coastlines: what lies where, and that the file is what its package gives."""

from __future__ import annotations

import re
from importlib import resources

from alos_mosaic import coastlines
from alos_mosaic.coastlines import outlines
from alos_mosaic.grid import Bounds
from alos_mosaic.maps import WORLD
from local.coastlines import derived

SQUARE = [[0, 0], [20, 0], [0, 20], [-20, 0], [0, -20]]
"""From 0, 0 to 20, 20 in steps."""


def topology(arcs: list[list[list[int]]], countries: list[list[int]], land: list[list[int]]) -> dict[str, object]:
    def polygons(rings: list[list[int]]) -> dict[str, object]:
        return {"type": "GeometryCollection", "geometries": [{"type": "Polygon", "arcs": [ring]} for ring in rings]}

    return {
        "transform": {"scale": [1, 1], "translate": [0, 0]},
        "arcs": arcs,
        "objects": {"countries": polygons(countries), "land": polygons(land)},
    }


def test_the_file_is_small_and_says_where_it_is_from() -> None:
    assert len(resources.files("alos_mosaic").joinpath(coastlines.FILE_NAME).read_bytes()) < 60_000
    assert coastlines.source().startswith("Natural Earth 1:50m, public domain")


def test_a_view_of_the_open_sea_has_no_land_and_one_of_africa_has() -> None:
    assert outlines(Bounds(-30, -35, -20, -30)).land == ""
    africa = outlines(Bounds(-20, -35, 52, 38))
    assert 0 < len(africa.land) < len(outlines(WORLD).land)
    assert africa.borders


def test_land_at_the_antimeridian_is_at_both_edges() -> None:
    for edge in (Bounds(-180, 66, -178, 69), Bounds(178, 66, 180, 69)):
        assert outlines(edge).land
    starts = [int(x) for x in re.findall(r"M(-?\d+)", outlines(WORLD).land)]
    assert -3600 < min(starts) < max(starts) < 3600


def test_two_countries_share_a_border_and_one_coast() -> None:
    west, border, east = [[0, 0], [0, 20], [10, 0]], [[10, 20], [0, -20]], [[10, 20], [10, 0], [0, -20], [-10, 0]]
    north_west = [[10, 0], [-10, 0]]
    text = derived(topology([west, border, east, north_west], [[0, 1, 3], [~1, 2]], [[0, 2, 3]]))
    assert '"borders":[[100,-200,0,200]]' in text
    assert text.count("[") == 4


def test_a_ring_over_the_antimeridian_goes_on_beyond_it() -> None:
    text = derived(topology([[[170, 0], [-340, 0], [0, 20], [340, 0], [0, -20]]], [[0]], [[0]]))
    assert '"land":[[1700,0,200,0,0,-200,-200,0,0,200]]' in text


def test_dots_and_antarctica_are_left_out() -> None:
    dot = [[0, 0], [0, 0], [0, 0], [0, 0]]
    south = [[0, -80], *SQUARE[1:3], [-20, 0], [0, -20]]
    assert '"land":[]' in derived(topology([dot, south], [[0], [1]], [[0], [1]]))
