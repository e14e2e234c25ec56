"""What an archive holds, member by member: names, sizes, types, tags, and values against the mask."""

from __future__ import annotations

import gzip
import math
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from rasterio.errors import RasterioError

from alos_mosaic.bands import BANDS, MASK, bands_of, possible_codes
from alos_mosaic.errors import CorruptArchiveError, InvalidRequestError, MosaicError
from alos_mosaic.grid import Cell, Grid, Tile
from alos_mosaic.messages import TileYear
from alos_mosaic.missions import MISSIONS, mission_of
from alos_mosaic.naming import parse_member
from alos_mosaic.processing.archive import Member, Unpacking, Wanted
from alos_mosaic.processing.decoding import Pixels, Where, decode, driver_of, opened, read_pixels

_ARCHIVE_NAME: Final = re.compile(r"([NS]\d{2}[EW]\d{3})_(\d{4}|\d{2})_")
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
    """The file's own tag; None if it has none."""
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
    cells: tuple[str, ...]
    members: tuple[MemberFacts, ...]
    mask_values: dict[int, int] = field(default_factory=dict)
    """Pixels by value of the mask, over all cells."""
    problems: tuple[str, ...] = ()

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
    tile_year = guess_tile_year(archive)
    wanted = Wanted(tile_year, grid or Grid(), possible_codes(), frozenset(tile_year.tile.cells))
    masks = _Masks()
    for member in _members(archive, Unpacking(wanted, work)):
        if member.name.band_code == MASK.code:
            masks.add(member)
    second = Unpacking(wanted, work)
    facts = [_facts(member, masks, wanted.grid) for member in _members(archive, second)]
    cells = sorted({Cell.from_name(fact.cell) for fact in facts})
    return Inspection(
        archive.name,
        archive.stat().st_size,
        tile_year.tile.name,
        tile_year.year,
        tuple(cell.name for cell in cells),
        tuple(sorted(facts, key=lambda fact: (Cell.from_name(fact.cell), fact.file_name))),
        dict(sorted(masks.counts.items())),
        tuple(_problems(facts, second.defects, tile_year)),
    )


class _Masks:
    """Where the masks are 0, packed, and how often each value occurs over all of them."""

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self._bits: dict[Cell, tuple[npt.NDArray[np.uint8], tuple[int, ...]]] = {}

    def add(self, member: Member) -> None:
        try:
            mask = _raw(member)[0]
        except CorruptArchiveError:  # told of as a fact of the member
            return
        self._bits[member.name.cell] = np.packbits(mask == 0), mask.shape
        for value, count in zip(*np.unique(mask, return_counts=True), strict=True):
            self.counts[int(value)] = self.counts.get(int(value), 0) + int(count)

    def masked(self, cell: Cell, shape: tuple[int, ...]) -> Where | None:
        """Return where a cell's mask is 0; None without a mask of that shape."""
        bits, of_mask = self._bits.get(cell, (None, ()))
        if bits is None or of_mask != shape:
            return None
        return np.unpackbits(bits, count=math.prod(shape)).view(bool).reshape(shape)


def _members(archive: Path, unpacking: Unpacking) -> Iterator[Member]:
    with archive.open("rb") as file:
        yield from unpacking.members(file, archive.name)


def guess_tile_year(archive: Path) -> TileYear:
    """Return the tile and year of the first raster in an archive, or else of the archive's own name."""
    try:
        for name in _member_names(archive):
            parsed = parse_member(PurePosixPath(name).name)
            if parsed is not None:
                return TileYear(_full_year(parsed.year_digits), parsed.cell.tile)
    except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error) as error:
        raise CorruptArchiveError(f"{archive.name} is truncated or no archive: {error}") from error
    match = _ARCHIVE_NAME.match(archive.name)
    if match is None:
        raise InvalidRequestError(f"neither {archive.name} nor what it holds tells a tile and a year")
    return TileYear(_full_year(match[2]), Tile.from_name(match[1]))


def _member_names(archive: Path) -> Iterator[str]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as content:
            yield from content.namelist()
        return
    with gzip.open(archive) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
        yield from (info.name for info in tar)


def _full_year(digits: str) -> int:
    """Return a year of four digits: two mean the 1900s from the first mission's first year on.

    >>> _full_year("96"), _full_year("09"), _full_year("2020")
    (1996, 2009, 2020)
    """
    year = int(digits)
    if year >= _CENTURY:
        return year
    return year + (1900 if year >= MISSIONS[0].first_year % _CENTURY else 2000)


def _raw(member: Member) -> tuple[Pixels, float | None]:
    try:
        with opened(member) as dataset:
            return read_pixels(dataset, member), dataset.nodata
    except RasterioError as error:
        raise CorruptArchiveError(f"{member.file_name} can't be read: {error}") from error


def _facts(member: Member, masks: _Masks, grid: Grid) -> MemberFacts:
    name = member.name
    common = (member.file_name, name.cell.name, name.band_code, driver_of(member), len(member.content))
    try:
        pixels, nodata = _raw(member)
        decode(member, BANDS[name.band_code], name.cell, grid)  # compares the member with its name
    except MosaicError as error:
        return MemberFacts(*common, problem=str(error))
    facts = (str(pixels.dtype), nodata, int(pixels.min()), int(pixels.max()))
    masked = masks.masked(name.cell, pixels.shape)
    if masked is None:
        return MemberFacts(*common, *facts, problem=f"{member.file_name} has no mask to compare with")
    tag = 0 if nodata is None else int(nodata)
    other = masked & (pixels != 0) & (pixels != tag)
    return MemberFacts(
        *common,
        *facts,
        masked=int(np.count_nonzero(masked)),
        masked_other=int(np.count_nonzero(other)),
        unmasked_nodata=int(np.count_nonzero(~masked & (pixels == tag))),
    )


def _problems(facts: list[MemberFacts], defects: dict[Cell, str], tile_year: TileYear) -> Iterator[str]:
    yield from (fact.problem for fact in facts if fact.problem is not None)
    yield from (text for _, text in sorted(defects.items()))
    required = bands_of(mission_of(tile_year.year))
    for cell in sorted({fact.cell for fact in facts}):
        found = {fact.band for fact in facts if fact.cell == cell}
        missing = [band.code for band in required if band.code not in found]
        if missing:
            yield f"cell {cell} has no {', '.join(missing)}"
