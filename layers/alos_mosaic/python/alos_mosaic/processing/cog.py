"""Writing a band as Cloud-Optimized GeoTIFF."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from alos_mosaic.bands import Band
from alos_mosaic.errors import OutputError
from alos_mosaic.grid import Grid, Tile
from alos_mosaic.processing.container import Raster, container
from alos_mosaic.processing.pyramid import Pyramid

MEDIA_TYPE: Final = "image/tiff; application=geotiff; profile=cloud-optimized"


@dataclass(frozen=True)
class Cog:
    """A written COG and what an item says of it."""

    band: Band
    path: Path
    size_bytes: int
    sha256: str


def write_cog(pyramid: Pyramid, tile: Tile, grid: Grid, path: Path) -> Cog:
    """Write a finished band of a whole tile with its overviews; :class:`OutputError` if that fails."""
    band = pyramid.band
    raster = Raster(band.bytes_per_pixel, pyramid.codec.tiff_compression, grid.transform(tile))
    checksum = hashlib.sha256()
    size_bytes = 0
    try:
        with path.open("wb") as file:
            for piece in container(pyramid.levels, raster, pyramid.spill.read):
                checksum.update(piece)
                size_bytes += file.write(piece)
    except OSError as error:
        raise OutputError(f"can't write {path.name}: {error}") from error
    return Cog(band, path, size_bytes, checksum.hexdigest())
