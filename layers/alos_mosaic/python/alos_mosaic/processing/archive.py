"""Unpacking: what an archive holds, checked name by name, before anything looks into a file.

An archive is hostile input. Its members' paths are never used: a member is known by its bare file name, which must
parse, belong to the tile and the year, and be no larger than the grid allows.
"""

from __future__ import annotations

import filecmp
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from alos_mosaic.bands import BANDS, possible_codes
from alos_mosaic.errors import CorruptArchiveError, InvalidRequestError
from alos_mosaic.grid import CELLS_PER_TILE, Cell, Grid
from alos_mosaic.messages import TileYear
from alos_mosaic.naming import MemberName, parse_member, parse_sidecar
from alos_mosaic.processing.containers import Allowance, Entry, entries
from alos_mosaic.products import Product

_HEADER_LIMIT_BYTES: Final = 1 << 16
"""An ENVI header has some 400 bytes."""
_SIDECAR_LIMIT_BYTES: Final = 1 << 20
"""The real one has 7.5 KB."""
_TIFF_OVERHEAD_BYTES: Final = 1 << 20
_MEMBERS_LIMIT: Final = CELLS_PER_TILE * (2 * len(BANDS) + 3)
"""A raw file and a header a band, a sidecar, a folder and an archive of its own a cell."""
_LOOKS_LIKE_RASTER: Final = re.compile(r"[NS]\d{2}[EW]\d{3}_([^.]*|.*\.(tiff?|hdr|img))", re.IGNORECASE)
"""A cell's name and no extension, or a raster's: nothing to pass over in silence."""
_PASSED_OVER_LIMIT_BYTES: Final = 1 << 24
"""More than this is not read through for nothing."""
_TWIN_NAME: Final = ".twin"


@dataclass(frozen=True)
class Member:
    """An unpacked raster of one cell and band."""

    name: MemberName
    path: Path


Members = dict[Cell, dict[str, Member]]
"""By cell and band code."""


@dataclass(frozen=True)
class Unpacked:
    """What an archive held."""

    members: Members
    sidecars: dict[Cell, Path]
    """XML of at most 1 MiB each, as it came: whoever parses it has hostile input before him."""


def unpack(archive: Path, folder: Path, tile_year: TileYear, grid: Grid, product: Product | None = None) -> Unpacked:
    """Unpack a tar.gz or zip into ``folder``, which is made, and return the rasters of a product (a mosaic's without).

    The archive may be flat, hold folders, or hold archives of its own, one deep; names have the year in two or four
    digits and whatever suffix. Raises :class:`CorruptArchiveError` with the member's name for anything that is not
    what its name says, :class:`OutputError` for a full disk.
    """
    folder.mkdir()
    unpacking = _Unpacking(folder, tile_year, grid, possible_codes(product))
    try:
        for entry in entries(archive, folder, _allowance(grid)):
            unpacking.take(entry)
        unpacked = unpacking.result()
    except CorruptArchiveError as error:
        raise CorruptArchiveError(f"{archive.name}: {error}") from error
    if not unpacked.members:
        raise CorruptArchiveError(f"{archive.name} holds no raster of {tile_year.tile}")
    return unpacked


def _allowance(grid: Grid) -> Allowance:
    of_cell = sum(_raster_limit(code, grid) for code in BANDS) + _SIDECAR_LIMIT_BYTES
    return Allowance(_MEMBERS_LIMIT, CELLS_PER_TILE * of_cell)


def _raw_bytes(code: str, grid: Grid) -> int:
    return grid.cell_pixels**2 * BANDS[code].bytes_per_pixel


def _raster_limit(code: str, grid: Grid) -> int:
    return 2 * _raw_bytes(code, grid) + _TIFF_OVERHEAD_BYTES


class _Unpacking:
    """The files taken out of an archive so far, one for each cell, band and extension."""

    def __init__(self, folder: Path, tile_year: TileYear, grid: Grid, codes: frozenset[str]) -> None:
        self._folder, self._tile_year, self._grid, self._codes = folder, tile_year, grid, codes
        self._files: dict[tuple[Cell, str, str], Member] = {}

    def take(self, entry: Entry) -> None:
        """Save a file that is ours; one that is there already must be the same, byte by byte."""
        name = self._parsed(entry.name)
        if name is None:
            if entry.size_bytes > _PASSED_OVER_LIMIT_BYTES and parse_member(entry.name) is None:
                raise CorruptArchiveError(f"{entry.name} is no raster and has {entry.size_bytes} bytes")
            return
        self._check_size(entry, name)
        key = (name.cell, name.band_code, name.extension)
        if key not in self._files:
            self._files[key] = Member(name, self._folder / entry.name)
            entry.save(self._files[key].path)
            return
        twin, first = self._folder / _TWIN_NAME, self._files[key].path
        entry.save(twin)
        if not filecmp.cmp(twin, first, shallow=False):
            what = f"band {name.band_code}" if name.band_code else "metadata"
            raise CorruptArchiveError(f"{entry.name} and {first.name} are both {what} of cell {name.cell}, and differ")
        twin.unlink()

    def result(self) -> Unpacked:
        """Sort the files by cell and band; a raw file and its header are one."""
        members: Members = {}
        sidecars: dict[Cell, Path] = {}
        for (cell, code, extension), member in self._files.items():
            if extension == ".xml":
                sidecars[cell] = member.path
                continue
            partner = {"": ".hdr", ".hdr": ""}.get(extension)
            if partner is not None and (cell, code, partner) not in self._files:
                expected = f"{member.path.name}.hdr" if partner else member.path.name.removesuffix(".hdr")
                raise CorruptArchiveError(f"{member.path.name} is there without {expected}")
            if extension == ".hdr":
                self._place_header(member.path, self._files[cell, code, ""].path)
                continue
            of_cell = members.setdefault(cell, {})
            if code in of_cell:
                twin = of_cell[code].path.name
                raise CorruptArchiveError(f"{member.path.name} and {twin} are both band {code} of cell {cell}")
            of_cell[code] = member
        return Unpacked(members, sidecars)

    @staticmethod
    def _place_header(header: Path, raw: Path) -> None:
        """Put a header where GDAL looks for it: its name may have the year in other digits than its raw file's."""
        header.rename(raw.with_name(f"{raw.name}.hdr"))

    def _parsed(self, name: str) -> MemberName | None:
        try:
            parsed = parse_member(name) or parse_sidecar(name)
        except InvalidRequestError as error:
            raise CorruptArchiveError(f"{name}: {error}") from error
        if parsed is None and _LOOKS_LIKE_RASTER.fullmatch(name):
            raise CorruptArchiveError(f"{name} looks like a raster, but its name is of no known form")
        if parsed is None or (parsed.band_code and parsed.band_code not in self._codes):
            return None
        if parsed.cell.tile != self._tile_year.tile:
            raise CorruptArchiveError(f"{name} belongs to tile {parsed.cell.tile}, not {self._tile_year.tile}")
        if not parsed.is_of_year(self._tile_year.year):
            raise CorruptArchiveError(f"{name} is not of {self._tile_year.year}")
        return parsed

    def _check_size(self, entry: Entry, name: MemberName) -> None:
        size = entry.size_bytes
        if not name.extension and size != (raw := _raw_bytes(name.band_code, self._grid)):
            raise CorruptArchiveError(f"{entry.name} has {size} bytes, and a cell of this band {raw}")
        limits = {".hdr": _HEADER_LIMIT_BYTES, ".xml": _SIDECAR_LIMIT_BYTES}
        limit = limits.get(name.extension) or _raster_limit(name.band_code, self._grid)
        if size > limit:
            raise CorruptArchiveError(f"{entry.name} has {size} bytes, and no such member has more than {limit}")
