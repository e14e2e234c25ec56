"""An archive as large as JAXA's largest: 25 full cells, whose backscatter no compression makes smaller."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.windows import Window

from alos_mosaic.grid import Cell, Grid, Tile
from local.archives import CellPixels, first_layout, write_archive
from local.scenery import LAND

TILE: Final = Tile.from_name("S05W060")
YEAR: Final = 2017
"""Raw members in a tar.gz, so that the archive is as large as they are."""
BACKSCATTER_CODES: Final = ("HH", "HV")
_DAYS: Final = 900
_ANGLE: Final = 38


def write(mirror: Path, cells: int, grid: Grid) -> Path:
    """Write the archive where the server keeps it below ``mirror``, of the tile's first cells; return its path."""
    path = mirror / first_layout(YEAR).archive_path(TILE, YEAR)
    return write_archive(path, _made(cells, grid), YEAR)


def _made(cells: int, grid: Grid) -> Iterator[CellPixels]:
    shape = (grid.cell_pixels, grid.cell_pixels)
    flat = {"date": np.full(shape, _DAYS, np.uint16)}
    flat |= {"linci": np.full(shape, _ANGLE, np.uint8), "mask": np.full(shape, LAND, np.uint8)}
    for cell in TILE.cells[:cells]:
        yield CellPixels(cell, {**{code: _noise(cell, code, grid) for code in BACKSCATTER_CODES}, **flat})


def _noise(cell: Cell, code: str, grid: Grid) -> npt.NDArray[Any]:
    """Return a cell's pixels of one band, 1 to 65535, the same each time."""
    random = np.random.default_rng([cell.north + 90, cell.west + 180, BACKSCATTER_CODES.index(code)])
    return random.integers(1, 1 << 16, (grid.cell_pixels, grid.cell_pixels), np.uint16)


def check(code: str, cog: Path, cells: int, grid: Grid) -> int:
    """Compare a published COG with what the archive holds of its band; return how many pixels were compared."""
    compared = 0
    with rasterio.open(cog) as dataset:
        for cell in TILE.cells[:cells]:
            row, column = TILE.north - cell.north, cell.west - TILE.west
            side = grid.cell_pixels
            found = dataset.read(1, window=Window(column * side, row * side, side, side))
            if not np.array_equal(found, _noise(cell, code, grid)):
                raise SystemExit(f"{cog.name} has other pixels than the archive in cell {cell}")
            compared += found.size
    return compared
