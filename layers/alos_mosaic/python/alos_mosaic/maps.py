"""Maps of tiles: SVG, equirectangular, with Natural Earth's coastlines, each tile drawn by its state.

Units are tenths of a degree (:data:`alos_mosaic.coastlines.UNITS_PER_DEGREE`). States differ in shape as well as in
colour: full squares, squares with a cross, empty ones with a slash.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from alos_mosaic.coastlines import UNITS_PER_DEGREE, outlines
from alos_mosaic.grid import NORTHERNMOST_ROW, SOUTHERNMOST_ROW, TILE_DEGREES, Bounds, Tile
from alos_mosaic.pages import Markup, tag
from alos_mosaic.results import TileResult

WORLD: Final = Bounds(-180, SOUTHERNMOST_ROW - TILE_DEGREES, 180, NORTHERNMOST_ROW)
_WIDEST_REGION_DEGREES: Final = 150
_MARGIN_DEGREES: Final = 4
_LEAST_WIDTH_DEGREES: Final = 66
_ASPECT: Final = 1.6
"""Width over height of a region's map, at least."""
_WIDEST_ASPECT: Final = 2.4

_SIDE: Final = TILE_DEGREES * UNITS_PER_DEGREE
_SQUARE: Final = f"h{_SIDE}v{_SIDE}h-{_SIDE}z"
_SHAPES: Final = {
    "published": (0, _SQUARE),
    "skipped": (0, f"{_SQUARE}m12 25h26"),
    "absent": (6, "h38v38h-38zm0 38l38-38"),
    "failed": (0, f"{_SQUARE}m13 13l24 24m0-24l-24 24"),
    "planned": (0, f"{_SQUARE}m18 25h14m-7-7v14"),
}
"""By state: how far inside the tile the path begins, and how it goes on."""


Link = Callable[[TileResult], Markup]
"""What names a tile, and leads to it on its map; see :func:`link`."""


@dataclass(frozen=True)
class Mark:
    """A tile on a map."""

    tile: Tile
    state: str
    """One of published, skipped, absent, failed and planned."""
    number: int
    """Its entry in the page's data, which tells more of it."""


def view_of(tiles: Iterable[Tile]) -> Bounds:
    """Return what a map of these tiles shows: the surroundings of a region, or all of the world.

    >>> view_of([Tile.from_name("N10E010")])
    Bounds(west=-20.5, south=-13.125, east=45.5, north=28.125)
    """
    bounds = [tile.bounds for tile in tiles]
    if not bounds:
        return WORLD
    west, east = min(each.west for each in bounds), max(each.east for each in bounds)
    south, north = min(each.south for each in bounds), max(each.north for each in bounds)
    width, height = east - west + 2 * _MARGIN_DEGREES, north - south + 2 * _MARGIN_DEGREES
    width = max(width, _LEAST_WIDTH_DEGREES, height * _ASPECT)
    if east - west > _WIDEST_REGION_DEGREES or width >= WORLD.east - WORLD.west:
        return WORLD
    height = min(
        max(height, width / (_WIDEST_ASPECT if height > width / _ASPECT else _ASPECT)), WORLD.north - WORLD.south
    )
    left = _placed((west + east - width) / 2, width, WORLD.west, WORLD.east)
    bottom = _placed((south + north - height) / 2, height, WORLD.south, WORLD.north)
    return Bounds(left, bottom, left + width, bottom + height)


def _placed(low: float, length: float, least: float, most: float) -> float:
    """Return where a stretch begins that is moved so that it lies between two ends."""
    return max(least, min(low, most - length))


def defined_land(view: Bounds) -> Markup:
    """Return the lines that all maps of a page share; it stands ahead of them and shows nothing."""
    lines = outlines(view)
    defined = tag("defs", tag("path", id="land", d=lines.land), tag("path", id="borders", d=lines.borders))
    return tag("svg", defined, class_="defined", aria_hidden="true", width=0, height=0)


def tile_map(marks: Iterable[Mark], view: Bounds, label: str) -> Markup:
    """Return a map of tiles: one stop for the tabulator key, arrow keys go from tile to tile."""
    unit = UNITS_PER_DEGREE
    box = (view.west * unit, -view.north * unit, (view.east - view.west) * unit, (view.north - view.south) * unit)
    return tag(
        "svg",
        tag("use", href="#land", class_="land", aria_hidden="true"),
        [_drawn(mark) for mark in marks],
        tag("use", href="#borders", class_="borders", aria_hidden="true"),
        tag("use", href="#land", class_="coast", aria_hidden="true"),
        viewBox=" ".join(f"{number:g}" for number in box),
        class_="map",
        role="listbox",
        aria_label=label,
        tabindex=0,
    )


def link(number: int, name: str) -> Markup:
    """Return a tile's name, which leads to its :class:`Mark`."""
    return tag("a", name, href=f"#t{number}")


def section(groups: Mapping[str, Sequence[Mark]], states: Sequence[str], what: str) -> Markup:
    """Return a section with a map for each group of tiles, all of the same view, and a panel that tells of one tile.

    The captions count states in this order; ``what`` is what the panel tells of a tile.
    """
    view = view_of(mark.tile for marks in groups.values() for mark in marks)
    figures = [_figure(name, marks, states, view) for name, marks in groups.items()]
    hint = f"Point at a tile, tap it, or move with the arrow keys once a map has the focus, to read {what}."
    panel = tag(
        "div",
        tag("p", hint, class_="muted"),
        id="tile",
        class_="tile blank",
        role="region",
        aria_label="The tile pointed at",
        aria_live="polite",
        tabindex=0,
    )
    drawn = tag("div", figures, class_="maps one" if len(figures) == 1 else "maps")
    return tag(
        "section",
        tag("div", tag("h2", "Tiles"), class_="heading", id="maps"),
        defined_land(view),
        tag("div", drawn, panel, class_="tiles wide" if view == WORLD else "tiles"),
    )


def _figure(name: str, marks: Sequence[Mark], states: Sequence[str], view: Bounds) -> Markup:
    counts = Counter(mark.state for mark in marks)
    told = [tag("span", swatch(state), f"{counts[state]:,} {state}", class_="key") for state in states if counts[state]]
    caption = tag("figcaption", tag("b", name), told)
    return tag("figure", caption, tag("div", tile_map(marks, view, f"Tiles of {name}"), class_="pane"))


def swatch(state: str) -> Markup:
    """Return how a state is drawn, for a legend."""
    inset, shape = _SHAPES[state]
    drawn = tag("path", class_=state, d=f"M{inset} {inset}{shape}")
    return tag("svg", drawn, viewBox=f"0 0 {_SIDE} {_SIDE}", class_="swatch", aria_hidden="true")


def _drawn(mark: Mark) -> Markup:
    inset, shape = _SHAPES[mark.state]
    x, y = (degrees * UNITS_PER_DEGREE + inset for degrees in (mark.tile.west, -mark.tile.north))
    # Thousands of times, so written out: all of it is numbers, a tile's checked name and a word of the table above.
    return Markup(
        f'<path id="t{mark.number}" role="option" class="{mark.state}" '
        f'aria-label="{mark.tile.name} {mark.state}" d="M{x} {y}{shape}"/>'
    )
