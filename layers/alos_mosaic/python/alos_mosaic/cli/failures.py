"""``alos-mosaic failures``: what failed in a run, why, and what to do about it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.text import Text

from alos_mosaic.advice import advice_on, advice_on_run, partial_command
from alos_mosaic.causes import Cluster, clusters
from alos_mosaic.cli.console import JsonOption, out, print_facts, print_json
from alos_mosaic.cli.deployment import Deployment, on_deployment
from alos_mosaic.cli.status import RunWithTilesArgument
from alos_mosaic.quantities import counted
from alos_mosaic.results import TileResult
from alos_mosaic.run_records import Progress
from alos_mosaic.runs import Run, find_run_with_tiles

_SHOWN_TILES: Final = 8
_SHOWN_CLUSTERS: Final = 20
_CAUSE_CHARACTERS: Final = 300
"""Of an example's cause, as text; JSON has all of it."""


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
        of_run = _told_of_all(found) if found.was_stopped or not gathered else []
        print_json([_told(cluster, gathered, found.name, deployment) for cluster in gathered] + of_run)
    elif found.is_broken and not gathered:
        _print_broken(found, progress, deployment, out())
    elif found.had_no_tile:
        typer.echo(f"Nothing failed in {found.name}: it had no tile to work on.")
    else:
        _print(gathered, found, progress, deployment, out())
    raise typer.Exit(1 if gathered or found.is_broken else 0)


def _command(cluster: Cluster, gathered: tuple[Cluster, ...], run: str, deployment: Deployment) -> str:
    """Return what sends a cluster's tiles again: of a single one it alone, of more all with their error."""
    words = ["redrive", "--error", cluster.error, "--run", run]
    if len(cluster.failures) == 1 and _with_error(cluster.error, gathered) > 1:
        words += ["--year", str(cluster.example.year), "--tile", cluster.example.tile]
    return deployment.command(*words)


def _with_error(error: str, gathered: tuple[Cluster, ...]) -> int:
    """Return how many tiles failed with an error, whatever its cause."""
    return sum(len(cluster.failures) for cluster in gathered if cluster.error == error)


def _log_command(example: TileResult, run: str, deployment: Deployment) -> str:
    return deployment.command("logs", f"{example.year}/{example.tile}", "--run", run)


def _told(cluster: Cluster, gathered: tuple[Cluster, ...], run: str, deployment: Deployment) -> dict[str, Any]:
    return {
        "error": cluster.error,
        "pattern": cluster.pattern,
        "tiles": [f"{failure.year}/{failure.tile}" for failure in cluster.failures],
        "example": cluster.example.to_dict(),
        "advice": advice_on(cluster.error),
        "logs": _log_command(cluster.example, run, deployment),
        "redrive": _command(cluster, gathered, run, deployment),
        "accept_partial": partial_command(cluster.example, deployment.options),
    }


def _told_of_all(run: Run) -> list[dict[str, Any]]:
    """Return what failed besides tiles: the run itself, or nothing."""
    if not run.is_broken:
        return []
    return [{"error": run.ended_by, "pattern": run.cause, "tiles": [], "advice": advice_on_run(run.ended_by)}]


def _print_broken(run: Run, progress: Progress, deployment: Deployment, console: Console) -> None:
    """Print how a run ended of which no tile failed."""
    console.print(f"No tile is known to have failed in {run.name}, but the run did not end well:")
    print_facts(console, _facts_of_end(run, progress, deployment))


def _facts_of_end(run: Run, progress: Progress, deployment: Deployment) -> list[tuple[str, str]]:
    """Return what a run ended by, and what to do about it."""
    causes = [run.error, run.cause] if run.was_stopped else [run.cause]
    cause = ": ".join(filter(None, causes)) or "no cause is known"
    facts = [("error", run.ended_by), ("cause", cause), ("to do", advice_on_run(run.ended_by))]
    if run.was_stopped and progress.seeded:
        facts.append(("go on", deployment.command("resume", run.name)))
    return facts


def _print(
    gathered: tuple[Cluster, ...], run: Run, progress: Progress, deployment: Deployment, console: Console
) -> None:
    so_far = " so far" if run.is_running else ""
    if not gathered:
        console.print(f"Nothing failed in {run.name}{so_far}.")
        return
    failed, reasons = len(progress.failures), counted(len(gathered), "reason")
    console.print(f"{failed:,} of {counted(progress.seeded, 'tile')} failed in {run.name}{so_far}, for {reasons}")
    for cluster in gathered[:_SHOWN_CLUSTERS]:
        console.print()
        console.print(Text.assemble((f"{len(cluster.failures):,} x {cluster.error}", "bold red")))
        print_facts(console, _facts_of(cluster, gathered, run.name, deployment), indent=2)
    rest = gathered[_SHOWN_CLUSTERS:]
    if rest:
        tiles = counted(sum(len(cluster.failures) for cluster in rest), "tile")
        by_error = deployment.command("failures", run.name, "--group-by", "error")
        console.print(f"\nAnd {counted(len(rest), 'more reason')} of {tiles}: --json has all, {by_error} fewer")
    if run.was_stopped:
        console.print("\nThe run itself did not end well:")
        print_facts(console, _facts_of_end(run, progress, deployment), indent=2)


def _facts_of(
    cluster: Cluster, gathered: tuple[Cluster, ...], run: str, deployment: Deployment
) -> list[tuple[str, str]]:
    """Return what a person reads of one cluster."""
    example = cluster.example
    names = [f"{failure.year}/{failure.tile}" for failure in cluster.failures]
    more = f" and {len(names) - _SHOWN_TILES:,} more" if len(names) > _SHOWN_TILES else ""
    cause = example.cause or "no cause is known"
    cut = cause if len(cause) <= _CAUSE_CHARACTERS else f"{cause[:_CAUSE_CHARACTERS]} ..."
    facts = [
        ("tiles", f"{' '.join(names[:_SHOWN_TILES])}{more}"),
        ("example", f"{names[0]}: {cut}"),
        ("log", _log_command(example, run, deployment)),
        ("to do", advice_on(cluster.error)),
        ("redrive", _command(cluster, gathered, run, deployment)),
    ]
    all_of_error = _with_error(cluster.error, gathered)
    if 1 < len(cluster.failures) < all_of_error:
        facts.append(("", f"which sends all {counted(all_of_error, 'tile')} with this error"))
    partial = partial_command(example, deployment.options)
    if partial is not None:
        facts.append(("or accept", partial))
    return facts
