"""What people are told of runs in the emulated cloud: one digest an end, by whichever of three ways."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from alos_mosaic.grid import Grid
from alos_mosaic.messages import TileYear
from infra.application import STACK_NAME, synthesize
from local.archives import place_archive
from local.emulator import Cloud, running_cloud
from local.jaxa_server import Fault, JaxaServer

REPOSITORY = Path(__file__).parents[2]
PUBLISHED, HANGING = "2020/N10E010", "2017/N10E010"
TIMEOUT_SECONDS = 120


@dataclass
class Watched:
    """A deployed system, and queues that are subscribed to its topics."""

    cloud: Cloud
    outputs: dict[str, str]
    hangs: threading.Event
    """Set when the source stops sending a tile's archive."""
    notices: str
    items: str

    def run(self, name: str, given: dict[str, Any]) -> dict[str, Any]:
        return self.cloud.run_execution(self.outputs["StateMachineArn"], name, given, TIMEOUT_SECONDS)

    def take(self, queue: str) -> list[dict[str, Any]]:
        """Take what lies in a queue."""
        sqs, found = self.cloud.client("sqs"), []
        while batch := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
            for message in batch:
                found.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return found

    def take_when(self, queue: str, enough: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """Take what comes until it is enough: EventBridge's news come some time after the end."""
        found, deadline = self.take(queue), time.monotonic() + TIMEOUT_SECONDS
        while not enough(found):
            assert time.monotonic() < deadline, found
            time.sleep(0.1)
            found += self.take(queue)
        return found

    def ask_send_digest(self, event: dict[str, Any]) -> dict[str, Any]:
        answer = self.cloud.client("lambda").invoke(FunctionName=self.function("SendDigest"), Payload=json.dumps(event))
        told = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, told
        return dict(told)

    def function(self, name: str) -> str:
        functions = self.cloud.client("lambda").list_functions()["Functions"]
        return next(each["FunctionName"] for each in functions if name in each["FunctionName"])

    def arn_of(self, name: str) -> str:
        return f"{self.outputs['StateMachineArn'].replace(':stateMachine:', ':execution:')}:{name}"


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, grid: Grid) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    for name in (PUBLISHED, HANGING):
        place = TileYear.from_text(name)
        archive = place_archive(folder / "mirror", place.tile, place.year, grid, cells=place.tile.cells[6:9])
    hangs = threading.Event()
    fault = Fault("RETR", at_byte=1, is_silent=True, ending=archive.name, meanwhile=hangs.set)
    with (
        JaxaServer(folder / "mirror", faults=[fault]) as source,
        running_cloud(folder / "cloud", REPOSITORY, wait_scale=0) as cloud,
    ):
        context = {"source_uri": source.url, "cell_pixels": grid.cell_pixels, "publish_notifications": True}
        path = synthesize(folder / "cdk.out", {f"alos-mosaic:{key}": value for key, value in context.items()})
        outputs = cloud.deploy(path.parent, STACK_NAME)
        queues = [_subscribed(cloud, outputs[topic]) for topic in ("NoticesTopicArn", "ItemsTopicArn")]
        yield Watched(cloud, outputs, hangs, *queues)


def _subscribed(cloud: Cloud, topic: str) -> str:
    sqs = cloud.client("sqs")
    url = sqs.create_queue(QueueName=f"told-{topic.rpartition(':')[2]}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    cloud.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return str(url)


@pytest.fixture(scope="module")
def first(watched: Watched) -> list[dict[str, Any]]:
    """What was told of a run with one published tile and one of a year without a folder, which fails."""
    ended = watched.run("first", {"years": [2020, 2016], "tiles": ["N10E010"]})
    assert ended["error"] == "IncompleteRunError"
    return watched.take(watched.notices)


def test_the_state_machine_tells_of_the_end(first: list[dict[str, Any]], watched: Watched) -> None:
    (told,) = first
    assert told["Subject"] == "alos-mosaic first: incomplete, 1 published, 0 skipped, 0 absent, 1 failed of 2 seeded"
    text = told["Message"]
    assert "1 x SourceUnavailableError, like 2016/N10E010: " in text
    assert "docs/operations.md#sourceunavailableerror" in text
    assert f"Report: s3://{watched.outputs['RunsBucketName']}/runs/first/summary.json\n" in text
    assert f"aws s3 cp s3://{watched.outputs['RunsBucketName']}/runs/first/report.html .\n" in text
    region = watched.outputs["StateMachineArn"].split(":")[3]
    assert f"alos-mosaic redrive --run first --wait --stack {STACK_NAME} --aws-region {region}\n" in text
    command = next(line for line in text.splitlines() if "start-execution" in line)
    assert watched.outputs["StateMachineArn"] in command
    assert """--name first-redriven --input '{"redrive": {"run": "first"}}'""" in command


def test_nobody_tells_of_it_twice(first: list[dict[str, Any]], watched: Watched) -> None:
    """The news of FAILED have reached the function too, or do so now; and so does the hourly look."""
    event = {"detail": {"executionArn": watched.arn_of("first")}}
    assert watched.ask_send_digest(event)["sent"] == 0
    assert watched.ask_send_digest({"state_machine": watched.outputs["StateMachineArn"]})["sent"] == 0
    assert watched.take(watched.notices) == []


def test_a_published_item_is_announced_with_what_filters_see(first: list[dict[str, Any]], watched: Watched) -> None:
    (told,) = watched.take_when(watched.items, bool)
    attributes = {name: value["Value"] for name, value in told["MessageAttributes"].items()}
    assert attributes == {
        "product": "alos_palsar_mosaic", "mission": "PALSAR-2", "tile": "N10E010", "year": "2020",
        "west": "10", "south": "5", "east": "15", "north": "10",
    }  # fmt: skip
    message = json.loads(told["Message"])
    assert message["item_uri"].endswith("/alos_palsar_mosaic/2020/N10E010/N10E010_20.stac-item.json")
    assert (message["run"], message["bbox"]) == ("first", [10, 5, 15, 10])


def test_every_line_of_the_worker_names_its_tile_and_metrics_reach_the_log(
    first: list[dict[str, Any]], watched: Watched
) -> None:
    log = watched.cloud.function_log(watched.function("ProcessTile")).read_text()
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    metrics = [line for line in lines if "_aws" in line]
    told = [
        line for line in lines if "message" in line and line.get("logger", "").startswith(("alos_mosaic", "lambdas"))
    ]
    assert {(line["year"], line["outcome"]) for line in metrics} == {(2020, "published"), (2016, "failed")}
    assert {(line["year"], line["tile"], line["run"]) for line in told} == {
        (2020, "N10E010", "first"), (2016, "N10E010", "first"),
    }  # fmt: skip
    assert {line["attempt"] for line in told if line["year"] == 2016} == {1, 2, 3, 4, 5, 6}
    assert all(line["_aws"]["CloudWatchMetrics"][0]["Namespace"] == STACK_NAME for line in metrics)


def test_news_of_an_abort_have_a_digest_sent_with_what_there_is(first: list[dict[str, Any]], watched: Watched) -> None:
    """Of one tile there is a record, the other one's transfer has begun and hangs."""
    watched.take(watched.notices)
    states = watched.cloud.client("stepfunctions")
    given = {"years": [2020, 2017], "tiles": ["N10E010"], "max_concurrency": 1}
    arn = states.start_execution(
        stateMachineArn=watched.outputs["StateMachineArn"], name="stopped", input=json.dumps(given)
    )["executionArn"]
    assert watched.hangs.wait(TIMEOUT_SECONDS)
    states.stop_execution(executionArn=arn)
    (digest,) = watched.take_when(watched.notices, bool)
    assert digest["Subject"].startswith(
        "alos-mosaic stopped: broken off, 0 published, 1 skipped, 0 absent, 0 failed, 1 not"
    )
    assert "Step Functions says ABORTED" in digest["Message"]
    assert """--name stopped-resumed --input '{"resume": {"run": "stopped"}}'""" in digest["Message"]
    bucket = watched.outputs["RunsBucketName"]
    assert f"Report: s3://{bucket}/runs/stopped/digest.json" in digest["Message"]
    body = watched.cloud.client("s3").get_object(Bucket=bucket, Key="runs/stopped/digest.json")["Body"].read()
    (tile,) = json.loads(body)["tiles"]
    assert (tile["year"], tile["state"]) == (2020, "skipped")


def test_the_hourly_look_finds_what_nobody_told(first: list[dict[str, Any]], watched: Watched) -> None:
    """As if the function had crashed each time: the record that the digest is sent is not there."""
    watched.take(watched.notices)
    watched.cloud.client("s3").delete_object(Bucket=watched.outputs["RunsBucketName"], Key="runs/first/digest.json")
    assert watched.ask_send_digest({"state_machine": watched.outputs["StateMachineArn"]})["sent"] == 1
    (told,) = watched.take(watched.notices)
    assert told["Subject"].startswith("alos-mosaic first: incomplete")


def test_a_run_that_is_refused_says_why(watched: Watched) -> None:
    watched.take(watched.notices)
    assert watched.run("refused", {"years": [2012]})["error"] == "InvalidRequestError"
    (told,) = watched.take_when(watched.notices, bool)
    assert told["Subject"] == "alos-mosaic refused: ended before a tile did, no tile was listed"
    assert "1993-1998, 2007-2010, 2015-" in told["Message"]


def test_a_run_without_anything_to_do_says_so_once(first: list[dict[str, Any]], watched: Watched) -> None:
    """From the state machine, and where that could not tell, from the hourly look."""
    hourly = {"state_machine": watched.outputs["StateMachineArn"]}
    watched.ask_send_digest(hourly)
    watched.take(watched.notices)
    assert watched.run("rehearsed", {"redrive": {"run": "first", "dry_run": True}})["status"] == "SUCCEEDED"
    (told,) = watched.take(watched.notices)
    subject = "alos-mosaic rehearsed: nothing to do, a dry run: 1 tile would be tried again, estimated at"
    assert told["Subject"].startswith(subject)
    assert watched.ask_send_digest(hourly)["sent"] == 0
    watched.cloud.client("s3").delete_object(Bucket=watched.outputs["RunsBucketName"], Key="runs/rehearsed/digest.json")
    assert watched.ask_send_digest(hourly)["sent"] == 1
    assert [each["Subject"] for each in watched.take(watched.notices)] == [told["Subject"]]
