"""``alos-mosaic run``, ``redrive`` and ``resume``: start an execution, and watch it."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from rich.live import Live

from alos_mosaic.cli.console import BROKEN_OFF, NOTHING_TO_DO, JsonOption, ask, errors, out, print_json
from alos_mosaic.cli.deployment import Deployment, on_deployment
from alos_mosaic.cli.plan import ConcurrencyOption, RateOption, make_plan, print_plan
from alos_mosaic.cli.selection import selecting
from alos_mosaic.cli.status import told, view
from alos_mosaic.errors import InvalidRequestError, shown
from alos_mosaic.messages import parse_run
from alos_mosaic.redrive import RedriveRequest
from alos_mosaic.runs import find_run

POLL_SECONDS: Final = 2.0
"""Between two looks at a run that is waited for."""

NameOption = Annotated[str | None, typer.Option("--name", help="The run's name; made of the time by default.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
WaitOption = Annotated[bool, typer.Option("--wait", "-w", help="Stay and show progress until the run has ended.")]
ParallelOption = Annotated[
    bool, typer.Option("--allow-parallel", help="Run beside another run, which shares the source with it.")
]


@on_deployment
@selecting
def run(
    selected: dict[str, Any],
    max_concurrency: ConcurrencyOption = None,
    max_tiles: Annotated[int | None, typer.Option(min=1, help="Refuse to run over more tiles than this.")] = None,
    max_usd: Annotated[
        float | None, typer.Option(min=0.01, help="Refuse to run if it is estimated at more US dollars than this.")
    ] = None,
    accept_partial: Annotated[
        bool, typer.Option("--accept-partial", help="Publish tiles without cells that are defective at the source.")
    ] = False,
    allow_parallel: ParallelOption = False,
    source_rate: RateOption = None,
    name: NameOption = None,
    yes: YesOption = False,
    wait: WaitOption = False,
    as_json: Annotated[bool, JsonOption] = False,
    *,
    deployment: Deployment,
) -> None:
    """Start a run over a selection, after showing its plan and asking.

    Exits with 0 once it is started (with --wait: if it succeeded, else 1), 3 if there is nothing to do.

    Example: alos-mosaic run --years 2020 --region africa --wait
    """
    name = _checked_name(name, "run")
    choices = {"max_concurrency": max_concurrency, "max_tiles": max_tiles, "max_usd": max_usd}
    switches = {"accept_partial": accept_partial, "allow_parallel": allow_parallel}
    given = selected | {key: value for key, value in (choices | switches).items() if value}
    made = make_plan(given, deployment, max_concurrency, source_rate)
    if not as_json:
        print_plan(made, out(), max_concurrency)
        typer.echo()
    if not made.to_do:
        if as_json:
            print_json({"run": None, "to_do": 0})
        raise typer.Exit(NOTHING_TO_DO)
    if made.refusal:
        raise InvalidRequestError(f"the run would be refused: {made.refusal}")
    ask(yes, f"Start this run on {deployment.stack}?")
    _start(deployment, given, name, wait=wait, as_json=as_json)


@on_deployment
def redrive(
    deployment: Deployment,
    error: Annotated[str | None, typer.Option(help="Only tiles with this error, like SourceUnavailableError.")] = None,
    year: Annotated[int | None, typer.Option(help="Only tiles of this year.")] = None,
    tile: Annotated[str | None, typer.Option(help="Only this tile.")] = None,
    of_run: Annotated[str | None, typer.Option("--run", help="Only tiles that failed in this run.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="So many tiles at most.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which tiles; the queue stays as it is.")] = False,
    allow_parallel: ParallelOption = False,
    name: NameOption = None,
    yes: YesOption = False,
    wait: WaitOption = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Send failed tiles again: those in the dead-letter queue, but what was published since.

    Example: alos-mosaic redrive --error SourceUnavailableError --wait
    """
    which = {"error": error, "year": year, "tile": tile, "run": of_run, "limit": limit, "dry_run": dry_run}
    given: dict[str, Any] = {"redrive": {key: value for key, value in which.items() if value}}
    given |= {"allow_parallel": True} if allow_parallel else {}
    name = _checked_name(name, "redrive")
    RedriveRequest.from_input(given)
    if of_run is not None:
        find_run(deployment.client("stepfunctions"), deployment.state_machine_arn, of_run)
    if not dry_run:
        ask(yes, f"Send {_which(error, year, tile, of_run, limit)} again on {deployment.stack}?")
    _start(deployment, given, name, wait=wait or dry_run, as_json=as_json)


def _which(error: str | None, year: int | None, tile: str | None, run: str | None, limit: int | None) -> str:
    """Say which failed tiles are sent again."""
    most = "the failed tiles" if limit is None else f"{limit:,} at most of the failed tiles"
    parts = (("with", error), ("of", year), ("called", tile), ("of the run", run))
    said = " ".join(f"{word} {value}" for word, value in parts if value is not None)
    return f"{most} {said}".rstrip()


@on_deployment
def resume(
    deployment: Deployment,
    run: Annotated[str, typer.Argument(help="The run that was broken off or ended as incomplete.")],
    allow_parallel: ParallelOption = False,
    name: NameOption = None,
    yes: YesOption = False,
    wait: WaitOption = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Go on with a run: all tiles of its manifest that were not published since it was seeded.

    Example: alos-mosaic resume africa-2020 --wait
    """
    given: dict[str, Any] = {"resume": {"run": run}}
    given |= {"allow_parallel": True} if allow_parallel else {}
    name = _checked_name(name, "resume")
    find_run(deployment.client("stepfunctions"), deployment.state_machine_arn, run)
    ask(yes, f"Go on with {run} on {deployment.stack}?")
    _start(deployment, given, name, wait=wait, as_json=as_json)


def _checked_name(name: str | None, kind: str) -> str:
    """Return a run's name or, without one, one made of the time; InvalidRequestError if Step Functions takes it not."""
    if name is None:
        return f"{kind}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    try:
        return parse_run(name)
    except InvalidRequestError as error:
        raise InvalidRequestError(
            f"{shown(name)} is no name for a run: choose another --name, of up to 80 letters, digits, - and _"
        ) from error


def _start(deployment: Deployment, given: dict[str, Any], name: str, *, wait: bool, as_json: bool) -> None:
    states = deployment.client("stepfunctions")
    try:
        states.start_execution(stateMachineArn=deployment.state_machine_arn, name=name, input=json.dumps(given))
    except states.exceptions.ExecutionAlreadyExists as error:
        raise InvalidRequestError(f"there has been a run called {name}; choose another --name") from error
    if not as_json:
        typer.echo(f"Started {name}")
    if wait:
        _await(deployment, name, as_json)
    elif as_json:
        print_json({"run": name, "input": given})
    else:
        typer.echo(f"Watch it: {deployment.command('status', name)}")


def _await(deployment: Deployment, name: str, as_json: bool) -> None:
    """Show a run's progress until it has ended; Ctrl-C leaves it running."""
    states, records = deployment.client("stepfunctions"), deployment.records
    console = out()
    is_watched = console.is_terminal and not as_json
    said = (-1, -1)
    try:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            while (found := find_run(states, deployment.state_machine_arn, name)).is_running:
                progress = records.progress(name)
                if is_watched:
                    live.update(view(found, progress, deployment.worker), refresh=True)
                elif not as_json and progress.seeded and (len(progress.results), progress.seeded) != said:
                    said = (len(progress.results), progress.seeded)
                    typer.echo(f"{said[0]} of {said[1]} tiles ended, {progress.counts['failed']} failed")
                time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        look = deployment.command("status", name)
        errors.print(f"{name} goes on without you; {look} shows how far it is", style="yellow", markup=False)
        raise typer.Exit(BROKEN_OFF) from None
    progress = records.progress(name)
    if as_json:
        print_json(told(found, progress, deployment.worker))
    else:
        console.print(view(found, progress, deployment.worker))
    raise typer.Exit(0 if found.status == "SUCCEEDED" else 1)
