"""Check on a real account what the emulator can't show: ``make smoke STAGE=dev``, once the stage is deployed.

It deploys and changes nothing, but it does start two small runs (one tile, and five places in the ocean of which the
source has nothing), sends one message of its own to the dead-letter queue, which the second run takes out again, and
lets one alarm go off, whose mail comes. That costs some cents. ``local/fidelity.md`` says what each check stands for.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from botocore import UNSIGNED
from botocore.exceptions import BotoCoreError, ClientError

from alos_mosaic import naming
from alos_mosaic.grid import Tile
from alos_mosaic.results import TileResult
from scripts.deployment import CheckError, Deployment

LEAST_CONCURRENCY: Final = 50
"""Lambdas at once that an account must allow: the ceiling of a run, and as much again for what else is there."""
YEAR: Final = 2020
OCEAN: Final = ("S25W120", "S25W115", "S25W110", "S30E080", "S30E085")
"""Tiles without land: absent, whoever serves the archives."""
AT_ONCE: Final = 2
_DENIED: Final = "AccessDenied"
"""In the code of SQS, whose status then is not always 403."""
_POLL_SECONDS: Final = 2.0


@dataclass
class Smoke:
    """The checks of one deployment, in the order in which they make sense."""

    deployment: Deployment
    tile: Tile
    alarm_limit_seconds: float = 60.0
    """How long an alarm's action may take to be in its history."""

    name: str = field(default_factory=lambda: f"smoke-{datetime.now(UTC):%Y%m%dT%H%M%S}")
    """Of the runs, with an ending each."""

    def checks(self) -> dict[str, Callable[[], str]]:
        """Return the checks by name; each returns what it found, or raises."""
        return {
            "quotas": self.quotas,
            "tls-only": self.tls_only,
            "private": self.private,
            "tile": self.one_tile,
            "max-concurrency": self.max_concurrency,
            "result-writer": self.result_writer,
            "redrive": self.redrive,
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
        """What goes over TLS is refused without, on buckets, queue and topic."""
        asked = [name for name, ask in self._asks().items() if self._is_refused_plain(name, ask)]
        return f"{', '.join(asked)} answer over TLS only"

    def private(self) -> str:
        """Whoever signs nothing sees nothing."""
        for output in ("OutputBucketName", "RunsBucketName"):
            bucket = self.deployment.outputs[output]
            client = self.deployment.client("s3", signature_version=UNSIGNED)
            if not is_refused(partial(client.list_objects_v2, Bucket=bucket)):
                raise CheckError(f"{bucket} is listed for anybody")
        return "neither bucket is listed without credentials"

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
        (described,) = (states.describe_map_run(mapRunArn=arn) for arn in runs)
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

    def _asks(self) -> dict[str, Callable[[bool], Any]]:
        """Return what each store is asked, over TLS or without."""
        outputs, topics = self.deployment.outputs, self.deployment.resources("AWS::SNS::Topic")
        buckets = (outputs[name] for name in ("OutputBucketName", "RunsBucketName"))
        return {
            **{bucket: partial(self._ask_bucket, bucket) for bucket in buckets},
            "the dead-letter queue": partial(self._ask_queue, outputs["DeadLetterQueueUrl"]),
            **{topic.rpartition(":")[2]: partial(self._ask_topic, topic) for topic in topics},
        }

    def _ask_bucket(self, bucket: str, tls: bool) -> None:
        self.deployment.client("s3", use_ssl=tls).list_objects_v2(Bucket=bucket, Prefix="smoke/", MaxKeys=1)

    def _ask_queue(self, url: str, tls: bool) -> None:
        client = self.deployment.client("sqs", use_ssl=tls)
        client.get_queue_attributes(QueueUrl=_with_scheme(url, tls), AttributeNames=["QueueArn"])

    def _ask_topic(self, topic: str, tls: bool) -> None:
        """Publish only without TLS: that is what a topic's policy refuses, and what is not refused people read."""
        client = self.deployment.client("sns", use_ssl=tls)
        if tls:
            client.get_topic_attributes(TopicArn=topic)
        else:
            client.publish(TopicArn=topic, Message="Sent without TLS by the smoke run: the topic should refuse it")

    def _is_refused_plain(self, name: str, ask: Callable[[bool], Any]) -> bool:
        ask(True)  # or a refusal would prove nothing
        if not is_refused(lambda: ask(False)):
            raise CheckError(f"{name} answers without TLS, too")
        return True

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
        end = time.monotonic() + self.alarm_limit_seconds
        while time.monotonic() < end:
            history = watch.describe_alarm_history(AlarmName=name, HistoryItemType="Action", StartDate=since)
            for entry in history["AlarmHistoryItems"]:
                if not entry["HistorySummary"].startswith("Successfully"):
                    raise CheckError(f"{name}: {entry['HistorySummary']}: {entry.get('HistoryData')}")
                return
            time.sleep(_POLL_SECONDS)
        raise CheckError(f"{name} went off, and no action of it is known after {self.alarm_limit_seconds:.0f} s")


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
    """Run the checks and yield name, whether it is as it should be, and a sentence."""
    for name, check in checks.items():
        try:
            yield name, True, check()
        except CheckError as error:
            yield name, False, str(error)
        except (BotoCoreError, ClientError) as error:
            yield name, False, f"can't be checked: {error}"


def is_refused(ask: Callable[[], Any]) -> bool:
    """Tell whether AWS refuses what is asked for lack of a right; other errors are raised."""
    try:
        ask()
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.FORBIDDEN or _DENIED in str(error):
            return True
        raise
    return False


def _with_scheme(url: str, tls: bool) -> str:
    return url if tls else url.replace("https://", "http://", 1)


def main() -> None:
    """Run all checks, print one line each; exit with 1 unless all are as they should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stack", help="name of the stack, like AlosMosaic-dev")
    parser.add_argument("--tile", default="N25W165", help="the tile to publish, of 2020 (default: a cell off Hawaii)")
    parser.add_argument("--alarm-limit", type=float, default=60.0, help="seconds until an alarm's action must be known")
    given = parser.parse_args()
    smoke = Smoke(Deployment(given.stack), Tile.from_name(given.tile), given.alarm_limit)
    bad = 0
    for name, good, sentence in outcomes(smoke.checks()):
        bad += not good
        print(f"{'ok    ' if good else 'FAILED'} {name}: {sentence}", flush=True)
    raise SystemExit(1 if bad else 0)


if __name__ == "__main__":
    main()
