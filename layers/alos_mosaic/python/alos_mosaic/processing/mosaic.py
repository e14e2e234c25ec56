"""Merging: the cells of an archive onto the tile's fixed grid, one band at a time.

The raster is the whole tile, whatever cells exist. A pixel without data is 0 in every band: where the mask says 0, and
where a file holds the value of its own nodata tag (1 in most bands of the releases since 2021, undeclared 0 before).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader, DatasetWriter
from rasterio.windows import Window

from alos_mosaic.bands import FOREST, MASK, NODATA, Band, bands_of
from alos_mosaic.errors import CorruptArchiveError
from alos_mosaic.grid import EPSG, Cell, Grid, Tile
from alos_mosaic.missions import Mission
from alos_mosaic.processing.archive import Member, Members
from alos_mosaic.products import Product

_SNAP_PIXELS: Final = 0.1
"""Bounds carry float noise; a member further off than this is not the cell its name says."""

Pixels = npt.NDArray[np.unsignedinteger]


def check_complete(members: Members, mission: Mission, product: Product | None = None) -> None:
    """Raise :class:`CorruptArchiveError` for a cell that lacks a band that every cell of the product has."""
    for cell, of_cell in sorted(members.items()):
        missing = [band.code for band in bands_of(mission, product) if band.code not in of_cell]
        if missing:
            raise CorruptArchiveError(f"cell {cell} has no {', '.join(missing)}")


@contextmanager
def mosaic(members: Members, band: Band, tile: Tile, grid: Grid) -> Iterator[DatasetWriter]:
    """Yield one band of the whole tile as an in-memory dataset, ``grid.tile_pixels`` a side, of the band's dtype.

    A cell without the band (VH and VV, which few cells have) has no data in it. Raises :class:`CorruptArchiveError`
    with the name of a member that disagrees with it.
    """
    profile = {
        "driver": "MEM",
        "width": grid.tile_pixels,
        "height": grid.tile_pixels,
        "count": 1,
        "dtype": band.dtype,
        "crs": f"EPSG:{EPSG}",
        "transform": Affine(*grid.transform(tile)),
        "nodata": NODATA,
    }
    with rasterio.open("mosaic", "w", **profile) as dataset:
        for cell, of_cell in members.items():
            if band.code not in of_cell:
                continue
            row, column = grid.offset(cell)
            pixels = read_cell(of_cell, band, cell, grid)
            dataset.write(pixels, 1, window=Window(column, row, grid.cell_pixels, grid.cell_pixels))
        yield dataset


def read_cell(of_cell: dict[str, Member], band: Band, cell: Cell, grid: Grid) -> Pixels:
    """Return a cell's pixels of one band, 0 where there is no data: ``cell_pixels`` a side, of the band's dtype."""
    pixels, nodata = _read(of_cell[band.code], band, cell, grid)
    if band in (MASK, FOREST):  # 0 is no data in both, whatever a tag says: 1 would be valid data, or forest
        return pixels
    mask, _ = _read(of_cell[MASK.code], MASK, cell, grid)
    pixels[mask == 0] = NODATA
    if nodata is not None:
        pixels[pixels == nodata] = NODATA
    return pixels


def _read(member: Member, band: Band, cell: Cell, grid: Grid) -> tuple[Pixels, float | None]:
    driver = "GTiff" if member.name.extension == ".tif" else "ENVI"
    try:
        with rasterio.open(member.path, driver=driver) as dataset:
            _check(dataset, member, band, cell, grid)
            pixels: Pixels = dataset.read(1)
            return pixels, dataset.nodata
    except RasterioError as error:
        raise CorruptArchiveError(f"{member.path.name} can't be read: {error}") from error


def _check(dataset: DatasetReader, member: Member, band: Band, cell: Cell, grid: Grid) -> None:
    """Compare a member's header with its name, before a pixel of it is read."""
    name = member.path.name
    # A raw file has exactly the cell's bytes, so a header that puts them elsewhere makes GDAL read beyond its end.
    offset = dataset.tags(ns="ENVI").get("header_offset", "0")
    if offset.strip() != "0":
        raise CorruptArchiveError(f"{name} begins at byte {offset} by its header, and there is nothing before it")
    if dataset.count != 1 or dataset.dtypes[0] != band.dtype:
        raise CorruptArchiveError(f"{name} holds {dataset.count} band of {dataset.dtypes[0]}, not 1 of {band.dtype}")
    if dataset.shape != (grid.cell_pixels, grid.cell_pixels):
        raise CorruptArchiveError(f"{name} has {dataset.shape} pixels, not {grid.cell_pixels} a side")
    if dataset.crs is None or not dataset.crs.is_geographic:
        raise CorruptArchiveError(f"{name} is not in geographic coordinates")
    tolerance = _SNAP_PIXELS / grid.cell_pixels
    box, expected = dataset.bounds, cell.bounds
    pairs = zip(box, (expected.west, expected.south, expected.east, expected.north), strict=True)
    if any(abs(found - named) > tolerance for found, named in pairs):
        raise CorruptArchiveError(f"{name} lies at {tuple(box)}, not where its name says")
