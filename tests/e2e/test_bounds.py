"""What a run is not allowed to cost: a price above its cap, and a source that is down before or while it runs."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from alos_mosaic.grid import Grid, Tile
from alos_mosaic.results import TileFailure
from infra.application import STACK_NAME, synthesize
from local.archives import place_archive
from local.emulator import running_cloud
from local.jaxa_server import Fault, JaxaServer
from tests.e2e.test_run import REPOSITORY, System

TILES = ["N10E010", "N10E015", "N25W165"]
TRIES = 6
"""Of a tile whose source is down: one, and five more."""
ASKED = {"years": [2020], "tiles": TILES}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, grid: Grid) -> Iterator[System]:
    """Greets everyone, so that a run begins, and turns away who logs in, until each tile has had all its tries."""
    folder = tmp_path_factory.mktemp("bounds")
    mirror = folder / "mirror"
    for name in TILES:
        place_archive(mirror, Tile.from_name(name), 2020, grid, cells=Tile.from_name(name).cells[6:7])
    gone = Fault("USER", "421 Service not available", times=TRIES * len(TILES))
    source = JaxaServer(mirror, faults=[gone]).start()
    url = source.url
    source.stop()
    with running_cloud(folder / "cloud", REPOSITORY, wait_scale=0) as cloud:
        context: dict[str, object] = {"source_uri": url, "cell_pixels": grid.cell_pixels}
        context |= {
            "source_failures_tolerated": len(TILES) - 1,
            "watch_schedule": "rate(7 days)",
            "watch_years": "2020",
        }
        path = synthesize(folder / "cdk.out", {f"alos-mosaic:{key}": value for key, value in context.items()})
        outputs = cloud.deploy(path.parent, STACK_NAME)
        again = JaxaServer(mirror, faults=[gone], port=int(url.rpartition(":")[2]))
        yield System(cloud, outputs, json.loads(path.read_text()), mirror, again)
        again.stop()


def test_a_price_above_the_cap_a_dead_source_and_one_that_dies_cost_no_run(system: System) -> None:
    dear = system.run("dear", {**ASKED, "max_usd": 0.01})
    assert (dear["status"], dear["error"]) == ("FAILED", "RunTooExpensiveError")
    assert dear["cause"].startswith("3 tiles are estimated at $0.")
    assert dear["cause"].endswith(
        "the run's cap is $0.01; ask for fewer tiles, or raise max_usd (--max-usd), up to $1,000.00"
    )

    dead = system.run("dead", ASKED)
    assert (dead["status"], dead["error"]) == ("FAILED", "SourceUnavailableError")
    assert "does not answer" in dead["cause"]
    runs = system.cloud.client("s3").list_objects_v2(Bucket=system.outputs["RunsBucketName"], Prefix="runs/de")
    assert runs["KeyCount"] == 0
    assert system.dead_letters() == []

    system.source.start()
    died = system.run("died", ASKED)
    assert (died["status"], died["error"]) == ("FAILED", "IncompleteRunError")
    assert died["cause"] == (
        "0 published, 0 skipped, 0 absent, 3 failed of 3 seeded; "
        "the run was stopped, since the source was down for too many tiles"
    )
    assert system.source.names().count("USER") == TRIES * len(TILES)
    summary = system.read("RunsBucketName", "runs/died/summary.json")
    assert summary["failures_by_error"] == {"SourceUnavailableError": 3}

    told = json.loads(system.run("rehearsed", {"redrive": {"dry_run": True}})["output"])["seed"]["redrive"]
    assert (told["tiles"], told["letters_by_error"]) == (3, {"SourceUnavailableError": 3}), "each has one letter"
    dear = system.run("redriven-dear", {"redrive": {}, "max_usd": 0.01})
    assert dear["error"] == "RunTooExpensiveError"
    redriven = system.run("redriven", {"redrive": {}})
    assert redriven["status"] == "SUCCEEDED", redriven
    assert json.loads(redriven["output"])["summary"]["sentence"].startswith(
        "3 published, 0 skipped, 0 absent, 0 failed"
    )
    assert system.dead_letters() == []

    ended = system.run("gone", {"years": [2016], "tiles": TILES[:1]})
    assert ended["cause"] == "0 published, 0 skipped, 0 absent, 1 failed of 1 seeded", "within what is tolerated"
    assert {TileFailure.from_body(letter).error for letter in system.dead_letters()} == {"SourceUnavailableError"}


def test_the_watch_runs_in_the_image_of_the_worker(system: System) -> None:
    """Here only its function, by hand: the schedule is asserted on the definition."""
    if system.source.names() == []:
        system.source.start()
    answer = system.cloud.client("lambda").invoke(FunctionName=system.outputs["WatchSourceFunctionName"])
    assert "FunctionError" not in answer
    told = json.loads(answer["Payload"].read())
    assert (told["news"], told["not_compared"], told["started"]) == ([], 0, None)
