"""What writes a COG of one speckled band, overviews included: libraries as they come, all from an array in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import rasterio
import rasterio.shutil
import xarray as xr
from isal import isal_zlib
from odc.geo.cog import save_cog_with_dask, write_cog
from odc.geo.geobox import GeoBox
from odc.geo.xr import wrap_xr
from rasterio.io import MemoryFile
from rio_cogeo.cogeo import cog_translate
from rio_cogeo.profiles import cog_profiles
from tifffile import TiffWriter

from alos_mosaic.grid import Grid
from benchmarks.archives import ArchiveSpec, make_rough_cell
from benchmarks.candidates.codecs import delta_blocks
from benchmarks.candidates.trial import best_of, rows

_BLOCK: Final = 512
Write = Callable[["Band", Path], None]


class Band:
    """A band in memory, in the forms that the libraries want."""

    def __init__(self, pixels: np.ndarray[Any, Any], transform: rasterio.Affine) -> None:
        self.pixels, self.transform = pixels, transform
        self.profile: dict[str, Any] = {
            "width": pixels.shape[1], "height": pixels.shape[0], "count": 1, "dtype": pixels.dtype,
            "crs": "EPSG:4326", "transform": transform, "nodata": 0,
        }  # fmt: skip

    @property
    def labelled(self) -> xr.DataArray:
        """The band as an array that knows where it lies."""
        return wrap_xr(self.pixels, GeoBox(self.pixels.shape, self.transform, "EPSG:4326"), nodata=0)


def _gdal(band: Band, path: Path, codec: str, threads: str) -> None:
    with MemoryFile() as memory:
        with memory.open(driver="GTiff", **band.profile) as dataset:
            dataset.write(band.pixels, 1)
        rasterio.shutil.copy(
            memory.name, str(path), driver="COG", COMPRESS=codec, LEVEL=1, PREDICTOR="YES", NUM_THREADS=threads,
            OVERVIEW_RESAMPLING="AVERAGE", BLOCKSIZE=_BLOCK,
        )  # fmt: skip


def _rio_cogeo(band: Band, path: Path) -> None:
    with MemoryFile() as memory:
        with memory.open(driver="GTiff", **band.profile) as dataset:
            dataset.write(band.pixels, 1)
        cog_translate(
            memory.name, str(path), cog_profiles.get("deflate") | {"zlevel": 1, "predictor": 2},
            overview_resampling="average", quiet=True, config={"GDAL_NUM_THREADS": "ALL_CPUS"},
        )  # fmt: skip


def _odc_geo(band: Band, path: Path) -> None:
    write_cog(
        band.labelled, path, overwrite=True, blocksize=_BLOCK, overview_resampling="average", compress="deflate",
        zlevel=1, predictor=2, num_threads="all_cpus",
    )  # fmt: skip


def _odc_geo_dask(band: Band, path: Path) -> None:
    chunked = band.labelled.chunk({"latitude": 4 * _BLOCK, "longitude": 4 * _BLOCK})
    save_cog_with_dask(
        chunked, str(path), compression="deflate", level=1, predictor=2, blocksize=_BLOCK,
        overview_resampling="average", stats=False,
    ).compute()  # fmt: skip


def _levels(pixels: np.ndarray[Any, Any]) -> Iterator[np.ndarray[Any, Any]]:
    """Yield the band and its overviews, averaged by numpy."""
    while True:
        yield pixels
        if max(pixels.shape) <= _BLOCK:
            return
        even = np.pad(pixels, [(0, length % 2) for length in pixels.shape], mode="edge").astype(np.uint32)
        quarters = even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]
        pixels = ((quarters + 2) // 4).astype(pixels.dtype)


def _tifffile(band: Band, path: Path, *, pre_encoded: bool) -> None:
    """Base first, then the overviews: a tiled TIFF that is no COG, as tifffile writes IFDs where their data is."""
    levels = list(_levels(band.pixels))
    with TiffWriter(path) as writer, ThreadPoolExecutor() as threads:
        for number, pixels in enumerate(levels):
            data: Any = pixels
            if pre_encoded:
                data = threads.map(lambda block: isal_zlib.compress(block, 1), delta_blocks(pixels))
            writer.write(
                data, shape=pixels.shape, dtype=pixels.dtype, tile=(_BLOCK, _BLOCK), compression="adobe_deflate",
                compressionargs=None if pre_encoded else {"level": 1}, predictor=2, photometric="minisblack",
                subfiletype=1 if number else 0, metadata=None,
            )  # fmt: skip


WRITERS: Final[dict[str, tuple[Write, str]]] = {
    "GDAL COG, DEFLATE 1, 1 thread": (partial(_gdal, codec="DEFLATE", threads="1"), "libdeflate inside"),
    "GDAL COG, DEFLATE 1, all cores": (partial(_gdal, codec="DEFLATE", threads="ALL_CPUS"), "libdeflate inside"),
    "GDAL COG, ZSTD 1, all cores": (partial(_gdal, codec="ZSTD", threads="ALL_CPUS"), ""),
    "rio-cogeo, DEFLATE 1, all cores": (_rio_cogeo, "a GTiff written twice"),
    "odc-geo write_cog": (_odc_geo, "a GTiff in memory, copied"),
    "odc-geo save_cog_with_dask": (_odc_geo_dask, "needs dask; enlarges the raster to 4512 pixels"),
    "tifffile, its own DEFLATE 1": (partial(_tifffile, pre_encoded=False), "IFDs between the data: no COG"),
    "tifffile, blocks by ISA-L 1": (partial(_tifffile, pre_encoded=True), "IFDs between the data: no COG"),
}


def try_writers(repeats: int, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return a table of writers; each output is read back by GDAL and its base compared, as far as the band goes."""
    spec = ArchiveSpec("envi", 1)
    cell = spec.squares[0]
    band = Band(make_rough_cell(cell, spec).arrays["HH"], rasterio.Affine(*Grid(spec.cell_pixels).transform(cell)))
    trials = []
    for name, (write, note) in WRITERS.items():
        path = folder / "candidate.tif"
        trials.append(best_of(repeats, name, partial(_written, write, band, path), note))
        with rasterio.open(path) as dataset:
            height, width = band.pixels.shape
            if not np.array_equal(dataset.read(1)[:height, :width], band.pixels):
                raise ValueError(f"{name} wrote other pixels")
        path.unlink()
    return {f"writers of one band of {band.pixels.nbytes / 1e6:.0f} MB": rows(trials, band.pixels.nbytes)}


def _written(write: Write, band: Band, path: Path) -> int:
    path.unlink(missing_ok=True)
    write(band, path)
    return path.stat().st_size
