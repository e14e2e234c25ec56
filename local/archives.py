"""Synthetic archives in the look of JAXA's: the same members, forms, names and nodata over made-up geography.

Everything is deterministic: the same call writes the same bytes (between machines a rare pixel may round differently).
"""

from __future__ import annotations

import io
import shutil
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO, Final, cast
from xml.etree import ElementTree

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.io import MemoryFile
from rasterio.session import DummySession

from alos_mosaic.bands import NODATA
from alos_mosaic.grid import Cell, Grid, Tile
from alos_mosaic.layouts import Layout, layouts_of
from alos_mosaic.missions import Mission, mission_of
from local.scenery import make_pixels

FIRST_GEOTIFF_YEAR: Final = 2019
_MEMBER_ORDER: Final = ("HH", "HV", "VH", "VV", "date", "linci", "mask")
_MODIFIED: Final = 1_615_897_200
"""When every member was last written: 2021-03-16 12:20 UTC."""


class Form(StrEnum):
    """How an archive holds its rasters; the values are GDAL's driver names."""

    ENVI = "ENVI"
    """Raw little-endian pixels without extension beside a ``.hdr``; nodata is 0 and nowhere declared."""
    GEOTIFF = "GTiff"
    """Strips of one row, LZW without predictor, mask uncompressed; nodata is 1 and declared, 0 in the mask."""

    @classmethod
    def of_year(cls, year: int) -> Form:
        """Return the form in which a year was first published."""
        return cls.GEOTIFF if year >= FIRST_GEOTIFF_YEAR else cls.ENVI

    @property
    def nodata(self) -> int:
        """What all bands but the mask hold where the mask is 0."""
        return 1 if self is Form.GEOTIFF else 0


@dataclass(frozen=True)
class CellPixels:
    """A cell's bands as they stand in an archive."""

    cell: Cell
    arrays: dict[str, NDArray[Any]]
    """By band code, square, (rows, columns) from the north-west: uint16 HH, HV, date; uint8 linci, mask."""


def make_cell(cell: Cell, year: int, grid: Grid, seed: int = 0, form: Form | None = None) -> CellPixels:
    """Return a cell's made-up bands, with the nodata value of the year's form (or of ``form``).

    The ground depends on the seed (0 or more) and the place only, speckle and dates on the year as well.
    """
    return CellPixels(cell, make_pixels(cell, year, grid, seed, (form or Form.of_year(year)).nodata))


def members(pixels: CellPixels, year: int, form: Form | None = None) -> Iterator[tuple[str, bytes]]:
    """Yield a cell's members as (name, bytes), in the real archives' order; arrays go out as they are."""
    mission = mission_of(year)
    suffix = first_layout(year).suffix
    stem = f"{pixels.cell}_{year % 100:02d}"
    form = form or Form.of_year(year)
    for code in sorted(pixels.arrays, key=_MEMBER_ORDER.index):
        array = pixels.arrays[code]
        name = f"{stem}_{'sl_' if code in _MEMBER_ORDER[:4] else ''}{code}{suffix}"
        if form is Form.GEOTIFF:
            yield f"{name}.tif", _geotiff(pixels.cell, code, array)
        else:
            yield name, array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
            yield f"{name}.hdr", _envi_header(pixels.cell, code, array)
    if form is Form.GEOTIFF:
        yield f"{stem}{suffix}.xml", _sidecar(pixels, mission, f"{stem}_{{}}{suffix}.tif")


def first_layout(year: int) -> Layout:
    """Return the layout in which a year's archives are placed: the first of its mission."""
    return layouts_of(mission_of(year))[0]


def _geotiff(cell: Cell, code: str, array: NDArray[Any]) -> bytes:
    """Return a GeoTIFF in the layout of JAXA's own: strips of one row."""
    rows, columns = array.shape
    profile = {
        "driver": "GTiff", "width": columns, "height": rows, "count": 1, "dtype": array.dtype, "crs": "EPSG:4326",
        "transform": rasterio.Affine(*Grid(columns).transform(cell)), "blockysize": 1,
        "nodata": NODATA if code == "mask" else Form.GEOTIFF.nodata,
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


def _sidecar(pixels: CellPixels, mission: Mission, file_name: str) -> bytes:
    """Return metadata in the elements of JAXA's CARD4L sidecar (its spelling included)."""
    dates = _dates(pixels, mission)
    root = ElementTree.Element("Metadata")
    general = _put(root, "GeneralMetadata")
    _put(general, "Product", "Normalised Radar Backscatter")
    _put(general, "DocumentIdentifier", "CARD4L-NRB v5.0")
    times = _put(general, "DataCollectionTime", TimeZone="UTC")
    _put(times, "NumberOfAcquisitions", len(dates))
    if dates:
        _put(times, "FirstAcquistionDate", dates[0])
        _put(times, "LastAcquistitionDate", dates[-1])
    for number, day in enumerate(dates, start=1):
        _put_acquisition(general, mission, number, day)
    processing = _put(general, "DataAccess")
    _put(processing, "ProcessingFacility", "made up")
    _put(processing, "ProcessingTime", "2021-03-16T12:20:00.000Z", TimeZone="UTC")
    _put(processing, "SoftwareVersion", "Sigma-SAR IMAGE 600-2020101700")
    _put_corners(general, pixels.cell)
    _put_bands(root, mission, file_name)
    ElementTree.indent(root, "\t")
    return cast(bytes, ElementTree.tostring(root, "utf-8", xml_declaration=True))


def _dates(pixels: CellPixels, mission: Mission) -> list[str]:
    """Return the days on which the cell was seen."""
    if not {"date", "mask"} <= pixels.arrays.keys():
        return []
    seen = np.zeros(1 << 16, np.bool_)  # sorting 20 million pixels would take seconds
    seen[pixels.arrays["date"][pixels.arrays["mask"] != NODATA]] = True
    return [str(mission.date_epoch + timedelta(days=int(day))) for day in np.flatnonzero(seen)]


def _put(parent: ElementTree.Element, tag: str, text: object = None, **attributes: str) -> ElementTree.Element:
    """Append an element and return it."""
    element = ElementTree.SubElement(parent, tag, attributes)
    element.text = None if text is None else str(text)
    return element


def _put_acquisition(general: ElementTree.Element, mission: Mission, number: int, day: str) -> None:
    source = _put(general, "SourceAttributes", acqID=str(number))
    _put(source, "Satellite", mission.platform)
    _put(source, "Instrument", mission.instrument)
    times = _put(source, "SourceDataAcquisitionTime")
    _put(times, "UTCStartTime", f"{day}T10:44:12.406Z")
    _put(times, "UTCEndTime", f"{day}T10:44:26.423Z")
    parameters = _put(source, "AcquisitionParameters")
    _put(parameters, "RadarBand", "L")
    _put(parameters, "RadarCenterFrequency", "1.27", Units="GHz")
    _put(parameters, "ObservationMode", "FBD")
    _put(parameters, "Polarizations", "+".join(mission.polarizations))
    _put(parameters, "AntennaPointing", "Right")
    _put(parameters, "BeamID", "F2-6")
    _put(_put(source, "OrbitInformation"), "PassDirection", "Ascending")
    processing = _put(source, "SourceProcParam")
    _put(processing, "ProductID", f"MADEUP{number:09d}")
    _put(processing, "AzimuthNumberOfLooks", 2)
    _put(processing, "RangeNumberOfLooks", 1)
    image = _put(source, "ImageAttributes")
    for tag, value in (("AzimuthResolution", 4.96), ("RangeResolution", 5.32)):
        _put(image, tag, value, Units="m")
    for tag, value in (("IncAngleNearRange", 33.687), ("IncAngleFarRange", 38.623)):
        _put(image, tag, value, Units="deg")


def _put_corners(general: ElementTree.Element, cell: Cell) -> None:
    box = cell.bounds
    for corner, north, west in (("UL", box.north, box.west), ("LL", box.south, box.west),
                                ("UR", box.north, box.east), ("LR", box.south, box.east)):  # fmt: skip
        element = _put(general, "GeographicalBoundingBox", Corner=corner)
        _put(element, "Latitude", north, Units="deg")
        _put(element, "Longitude", west, Units="deg")


def _put_bands(root: ElementTree.Element, mission: Mission, file_name: str) -> None:
    per_pixel = _put(root, "PerPixelMetadata")
    mask = _put(per_pixel, "DataMask")
    _put(mask, "FileName", file_name.format("mask"))
    values = _put(mask, "BitValues")
    for tag, value in (("ValidData", 255), ("NoData", 0), ("Layover", 100), ("Shadow", 150), ("OceanWater", 50)):
        _put(values, tag, value)
    _put(_put(per_pixel, "LocalIncAngle"), "FileName", file_name.format("linci"))
    dates = _put(per_pixel, "AcquisitionDate")
    _put(dates, "FileName", file_name.format("date"))
    _put(dates, "ZeroReferenceDate", mission.date_epoch)
    corrected = _put(root, "RadiometricTerrainCorrectedMeasurements")
    measured = _put(corrected, "BackscatterMeasurementData")
    for code in mission.polarizations:
        _put(_put(measured, "Polarization", pol=code), "FileName", file_name.format(f"sl_{code}"))
    equation = f"10 * log10(DN^2) - {-mission.calibration_factor_db}"
    _put(corrected, "BackscatterConversionEq", equation, Units="dB")
    elevation = _put(_put(root, "GeometricCorrections"), "DigitalElevationModel", dem="Surface")
    _put(elevation, "DEMReference", "https://www.eorc.jaxa.jp/ALOS/en/aw3d30/index.htm", Type="URL")


class _Gzip(io.RawIOBase):
    """A gzip stream without name or time; quick, since the rasters in it are compressed or noise anyway."""

    def __init__(self, target: BinaryIO) -> None:
        super().__init__()
        self._target = target
        self._size = 0
        self._deflate = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS, 9, zlib.Z_RLE)

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._size

    def write(self, data: Any) -> int:
        self._target.write(self._deflate.compress(data))
        self._size += len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._target.write(self._deflate.flush())
        super().close()


def write_archive(
    path: Path,
    cells: Iterable[CellPixels],
    year: int,
    form: Form | None = None,
    extra_members: Iterable[tuple[str, bytes]] = (),
) -> Path:
    """Write a tar.gz of the cells' members and then the extra ones (any names, for hostile archives); return its path.

    ``form`` is the year's unless told; nodata is not adapted to it: give :func:`make_cell` the same form.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        path.open("wb") as file,
        _Gzip(file) as stream,
        tarfile.TarFile(
            mode="w", fileobj=cast(BinaryIO, stream), format=tarfile.GNU_FORMAT, copybufsize=1 << 20
        ) as archive,
    ):
        for name, data in _all_members(cells, year, form, extra_members):
            archive.addfile(_tar_header(name, len(data)), io.BytesIO(data))
    return path


def _all_members(
    cells: Iterable[CellPixels], year: int, form: Form | None, extra_members: Iterable[tuple[str, bytes]]
) -> Iterator[tuple[str, bytes]]:
    for pixels in cells:
        yield from members(pixels, year, form)
    yield from extra_members


def _tar_header(name: str, size: int) -> tarfile.TarInfo:
    """Return a member's header: a file of somebody we do not know, as in the real archives."""
    header = tarfile.TarInfo(name)
    header.size, header.mtime, header.mode = size, _MODIFIED, 0o775
    header.uid, header.gid, header.uname, header.gname = 281, 201, "mosaicker", "alos"
    return header


def place_archive(
    mirror: Path, tile: Tile, year: int, grid: Grid, cells: Sequence[Cell] | None = None, seed: int = 0
) -> Path:
    """Write a tile's archive, of all 25 cells or of these, where the server keeps it below ``mirror``."""
    made = (make_cell(cell, year, grid, seed) for cell in (tile.cells if cells is None else cells))
    return write_archive(mirror / first_layout(year).archive_path(tile, year), made, year)


def add_archive_file(mirror: Path, tile: Tile, year: int, archive: Path) -> Path:
    """Copy an existing file to the tile's place below ``mirror``, whatever it is called or holds."""
    path = mirror / first_layout(year).archive_path(tile, year)
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(archive, path)
    return path
