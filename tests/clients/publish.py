"""Publish tiny synthetic tiles for the clients to open, and the arrays they must see: ``FOLDER/expected/2020_hh.npy``.

Run with the project's own environment: ``python -m tests.clients.publish FOLDER``. The clients have one of their own.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from alos_mosaic.bands import BANDS
from alos_mosaic.grid import Cell, Grid, Tile
from alos_mosaic.layouts import layouts_of
from alos_mosaic.messages import TileRequest, TileYear
from alos_mosaic.missions import mission_of
from alos_mosaic.processing.pipeline import Workplace, process_tile, work_folder
from alos_mosaic.processing.publish import FileTarget
from alos_mosaic.products import FOREST_PRODUCT
from alos_mosaic.results import State
from local.archives import CellPixels, make_cell, make_forest_cell, make_quad_cell, write_archive

GRID: Final = Grid(220)
"""A tile is 1100 pixels a side: more than one block, with overviews."""


@dataclass(frozen=True)
class Case:
    """A tile to publish."""

    tile: str
    cells: tuple[int, ...]
    """Which of the 25, row by row."""
    product: str | None = None
    """The year's own mosaic unless told."""
    first: Callable[[Cell, int, Grid], CellPixels] = make_cell
    """How the first of the cells is made."""
    others: Callable[[Cell, int, Grid], CellPixels] = make_cell


CASES: Final = {
    1996: Case("N10E010", (0, 1, 7)),
    2009: Case("N10E010", (0, 4, 7)),
    2010: Case("N10E010", (0, 6, 8), FOREST_PRODUCT, make_forest_cell, make_forest_cell),
    2016: Case("N10E010", (0, 2, 7), first=make_quad_cell),
    2017: Case("N70E175", (4, 8, 9)),
    2018: Case("N70W180", (0, 5, 6)),
    2020: Case("N10E010", (0, 6, 7)),
}
"""By year, each of which has one. No two years have the same cells and the south has none; those of 2009, 1996 and 2020
hold the corner, 2010 is a forest map, one cell of 2016 has VH and VV, 2017 and 2018 touch the antimeridian."""


def publish(folder: Path) -> None:
    """Publish the tile of every year into the folder, by the pipeline, and leave the expected arrays beside it."""
    expected = folder.absolute() / "expected"
    expected.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for year, case in CASES.items():
            tile = Tile.from_name(case.tile)
            cells = [
                (case.others if number else case.first)(tile.cells[index], year, GRID)
                for number, index in enumerate(case.cells)
            ]
            mirror = Path(scratch, "mirror")
            layout = next(row for row in layouts_of(mission_of(year), case.product) if row.release == 1)
            write_archive(mirror / layout.archive_path(tile, year), cells, year)
            with work_folder(Path(scratch, "work")) as work:
                place = Workplace(mirror.as_uri(), FileTarget(folder), work, grid=GRID)
                result = process_tile(TileRequest(TileYear(year, tile), product=case.product), place)
            if result.state is not State.PUBLISHED:
                raise RuntimeError(f"{tile} of {year} ended as {result.state}, not as published")
            _save_expected(expected, year, cells)


def _save_expected(folder: Path, year: int, cells: list[CellPixels]) -> None:
    """Save every band of the whole tile, 0 where there is no data: (rows, columns) from the north-west."""
    for code in {code for cell in cells for code in cell.arrays}:
        whole = np.zeros((GRID.tile_pixels, GRID.tile_pixels), BANDS[code].dtype)
        for cell in cells:
            if code in cell.arrays:
                row, column = GRID.offset(cell.cell)
                pixels = np.where(cell.arrays.get("mask", 1) == 0, 0, cell.arrays[code])
                whole[row : row + GRID.cell_pixels, column : column + GRID.cell_pixels] = pixels
        np.save(folder / f"{year}_{BANDS[code].measurement}.npy", whole)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    publish(parser.parse_args().folder)
