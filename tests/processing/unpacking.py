"""Whole archives unpacked and read at once, as tests look at them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from alos_mosaic.bands import MASK, Band, possible_codes
from alos_mosaic.errors import CorruptArchiveError
from alos_mosaic.grid import Cell, Grid
from alos_mosaic.messages import TileYear
from alos_mosaic.missions import mission_of
from alos_mosaic.processing.archive import Member, Unpacking, Wanted
from alos_mosaic.processing.decoding import Pixels, clear_nodata, decode
from alos_mosaic.processing.mosaic import Mosaic, Recipe
from alos_mosaic.products import Product, product_of

Members = dict[Cell, dict[str, Member]]


@dataclass(frozen=True)
class Unpacked:
    """What an archive held."""

    members: Members
    sidecars: dict[Cell, Path]


def unpack(archive: Path, folder: Path, asked: TileYear, grid: Grid, product: Product | None = None) -> Unpacked:
    """Unpack with a new folder for scratch; a cell's defect is raised."""
    folder.mkdir()
    unpacking = Unpacking(Wanted(asked, grid, possible_codes(product), frozenset(asked.tile.cells)), folder)
    found: Members = {}
    with archive.open("rb") as file:
        for member in unpacking.members(file, archive.name):
            found.setdefault(member.name.cell, {})[member.name.band_code] = member
    for defect in unpacking.defects.values():
        raise CorruptArchiveError(f"{archive.name}: {defect}")
    return Unpacked(found, unpacking.sidecars)


def merge(members: Members, year: int, grid: Grid, product: Product | None = None) -> None:
    """Merge members as the pipeline does; a cell's defect is raised."""
    recipe = Recipe(mission_of(year), product or product_of(year), grid)
    with TemporaryDirectory() as folder, Mosaic(recipe, Path(folder)) as mosaic:
        for of_cell in members.values():
            for member in of_cell.values():
                mosaic.take(member)
        mosaic.finish()
    for defect in mosaic.defects.values():
        raise CorruptArchiveError(defect)


def read_cell(of_cell: dict[str, Member], band: Band, cell: Cell, grid: Grid) -> Pixels:
    """Return a cell's pixels of one band, 0 where there is no data."""
    decoded = decode(of_cell[band.code], band, cell, grid)
    mask = of_cell.get("mask")
    clear_nodata(decoded, band, None if mask is None else decode(mask, MASK, cell, grid).pixels == 0)
    return decoded.pixels
