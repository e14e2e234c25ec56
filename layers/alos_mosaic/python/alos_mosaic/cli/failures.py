"""``alos-mosaic failures``: what failed in a run, why, and what to do about it."""

from __future__ import annotations

import shlex
from enum import StrEnum
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.text import Text

from alos_mosaic.advice import advice_on, partial_command
from alos_mosaic.causes import Cluster, clusters
from alos_mosaic.cli.console import JsonOption, out, print_facts, print_json
from alos_mosaic.cli.deployment import Deployment, on_deployment
from alos_mosaic.cli.status import RunWithTilesArgument
from alos_mosaic.errors import IncompleteRunError
from alos_mosaic.quantities import counted
from alos_mosaic.results import TileResult
from alos_mosaic.runs import Run, find_run_with_tiles

_SHOWN_TILES: Final = 8
_ABSENT_ADVICE: Final = "see that the source still has its folders (alos-mosaic doctor --source), then run it again"


class Grouping(StrEnum):
    """What failures are gathered by."""

    CAUSE = "cause"
    ERROR = "error"


@on_deployment
def failures(
    deployment: Deployment,
    run: RunWithTilesArgument = None,
    group_by: Annotated[Grouping, typer.Option("--group-by", help="What failures are gathered by.")] = Grouping.CAUSE,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Say what failed in a run, gathered by cause: with an example, its log, and what to do.

    A run that failed as a whole, without a tile that did, is told with its own error. Exits with 1 if anything failed.

    Example: alos-mosaic failures africa-2020 --group-by error
    """
    found = find_run_with_tiles(deployment.client("stepfunctions"), deployment.state_machine_arn, run)
    progress = deployment.records.progress(found.name)
    gathered = clusters(progress.failures, by_error_only=group_by is Grouping.ERROR)
    if as_json:
        print_json([_told(cluster, found.name, deployment) for cluster in gathered] or _told_of_all(found))
    elif found.is_broken and not gathered:
        _print_broken(found, out())
    elif found.had_no_tile:
        typer.echo(f"Nothing failed in {found.name}: it had no tile to work on.")
    else:
        _print(gathered, found.name, progress.seeded, deployment, out())
    raise typer.Exit(1 if gathered or found.is_broken else 0)


def _command(cluster: Cluster, run: str, deployment: Deployment) -> str:
    return deployment.command("redrive", "--error", cluster.error, "--run", run)


def _log_command(example: TileResult, run: str, deployment: Deployment) -> str:
    return deployment.command("logs", f"{example.year}/{example.tile}", "--run", run)


def _partial_command(example: TileResult, deployment: Deployment) -> str | None:
    command = partial_command(example)
    return None if command is None else deployment.command(*shlex.split(command)[1:])


def _told(cluster: Cluster, run: str, deployment: Deployment) -> dict[str, Any]:
    return {
        "error": cluster.error,
        "pattern": cluster.pattern,
        "tiles": [f"{failure.year}/{failure.tile}" for failure in cluster.failures],
        "example": cluster.example.to_dict(),
        "advice": advice_on(cluster.error),
        "logs": _log_command(cluster.example, run, deployment),
        "redrive": _command(cluster, run, deployment),
        "accept_partial": _partial_command(cluster.example, deployment),
    }


def _told_of_all(run: Run) -> list[dict[str, Any]]:
    """Return what failed of a run of which no tile did: the run itself, or nothing."""
    if not run.is_broken:
        return []
    error = run.error or run.status
    return [{"error": error, "pattern": run.cause, "tiles": [], "advice": _advice(error)}]


def _print_broken(run: Run, console: Console) -> None:
    """Print how a run ended of which no tile failed."""
    console.print(f"No tile is known to have failed in {run.name}, but the run did not end well:")
    error = run.error or run.status
    print_facts(console, (("error", error), ("cause", run.cause or "no cause is known"), ("to do", _advice(error))))


def _advice(error: str) -> str:
    """Return what to do about a run of which no tile failed; that it is incomplete then says that tiles were absent."""
    return _ABSENT_ADVICE if error == IncompleteRunError.__name__ else advice_on(error)


def _print(gathered: tuple[Cluster, ...], run: str, seeded: int, deployment: Deployment, console: Console) -> None:
    failed = sum(len(cluster.failures) for cluster in gathered)
    if not gathered:
        console.print(f"Nothing failed in {run}.")
        return
    console.print(f"{failed:,} of {counted(seeded, 'tile')} failed in {run}, for {counted(len(gathered), 'reason')}")
    for cluster in gathered:
        example = cluster.example
        names = [f"{failure.year}/{failure.tile}" for failure in cluster.failures]
        more = f" and {len(names) - _SHOWN_TILES:,} more" if len(names) > _SHOWN_TILES else ""
        console.print()
        console.print(Text.assemble((f"{len(names):,} x {cluster.error}", "bold red")))
        facts = [
            ("tiles", f"{' '.join(names[:_SHOWN_TILES])}{more}"),
            ("example", f"{names[0]}: {example.cause or 'no cause is known'}"),
            ("log", _log_command(example, run, deployment)),
            ("to do", advice_on(cluster.error)),
            ("redrive", _command(cluster, run, deployment)),
        ]
        partial = _partial_command(example, deployment)
        if partial is not None:
            facts.append(("or accept", partial))
        print_facts(console, facts, indent=2)
