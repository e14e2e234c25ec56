"""The files of a cell in an archive: rasters of every form, headers, the sidecar."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import rasterio
from numpy.typing import NDArray
from rasterio.io import MemoryFile
from rasterio.session import DummySession

from alos_mosaic.bands import FOREST, NODATA
from alos_mosaic.grid import Cell, Grid
from alos_mosaic.missions import mission_of
from local.archives.pixels import CellPixels, Form
from local.archives.sidecar import make_sidecar

_MEMBER_ORDER: Final = ("HH", "HV", "VH", "VV", "date", "linci", "mask", FOREST.code)
_SUFFIXES: Final = {"JERS-1": "", "PALSAR": "", "PALSAR-2": "_F02DAR"}
"""What members of a first release end with."""


@dataclass(frozen=True)
class Naming:
    """What differs between releases in how members are called."""

    year_digits: int = 2
    suffix: str | None = None
    """``_FP6QAR`` and the like; the first release's unless told."""

    def stem(self, cell: Cell, year: int) -> str:
        """Return what a cell's members begin with."""
        return f"{cell}_{f'{year:04d}'[-self.year_digits :]}"

    def suffix_of(self, year: int) -> str:
        """Return what a year's members end with, extensions apart."""
        return _SUFFIXES[mission_of(year).name] if self.suffix is None else self.suffix


FIRST_NAMING: Final = Naming()


def members(
    pixels: CellPixels, year: int, form: Form | None = None, naming: Naming = FIRST_NAMING
) -> Iterator[tuple[str, bytes]]:
    """Yield a cell's members as (name, bytes), in the real archives' order; arrays go out as they are."""
    stem, suffix = naming.stem(pixels.cell, year), naming.suffix_of(year)
    form = form or Form.of_year(year)
    for code in sorted(pixels.arrays, key=_MEMBER_ORDER.index):
        array = pixels.arrays[code]
        name = f"{stem}_{'sl_' if code in _MEMBER_ORDER[:4] else ''}{code}{suffix}"
        if form.is_geotiff:
            yield f"{name}.tif", _geotiff(pixels.cell, code, array, form.tag)
        else:
            yield name, array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
            yield f"{name}.hdr", _envi_header(pixels.cell, code, array)
    if form.is_geotiff and FOREST.code not in pixels.arrays:
        yield f"{stem}{suffix}.xml", make_sidecar(pixels, mission_of(year), f"{stem}_{{}}{suffix}.tif")


def _geotiff(cell: Cell, code: str, array: NDArray[Any], tag: int | None) -> bytes:
    """Return a GeoTIFF in the layout of JAXA's own: strips of one row."""
    rows, columns = array.shape
    profile = {
        "driver": "GTiff", "width": columns, "height": rows, "count": 1, "dtype": array.dtype, "crs": "EPSG:4326",
        "transform": rasterio.Affine(*Grid(columns).transform(cell)), "blockysize": 1,
        "nodata": NODATA if code == "mask" else tag,
    }  # fmt: skip
    if code != "mask":
        profile["compress"] = "LZW"
    # Without a session named, rasterio makes a boto3 one for every file once it sees AWS credentials: 20 ms each.
    with rasterio.Env(session=DummySession()), MemoryFile() as memory:
        with memory.open(**profile) as dataset:
            dataset.write(array, 1)
        return bytes(memory.getbuffer())


def _envi_header(cell: Cell, code: str, array: NDArray[Any]) -> bytes:
    """Return the header of a raw member; coordinates and pixel size are in arc-seconds."""
    rows, columns = array.shape
    corner = f"{cell.west * 3600}, {cell.north * 3600}"
    pixel = f"{3600 / columns:.15g}"
    return f"""ENVI
description = {{{code}}}
samples = {columns}
lines = {rows}
bands = 1
header offset = 0
file type = ENVI Standard
data type = {12 if array.dtype.itemsize == 2 else 1}
interleave = bsq
byte order = 0
map info = {{Geographic Lat/Lon, 1, 1, {corner}, {pixel}, {pixel}, WGS-84, units=Seconds}}
""".encode()  # noqa: PLR2004
