"""Writing a band as Cloud-Optimized GeoTIFF."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alos_mosaic.bands import Band
from alos_mosaic.errors import OutputError
from alos_mosaic.grid import Grid, Tile
from alos_mosaic.processing.blocks import BLOCK_PIXELS
from alos_mosaic.processing.checksums import sha256_of
from alos_mosaic.processing.container import write_container
from alos_mosaic.processing.overviews import overviews

MEDIA_TYPE: Final = "image/tiff; application=geotiff; profile=cloud-optimized"


@dataclass(frozen=True)
class Cog:
    """A written COG and what an item says of it."""

    band: Band
    path: Path
    size_bytes: int
    sha256: str


def write_cog(pixels: npt.NDArray[np.unsignedinteger[Any]], band: Band, tile: Tile, grid: Grid, path: Path) -> Cog:
    """Write a band of a whole tile with overviews down to one block; :class:`OutputError` if that fails."""
    levels = [pixels, *overviews(pixels, band.resampling, BLOCK_PIXELS)]
    try:
        write_container(path, levels, grid.transform(tile))
        return Cog(band, path, path.stat().st_size, sha256_of(path))
    except OSError as error:
        raise OutputError(f"can't write {path.name}: {error}") from error
