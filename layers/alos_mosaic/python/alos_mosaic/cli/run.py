"""``alos-mosaic run``, ``redrive`` and ``resume``: start an execution, and watch it."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer
from rich.live import Live

from alos_mosaic.cli.console import BROKEN_OFF, NOTHING_TO_DO, JsonOption, ask, errors, out, print_json
from alos_mosaic.cli.deployment import Deployment, on_deployment
from alos_mosaic.cli.plan import ConcurrencyOption, RateOption, check_command, make_plan, print_plan
from alos_mosaic.cli.selection import selecting
from alos_mosaic.cli.status import Lines, told, view
from alos_mosaic.errors import InvalidRequestError, RunGoingOnError, shown
from alos_mosaic.estimates import worker_of
from alos_mosaic.grid import CELLS_PER_TILE
from alos_mosaic.messages import parse_run
from alos_mosaic.quantities import counted, dollars
from alos_mosaic.redrive import RedriveRequest
from alos_mosaic.results import State
from alos_mosaic.runs import Run, find_run, list_runs

if TYPE_CHECKING:
    from mypy_boto3_sqs.literals import QueueAttributeNameType

POLL_SECONDS: Final = 2.0
"""Between two looks at a run that is waited for."""

_LETTERS: Final[tuple[QueueAttributeNameType, ...]] = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
)
"""Attributes of a queue: letters that can be read, and those that somebody reads right now."""

NameOption = Annotated[str | None, typer.Option("--name", help="The run's name; made of the time by default.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
WaitOption = Annotated[bool, typer.Option("--wait", "-w", help="Stay and show progress until the run has ended.")]
ParallelOption = Annotated[
    bool, typer.Option("--allow-parallel", help="Run beside another run, which shares the source with it.")
]


def starting(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command that is broken off before it has started a run say so."""

    @functools.wraps(command)
    def wrapped(**given: Any) -> None:
        try:
            command(**given)
        except (KeyboardInterrupt, typer.Abort):
            raise KeyboardInterrupt("broken off; nothing was started") from None

    return wrapped


@starting
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

    Exits with 0 once it is started (with --wait: if it succeeded, else 1), 3 if there is nothing to do, 1 while another
    run is going on.

    Example: alos-mosaic run --years 2020 --region africa --wait
    """
    name = _checked_name(name, "run")
    choices = {"max_concurrency": max_concurrency, "max_tiles": max_tiles, "max_usd": max_usd}
    switches = {"accept_partial": accept_partial, "allow_parallel": allow_parallel}
    given = selected | {key: value for key, value in (choices | switches).items() if value}
    made = make_plan(given, deployment, max_concurrency, source_rate)
    if not as_json:
        print_plan(made, out(), max_concurrency, check_command(selected, deployment.options))
        typer.echo()
    if not made.to_do:
        if as_json:
            print_json({"run": None, "to_do": 0})
        raise typer.Exit(NOTHING_TO_DO)
    if made.refusal:
        raise InvalidRequestError(f"the run would be refused: {made.refusal}")
    _check_alone(deployment, allow_parallel=allow_parallel)
    ask(yes, f"Start this run on {deployment.stack}?")
    _start(deployment, given, name, wait=wait, as_json=as_json)


@starting
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

    Exits with 0 once it is started (with --wait: if it succeeded, else 1), 3 if no tile
    in the queue is wanted (without --wait: if the queue is empty), 1 while another run is going on.

    Example: alos-mosaic redrive --error SourceUnavailableError --wait
    """
    which = {"error": error, "year": year, "tile": tile, "run": of_run, "limit": limit, "dry_run": dry_run}
    given: dict[str, Any] = {"redrive": {key: value for key, value in which.items() if value}}
    given |= {"allow_parallel": True} if allow_parallel else {}
    name = _checked_name(name, "redrive")
    RedriveRequest.from_input(given)
    if of_run is not None:
        find_run(deployment.client("stepfunctions"), deployment.state_machine_arn, of_run)
    _check_alone(deployment, allow_parallel=allow_parallel or dry_run)
    if not (dry_run or yes):
        _ask_to_redrive(deployment, _which(error, year, tile, of_run, limit), limit, as_json=as_json)
    _start(deployment, given, name, wait=wait or dry_run, as_json=as_json)


def _which(error: str | None, year: int | None, tile: str | None, run: str | None, limit: int | None) -> str:
    """Say which failed tiles are sent again."""
    most = "those" if limit is None else f"{limit:,} at most of those"
    parts = (("with", error), ("of", year), ("called", tile), ("of the run", run))
    said = " ".join(f"{word} {value}" for word, value in parts if value is not None)
    return f"{most} {said}" if said else "them" if limit is None else f"{limit:,} of them at most"


def _ask_to_redrive(deployment: Deployment, which: str, limit: int | None, *, as_json: bool) -> None:
    """Ask by how many letters there are; end with 3 if there is none."""
    attributes = deployment.client("sqs").get_queue_attributes(
        QueueUrl=deployment.outputs["DeadLetterQueueUrl"], AttributeNames=list(_LETTERS)
    )["Attributes"]
    seen, hidden = (int(attributes[name]) for name in _LETTERS)
    letters = seen + hidden
    if not letters:
        _end_with_nothing_to_do(
            f"No failed tile waits in {deployment.stack}'s queue, which may tell of one a minute late.", as_json
        )
    some = (
        f"About {counted(letters, 'failed tile')} {'waits' if letters == 1 else 'wait'} in {deployment.stack}'s queue"
    )
    some += f" ({hidden:,} out of sight, as while another redrive looks at them)" if hidden else ""
    price = _price(deployment, min(letters, limit or letters))
    ask(yes=False, question=f"{some}. Send {which} again, for {price} at most?")


def _price(deployment: Deployment, tiles: int) -> str:
    """Return what so many tiles cost, if all of them were whole ones."""
    return dollars(worker_of(deployment.seed_settings).cost(CELLS_PER_TILE).total * tiles)


def _end_with_nothing_to_do(sentence: str, as_json: bool) -> NoReturn:
    if as_json:
        print_json({"run": None, "to_do": 0})
    else:
        typer.echo(sentence)
    raise typer.Exit(NOTHING_TO_DO)


@starting
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

    Exits with 0 once it is started (with --wait: if it succeeded, else 1), 3 if all its tiles
    are published, 1 while another run is going on.

    Example: alos-mosaic resume africa-2020 --wait
    """
    given: dict[str, Any] = {"resume": {"run": run}}
    given |= {"allow_parallel": True} if allow_parallel else {}
    name = _checked_name(name, "resume")
    _check_had_tiles(find_run(deployment.client("stepfunctions"), deployment.state_machine_arn, run))
    _check_alone(deployment, allow_parallel=allow_parallel)
    if not yes:
        _ask_to_resume(deployment, run, as_json=as_json)
    _start(deployment, given, name, wait=wait, as_json=as_json)


def _ask_to_resume(deployment: Deployment, run: str, *, as_json: bool) -> None:
    """Ask by what the run's records tell; end with 3 if all is published by them."""
    progress = deployment.records.progress(run)
    if not progress.seeded:
        raise InvalidRequestError(f"{run} has no tiles to go on with: it had none, or its records have expired")
    left = progress.seeded - progress.counts[State.PUBLISHED] - progress.counts[State.SKIPPED]
    if not left:
        again = deployment.command("resume", run, "--yes")
        _end_with_nothing_to_do(
            f"All tiles of {run} are published, by its records; where they are not any more: {again}", as_json
        )
    said = f"By its records {left:,} of {counted(progress.seeded, 'tile')} of {run} {'is' if left == 1 else 'are'}"
    price = _price(deployment, left)
    ask(yes=False, question=f"{said} not published. Go on with it on {deployment.stack}, for {price} at most?")


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


def _check_alone(deployment: Deployment, *, allow_parallel: bool) -> None:
    """Raise :class:`RunGoingOnError` if another run is going on, unless this one may run beside it.

    The run itself looks once more when it begins, for one that began meanwhile.
    """
    if allow_parallel:
        return
    states = deployment.client("stepfunctions")
    going_on = list(list_runs(states, deployment.state_machine_arn, only_running=True))
    if going_on:
        other = going_on[-1]
        raise RunGoingOnError(
            f"the run {other.name} is going on since {other.started:%Y-%m-%d %H:%M} and shares the source; wait for "
            f"its end ({deployment.command('status', other.name)}), stop it (aws stepfunctions stop-execution "
            f"--execution-arn {other.arn}), or let both share it (--allow-parallel)"
        )


def _check_had_tiles(run: Run) -> None:
    """Raise :class:`InvalidRequestError` if a run that is to be gone on with had no tile to work on."""
    if run.had_no_tile:
        why = run.cause or run.error or "all that it was asked for was published"
        raise InvalidRequestError(f"{run.name} had no tile to work on: {why}")


def _start(deployment: Deployment, given: dict[str, Any], name: str, *, wait: bool, as_json: bool) -> None:
    """Start an execution and, if asked to, show its progress until it has ended; Ctrl-C leaves it running."""
    states = deployment.client("stepfunctions")
    look = deployment.command("status", name)
    is_started = False
    try:
        try:
            states.start_execution(stateMachineArn=deployment.state_machine_arn, name=name, input=json.dumps(given))
        except states.exceptions.ExecutionAlreadyExists as error:
            raise InvalidRequestError(f"there has been a run called {name}; choose another --name") from error
        is_started = True
        if not as_json:
            typer.echo(f"Started {name}")
        if wait:
            _await(deployment, name, as_json)
        elif as_json:
            print_json({"run": name, "input": given})
        else:
            typer.echo(f"Watch it: {look}")
    except KeyboardInterrupt:
        said = f"{name} goes on without you; {look} shows how far it is"
        if not is_started:
            said = f"{name} may have been started; {look} shows whether it was"
        errors.print(said, style="yellow", markup=False)
        raise typer.Exit(BROKEN_OFF) from None


def _await(deployment: Deployment, name: str, as_json: bool) -> None:
    """Show a run's progress until it has ended, and end as it did."""
    states, records = deployment.client("stepfunctions"), deployment.records
    console = out()
    lines = Lines(deployment.worker) if not (console.is_terminal or as_json) else None
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while (found := find_run(states, deployment.state_machine_arn, name)).is_running:
            progress = records.progress(name)
            if lines is not None:
                for line in lines.of(found, progress):
                    typer.echo(line)
            elif not as_json:
                live.update(view(found, progress, deployment), refresh=True)
            time.sleep(POLL_SECONDS)
    progress = records.progress(name)
    if as_json:
        print_json(told(found, progress, deployment.worker))
    else:
        console.print(view(found, progress, deployment))
    if found.is_broken:
        raise typer.Exit(1)
    raise typer.Exit(NOTHING_TO_DO if _found_nothing(found) else 0)


def _found_nothing(run: Run) -> bool:
    """Tell whether a run that has succeeded had nothing to do; a redrive's dry run has, if it found tiles."""
    redriven = run.output.get("seed", {}).get("redrive")
    return run.had_no_tile and not (redriven and redriven["tiles"])
