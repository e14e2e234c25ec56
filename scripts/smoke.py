"""Check on a real account what the emulator can't show: ``make smoke STAGE=dev``, once the stage is deployed.

It deploys and changes nothing, but it does start small runs (one tile and five places in the ocean of which the source
has nothing; one that is refused), sends one message of its own to the dead-letter queue, which another run takes out
again, one to each topic, and lets one alarm go off, so that mails come. That costs some cents. ``local/fidelity.md``
says what each check stands for.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from alos_mosaic import naming
from alos_mosaic.grid import Tile
from alos_mosaic.metric_names import Metric
from alos_mosaic.results import TileResult
from scripts.deployment import CheckError, Deployment
from scripts.refusals import Stores

LEAST_CONCURRENCY: Final = 50
"""Lambdas at once that an account must allow: the ceiling of a run, and as much again for what else is there."""
YEAR: Final = 2020
OCEAN: Final = ("S25W120", "S25W115", "S25W110", "S30E080", "S30E085")
"""Tiles without land: absent, whoever serves the archives."""
AT_ONCE: Final = 2
_Found = TypeVar("_Found")


@dataclass
class Smoke:
    """The checks of one deployment, in the order in which they make sense."""

    deployment: Deployment
    tile: Tile
    limit_seconds: float = 300.0
    """How long news of a run's end, its metrics and an alarm's action may take to be known."""
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    """When the checks began."""

    @property
    def name(self) -> str:
        """Name the run of the tile; the others have an ending each."""
        return f"smoke-{self.since:%Y%m%dT%H%M%S}"

    def checks(self) -> dict[str, Callable[[], str]]:
        """Return the checks by name; each returns what it found, or raises."""
        return {
            "quotas": self.quotas,
            "tls-only": self.tls_only,
            "private": self.private,
            "tile": self.one_tile,
            "max-concurrency": self.max_concurrency,
            "result-writer": self.result_writer,
            "digest": self.digest,
            "metrics": self.metrics,
            "redrive": self.redrive,
            "bad-end": self.bad_end,
            "alarms": self.alarms,
        }

    def quotas(self) -> str:
        """New accounts have a quota of 10 Lambdas at once, far below what the documentation calls the default."""
        limit = self.deployment.client("lambda").get_account_settings()["AccountLimit"]
        free = limit["UnreservedConcurrentExecutions"]
        if free < LEAST_CONCURRENCY:
            raise CheckError(f"the account allows {free} Lambdas at once; ask for more (docs/deploy.md, Quotas)")
        return f"{free} of {limit['ConcurrentExecutions']} Lambdas at once are not reserved"

    def tls_only(self) -> str:
        """What goes over TLS is refused without, on buckets, queue and topics."""
        return f"{', '.join(Stores(self.deployment).refused_plain())} answer over TLS only"

    def private(self) -> str:
        """Whoever signs nothing sees nothing."""
        return f"{', '.join(Stores(self.deployment).refused_unsigned())} are listed for nobody without credentials"

    def one_tile(self) -> str:
        """Archive, image, role, network and bucket fit together: a tile is published, or was before."""
        given = {"years": [YEAR], "tiles": [self.tile.name, *OCEAN], "max_concurrency": AT_ONCE, "max_tiles": 10}
        execution = self.deployment.succeeded(self.name, given)
        result = TileResult.from_dict(
            self.deployment.read("RunsBucketName", naming.result_key(self.name, YEAR, self.tile.name))
        )
        if result.item_uri is None:
            raise CheckError(f"{YEAR}/{self.tile} ended as {result.state}; that place has no item to look at")
        item = self.deployment.read("OutputBucketName", urlsplit(result.item_uri).path.lstrip("/"))
        folder = urlsplit(result.item_uri).path.rpartition("/")[0].lstrip("/") + "/"
        there = {key.rpartition("/")[2] for key in self.deployment.keys("OutputBucketName", folder)}
        for name, asset in item["assets"].items():
            if asset["href"].rpartition("/")[2] not in there:
                raise CheckError(f"asset {name} of {result.item_uri} is not there")
        seconds = sum(result.seconds.values())
        return f"{execution['output']['summary']['sentence']}; {result.item_uri} ({seconds:.0f} s of work)"

    def max_concurrency(self) -> str:
        """The Map took the number that the run's input gave it, and kept to it."""
        states, runs = self.deployment.client("stepfunctions"), self._map_runs()
        if not runs:
            raise CheckError(f"run {self.name} ended before its Map")
        described = states.describe_map_run(mapRunArn=runs[0])
        if described["maxConcurrency"] != AT_ONCE:
            raise CheckError(f"the Map runs {described['maxConcurrency']} tiles at once, asked for were {AT_ONCE}")
        pages = states.get_paginator("list_executions").paginate(mapRunArn=runs[0])
        children = [child for page in pages for child in page["executions"]]
        most = most_at_once((child["startDate"], child["stopDate"]) for child in children)
        if len(children) != 1 + len(OCEAN) or most > AT_ONCE:
            raise CheckError(
                f"{len(children)} tiles, {most} at once; asked for were {1 + len(OCEAN)}, {AT_ONCE} at once"
            )
        return f"{len(children)} tiles, never more than {most} at once"

    def result_writer(self) -> str:
        """What the children put out went to S3, and not through the 256 KiB between states."""
        prefix = naming.map_run_prefix(self.name)
        keys = list(self.deployment.keys("RunsBucketName", prefix))
        if not any(key.endswith("manifest.json") for key in keys):
            raise CheckError(f"the Map wrote no manifest of its results below {prefix}")
        return f"{len(keys)} objects below {prefix}"

    def digest(self) -> str:
        """The state machine had people told of the run's end."""
        return f"message {self._digest_of(self.name)} tells of {self.name}"

    def metrics(self) -> str:
        """CloudWatch makes metrics of the lines that the tile Lambda writes, one of each tile."""
        asked = 1 + len(OCEAN)
        missing = f"CloudWatch has not counted {asked} tiles in {self.deployment.stack}, {Metric.TILES}"
        counted = self._awaited(lambda: self._tiles_counted(asked), missing)
        return f"{counted:.0f} tiles are counted, {asked} of them ours"

    def redrive(self) -> str:
        """A message of ours in the dead-letter queue comes into a run, and is gone then."""
        failed_in = f"{self.name}-failed"
        letter = {
            "schema_version": 1, "run": failed_in, "year": YEAR, "tile": self.tile.name, "mode": "skip",
            "error": "SourceUnavailableError", "cause": "sent by the smoke run", "execution": failed_in,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }  # fmt: skip
        queue = self.deployment.outputs["DeadLetterQueueUrl"]
        self.deployment.client("sqs").send_message(QueueUrl=queue, MessageBody=json.dumps(letter))
        which = {"run": failed_in}
        dry = self.deployment.succeeded(f"{self.name}-dry", {"redrive": {**which, "dry_run": True}})
        told = dry["output"]["seed"]["redrive"]["tiles"]
        if told != 1:
            raise CheckError(f"a dry run of the redrive found {told} tiles of {failed_in}, not 1")
        ended = self.deployment.succeeded(f"{self.name}-redriven", {"redrive": which})
        again = self.deployment.succeeded(f"{self.name}-again", {"redrive": {**which, "dry_run": True}})
        if left := again["output"]["seed"]["redrive"]["tiles"]:
            raise CheckError(f"{left} messages of {failed_in} are still in the queue")
        return str(ended["output"]["summary"]["sentence"])

    def bad_end(self) -> str:
        """A run that is refused tells nobody itself: EventBridge's rule has the digest sent, the hourly look rarely."""
        name = f"{self.name}-refused"
        ended = self.deployment.run(name, {"years": []})
        if ended["status"] != "FAILED":
            raise CheckError(f"run {name}, over no year, ended as {ended['status']}")
        return f"message {self._digest_of(name)} tells of {name}, {ended.get('error')}"

    def alarms(self) -> str:
        """An alarm that goes off reaches its topic: policies of the topic and of its key are right."""
        names = self.deployment.resources("AWS::CloudWatch::Alarm")
        if not names:
            raise CheckError("the stack has no alarm")
        watch = self.deployment.client("cloudwatch")
        alarms = watch.describe_alarms(AlarmNames=names[:100])["MetricAlarms"]
        by_actions = {tuple(alarm["AlarmActions"]): alarm for alarm in alarms if alarm["StateValue"] != "ALARM"}
        if not by_actions:
            raise CheckError("every alarm is on already; look after those first")
        for actions, alarm in by_actions.items():
            if not actions:
                raise CheckError(f"{alarm['AlarmName']} tells nobody")
            self._let_go_off(watch, alarm["AlarmName"], alarm["StateValue"])
        return f"{', '.join(alarm['AlarmName'] for alarm in by_actions.values())} reached {len(by_actions)} topic"

    def _map_runs(self) -> list[str]:
        machine = self.deployment.outputs["StateMachineArn"]
        execution = f"{machine.replace(':stateMachine:', ':execution:')}:{self.name}"
        found = self.deployment.client("stepfunctions").list_map_runs(executionArn=execution)["mapRuns"]
        return [run["mapRunArn"] for run in found]

    def _let_go_off(self, watch: Any, name: str, state: str) -> None:
        since = datetime.now(UTC)
        reason = "The smoke run tries whether this alarm reaches anybody; nothing is wrong"
        watch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason=reason)
        try:
            self._await_action(watch, name, since)
        finally:
            watch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="The smoke run is over")

    def _await_action(self, watch: Any, name: str, since: datetime) -> None:
        def told() -> list[Any]:
            history = watch.describe_alarm_history(AlarmName=name, HistoryItemType="Action", StartDate=since)
            return list(history["AlarmHistoryItems"])

        entry = self._awaited(told, f"{name} went off, and no action of it is known")[0]
        if not entry["HistorySummary"].startswith("Successfully"):
            raise CheckError(f"{name}: {entry['HistorySummary']}: {entry.get('HistoryData')}")

    def _digest_of(self, run: str) -> str:
        """Return the id of the message that told of a run's end."""
        key = naming.digest_key(run)

        def sent() -> str | None:
            there = list(self.deployment.keys("RunsBucketName", key))
            return self.deployment.read("RunsBucketName", key).get("message") if there else None

        return self._awaited(sent, f"no digest of run {run} is sent")

    def _tiles_counted(self, enough: int) -> float | None:
        """Return how many tiles CloudWatch has counted since the checks began, if that is enough."""
        metric = {"Namespace": self.deployment.stack, "MetricName": Metric.TILES.value}
        answer = self.deployment.client("cloudwatch").get_metric_data(
            MetricDataQueries=[{"Id": "tiles", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}],
            StartTime=self.since.replace(second=0, microsecond=0),  # or its first minute does not count
            EndTime=datetime.now(UTC) + timedelta(minutes=1),
        )
        counted = sum(value for result in answer["MetricDataResults"] for value in result["Values"])
        return counted if counted >= enough else None

    def _awaited(self, look: Callable[[], _Found | None], missing: str) -> _Found:
        """Look until there is something; :class:`CheckError` if there is nothing in time."""
        end = time.monotonic() + self.limit_seconds
        while not (found := look()):
            if time.monotonic() > end:
                raise CheckError(f"{missing} after {self.limit_seconds:.0f} s")
            time.sleep(self.deployment.poll_seconds)
        return found


def most_at_once(spans: Iterable[tuple[datetime, datetime]]) -> int:
    """Return how many of the spans overlap at most; one that begins as another ends does not overlap it.

    >>> day = [datetime(2026, 1, 1, hour) for hour in range(5)]
    >>> most_at_once([(day[0], day[2]), (day[1], day[3]), (day[2], day[4])])
    2
    """
    changes = sorted((moment, change) for span in spans for moment, change in zip(span, (1, -1), strict=True))
    now = most = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


def outcomes(checks: dict[str, Callable[[], str]]) -> Iterator[tuple[str, bool, str]]:
    """Run the checks and yield name, whether it is as it should be, and a sentence.

    Whatever goes wrong in one is its finding; those after it are made all the same.
    """
    for name, check in checks.items():
        try:
            yield name, True, check()
        except CheckError as error:
            yield name, False, str(error)
        except Exception as error:  # noqa: BLE001 - an answer that nobody thought of is a finding, too
            yield name, False, f"can't be checked: {type(error).__name__}: {error}"


def main() -> None:
    """Run all checks, print one line each; exit with 1 unless all are as they should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stack", help="name of the stack, like AlosMosaic-dev")
    parser.add_argument("--tile", default="N25W165", help="the tile to publish, of 2020 (default: a cell off Hawaii)")
    parser.add_argument(
        "--limit", type=float, default=300.0, help="seconds until digests, metrics and an alarm's action must be known"
    )
    given = parser.parse_args()
    smoke = Smoke(Deployment(given.stack), Tile.from_name(given.tile), given.limit)
    bad = 0
    for name, good, sentence in outcomes(smoke.checks()):
        bad += not good
        print(f"{'ok    ' if good else 'FAILED'} {name}: {sentence}", flush=True)
    raise SystemExit(1 if bad else 0)


if __name__ == "__main__":
    main()
