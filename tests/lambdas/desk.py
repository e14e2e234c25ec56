"""A deployment's buckets, queue and state machine on moto, with the functions at both ends of a run."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from alos_mosaic import redrive as redriving
from alos_mosaic.settings import RedriveSettings, SeedSettings, Settings, SummarySettings
from lambdas.redrive_tiles import handler as redrive_tiles
from lambdas.seed_tiles import handler as seed_tiles
from lambdas.summarise_run import handler as summarise_run

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONTEXT = SimpleNamespace(get_remaining_time_in_millis=lambda: 900_000)
OUTPUT = "s3://out/mosaics"
SOURCE = "file:///"
ROLE = "arn:aws:iam::123456789012:role/any"
DEFINITION = json.dumps({"StartAt": "End", "States": {"End": {"Type": "Succeed"}}})


class Desk:
    """Buckets, queue and state machine as a deployment has them."""

    def __init__(self, s3: S3Client) -> None:
        self.s3, self.sqs, self.states = s3, boto3.client("sqs"), boto3.client("stepfunctions")
        self.queue = self.sqs.create_queue(QueueName="dead-letters")["QueueUrl"]
        machine = self.states.create_state_machine(name="runs", definition=DEFINITION, roleArn=ROLE)
        self.machine = machine["stateMachineArn"]

    def event(self, run: str, given: object, started: str = "2026-11-24T06:00:00Z") -> dict[str, Any]:
        execution = self.machine.replace("stateMachine", "execution") + ":" + run
        machine = {"state_machine": self.machine, "execution": execution}
        return {"run": run, "input": given, "started": started, **machine}

    def redrive(self, named: str = "again", **which: Any) -> dict[str, Any]:
        """Begin a redrive, whose run is over soon after."""
        seed = redrive_tiles.lambda_handler(self.event(named, {"redrive": which}), CONTEXT)
        self.end(named)
        return seed

    def start(self, run: str) -> str:
        """Start an execution, unless it was before; return its ARN."""
        with suppress(self.states.exceptions.ExecutionAlreadyExists):
            self.states.start_execution(stateMachineArn=self.machine, name=run, input="{}")
        return str(self.event(run, {})["execution"])

    def end(self, run: str) -> None:
        """End an execution."""
        self.states.stop_execution(executionArn=self.start(run))

    def fail(self, tile: str, error: str = "SourceUnavailableError", **changes: Any) -> dict[str, Any]:
        """Send the letter of a tile as the state machine does; return it."""
        told = {"cause": "421", "attempt": 6}
        letter = {
            "schema_version": 1, "run": "first", "year": 2020, "tile": tile, "mode": "skip", "product": None,
            "accept_partial": False, "since": None, "error": error, "execution": "arn", "time": "2026-11-23T20:00:00Z",
            "cause": json.dumps({"errorType": error, "errorMessage": json.dumps(told)}), **changes,
        }  # fmt: skip
        self.sqs.send_message(QueueUrl=self.queue, MessageBody=json.dumps(letter))
        return letter

    def letters(self) -> int:
        """Messages in the queue, in sight or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=names)["Attributes"]  # type: ignore[arg-type]
        return sum(map(int, found.values()))

    def bodies(self) -> list[dict[str, Any]]:
        """Messages in the queue, which stays as it is."""
        found = []
        while batch := self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            found += batch
        for message in found:
            self.sqs.change_message_visibility(
                QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
            )
        return [json.loads(message["Body"]) for message in found]

    def wait_for_letters(self) -> None:
        """Wait until all messages are in sight again."""
        while self.in_sight() < self.letters():
            time.sleep(0.05)

    def redriven(self, named: str = "again", **which: Any) -> list[dict[str, Any]]:
        """Begin a redrive and return its manifest."""
        self.redrive(named, **which)
        return self.manifest(named)

    def in_sight(self) -> int:
        found = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["ApproximateNumberOfMessages"])
        return int(found["Attributes"]["ApproximateNumberOfMessages"])

    def manifest(self, run: str = "again") -> list[dict[str, Any]]:
        body = self.s3.get_object(Bucket="runs", Key=f"runs/{run}/manifest.json")["Body"].read()
        found: list[dict[str, Any]] = json.loads(body)
        return found

    def publish(self, tile: str, **properties: Any) -> None:
        key = f"mosaics/alos_palsar_mosaic/2020/{tile}/{tile}_20.stac-item.json"
        item = {"properties": {"updated": datetime.now(UTC).isoformat(), **properties}}
        self.s3.put_object(Bucket="out", Key=key, Body=json.dumps(item).encode())

    def seed(self, run: str, given: object) -> dict[str, Any]:
        """Begin a run, which is over soon after."""
        seed = seed_tiles.lambda_handler(self.event(run, given), CONTEXT)
        self.end(run)
        return seed

    def written(self) -> int:
        """Objects in the runs bucket, but for the lock, which is free as soon as its holder has ended."""
        found = self.s3.list_objects_v2(Bucket="runs").get("Contents", ())
        return sum(not entry["Key"].endswith(".running") for entry in found)

    def record(self, run: str, tile: str, state: str, **facts: Any) -> None:
        """Leave a result as the worker does."""
        body = json.dumps({"state": state, "year": 2020, "tile": tile, "run": run, **facts})
        self.s3.put_object(Bucket="runs", Key=f"runs/{run}/results/2020/{tile}.json", Body=body)

    def keep(self, letter: dict[str, Any], child: str = "a-child") -> None:
        """Keep a letter that was sent, as the state machine does."""
        key = f"runs/{letter['run']}/letters/{child}.json"
        self.s3.put_object(Bucket="runs", Key=key, Body=json.dumps(letter).encode())

    def summarise(self, run: str) -> dict[str, Any]:
        """Sum a run up."""
        return summarise_run.lambda_handler(self.event(run, {}), CONTEXT)


@contextmanager
def desk_on_moto() -> Iterator[Desk]:
    """Yield a desk whose functions' settings stand in the environment; SQS answers at once."""
    functions = (seed_tiles, redrive_tiles, summarise_run)
    with mock_aws(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(redriving, "_WAIT_SECONDS", 0)
        s3 = boto3.client("s3")
        for bucket in ("runs", "out"):
            s3.create_bucket(Bucket=bucket)
        desk = Desk(s3)
        settings: list[Settings] = [
            RedriveSettings(runs_bucket="runs", output_uri=OUTPUT, dead_letter_queue_url=desk.queue, source_uri=SOURCE),
            SeedSettings(runs_bucket="runs", output_uri=OUTPUT, source_uri=SOURCE),
            SummarySettings("runs", dead_letter_queue_url=desk.queue),
        ]
        for each in settings:
            for name, value in each.to_env().items():
                patch.setenv(name, value)
        yield desk
    for function in functions:
        for name in ("_s3", "_sqs", "_states"):
            if hasattr(function, name):
                getattr(function, name).cache_clear()


def names(lines: list[dict[str, Any]]) -> list[str]:
    return [f"{line['year']}/{line['tile']}" for line in lines]
