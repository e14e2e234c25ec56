"""``alos-mosaic report``: a run's report, fetched or made anew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alos_mosaic.cli.console import JsonOption, print_json
from alos_mosaic.cli.deployment import Deployment, on_deployment
from alos_mosaic.cli.status import RunWithTilesArgument
from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.report import report_page
from alos_mosaic.runs import find_run_with_tiles


@on_deployment
def report(
    deployment: Deployment,
    run: RunWithTilesArgument = None,
    html: Annotated[Path | None, typer.Option("--html", help="The file to write; by default <run>.html here.")] = None,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Write the report of a run that was summed up: one HTML file, made of its summary.

    With --json the summary itself is printed, every tile's record in it.

    Example: alos-mosaic report africa-2020 --html africa-2020.html
    """
    found = find_run_with_tiles(deployment.client("stepfunctions"), deployment.state_machine_arn, run)
    summary = deployment.records.summary(found.name)
    if summary is None:
        if found.had_no_tile:
            raise InvalidRequestError(f"{found.name} has no report: it had no tile to work on")
        raise InvalidRequestError(
            f"{found.name} has no summary: it is going on or was broken off; "
            f"{deployment.command('status', found.name)} shows what is known"
        )
    if as_json:
        print_json(summary)
        return
    path = html or Path(f"{found.name}.html")
    path.write_text(report_page(summary), encoding="utf-8")
    typer.echo(f"{path}: {summary.get('sentence', found.name)}")
