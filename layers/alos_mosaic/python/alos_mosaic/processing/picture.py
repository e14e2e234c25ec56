"""Picturing: a tile's quicklook, out of the overviews of its COGs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio

from alos_mosaic.processing.cog import Cog
from alos_mosaic.processing.metadata import WrittenFile
from alos_mosaic.processing.quicklook import (
    QUICKLOOK_MEDIA_TYPE,
    SIDE_LIMIT_PIXELS,
    write_class_quicklook,
    write_quicklook,
)


def draw(
    cogs: tuple[Cog, ...], calibration_factor_db: float, classes: Mapping[int, str] | None, path: Path
) -> WrittenFile:
    """Write the quicklook of a mosaic, or with ``classes`` that of a forest map, at most 1024 pixels a side."""
    paths = {cog.band.code: cog.path for cog in cogs}
    if classes is not None:
        write_class_quicklook(_small(paths["C"]), classes, path)
    else:
        hv = _small(paths["HV"]) if "HV" in paths else None
        write_quicklook(_small(paths["HH"]), hv, _small(paths["mask"]), calibration_factor_db, path)
    return WrittenFile.of(path, QUICKLOOK_MEDIA_TYPE)


def _small(path: Path) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Return the largest level of a COG that has at most 1024 pixels a side."""
    with rasterio.open(path) as dataset:
        sides = [max(dataset.shape) / factor for factor in (1, *dataset.overviews(1))]
    level = next((number for number, side in enumerate(sides) if side <= SIDE_LIMIT_PIXELS), len(sides) - 1)
    options = {} if level == 0 else {"overview_level": level - 1}
    with rasterio.open(path, **options) as dataset:
        pixels: npt.NDArray[np.unsignedinteger[Any]] = dataset.read(1)
        return pixels
