"""``alos-mosaic logs``: what a tile's worker logged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from alos_mosaic.cli.console import JsonOption, print_json
from alos_mosaic.cli.deployment import Deployment, on_deployment
from alos_mosaic.errors import InvalidRequestError, plain
from alos_mosaic.json_objects import json_object
from alos_mosaic.messages import TileYear, parse_time
from alos_mosaic.runs import find_run_with_tiles

_MOST_LINES: Final = 10_000
_METRICS: Final = "_aws"
"""What a line holds that CloudWatch makes metrics of."""
_SHOWN: Final = ("stage", "url", "state", "error")
_REPORTED: Final = ("status", "errorType")
_WITHOUT_TILE: Final = (
    '($.tile NOT EXISTS && $.errorType = "*") || ($.type = "platform.report" && $.record.status != "success")'
)
"""Lines of which only Lambda's request id tells whose they are: of what a handler raised, of a worker that died."""


@on_deployment
def logs(
    deployment: Deployment,
    tile: Annotated[str, typer.Argument(help="Year and tile, like 2020/N25W165.")],
    run: Annotated[
        str | None, typer.Option("--run", help="The run; by default the newest that had tiles to work on.")
    ] = None,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Print what the worker of a tile logged in a run.

    With --json every line comes with all that it says, and so do those that metrics are made of.

    Example: alos-mosaic logs 2020/N25W165 --run africa-2020
    """
    place = TileYear.from_text(tile)
    found = find_run_with_tiles(deployment.client("stepfunctions"), deployment.state_machine_arn, run)
    group = f"/aws/lambda/{deployment.outputs['ProcessTileFunctionName']}"
    group = deployment.tile_function.get("LoggingConfig", {}).get("LogGroup", group)
    own = f'($.tile = "{place.tile}" && $.year = {place.year} && $.run = "{found.name}")'
    pages = (
        deployment.client("logs")
        .get_paginator("filter_log_events")
        .paginate(
            logGroupName=group,
            filterPattern=f"{{ {own} || {_WITHOUT_TILE} }}",
            startTime=round(found.started.timestamp() * 1000),
            PaginationConfig={"MaxItems": _MOST_LINES},
        )
    )
    events = [(event["timestamp"], _said(event["message"])) for page in pages for event in page["events"]]
    lines = _of_tile(events, {"year": place.year, "tile": place.tile.name, "run": found.name})
    if not lines:
        raise InvalidRequestError(f"the log {group} has no line of {tile} in {found.name}; has the tile been started?")
    if as_json:
        print_json([line for _, line in lines])
        return
    for got, line in lines:
        if _METRICS not in line:
            said = " ".join(" ".join(_words(line)).splitlines())
            typer.echo(f"{_time(line, got):%Y-%m-%d %H:%M:%S} {plain(said)}")


def _time(line: dict[str, Any], got: int) -> datetime:
    """Return when a line was written; where it does not say, when the log service got it, in milliseconds."""
    with suppress(KeyError, ValueError):
        return parse_time(str(line["timestamp"]))
    return datetime.fromtimestamp(got / 1000, UTC)


def _of_tile(events: list[tuple[int, dict[str, Any]]], facts: Mapping[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    """Return the lines with these facts, and those without a tile that are of the same invocations."""
    known = [(time, line, _facts(line)) for time, line in events]
    requests = {_request(line) for _, line, said in known if facts.items() <= said.items()} - {None}
    return [
        (time, line)
        for time, line, said in known
        if facts.items() <= said.items() or ("tile" not in said and _request(line) in requests)
    ]


def _facts(line: dict[str, Any]) -> dict[str, Any]:
    """Return a line's fields; of what a handler raised also those in its text, which is JSON."""
    raised = json_object(line.get("errorMessage")) if "tile" not in line else None
    return line if raised is None else {**line, **raised}


def _request(line: dict[str, Any]) -> Any:
    """Return the id of the invocation that a line is of, None if it does not say."""
    record = line.get("record")
    return line.get("requestId") or (record.get("requestId") if isinstance(record, dict) else None)


def _said(text: str) -> dict[str, Any]:
    """Return what a line says: the object that it is or, of any other line, its text."""
    found = json_object(text)
    return {"message": text.rstrip()} if found is None else found


def _words(line: dict[str, Any]) -> Iterator[str]:
    """Yield what a person reads of a line: level, message, where it was, and what was wrong."""
    if "level" in line:
        yield str(line["level"])
    record = line.get("record")
    if isinstance(record, dict):
        yield from ("Lambda:", str(line.get("type")), *(str(record[key]) for key in _REPORTED if key in record))
    if "message" in line:
        yield str(line["message"])
    yield from (f"{name}={line[name]}" for name in _SHOWN if name in line)
    if "errorType" in line and line["errorType"] != line.get("error"):
        yield f"error={line['errorType']}"
    cause = line.get("errorMessage", line.get("cause"))
    if cause:
        yield f"cause={(json_object(cause) or {}).get('cause', cause)}"
