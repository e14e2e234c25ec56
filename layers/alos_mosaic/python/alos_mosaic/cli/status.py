"""``alos-mosaic status`` and ``runs``: what is going on, and what has been."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import typer
from rich.console import Group
from rich.text import Text

from alos_mosaic.advice import advice_on, advice_on_run
from alos_mosaic.cli.console import JsonOption, out, print_json, table
from alos_mosaic.cli.deployment import Deployment, on_deployment
from alos_mosaic.costs import Worker
from alos_mosaic.errors import plain
from alos_mosaic.messages import LIMITS
from alos_mosaic.quantities import counted, dollars, duration
from alos_mosaic.results import State, TileResult
from alos_mosaic.run_records import Progress
from alos_mosaic.runs import Run, find_run, list_described_runs

RunArgument = Annotated[str | None, typer.Argument(help="The run's name; the newest by default.")]
RunWithTilesArgument = Annotated[
    str | None, typer.Argument(help="The run's name; by default the newest that had tiles to work on.")
]
STYLES: Final = {
    State.PUBLISHED: "green",
    State.SKIPPED: "cyan",
    State.ABSENT: "yellow",
    State.FAILED: "bold red",
}
_SHOWN_FAILURES: Final = 5
_CAUSE_CHARACTERS: Final = 100
_BAR_CHARACTERS: Final = 40
_SHOWN_VALUES: Final = 4
"""Of a list in a run's input."""


@on_deployment
def status(deployment: Deployment, run: RunArgument = None, as_json: Annotated[bool, JsonOption] = False) -> None:
    """Say how far a run is, or how it ended.

    Exits with 0 while it goes on or has succeeded, with 1 if it failed or was broken off.

    Example: alos-mosaic status africa-2020
    """
    found = find_run(deployment.client("stepfunctions"), deployment.state_machine_arn, run)
    progress = deployment.records.progress(found.name)
    if as_json:
        print_json(told(found, progress, deployment.worker))
    else:
        out().print(view(found, progress, deployment))
    raise typer.Exit(1 if found.is_broken else 0)


@on_deployment
def runs(
    deployment: Deployment,
    limit: Annotated[int, typer.Option(min=1, help="So many at most, the newest first.")] = 20,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """List the runs of the last 90 days, the newest first.

    Example: alos-mosaic runs --limit 5
    """
    listed = list_described_runs(deployment.client("stepfunctions"), deployment.state_machine_arn, limit)
    if as_json:
        print_json([run.to_dict() for run in listed])
        return
    if not listed:
        typer.echo(f"There has been no run yet; start one: {deployment.command('run', '--years', '2020')}")
        return
    shown = table("run", "status", "started (UTC)", "took", "what", right=("took",))
    for run in listed:
        took = duration(run.seconds)
        shown.add_row(run.name, _status(run), f"{run.started:%Y-%m-%d %H:%M}", took, Text(plain(_what(run.given))))
    out().print(shown)


def _what(given: Mapping[str, Any]) -> str:
    """Say in short what a run was asked for, by its input, which may be anything."""
    if "resume" in given:
        return f"resume {_words(given['resume'])}"
    if "redrive" in given:
        return f"redrive {_words(given['redrive'])}".rstrip()
    rest = {name: value for name, value in given.items() if name not in ("years", *LIMITS)}
    return f"{_word(given.get('years', ''))} {_words(rest)}".strip()


def _words(values: object) -> str:
    """Return names and values; switches that are on by their names alone."""
    if not isinstance(values, Mapping):
        return _word(values)
    return " ".join(
        name if value is True else f"{name}={_word(value)}" for name, value in values.items() if value is not False
    )


def _word(value: object) -> str:
    """Return a value; of a long list the first ones."""
    if not isinstance(value, list):
        return str(value)
    more = f",... ({len(value):,})" if len(value) > _SHOWN_VALUES else ""
    return ",".join(map(str, value[:_SHOWN_VALUES])) + more


def told(run: Run, progress: Progress, worker: Worker) -> dict[str, Any]:
    """Return a run's progress for machines."""
    return {
        **run.to_dict(),
        "seeded": progress.seeded,
        **progress.counts,
        "waiting": progress.waiting,
        "tiles_per_hour": round(_per_hour(run, progress), 1),
        "minutes_left": _minutes_left(run, progress),
        "usd_so_far": round(progress.usd(worker), 4),
        "last_failures": [result.to_dict() for result in progress.failures[-_SHOWN_FAILURES:]],
    }


def view(run: Run, progress: Progress, deployment: Deployment) -> Group:
    """Return a run's progress for people."""
    lines: list[Any] = [
        Text.assemble((run.name, "bold"), "  ", _status(run), f"  since {run.started:%Y-%m-%d %H:%M} UTC")
    ]
    if run.error or run.cause:
        lines.append(Text(": ".join(filter(None, (run.error, run.cause)))))
    redriven = run.output.get("seed", {}).get("redrive")
    if redriven:
        lines.append(Text(plain(_redriven(redriven))))
    elif run.had_no_tile and not run.is_broken:
        lines.append(Text("It had no tile to work on: all that it was asked for is published."))
    if progress.seeded:
        lines += ["", _bar(progress), _counts(run, progress)]
        lines.append(_pace(run, progress, deployment.worker))
    failures = progress.failures
    if failures:
        is_all = len(failures) <= _SHOWN_FAILURES
        lines += ["", Text("What failed:" if is_all else f"The last of {counted(len(failures), 'failure')}:")]
        lines.append(_failures(failures[-_SHOWN_FAILURES:]))
        if not run.is_running:
            lines.append(Text(f"\nMore: {deployment.command('failures', run.name)}", style="dim"))
    if run.was_stopped:
        lines += [Text(f"To do: {advice_on(run.ended_by)}"), *_going_on(run, progress, deployment)]
    elif run.is_broken and not failures:
        lines.append(Text(f"To do: {advice_on_run(run.ended_by)}"))
    return Group(*lines)


def _going_on(run: Run, progress: Progress, deployment: Deployment) -> list[Text]:
    """Return the command that goes on with a run that was stopped, if there is something to go on with."""
    return [Text(f"Go on: {deployment.command('resume', run.name)}")] if progress.seeded else []


def _redriven(told: Mapping[str, Any]) -> str:
    """Say what a redrive found in the queue."""
    names, count = list(told["first_tiles"]), told["tiles"]
    left = told["left_in_queue"]
    by_error = ", ".join(f"{number} {error}" for error, number in told.get("left_by_error", {}).items())
    if not count and left and by_error:
        return f"No tile in the queue is the one asked for; there are {counted(left, 'letter')}: {by_error}"
    verb = "would be sent again" if told["dry_run"] else "was sent again" if count == 1 else "were sent again"
    which = f": {' '.join(names)}{' ...' if count > len(names) else ''}" if names else ""
    rest = {
        "published since they failed": told["published_since"],
        "left in the queue": left,
        "not readable": told["unreadable"],
    }
    others = "".join(f"; {number} {what}" for what, number in rest.items() if number)
    return f"{counted(count, 'tile')} {verb}{which}{others}"


def _status(run: Run) -> Text:
    style = {"RUNNING": "bold blue", "SUCCEEDED": "green"}.get(run.status, "bold red")
    return Text(run.status_in_words, style)


def _bar(progress: Progress) -> Text:
    """Return a bar whose parts are the outcomes; characters tell them apart where there is no colour."""
    bar = Text()
    for state, character in ((State.PUBLISHED, "#"), (State.SKIPPED, "="), (State.ABSENT, "o"), (State.FAILED, "x")):
        width = round(_BAR_CHARACTERS * progress.counts[state] / progress.seeded)
        bar.append(character * (width or bool(progress.counts[state])), STYLES[state])
    bar.append("." * (_BAR_CHARACTERS - len(bar)), "dim")
    ended = len(progress.results)
    bar.append(f"  {ended:,} of {counted(progress.seeded, 'tile')} ended")
    return bar


def _counts(run: Run, progress: Progress) -> Text:
    parts = [Text(f"{progress.counts[state]:,} {state}", STYLES[state]) for state in State if progress.counts[state]]
    if progress.waiting:
        parts.append(Text(f"{progress.waiting:,} {'waiting' if run.is_running else 'not done'}", "dim"))
    return Text(", ").join(parts)


def _per_hour(run: Run, progress: Progress) -> float:
    return len(progress.results) / max(run.seconds, 1) * 3600


def _minutes_left(run: Run, progress: Progress) -> float | None:
    rate = _per_hour(run, progress)
    return round(progress.waiting / rate * 60, 1) if run.is_running and rate else None


def _pace(run: Run, progress: Progress, worker: Worker) -> Text:
    cost = dollars(progress.usd(worker))
    if not run.is_running:
        return Text(f"{cost} of work on record", style="dim")
    left = _minutes_left(run, progress)
    ahead = "no tile has ended yet" if left is None else f"about {duration(left * 60)} left"
    parts = (f"{_per_hour(run, progress):,.0f} tiles an hour", ahead, f"{cost} so far")
    return Text(", ".join(parts), style="dim")


def _failures(failures: tuple[TileResult, ...]) -> Any:
    shown = table("tile", "error", "cause")
    for result in failures:
        shown.add_row(f"{result.year}/{result.tile}", Text(result.error or "", "red"), Text(_short_cause(result)))
    return shown


def _short_cause(result: TileResult) -> str:
    cause = (result.cause or "").splitlines()[0] if result.cause else ""
    return cause if len(cause) <= _CAUSE_CHARACTERS else f"{cause[:_CAUSE_CHARACTERS]} ..."


class Lines:
    """A run's progress in lines, where nobody looks: each time only what is new."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._ended = -1
        self._told: set[tuple[int, str, str | None]] = set()
        """Failures by year, tile and product; one that a retry mends is told all the same."""

    def of(self, run: Run, progress: Progress) -> Iterator[str]:
        """Yield what is new since the last look; nothing before the run's tiles are listed."""
        if progress.seeded and len(progress.results) != self._ended:
            self._ended = len(progress.results)
            ended = f"{self._ended:,} of {counted(progress.seeded, 'tile')} ended, {len(progress.failures):,} failed"
            yield f"{ended}; {_pace(run, progress, self._worker)}"
        new = [each for each in progress.failures if (each.year, each.tile, each.product) not in self._told]
        self._told |= {(each.year, each.tile, each.product) for each in new}
        for failure in new[:_SHOWN_FAILURES]:
            yield f"  failed: {failure.year}/{failure.tile} {failure.error or ''}: {_short_cause(failure)}"
        if len(new) > _SHOWN_FAILURES:
            yield f"  failed: {len(new) - _SHOWN_FAILURES:,} more"
