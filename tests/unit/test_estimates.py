"""One estimate of a run, whoever tells it: the guard that bounds it, the plan ahead, report and digest afterwards."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from moto import mock_aws
from rich.console import Console

from alos_mosaic.cli.deployment import Deployment
from alos_mosaic.cli.plan import make_plan, print_plan
from alos_mosaic.costs import Architecture, Worker
from alos_mosaic.digest import Digest
from alos_mosaic.estimates import estimated_usd
from alos_mosaic.manifests import seeded
from alos_mosaic.messages import Mode, RunRequest, TileRequest
from alos_mosaic.plan_page import plan_page
from alos_mosaic.planning import Machine, all_published, nothing_published, plan_run
from alos_mosaic.quantities import dollars
from alos_mosaic.report import report_page
from alos_mosaic.results import State, TileResult
from alos_mosaic.run_ends import Execution, RunEnd
from alos_mosaic.seeding import tiles_to_seed
from alos_mosaic.settings import DigestSettings, SeedSettings, SummarySettings
from alos_mosaic.summary import Summary
from tests.unit.test_report import Outline

PRICE = {
    "memory_mib": 3072, "architecture": "arm64", "ephemeral_storage_mib": 5120, "assumed_megabytes_per_second": 2.5,
}  # fmt: skip
LIMITS = SeedSettings(runs_bucket="runs", output_uri="s3://out", **PRICE)  # type: ignore[arg-type]
MACHINE = Machine(3072, Architecture.ARM64, 5120, concurrency=2)
SELECTED: dict[str, Any] = {"years": [2020], "region": "africa"}
ASKED = RunRequest.from_input(SELECTED, "global")
REQUESTS = tuple(TileRequest(place) for place in tiles_to_seed(ASKED))
ESTIMATED = float(seeded("africa", "runs", REQUESTS, LIMITS, ASKED)["estimated_usd"])


def _results() -> tuple[TileResult, ...]:
    places = (request.tile_year for request in REQUESTS)
    seconds = {"gather": 100.0}
    return tuple(TileResult(State.PUBLISHED, each.year, each.tile.name, "africa", seconds=seconds) for each in places)


def test_the_plan_ends_where_the_guard_does() -> None:
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket="out")
        deployment = Deployment("Trial", {}, boto3.Session())
        vars(deployment)["seed_settings"] = LIMITS
        vars(deployment)["worker"] = Worker(5e6, 3072, Architecture.ARM64, 5120)
        plan = make_plan(SELECTED, deployment, None, None)
        measured = make_plan(SELECTED, deployment, None, 10.0)
    assert len(plan.to_do) == len(REQUESTS) == 178
    assert plan.estimate.high.dollars == pytest.approx(ESTIMATED, abs=1e-4)
    assert (plan.estimate.high.megabytes_per_second, plan.estimate.low.megabytes_per_second) == (2.5, 20)
    assert measured.estimate.high.megabytes_per_second == 10


@pytest.mark.parametrize(
    ("given", "limits", "said"),
    [
        ({}, {}, ""),
        ({"max_tiles": 178}, {}, ""),
        ({"max_tiles": 10}, {}, "it lists 178 tiles, its limit is 10; ask for fewer tiles, or raise max_tiles, up to"),
        ({}, {"max_tiles_ceiling": 100}, "its limit is 100; ask for fewer tiles, or deploy with a higher ceiling"),
        (
            {"max_usd": 0.5},
            {},
            "the run's cap is $0.50; ask for fewer tiles, or raise max_usd (--max-usd), up to $1,000.00",
        ),
        ({}, {"max_usd_ceiling": 0.5}, "the run's cap is $0.50; ask for fewer tiles, or deploy with a higher"),
    ],
)
def test_a_plan_says_what_the_guard_will(given: dict[str, Any], limits: dict[str, Any], said: str) -> None:
    asked = RunRequest.from_input(SELECTED | given, "global")
    plan = plan_run(asked, MACHINE, nothing_published, replace(LIMITS, **limits))
    assert plan.guard is not None
    assert (plan.guard.count, plan.guard.usd) == (178, ESTIMATED)
    assert said in plan.refusal
    assert bool(said) == bool(plan.refusal)
    assert plan.to_dict()["guard"]["refusal"] == plan.refusal
    page = plan_page(plan, datetime(2026, 11, 24, tzinfo=UTC), "alos-mosaic run --years 2020")
    assert ("Start it" in page) != ("The deployment would refuse" in page)
    assert ("The deployment would refuse" in page) == bool(said)


def test_what_is_only_described_again_is_priced_so_by_desk_and_guard() -> None:
    asked = RunRequest.from_input(SELECTED | {"mode": "metadata-only"}, "global")
    plan = plan_run(asked, MACHINE, all_published, replace(LIMITS, max_usd_ceiling=0.01))
    assert plan.guard is not None
    assert plan.estimate.high.dollars == pytest.approx(plan.guard.usd, abs=1e-4)
    assert plan.guard.usd < ESTIMATED / 10
    said = "(all published, 3072 MiB of arm64, nothing from the source), the run's cap is $0.01; ask for fewer tiles"
    assert said in plan.refusal
    console = Console(width=200, record=True, file=io.StringIO())
    print_plan(plan, console)
    assert f"{dollars(plan.guard.usd)} of $0.01 as if all were published" in console.export_text()


def test_each_tile_is_priced_by_its_own_mode() -> None:
    described = [replace(request, mode=Mode.METADATA_ONLY) for request in REQUESTS]
    mixed = estimated_usd([*described[:89], *REQUESTS[89:]], LIMITS)
    parts = estimated_usd(described[:89], LIMITS), estimated_usd(REQUESTS[89:], LIMITS)
    assert mixed == pytest.approx(sum(parts), abs=2e-4)
    assert parts[0] < parts[1] / 10


def test_what_is_all_published_is_not_refused() -> None:
    asked = RunRequest.from_input(SELECTED | {"max_tiles": 1}, "global")
    assert plan_run(asked, MACHINE, lambda _product, _year: frozenset(asked.tiles), LIMITS).refusal == ""


def test_a_plan_names_its_caps_and_the_ceiling_that_it_was_cut_to() -> None:
    plan = plan_run(ASKED, MACHINE, nothing_published, LIMITS)
    console = Console(width=200, record=True, file=io.StringIO())
    print_plan(plan, console, 50)
    shown = console.export_text()
    assert f"178 of 25,000 tiles, {dollars(ESTIMATED)} of $1,000.00 at 2.5 MB/s, as if nothing were published" in shown
    assert "2 at once, the deployment's ceiling, not 50" in shown


def test_the_digest_tells_what_bounded_the_run() -> None:
    settings = DigestSettings(runs_bucket="runs", topic_arn="arn:t", **PRICE)  # type: ignore[arg-type]
    now = datetime(2026, 11, 24, tzinfo=UTC)
    execution = Execution("africa", "arn:e", "arn:m", "ABORTED", now, 0, None, None)
    digest = Digest(RunEnd(execution, REQUESTS), settings, now)
    assert digest.to_report()["estimated_usd"] == ESTIMATED
    assert f"estimated {ESTIMATED:.2f} before it began, as if every tile is made at 2.5 MB/s" in digest.to_text()
    described = tuple(replace(request, mode=Mode.METADATA_ONLY) for request in REQUESTS)
    text = Digest(RunEnd(execution, described), settings, now).to_text()
    said = "before it began, as if every tile is described again, without the source"
    assert f"estimated {estimated_usd(described, settings):.2f} {said}" in text


def test_the_report_tells_it_beside_what_the_tiles_that_were_made_should_have_cost() -> None:
    worker = SummarySettings("runs", **PRICE).worker  # type: ignore[arg-type]
    summary = Summary("africa", _results(), worker=worker, estimated_usd=ESTIMATED).to_report()
    assert (summary["estimated_usd"], summary["worker"]) == (ESTIMATED, PRICE)
    text = Outline(report_page(summary)).text
    assert f"the run was estimated at {dollars(ESTIMATED)}: 178 tiles, all of them made at 2.5 MB/s" in text
    assert "Planned at 20 MB/s Planned at 5 MB/s Planned at 2.5 MB/s Planned at 1 MB/s" in text
    (costs,) = (line for line in text.split("Cost of a tile")[0].split("Cost ")[-1:])
    assert costs.split()[3] == dollars(ESTIMATED), "all were made, so what was planned for them is the estimate"
