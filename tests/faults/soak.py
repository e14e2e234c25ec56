"""A soak: many small tiles through the whole state machine, some of them with faults, and then redrives.

``python -m tests.faults.soak``: 200 tiles on the emulator, of which a fifth fails in the run for good, by a seed:
by what the FTP server does, by an archive that is not whole, by what S3 answers, by workers that are killed. Each fault
lasts one to three runs; at most three redrives have to publish all, and leave nothing behind.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from alos_mosaic.grid import Grid, Tile
from alos_mosaic.inventory import tiles_of_year
from alos_mosaic.naming import STAGING_FOLDER, item_key, summary_key
from alos_mosaic.products import product_of
from infra.application import STACK_NAME, synthesize
from local.archives import first_layout, place_archive
from local.emulator import Cloud, running_cloud
from local.jaxa_server import Fault, JaxaServer
from tests.faults import sabotage

REPOSITORY: Final = Path(__file__).parents[2]
YEAR: Final = 2020
GRID: Final = Grid(30)
ROUNDS: Final = 3
"""Redrives, at most."""
FAULTY: Final = 0.2
_LASTING: Final = (1, 1, 1, 2, 2, 3)
"""Runs that a fault lasts, one of these at random."""
_PUBLISHED_BEFORE: Final = 0.2
_AT_ONCE: Final = 6
_TIME_LIMIT_SECONDS: Final = 600
MEMORY_TOLERANCE: Final = 1.20
"""What a worker's last tiles may have in memory, as a multiple of its first ones, medians of a quarter each. Allocators
and caches take some tiles to settle (13 % were measured); a megabyte that each tile left behind would be above it
after some 35 tiles."""
_TILES_THAT_TELL: Final = 20

Kind = Callable[["Stage", Tile], None]


@dataclass
class Stage:
    """What goes wrong in one run."""

    mirror: Path
    server: list[Fault]
    """What the FTP server does."""
    calls: list[dict[str, Any]]
    """What becomes of the workers' calls (:mod:`tests.faults.sabotage`)."""

    def archive(self, tile: Tile) -> Path:
        """Return where a tile's archive lies on the server."""
        return self.mirror / first_layout(YEAR).archive_path(tile, YEAR)


def _replies(command: str, reply: str) -> Kind:
    def inject(stage: Stage, tile: Tile) -> None:
        stage.server.append(Fault(command, reply, ending=stage.archive(tile).name))

    return inject


def _breaks(*, is_silent: bool) -> Kind:
    def inject(stage: Stage, tile: Tile) -> None:
        path = stage.archive(tile)
        stage.server.append(Fault("RETR", at_byte=path.stat().st_size // 2, ending=path.name, is_silent=is_silent))

    return inject


def _truncate(stage: Stage, tile: Tile) -> None:
    path = stage.archive(tile)
    path.write_bytes(path.read_bytes()[:-500])


def _spoil(stage: Stage, tile: Tile) -> None:
    path = stage.archive(tile)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def _call(operation: str, act: str, ending: str) -> Kind:
    def inject(stage: Stage, tile: Tile) -> None:
        stage.calls.append({"operation": operation, "act": act, "key": f"/{tile}/.*{ending}$"})

    return inject


KINDS: Final[dict[str, Kind]] = {
    "ftp 550 on SIZE": _replies("SIZE", "550 No such file"),
    "ftp 421 on RETR": _replies("RETR", "421 Too many connections"),
    "ftp 426 on RETR": _replies("RETR", "426 Transfer aborted"),
    "reset at half": _breaks(is_silent=False),
    "stall at half": _breaks(is_silent=True),
    "truncated archive": _truncate,
    "corrupt archive": _spoil,
    "S3 SlowDown on a COG": _call("PutObject", "SlowDown", "HH.*tif"),
    "S3 AccessDenied on the item": _call("PutObject", "AccessDenied", "stac-item.json"),
    "killed at a COG": _call("PutObject", "kill", "mask.*tif"),
    "killed at the item": _call("PutObject", "kill", "stac-item.json"),
}
_LEAVE_STAGING: Final = tuple(name for name in KINDS if name.startswith("killed"))
"""What a killed worker has staged of a tile that was published before goes by the bucket's lifecycle, not by us."""


@dataclass(frozen=True)
class Fate:
    """What a tile meets, and in how many runs."""

    kind: str
    runs: int


def fates(tiles: Sequence[Tile], seed: int, published_before: Sequence[Tile] = ()) -> dict[Tile, Fate]:
    """Return the tiles that meet something, :data:`FAULTY` of them; every kind in turn, so that none is left out."""
    chance = random.Random(seed)
    found = {}
    kinds = list(KINDS)
    chance.shuffle(kinds)
    for number, tile in enumerate(chance.sample(list(tiles), round(len(tiles) * FAULTY))):
        kind = kinds[number % len(kinds)]
        while kind in _LEAVE_STAGING and tile in published_before:
            kind = chance.choice(kinds)
        found[tile] = Fate(kind, chance.choice(_LASTING))
    return found


@dataclass(frozen=True)
class Growth:
    """A worker's memory behind the first and the last quarter of the tiles that it published, medians in bytes."""

    tiles: int
    first: float
    last: float

    @property
    def is_flat(self) -> bool:
        """Whether it did not grow by more than the tolerance."""
        return self.last <= self.first * MEMORY_TOLERANCE


def growths(lines: Sequence[str]) -> list[Growth]:
    """Return what became of the memory of those workers that lived long enough to tell."""
    samples: dict[int, list[int]] = defaultdict(list)
    for line in lines:
        sample = json.loads(line)
        if sample["state"] == "published":  # a tile that is skipped, or fails, takes less
            samples[sample["pid"]].append(sample["bytes"])
    long = [found for found in samples.values() if len(found) >= _TILES_THAT_TELL]
    quarters = [(found, len(found) // 4) for found in long]
    return [
        Growth(len(found), statistics.median(found[:quarter]), statistics.median(found[-quarter:]))
        for found, quarter in quarters
    ]


class Soak:
    """A soak in a folder of its own."""

    def __init__(self, folder: Path, count: int, seed: int) -> None:
        chance = random.Random(seed)
        self.tiles = sorted(chance.sample(sorted(tiles_of_year(YEAR)), count))
        self.before = chance.sample(self.tiles, round(count * _PUBLISHED_BEFORE))
        self.fates = fates(self.tiles, seed, self.before)
        self._folder, self._mirror, self._hooks = folder, folder / "mirror", folder / "hooks"

    def run(self) -> dict[str, Any]:
        """Run it; return the figures. AssertionError tells of what is not as it should be."""
        began = time.monotonic()
        sabotage.make_hooks(self._hooks)
        for tile in self.tiles:
            self._place(tile)
        with JaxaServer(self._mirror) as server:
            port = server.port
        context = {
            "source_uri": f"ftp://127.0.0.1:{port}",
            "source_timeout_seconds": 1,
            "cell_pixels": GRID.cell_pixels,
            "max_concurrency_ceiling": _AT_ONCE,
        }
        template = synthesize(self._folder / "cdk.out", {f"alos-mosaic:{key}": value for key, value in context.items()})
        with running_cloud(self._folder / "cloud", REPOSITORY, wait_scale=0, hooks=self._hooks) as cloud:
            outputs = cloud.deploy(template.parent, STACK_NAME)
            rounds = self._rounds(cloud, outputs, port)
            figures = {"rounds": rounds, "left": self._left(cloud, outputs)}
        lines = (self._hooks / "memory.jsonl").read_text().splitlines()
        kinds = Counter(fate.kind for fate in self.fates.values())
        return {**figures, "faults": dict(kinds), "memory": growths(lines), "seconds": time.monotonic() - began}

    def _place(self, tile: Tile) -> None:
        place_archive(self._mirror, tile, YEAR, GRID, cells=tile.cells[12:13])

    def _rounds(self, cloud: Cloud, outputs: dict[str, str], port: int) -> list[dict[str, int]]:
        """Publish some tiles, then run all of them with their faults, then redrive until all are published."""
        names, ended = [tile.name for tile in self.tiles], []

        def execute(name: str, given: dict[str, Any]) -> dict[str, int]:
            given = {**given, "max_concurrency": _AT_ONCE}
            with self._faults(port, len(ended) - 1):
                execution = cloud.run_execution(outputs["StateMachineArn"], name, given, _TIME_LIMIT_SECONDS)
            body = cloud.client("s3").get_object(Bucket=outputs["RunsBucketName"], Key=summary_key(name))["Body"].read()
            summary = json.loads(body)
            counts = {state: int(summary[state]) for state in ("published", "skipped", "absent", "failed")}
            assert sum(counts.values()) == summary["seeded"] == len(summary["tiles"]), counts
            assert (execution["status"] == "SUCCEEDED") is (counts["failed"] == 0), execution
            ended.append(counts)
            return counts

        execute("before", {"years": [YEAR], "tiles": [tile.name for tile in self.before]})
        counts = execute("soak", {"years": [YEAR], "tiles": names, "mode": "overwrite"})
        assert counts["failed"] == len(self.fates), counts
        for number in range(1, ROUNDS + 1):
            if not counts["failed"]:
                break
            lasting = sum(fate.runs > number for fate in self.fates.values())
            counts = execute(f"redrive-{number}", {"redrive": {}})
            assert counts["failed"] == lasting, (counts, lasting)
        assert not counts["failed"], counts
        assert execute("again", {"years": [YEAR], "tiles": names})["skipped"] == len(names)
        return ended

    @contextmanager
    def _faults(self, port: int, run: int) -> Iterator[None]:
        """Serve with the faults of a run; the one ahead of the soak is -1 and has none."""
        stage = Stage(self._mirror, [], [])
        struck = [tile for tile, fate in self.fates.items() if 0 <= run < fate.runs]
        for tile in struck:
            KINDS[self.fates[tile].kind](stage, tile)
        sabotage.plan(self._hooks, stage.calls)
        with JaxaServer(self._mirror, port=port, faults=stage.server):
            yield
        for tile in struck:
            self._place(tile)

    def _left(self, cloud: Cloud, outputs: dict[str, str]) -> list[str]:
        """Return what should not be there, or not be missing."""
        s3 = cloud.client("s3")
        pages = s3.get_paginator("list_objects_v2")
        listed = {
            name: {
                entry["Key"]
                for page in pages.paginate(Bucket=outputs[f"{name}BucketName"])
                for entry in page.get("Contents", ())
            }
            for name in ("Runs", "Output")
        }
        items = {item_key(product_of(YEAR), YEAR, tile) for tile in self.tiles}
        attributes = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        queue = outputs["DeadLetterQueueUrl"]
        letters = cloud.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=attributes)["Attributes"]
        return [
            *(f"staged: {key}" for key in sorted(listed["Runs"]) if key.startswith(STAGING_FOLDER)),
            *(f"not published: {key}" for key in sorted(items - listed["Output"])),
            *(f"temporary: {path}" for path in sorted((cloud.folder / "workers").glob("*/tmp/**/*"))),
            *(f"{count} letters" for count in letters.values() if int(count)),
        ]


def main() -> None:
    """Run the soak and print its figures; exit with 1 if something is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiles", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    options = parser.parse_args()
    print(f"{options.tiles} tiles with seed {options.seed}", flush=True)  # noqa: T201
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    figures = Soak(folder, options.tiles, options.seed).run()
    for counts in figures["rounds"]:
        print(counts)  # noqa: T201
    print(figures["faults"])  # noqa: T201
    for growth in figures["memory"]:
        print(f"{growth.tiles} tiles: {growth.first / 2**20:.1f} MiB, then {growth.last / 2**20:.1f} MiB")  # noqa: T201
    print(f"{figures['seconds']:.0f} s")  # noqa: T201
    wrong = [*figures["left"], *(f"memory grew: {each}" for each in figures["memory"] if not each.is_flat)]
    wrong += [] if figures["memory"] else ["no worker lived long enough to tell of its memory"]
    print("\n".join(wrong))  # noqa: T201
    if wrong:
        sys.exit(1)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
