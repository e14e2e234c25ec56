"""Pyramids, against rasters halved as a whole."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import rasterio

from alos_mosaic.bands import BANDS, Band, Resampling
from alos_mosaic.errors import OutputError
from alos_mosaic.grid import Cell, Grid
from alos_mosaic.processing.cog import write_cog
from alos_mosaic.processing.pyramid import Pyramid
from alos_mosaic.processing.spill import Spill
from tests.processing.pyramids import TILE, levels_of


def tile_of(cells: list[Cell], band: Band, grid: Grid) -> np.ndarray:
    rng = np.random.default_rng(5)
    tile = np.zeros((grid.tile_pixels, grid.tile_pixels), band.dtype)
    for cell in cells:
        top, left = grid.offset(cell)
        pixels = rng.integers(0, 4, (grid.cell_pixels, grid.cell_pixels))
        pixels[: grid.cell_pixels // 3] = 0
        tile[top : top + grid.cell_pixels, left : left + grid.cell_pixels] = pixels
    return tile


@pytest.mark.parametrize("cell_pixels", [1, 30, 102, 103, 129, 333, 512])
@pytest.mark.parametrize("count", [1, 7, 24, 25])
@pytest.mark.parametrize("code", ["HH", "linci", "mask"])
def test_cells_in_any_order_from_any_thread_make_the_same_raster(
    tmp_path: Path, cell_pixels: int, count: int, code: str
) -> None:
    grid, band = Grid(cell_pixels), BANDS[code]
    cells = random.Random(count).sample(TILE.cells, count)
    tile = tile_of(cells, band, grid)

    def add(cell: Cell) -> None:
        top, left = grid.offset(cell)
        pyramid.add(tile[top : top + cell_pixels, left : left + cell_pixels].copy(), top, left)

    with Spill(tmp_path / "blocks") as spill, ThreadPoolExecutor(4) as threads:
        pyramid = Pyramid(band, grid, band.resampling, spill)
        list(threads.map(add, cells))
        pyramid.finish()
        write_cog(pyramid, TILE, grid, tmp_path / "tile.tif")
    for number, level in enumerate(levels_of(tile, band.resampling)):
        overview = {} if number == 0 else {"overview_level": number - 1}
        with rasterio.open(tmp_path / "tile.tif", **overview) as dataset:
            np.testing.assert_array_equal(dataset.read(1), level)


def test_a_block_is_compressed_as_soon_as_all_cells_that_touch_it_are_there(tmp_path: Path) -> None:
    grid = Grid(512)  # cells and blocks coincide
    with Spill(tmp_path / "blocks") as spill:
        pyramid = Pyramid(BANDS["mask"], grid, Resampling.MODE, spill)
        for number, cell in enumerate(TILE.cells, start=1):
            pyramid.add(np.ones((512, 512), "uint8"), *grid.offset(cell))
            assert len(pyramid.levels[0].stored) == number
    with Spill(tmp_path / "more") as spill:
        grid = Grid(500)
        pyramid = Pyramid(BANDS["mask"], grid, Resampling.MODE, spill)
        pyramid.add(np.ones((500, 500), "uint8"), 0, 0)
        assert not pyramid.levels[0].stored
        pyramid.add(np.ones((500, 500), "uint8"), 0, 500)
        pyramid.add(np.ones((500, 500), "uint8"), 500, 0)
        assert not pyramid.levels[0].stored
        pyramid.add(np.ones((500, 500), "uint8"), 500, 500)
        assert set(pyramid.levels[0].stored) == {(0, 0)}


def test_nothing_stays_behind_on_disk_and_a_full_one_is_typed(tmp_path: Path) -> None:
    with Spill(tmp_path / "blocks") as spill:
        place = spill.write(b"some bytes")
        assert spill.read(place) == b"some bytes"
    assert not list(tmp_path.iterdir())
    with pytest.raises(OutputError, match="blocks"):
        Spill(tmp_path / "gone" / "blocks")


def test_blocks_that_cannot_be_spilled_are_the_disks_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with Spill(tmp_path / "blocks") as spill:
        monkeypatch.setattr("os.pwrite", full)
        with pytest.raises(OutputError, match="No space left"):
            spill.write(b"x")
