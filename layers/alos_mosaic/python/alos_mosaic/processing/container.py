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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from alos_mosaic.bands import NODATA
from alos_mosaic.errors import OutputError
from alos_mosaic.grid import EPSG
from alos_mosaic.processing.blocks import BLOCK_PIXELS, PREDICTOR
from alos_mosaic.processing.pyramid import Level
from alos_mosaic.processing.spill import Spilled

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


@dataclass(frozen=True)
class _Placed:
    """A level in the file: where its blocks lie, 0 for those that are not stored."""

    side_pixels: int
    is_overview: bool
    offsets: list[int]
    byte_counts: list[int]


@dataclass(frozen=True)
class Raster:
    """What a file's tags say of its pixels."""

    bytes_per_pixel: int
    compression: int
    """Tag 259."""
    transform: Transform
    """The base's affine coefficients a, b, c, d, e, f."""


def container(levels: Sequence[Level], raster: Raster, read: Callable[[Spilled], bytes]) -> Iterator[bytes]:
    """Yield a one-band COG piece by piece: unsigned integers, nodata 0, EPSG:4326.

    The base is the first of the ``levels``, then come its overviews; ``read`` fetches a block. Raises
    :class:`OutputError` before the first piece if the file would be too large for a classic TIFF.
    """
    # The IFDs' size does not depend on what the offsets are, so a first draft tells where the blocks begin.
    draft = [_Placed(level.side_pixels, number > 0, [0] * len(level.places), [0] * len(level.places))
             for number, level in enumerate(levels)]  # fmt: skip
    position = len(_head(draft, raster))
    for level, placed in zip(reversed(levels), reversed(draft), strict=True):
        for number, place in enumerate(level.places):
            if place is not None:
                placed.offsets[number], placed.byte_counts[number] = position + 4, place.length
                position += place.length + 8
    if position > _SIZE_LIMIT_BYTES:
        raise OutputError(f"a raster of {position} bytes is larger than a classic TIFF can be")
    yield _head(draft, raster)
    for level in reversed(levels):
        for place in level.places:
            if place is not None:
                block = read(place)
                # Piece by piece: to put them together would be to copy the whole file once more.
                yield struct.pack("<I", len(block))
                yield block
                yield block[-4:]


def _head(levels: Sequence[_Placed], raster: Raster) -> bytes:
    """Return everything before the blocks: header, ghost area, and the IFDs one behind the other."""
    start = _HEADER_BYTES + len(_GHOST)
    start += start % 2
    head = (struct.pack("<2sHI", b"II", 42, start) + _GHOST).ljust(start, b"\0")
    for number, level in enumerate(levels):
        is_last = number == len(levels) - 1
        head += _ifd(_tags(level, raster), len(head), is_last)
    return head


def _tags(level: _Placed, raster: Raster) -> list[tuple[int, int, Sequence[Any] | bytes]]:
    """Return a level's tags in ascending order: number, type, values."""
    tags: list[tuple[int, int, Sequence[Any] | bytes]] = [
        (254, _LONG, [1]) if level.is_overview else (254, _LONG, [0]),  # NewSubfileType: reduced resolution
        (256, _LONG, [level.side_pixels]),
        (257, _LONG, [level.side_pixels]),
        (258, _SHORT, [raster.bytes_per_pixel * 8]),  # BitsPerSample
        (259, _SHORT, [raster.compression]),
        (262, _SHORT, [1]),  # Photometric: black is zero
        (277, _SHORT, [1]),  # SamplesPerPixel
        (284, _SHORT, [1]),  # PlanarConfiguration
        (317, _SHORT, [PREDICTOR]),
        (322, _LONG, [BLOCK_PIXELS]),
        (323, _LONG, [BLOCK_PIXELS]),
        (_TILE_OFFSETS, _LONG, level.offsets),
        (_TILE_BYTE_COUNTS, _LONG, level.byte_counts),
        (339, _SHORT, [1]),  # SampleFormat: unsigned
    ]
    if not level.is_overview:
        a, _, c, _, e, f = raster.transform
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
