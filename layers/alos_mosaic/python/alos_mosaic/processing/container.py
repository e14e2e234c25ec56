"""The container: a Cloud-Optimized GeoTIFF, byte by byte.

GDAL can't be told to compress with ISA-L, nor to take overviews of our own making. So blocks are encoded by
:mod:`alos_mosaic.processing.blocks`, and this module lays them out as GDAL's COG driver does
(https://gdal.org/en/stable/drivers/raster/cog.html): the header, GDAL's ghost area, all IFDs, then the blocks of the
smallest overview first and of the base last, row by row, each with its size before it and its last four bytes repeated
behind it. The tags are TIFF 6.0's, the GeoTIFF keys OGC 19-008's.

A block without valid pixels is not stored: its offset and byte count are 0, which GDAL reads as nodata.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from alos_mosaic.bands import NODATA
from alos_mosaic.errors import OutputError
from alos_mosaic.grid import EPSG
from alos_mosaic.processing.blocks import BLOCK_PIXELS, blocks_across, encoded

Pixels = npt.NDArray[np.unsignedinteger[Any]]
Transform = tuple[float, float, float, float, float, float]

_GHOST_BODY: Final = (
    b"LAYOUT=IFDS_BEFORE_DATA\nBLOCK_ORDER=ROW_MAJOR\nBLOCK_LEADER=SIZE_AS_UINT4\n"
    b"BLOCK_TRAILER=LAST_4_BYTES_REPEATED\nKNOWN_INCOMPATIBLE_EDITION=NO\n "
)
_GHOST: Final = b"GDAL_STRUCTURAL_METADATA_SIZE=%06d bytes\n" % len(_GHOST_BODY) + _GHOST_BODY
_HEADER_BYTES: Final = 8
_SIZE_LIMIT_BYTES: Final = 2**32 - 1
"""Offsets of a classic TIFF have 32 bits; a band of a whole tile has at most 1.4 GB."""

_SHORT, _LONG, _DOUBLE, _ASCII = 3, 4, 12, 2
_FORMATS: Final = {_SHORT: "H", _LONG: "I", _DOUBLE: "d", _ASCII: "s"}
_TILE_OFFSETS, _TILE_BYTE_COUNTS = 324, 325
_GEO_KEYS: Final = (
    *(1, 1, 0, 4),
    *(1024, 0, 1, 2),  # GTModelType: geographic
    *(1025, 0, 1, 1),  # GTRasterType: pixel is area
    *(2048, 0, 1, EPSG),  # GeodeticCRS
    *(2054, 0, 1, 9102),  # GeogAngularUnits: degree
)


@dataclass
class _Level:
    """A raster in the file: its pixels, and where its blocks came to lie."""

    pixels: Pixels
    is_overview: bool
    offsets: list[int] = field(default_factory=list)
    byte_counts: list[int] = field(default_factory=list)

    @property
    def block_count(self) -> int:
        rows, columns = self.pixels.shape
        return blocks_across(rows) * blocks_across(columns)


def write_container(path: Path, levels: Sequence[Pixels], transform: Transform) -> None:
    """Write a one-band COG: the base first in ``levels``, then its overviews, uint8 or uint16, nodata 0, EPSG:4326.

    ``transform`` are the affine coefficients a, b, c, d, e, f of the base. Raises :class:`OutputError` if the file gets
    too large for a classic TIFF.
    """
    described = [_Level(pixels, is_overview=number > 0) for number, pixels in enumerate(levels)]
    for level in described:  # placeholders, so that the IFDs have their final size
        level.offsets, level.byte_counts = [0] * level.block_count, [0] * level.block_count
    with path.open("wb") as file:
        file.write(_head(described, transform))
        for level in reversed(described):
            _write_blocks(file, level)
        file.seek(0)
        file.write(_head(described, transform))


def _write_blocks(file: BinaryIO, level: _Level) -> None:
    position = file.tell()
    for number, block in enumerate(encoded(level.pixels)):
        if not block:
            continue
        level.offsets[number], level.byte_counts[number] = position + 4, len(block)
        file.write(struct.pack("<I", len(block)) + block + block[-4:])
        position += len(block) + 8
        if position > _SIZE_LIMIT_BYTES:
            raise OutputError(f"{file.name} would be larger than a classic TIFF can be")


def _head(levels: Sequence[_Level], transform: Transform) -> bytes:
    """Return everything before the blocks: header, ghost area, and the IFDs one behind the other."""
    start = _HEADER_BYTES + len(_GHOST)
    start += start % 2
    head = (struct.pack("<2sHI", b"II", 42, start) + _GHOST).ljust(start, b"\0")
    for number, level in enumerate(levels):
        is_last = number == len(levels) - 1
        head += _ifd(_tags(level, transform), len(head), is_last)
    return head


def _tags(level: _Level, transform: Transform) -> list[tuple[int, int, Sequence[Any] | bytes]]:
    """Return a level's tags in ascending order: number, type, values."""
    rows, columns = level.pixels.shape
    tags: list[tuple[int, int, Sequence[Any] | bytes]] = [
        (254, _LONG, [1]) if level.is_overview else (254, _LONG, [0]),  # NewSubfileType: reduced resolution
        (256, _LONG, [columns]),
        (257, _LONG, [rows]),
        (258, _SHORT, [level.pixels.itemsize * 8]),  # BitsPerSample
        (259, _SHORT, [8]),  # Compression: DEFLATE
        (262, _SHORT, [1]),  # Photometric: black is zero
        (277, _SHORT, [1]),  # SamplesPerPixel
        (284, _SHORT, [1]),  # PlanarConfiguration
        (317, _SHORT, [2]),  # Predictor: horizontal differences
        (322, _LONG, [BLOCK_PIXELS]),
        (323, _LONG, [BLOCK_PIXELS]),
        (_TILE_OFFSETS, _LONG, level.offsets),
        (_TILE_BYTE_COUNTS, _LONG, level.byte_counts),
        (339, _SHORT, [1]),  # SampleFormat: unsigned
    ]
    if not level.is_overview:
        a, _, c, _, e, f = transform
        tags += [
            (33550, _DOUBLE, [a, -e, 0.0]),  # ModelPixelScale
            (33922, _DOUBLE, [0.0, 0.0, 0.0, c, f, 0.0]),  # ModelTiepoint
            (34735, _SHORT, _GEO_KEYS),  # GeoKeyDirectory
        ]
    return [*tags, (42113, _ASCII, b"%d\0" % NODATA)]  # GDAL_NODATA


def _ifd(tags: Sequence[tuple[int, int, Sequence[Any] | bytes]], position: int, is_last: bool) -> bytes:
    """Return an IFD that stands at ``position``, with its values behind it and the next IFD behind those."""
    entries, values = b"", b""
    behind = position + 2 + 12 * len(tags) + 4
    for number, kind, value in tags:
        packed = value if isinstance(value, bytes) else struct.pack(f"<{len(value)}{_FORMATS[kind]}", *value)
        if len(packed) <= 4:  # noqa: PLR2004 - a value of up to four bytes stands in the entry itself
            entries += struct.pack("<HHI4s", number, kind, len(value), packed)
            continue
        entries += struct.pack("<HHII", number, kind, len(value), behind + len(values))
        values += packed + b"\0" * (len(packed) % 2)
    following = 0 if is_last else behind + len(values)
    return struct.pack("<H", len(tags)) + entries + struct.pack("<I", following) + values
