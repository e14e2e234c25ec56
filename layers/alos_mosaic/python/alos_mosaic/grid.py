"""The mosaics' grid: 5-degree tiles and the 1-degree cells inside them, their names, bounds and pixels.

Both are named by their NORTH-WEST corner (checked on every name of JAXA's listings of 2021): ``N10E010`` spans latitude
10 to 5 and longitude 10 to 15. The row below the equator is ``N00``; ``S00`` and ``W000`` never occur, ``W180`` does.
Tile rows run from ``N85`` to ``S55``. Everything is EPSG:4326, degrees, pixel is area.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from alos_mosaic.errors import InvalidRequestError, shown

NORTHERNMOST_ROW: Final = 85
SOUTHERNMOST_ROW: Final = -55
TILE_DEGREES: Final = 5
CELLS_PER_TILE: Final = TILE_DEGREES**2
EPSG: Final = 4326

_NAME = re.compile(r"([NS])(\d{2})([EW])(\d{3})")


@dataclass(frozen=True, order=True)
class Bounds:
    """A box in degrees; ``west > east`` means that it crosses the antimeridian."""

    west: float
    south: float
    east: float
    north: float


@dataclass(frozen=True, order=True)
class _Square:
    """A square of the grid, known by the whole degrees of its north-west corner."""

    north: int
    west: int
    degrees: ClassVar[int]
    kind: ClassVar[str]

    def __post_init__(self) -> None:
        on_grid = self.north % self.degrees == 0 and self.west % self.degrees == 0
        lowest = SOUTHERNMOST_ROW - TILE_DEGREES + self.degrees
        if not on_grid or not lowest <= self.north <= NORTHERNMOST_ROW or not -180 <= self.west < 180:  # noqa: PLR2004
            raise InvalidRequestError(f"no {self.kind} has its north-west corner at {self.north}, {self.west}")

    @classmethod
    def from_name(cls, name: str) -> Self:
        """Return the square of that name; :class:`InvalidRequestError` if the name is not on the grid."""
        match = _NAME.fullmatch(name) if isinstance(name, str) else None
        if match is None:
            is_spelt_small = isinstance(name, str) and _NAME.fullmatch(name.upper())
            hint = f"did you mean {name.upper()}?" if is_spelt_small else "one looks like N10E010 or S05W060"
            raise InvalidRequestError(f"{shown(name)} is not a {cls.kind} name; {hint}")
        vertical, degrees_north, horizontal, degrees_east = match.groups()
        north = int(degrees_north) * (1 if vertical == "N" else -1)
        west = int(degrees_east) * (1 if horizontal == "E" else -1)
        try:
            square = cls(north, west)
        except InvalidRequestError as error:
            raise InvalidRequestError(
                f"{shown(name)} is off the grid: {cls.kind}s are named by their north-west corner, every {cls.degrees} "
                f"degrees, from W180 to E{180 - cls.degrees} and from N85 to "
                f"S{-(SOUTHERNMOST_ROW - TILE_DEGREES + cls.degrees)}"
            ) from error
        if square.name != name:
            raise InvalidRequestError(f"{shown(name)} is off the grid: that {cls.kind} is called {square.name}")
        return square

    @property
    def name(self) -> str:
        """The square's name, as JAXA spells it."""
        vertical = "S" if self.north < 0 else "N"
        horizontal = "W" if self.west < 0 else "E"
        return f"{vertical}{abs(self.north):02d}{horizontal}{abs(self.west):03d}"

    @property
    def bounds(self) -> Bounds:
        """West, south, east, north in degrees."""
        return Bounds(self.west, self.north - self.degrees, self.west + self.degrees, self.north)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, order=True)
class Cell(_Square):
    """A 1-degree square, the unit in which JAXA cuts its files.

    >>> Cell.from_name("S04E010").tile.name
    'N00E010'
    """

    degrees: ClassVar[int] = 1
    kind: ClassVar[str] = "cell"

    @property
    def tile(self) -> Tile:
        """The tile this cell lies in."""
        return Tile(-(-self.north // TILE_DEGREES) * TILE_DEGREES, self.west // TILE_DEGREES * TILE_DEGREES)


@dataclass(frozen=True, order=True)
class Tile(_Square):
    """A 5-degree square, the unit of work.

    >>> Tile.from_name("N10E010").bounds
    Bounds(west=10, south=5, east=15, north=10)
    """

    degrees: ClassVar[int] = TILE_DEGREES
    kind: ClassVar[str] = "tile"

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The tile's 25 cells, row by row from the north-west."""
        return tuple(
            Cell(self.north - row, self.west + column) for row in range(TILE_DEGREES) for column in range(TILE_DEGREES)
        )


@dataclass(frozen=True)
class Grid:
    """The pixels of the grid: a cell has ``cell_pixels`` a side, 4500 in all that JAXA publishes (0.8 arc-seconds).

    Tests use tiny cells; nothing but this setting knows the difference.
    """

    cell_pixels: int = 4500

    def __post_init__(self) -> None:
        if not 1 <= self.cell_pixels <= 4500:  # noqa: PLR2004
            raise InvalidRequestError(f"a cell has 1 to 4500 pixels a side, not {self.cell_pixels}")

    @property
    def tile_pixels(self) -> int:
        """Pixels a side of a tile: 22500 by default."""
        return self.cell_pixels * TILE_DEGREES

    def transform(self, square: Tile | Cell) -> tuple[float, float, float, float, float, float]:
        """Return the affine coefficients a, b, c, d, e, f that take column and row to degrees east and north."""
        pixel = 1 / self.cell_pixels
        return (pixel, 0.0, float(square.west), 0.0, -pixel, float(square.north))

    def offset(self, cell: Cell) -> tuple[int, int]:
        """Return the row and column of the cell's first pixel in its tile's raster."""
        tile = cell.tile
        return (tile.north - cell.north) * self.cell_pixels, (cell.west - tile.west) * self.cell_pixels


_AFRICAN_ISLANDS: Final = (
    "N00E055", "S05E055", "S10E055", "S15E055", "S20E055", "N20W025", "N15W025", "N20W030", "N15W030",
)  # fmt: skip
"""Seychelles, Mauritius, Reunion, Cape Verde: tiles of Africa that lie outside the mesh its data cube uses."""


def _mesh(rows: range, columns: range) -> tuple[Tile, ...]:
    return tuple(Tile(north, west) for north in rows for west in columns)


def _global() -> tuple[Tile, ...]:
    return _mesh(range(NORTHERNMOST_ROW, SOUTHERNMOST_ROW - 1, -TILE_DEGREES), range(-180, 180, TILE_DEGREES))


def _africa() -> tuple[Tile, ...]:
    mesh = _mesh(range(40, -31, -TILE_DEGREES), range(-20, 51, TILE_DEGREES))
    return mesh + tuple(Tile.from_name(name) for name in _AFRICAN_ISLANDS)


REGIONS: Final = {"africa": _africa(), "global": _global()}
"""Named regions: every tile name they span, whether or not JAXA publishes it."""


def tiles_of_region(name: str) -> tuple[Tile, ...]:
    """Return the tiles of a named region; :class:`InvalidRequestError` names the known ones.

    >>> len(tiles_of_region("africa")), len(tiles_of_region("global"))
    (234, 2088)
    """
    if name not in REGIONS:
        raise InvalidRequestError(f"no region is called {shown(name)}; known are {', '.join(sorted(REGIONS))}")
    return REGIONS[name]


def parse_bbox(numbers: Sequence[object]) -> Bounds:
    """Return ``[west, south, east, north]`` in degrees as checked bounds."""
    if not isinstance(numbers, list | tuple) or len(numbers) != 4:  # noqa: PLR2004
        raise InvalidRequestError(f"bbox is [west, south, east, north] in degrees, not {shown(numbers)}")
    west, south, east, north = (_degrees(number) for number in numbers)
    if not south < north:
        raise InvalidRequestError(f"bbox has its south ({south:g}) at or above its north ({north:g})")
    if south < -90 or north > 90:  # noqa: PLR2004
        raise InvalidRequestError(f"bbox has latitudes outside -90 to 90: {south:g}, {north:g}")
    if not (-180 <= west <= 180 and -180 <= east <= 180):  # noqa: PLR2004
        raise InvalidRequestError(f"bbox has longitudes outside -180 to 180: {west:g}, {east:g}")
    if west == east or (west, east) == (180, -180):
        raise InvalidRequestError(f"bbox has no width: west is {west:g}, east is {east:g}")
    return Bounds(west, south, east, north)


def _degrees(number: object) -> float:
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise InvalidRequestError(f"bbox holds four numbers, and {shown(number)} is none")
    try:
        return float(number)
    except OverflowError as error:
        raise InvalidRequestError("bbox holds a number that is no coordinate") from error


def tiles_over(box: Bounds) -> tuple[Tile, ...]:
    """Return the tiles that share more than an edge with the box, from north-west to south-east.

    >>> [tile.name for tile in tiles_over(Bounds(west=179, south=-17, east=-179, north=-16))]
    ['S15W180', 'S15E175']
    """
    return tuple(tile for tile in REGIONS["global"] if _overlaps(tile.bounds, box))


def _overlaps(square: Bounds, box: Bounds) -> bool:
    return (
        square.south < box.north
        and box.south < square.north
        and any(square.west < east and west < square.east for west, east in _spans(box))
    )


def _spans(box: Bounds) -> Iterator[tuple[float, float]]:
    if box.west < box.east:
        yield box.west, box.east
        return
    yield box.west, 180.0
    yield -180.0, box.east
