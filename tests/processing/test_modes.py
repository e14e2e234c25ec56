"""What becomes of a tile that is published already, by mode, on both kinds of target."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pystac
import pytest
from pystac.validation import JsonSchemaSTACValidator, validate_dict

from alos_mosaic.errors import InvalidRequestError, OutputError
from alos_mosaic.grid import Grid, Tile
from alos_mosaic.messages import Mode, TileRequest, TileYear, parse_time
from alos_mosaic.processing import publish
from alos_mosaic.processing.pipeline import Workplace, process_tile
from alos_mosaic.products import FOREST_PRODUCT
from alos_mosaic.results import State, TileResult
from local.archives import (
    first_layout,
    make_cell,
    make_forest_cell,
    make_quad_cell,
    members,
    place_archive,
    place_cell_archive,
    write_archive,
)
from local.jaxa_server import JaxaServer
from tests.processing.outputs import Output

TILE = Tile.from_name("N25W165")
CELLS = (TILE.cells[0], TILE.cells[7], TILE.cells[24])

Process = Callable[..., TileResult]


@pytest.fixture
def process(place: Callable[[], Workplace], output: Output) -> Process:
    """Process the tile into the output; what the work folder holds must be gone from readers' eyes afterwards."""

    def run(mode: Mode = Mode.SKIP, year: int = 2020, source: str | None = None, **changes: Any) -> TileResult:
        here = replace(place(), target=output.target)
        here = here if source is None else replace(here, source_url=source)
        result = process_tile(TileRequest(TileYear(year, TILE), mode, **({"run": "a-run"} | changes)), here)
        assert not output.staged()
        return result

    return run


@pytest.fixture
def archive(mirror: Path, grid: Grid) -> Path:
    return place_archive(mirror, TILE, 2020, grid, cells=CELLS)


def updated(output: Output) -> datetime:
    return parse_time(output.item()["properties"]["updated"])


# Since


@pytest.mark.parametrize("mode", Mode)
def test_what_was_published_since_is_skipped_whatever_the_mode(
    process: Process, output: Output, archive: Path, mode: Mode
) -> None:
    process()
    before, second = output.files(), timedelta(seconds=1)
    archive.unlink()
    assert process(mode, since=updated(output) - second).state is State.SKIPPED
    assert output.files() == before
    output.write(output.key("_mask_"), b"damaged")
    with pytest.raises((OutputError, Exception)) as caught:
        process(mode, since=updated(output) - second)
    assert "mask" in str(caught.value) if mode is Mode.METADATA_ONLY else "moved" in str(caught.value)


def test_what_was_published_earlier_is_made_as_its_mode_says(process: Process, output: Output, archive: Path) -> None:
    process()
    later = updated(output)  # not later than it
    assert process(Mode.SKIP, since=later).state is State.SKIPPED
    assert process(Mode.OVERWRITE, since=later).state is State.PUBLISHED
    assert process(Mode.METADATA_ONLY, since=updated(output)).state is State.PUBLISHED


# Refresh


def test_refresh_makes_a_tile_whose_archive_is_another(
    process: Process, output: Output, archive: Path, mirror: Path, grid: Grid
) -> None:
    assert process(Mode.REFRESH).state is State.PUBLISHED
    assert process(Mode.REFRESH).state is State.SKIPPED
    moment = archive.stat().st_mtime + 3600
    os.utime(archive, (moment, moment))
    assert process(Mode.SKIP).state is State.SKIPPED
    assert process(Mode.REFRESH).state is State.PUBLISHED
    assert process(Mode.REFRESH).state is State.SKIPPED
    place_archive(mirror, TILE, 2020, grid, cells=CELLS[:2])
    os.utime(archive, (moment, moment))  # so that only the size tells
    assert process(Mode.REFRESH).cells == tuple(cell.name for cell in sorted(CELLS[:2]))
    assert process(Mode.REFRESH).state is State.SKIPPED


def test_refresh_makes_a_tile_that_is_not_whole_or_tells_of_no_archive(
    process: Process, output: Output, archive: Path
) -> None:
    process()
    output.write(output.key("_mask_"), b"damaged")
    assert process(Mode.REFRESH).state is State.PUBLISHED
    for facts in (None, 7, {}, {"url": 5, "size": 6}, {"url": "x"}):
        output.change_item(**{"alos_mosaic:archive": facts})
        assert process(Mode.REFRESH).state is State.PUBLISHED
    assert process(Mode.REFRESH).state is State.SKIPPED


def test_refresh_of_a_tile_that_the_source_has_no_longer_leaves_it(
    process: Process, output: Output, archive: Path, mirror: Path, grid: Grid
) -> None:
    process()
    before = output.files()
    place_archive(mirror, Tile.from_name("N10E010"), 2020, grid, cells=[])
    archive.unlink()
    assert process(Mode.REFRESH).state is State.ABSENT
    assert output.files() == before


def test_refresh_asks_an_ftp_server(process: Process, output: Output, archive: Path, mirror: Path) -> None:
    with JaxaServer(mirror) as server:
        assert process(source=server.url).state is State.PUBLISHED
        assert process(Mode.REFRESH, source=server.url).state is State.SKIPPED
        moment = archive.stat().st_mtime - 86_400
        os.utime(archive, (moment, moment))
        assert process(Mode.REFRESH, source=server.url).state is State.PUBLISHED
        assert process(Mode.REFRESH, source=server.url).state is State.SKIPPED


def test_refresh_looks_at_archives_of_cells(process: Process, output: Output, mirror: Path, grid: Grid) -> None:
    made = [make_cell(cell, 2020, grid) for cell in CELLS]
    place_archive(mirror, Tile.from_name("N10E010"), 2020, grid, cells=[])
    archives = [place_cell_archive(mirror, cell, 2020) for cell in made[:2]]
    assert process().state is State.PUBLISHED
    assert process(Mode.REFRESH).state is State.SKIPPED
    os.utime(archives[1], (1, 1))
    assert process(Mode.REFRESH).state is State.PUBLISHED
    place_cell_archive(mirror, made[2], 2020)
    assert len(process(Mode.REFRESH).cells) == 3
    assert process(Mode.REFRESH).state is State.SKIPPED
    place_archive(mirror, TILE, 2020, grid, cells=CELLS)
    assert "archives" not in process(Mode.REFRESH).archive


def test_refresh_looks_at_the_archive_of_a_cell_that_was_defective(
    process: Process, output: Output, mirror: Path, grid: Grid
) -> None:
    first, second = (make_cell(cell, 2009, grid) for cell in TILE.cells[:2])
    files = dict(members(second, 2009))
    name = f"{second.cell}_09_sl_HH.hdr"
    files[name] = files[name].replace(b"samples = 30", b"samples = 31")
    write_archive(mirror / first_layout(2009).archive_path(TILE, 2009), [first], 2009, extra_members=files.items())
    assert process(year=2009, accept_partial=True).defective_cells == (second.cell.name,)
    assert process(Mode.SKIP, year=2009, accept_partial=True).state is State.SKIPPED
    mended = place_cell_archive(mirror, second, 2009)
    assert process(Mode.REFRESH, year=2009, accept_partial=True).defective_cells == ()
    place_cell_archive(mirror, first, 2009)  # not used, so it does not count
    assert process(Mode.REFRESH, year=2009).state is State.SKIPPED
    os.utime(mended, (1, 1))
    assert process(Mode.REFRESH, year=2009).state is State.PUBLISHED


# Overwrite


def test_overwrite_reads_no_published_file(
    process: Process, output: Output, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process()
    read: list[Path] = []
    monkeypatch.setattr(publish, "sha256_of", read.append)
    assert process(Mode.OVERWRITE).state is State.PUBLISHED
    assert not read


def test_overwrite_keeps_the_time_of_the_first_publication(process: Process, output: Output, archive: Path) -> None:
    process()
    output.change_item(created="2020-01-02T03:04:05Z", updated="2020-01-02T03:04:05Z")
    process(Mode.OVERWRITE, run="another")
    properties = output.item()["properties"]
    assert properties["created"] == "2020-01-02T03:04:05Z"
    assert datetime.now(UTC) - parse_time(properties["updated"]) < timedelta(minutes=5)
    assert properties["alos_mosaic:run"] == "another"
    for nonsense in ("yesterday", 5, None):
        output.change_item(created=nonsense)
        process(Mode.OVERWRITE)
        properties = output.item()["properties"]
        assert properties["created"] == properties["updated"]


# Metadata only


def place_year(mirror: Path, year: int, grid: Grid) -> None:
    """Write an archive with what makes items differ: quad-polarization, sidecars, values under nodata."""
    made = [make_cell(cell, year, grid) for cell in CELLS]
    if year == 2020:
        made[1] = make_quad_cell(CELLS[1], year, grid)
    made[0].arrays["mask"][0, :9] = 0
    made[0].arrays["HH"][0, :9] = 77
    write_archive(place_archive(mirror, TILE, year, grid, cells=[]), made, year)


def without_updated(item: dict[str, Any]) -> dict[str, Any]:
    """Leave out what tells of the time, which the EO3 document does, too, so its checksum."""
    times = ("updated", "alos_mosaic:pixels_made")
    properties = {name: value for name, value in item["properties"].items() if name not in times}
    links = [{name: value for name, value in link.items() if name != "file:checksum"} for link in item["links"]]
    return {**item, "properties": properties, "links": links}


@pytest.mark.parametrize("year", [1996, 2009, 2020])
def test_described_again_is_the_same_item(
    process: Process, output: Output, mirror: Path, grid: Grid, year: int
) -> None:
    place_year(mirror, year, grid)
    first = process(year=year)
    shutil.rmtree(mirror)
    before, item = output.files(), output.item()
    again = process(Mode.METADATA_ONLY, year=year, run="another")
    assert (again.state, again.cells, again.output_bytes) == (State.PUBLISHED, first.cells, first.output_bytes)
    assert (again.values_under_nodata, again.archive) == (first.values_under_nodata, {})
    assert without_updated(output.item()) == without_updated(item)
    after = output.files()
    assert after.keys() == before.keys()
    assert {key for key in after if after[key] != before[key]} <= {
        output.key(".stac-item.json"), output.key(".odc-metadata.yaml"),
    }  # fmt: skip
    assert process(year=year).state is State.SKIPPED


def test_a_forest_map_is_described_by_the_classes_of_its_release(
    process: Process, output: Output, mirror: Path, grid: Grid
) -> None:
    path = mirror / first_layout(2009).folder(2009) / f"{TILE}_09_FNF.tar.gz"
    write_archive(path, [make_forest_cell(TILE.cells[0], 2009, grid)], 2009)
    process(year=2009, product=FOREST_PRODUCT)
    item = output.item()
    process(Mode.METADATA_ONLY, year=2009, product=FOREST_PRODUCT)
    assert without_updated(output.item()) == without_updated(item)
    output.remove(output.key(".stac-item.json"))
    with pytest.raises(OutputError, match="no item tells of which release the forest map 2009/N25W165 is"):
        process(Mode.METADATA_ONLY, year=2009, product=FOREST_PRODUCT)


def test_a_partial_tile_stays_one(process: Process, output: Output, mirror: Path, grid: Grid) -> None:
    first, second = (make_cell(cell, 2009, grid) for cell in TILE.cells[:2])
    files = dict(members(second, 2009))
    name = f"{second.cell}_09_sl_HH.hdr"
    files[name] = files[name].replace(b"samples = 30", b"samples = 31")
    write_archive(mirror / first_layout(2009).archive_path(TILE, 2009), [first], 2009, extra_members=files.items())
    process(year=2009, accept_partial=True)
    item = output.item()
    assert process(Mode.METADATA_ONLY, year=2009).defective_cells == (second.cell.name,)
    assert without_updated(output.item()) == without_updated(item)


def test_without_its_item_a_tile_is_of_unknown_provenance(
    process: Process, output: Output, archive: Path, request: pytest.FixtureRequest
) -> None:
    process()
    known = output.item()
    output.remove(output.key(".stac-item.json"))
    assert process(Mode.METADATA_ONLY).state is State.PUBLISHED
    item = output.item()
    assert item["properties"]["alos_mosaic:provenance"] == "unknown"
    lost = known["properties"].keys() - item["properties"].keys()
    assert {"alos_mosaic:archive", "alos_mosaic:run", "processing:version", "alos_mosaic:values_under_nodata"} <= lost
    assert (item["assets"], item["geometry"], item["id"]) == (known["assets"], known["geometry"], known["id"])
    assert item["properties"]["alos_mosaic:cells"] == known["properties"]["alos_mosaic:cells"]
    pystac.Item.from_dict(item)
    assert process().state is State.SKIPPED
    assert process(Mode.METADATA_ONLY).state is State.PUBLISHED
    assert without_updated(output.item()) == without_updated(item)
    assert process(Mode.REFRESH).state is State.PUBLISHED
    assert "alos_mosaic:provenance" not in output.item()["properties"]
    validate(item, request.getfixturevalue("samples"))


def validate(item: dict[str, Any], samples: Path) -> None:
    validator = JsonSchemaSTACValidator()
    for uri in item["stac_extensions"]:
        extension, version = uri.split("/")[3:5]
        schema = samples / "stac-schemas" / extension / version / "schema.json"
        validator.schema_cache[uri] = json.loads(schema.read_text())
    assert set(item["stac_extensions"]) <= set(validate_dict(item, validator=validator))


@pytest.mark.parametrize(
    "changes",
    [
        {"alos_mosaic:cells": ["nowhere"]},
        {"alos_mosaic:cells": 5},
        {"proj:shape": [1]},
        *({"alos_mosaic:values_under_nodata": value} for value in ("many", [5], {"HH": 5}, 0.5, True)),
    ],
)
def test_an_item_that_is_not_as_ours_are_tells_nothing(
    process: Process, output: Output, archive: Path, changes: dict[str, Any]
) -> None:
    process()
    output.change_item(**changes)
    process(Mode.METADATA_ONLY)
    assert output.item()["properties"]["alos_mosaic:provenance"] == "unknown"
    assert process().state is State.SKIPPED


def test_of_nothing_there_is_nothing_to_describe(process: Process, output: Output, archive: Path) -> None:
    with pytest.raises(InvalidRequestError, match="nothing is published of 2020/N25W165, so there is nothing to desc"):
        process(Mode.METADATA_ONLY)
    assert output.files() == {}


@pytest.mark.parametrize("has_item", [True, False])
def test_a_cog_that_can_not_be_described_is_named(
    process: Process, output: Output, archive: Path, has_item: bool
) -> None:
    process()
    hh, hv, mask, linci = (output.key(f"_{code}_") for code in ("HH", "HV", "mask", "linci"))
    whole = output.files()
    if not has_item:
        output.remove(output.key(".stac-item.json"))
    damages = [(hh, whole[hh][: len(whole[hh]) // 2]), (hh, b"no tiff"), (mask, whole[hh]), (hv, b"")]
    for key, content in damages:
        output.write(key, content)
        with pytest.raises(OutputError, match=key.rpartition("/")[2]):
            process(Mode.METADATA_ONLY, attempt=2)
        output.write(key, whole[key])
    output.remove(linci)
    with pytest.raises(OutputError, match="has no COG of linci"):
        process(Mode.METADATA_ONLY)
    output.write(linci, whole[linci])
    if not has_item:
        output.write(hh.replace("F02DAR", "FP6QAR"), whole[hh])
        with pytest.raises(OutputError, match="F02DAR.tif and .*FP6QAR.tif are both called like the tile's HH"):
            process(Mode.METADATA_ONLY)
