"""``make bench-orchestration``: seeding, summing up, and a run of idle workers, on the emulator of this machine."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from alos_mosaic.inventory import known_years, tiles_of_year
from alos_mosaic.manifests import write_manifest
from alos_mosaic.messages import RunRequest, TileRequest, TileYear
from alos_mosaic.naming import result_key, summary_key
from alos_mosaic.results import State, TileResult
from alos_mosaic.seeding import tiles_to_seed
from alos_mosaic.settings import SeedSettings, SummarySettings
from benchmarks.machine import this_machine
from benchmarks.orchestration.idle import expected_counts
from infra.application import STACK_NAME, synthesize
from local.emulator import Cloud, running_cloud
from local.jaxa_server import JaxaServer

_REPOSITORY: Final = Path(__file__).parents[2]
_RESULTS: Final = Path(__file__).parents[1] / "results" / "orchestration.json"
_IDLE: Final = "benchmarks.orchestration.idle.lambda_handler"
_BUCKET: Final = "bench-runs"
_PACKAGES: Final = ("alos-mosaic", "boto3", "ministack", "awslambdaric")
_SUMMARISED: Final = 12_600
_WRITERS: Final = 16
_TIME_LIMIT_SECONDS: Final = 3600
_MAX_CONCURRENCY: Final = 8
"""The deployment's ceiling: with idle workers the state machine is what is measured."""


def main() -> None:
    """Measure, print a table, write JSON; exit with 1 if a run's counts are wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiles", type=int, default=10_000, help="of the run of idle workers, at least")
    parser.add_argument("--summarised", type=int, default=_SUMMARISED, help="results that are summed up, at most")
    parser.add_argument("--results", type=Path, default=_RESULTS)
    options = parser.parse_args()
    console = Console(width=120, highlight=False)
    with (
        tempfile.TemporaryDirectory(prefix="bench-orchestration-") as name,
        JaxaServer(Path(name)) as source,  # a run asks whether it is there
        _cloud(Path(name)) as cloud,
    ):
        cloud.client("s3").create_bucket(Bucket=_BUCKET)
        report = {
            "machine": asdict(this_machine(_PACKAGES)),
            "seed": _seed(cloud, source.url),
            "summarise": _summarise(cloud, options.summarised),
            "run": _run(cloud, Path(name), source.url, _years_of(options.tiles)),
        }
    _print(report, console)
    options.results.parent.mkdir(parents=True, exist_ok=True)
    options.results.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    console.print(f"Written: {options.results}")
    sys.exit(0 if report["run"]["counts_are_right"] else 1)


@contextmanager
def _cloud(folder: Path) -> Iterator[Cloud]:
    with running_cloud(folder / "cloud", _REPOSITORY, wait_scale=0) as cloud:
        yield cloud


def _years_of(tiles: int) -> list[int]:
    """Return years of which so many tiles are known, the latest first."""
    years: list[int] = []
    for year in reversed(known_years()):
        years.append(year)
        if sum(len(tiles_of_year(each)) for each in years) >= tiles:
            return years
    raise SystemExit(f"no {tiles} tiles are known")


def _seed(cloud: Cloud, source: str) -> dict[str, Any]:
    """Seed the globe of all listed years."""
    event = {"run": "seeded", "input": {"years": list(known_years()), "allow_parallel": True}}
    settings = SeedSettings(runs_bucket=_BUCKET, output_uri=f"s3://{_BUCKET}", source_uri=source)
    told = _step(cloud, "lambdas.seed_tiles.handler.lambda_handler", event, settings.to_env())
    return {**told, "tiles": told.pop("answer")["count"]}


def _summarise(cloud: Cloud, count: int) -> dict[str, Any]:
    """Sum up a run of as many tiles as a decade of the globe has."""
    known = tiles_to_seed(RunRequest.from_input({"years": list(known_years())}, "global"))
    more = [TileYear(2021, tile.tile) for tile in known]
    tiles = [*known, *more][:count]
    run, s3 = "summarised", cloud.client("s3")
    write_manifest(s3, _BUCKET, run, [TileRequest(tile) for tile in tiles])

    def put(tile: TileYear) -> None:
        cells = tuple(cell.name for cell in tile.tile.cells)
        archive = {"url": "ftp://ftp.eorc.jaxa.jp/pub/" + "x" * 60, "layout": "palsar-2-v1", "size": 2_120_000_000}
        seconds = {"check": 0.1, "gather": 400.0, "transfer": 399.0, "write": 9.0, "describe": 0.2, "publish": 3.0}
        result = TileResult(
            State.PUBLISHED, tile.year, tile.tile.name, run, cells=cells, archive=archive, seconds=seconds
        )
        body = json.dumps(result.to_dict()).encode()
        s3.put_object(Bucket=_BUCKET, Key=result_key(run, tile.year, tile.tile.name), Body=body)

    with ThreadPoolExecutor(_WRITERS) as writers:
        list(writers.map(put, tiles))
    settings = SummarySettings(runs_bucket=_BUCKET).to_env()
    told = _step(cloud, "lambdas.summarise_run.handler.lambda_handler", {"run": run}, settings)
    answer = told.pop("answer")
    return {**told, "results": answer["seeded"], "published": answer["published"]}


def _run(cloud: Cloud, folder: Path, source: str, years: Sequence[int]) -> dict[str, Any]:
    """Run the deployed state machine over years of the globe, the tile function's command replaced by the idle one."""
    template = synthesize(folder / "cdk.out", {"alos-mosaic:source_uri": source})
    _replace_worker(template)
    outputs = cloud.deploy(template.parent, STACK_NAME)
    given = {"years": list(years), "max_concurrency": _MAX_CONCURRENCY}
    start = time.perf_counter()
    execution = cloud.run_execution(outputs["StateMachineArn"], "idle", given, _TIME_LIMIT_SECONDS)
    seconds = time.perf_counter() - start
    body = cloud.client("s3").get_object(Bucket=outputs["RunsBucketName"], Key=summary_key("idle"))["Body"].read()
    summary = json.loads(body)
    tiles = tiles_to_seed(RunRequest.from_input({"years": list(years)}, "global"))
    counts = {state.value: summary[state.value] for state in State}
    return {
        "tiles": len(tiles),
        "status": execution["status"],
        "error": execution.get("error"),
        "counts": counts,
        "counts_are_right": counts == expected_counts(tiles) and summary["seeded"] == len(tiles),
        "seconds": seconds,
        "seconds_per_1000_tiles": seconds / len(tiles) * 1000,
        "max_concurrency": _MAX_CONCURRENCY,
    }


def _replace_worker(template: Path) -> None:
    content = json.loads(template.read_text("utf-8"))
    functions = [part for part in content["Resources"].values() if part["Type"] == "AWS::Lambda::Function"]
    (worker,) = (part["Properties"] for part in functions if part["Properties"].get("PackageType") == "Image")
    worker["ImageConfig"]["Command"] = [_IDLE]
    template.write_text(json.dumps(content), "utf-8")


def _step(cloud: Cloud, handler: str, event: dict[str, Any], settings: dict[str, str]) -> dict[str, Any]:
    env = {
        **{name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ},
        **settings,
        "AWS_ENDPOINT_URL": cloud.endpoint_url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": cloud.region,
    }
    command = [sys.executable, "-m", "benchmarks.orchestration.step", handler, json.dumps(event)]
    done = subprocess.run(command, cwd=_REPOSITORY, env=env, stdout=subprocess.PIPE, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _print(report: dict[str, Any], console: Console) -> None:
    table = Table("step", "what", "seconds", "with imports", "peak memory")
    for column in table.columns[2:]:
        column.justify = "right"
    seed, summary, run = report["seed"], report["summarise"], report["run"]
    for name, step, what in (
        ("seed", seed, f"{seed['tiles']:,} tiles"),
        ("summarise", summary, f"{summary['results']:,} results"),
    ):
        both = step["seconds"] + step["import_seconds"]
        table.add_row(name, what, f"{step['seconds']:.2f}", f"{both:.2f}", f"{step['peak_rss_bytes'] / 1e6:.0f} MB")
    per_1000 = f"{run['seconds_per_1000_tiles']:.1f} s per 1000 tiles, {run['max_concurrency']} at once"
    table.add_row("run", f"{run['tiles']:,} tiles, {per_1000}", f"{run['seconds']:.0f}", "", "")
    console.print(table)
    counts = ", ".join(f"{count} {state}" for state, count in run["counts"].items())
    console.print(f"The run ended as {run['status']} ({run['error']}): {counts}; "
                  f"the counts are {'right' if run['counts_are_right'] else 'WRONG'}.")  # fmt: skip


if __name__ == "__main__":
    main()
