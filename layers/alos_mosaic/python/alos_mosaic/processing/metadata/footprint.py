"""Footprints: the outline of the cells that exist, as GeoJSON (RFC 7946: exteriors counter-clockwise, holes clockwise).

Cells that share an edge are one polygon, cells that touch at a corner are two; no ring visits a point twice, so the
result is valid for every client. No cell crosses the antimeridian: the grid is cut there.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from alos_mosaic.errors import OutputError
from alos_mosaic.grid import Cell

Point = tuple[int, int]
"""Longitude and latitude in whole degrees."""
Ring = list[Point]


def footprint(cells: Collection[Cell]) -> dict[str, Any]:
    """Return a Polygon or MultiPolygon over the cells, degrees east and north.

    >>> footprint([Cell.from_name("N10E010"), Cell.from_name("N10E011")])["coordinates"]
    [[[10, 9], [12, 9], [12, 10], [10, 10], [10, 9]]]
    """
    if not cells:
        raise OutputError("no footprint without a cell")
    polygons = [_polygon(component) for component in _components(set(cells))]
    if len(polygons) == 1:
        return {"type": "Polygon", "coordinates": polygons[0]}
    return {"type": "MultiPolygon", "coordinates": polygons}


def bounding_box(cells: Collection[Cell]) -> list[float]:
    """Return west, south, east, north of the cells in degrees."""
    boxes = [cell.bounds for cell in cells]
    return [
        min(box.west for box in boxes),
        min(box.south for box in boxes),
        max(box.east for box in boxes),
        max(box.north for box in boxes),
    ]


def _components(cells: set[Cell]) -> list[set[Cell]]:
    """Return the groups of cells that hang together by edges, from north-west to south-east."""
    by_corner = {(cell.west, cell.north): cell for cell in cells}
    left = set(by_corner)
    groups = []
    for start in sorted(by_corner, key=lambda corner: (-corner[1], corner[0])):
        if start not in left:
            continue
        left.discard(start)
        group, border = {by_corner[start]}, [start]
        while border:
            west, north = border.pop()
            for corner in ((west + 1, north), (west - 1, north), (west, north + 1), (west, north - 1)):
                if corner in left:
                    left.discard(corner)
                    group.add(by_corner[corner])
                    border.append(corner)
        groups.append(group)
    return groups


def _polygon(component: set[Cell]) -> list[list[list[int]]]:
    """Return the rings of one component, the exterior first."""
    rings = [simple for ring in _traced(_edges(component)) for simple in _split(ring)]
    rings.sort(key=_doubled_area, reverse=True)  # holes have a negative area, and only they
    return [[[x, y] for x, y in _closed(_straightened(ring))] for ring in rings]


def _edges(component: set[Cell]) -> dict[Point, list[Point]]:
    """Return the edges between a cell and no cell, by their start, with the cell on their left."""
    edges: set[tuple[Point, Point]] = set()
    for cell in component:
        west, north, east, south = cell.west, cell.north, cell.west + 1, cell.north - 1
        corners = ((west, south), (east, south), (east, north), (west, north))
        for start, end in zip(corners, (*corners[1:], corners[0]), strict=True):
            if (end, start) in edges:
                edges.remove((end, start))
            else:
                edges.add((start, end))
    ends: dict[Point, list[Point]] = {}
    for start, end in sorted(edges):
        ends.setdefault(start, []).append(end)
    return ends


def _traced(ends: dict[Point, list[Point]]) -> list[Ring]:
    """Return closed walks along the edges; where two leave a point, the walk keeps to its own cell (turns left)."""
    rings = []
    while ends:
        ring = [min(ends)]
        while True:
            here = ring[-1]
            choices = ends[here]
            end = choices[0] if len(choices) == 1 else next(c for c in choices if _is_left(ring[-2], here, c))
            choices.remove(end)
            if not choices:
                del ends[here]
            if end == ring[0] and (end not in ends or _is_left(here, end, ring[1])):
                break
            ring.append(end)
        rings.append(ring)
    return rings


def _is_left(before: Point, here: Point, after: Point) -> bool:
    (ax, ay), (bx, by), (cx, cy) = before, here, after
    return (bx - ax) * (cy - by) - (by - ay) * (cx - bx) > 0


def _split(ring: Ring) -> list[Ring]:
    """Return the ring as rings that visit no point twice: where an outline touches itself, a hole begins."""
    simple, path = [], Ring()
    for point in ring:
        if point in path:
            start = path.index(point)
            simple.append(path[start:])
            del path[start:]
        path.append(point)
    return [*simple, path]


def _straightened(ring: Ring) -> Ring:
    """Return the ring without the points between two edges of one direction."""
    around = zip((ring[-1], *ring[:-1]), ring, (*ring[1:], ring[0]), strict=True)
    corners = [here for (ax, ay), here, (cx, cy) in around if ax != cx and ay != cy]
    first = corners.index(min(corners, key=lambda point: (point[1], point[0])))
    return corners[first:] + corners[:first]


def _closed(ring: Ring) -> Ring:
    return [*ring, ring[0]]


def _doubled_area(ring: Ring) -> int:
    return sum(ax * by - bx * ay for (ax, ay), (bx, by) in zip(ring, _closed(ring)[1:], strict=True))
