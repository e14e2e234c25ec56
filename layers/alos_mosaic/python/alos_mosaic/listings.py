"""Listings: which archives a server holds, out of the lines in which it or its visitors have written that down.

A line is a path, a line of FTP's LIST (``ls -l``, with the folder headers of ``ls -lR``) or one of its MLSD. What is no
archive, or has a name off the grid, or comes twice, is passed over and counted: real listings hold entries such as
``off``, ``tmp`` and ``list2016.txt``.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeVar

from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.grid import Cell, Tile
from alos_mosaic.inventory import ArchiveKind, Inventory, Listing
from alos_mosaic.missions import mission_of

_ARCHIVE: Final = re.compile(
    r"(?P<square>[NS]\d{2}[EW]\d{3})_(?P<year>\d{4}|\d{2})_(?P<kind>MOS|FNF)(?:_[0-9A-Z_]{1,16})?\.(?:tar\.gz|zip)"
)
_TILE_FOLDER: Final = re.compile(r"[NS]\d{2}[EW]\d{3}")
_MLSD: Final = re.compile(r"(?P<facts>(?:[A-Za-z][\w.-]*=[^;]*;)+) (?P<name>.+)")
_LIST: Final = re.compile(r"(?P<type>[a-z-])[rwxsStT-]{9}\S*(?:\s+\S+){7}\s(?P<name>.+)")
_LIST_TOTAL: Final = re.compile(r"total \d+")
_FIRST_YEAR_OF_TWO_DIGITS: Final = 1970

_Square = TypeVar("_Square", Tile, Cell)


class Ignored(StrEnum):
    """Why a line was passed over."""

    JUNK = "junk"
    OFF_GRID = "off the grid"
    DUPLICATE = "duplicate"


@dataclass
class Found:
    """The archives that listings name, and how many of their lines were passed over."""

    tiles: dict[tuple[int, ArchiveKind], set[Tile]] = field(default_factory=dict)
    """By year and kind, the tiles that have a 5x5 archive."""
    cells: dict[tuple[int, ArchiveKind], set[Cell]] = field(default_factory=dict)
    """By year and kind, the cells that have a 1x1 archive; they lie in a folder called as their tile."""
    ignored: Counter[Ignored] = field(default_factory=Counter)
    _dates: dict[tuple[int, ArchiveKind], dict[str, str]] = field(default_factory=dict)
    """By year and kind, the listings that named any archive of it, with their dates."""

    @property
    def years(self) -> list[tuple[int, ArchiveKind]]:
        """The years and kinds that occur at all."""
        return sorted(self._dates)

    def read(self, lines: Iterable[str], date: str, origin: str) -> None:
        """Take in the lines of one listing, made on that date, with the name of its file or server."""
        folder = ""
        for line in lines:
            text = line.strip()
            if text.endswith(":"):
                folder = text[:-1]
            elif path := _path(text):
                key = self._add(path if "/" in path else f"{folder}/{path}")
                if key is not None:
                    self._dates.setdefault(key, {})[origin] = date

    def listing(self, year: int, kind: ArchiveKind) -> Listing:
        """Return what was found of a year and kind, with the latest date and all origins."""
        key, dates = (year, kind), self._dates[year, kind]
        return Listing.of(max(dates.values()), ", ".join(dates), self.tiles.get(key, ()), self.cells.get(key, ()))

    def _add(self, path: str) -> tuple[int, ArchiveKind] | None:
        """Take in a path; return the year and kind if it is an archive's."""
        parents, _, name = path.rpartition("/")
        folder = parents.rpartition("/")[2]
        match = _ARCHIVE.fullmatch(name)
        if match is None:
            self.ignored[Ignored.JUNK] += not _TILE_FOLDER.fullmatch(name)
            return None
        try:
            key = _year(match["year"]), ArchiveKind(match["kind"])
            square = _square(match["square"], folder)
        except InvalidRequestError:
            self.ignored[Ignored.OFF_GRID] += 1
            return None
        if isinstance(square, Cell):
            self.ignored[Ignored.DUPLICATE] += not _add_to(self.cells.setdefault(key, set()), square)
        else:
            self.ignored[Ignored.DUPLICATE] += not _add_to(self.tiles.setdefault(key, set()), square)
        return key


@dataclass(frozen=True)
class Change:
    """What a refresh changes of one year and kind."""

    year: int
    kind: ArchiveKind
    listing: Listing
    before: Listing | None

    @property
    def tiles_added(self) -> list[str]:
        """Names of the tiles that were not known before."""
        return sorted(tile.name for tile in self.listing.tiles - (self.before.tiles if self.before else frozenset()))

    @property
    def tiles_removed(self) -> list[str]:
        """Names of the tiles that were known before."""
        return sorted(tile.name for tile in (self.before.tiles if self.before else frozenset()) - self.listing.tiles)

    @property
    def cells_added(self) -> int:
        """Number of cells that were not known before."""
        return (self._cells(self.listing) & ~self._cells(self.before)).bit_count()

    @property
    def cells_removed(self) -> int:
        """Number of cells that were known before."""
        return (self._cells(self.before) & ~self._cells(self.listing)).bit_count()

    @staticmethod
    def _cells(listing: Listing | None) -> int:
        return int.from_bytes(listing.cell_bits) if listing else 0


def changes(before: Inventory, found: Found) -> list[Change]:
    """Return what these listings change of an inventory; a year and kind they don't name keeps its data."""
    return [Change(year, kind, found.listing(year, kind), before.get((year, kind))) for year, kind in found.years]


def _path(text: str) -> str:
    """Return the path or name that a line is about; nothing for folders and lines about none."""
    if match := _MLSD.fullmatch(text):
        return match["name"] if "type=file;" in match["facts"].lower() else ""
    if match := _LIST.fullmatch(text):
        return "" if match["type"] == "d" else match["name"].partition(" -> ")[0]
    return "" if text.endswith("/") or _LIST_TOTAL.fullmatch(text) else text


@functools.cache
def _year(digits: str) -> int:
    year = int(digits)
    if len(digits) == 2:  # noqa: PLR2004
        year += 1900 if 1900 + year >= _FIRST_YEAR_OF_TWO_DIGITS else 2000
    mission_of(year)
    return year


@functools.cache  # listings of all years name the same squares
def _square(name: str, folder: str) -> Tile | Cell:
    """Return the cell of that name if its archive lies in a tile's folder, else the tile."""
    if not _TILE_FOLDER.fullmatch(folder):
        return Tile.from_name(name)
    cell = Cell.from_name(name)
    if cell.tile.name != folder:
        raise InvalidRequestError(f"{name} does not lie in {folder}")
    return cell


def _add_to(squares: set[_Square], square: _Square) -> bool:
    is_new = square not in squares
    squares.add(square)
    return is_new
