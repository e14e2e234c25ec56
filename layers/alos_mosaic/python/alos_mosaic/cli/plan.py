"""``alos-mosaic plan``: what a run would do, and what it takes; nothing is started."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from alos_mosaic.cli.console import NOTHING_TO_DO, JsonOption, out, print_facts, print_json, table
from alos_mosaic.cli.deployment import AwsRegionOption, Deployment, ProfileOption, StackOption, find, options_said
from alos_mosaic.cli.selection import of_bearable_length, run_command, selecting, spelt_command
from alos_mosaic.costs import cheapest
from alos_mosaic.grid import CELLS_PER_TILE
from alos_mosaic.messages import Mode, RunRequest
from alos_mosaic.plan_page import plan_page
from alos_mosaic.planning import (
    SOURCE_RATES,
    Guard,
    Machine,
    Plan,
    Standing,
    all_published,
    nothing_published,
    plan_run,
)
from alos_mosaic.publication import Publications
from alos_mosaic.quantities import counted, dollars, duration, size
from alos_mosaic.settings import DEFAULT_MAX_CONCURRENCY, DEFAULT_REGION

_PARTS: Final = {Standing.UNLISTED: f"of them {Standing.UNLISTED}", Standing.PUBLISHED: "have an item"}
"""Headings that say more than a standing's name: whose tiles are counted as to do, too; what is known of it."""

RateOption = Annotated[
    float | None,
    typer.Option(
        "--source-rate", min=0.01, help="MB/s that one connection to the source gives, as doctor measures it."
    ),
]
ConcurrencyOption = Annotated[
    int | None, typer.Option("--max-concurrency", min=1, help="Tiles at once; the deployment has a ceiling.")
]


@selecting
def plan(
    selected: dict[str, Any],
    max_concurrency: ConcurrencyOption = None,
    source_rate: RateOption = None,
    no_stack: Annotated[
        bool,
        typer.Option(
            "--no-stack",
            help="Plan without a deployment, as if nothing were published; with --mode metadata-only as if all were.",
        ),
    ] = False,
    stack: StackOption = None,
    profile: ProfileOption = None,
    aws_region: AwsRegionOption = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write a map of the plan, one HTML file.")] = None,
    geojson_out: Annotated[Path | None, typer.Option("--geojson-out", help="Write the tiles as GeoJSON.")] = None,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Say what a run over a selection would find and do, what it takes and costs. Nothing is started.

    Exits with 0 if there is something to do, 3 if there is not, 1 if the deployment would refuse the run, and 2 if the
    options make no sense.

    Example: alos-mosaic plan --years 2017,2020 --region africa
    """
    deployment = None if no_stack else find(stack, profile, aws_region)
    made = make_plan(selected, deployment, max_concurrency, source_rate)
    options = options_said(stack, profile, aws_region)
    command = run_command(selected, max_concurrency=max_concurrency, **options)
    if geojson_out is not None:
        geojson_out.write_text(json.dumps(made.to_geojson()), encoding="utf-8")
    if html is not None:
        html.write_text(plan_page(made, datetime.now(UTC), command), encoding="utf-8")
    if as_json:
        print_json(made.to_dict())
    else:
        print_plan(made, out(), max_concurrency, check_command(selected, options))
        if made.refusal:
            out().print(f"\nIt would be refused: {made.refusal}", style="red", markup=False, soft_wrap=True)
        elif made.to_do:
            out().print(f"\nStart it: {of_bearable_length(command)}", markup=False, soft_wrap=True)
    if made.refusal:
        raise typer.Exit(1)
    raise typer.Exit(0 if made.to_do else NOTHING_TO_DO)


def make_plan(
    selected: dict[str, Any], deployment: Deployment | None, max_concurrency: int | None, source_rate: float | None
) -> Plan:
    """Return the plan of an execution's input, by what the deployment has published, or without any."""
    rates = SOURCE_RATES if source_rate is None else (source_rate * 1e6, source_rate * 1e6)
    if deployment is None:
        request = RunRequest.from_input(selected, DEFAULT_REGION)
        worker = cheapest(CELLS_PER_TILE)
        concurrency = max_concurrency or DEFAULT_MAX_CONCURRENCY
        machine = Machine(worker.memory_mib, worker.architecture, worker.ephemeral_storage_mib, concurrency, rates)
        return plan_run(request, machine, all_published if request.mode is Mode.METADATA_ONLY else nothing_published)
    limits = deployment.seed_settings
    request = RunRequest.from_input(selected, limits.default_region)
    concurrency = min(max_concurrency or limits.default_max_concurrency, limits.max_concurrency_ceiling)
    if source_rate is None:
        # The slow end is at the rate that the deployment's guard prices a run with.
        slow = limits.assumed_megabytes_per_second * 1e6
        rates = (max(rates[0], slow), slow)
    worker = deployment.worker
    machine = Machine(worker.memory_mib, worker.architecture, worker.ephemeral_storage_mib, concurrency, rates)
    return plan_run(request, machine, Publications(deployment.client("s3"), limits.output_uri).tiles, limits)


def check_command(selected: Mapping[str, Any], options: Mapping[str, str]) -> str:
    """Return the command that says whether the tiles of a selection are whole; ``options`` find the deployment."""
    which = {name: value for name, value in selected.items() if name in ("years", "region", "bbox", "tiles", "product")}
    return of_bearable_length(spelt_command("reconcile", which, **options), "reconcile")


def print_plan(
    made: Plan, console: Console, asked_concurrency: int | None = None, check: str = "alos-mosaic reconcile"
) -> None:
    """Print a plan for a person, who asked for so many tiles at once; ``check`` is the command that looks at files."""
    standings = [standing for standing in Standing if made.counts[standing]]
    names = tuple(_PARTS.get(standing, standing.value) for standing in standings)
    shown = table("year", *names, right=names)
    for year, counts in made.counts_by_year.items():
        shown.add_row(str(year), *(f"{counts[standing]:,}" for standing in standings))
    if len(made.counts_by_year) > 1:
        shown.add_row("all", *(f"{made.counts[standing]:,}" for standing in standings), style="bold")
    console.print(shown)
    console.print()
    if made.unlisted_years:
        years, are = ", ".join(map(str, made.unlisted_years)), "is" if len(made.unlisted_years) == 1 else "are"
        console.print(f"{years} {are} not listed yet: what JAXA has of any year is to do.\n")
    if not made.to_do:
        console.print(f"Nothing to do: {made.nothing}; {_next_step(made, check)}", markup=False, soft_wrap=True)
        return
    if unpublished := made.counts[Standing.UNPUBLISHED]:
        which = "it" if unpublished == 1 else "them"
        said = f"{counted(unpublished, 'tile')} without an item would be tried, too, and fail if there are no COGs."
        console.print(
            f"{said} Leave {which} out, or have {which} made with --mode skip.\n", markup=False, soft_wrap=True
        )
    low, high = made.estimate.low, made.estimate.high
    at_once = f"{made.max_concurrency} at once"
    if asked_concurrency is not None and asked_concurrency > made.max_concurrency:
        at_once += f", the deployment's ceiling, not {asked_concurrency}"
    facts = [
        ("to do", f"{counted(len(made.to_do), 'tile')}, mode {made.mode}"),
        *_transfers(made),
        ("time", f"{_span(duration(low.minutes * 60), duration(high.minutes * 60))}, {at_once}"),
        ("cost", _span(dollars(low.dollars), dollars(high.dollars))),
    ]
    if made.mode is not Mode.METADATA_ONLY:
        facts.append(("source", _rates(low.megabytes_per_second, high.megabytes_per_second)))
    if made.guard is not None:
        facts.append(("caps", _caps(made.guard, made.mode)))
    print_facts(console, facts)


def _next_step(made: Plan, check: str) -> str:
    if made.none_listed:
        return "name them in --tiles to have them tried all the same"
    if made.mode is Mode.METADATA_ONLY:
        return "--mode skip makes what is not published"
    return f"`{check}` says whether each is whole"


def _transfers(made: Plan) -> list[tuple[str, str]]:
    most = made.estimate.high
    if made.mode is Mode.METADATA_ONLY:
        return [("download", f"none; {size(most.read_bytes)} of COGs at most are read from the output")]
    unlisted = made.counts[Standing.UNLISTED]
    named = f", as if JAXA had {counted(unlisted, 'tile')} not listed" if unlisted else ""
    return [
        ("download", f"{size(most.download_bytes)} at most{named}"),
        ("output", f"{size(most.output_bytes)} at most{named}"),
    ]


def _span(low: str, high: str) -> str:
    return f"{low} to {high}" if low != high else f"about {low}"


def _caps(guard: Guard, mode: Mode) -> str:
    assumed = f"at {guard.megabytes_per_second:g} MB/s, as if nothing were published"
    assumed = "as if all were published" if mode is Mode.METADATA_ONLY else assumed
    tiles = f"{guard.count:,} of {counted(guard.max_tiles, 'tile')}"
    return f"{tiles}, {dollars(guard.usd)} of {dollars(guard.max_usd)} {assumed}"


def _rates(fast: float, slow: float) -> str:
    if fast == slow:
        return f"{fast:g} MB/s a connection"
    return f"{fast:g} to {slow:g} MB/s a connection, an assumption: doctor measures it, --source-rate takes it"
