"""Merging: the cells of an archive onto the tile's fixed grid, one band at a time.

The raster is the whole tile, whatever cells exist. A pixel without data is 0 in every band: where the mask says 0, and
where a file holds the value of its own nodata tag (1 in most bands of the releases since 2021, undeclared 0 before).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from alos_mosaic.bands import BANDS, FOREST, MASK, NODATA, Band, bands_of
from alos_mosaic.errors import CorruptArchiveError
from alos_mosaic.grid import Cell, Grid
from alos_mosaic.missions import Mission
from alos_mosaic.processing.archive import Member, Members
from alos_mosaic.processing.statistics import TileStatistics
from alos_mosaic.processing.statistics import of_cell as of_cell_statistics
from alos_mosaic.products import Product

_WGS84: Final = ({"init": "epsg:4326"}, {"proj": "longlat", "datum": "WGS84", "no_defs": True})
"""As GDAL reads it from a GeoTIFF, and from an ENVI header, which knows no EPSG code."""
_SNAP_PIXELS: Final = 0.1
"""Bounds carry float noise; a member further off than this is not the cell its name says."""

Pixels = npt.NDArray[np.unsignedinteger[Any]]


def check_complete(members: Members, mission: Mission, product: Product | None = None) -> None:
    """Raise :class:`CorruptArchiveError` for a cell that lacks a band that every cell of the product has."""
    for cell, of_cell in sorted(members.items()):
        missing = [band.code for band in bands_of(mission, product) if band.code not in of_cell]
        if missing:
            raise CorruptArchiveError(f"cell {cell} has no {', '.join(missing)}")


def mosaic(members: Members, band: Band, grid: Grid) -> Pixels:
    """Return one band of the whole tile, ``grid.tile_pixels`` a side, of the band's dtype.

    Pages that no cell touches cost no memory. A cell without the band (VH and VV, which few cells have) has no data in
    it. Raises :class:`CorruptArchiveError` with the name of a member that disagrees with it.
    """
    pixels = np.zeros((grid.tile_pixels, grid.tile_pixels), band.dtype)
    for cell, of_cell in members.items():
        if band.code not in of_cell:
            continue
        row, column = grid.offset(cell)
        pixels[row : row + grid.cell_pixels, column : column + grid.cell_pixels] = read_cell(of_cell, band, cell, grid)
    return pixels


def count_pixels(members: Members, grid: Grid) -> TileStatistics:
    """Count what the cells hold as it stands in their files, before anything is set to nodata."""
    statistics = TileStatistics()
    for cell, of_cell in members.items():
        read = {code: _read(member, BANDS[code], cell, grid) for code, member in of_cell.items()}
        arrays = {code: pixels for code, (pixels, _) in read.items()}
        statistics += of_cell_statistics(arrays, {code: nodata for code, (_, nodata) in read.items()})
    return statistics


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
    if dataset.crs is None or dataset.crs.to_dict() not in _WGS84:
        raise CorruptArchiveError(f"{name} is not in geographic coordinates of WGS 84")
    # All six coefficients, so that no member lies rotated or mirrored in the right place.
    expected = grid.transform(cell)
    tolerances = (_SNAP_PIXELS / grid.cell_pixels**2,) * 2 + (_SNAP_PIXELS / grid.cell_pixels,)
    pairs = zip(tuple(dataset.transform)[:6], expected, tolerances * 2, strict=True)
    if any(abs(found - named) > tolerance for found, named, tolerance in pairs):
        raise CorruptArchiveError(f"{name} lies at {tuple(dataset.transform)[:6]}, not where its name says")
