"""Reconciling what is published with a selection: what is told of it, and that what is told mends it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alos_mosaic.grid import Grid, Tile
from alos_mosaic.inventory import ArchiveKind, tiles_of_any_year
from alos_mosaic.messages import Mode, RunRequest, TileRequest, TileYear
from alos_mosaic.processing.pipeline import Workplace, process_tile
from alos_mosaic.processing.publish import FileTarget
from alos_mosaic.processing.reconciling import Condition, Finding, Reconciliation, reconcile
from alos_mosaic.results import State
from local.archives import place_archive

WHOLE, OTHER = "N10E010", "N25W165"
YEAR = "alos_palsar_mosaic/2020"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, grid: Grid) -> Path:
    """A mirror of two tiles, and a folder where both are published."""
    folder = tmp_path_factory.mktemp("made")
    for name in (WHOLE, OTHER):
        tile = Tile.from_name(name)
        place_archive(folder / "mirror", tile, 2020, grid, cells=tile.cells[6:8])
        process(folder, folder / "out", name, grid)
    return folder


def process(made: Path, out: Path, name: str, grid: Grid, mode: Mode = Mode.SKIP) -> State:
    work = out.parent / f"work-{name}-{mode}"
    work.mkdir()
    place = Workplace((made / "mirror").as_uri(), FileTarget(out), work, grid=grid)
    return process_tile(TileRequest(TileYear(2020, Tile.from_name(name)), mode, run="a-run"), place).state


@pytest.fixture
def out(made: Path, tmp_path: Path) -> Path:
    """What is published, to be spoilt."""
    shutil.copytree(made / "out", tmp_path / "out")
    return tmp_path / "out"


def look(out: Path, grid: Grid, *, beside_tiles: bool = False, **selection: Any) -> Reconciliation:
    request = RunRequest.from_input({"years": [2020], **selection}, "global")
    return reconcile(request, FileTarget(out), grid, beside_tiles=beside_tiles)


def put(out: Path, *keys: str) -> None:
    for key in keys:
        (out / YEAR / key).parent.mkdir(parents=True, exist_ok=True)
        (out / YEAR / key).write_bytes(b"{}")


def of(found: Reconciliation, name: str) -> Finding:
    (finding,) = (each for each in found.findings if each.tile_year.tile.name == name)
    return finding


def test_what_lies_outside_of_the_selection_is_not_looked_at(out: Path, grid: Grid) -> None:
    (out / YEAR / OTHER / f"{OTHER}_20.stac-item.json").write_text("{")
    put(out, "N05E010/stray.txt", "backup/x.tif", "N10E015/N10E015_20.stac-item.json")
    for selection in ({"tiles": [WHOLE]}, {"bbox": [11, 6, 12, 7]}):
        found = look(out, grid, **selection)
        assert [(str(each.tile_year.tile), each.condition) for each in found.findings] == [(WHOLE, Condition.WHOLE)]
        assert (found.is_whole, found.orphans) == (True, ())


def test_a_region_is_looked_at_with_what_lies_beside_its_tiles(out: Path, grid: Grid) -> None:
    put(out, "backup/x.tif", "readme.txt", "catalog.json", "items.parquet")
    found = look(out, grid, region="africa", beside_tiles=True)
    assert found.orphans == (f"{YEAR}/backup/x.tif", f"{YEAR}/readme.txt")
    assert not found.is_whole
    assert found.counts["whole"] == 1
    assert not look(out, grid, region="africa").orphans


def test_a_folder_of_a_tile_that_nobody_expects_and_that_has_no_item_holds_orphans(out: Path, grid: Grid) -> None:
    sea = "N40W020"
    assert Tile.from_name(sea) not in tiles_of_any_year(ArchiveKind.MOSAIC)
    put(out, f"{sea}/stray.txt", f"{sea}/{sea}_20_sl_HH.tif")
    found = look(out, grid, region="africa")
    assert all(each.tile_year.tile.name != sea for each in found.findings)
    assert found.orphans == (f"{YEAR}/{sea}/{sea}_20_sl_HH.tif", f"{YEAR}/{sea}/stray.txt")
    assert found.damaged == ()


def test_a_tile_that_no_listing_has_is_unexpected_and_no_fault(
    out: Path, grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = (TileYear(2020, Tile.from_name(WHOLE)),)
    monkeypatch.setattr("alos_mosaic.processing.reconciling.tiles_to_seed", lambda _: expected)
    found = look(out, grid, tiles=[WHOLE, OTHER])
    assert of(found, OTHER) == Finding(
        TileYear(2020, Tile.from_name(OTHER)), Condition.UNEXPECTED, ("JAXA's listings do not have it",)
    )
    assert found.is_whole
    (out / YEAR / OTHER / f"{OTHER}_20.webp").unlink()
    found = look(out, grid, tiles=[WHOLE, OTHER])
    assert (of(found, OTHER).condition, found.damaged) == (Condition.DAMAGED, (TileYear(2020, Tile.from_name(OTHER)),))


def change(item_path: Path, spoil: Callable[[dict[str, Any]], object]) -> None:
    item = json.loads(item_path.read_text())
    spoil(item)
    item_path.write_text(json.dumps(item))


def swap(item: dict[str, Any]) -> None:
    assets = item["assets"]
    assets["hh"]["href"], assets["hv"]["href"] = assets["hv"]["href"], assets["hh"]["href"]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda item: item["assets"].pop("hv"), ("the item lacks hv",)),
        (lambda item: item.update(id="x"), ("the item's id is 'x', should be '8b5a33ba-ccdd-54a0-b6ca-d68941461fc9'",)),
        (
            swap,
            (
                "the item's hh href is './N10E010_20_sl_HV_F02DAR.tif', should be a file called N10E010_20_sl_HH...",
                "the item's hv href is './N10E010_20_sl_HH_F02DAR.tif', should be a file called N10E010_20_sl_HV...",
            ),
        ),
        (
            lambda item: item["assets"]["hh"].pop("file:checksum"),
            ("the item does not say size and checksum of each of its files",),
        ),
        (lambda item: item.clear(), ("the item is no item",)),
    ],
)
def test_an_item_that_is_wrong_is_told_so_and_its_files_are_no_orphans(
    made: Path, out: Path, grid: Grid, spoil: Callable[[dict[str, Any]], object], said: tuple[str, ...]
) -> None:
    put(out, f"{WHOLE}/stray.txt")
    change(out / YEAR / WHOLE / f"{WHOLE}_20.stac-item.json", spoil)
    finding = of(look(out, grid, tiles=[WHOLE]), WHOLE)
    assert (finding.condition, finding.problems) == (Condition.DAMAGED, said)
    assert finding.orphans == (f"{YEAR}/{WHOLE}/stray.txt",), "what a run writes again is nothing to delete"
    assert process(made, out, WHOLE, grid, Mode.OVERWRITE) is State.PUBLISHED
    assert of(look(out, grid, tiles=[WHOLE]), WHOLE).condition is Condition.WHOLE


def test_what_is_missing_is_made_over_what_was_left_of_it(made: Path, out: Path, grid: Grid) -> None:
    (out / YEAR / WHOLE / f"{WHOLE}_20.stac-item.json").unlink()
    put(out, f"{WHOLE}/stray.txt")
    found = look(out, grid, tiles=[WHOLE])
    assert found.missing == (TileYear(2020, Tile.from_name(WHOLE)),)
    assert found.orphans == (f"{YEAR}/{WHOLE}/stray.txt",)
    assert process(made, out, WHOLE, grid) is State.PUBLISHED
    assert of(look(out, grid, tiles=[WHOLE]), WHOLE).condition is Condition.WHOLE


def test_a_partial_tile_is_named_and_no_fault(out: Path, grid: Grid) -> None:
    change(
        out / YEAR / WHOLE / f"{WHOLE}_20.stac-item.json",
        lambda item: item["properties"].update({"alos_mosaic:cells_defective": ["N10E010"]}),
    )
    found = look(out, grid, tiles=[WHOLE])
    assert of(found, WHOLE).problems == (
        "cells are left out, being defective at the source: ['N10E010']; mode refresh tries them again",
    )
    assert (of(found, WHOLE).condition, found.is_whole) == (Condition.PARTIAL, True)
