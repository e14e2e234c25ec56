"""The inventory: what JAXA publishes per year, by the listings of its server that this release was made with.

It ships as ``inventory.json`` beside this module, some 25 KB: per year and kind of archive two bitmaps over the grid's
order, one bit a 5x5 archive and one bit a 1x1 archive, with the listing's date and origin. The command
``alos-mosaic inventory refresh`` writes it. It is a snapshot, so it advises and never forbids: what is absent is for
the source to say.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any, Final, Self

from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.grid import CELLS_PER_TILE, TILE_DEGREES, Cell, Tile, tiles_of_region
from alos_mosaic.products import FOREST_PRODUCT

FILE_NAME: Final = "inventory.json"
_SCHEMA_VERSION: Final = 1

_TILES: Final = tiles_of_region("global")
"""The grid's order, from the north-west row by row; a tile's cells follow one another in the order of its ``cells``."""
_POSITIONS: Final = {tile: position for position, tile in enumerate(_TILES)}


class ArchiveKind(StrEnum):
    """Which of JAXA's products an archive holds, as its name spells it."""

    MOSAIC = "MOS"
    FOREST = "FNF"

    @classmethod
    def of_product(cls, product: str | None) -> ArchiveKind:
        """Return what a product's archives are called; without one it is a year's own mosaic."""
        return cls.FOREST if product == FOREST_PRODUCT else cls.MOSAIC


@dataclass(frozen=True)
class Listing:
    """What JAXA publishes of one kind in one year."""

    date: str
    """When the server was listed: ``2021-04`` or ``2021-04-30``."""
    origin: str
    """Name of the listing file, or the server's URL."""
    tile_bits: bytes
    """One bit for each tile of the grid: whether there is a 5x5 archive."""
    cell_bits: bytes
    """25 bits for each tile of the grid: which of its cells have a 1x1 archive."""

    @classmethod
    def of(cls, date: str, origin: str, tiles: Iterable[Tile], cells: Iterable[Cell]) -> Self:
        """Return the listing that knows these archives."""
        tile_bits = _bitmap((_POSITIONS[tile] for tile in tiles), len(_TILES))
        cell_bits = _bitmap((_cell_position(cell) for cell in cells), len(_TILES) * CELLS_PER_TILE)
        return cls(date, origin, tile_bits, cell_bits)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Self:
        """Read the JSON form; :class:`InvalidRequestError` if its bitmaps are not of this grid."""
        tile_bits = _unpacked(given["tiles"], len(_TILES))
        cell_bits = _unpacked(given["cells"], len(_TILES) * CELLS_PER_TILE)
        return cls(given["date"], given["origin"], tile_bits, cell_bits)

    def to_dict(self) -> dict[str, str]:
        """Return the JSON form: bitmaps are deflated and spelt in base 64."""
        packed = {"tiles": _packed(self.tile_bits), "cells": _packed(self.cell_bits)}
        return {"date": self.date, "origin": self.origin, **packed}

    @property
    def tile_count(self) -> int:
        """Number of 5x5 archives."""
        return int.from_bytes(self.tile_bits).bit_count()

    @property
    def cell_count(self) -> int:
        """Number of 1x1 archives."""
        return int.from_bytes(self.cell_bits).bit_count()

    @functools.cached_property
    def tiles(self) -> frozenset[Tile]:
        """The tiles of which anything is published: a 5x5 archive, or some of its cells."""
        return frozenset(tile for tile in _TILES if _bit(self.tile_bits, _POSITIONS[tile]) or self._offsets(tile))

    def cells_of(self, tile: Tile) -> tuple[Cell, ...]:
        """Return the cells of a tile that have a 1x1 archive, in the tile's own order."""
        cells = tile.cells
        return tuple(cells[offset] for offset in self._offsets(tile))

    def cell_count_of(self, tile: Tile) -> int:
        """Return how many cells of a tile have a 1x1 archive."""
        return len(self._offsets(tile))

    def _offsets(self, tile: Tile) -> list[int]:
        first = _POSITIONS[tile] * CELLS_PER_TILE
        return [offset for offset in range(CELLS_PER_TILE) if _bit(self.cell_bits, first + offset)]


Inventory = Mapping[tuple[int, ArchiveKind], Listing]
"""Listings by year and kind."""


def known_years(kind: ArchiveKind = ArchiveKind.MOSAIC) -> tuple[int, ...]:
    """Return the years whose archives the inventory knows, in ascending order."""
    return tuple(sorted(year for year, known in packaged() if known is kind))


def listing_of(year: int, kind: ArchiveKind = ArchiveKind.MOSAIC) -> Listing | None:
    """Return what JAXA publishes of a year; None if the inventory does not know it."""
    return packaged().get((year, kind))


def nearest_listing(year: int, kind: ArchiveKind = ArchiveKind.MOSAIC) -> Listing | None:
    """Return the listing of a year or, if the inventory does not know it, of the nearest that it knows (the earlier one
    of two); None if it knows none of that kind.
    """
    return listing_of(min(known_years(kind), key=lambda known: abs(known - year), default=year), kind)


def tiles_of_year(year: int, kind: ArchiveKind = ArchiveKind.MOSAIC) -> frozenset[Tile]:
    """Return the tiles that JAXA publishes of a year; none if the inventory does not know the year.

    >>> len(tiles_of_year(2020)), len(tiles_of_year(2021))
    (1124, 0)
    """
    listing = listing_of(year, kind)
    return frozenset() if listing is None else listing.tiles


def cells_of_tile(year: int, tile: Tile, kind: ArchiveKind = ArchiveKind.MOSAIC) -> tuple[Cell, ...]:
    """Return the cells of a tile that JAXA publishes of a year, from the north-west row by row.

    >>> [cell.name for cell in cells_of_tile(2020, Tile.from_name("S05E055"))]
    ['S05E055', 'S05E056']
    """
    listing = listing_of(year, kind)
    return () if listing is None else listing.cells_of(tile)


@functools.cache
def tiles_of_any_year(kind: ArchiveKind = ArchiveKind.MOSAIC) -> frozenset[Tile]:
    """Return the tiles that exist in any year: those that a year may have which the inventory does not know."""
    return frozenset().union(*(tiles_of_year(year, kind) for year in known_years(kind)))


@functools.cache
def packaged() -> Inventory:
    """Return the inventory of this release, read when it is first asked for."""
    return parse(resources.files(__package__).joinpath(FILE_NAME).read_text(encoding="utf-8"))


def packaged_path() -> Path:
    """Return the file that :func:`packaged` reads."""
    return Path(__file__).with_name(FILE_NAME)


def parse(text: str) -> Inventory:
    """Read an inventory's JSON; :class:`InvalidRequestError` if it is none."""
    try:
        given = json.loads(text)
        if given["schema_version"] != _SCHEMA_VERSION:
            raise InvalidRequestError(f"the inventory has schema version {given['schema_version']!r}")
        return {
            (int(year), ArchiveKind(kind)): Listing.from_dict(listing)
            for year, kinds in given["years"].items()
            for kind, listing in kinds.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error, zlib.error) as error:
        raise InvalidRequestError(f"the inventory makes no sense: {error!r}") from error


def spell(inventory: Inventory) -> str:
    """Return an inventory as JSON, years in order, so that a refresh differs only where JAXA does."""
    years: dict[str, dict[str, dict[str, str]]] = {}
    for year, kind in sorted(inventory):
        years.setdefault(str(year), {})[kind.value] = inventory[year, kind].to_dict()
    return json.dumps({"schema_version": _SCHEMA_VERSION, "years": years}, indent=1) + "\n"


def _cell_position(cell: Cell) -> int:
    tile = cell.tile
    offset = (tile.north - cell.north) * TILE_DEGREES + cell.west - tile.west
    return _POSITIONS[tile] * CELLS_PER_TILE + offset


def _bitmap(positions: Iterable[int], length: int) -> bytes:
    bits = bytearray(-(-length // 8))
    for position in positions:
        bits[position // 8] |= 0x80 >> position % 8
    return bytes(bits)


def _bit(bits: bytes, position: int) -> bool:
    return bool(bits[position // 8] & 0x80 >> position % 8)


def _packed(bits: bytes) -> str:
    return base64.b64encode(zlib.compress(bits, 9)).decode()


def _unpacked(text: str, length: int) -> bytes:
    bits = zlib.decompress(base64.b64decode(text, validate=True))
    if len(bits) != -(-length // 8):
        raise InvalidRequestError(f"a bitmap of the inventory has {len(bits)} bytes, the grid {-(-length // 8)}")
    return bits
