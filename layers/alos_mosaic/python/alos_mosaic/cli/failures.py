"""``alos-mosaic failures`` and ``logs``: what failed in a run, why, and what to do about it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.text import Text

from alos_mosaic.advice import advice_on
from alos_mosaic.causes import Cluster, clusters
from alos_mosaic.cli.console import JsonOption, out, print_facts, print_json
from alos_mosaic.cli.deployment import Deployment, on_deployment
from alos_mosaic.cli.status import RunArgument
from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.messages import TileYear
from alos_mosaic.runs import find_run

_SHOWN_TILES: Final = 8
_MOST_LINES: Final = 10_000


class Grouping(StrEnum):
    """What failures are gathered by."""

    CAUSE = "cause"
    ERROR = "error"


@on_deployment
def failures(
    deployment: Deployment,
    run: RunArgument = None,
    group_by: Annotated[Grouping, typer.Option("--group-by", help="What failures are gathered by.")] = Grouping.CAUSE,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Say what failed in a run, gathered by cause: with an example, its log, and what to do.

    Exits with 1 if anything failed.

    Example: alos-mosaic failures africa-2020 --group-by error
    """
    found = find_run(deployment.client("stepfunctions"), deployment.state_machine_arn, run)
    progress = deployment.records.progress(found.name)
    gathered = clusters(progress.failures, by_error_only=group_by is Grouping.ERROR)
    if as_json:
        print_json([_told(cluster, found.name, deployment) for cluster in gathered])
    else:
        _print(gathered, found.name, progress.seeded, deployment, out())
    raise typer.Exit(1 if gathered else 0)


def _command(cluster: Cluster, run: str, deployment: Deployment) -> str:
    return deployment.command("redrive", "--error", cluster.error, "--run", run)


def _told(cluster: Cluster, run: str, deployment: Deployment) -> dict[str, Any]:
    return {
        "error": cluster.error,
        "pattern": cluster.pattern,
        "tiles": [f"{failure.year}/{failure.tile}" for failure in cluster.failures],
        "example": cluster.example.to_dict(),
        "advice": advice_on(cluster.error),
        "redrive": _command(cluster, run, deployment),
    }


def _print(gathered: tuple[Cluster, ...], run: str, seeded: int, deployment: Deployment, console: Console) -> None:
    failed = sum(len(cluster.failures) for cluster in gathered)
    if not gathered:
        console.print(f"Nothing failed in {run}.")
        return
    console.print(
        f"{failed:,} of {seeded:,} tiles failed in {run}, for {len(gathered)} reason{'s'[: len(gathered) - 1]}"
    )
    for cluster in gathered:
        example = cluster.example
        names = [f"{failure.year}/{failure.tile}" for failure in cluster.failures]
        more = f" and {len(names) - _SHOWN_TILES:,} more" if len(names) > _SHOWN_TILES else ""
        console.print()
        console.print(Text.assemble((f"{len(names):,} x {cluster.error}", "bold red")))
        facts = (
            ("tiles", f"{' '.join(names[:_SHOWN_TILES])}{more}"),
            ("example", f"{names[0]}: {example.cause or 'no cause is known'}"),
            ("log", example.log or "unknown"),
            ("to do", advice_on(cluster.error)),
            ("redrive", _command(cluster, run, deployment)),
        )
        print_facts(console, facts, indent=2)


@on_deployment
def logs(
    deployment: Deployment,
    tile: Annotated[str, typer.Argument(help="Year and tile, like 2020/N25W165.")],
    run: Annotated[str | None, typer.Option("--run", help="The run; the newest by default.")] = None,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Print what the worker of a tile logged in a run.

    Example: alos-mosaic logs 2020/N25W165 --run africa-2020
    """
    place = TileYear.from_text(tile)
    found = find_run(deployment.client("stepfunctions"), deployment.state_machine_arn, run)
    group = f"/aws/lambda/{deployment.outputs['ProcessTileFunctionName']}"
    group = deployment.tile_function.get("LoggingConfig", {}).get("LogGroup", group)
    pattern = f'{{ $.tile = "{place.tile}" && $.year = {place.year} && $.run = "{found.name}" }}'
    pages = (
        deployment.client("logs")
        .get_paginator("filter_log_events")
        .paginate(
            logGroupName=group,
            filterPattern=pattern,
            startTime=round(found.started.timestamp() * 1000),
            PaginationConfig={"MaxItems": _MOST_LINES},
        )
    )
    lines = [event for page in pages for event in page["events"]]
    if not lines:
        raise InvalidRequestError(f"the log {group} has no line of {tile} in {found.name}; has the tile been started?")
    if as_json:
        print_json([_said(event) for event in lines])
        return
    for event in lines:
        typer.echo(_line(event))


def _said(event: dict[str, Any]) -> dict[str, Any]:
    """Return what a line says: the object that it is or, of any other line, its text."""
    try:
        said = json.loads(event["message"])
    except ValueError:
        said = None
    return said if isinstance(said, dict) else {"message": event["message"].rstrip()}


def _line(event: dict[str, Any]) -> str:
    """Return a line as a person reads it."""
    time, said = datetime.fromtimestamp(event["timestamp"] / 1000, UTC), _said(event)
    return " ".join(filter(None, (f"{time:%H:%M:%S}", said.get("level"), str(said.get("message", event["message"])))))
