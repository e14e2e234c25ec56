"""What an archive holds, member by member: names, sizes, types, tags, and values against the mask."""

from __future__ import annotations

import gzip
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
import rasterio
from rasterio.errors import RasterioError
from rasterio.session import DummySession

from alos_mosaic.bands import BANDS, MASK
from alos_mosaic.errors import CorruptArchiveError, InvalidRequestError, MosaicError
from alos_mosaic.grid import Cell, Grid, Tile
from alos_mosaic.messages import TileYear
from alos_mosaic.missions import MISSIONS, mission_of
from alos_mosaic.naming import parse_member
from alos_mosaic.processing.archive import Member, Members, unpack
from alos_mosaic.processing.mosaic import Pixels, check_complete, read_cell

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
    """Unpack an archive into ``work`` (an existing folder) and look at every raster.

    Raises :class:`CorruptArchiveError` for what can't be unpacked and :class:`InvalidRequestError` for an archive whose
    tile and year no name tells.
    """
    grid = grid or Grid()
    tile_year = guess_tile_year(archive)
    members = unpack(archive, work / "members", tile_year, grid).members
    facts: list[MemberFacts] = []
    mask_values: dict[int, int] = {}
    with rasterio.Env(session=DummySession()):
        for cell, of_cell in sorted(members.items()):
            mask = _raw(of_cell[MASK.code])[0] if MASK.code in of_cell else None
            facts.extend(_facts(member, cell, of_cell, mask, grid) for member in of_cell.values())
            for value, count in _counts(mask):
                mask_values[value] = mask_values.get(value, 0) + count
    return Inspection(
        archive.name,
        archive.stat().st_size,
        tile_year.tile.name,
        tile_year.year,
        tuple(cell.name for cell in sorted(members)),
        tuple(facts),
        dict(sorted(mask_values.items())),
        tuple(_problems(members, facts, tile_year)),
    )


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
    driver = _driver(member)
    try:
        with rasterio.open(member.path, driver=driver) as dataset:
            pixels: Pixels = dataset.read(1)
            return pixels, dataset.nodata
    except RasterioError as error:
        raise CorruptArchiveError(f"{member.path.name} can't be read: {error}") from error


def _driver(member: Member) -> str:
    return "GTiff" if member.name.extension == ".tif" else "ENVI"


def _facts(member: Member, cell: Cell, of_cell: dict[str, Member], mask: Pixels | None, grid: Grid) -> MemberFacts:
    common = (member.path.name, cell.name, member.name.band_code, _driver(member), member.path.stat().st_size)
    try:
        pixels, nodata = _raw(member)
        if mask is not None:
            read_cell(of_cell, BANDS[member.name.band_code], cell, grid)  # compares the member with its name
    except MosaicError as error:
        return MemberFacts(*common, problem=str(error))
    facts = (str(pixels.dtype), nodata, int(pixels.min()), int(pixels.max()))
    if mask is None or mask.shape != pixels.shape:
        return MemberFacts(*common, *facts, problem=f"{member.path.name} has no mask to compare with")
    masked = mask == 0
    tag = 0 if nodata is None else int(nodata)
    other = masked & (pixels != 0) & (pixels != tag)
    return MemberFacts(
        *common,
        *facts,
        masked=int(np.count_nonzero(masked)),
        masked_other=int(np.count_nonzero(other)),
        unmasked_nodata=int(np.count_nonzero(~masked & (pixels == tag))),
    )


def _counts(mask: Pixels | None) -> list[tuple[int, int]]:
    if mask is None:
        return []
    values, counts = np.unique(mask, return_counts=True)
    return list(zip(values.tolist(), counts.tolist(), strict=True))


def _problems(members: Members, facts: list[MemberFacts], tile_year: TileYear) -> Iterator[str]:
    yield from (fact.problem for fact in facts if fact.problem is not None)
    try:
        check_complete(members, mission_of(tile_year.year))
    except CorruptArchiveError as error:
        yield str(error)
