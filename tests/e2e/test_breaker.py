"""The breaker: many tiles that the source does not give stop no run; what stops one is in test_bounds.py."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from alos_mosaic.grid import Grid
from alos_mosaic.inventory import tiles_of_year
from alos_mosaic.results import TileFailure
from infra.application import STACK_NAME, synthesize
from infra.config import StackConfig
from local.archives import place_archive
from local.emulator import running_cloud
from local.jaxa_server import Fault, JaxaServer
from tests.e2e.test_run import REPOSITORY, System

TILES = sorted(tiles_of_year(2020))[:40]
WITHHELD = TILES[:15]
"""Listed, and not served; a run comes to them first."""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, grid: Grid) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("breaker")
    mirror = folder / "mirror"
    for tile in TILES:
        place_archive(mirror, tile, 2020, grid, cells=tile.cells[12:13])
    withheld = [Fault("SIZE", "550 No such file", ending=f"{tile.name}_20_MOS_F02DAR.tar.gz") for tile in WITHHELD]
    with (
        JaxaServer(mirror, faults=withheld) as source,
        running_cloud(folder / "cloud", REPOSITORY, wait_scale=0) as cloud,
    ):
        context = {"source_uri": source.url, "cell_pixels": grid.cell_pixels}
        path = synthesize(folder / "cdk.out", {f"alos-mosaic:{key}": value for key, value in context.items()})
        outputs = cloud.deploy(path.parent, STACK_NAME)
        yield System(cloud, outputs, json.loads(path.read_text()), mirror, source)


def test_tiles_that_are_listed_and_not_served_stop_no_run(system: System) -> None:
    assert len(WITHHELD) > StackConfig().source_failures_tolerated
    ended = system.run("withheld", {"years": [2020], "tiles": [tile.name for tile in TILES]})
    assert ended["cause"] == "25 published, 0 skipped, 0 absent, 15 failed of 40 seeded", "and was not stopped"
    summary = system.read("RunsBucketName", "runs/withheld/summary.json")
    assert summary["failures_by_error"] == {"ArchiveUnavailableError": 15}
    letters = [TileFailure.from_body(body) for body in system.dead_letters()]
    assert sorted(letter.tile for letter in letters) == sorted(tile.name for tile in WITHHELD)
    assert {letter.attempt for letter in letters} == {4}
