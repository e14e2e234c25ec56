"""Unpacking: what an archive holds, checked name by name, before anything looks into a file.

An archive is hostile input. Its members' paths are never used: a member is known by its bare file name, which must
parse, belong to the tile and the year, and be no larger than the grid allows. Rasters stay in memory and are handed on
one by one, in whatever order they come; what is wrong with one of them, or with an archive in the archive that is named
by its cell, is a defect of the cell, what is wrong with the archive ends it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from isal import isal_zlib

from alos_mosaic.bands import BANDS
from alos_mosaic.errors import CorruptArchiveError, InvalidRequestError, OutputError
from alos_mosaic.grid import CELLS_PER_TILE, Cell, Grid
from alos_mosaic.messages import TileYear
from alos_mosaic.naming import MemberName, parse_cell_archive, parse_member, parse_sidecar
from alos_mosaic.processing.buffers import Buffers, Parked
from alos_mosaic.processing.containers import Allowance, Entry, entries, is_archive, nested_entries

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
_PARTNERS: Final = {"": ".hdr", ".hdr": ""}
"""What has to stand beside a raw file and beside its header."""


@dataclass(frozen=True)
class Member:
    """A raster of one cell and band, as it stood in its archive."""

    name: MemberName
    file_name: str
    content: bytearray
    """A TIFF, or the raw pixels; of the buffers that the archive was read into."""
    header: bytes | None = None
    """The ENVI header that describes raw pixels."""


@dataclass(frozen=True)
class Wanted:
    """What is looked for in an archive."""

    tile_year: TileYear
    grid: Grid
    codes: frozenset[str]
    """Codes of the bands that the product may have."""
    cells: frozenset[Cell]
    """Cells of the tile; members of its other cells are passed over."""


@dataclass
class Unpacking:
    """One archive being read, and what was found in it beside its rasters."""

    wanted: Wanted
    folder: Path
    """An existing folder for sidecars and nested archives."""
    buffers: Buffers = field(default_factory=Buffers)
    """Where members are read into."""
    defects: dict[Cell, str] = field(default_factory=dict)
    """The first thing that is wrong with a cell, naming the member or the archive in the archive."""
    sidecars: dict[Cell, Path] = field(default_factory=dict)
    """XML of at most 1 MiB each, as it came: whoever parses it has hostile input before him."""
    sidecar_problems: dict[Cell, str] = field(default_factory=dict)
    """The first sidecar of a cell that was left out, and why: no pixel depends on it."""
    _seen: dict[tuple[Cell, str, str], tuple[str, int, int]] = field(default_factory=dict)
    """File name, size and CRC-32 of rasters and headers by cell, band code and extension."""
    _nested: dict[Cell, str | None] = field(default_factory=dict)
    """Cells that an archive in the archive is named by, with what is wrong with it."""
    _halves: dict[tuple[Cell, str], tuple[str, Parked]] = field(default_factory=dict)
    """Raw files without their headers yet, and headers without their raw files."""

    def members(self, archive: IO[bytes], name: str) -> Iterator[Member]:
        """Yield the rasters in a tar.gz or zip, each as soon as all of it was read; ``name`` is the archive's.

        The archive may be flat, hold folders, or hold archives of its own, one deep; names have the year in two or
        four digits and whatever suffix. Raises :class:`CorruptArchiveError` for an archive that is damaged, holds what
        has no place in it or nothing of what is wanted, :class:`OutputError` for a full disk.
        """
        allowance = allowance_of(self.wanted.grid)
        try:
            for entry in entries(archive, allowance):
                yield from self._take_nested(entry, allowance) if is_archive(entry.name) else self._take(entry)
            self._check_nested()
            self._check_halves()
        except CorruptArchiveError as error:
            raise CorruptArchiveError(f"{name}: {error}") from error
        if not self.cells:
            raise CorruptArchiveError(f"{name} holds no raster of {self._subject()}")

    @property
    def cells(self) -> frozenset[Cell]:
        """Those of the wanted cells that the archive has rasters of, whole or defective."""
        return frozenset({cell for cell, _, _ in self._seen} | self.defects.keys())

    def _subject(self) -> str:
        cells = self.wanted.cells
        return f"cell {next(iter(cells))}" if len(cells) == 1 else str(self.wanted.tile_year.tile)

    def _take_nested(self, entry: Entry, allowance: Allowance) -> Iterator[Member]:
        """Yield the rasters in an archive in the archive; damage to a cell's is kept for :meth:`_check_nested`."""
        cell = parse_cell_archive(entry.name, self.wanted.tile_year.tile)
        if cell is not None:
            self._nested.setdefault(cell, None)
        known = self.cells | {cell}
        try:
            for each in nested_entries(entry, self.folder, allowance):
                yield from self._take(each)
        except CorruptArchiveError as error:
            if cell is None or not self.cells <= known:
                raise
            self._nested[cell] = str(error)

    def _check_nested(self) -> None:
        """Make defects of cells of what is wrong with their archives.

        A tile is called as the cell at its corner: an archive of that name is the tile's if there is no other cell's.
        """
        cells = [cell.name for cell in self._nested]
        is_tile = cells == [self.wanted.tile_year.tile.name] and len(self.wanted.cells) > 1
        for cell, damage in self._nested.items():
            if is_tile and damage is not None:
                raise CorruptArchiveError(damage)
            if not is_tile and cell in self.wanted.cells and (damage is not None or cell not in self.cells):
                self.defects.setdefault(cell, damage or f"the archive of cell {cell} in it holds no raster of that")

    def _take(self, entry: Entry) -> Iterator[Member]:
        name = self._parsed(entry.name)
        if name is None:
            if entry.size_bytes > _PASSED_OVER_LIMIT_BYTES and parse_member(entry.name) is None:
                raise CorruptArchiveError(f"{entry.name} is no raster and has {entry.size_bytes} bytes")
            return
        if name.extension == ".xml":
            self._take_sidecar(entry, name.cell)
            return
        try:
            self._check_size(entry, name)
            content = self.buffers.take(entry.size_bytes)
            entry.read_into(content)
            is_twin = self._is_twin(entry, name, content)
        except CorruptArchiveError as error:
            self.defects.setdefault(name.cell, str(error))
            return
        if not is_twin:
            yield from self._sorted(entry, name, content)

    def _take_sidecar(self, entry: Entry, cell: Cell) -> None:
        """Save a sidecar; of several that differ, the one whose name comes first."""
        content = bytearray(min(entry.size_bytes, _SIDECAR_LIMIT_BYTES))
        try:
            _check_limit(entry, _SIDECAR_LIMIT_BYTES)
            entry.read_into(content)
        except CorruptArchiveError as error:
            self.sidecar_problems.setdefault(cell, str(error))
            return
        path, other = self.folder / entry.name, self.sidecars.get(cell)
        try:
            if other is not None:
                if other.read_bytes() == content:
                    return
                first, second = sorted((other.name, path.name))
                self.sidecar_problems.setdefault(cell, f"{first} and {second} differ, the second is left out")
                if first == other.name:
                    return
            path.write_bytes(content)
        except OSError as error:
            raise OutputError(f"can't write {path.name}: {error}") from error
        self.sidecars[cell] = path

    def _is_twin(self, entry: Entry, name: MemberName, content: bytearray) -> bool:
        """Tell whether a file was there before; it must be the same then, by length and CRC-32."""
        key = (name.cell, name.band_code, name.extension)
        digest = (len(content), isal_zlib.crc32(content))
        if key in self._seen:
            first, *known = self._seen[key]
            if tuple(known) != digest:
                raise CorruptArchiveError(_same_band(entry.name, first, name) + ", and differ")
            return True
        other_form = {".tif": "", "": ".tif"}.get(name.extension)
        if other_form is not None and (rival := self._seen.get((name.cell, name.band_code, other_form))):
            raise CorruptArchiveError(_same_band(entry.name, rival[0], name))
        self._seen[key] = (entry.name, *digest)
        return False

    def _sorted(self, entry: Entry, name: MemberName, content: bytearray) -> Iterator[Member]:
        """Yield a raster that is whole, keep a half of one."""
        if name.extension == ".tif":
            yield Member(name, entry.name, content)
            return
        key = (name.cell, name.band_code)
        if key not in self._halves:
            self._halves[key] = (entry.name, self.buffers.park(content, self.folder))
            return
        other_name, parked = self._halves.pop(key)
        other = self.buffers.unpark(parked)
        if name.extension == ".hdr":
            yield Member(name, other_name, other, bytes(content))
        else:
            yield Member(name, entry.name, content, bytes(other))

    def _check_halves(self) -> None:
        for (cell, _), (name, _) in self._halves.items():
            expected = name.removesuffix(".hdr") if name.endswith(".hdr") else f"{name}.hdr"
            self.defects.setdefault(cell, f"{name} is there without {expected}")

    def _parsed(self, name: str) -> MemberName | None:
        try:
            parsed = parse_member(name) or parse_sidecar(name)
        except InvalidRequestError as error:
            raise CorruptArchiveError(f"{name}: {error}") from error
        if parsed is None and _LOOKS_LIKE_RASTER.fullmatch(name):
            raise CorruptArchiveError(f"{name} looks like a raster, but its name is of no known form")
        if parsed is None or (parsed.band_code and parsed.band_code not in self.wanted.codes):
            return None
        asked = self.wanted.tile_year
        if parsed.cell.tile != asked.tile:
            raise CorruptArchiveError(f"{name} belongs to tile {parsed.cell.tile}, not {asked.tile}")
        if not parsed.is_of_year(asked.year):
            raise CorruptArchiveError(f"{name} is not of {asked.year}")
        return parsed if parsed.cell in self.wanted.cells else None

    def _check_size(self, entry: Entry, name: MemberName) -> None:
        size = entry.size_bytes
        if not name.extension and size != (raw := _raw_bytes(name.band_code, self.wanted.grid)):
            raise CorruptArchiveError(f"{entry.name} has {size} bytes, and a cell of this band {raw}")
        is_header = name.extension == ".hdr"
        _check_limit(entry, _HEADER_LIMIT_BYTES if is_header else _raster_limit(name.band_code, self.wanted.grid))


def _check_limit(entry: Entry, limit: int) -> None:
    if entry.size_bytes > limit:
        raise CorruptArchiveError(
            f"{entry.name} has {entry.size_bytes} bytes, and no such member has more than {limit}"
        )


def _same_band(name: str, first: str, parsed: MemberName) -> str:
    return f"{name} and {first} are both band {parsed.band_code} of cell {parsed.cell}"


def allowance_of(grid: Grid) -> Allowance:
    """Return how much a tile's archive may hold."""
    of_cell = sum(_raster_limit(code, grid) for code in BANDS) + _SIDECAR_LIMIT_BYTES
    return Allowance(_MEMBERS_LIMIT, CELLS_PER_TILE * of_cell)


def _raw_bytes(code: str, grid: Grid) -> int:
    return grid.cell_pixels**2 * BANDS[code].bytes_per_pixel


def _raster_limit(code: str, grid: Grid) -> int:
    return 2 * _raw_bytes(code, grid) + _TIFF_OVERHEAD_BYTES
