"""Decoding: a member's pixels out of memory, by GDAL, compared with what its name says; and what of them is no data.

A pixel without data is 0 in every band: where the mask says 0, and where a file holds the value of its own nodata tag
(1 in most bands of the releases since 2021, undeclared 0 before).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader, MemoryFile
from rasterio.session import DummySession

from alos_mosaic.bands import FOREST, MASK, NODATA, Band
from alos_mosaic.errors import CorruptArchiveError
from alos_mosaic.grid import Cell, Grid
from alos_mosaic.processing.archive import Member
from alos_mosaic.processing.tiff_directories import check_directories

Pixels = npt.NDArray[np.unsignedinteger[Any]]
Where = npt.NDArray[np.bool_]

_WGS84: Final = ({"init": "epsg:4326"}, {"proj": "longlat", "datum": "WGS84", "no_defs": True})
"""As GDAL reads it from a GeoTIFF, and from an ENVI header, which knows no EPSG code."""
_SEEN_OF_RAW_BYTES: Final = 4096
_BLOCK_LIMIT_PIXELS: Final = 1 << 20
"""GDAL reads whole blocks: one that is larger than this and than the cell is there to fill the memory."""
_SNAP_PIXELS: Final = 0.1
"""Bounds carry float noise; a member further off than this is not the cell its name says."""


@dataclass(frozen=True)
class Decoded:
    """A member's pixels as they stand in its file: ``cell_pixels`` a side, of the band's dtype."""

    pixels: Pixels
    nodata: float | None
    """The file's own tag; None if it has none."""


def driver_of(member: Member) -> str:
    """Return the name of the GDAL driver, the only one that is let at a member."""
    return "GTiff" if member.header is None else "ENVI"


def decode(member: Member, band: Band, cell: Cell, grid: Grid) -> Decoded:
    """Return a member's pixels; CorruptArchiveError with its name if it disagrees with that or can't be read.

    Raw pixels stay where they are: what is done to them is done to the member's content.
    """
    try:
        with _opened(member) as dataset:
            _check(dataset, member, band, cell, grid)
            return Decoded(_read_pixels(dataset, member), dataset.nodata)
    except (RasterioError, ValueError) as error:  # CRSError and text that is no UTF-8 are ValueErrors
        raise CorruptArchiveError(f"{member.file_name} can't be read: {error}") from error


@contextmanager
def _opened(member: Member) -> Iterator[DatasetReader]:
    """Yield a member as GDAL sees it, in memory; of raw pixels it sees no more than the first few.

    GDAL knows what an ENVI header means; the pixels themselves are there already.
    """
    folder, name = uuid4().hex, member.file_name
    if member.header is None:
        check_directories(member.content, name)
    content = bytes(member.content if member.header is None else member.content[:_SEEN_OF_RAW_BYTES])
    with ExitStack() as stack:
        # GDAL needs no AWS session, which rasterio would make for each file.
        stack.enter_context(rasterio.Env(session=DummySession()))
        file = stack.enter_context(MemoryFile(content, dirname=folder, filename=name))
        if member.header is not None:
            stack.enter_context(MemoryFile(member.header, dirname=folder, filename=f"{name}.hdr"))
        yield stack.enter_context(rasterio.open(file.name, driver=driver_of(member)))


def _read_pixels(dataset: DatasetReader, member: Member) -> Pixels:
    """Return a member's pixels in the machine's byte order; CorruptArchiveError for raw ones that are none."""
    if member.header is None:
        pixels: Pixels = dataset.read(1)
        return pixels
    tags = dataset.tags(ns="ENVI")
    if tags.get("file_compression", "0").strip() != "0":
        raise CorruptArchiveError(f"{member.file_name} is compressed by its header, and has a raw file's size")
    order = {"0": "<", "1": ">"}.get(tags.get("byte_order", "0").strip())
    if order is None:
        raise CorruptArchiveError(f"{member.file_name} has pixels in an unknown byte order")
    raw = np.frombuffer(member.content, np.dtype(dataset.dtypes[0]).newbyteorder(order))
    if raw.size != dataset.width * dataset.height:
        raise CorruptArchiveError(f"{member.file_name} has {raw.size} pixels, and {dataset.shape} by its header")
    return raw.astype(raw.dtype.newbyteorder("="), copy=False).reshape(dataset.shape)


def clear_nodata(decoded: Decoded, band: Band, masked: Where | None) -> None:
    """Set the pixels without data to 0, in place; ``masked`` is where the cell's mask is 0, None for nowhere."""
    if band in (MASK, FOREST):  # 0 is no data in both, whatever a tag says: 1 would be valid data, or forest
        return
    pixels = decoded.pixels
    if masked is not None:
        pixels[masked] = NODATA
    if decoded.nodata is not None and decoded.nodata != NODATA:
        pixels[pixels == decoded.nodata] = NODATA


def _check(dataset: DatasetReader, member: Member, band: Band, cell: Cell, grid: Grid) -> None:
    """Compare a member's header with its name, before a pixel of it is read."""
    name = member.file_name
    # A raw file has exactly the cell's bytes, so a header that puts them elsewhere makes GDAL read beyond its end.
    offset = dataset.tags(ns="ENVI").get("header_offset", "0")
    if offset.strip() != "0":
        raise CorruptArchiveError(f"{name} begins at byte {offset} by its header, and there is nothing before it")
    if dataset.count != 1 or dataset.dtypes[0] != band.dtype:
        raise CorruptArchiveError(f"{name} holds {dataset.count} band of {dataset.dtypes[0]}, not 1 of {band.dtype}")
    if dataset.shape != (grid.cell_pixels, grid.cell_pixels):
        raise CorruptArchiveError(f"{name} has {dataset.shape} pixels, not {grid.cell_pixels} a side")
    rows, columns = dataset.block_shapes[0]
    if rows * columns > max(_BLOCK_LIMIT_PIXELS, grid.cell_pixels**2):
        raise CorruptArchiveError(f"{name} has blocks of {rows} x {columns} pixels, and the cell is smaller")
    if dataset.crs is None or dataset.crs.to_dict() not in _WGS84:
        raise CorruptArchiveError(f"{name} is not in geographic coordinates of WGS 84")
    # All six coefficients, so that no member lies rotated or mirrored in the right place.
    expected = grid.transform(cell)
    tolerances = (_SNAP_PIXELS / grid.cell_pixels**2,) * 2 + (_SNAP_PIXELS / grid.cell_pixels,)
    pairs = zip(tuple(dataset.transform)[:6], expected, tolerances * 2, strict=True)
    if not all(abs(found - named) <= tolerance for found, named, tolerance in pairs):  # nor is NaN near anything
        raise CorruptArchiveError(f"{name} lies at {tuple(dataset.transform)[:6]}, not where its name says")
