"""Writing a band as Cloud-Optimized GeoTIFF, with GDAL's COG driver."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import rasterio.shutil
from rasterio.errors import RasterioError
from rasterio.io import DatasetWriter

from alos_mosaic.bands import Band
from alos_mosaic.errors import OutputError
from alos_mosaic.processing.checksums import sha256_of

BLOCK_PIXELS: Final = 512
MEDIA_TYPE: Final = "image/tiff; application=geotiff; profile=cloud-optimized"

_OPTIONS: Final[dict[str, Any]] = {
    "driver": "COG",
    "BLOCKSIZE": BLOCK_PIXELS,
    "COMPRESS": "DEFLATE",
    # Speckle has no repeats to look for, so a higher level costs time and saves no bytes.
    "LEVEL": 1,
    "PREDICTOR": "YES",
    "NUM_THREADS": "ALL_CPUS",
    # Blocks of absent cells are not stored; GDAL reads them as nodata.
    "SPARSE_OK": "YES",
}


@dataclass(frozen=True)
class Cog:
    """A written COG and what an item says of it."""

    band: Band
    path: Path
    size_bytes: int
    sha256: str


def write_cog(dataset: DatasetWriter, band: Band, path: Path) -> Cog:
    """Write an open dataset of one band with overviews down to one block; :class:`OutputError` if that fails."""
    try:
        rasterio.shutil.copy(dataset, path, OVERVIEW_RESAMPLING=band.resampling.value, **_OPTIONS)
        checksum = sha256_of(path)
    except (RasterioError, OSError) as error:
        raise OutputError(f"can't write {path.name}: {error}") from error
    return Cog(band, path, path.stat().st_size, checksum)
