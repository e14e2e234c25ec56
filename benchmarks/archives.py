"""Archives to be processed: full-size, made up, the same on every machine, made once and kept.

Pixels are those of :mod:`local.scenery` (speckled amplitude, dates in strips of orbits, a mask), with little sea, and
incidence angles made rough on land: gzip brings them down to about half, as it does with JAXA's.
``python -m benchmarks.archives`` makes one.
"""

from __future__ import annotations

import argparse
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import Final

import numpy as np

from alos_mosaic.bands import bands_of
from alos_mosaic.grid import TILE_DEGREES, Cell, Grid, Tile
from alos_mosaic.layouts import LAYOUTS
from alos_mosaic.missions import mission_of
from local.archives import CellPixels, make_cell, write_archive
from local.scenery import WATER

TILE: Final = Tile.from_name("S05W060")
_SEED: Final = 5
"""With this seed the tile is 76 % land, 5 % without data, and its north-west cells are nearly all land."""
_ROUGHNESS_DEGREES: Final = 1.2
"""Deviation of the noise on land's incidence angles. In a real cell, 19 % of neighbours on (rocky) land are equal and
half differ by a degree at most; with this, 22 and 59 %. Smooth angles would make zlib's level 9, which tries every
match in long runs of -1, 0 and 1, four times as slow, and the ancestor look worse than it is."""
_EDITION: Final = 3
"""Raised whenever the same parameters make other bytes, so that kept archives are not taken for new ones."""

FORMS: Final = {"envi": (2017, "palsar-2-v1"), "geotiff": (2020, "palsar-2-v2")}
"""Year and layout of each form: a tar.gz of raw ENVI members; a zip of GeoTIFFs (LZW strips of one row), sidecars."""


@dataclass(frozen=True)
class ArchiveSpec:
    """What an archive holds; the same spec always makes the same bytes."""

    form: str
    """A key of :data:`FORMS`."""
    cells: int
    """1, 4, 9, 16 or 25: a square in the tile's north-west."""
    cell_pixels: int = 4500

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise ValueError(f"form is one of {', '.join(FORMS)}, not {self.form!r}")
        if not 1 <= self.side <= TILE_DEGREES or self.side**2 != self.cells:
            raise ValueError(f"cells are 1, 4, 9, 16 or 25, a square, not {self.cells}")

    @property
    def side(self) -> int:
        """Cells along a side."""
        return isqrt(max(self.cells, 0))

    @property
    def year(self) -> int:
        """The mosaic's year."""
        return FORMS[self.form][0]

    @property
    def key(self) -> str:
        """The name under which the archive is kept."""
        return f"{self.form}-{self.cells}-cells-of-{self.cell_pixels}-edition-{_EDITION}"

    @property
    def squares(self) -> tuple[Cell, ...]:
        """The cells, row by row."""
        return tuple(
            cell
            for number, cell in enumerate(TILE.cells)
            if number // TILE_DEGREES < self.side and number % TILE_DEGREES < self.side
        )

    @property
    def raw_bytes(self) -> int:
        """Bytes of all pixels of all bands."""
        return self.cells * self.cell_pixels**2 * sum(band.bytes_per_pixel for band in bands_of(mission_of(self.year)))

    def mirror(self, kept: Path) -> Path:
        """Return the folder that holds JAXA's tree with nothing but this archive in it."""
        return kept / self.key

    def path(self, kept: Path) -> Path:
        """Return where the archive lies below the folder of kept archives."""
        layout = next(row for row in LAYOUTS if row.name == FORMS[self.form][1])
        return self.mirror(kept) / layout.archive_path(TILE, self.year)


def ensure_archive(spec: ArchiveSpec, kept: Path) -> Path:
    """Return the archive's path, made now unless it is there already."""
    path = spec.path(kept)
    if not path.exists():
        # Written under another name first: what lies there under its own is whole.
        unfinished = path.with_name(f"unfinished-{os.getpid()}-{path.name}")
        write_archive(unfinished, _made(spec), spec.year)
        unfinished.replace(path)
    return path


def _made(spec: ArchiveSpec) -> Iterator[CellPixels]:
    """Yield the cells' pixels in order, made in threads, no more ahead than there are threads: a cell has 162 MB."""
    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        yield from _ahead((pool.submit(make_rough_cell, cell, spec) for cell in spec.squares), threads)


def make_rough_cell(cell: Cell, spec: ArchiveSpec) -> CellPixels:
    """Return a cell's bands as they stand in an archive of that spec."""
    made = make_cell(cell, spec.year, Grid(spec.cell_pixels), _SEED)
    angles, on_land = made.arrays["linci"], made.arrays["mask"] > WATER
    random = np.random.default_rng([spec.year, cell.north + 90, cell.west + 180])
    noise = np.rint(random.normal(0, _ROUGHNESS_DEGREES, 1 << 16)).astype(np.int16)
    rough = noise[random.integers(0, noise.size, angles.shape, np.uint16)]
    rough += angles
    np.clip(rough, 5, 88, out=rough)  # 1 is nodata in some forms
    return CellPixels(cell, made.arrays | {"linci": np.where(on_land, rough, angles).astype(angles.dtype)})


def _ahead(submissions: Iterable[Future[CellPixels]], count: int) -> Iterator[CellPixels]:
    waiting: deque[Future[CellPixels]] = deque()
    for future in submissions:
        waiting.append(future)
        if len(waiting) > count:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def main(arguments: list[str] | None = None) -> None:
    """Make one archive; a process of its own, so that its memory does not count for anybody else."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--form", choices=sorted(FORMS), required=True)
    parser.add_argument("--cells", type=int, required=True)
    parser.add_argument("--cell-pixels", type=int, default=4500)
    parser.add_argument("--kept", type=Path, required=True)
    options = parser.parse_args(arguments)
    ensure_archive(ArchiveSpec(options.form, options.cells, options.cell_pixels), options.kept)


if __name__ == "__main__":
    main()
