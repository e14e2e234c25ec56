"""What an archive holds, member by member: names, sizes, types, tags, and values against the mask."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alos_mosaic.bands import BANDS, FOREST, MASK, NODATA, bands_of, possible_codes
from alos_mosaic.errors import CorruptArchiveError, InvalidRequestError
from alos_mosaic.grid import Cell, Grid, Tile
from alos_mosaic.messages import TileYear
from alos_mosaic.missions import MISSIONS, mission_of
from alos_mosaic.naming import parse_member
from alos_mosaic.processing.archive import Member, Unpacking, Wanted, allowance_of
from alos_mosaic.processing.containers import entries, is_archive
from alos_mosaic.processing.decoding import Decoded, Where, decode, driver_of
from alos_mosaic.products import FOREST_PRODUCT, Product, product_of

_ARCHIVE_NAME: Final = re.compile(r"(?P<square>[NS]\d{2}[EW]\d{3})_(?P<year>\d{4}|\d{2})_(?P<is_forest>FNF)?")
_CENTURY: Final = 100


@dataclass(frozen=True)
class MemberFacts:
    """One raster of an archive as it stands there, before anything is made of it."""

    file_name: str
    cell: str
    band: str
    driver: str
    size_bytes: int
    dtype: str | None = None
    nodata: float | None = None
    """The file's own tag; None if it has none that one of its pixels could hold."""
    minimum: int | None = None
    maximum: int | None = None
    """Of all pixels, nodata included."""
    masked: int = 0
    """Pixels that the cell's mask calls no data."""
    masked_other: int = 0
    """Those of them that are neither 0 nor the tag."""
    unmasked_nodata: int = 0
    """Pixels that hold the tag (or 0 without one) where the mask says data."""
    problem: str | None = None


@dataclass(frozen=True)
class Inspection:
    """What an archive holds and what is wrong with it."""

    archive: str
    size_bytes: int
    tile: str
    year: int
    product: str
    cells: tuple[str, ...]
    members: tuple[MemberFacts, ...]
    mask_values: dict[int, int] = field(default_factory=dict)
    """Pixels by value of the mask, over all cells."""
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    """What is odd and stands in no tile's way."""

    @property
    def works(self) -> bool:
        """Whether a tile can be made of it."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {**asdict(self), "works": self.works}


def inspect_archive(archive: Path, work: Path, grid: Grid | None = None) -> Inspection:
    """Look at every raster of an archive; ``work`` is an existing folder for scratch.

    It is read twice: a cell's mask may stand behind what it masks. Raises :class:`CorruptArchiveError` for what can't
    be unpacked and :class:`InvalidRequestError` for an archive whose tile and year no name tells.
    """
    grid = grid or Grid()
    tile_year, product = guess_contents(archive, grid)
    wanted = Wanted(tile_year, grid, possible_codes(product), frozenset(tile_year.tile.cells))
    masks = _Masks()
    for member in _members(archive, Unpacking(wanted, work)):
        if member.name.band_code == MASK.code:
            masks.add(member, grid)
    second = Unpacking(wanted, work)
    facts = [_facts(member, masks, grid) for member in _members(archive, second)]
    cells = sorted({Cell.from_name(fact.cell) for fact in facts})
    return Inspection(
        archive.name,
        archive.stat().st_size,
        tile_year.tile.name,
        tile_year.year,
        product.name,
        tuple(cell.name for cell in cells),
        tuple(sorted(facts, key=lambda fact: (Cell.from_name(fact.cell), fact.file_name))),
        dict(sorted(masks.counts.items())),
        tuple(_problems(facts, second.defects, tile_year, product)),
        tuple(f"sidecar left out: {text}" for _, text in sorted(second.sidecar_problems.items())),
    )


class _Masks:
    """Where the masks are 0, packed, and how often each value occurs over all of them."""

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self._bits: dict[Cell, npt.NDArray[np.uint8]] = {}

    def add(self, member: Member, grid: Grid) -> None:
        try:
            mask = _decoded(member, grid).pixels
        except CorruptArchiveError:  # told of as a fact of the member
            return
        self._bits[member.name.cell] = np.packbits(mask == NODATA)
        for value, count in zip(*np.unique(mask, return_counts=True), strict=True):
            self.counts[int(value)] = self.counts.get(int(value), 0) + int(count)

    def masked(self, cell: Cell, shape: tuple[int, ...]) -> Where | None:
        """Return where a cell's mask is 0; None without a mask."""
        bits = self._bits.get(cell)
        if bits is None:
            return None
        return np.unpackbits(bits, count=math.prod(shape)).view(bool).reshape(shape)


def _members(archive: Path, unpacking: Unpacking) -> Iterator[Member]:
    with archive.open("rb") as file:
        yield from unpacking.members(file, archive.name)


def guess_contents(archive: Path, grid: Grid) -> tuple[TileYear, Product]:
    """Return what the first raster in an archive is of, or else what its own name or that of one in it says.

    Raises as :func:`inspect_archive` does.
    """
    names = [archive.name]
    with archive.open("rb") as file:
        try:
            for entry in entries(file, allowance_of(grid)):
                if (parsed := parse_member(entry.name)) is not None:
                    return _contents(parsed.cell.tile, parsed.year_digits, parsed.band_code == FOREST.code)
                names += [entry.name] if is_archive(entry.name) else []
        except CorruptArchiveError as error:
            raise CorruptArchiveError(f"{archive.name}: {error}") from error
    for number, match in enumerate(map(_ARCHIVE_NAME.match, names)):
        if match is not None:
            tile = Tile.from_name(match["square"]) if number == 0 else Cell.from_name(match["square"]).tile
            return _contents(tile, match["year"], match["is_forest"] is not None)
    raise InvalidRequestError(f"neither {archive.name} nor what it holds tells a tile and a year")


def _contents(tile: Tile, year_digits: str, is_forest: bool) -> tuple[TileYear, Product]:
    year = _full_year(year_digits)
    return TileYear(year, tile), product_of(year, FOREST_PRODUCT if is_forest else None)


def _full_year(digits: str) -> int:
    """Return a year of four digits: two mean the 1900s from the first mission's first year on.

    >>> _full_year("96"), _full_year("09"), _full_year("2020")
    (1996, 2009, 2020)
    """
    year = int(digits)
    if year >= _CENTURY:
        return year
    return year + (1900 if year >= MISSIONS[0].first_year % _CENTURY else 2000)


def _decoded(member: Member, grid: Grid) -> Decoded:
    return decode(member, BANDS[member.name.band_code], member.name.cell, grid)


def _facts(member: Member, masks: _Masks, grid: Grid) -> MemberFacts:
    name = member.name
    common = (member.file_name, name.cell.name, name.band_code, driver_of(member), len(member.content))
    try:
        decoded = _decoded(member, grid)
    except CorruptArchiveError as error:
        return MemberFacts(*common, problem=str(error))
    pixels, nodata = decoded.pixels, decoded.nodata
    facts = (str(pixels.dtype), nodata, int(pixels.min()), int(pixels.max()))
    if name.band_code == FOREST.code:  # 0 is its nodata, there is no mask
        return MemberFacts(*common, *facts)
    masked = masks.masked(name.cell, pixels.shape)
    if masked is None:
        return MemberFacts(*common, *facts, problem=f"{member.file_name} has no mask to compare with")
    is_tag = pixels == (NODATA if nodata is None else nodata)
    return MemberFacts(
        *common,
        *facts,
        masked=int(np.count_nonzero(masked)),
        masked_other=int(np.count_nonzero(masked & (pixels != NODATA) & ~is_tag)),
        unmasked_nodata=int(np.count_nonzero(~masked & is_tag)),
    )


def _problems(
    facts: list[MemberFacts], defects: dict[Cell, str], tile_year: TileYear, product: Product
) -> Iterator[str]:
    yield from (fact.problem for fact in facts if fact.problem is not None)
    yield from (text for _, text in sorted(defects.items()))
    required = bands_of(mission_of(tile_year.year), product)
    for cell in sorted({fact.cell for fact in facts}):
        found = {fact.band for fact in facts if fact.cell == cell}
        missing = [band.code for band in required if band.code not in found]
        if missing:
            yield f"cell {cell} has no {', '.join(missing)}"
