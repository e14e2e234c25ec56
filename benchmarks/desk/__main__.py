"""``make bench-desk``: how long the operator's commands take over a globe's year, each a process of its own.

A deployed stack on the emulator of this machine has a year published, a run over it that goes on and one that was
summed up; whole processes are timed, from their start to their end, the interpreter's included.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from alos_mosaic.bands import BANDS, possible_codes
from alos_mosaic.inventory import known_years
from alos_mosaic.manifests import write_manifest
from alos_mosaic.messages import RunRequest, TileRequest, TileYear
from alos_mosaic.naming import band_file_name, item_key, quicklook_file_name, summary_key, tile_prefix
from alos_mosaic.products import product_of
from alos_mosaic.results import State, TileResult, counts_of
from alos_mosaic.seeding import tiles_to_seed
from benchmarks.machine import this_machine
from benchmarks.orchestration.idle import fate, leave_record
from infra.application import STACK_NAME, synthesize
from local.emulator import Cloud, running_cloud

_REPOSITORY: Final = Path(__file__).parents[2]
_RESULTS: Final = Path(__file__).parents[1] / "results" / "desk.json"
_PACKAGES: Final = ("alos-mosaic", "boto3", "typer", "rich", "ministack")
_COMMAND: Final = shutil.which("alos-mosaic", path=str(Path(sys.executable).parent))
_WRITERS: Final = 16
_STILL_WAITING: Final = 10
"""Every so many tiles one has not ended yet in the run that goes on."""
_GOES_ON: Final = '{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 36000, "End": true}}}'
_ENDS: Final = '{"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}'
_TIME_LIMIT_SECONDS: Final = 60
_FAILED: Final = 1
"""Exit code of ``failures`` where there are some."""


@dataclass(frozen=True)
class Question:
    """A command, and what it is asked about."""

    name: str
    arguments: tuple[str, ...]
    exit_code: int = 0


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiles", type=int, default=2000, help="of the year, at most; the globe has some 1,100")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--results", type=Path, default=_RESULTS)
    options = parser.parse_args()
    console, machine = Console(width=120, highlight=False), asdict(this_machine(_PACKAGES))
    year = known_years()[-1]
    tiles = tiles_to_seed(RunRequest.from_input({"years": [year]}, "global"))[: options.tiles]
    with tempfile.TemporaryDirectory(prefix="bench-desk-") as name:
        folder = Path(name)
        with running_cloud(folder / "cloud", _REPOSITORY, wait_scale=1) as cloud:
            outputs = _deployed(cloud, folder)
            _publish(cloud, outputs["OutputBucketName"], tiles)
            _leave_runs(cloud, outputs, tiles)
            timed = _timed(cloud, _questions(year, tiles, folder), options.repeats)
        sizes = {path.name: path.stat().st_size for path in sorted(folder.glob("*.html"))}
    report = {"machine": machine, "tiles": len(tiles), "seconds": timed, "bytes": sizes}
    _print(report, console)
    options.results.parent.mkdir(parents=True, exist_ok=True)
    options.results.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    console.print(f"Written: {options.results}")


def _deployed(cloud: Cloud, folder: Path) -> dict[str, str]:
    template = synthesize(folder / "cdk.out", {"alos-mosaic:source_uri": "ftp://127.0.0.1"})
    return cloud.deploy(template.parent, STACK_NAME)


def _publish(cloud: Cloud, bucket: str, tiles: Sequence[TileYear]) -> None:
    """Put what a listing of the year's tiles would tell: the keys of all files, next to nothing in them."""
    keys = []
    for each in tiles:
        product = product_of(each.year)
        folder = tile_prefix(product, each.year, each.tile)
        bands = [BANDS[code] for code in possible_codes(product)]
        names = [band_file_name(each.tile, each.year, band, "F02DAR") for band in bands]
        names.append(quicklook_file_name(each.tile, each.year))
        keys += [item_key(product, each.year, each.tile), *(f"{folder}/{name}" for name in names)]
    _at_once(lambda key: cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=b"{}"), keys)


def _leave_runs(cloud: Cloud, outputs: dict[str, str], tiles: Sequence[TileYear]) -> None:
    """Leave the traces of a run that goes on and of one that was summed up."""
    s3, bucket, states = cloud.client("s3"), outputs["RunsBucketName"], cloud.client("stepfunctions")
    machine = outputs["StateMachineArn"]
    for run, definition in (("ended", _ENDS), ("going-on", _GOES_ON)):
        states.update_state_machine(stateMachineArn=machine, definition=definition)
        begun = states.start_execution(stateMachineArn=machine, name=run, input="{}")
        if definition is _ENDS:
            cloud.await_end(begun["executionArn"], _TIME_LIMIT_SECONDS)
        write_manifest(s3, bucket, run, [TileRequest(tile) for tile in tiles])
    results = [_result("ended", tile) for tile in tiles]
    counts = counts_of(results)
    summary = {
        "run": "ended",
        "seeded": len(tiles),
        "sentence": ", ".join(f"{count} {state}" for state, count in counts.items()),
        **counts,
        "tiles": [result.to_dict() for result in results],
    }
    s3.put_object(Bucket=bucket, Key=summary_key("ended"), Body=json.dumps(summary).encode())

    ended = [tile for number, tile in enumerate(tiles) if number % _STILL_WAITING]
    _at_once(lambda tile: leave_record(s3, bucket, _result("going-on", tile)), ended)


def _result(run: str, tile: TileYear) -> TileResult:
    state = fate(tile)
    facts: dict[str, Any] = {"year": tile.year, "tile": tile.tile.name, "run": run}
    if state is State.FAILED:
        cause = f"{tile.tile}_20_MOS_F02DAR.tar.gz: the gzip stream ends after 85186 of 2677726 bytes"
        return TileResult(state, **facts, error="CorruptArchiveError", cause=cause)
    return TileResult(
        state,
        **facts,
        cells=tuple(cell.name for cell in tile.tile.cells),
        archive={"url": "ftp://ftp.eorc.jaxa.jp/pub/" + "x" * 60, "layout": "palsar-2-v1", "size": 2_120_000_000},
        output_bytes=2_200_000_000,
        seconds={"check": 0.1, "gather": 400.0, "transfer": 399.0, "write": 9.0, "describe": 0.2, "publish": 3.0},
    )


def _at_once(put: Callable[[Any], Any], all_of: Sequence[Any]) -> None:
    with ThreadPoolExecutor(_WRITERS) as writers:
        list(writers.map(put, all_of))


def _questions(year: int, tiles: Sequence[TileYear], folder: Path) -> list[Question]:
    failed = any(fate(tile) is State.FAILED for tile in tiles)
    return [
        Question("plan", ("plan", "--years", str(year), "--mode", "refresh", "--html", str(folder / "plan.html"))),
        Question("plan, all published", ("plan", "--years", str(year)), 3 if len(tiles) > 1000 else 0),  # noqa: PLR2004
        Question("status, going on", ("status", "going-on")),
        Question("status, summed up", ("status", "ended")),
        Question("runs", ("runs",)),
        Question("failures, going on", ("failures", "going-on"), _FAILED * failed),
        Question("failures, summed up", ("failures", "ended"), _FAILED * failed),
        Question("report", ("report", "ended", "--html", str(folder / "report.html"))),
    ]


def _timed(cloud: Cloud, questions: Sequence[Question], repeats: int) -> dict[str, list[float]]:
    if _COMMAND is None:
        raise SystemExit("alos-mosaic is not installed beside this interpreter")
    env = {
        **{name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "HOME") if name in os.environ},
        **cloud.environment,
    }
    timed: dict[str, list[float]] = {question.name: [] for question in questions}
    for _ in range(repeats):
        for question in questions:
            start = time.perf_counter()
            done = subprocess.run([_COMMAND, *question.arguments], env=env, capture_output=True, text=True, check=False)
            timed[question.name].append(round(time.perf_counter() - start, 3))
            if done.returncode != question.exit_code:
                raise SystemExit(f"{question.arguments} ended with {done.returncode}: {done.stderr}")
    return timed


def _print(report: dict[str, Any], console: Console) -> None:
    table = Table("command", "median s", "worst s", title=f"{report['tiles']:,} tiles")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, seconds in report["seconds"].items():
        table.add_row(name, f"{statistics.median(seconds):.2f}", f"{max(seconds):.2f}")
    console.print(table)
    console.print(", ".join(f"{name} {count / 1e6:.2f} MB" for name, count in report["bytes"].items()))


if __name__ == "__main__":
    main()
