"""Pyramids and COGs of whole rasters, as tests make them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from alos_mosaic.bands import BANDS, Resampling
from alos_mosaic.grid import Grid, Tile
from alos_mosaic.processing.blocks import DEFLATE, Codec
from alos_mosaic.processing.cog import Cog, write_cog
from alos_mosaic.processing.overviews import halved
from alos_mosaic.processing.pyramid import Pyramid
from alos_mosaic.processing.spill import Spill

TILE = Tile.from_name("N25W165")
BAND_BY_DTYPE = {"uint8": BANDS["linci"], "uint16": BANDS["HH"]}


def levels_of(pixels: np.ndarray, resampling: Resampling, block_pixels: int = 512) -> list[np.ndarray]:
    """Return a raster and its overviews, each halved as a whole from the one before."""
    levels = [pixels]
    while max(levels[-1].shape) > block_pixels:
        levels.append(halved(levels[-1], resampling))
    return levels


@contextmanager
def pyramid_of(pixels: np.ndarray, resampling: Resampling, folder: Path, codec: Codec = DEFLATE) -> Iterator[Pyramid]:
    """Yield the finished pyramid of a tile's pixels."""
    grid = Grid(pixels.shape[0] // 5)
    with Spill(folder / "blocks") as spill:
        pyramid = Pyramid(BAND_BY_DTYPE[str(pixels.dtype)], grid, resampling, spill, codec)
        for cell in TILE.cells:
            top, left = grid.offset(cell)
            pyramid.add(pixels[top : top + grid.cell_pixels, left : left + grid.cell_pixels], top, left)
        pyramid.finish()
        yield pyramid


def write_tile(path: Path, pixels: np.ndarray, resampling: Resampling = Resampling.RMS, codec: Codec = DEFLATE) -> Cog:
    """Write a tile's pixels as a COG, the way the pipeline does."""
    with pyramid_of(pixels, resampling, path.parent, codec) as pyramid:
        return write_cog(pyramid, TILE, Grid(pixels.shape[0] // 5), path)
