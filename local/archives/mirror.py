"""Archives in their places below a mirror of the server."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from alos_mosaic.grid import Cell, Grid, Tile
from alos_mosaic.layouts import Layout, layouts_of
from alos_mosaic.missions import mission_of
from local.archives.containers import FLAT, Files, Packing, write_files
from local.archives.members import FIRST_NAMING, Naming, members
from local.archives.pixels import CellPixels, Form, make_cell

_FIRST_RELEASE: Final = 1


def first_layout(year: int) -> Layout:
    """Return the layout in which a year was first published: a tar.gz."""
    return next(row for row in layouts_of(mission_of(year)) if row.release == _FIRST_RELEASE)


def write_archive(
    path: Path,
    cells: Iterable[CellPixels],
    year: int,
    form: Form | None = None,
    extra_members: Files = (),
    *,
    naming: Naming = FIRST_NAMING,
    packing: Packing = FLAT,
) -> Path:
    """Write the cells' members and then the extra ones (any names, for hostile archives); return the path.

    A path that ends with ``.zip`` becomes a zip, any other a tar.gz. ``form`` is the year's unless told; nodata is not
    adapted to it: give :func:`make_cell` the same form.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    own = (member for pixels in cells for member in members(pixels, year, form, naming))
    write_files(path, _chained(own, extra_members), packing)
    return path


def _chained(*parts: Files) -> Iterator[tuple[str, bytes]]:
    for part in parts:
        yield from part


def place_archive(
    mirror: Path, tile: Tile, year: int, grid: Grid, cells: Sequence[Cell] | None = None, seed: int = 0
) -> Path:
    """Write a tile's archive, of all 25 cells or of these, where the server keeps it below ``mirror``."""
    made = (make_cell(cell, year, grid, seed) for cell in (tile.cells if cells is None else cells))
    return write_archive(mirror / first_layout(year).archive_path(tile, year), made, year)


def place_cell_archive(
    mirror: Path, made: CellPixels, year: int, layout: Layout | None = None, form: Form | None = None
) -> Path:
    """Write a cell's own archive where the server keeps it below ``mirror``."""
    row = layout or first_layout(year)
    return write_archive(mirror / row.cell_archive_path(made.cell, year), [made], year, form)


def add_archive_file(mirror: Path, tile: Tile, year: int, archive: Path) -> Path:
    """Copy an existing file to the tile's place below ``mirror``, whatever it is called or holds."""
    path = mirror / first_layout(year).archive_path(tile, year)
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(archive, path)
    return path
