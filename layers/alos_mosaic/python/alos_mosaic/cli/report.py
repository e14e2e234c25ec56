"""``alos-mosaic report``: a run's report, fetched or made anew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from alos_mosaic.cli.console import JsonOption, print_json
from alos_mosaic.cli.deployment import Deployment, on_deployment
from alos_mosaic.cli.status import RunWithTilesArgument
from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.messages import format_time
from alos_mosaic.report import report_page
from alos_mosaic.run_ends import describe, read_run_end
from alos_mosaic.runs import Run, find_run_with_tiles
from alos_mosaic.settings import WORKER_FACTS


@on_deployment
def report(
    deployment: Deployment,
    run: RunWithTilesArgument = None,
    html: Annotated[Path | None, typer.Option("--html", help="The file to write; by default <run>.html here.")] = None,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Write the report of a run that has ended: one HTML file, made of its summary.

    Of a run that was broken off, which has none, it is made of what its workers recorded. With --json what it is made
    of is printed, every tile's record in it.

    Example: alos-mosaic report africa-2020 --html africa-2020.html
    """
    found = find_run_with_tiles(deployment.client("stepfunctions"), deployment.state_machine_arn, run)
    summary = deployment.records.summary(found.name)
    if summary is None:
        summary = _of_records(deployment, found)
    if as_json:
        print_json(summary)
        return
    path = html or Path(f"{found.name}.html")
    path.write_text(report_page(summary), encoding="utf-8")
    typer.echo(f"{path}: {summary.get('sentence', found.name)}")


def _of_records(deployment: Deployment, run: Run) -> dict[str, Any]:
    """Return what stands for the summary of a run that was broken off, in its form."""
    if run.had_no_tile:
        raise InvalidRequestError(f"{run.name} has no report: it had no tile to work on")
    if run.is_running:
        look = deployment.command("status", run.name)
        raise InvalidRequestError(f"{run.name} has no report yet: it is going on; {look} shows how far it is")
    s3, states = deployment.client("s3"), deployment.client("stepfunctions")
    end = read_run_end(describe(states, run.arn), s3, deployment.runs_bucket)
    if end is None or not end.requests:
        raise InvalidRequestError(f"{run.name} has no report: it ended before its tiles were listed")
    return {
        "run": run.name,
        "seeded": len(end.requests),
        **end.counts,
        "complete": False,
        "sentence": f"{run.status_in_words}: {end.sentence}",
        "started": format_time(run.started),
        "ended": None if run.ended is None else format_time(run.ended),
        "worker": {name: getattr(deployment.seed_settings, name) for name in WORKER_FACTS},
        "deployment": {"stack": deployment.stack, "aws_region": deployment.session.region_name},
        "tiles": [result.to_dict() for result in end.results],
    }
