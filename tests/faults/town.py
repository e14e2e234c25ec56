"""A deployment on the emulator whose functions' processes can be made to die, and a source beside it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from alos_mosaic.grid import Grid, Tile
from alos_mosaic.inventory import tiles_of_year
from alos_mosaic.naming import manifest_key, results_prefix, summary_key
from infra.application import STACK_NAME, synthesize
from local.archives import place_archive
from local.emulator import Cloud, running_cloud
from local.jaxa_server import JaxaServer
from tests.faults import sabotage

YEAR: Final = 2020
_LIMIT_SECONDS: Final = 60
_POLL_SECONDS: Final = 0.02
_ATTRIBUTES: Final = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
SEEN_AGAIN_SOON: Final = {
    "function": "RedriveTiles",
    "operation": "ReceiveMessage",
    "change": {"VisibilityTimeout": 4, "WaitTimeSeconds": 0},
}
"""In the plan of :mod:`tests.faults.sabotage`: letters that were received come into sight again after seconds; so the
queue has to be read faster than that."""


class Town:
    """A deployed system, its source and what goes wrong in its processes."""

    def __init__(self, cloud: Cloud, outputs: dict[str, str], mirror: Path, hooks: Path, grid: Grid) -> None:
        self.cloud, self.outputs, self._mirror, self._hooks, self._grid = cloud, outputs, mirror, hooks, grid
        self._unused = iter(sorted(tiles_of_year(YEAR)))

    def client(self, service: str) -> Any:
        """A client that nothing goes wrong with."""
        return self.cloud.client(service)

    @property
    def machine(self) -> str:
        """The state machine's ARN."""
        return self.outputs["StateMachineArn"]

    @property
    def queue(self) -> str:
        """The dead-letter queue's URL."""
        return self.outputs["DeadLetterQueueUrl"]

    def plan(self, *faults: dict[str, Any]) -> None:
        """Let these go wrong from now on, and nothing else."""
        sabotage.plan(self._hooks, list(faults))

    def assert_struck(self) -> None:
        """Check that each fault of the plan has met a call."""
        planned = json.loads((self._hooks / "plan.json").read_text())
        assert sabotage.happened(self._hooks) == set(range(len(planned)))

    def tiles(self, count: int) -> list[str]:
        """Put so many more archives on the server; return their tiles' names."""
        tiles = [next(self._unused) for _ in range(count)]
        for tile in tiles:
            self._place(tile)
        return [tile.name for tile in tiles]

    def spoil(self, names: Sequence[str]) -> None:
        """Cut these tiles' archives short."""
        for name in names:
            path = self._place(Tile.from_name(name))
            path.write_bytes(path.read_bytes()[:-500])

    def mend(self, names: Sequence[str]) -> None:
        """Put whole archives back in their places."""
        for name in names:
            self._place(Tile.from_name(name))

    def _place(self, tile: Tile) -> Path:
        return place_archive(self._mirror, tile, YEAR, self._grid, cells=tile.cells[12:13])

    def run(self, name: str, given: object) -> dict[str, Any]:
        """Start an execution and return how it ended."""
        return self.cloud.run_execution(self.machine, name, given, _LIMIT_SECONDS)  # type: ignore[arg-type]

    def run_tiles(self, name: str, tiles: Sequence[str], **given: Any) -> dict[str, int]:
        """Run these tiles; return the four counts, which add up."""
        self.run(name, {"years": [YEAR], "tiles": list(tiles), **given})
        return self.counts(name)

    def failed(self, name: str, count: int, **given: Any) -> list[str]:
        """Run so many tiles that all fail, and mend them then."""
        tiles = self.tiles(count)
        self.spoil(tiles)
        assert self.run_tiles(name, tiles, **given)["failed"] == count
        self.mend(tiles)
        return tiles

    def counts(self, run: str) -> dict[str, int]:
        """Return the four counts of a run that was summed up."""
        summary = self.read(summary_key(run))
        counts = {state: int(summary[state]) for state in ("published", "skipped", "absent", "failed")}
        assert sum(counts.values()) == summary["seeded"] == len(self.manifest(run))
        return counts

    def read(self, key: str) -> Any:
        """Read JSON from the runs bucket."""
        return json.loads(self.client("s3").get_object(Bucket=self.outputs["RunsBucketName"], Key=key)["Body"].read())

    def manifest(self, run: str) -> list[str]:
        """Return the tiles that a run lists."""
        return [line["tile"] for line in self.read(manifest_key(run))]

    def states(self, run: str) -> dict[str, str]:
        """Return how tiles ended, as their workers recorded it."""
        bucket, s3 = self.outputs["RunsBucketName"], self.client("s3")
        found = s3.list_objects_v2(Bucket=bucket, Prefix=results_prefix(run)).get("Contents", ())
        records = [self.read(entry["Key"]) for entry in found]
        return {record["tile"]: record["state"] for record in records}

    def assert_published(self, name: str, tiles: Sequence[str]) -> None:
        """Look at each tile as a run in mode skip does: whole, with the sizes and checksums that its item says."""
        assert self.run_tiles(name, tiles)["skipped"] == len(tiles)

    def letters(self) -> list[str]:
        """Take all messages out of the queue; return the tiles that they are about."""
        sqs, tiles = self.client("sqs"), []
        while batch := sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for message in batch:
                tiles.append(json.loads(message["Body"])["tile"])
                sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        return tiles

    def letter_count(self) -> int:
        """Return how many messages the queue holds, in sight or not."""
        answer = self.client("sqs").get_queue_attributes(QueueUrl=self.queue, AttributeNames=list(_ATTRIBUTES))
        return sum(map(int, answer["Attributes"].values()))

    def double_letters(self) -> None:
        """Send each message in the queue once more."""
        sqs, found = self.client("sqs"), []
        while batch := sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            found += batch
        for message in found:
            handle = message["ReceiptHandle"]
            sqs.send_message(QueueUrl=self.queue, MessageBody=message["Body"])
            sqs.change_message_visibility(QueueUrl=self.queue, ReceiptHandle=handle, VisibilityTimeout=0)

    def wait_for_letters(self, count: int) -> None:
        """Wait until so many messages are in sight again."""
        self.wait_for(lambda: self._in_sight() == count)

    def _in_sight(self) -> int:
        answer = self.client("sqs").get_queue_attributes(QueueUrl=self.queue, AttributeNames=[_ATTRIBUTES[0]])
        return int(answer["Attributes"][_ATTRIBUTES[0]])

    def wait_for(self, is_so: Any) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + _LIMIT_SECONDS
        while not is_so():
            assert time.monotonic() < deadline
            time.sleep(_POLL_SECONDS)

    def abort(self, run: str, tiles: Sequence[str], after: int) -> None:
        """Start a run, one tile at a time, and stop it after some of them; return once nothing is under way."""
        states = self.client("stepfunctions")
        given = {"years": [YEAR], "tiles": list(tiles), "max_concurrency": 1}
        arn = states.start_execution(stateMachineArn=self.machine, name=run, input=json.dumps(given))["executionArn"]
        self.wait_for(lambda: len(self.states(run)) >= after)
        states.stop_execution(executionArn=arn)
        map_run = states.list_map_runs(executionArn=arn)["mapRuns"][0]["mapRunArn"]
        self.wait_for(lambda: states.describe_map_run(mapRunArn=map_run)["status"] != "RUNNING")

    @contextmanager
    def lost_letters(self, *, tolerance: int) -> Iterator[None]:
        """Let the Map send its letters to a queue that is not there, and tolerate so many percent of children lost."""

        def change(process: dict[str, Any]) -> None:
            process["ToleratedFailurePercentage"] = tolerance
            process["ItemProcessor"]["States"]["SendDeadLetter"]["Parameters"]["QueueUrl"] = f"{self.queue}-gone"

        with changed_map(self.client("stepfunctions"), self.machine, change):
            yield

    @contextmanager
    def lost_copies(self) -> Iterator[None]:
        """Let the Map not keep the letters that it sends."""
        with changed_map(self.client("stepfunctions"), self.machine, keep_no_letter):
            yield

    def invoke(self, run: str, tile: str) -> dict[str, Any]:
        """Invoke the worker with a line of a run's manifest, as the state machine does."""
        (line,) = (line for line in self.read(manifest_key(run)) if line["tile"] == tile)
        event = {name: value for name, value in line.items() if name != "first_run"}
        answer = self.client("lambda").invoke(
            FunctionName=self.outputs["ProcessTileFunctionName"],
            Payload=json.dumps({**event, "schema_version": 1, "run": run, "retries": 0}),
        )
        result: dict[str, Any] = json.loads(answer["Payload"].read())
        return result


@contextmanager
def changed_map(states: Any, machine: str, change: Callable[[dict[str, Any]], None]) -> Iterator[None]:
    """Let a state machine have another Map for a while."""
    kept = states.describe_state_machine(stateMachineArn=machine)["definition"]
    definition = json.loads(kept)
    change(definition["States"]["ProcessTiles"])
    states.update_state_machine(stateMachineArn=machine, definition=json.dumps(definition))
    try:
        yield
    finally:
        states.update_state_machine(stateMachineArn=machine, definition=kept)


def keep_no_letter(process: dict[str, Any]) -> None:
    """Let a Map keep the letters that it sends in a bucket that is not there."""
    process["ItemProcessor"]["States"]["KeepLetter"]["Parameters"]["Bucket"] = "nowhere"


@contextmanager
def running_town(folder: Path, repository: Path, grid: Grid) -> Iterator[Town]:
    """Deploy the system on an emulator of its own."""
    mirror, hooks = folder / "mirror", sabotage.make_hooks(folder / "hooks")
    mirror.mkdir()
    with JaxaServer(mirror) as source, running_cloud(folder / "cloud", repository, wait_scale=0, hooks=hooks) as cloud:
        context = {"source_uri": source.url, "cell_pixels": grid.cell_pixels}
        path = synthesize(folder / "cdk.out", {f"alos-mosaic:{key}": value for key, value in context.items()})
        yield Town(cloud, cloud.deploy(path.parent, STACK_NAME), mirror, hooks, grid)
