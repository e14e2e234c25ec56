"""The pyramid of one band: blocks of the base and of every overview, compressed as soon as all below them is there.

Cells come in any order and from several threads. A block is finished once every cell that touches it has come; then it
is compressed, halved into the block above it, and forgotten. So what stays in memory is the seams between cells.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from alos_mosaic.bands import NODATA, Band, Resampling
from alos_mosaic.grid import Grid
from alos_mosaic.processing.blocks import BLOCK_PIXELS, DEFLATE, Codec, Pixels, blocks_across, encode
from alos_mosaic.processing.overviews import halved
from alos_mosaic.processing.spill import Spill, Spilled
from alos_mosaic.processing.statistics import BandCounts

_HALF: Final = BLOCK_PIXELS // 2


@dataclass
class Level:
    """A raster of the pyramid: the band itself or an overview, as compressed blocks."""

    side_pixels: int
    """Rows and columns."""
    stored: dict[tuple[int, int], Spilled] = field(default_factory=dict)
    """Blocks by row and column; those without a valid pixel are not there."""

    @property
    def side_blocks(self) -> int:
        """Blocks along a side."""
        return blocks_across(self.side_pixels)

    @property
    def places(self) -> list[Spilled | None]:
        """Where the blocks are, row by row from the north-west."""
        across = range(self.side_blocks)
        return [self.stored.get((row, column)) for row in across for column in across]


@dataclass
class _Pending:
    """A block that waits for more."""

    pixels: Pixels
    awaited: int


class Pyramid:
    """One band of a tile, from pixels of cells to compressed blocks in a spill file."""

    def __init__(self, band: Band, grid: Grid, resampling: Resampling, spill: Spill, codec: Codec = DEFLATE) -> None:
        self.codec = codec
        self.band, self.counts = band, BandCounts(band.code, band.dtype)
        self.spill = spill
        self._grid, self._resampling = grid, resampling
        self.levels = [Level(grid.tile_pixels)]
        while self.levels[-1].side_pixels > BLOCK_PIXELS:
            self.levels.append(Level((self.levels[-1].side_pixels + 1) // 2))
        self._pending: list[dict[tuple[int, int], _Pending]] = [{} for _ in self.levels]
        self._lock = threading.Lock()

    def add(self, pixels: Pixels, top: int, left: int) -> None:
        """Take a cell's pixels at an offset into the tile, in pixels; they are not needed afterwards."""
        height, width = pixels.shape
        for row in range(top // BLOCK_PIXELS, blocks_across(top + height)):
            for column in range(left // BLOCK_PIXELS, blocks_across(left + width)):
                north, west = row * BLOCK_PIXELS, column * BLOCK_PIXELS
                rows = slice(max(north - top, 0), north + BLOCK_PIXELS - top)
                columns = slice(max(west - left, 0), west + BLOCK_PIXELS - left)
                at = (max(top - north, 0), max(left - west, 0))
                self._contribute(0, row, column, pixels[rows, columns], at)

    def finish(self) -> None:
        """Compress what still waits: the cells that did not come don't exist."""
        for number, pending in enumerate(self._pending):
            for row, column in sorted(pending):
                self._close(number, row, column, pending.pop((row, column)).pixels)

    def _contribute(self, number: int, row: int, column: int, part: Pixels, at: tuple[int, int]) -> None:
        """Put a part of a block where it belongs, and close the block if nothing is missing."""
        shape = self._shape(number, row, column)
        if part.shape == shape:
            self._close(number, row, column, part)
            return
        with self._lock:
            pending = self._pending[number].get((row, column))
            if pending is None:
                pending = _Pending(np.zeros(shape, part.dtype), self._parts(number, row, column))
                self._pending[number][row, column] = pending
        pending.pixels[at[0] : at[0] + part.shape[0], at[1] : at[1] + part.shape[1]] = part
        with self._lock:
            pending.awaited -= 1
            is_whole = not pending.awaited
            if is_whole:
                del self._pending[number][row, column]
        if is_whole:
            self._close(number, row, column, pending.pixels)

    def _close(self, number: int, row: int, column: int, pixels: Pixels) -> None:
        """Compress a block that is whole, and put what it looks like from above into the level above."""
        least, greatest = int(pixels.min()), int(pixels.max())
        if greatest != NODATA:
            self.levels[number].stored[row, column] = self.spill.write(encode(pixels, self.codec))
            if number == 0:
                self.counts.add(pixels, least, greatest)
        if number + 1 < len(self.levels):
            at = (row % 2 * _HALF, column % 2 * _HALF)
            self._contribute(number + 1, row // 2, column // 2, self._above(pixels, least, greatest), at)

    def _above(self, pixels: Pixels, least: int, greatest: int) -> Pixels:
        if least == greatest:
            return np.full([(length + 1) // 2 for length in pixels.shape], least, pixels.dtype)
        return halved(pixels, self._resampling, is_full=least != NODATA)

    def _shape(self, number: int, row: int, column: int) -> tuple[int, int]:
        side = self.levels[number].side_pixels
        return min(BLOCK_PIXELS, side - row * BLOCK_PIXELS), min(BLOCK_PIXELS, side - column * BLOCK_PIXELS)

    def _parts(self, number: int, row: int, column: int) -> int:
        """Return how many cells, or blocks of the level below, a block is put together from."""
        height, width = self._shape(number, row, column)
        unit = self._grid.cell_pixels if number == 0 else _HALF
        top, left = row * BLOCK_PIXELS, column * BLOCK_PIXELS
        return _units(top, height, unit) * _units(left, width, unit)


def _units(start: int, length: int, unit: int) -> int:
    return (start + length - 1) // unit - start // unit + 1
