"""TIFFs written tag by tag, so that they can say anything."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

import numpy as np

from alos_mosaic.grid import Cell, Grid


class Tag(IntEnum):
    """TIFF 6.0's tags that a plain raster has, GeoTIFF's, and GDAL's own."""

    WIDTH = 256
    LENGTH = 257
    BITS = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    STRIP_OFFSETS = 273
    SAMPLES = 277
    ROWS_PER_STRIP = 278
    STRIP_BYTE_COUNTS = 279
    TILE_WIDTH = 322
    TILE_LENGTH = 323
    TILE_OFFSETS = 324
    TILE_BYTE_COUNTS = 325
    PIXEL_SCALE = 33550
    TIE_POINT = 33922
    GEO_KEYS = 34735
    GDAL_METADATA = 42112


_SHORT, _LONG, _DOUBLE, _ASCII, _LONG8 = 3, 4, 12, 2, 16
_FORMATS: Final = {_SHORT: "H", _LONG: "I", _DOUBLE: "d", _LONG8: "Q"}
_GEOGRAPHIC_WGS84: Final = (1, 1, 0, 3, 1024, 0, 1, 2, 1025, 0, 1, 1, 2048, 0, 1, 4326)
_HEADER_BYTES: Final = 16


@dataclass(frozen=True)
class Entry:
    """A tag as it is written; ``count`` and ``offset`` lie where they are given."""

    kind: int
    values: tuple[float, ...] | bytes
    count: int | None = None
    offset: int | None = None


def shorts(*values: int) -> Entry:
    """Return 16-bit numbers."""
    return Entry(_SHORT, values)


def longs(*values: int, count: int | None = None, offset: int | None = None) -> Entry:
    """Return 32-bit numbers, of which there are said to be ``count``, at ``offset``."""
    return Entry(_LONG, values, count, offset)


def longs8(*values: int) -> Entry:
    """Return 64-bit numbers (BigTIFF)."""
    return Entry(_LONG8, values)


def text(value: str) -> Entry:
    """Return a text."""
    return Entry(_ASCII, value.encode() + b"\0")


@dataclass(frozen=True)
class Tiff:
    """A cell's HH as a TIFF of one uncompressed strip, with tags changed (None: left out)."""

    cell: Cell
    grid: Grid
    changes: Mapping[Tag, Entry | None] = field(default_factory=dict)
    is_big: bool = False
    next_directory: int = 0
    directory: int | None = None
    """Where the first directory is said to be."""

    def content(self) -> bytes:
        """Return the file: header, pixels, what is too long for a tag, directory."""
        side = self.grid.cell_pixels
        body = bytearray(_HEADER_BYTES) + np.full((side, side), 3000, "<u2").tobytes()
        entries = {**self._plain(_HEADER_BYTES, len(body) - _HEADER_BYTES), **self.changes}
        packed = b"".join(self._packed(tag, entry, body) for tag, entry in sorted(entries.items()) if entry)
        count = sum(entry is not None for entry in entries.values())
        at = len(body) if self.directory is None else self.directory
        if self.is_big:
            body[:_HEADER_BYTES] = struct.pack("<2sHHHQ", b"II", 43, 8, 0, at)
            return bytes(body + struct.pack("<Q", count) + packed + struct.pack("<Q", self.next_directory or 0))
        body[:8] = struct.pack("<2sHI", b"II", 42, at)
        return bytes(body + struct.pack("<H", count) + packed + struct.pack("<I", self.next_directory))

    def _plain(self, at: int, size: int) -> dict[Tag, Entry]:
        side = self.grid.cell_pixels
        step, _, west, _, _, north = self.grid.transform(self.cell)
        return {
            Tag.WIDTH: longs(side),
            Tag.LENGTH: longs(side),
            Tag.BITS: shorts(16),
            Tag.COMPRESSION: shorts(1),
            Tag.PHOTOMETRIC: shorts(1),
            Tag.STRIP_OFFSETS: longs(at),
            Tag.SAMPLES: shorts(1),
            Tag.ROWS_PER_STRIP: longs(side),
            Tag.STRIP_BYTE_COUNTS: longs(size),
            Tag.PIXEL_SCALE: Entry(_DOUBLE, (step, step, 0.0)),
            Tag.TIE_POINT: Entry(_DOUBLE, (0.0, 0.0, 0.0, west, north, 0.0)),
            Tag.GEO_KEYS: shorts(*_GEOGRAPHIC_WGS84),
        }

    def _packed(self, tag: Tag, entry: Entry, body: bytearray) -> bytes:
        values = entry.values
        if not isinstance(values, bytes):
            values = struct.pack(f"<{len(values)}{_FORMATS[entry.kind]}", *values)
            count = len(entry.values)
        else:
            count = len(values)
        room = 8 if self.is_big else 4
        if entry.offset is not None or len(values) > room:
            at = len(body) if entry.offset is None else entry.offset
            body += values
            values = struct.pack("<Q" if self.is_big else "<I", at)
        head = struct.pack("<HHQ" if self.is_big else "<HHI", tag, entry.kind, entry.count or count)
        return head + values.ljust(room, b"\0")
