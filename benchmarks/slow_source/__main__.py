"""``make bench-slow-source``: 2 GB at 1 MB/s, handed on from one invocation to the next by the deployed state machine.

Nothing is set but the source and its speed: time limits are the deployment's own, and waits are waited for. Takes some
40 minutes, next to no processor while the archive comes, and 12 GB of disk below build/, which it removes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from alos_mosaic.bands import BANDS
from alos_mosaic.grid import Grid
from alos_mosaic.naming import item_key, result_key
from alos_mosaic.products import product_of
from benchmarks.machine import this_machine
from benchmarks.slow_source import archive
from benchmarks.slow_source.watched import NOTES, staged
from infra.application import STACK_NAME, synthesize
from local.emulator import Cloud, running_cloud
from local.jaxa_server import JaxaServer

_REPOSITORY: Final = Path(__file__).parents[2]
_RESULTS: Final = Path(__file__).parents[1] / "results" / "slow-source.json"
_WATCHED: Final = "benchmarks.slow_source.watched.lambda_handler"
_PACKAGES: Final = ("alos-mosaic", "boto3", "rasterio", "numpy", "isal", "pyftpdlib", "ministack", "awslambdaric")
_TIME_LIMIT_SECONDS: Final = 4 * 3600
_LAMBDA_SECONDS: Final = 900


def main() -> None:
    """Measure, print a table, write JSON; exit with 1 if the tile is not published whole."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=25, help="full cells in the archive, 81 MB each")
    parser.add_argument("--bytes-per-second", type=int, default=1_000_000)
    parser.add_argument("--transfer-limit-seconds", type=float, help="instead of the deployment's")
    parser.add_argument("--results", type=Path, default=_RESULTS)
    options = parser.parse_args()
    console = Console(width=120, highlight=False)
    with _folder() as folder:
        report = {"machine": asdict(this_machine(_PACKAGES)), **_measure(options, folder, console)}
    _print(report, console)
    options.results.parent.mkdir(parents=True, exist_ok=True)
    options.results.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    console.print(f"Written: {options.results}")
    sys.exit(0 if report["is_right"] else 1)


@contextmanager
def _folder() -> Iterator[Path]:
    parent = _REPOSITORY / "build" / "bench"
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="slow-source-", dir=parent, ignore_cleanup_errors=True) as name:
        yield Path(name)


def _measure(options: argparse.Namespace, folder: Path, console: Console) -> dict[str, Any]:
    mirror = folder / "mirror"
    size = archive.write(mirror, options.cells, Grid()).stat().st_size
    console.print(f"The archive has {size:,} bytes")
    with (
        JaxaServer(mirror, bytes_per_second=options.bytes_per_second) as server,
        running_cloud(folder / "cloud", _REPOSITORY) as cloud,
    ):
        outputs = _deploy(cloud, folder / "cdk.out", server.url, options.transfer_limit_seconds)
        start = time.perf_counter()
        execution = _run(cloud, outputs, "slow")
        seconds, sent = time.perf_counter() - start, server.sent_bytes
        invocations = _invocations(cloud, outputs, _beginnings(server))
        shutil.rmtree(mirror)
        report: dict[str, Any] = {
            "archive_bytes": size,
            "bytes_per_second": options.bytes_per_second,
            "execution": execution["status"],
            "seconds": round(seconds, 1),
            "sent_bytes": sent,
            "sent_in_vain_bytes": sent - size,
            "connections": server.names().count("USER"),
            "invocations": invocations,
        }
        # A tile is skipped when its item and every asset are there, with the sizes and checksums that the item says.
        again = _run(cloud, outputs, "again")
        report |= {
            "fetched_twice_bytes": sum(each["fetched_bytes"] for each in invocations) - size,
            "staged_after": sum(len(staged(cloud.client("s3"), outputs["RunsBucketName"], run)) for run in _RUNS),
            "state": _result(cloud, outputs, "slow").get("state"),
            "state_when_asked_again": _result(cloud, outputs, "again").get("state"),
            "second_execution": again["status"],
            "pixels_compared": _compare(cloud, outputs, options.cells),
        }
    report["is_right"] = (
        report["state"] == "published"
        and report["state_when_asked_again"] == "skipped"
        and report["staged_after"] == 0
        and all(each["seconds"] < _LAMBDA_SECONDS for each in invocations)
    )
    return report


_RUNS: Final = ("slow", "again")


def _deploy(cloud: Cloud, folder: Path, source_url: str, transfer_limit_seconds: float | None) -> dict[str, str]:
    context: dict[str, Any] = {"alos-mosaic:source_uri": source_url}
    if transfer_limit_seconds is not None:
        context["alos-mosaic:transfer_limit_seconds"] = transfer_limit_seconds
    template = synthesize(folder, context)
    content = json.loads(template.read_text("utf-8"))
    functions = [part for part in content["Resources"].values() if part["Type"] == "AWS::Lambda::Function"]
    (worker,) = (part["Properties"] for part in functions if part["Properties"].get("PackageType") == "Image")
    worker["ImageConfig"]["Command"] = [_WATCHED]
    template.write_text(json.dumps(content), "utf-8")
    return cloud.deploy(template.parent, STACK_NAME)


def _run(cloud: Cloud, outputs: dict[str, str], name: str) -> dict[str, Any]:
    given = {"years": [archive.YEAR], "tiles": [archive.TILE.name]}
    return cloud.run_execution(outputs["StateMachineArn"], name, given, _TIME_LIMIT_SECONDS)


def _beginnings(server: JaxaServer) -> list[int]:
    """Return the byte at which each transfer began, as the server was asked."""
    begin, begins = 0, []
    for command in server.commands:
        if command.name == "REST":
            begin = int(command.argument)
        elif command.name == "RETR":
            begins.append(begin)
            begin = 0
    return begins


def _invocations(cloud: Cloud, outputs: dict[str, str], begins: list[int]) -> list[dict[str, Any]]:
    """Return what each invocation took, from its note and from the byte at which its one transfer began."""
    s3, bucket = cloud.client("s3"), outputs["RunsBucketName"]
    found = s3.list_objects_v2(Bucket=bucket, Prefix=NOTES)["Contents"]
    notes = [json.loads(s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()) for entry in found]
    if len(begins) != len(notes):
        print(f"{len(begins)} transfers in {len(notes)} invocations: some broke, so bytes are not told apart")
        begins = [note["transfer"]["received_bytes"] for note in notes]
    invocations = []
    for note, begin in zip(notes, begins, strict=True):
        answer = note["answer"]
        # What is published was received whole.
        received = answer.get("transfer", {}).get("received_bytes", answer.get("archive", {}).get("size", begin))
        invocations.append(
            {
                "seconds": round(note["ended"] - note["began"], 1),
                "remaining_seconds_at_start": round(note["remaining_seconds"], 1),
                "state": answer["state"],
                "began_at_byte": begin,
                "fetched_bytes": received - begin,
                "parts_left": len(note["staged"]),
                "largest_part_bytes": max(note["staged"], default=0),
                "peak_rss_bytes": note["peak_rss_bytes"],
                "peak_disk_bytes": answer.get("peak_disk_bytes"),
                "stages": answer.get("seconds"),
            }
        )
    return invocations


def _result(cloud: Cloud, outputs: dict[str, str], run: str) -> dict[str, Any]:
    key = result_key(run, archive.YEAR, archive.TILE.name)
    body = cloud.client("s3").get_object(Bucket=outputs["RunsBucketName"], Key=key)["Body"].read()
    result: dict[str, Any] = json.loads(body)
    return result


def _compare(cloud: Cloud, outputs: dict[str, str], cells: int) -> int:
    """Compare the backscatter that was published with what the archive holds."""
    bucket = cloud.bucket_folder(outputs["OutputBucketName"])
    key = item_key(product_of(archive.YEAR), archive.YEAR, archive.TILE)
    assets = json.loads((bucket / key).read_text("utf-8"))["assets"]
    compared = 0
    for code in archive.BACKSCATTER_CODES:
        href = assets[BANDS[code].measurement]["href"]
        compared += archive.check(code, (bucket / key).parent / Path(href).name, cells, Grid())
    return compared


def _print(report: dict[str, Any], console: Console) -> None:
    table = Table("invocation", "ended as", "seconds", "MB fetched", "parts left", "peak memory")
    for column in table.columns[2:]:
        column.justify = "right"
    for number, each in enumerate(report["invocations"], 1):
        fetched, memory = each["fetched_bytes"] / 1e6, each["peak_rss_bytes"] / 1e6
        left = str(each["parts_left"])
        table.add_row(str(number), each["state"], f"{each['seconds']:.0f}", f"{fetched:.0f}", left, f"{memory:.0f} MB")
    console.print(table)
    console.print(
        f"{report['archive_bytes']:,} bytes in {report['seconds']:.0f} s, {report['fetched_twice_bytes']:,} fetched "
        f"twice, {report['staged_after']} parts left: {'right' if report['is_right'] else 'WRONG'}"
    )


if __name__ == "__main__":
    main()
