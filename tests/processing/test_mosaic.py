"""Merging, where it goes wrong."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from alos_mosaic.errors import OutputError
from alos_mosaic.grid import Grid, Tile
from alos_mosaic.messages import TileYear
from alos_mosaic.missions import mission_of
from alos_mosaic.processing import mosaic as mosaic_module
from alos_mosaic.processing.archive import Member, Unpacking, Wanted
from alos_mosaic.processing.buffers import Buffers
from alos_mosaic.processing.mosaic import Mosaic, Recipe
from alos_mosaic.processing.spill import Spill
from alos_mosaic.products import product_of
from local.archives import place_archive

TILE = Tile.from_name("N10E010")
YEAR = 2017
RECIPE_CODES = frozenset({"HH", "HV", "linci", "date", "mask"})


@pytest.fixture
def grid() -> Grid:
    """Cells as large as blocks, so that each is compressed when it comes."""
    return Grid(512)


@pytest.fixture
def archive(tmp_path: Path, grid: Grid) -> Path:
    return place_archive(tmp_path / "mirror", TILE, YEAR, grid)


def _members(archive: Path, folder: Path, grid: Grid, buffers: Buffers) -> Iterator[Member]:
    wanted = Wanted(TileYear(YEAR, TILE), grid, RECIPE_CODES, frozenset(TILE.cells))
    with archive.open("rb") as file:
        yield from Unpacking(wanted, folder, buffers).members(file, archive.name)


def test_a_full_disk_ends_the_merging_at_once_and_keeps_no_member(
    archive: Path, tmp_path: Path, grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_spill: Spill, _content: bytes) -> None:
        raise OutputError("can't write HH.blocks: No space left on device")

    monkeypatch.setattr(Spill, "write", full)
    recipe, taken = Recipe(mission_of(YEAR), product_of(YEAR), grid), 0
    with Mosaic(recipe, tmp_path, Buffers()) as mosaic:
        with pytest.raises(OutputError, match="No space left"):
            for member in _members(archive, tmp_path, grid, Buffers()):
                mosaic.take(member)
                taken += 1
            mosaic.finish()
        del member
        gc.collect()
        kept = [each for each in gc.get_objects() if isinstance(each, Member)]
    under_way = (os.cpu_count() or 1) + mosaic_module._TASKS_AHEAD
    assert taken <= under_way + 2 * 5, "of 125 members only those of a cell or two go ahead of the first that fails"
    assert len(kept) <= under_way + 2 * 5, "those under way, and those of cells that wait for their masks"


def test_a_failure_is_told_also_when_nothing_more_is_taken(
    archive: Path, tmp_path: Path, grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, members = Recipe(mission_of(YEAR), product_of(YEAR), grid), Buffers()
    with Mosaic(recipe, tmp_path, members) as mosaic:
        taken = list(_members(archive, tmp_path, grid, members))
        monkeypatch.setattr(Mosaic, "_add", _fail)
        for member in taken[:5]:
            mosaic.take(member)
        with pytest.raises(OutputError, match="slow disk"):
            mosaic.finish()


def _fail(*_: object) -> None:
    time.sleep(0.2)
    raise OutputError("slow disk")
