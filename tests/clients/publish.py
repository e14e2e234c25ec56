"""Publish tiny synthetic tiles for the clients to open, and the arrays they must see: ``FOLDER/expected/2020_hh.npy``.

Run with the project's own environment: ``python -m tests.clients.publish FOLDER``. The clients have one of their own.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Final

import numpy as np

from alos_mosaic.bands import bands_of
from alos_mosaic.grid import Grid, Tile
from alos_mosaic.messages import TileRequest, TileYear
from alos_mosaic.missions import mission_of
from alos_mosaic.processing.pipeline import Workplace, process_tile, work_folder
from alos_mosaic.processing.publish import FileTarget
from alos_mosaic.results import State
from local.archives import CellPixels, first_layout, make_cell, write_archive

TILE: Final = Tile.from_name("N10E010")
GRID: Final = Grid(220)
"""A tile is 1100 pixels a side: more than one block, with overviews."""
CELLS_BY_YEAR: Final = {1996: (0, 1, 7), 2009: (0, 4, 7), 2020: (0, 6, 7)}
"""Which of the 25, row by row: the corner is among them, no two years have the same, the south has none."""


def publish(folder: Path) -> None:
    """Publish the tile of every year into the folder, by the pipeline, and leave the expected arrays beside it."""
    expected = folder.absolute() / "expected"
    expected.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for year, indices in CELLS_BY_YEAR.items():
            cells = [make_cell(TILE.cells[index], year, GRID) for index in indices]
            mirror = Path(scratch, "mirror")
            write_archive(mirror / first_layout(year).archive_path(TILE, year), cells, year)
            with work_folder(Path(scratch, "work")) as work:
                place = Workplace(mirror.as_uri(), FileTarget(folder), work, grid=GRID)
                result = process_tile(TileRequest(TileYear(year, TILE)), place)
            if result.state is not State.PUBLISHED:
                raise RuntimeError(f"{TILE} of {year} ended as {result.state}, not as published")
            _save_expected(expected, year, cells)


def _save_expected(folder: Path, year: int, cells: list[CellPixels]) -> None:
    """Save every band of the whole tile, 0 where there is no data: (rows, columns) from the north-west."""
    for band in bands_of(mission_of(year)):
        whole = np.zeros((GRID.tile_pixels, GRID.tile_pixels), band.dtype)
        for cell in cells:
            row, column = GRID.offset(cell.cell)
            pixels = np.where(cell.arrays["mask"] == 0, 0, cell.arrays[band.code])
            whole[row : row + GRID.cell_pixels, column : column + GRID.cell_pixels] = pixels
        np.save(folder / f"{year}_{band.measurement}.npy", whole)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    publish(parser.parse_args().folder)
