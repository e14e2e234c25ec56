"""The whole system on one machine: ``make demo``, or ``python -m local.demo --help``.

A look-alike of JAXA's FTP server with synthetic archives of three missions, the emulated cloud with the stack in it as
the CDK synthesizes it, one execution over a handful of tiles, a table of what became of them, and the run's report with
the quicklooks of what was published.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from alos_mosaic.grid import Grid, Tile
from alos_mosaic.messages import TileYear
from alos_mosaic.naming import results_prefix, summary_key
from alos_mosaic.report import report_page
from alos_mosaic.results import State, TileResult
from infra.application import STACK_NAME, synthesize
from local.archives import add_archive_file, place_archive
from local.emulator import Cloud, running_cloud
from local.gallery import collect_pictures
from local.jaxa_server import JaxaServer

REPOSITORY: Final = Path(__file__).parents[1]
RUN: Final = "demo"
REAL_ARCHIVE: Final = "N23W161_20_MOS_F02DAR.tar.gz"
"""The archive that a folder of samples holds: one 1x1 cell off Hawaii."""
_REAL: Final = TileYear(2020, Tile.from_name("N25W165"))
_POLL_SECONDS: Final = 0.5
_TIME_LIMIT_SECONDS: Final = 900
_COLOURS: Final = {"published": "green", "skipped": "green", "absent": "yellow", "failed": "red", "waiting": "dim"}

_PLACES: Final = {
    "2009/N10E010": ("N09E013", "N09E014", "N08E013", "N08E014"),
    "2020/N10E010": ("N09E013",),
    "2020/S05E055": ("S05E055",),
    "1996/N10E010": ("N09E013",),
}
"""Synthetic archives on the server, and the cells in them. The years and tiles below ask for more than these: of the
Seychelles JAXA has a mosaic in 2020, but none in 1996 and 2009. Were absent tiles known ones, the run would fail."""
_PLACES_BESIDE_THE_REAL: Final = {"1996/N25W165": ("N23W161",), "2009/N25W165": ("N23W161",)}
"""On the server as well if the real archive is: JAXA has its tile in these years, too."""


@dataclass
class Scene:
    """What the demo asks for and expects."""

    years: tuple[int, ...] = (1996, 2009, 2020)
    tiles: tuple[str, ...] = ("N10E010", "S05E055")
    expected: dict[str, State] = field(default_factory=dict)
    run: str = RUN
    status: str = "SUCCEEDED"
    """How the execution is to end."""
    redrive: dict[str, Any] = field(default_factory=dict)
    """Which failed tiles are tried again; nothing where the years and tiles are asked for."""

    @property
    def input(self) -> dict[str, Any]:
        """What the execution is started with."""
        which = {"redrive": self.redrive} if self.redrive else {"years": list(self.years), "tiles": list(self.tiles)}
        return {**which, "max_concurrency": 2}

    def expect(self, published: list[str]) -> None:
        """Every tile of every year is published if its archive is there, else absent."""
        names = [f"{year}/{tile}" for year, tile in itertools.product(self.years, self.tiles)]
        self.expected = {name: State.PUBLISHED if name in published else State.ABSENT for name in names}


def main() -> None:
    """Run the demo; exit with 1 unless every tile ended as it should."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "build/demo", help="where everything is left")
    parser.add_argument(
        "--samples", type=Path, help=f"a folder with the real archive {REAL_ARCHIVE}, processed as well"
    )
    parser.add_argument("--stay", action="store_true", help="keep it all up until Ctrl-C, for `alos-mosaic`")
    arguments = parser.parse_args()
    clear(arguments.folder)
    console = Console(soft_wrap=True, highlight=False)
    start = time.monotonic()
    scene = _set_up(arguments.folder / "mirror", arguments.samples, console)
    with (
        JaxaServer(arguments.folder / "mirror") as server,
        running_cloud(arguments.folder / "cloud", REPOSITORY) as cloud,
    ):
        console.print(f"JAXA look-alike at {server.url}, AWS look-alike at {cloud.endpoint_url}")
        outputs = deploy(cloud, arguments.folder, server.url)
        ended_well = play(cloud, outputs, scene, console)
        show_where(cloud, outputs, scene.run, arguments.folder / "report.html", console)
        if arguments.stay:
            stay(cloud, console)
    console.print(f"{time.monotonic() - start:.0f} seconds")
    sys.exit(0 if ended_well else 1)


def clear(folder: Path) -> None:
    """Remove what an earlier demo left in its folder."""
    for name in ("mirror", "cloud", "cdk.out", "quicklooks"):
        shutil.rmtree(folder / name, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)


def play(cloud: Cloud, outputs: dict[str, str], scene: Scene, console: Console) -> bool:
    """Run a scene's execution, show how its tiles end, and tell whether all is as it should be."""
    status = _run(cloud, outputs, scene, console)
    return _judge(status, scene, _results(cloud, outputs["RunsBucketName"], scene.run), console)


def _set_up(mirror: Path, samples: Path | None, console: Console) -> Scene:
    """Fill the look-alike server's folder."""
    console.print("Making synthetic archives")
    places = _PLACES if samples is None else _PLACES | _PLACES_BESIDE_THE_REAL
    with ProcessPoolExecutor() as pool:
        list(pool.map(place, itertools.repeat(mirror), places, places.values()))
    scene, published = Scene(), list(places)
    if samples is not None:
        archive = samples / REAL_ARCHIVE
        if not archive.is_file():
            raise SystemExit(f"{archive} does not exist; the samples folder holds the real archive under that name")
        add_archive_file(mirror, _REAL.tile, _REAL.year, archive)
        scene.tiles += (_REAL.tile.name,)
        published.append(f"{_REAL.year}/{_REAL.tile}")
    scene.expect(published)
    return scene


def place(mirror: Path, name: str, cell_names: tuple[str, ...]) -> Path:
    """Put a synthetic archive of a tile's cells onto the server, and return where it lies."""
    tile_year = TileYear.from_text(name)
    cells = [cell for cell in tile_year.tile.cells if cell.name in cell_names]
    return place_archive(mirror, tile_year.tile, tile_year.year, Grid(), cells=cells)


def deploy(cloud: Cloud, folder: Path, source_url: str) -> dict[str, str]:
    """Synthesize the stack and put it into the emulated cloud."""
    context = {"alos-mosaic:source_uri": source_url}
    template = synthesize(folder / "cdk.out", context)
    return cloud.deploy(template.parent, STACK_NAME)


def _run(cloud: Cloud, outputs: dict[str, str], scene: Scene, console: Console) -> str:
    """Start the execution and show its progress until it ends; return its status."""
    given = json.dumps(scene.input)
    console.print(f"Starting an execution with {given}")
    workflow = cloud.client("stepfunctions")
    started = workflow.start_execution(stateMachineArn=outputs["StateMachineArn"], name=scene.run, input=given)
    deadline = time.monotonic() + _TIME_LIMIT_SECONDS
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        for results in _watch(cloud, outputs["RunsBucketName"], scene.run, console):
            execution = workflow.describe_execution(executionArn=started["executionArn"])
            if execution["status"] != "RUNNING":
                console.print(_reason(execution))
                return str(execution["status"])
            if time.monotonic() > deadline:
                return f"still running after {_TIME_LIMIT_SECONDS} seconds"
            ended = f"{len(results)} of {len(scene.expected)} tiles ended"
            live.update(Group(_table(scene, results), Text(ended)))
    raise AssertionError("the watch never ends by itself")


def _reason(execution: dict[str, Any]) -> str:
    reason = execution.get("cause") or execution.get("error") or ""
    return f"Execution {execution['status']}{': ' if reason else ''}{reason}"


def _watch(cloud: Cloud, bucket: str, run: str, console: Console) -> Iterator[dict[str, TileResult]]:
    """Yield the results so far, again and again; without a terminal each new one is printed as a line."""
    seen: set[str] = set()
    while True:
        results = _results(cloud, bucket, run)
        if not console.is_terminal:
            for name in sorted(set(results) - seen):
                console.print(f"  {name} {results[name].state}")
        seen |= set(results)
        yield results
        time.sleep(_POLL_SECONDS)


def _results(cloud: Cloud, bucket: str, run: str) -> dict[str, TileResult]:
    """Read what the workers recorded, by YEAR/TILE."""
    s3 = cloud.client("s3")
    found = s3.list_objects_v2(Bucket=bucket, Prefix=results_prefix(run)).get("Contents", ())
    bodies = (json.loads(s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()) for entry in found)
    results = (TileResult.from_dict(body) for body in bodies)
    return {f"{result.year}/{result.tile}": result for result in results}


def _table(scene: Scene, results: dict[str, TileResult]) -> Table:
    table = Table("tile", "outcome", "cells", "archive MB", "COGs MB", "seconds", box=None, header_style="bold")
    for column in table.columns[2:]:
        column.justify = "right"
    for name in scene.expected:
        result = results.get(name)
        state = "waiting" if result is None else str(result.state)
        cells: list[str | Text] = [name, Text(state, style=_COLOURS[state])]
        if result is not None and result.state is State.PUBLISHED:
            megabytes = [f"{size / 1e6:.1f}" for size in (result.archive["size"], result.output_bytes)]
            cells += [str(len(result.cells)), *megabytes, f"{sum(result.seconds.values()):.1f}"]
        table.add_row(*cells)
    return table


def _judge(status: str, scene: Scene, results: dict[str, TileResult], console: Console) -> bool:
    """Print the table of outcomes and tell whether all is as it should be."""
    console.print(_table(scene, results))
    wrong = [
        f"{name} should be {state} and is {results[name].state if name in results else 'without a result'}"
        for name, state in scene.expected.items()
        if name not in results or results[name].state is not state
    ]
    if status != scene.status:
        wrong.append(f"the execution ended as {status}")
    for sentence in wrong:
        console.print(f"WRONG: {sentence}", style="red")
    return not wrong


def show_where(cloud: Cloud, outputs: dict[str, str], run: str, report: Path, console: Console) -> None:
    """Say where everything lies; summary and quicklooks of what is published go beside the report."""
    output, runs = outputs["OutputBucketName"], outputs["RunsBucketName"]
    console.print(f"Published:  {_shown(cloud.bucket_folder(output))}")
    console.print(f"Run:        {_shown(cloud.bucket_folder(runs) / 'runs' / run)}")
    try:
        summary = cloud.client("s3").get_object(Bucket=runs, Key=summary_key(run))["Body"].read()
    except ClientError as error:
        console.print(f"There is no summary: {error}", style="red")
        return
    kept, told = report.with_name(report.name.replace("report", "summary")).with_suffix(".json"), json.loads(summary)
    kept.write_bytes(summary)
    results = [TileResult.from_dict(each) for each in told["tiles"]]
    quicklooks = report.parent / "quicklooks"
    pictures = collect_pictures(cloud.bucket_folder(output).parent, results, quicklooks)
    # The run's own report with the pictures in it, which here may lie beside it and in AWS only behind a login.
    report.write_text(report_page(told, pictures), "utf-8")
    console.print(f"Summary:    {_shown(kept)}: {told['sentence']}")
    if pictures:
        console.print(f"Quicklooks: {_shown(quicklooks)}: {', '.join(pictures)}")
    console.print(f"Report:     {_shown(report)}: open it in a browser")


def stay(cloud: Cloud, console: Console) -> None:
    """Keep all of it up until Ctrl-C, and say how another terminal gets at it."""
    console.print("It stays up until Ctrl-C. In another terminal, as against any deployment:")
    console.print(f"  export {' '.join(f'{name}={value}' for name, value in cloud.environment.items())}")
    console.print(f"  .venv/bin/alos-mosaic status {RUN}")
    with suppress(KeyboardInterrupt):
        threading.Event().wait()


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    main()
