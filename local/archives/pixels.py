"""A cell's made-up bands as they stand in an archive, and the forms in which archives hold them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from alos_mosaic.bands import FOREST, NODATA
from alos_mosaic.grid import Cell, Grid
from local.scenery import LAND, WATER, make_pixels

FIRST_GEOTIFF_YEAR: Final = 2019
_FOREST_HV: Final = {1: (2000,), 2: (3000, 2000)}
"""DN of HV from which on a pixel is a class, by release: forest; dense forest, sparse forest."""


class Form(Enum):
    """How an archive holds its rasters: GDAL's driver, the value where there is no data, the tag that says so.

    ENVI: raw little-endian pixels without extension beside a ``.hdr``. GeoTIFF: strips of one row, LZW without
    predictor, mask uncompressed. Nodata is never anything but 0 in the mask.
    """

    ENVI = ("ENVI", 0, None)
    """JERS-1, 2007-10, 2015-18 of the first release."""
    GEOTIFF = ("GTiff", 1, 1)
    """2019-20 of the first release, later 2017 and 2018, too."""
    GEOTIFF_ZERO = ("GTiff", 0, 0)
    """This and the next two: what the second release of 2007-10 and 2015-16 may be, since nobody has said."""
    GEOTIFF_ZERO_UNTAGGED = ("GTiff", 0, None)
    GEOTIFF_ONE_UNTAGGED = ("GTiff", 1, None)

    def __init__(self, driver: str, nodata: int, tag: int | None) -> None:
        self.driver = driver
        self.nodata = nodata
        """What all bands but the mask hold where the mask is 0."""
        self.tag = tag

    @property
    def is_geotiff(self) -> bool:
        """Tell whether members are GeoTIFFs."""
        return self.driver == "GTiff"

    @classmethod
    def of_year(cls, year: int) -> Form:
        """Return the form in which a year was first published."""
        return cls.GEOTIFF if year >= FIRST_GEOTIFF_YEAR else cls.ENVI


@dataclass(frozen=True)
class CellPixels:
    """A cell's bands as they stand in an archive."""

    cell: Cell
    arrays: dict[str, NDArray[Any]]
    """By band code, square, (rows, columns) from the north-west: uint16 HH, HV, VH, VV, date; uint8 linci, mask, C."""


def make_cell(cell: Cell, year: int, grid: Grid, seed: int = 0, form: Form | None = None) -> CellPixels:
    """Return a cell's made-up bands, with the nodata value of the year's form (or of ``form``).

    The ground depends on the seed (0 or more) and the place only, speckle and dates on the year as well.
    """
    return CellPixels(cell, make_pixels(cell, year, grid, seed, (form or Form.of_year(year)).nodata))


def make_quad_cell(cell: Cell, year: int, grid: Grid, seed: int = 0, form: Form | None = None) -> CellPixels:
    """Return a cell in quad-polarization: VV a little darker than HH, VH a little brighter than HV."""
    form = form or Form.of_year(year)
    made = make_cell(cell, year, grid, seed, form)
    hh, hv, seen = made.arrays["HH"], made.arrays["HV"], made.arrays["mask"] != NODATA
    vv = np.where(seen, hh - hh // 8, form.nodata).astype(hh.dtype)
    vh = np.where(seen, np.minimum(hv, 60_000) + hv // 16, form.nodata).astype(hv.dtype)
    return CellPixels(cell, {**made.arrays, "VH": vh, "VV": vv})


def make_forest_cell(cell: Cell, year: int, grid: Grid, seed: int = 0, release: int = 1) -> CellPixels:
    """Return a cell of the forest map over the same ground, in the classes of JAXA's release 1 or 2."""
    arrays = make_cell(cell, year, grid, seed).arrays
    mask, thresholds = arrays["mask"], _FOREST_HV[release]
    classes = 1 + sum((arrays["HV"] < threshold).astype(np.uint8) for threshold in thresholds)
    classes = np.where(mask < LAND, len(thresholds) + 1, classes)
    classes = np.where(mask == WATER, len(thresholds) + 2, classes)
    return CellPixels(cell, {FOREST.code: np.where(mask == NODATA, NODATA, classes).astype(np.uint8)})
