"""Who sends a run's digest, and how often: once, whatever goes wrong, on moto."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from moto import mock_aws

from alos_mosaic import run_ends, sending
from alos_mosaic.errors import ServiceError
from alos_mosaic.manifests import write_manifest
from alos_mosaic.messages import TileRequest, TileYear
from alos_mosaic.sending import Turn, is_sent
from alos_mosaic.settings import DigestSettings, SummarySettings
from alos_mosaic.summary import summarise_run
from lambdas.send_digest import handler

REQUESTS = tuple(TileRequest(TileYear.from_text(name)) for name in ("2020/N10E010", "2020/N20E010"))


@dataclass
class Desk:
    """A state machine whose executions run until they are stopped, the bucket of runs and a subscribed queue."""

    machine: str
    queue: str

    def __post_init__(self) -> None:
        self.s3, self.sqs, self.states = boto3.client("s3"), boto3.client("sqs"), boto3.client("stepfunctions")

    def start(self, name: str, *, tiles: bool = True) -> str:
        arn = self.states.start_execution(stateMachineArn=self.machine, name=name)["executionArn"]
        if tiles:
            write_manifest(self.s3, "runs", name, REQUESTS)
        return arn

    def stop(self, name: str, *, tiles: bool = True) -> str:
        arn = self.start(name, tiles=tiles)
        self.states.stop_execution(executionArn=arn)
        return arn

    def record(self, run: str, tile: str, state: str) -> None:
        body = json.dumps({"state": state, "year": 2020, "tile": tile, "run": run})
        self.s3.put_object(Bucket="runs", Key=f"runs/{run}/results/2020/{tile}.json", Body=body)

    def told(self) -> list[str]:
        """Subjects of what was told since this was last asked."""
        found = self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages", ())
        for message in found:
            self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"])["Subject"] for message in found]

    def sent(self, run: str) -> dict[str, Any]:
        return dict(json.loads(self.s3.get_object(Bucket="runs", Key=f"runs/{run}/digest.json")["Body"].read()))


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket="runs")
        topic = boto3.client("sns").create_topic(Name="people")["TopicArn"]
        queue = boto3.client("sqs").create_queue(QueueName="told")["QueueUrl"]
        boto3.client("sns").subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:123456789012:told"
        )
        definition = json.dumps({"StartAt": "End", "States": {"End": {"Type": "Succeed"}}})
        machine = boto3.client("stepfunctions").create_state_machine(
            name="Run", definition=definition, roleArn="arn:aws:iam::123456789012:role/any"
        )["stateMachineArn"]
        settings = DigestSettings(
            runs_bucket="runs", topic_arn=topic, memory_mib=2048, ephemeral_storage_mib=10_240, architecture="x86_64"
        )
        for name, value in settings.to_env().items():
            monkeypatch.setenv(name, value)
        yield Desk(machine, queue)
    for cache in (handler._s3, handler._sns, handler._states):
        cache.cache_clear()


def news(arn: str) -> dict[str, Any]:
    """What EventBridge sends, of it what is read."""
    return {"source": "aws.states", "detail": {"executionArn": arn, "status": "ABORTED"}}


def ask(event: dict[str, Any]) -> int:
    return int(handler.lambda_handler(event, None)["sent"])


def test_the_state_machine_tells_of_a_run_that_is_summed_up(desk: Desk) -> None:
    arn = desk.start("r1")
    assert ask({"execution": arn}) == 0, "a run that is going on has not ended"
    desk.record("r1", "N10E010", "published")
    summarise_run({"run": "r1", "execution": "none"}, SummarySettings("runs"), desk.s3, desk.sqs)
    assert ask({"execution": arn}) == 1
    assert desk.told() == ["alos-mosaic r1: incomplete, 1 published, 0 skipped, 0 absent, 1 failed of 2 seeded"]
    sent = desk.sent("r1")
    assert sent["sent"]
    assert (sent["published"], sent["failed"], sent["report"]) == (1, 1, "s3://runs/runs/r1/summary.json")
    assert desk.s3.get_object(Bucket="runs", Key=sent["page"].removeprefix("s3://runs/"))["ContentType"].startswith(
        "text/html"
    )


def test_the_state_machine_tells_of_a_run_that_has_nothing_to_do_once(desk: Desk) -> None:
    arn = desk.start("r1", tiles=False)
    write_manifest(desk.s3, "runs", "r1", ())
    assert ask({"execution": arn, "so_far": {"seed": {"count": 2}}}) == 0, "its tiles are being worked on"
    event = {"execution": arn, "so_far": {"seed": {"count": 0}}}
    assert [ask(event), ask(event), ask({"execution": arn})] == [1, 0, 0]
    assert desk.told() == ["alos-mosaic r1: nothing to do, every tile that it was to go on with is published"]
    assert (desk.sent("r1")["seeded"], desk.sent("r1")["estimated_usd"]) == (0, 0)


def test_what_an_execution_has_put_out_is_known_of_one_that_has_succeeded(desk: Desk) -> None:
    told = {**desk.states.describe_execution(executionArn=desk.stop("r1", tiles=False)), "status": "SUCCEEDED"}
    for output, is_told in (('{"seed": {"count": 0}}', True), ('{"seed": {"count": 1}}', False), ("{}", False)):
        with Stubber(desk.states) as states:
            answer = {key: value for key, value in told.items() if key not in ("ResponseMetadata", "error", "cause")}
            states.add_response("describe_execution", {**answer, "output": output})
            execution = run_ends.describe(desk.states, told["executionArn"])
        assert (run_ends.read_run_end(execution, desk.s3, "runs") is not None) is is_told


def test_the_news_of_a_run_that_was_told_of_are_no_news(desk: Desk) -> None:
    arn = desk.stop("r1")
    assert [ask(news(arn)), ask({"execution": arn}), ask({"state_machine": desk.machine})] == [1, 0, 0]
    assert len(desk.told()) == 1


def test_one_who_comes_while_another_sends_does_not(desk: Desk) -> None:
    first = Turn.take(desk.s3, "runs", "r1", "end")
    assert first is not None
    assert Turn.take(desk.s3, "runs", "r1", "end") is None
    first.keep({"message": "m"})
    assert Turn.take(desk.s3, "runs", "r1", "end") is None
    assert is_sent(desk.s3, "runs", "r1", "end")


def test_a_broken_off_run_is_told_of_with_what_is_recorded(desk: Desk) -> None:
    arn = desk.start("r1")
    desk.record("r1", "N20E010", "published")
    desk.states.stop_execution(executionArn=arn)
    assert ask(news(arn)) == 1
    (subject,) = desk.told()
    assert subject.startswith("alos-mosaic r1: broken off, 1 published, 0 skipped, 0 absent, 0 failed, 1 not ended of")
    assert [tile["tile"] for tile in desk.sent("r1")["tiles"]] == ["N20E010"]
    keys = [entry["Key"] for entry in desk.s3.list_objects_v2(Bucket="runs")["Contents"]]
    assert "runs/r1/summary.json" not in keys, "nobody has judged it"


def test_a_message_that_does_not_get_out_leaves_the_turn_to_the_next(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = desk.stop("r1")
    topic = DigestSettings.from_env().topic_arn
    monkeypatch.setenv("ALOS_MOSAIC_TOPIC_ARN", topic + "-gone")
    with pytest.raises(ServiceError):
        ask(news(arn))
    assert "sent" not in desk.sent("r1")
    monkeypatch.setenv("ALOS_MOSAIC_TOPIC_ARN", topic)
    assert ask(news(arn)) == 1, "at once, not when a lease has run out"
    assert len(desk.told()) == 1


def test_a_sender_that_died_leaves_its_turn_when_its_time_is_over(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    arn = desk.stop("r1")
    end = run_ends.describe(desk.states, arn).end
    assert Turn.take(desk.s3, "runs", "r1", end) is not None
    assert ask(news(arn)) == 0, "somebody is at it"
    monkeypatch.setattr(sending, "datetime", _Later)
    assert ask({"state_machine": desk.machine}) == 1
    assert len(desk.told()) == 1


class _Later(datetime):
    """A clock a quarter of an hour and a bit ahead."""

    @classmethod
    def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) + sending.TURN + timedelta(seconds=1)


def test_two_who_take_over_at_the_same_time_do_not_both(desk: Desk) -> None:
    old = Turn.take(desk.s3, "runs", "r1", "an earlier end")
    assert old is not None
    answer = desk.s3.get_object(Bucket="runs", Key="runs/r1/digest.json")
    mine = Turn(desk.s3, "runs", "r1", "this end")
    other = Turn(desk.s3, "runs", "r1", "this end")
    assert mine._put({"until": "2100-01-01T00:00:00Z"}, IfMatch=answer["ETag"])
    assert not other._put({"until": "2100-01-01T00:00:00Z"}, IfMatch=answer["ETag"])


def test_the_same_name_again_is_another_run(desk: Desk) -> None:
    """Step Functions gives a name again after 90 days; run records may be kept for longer."""
    turn = Turn.take(desk.s3, "runs", "r1", "2026-01-01T00:00:00Z/0")
    assert turn is not None
    turn.keep({})
    assert is_sent(desk.s3, "runs", "r1", "2026-01-01T00:00:00Z/0")
    assert ask(news(desk.stop("r1"))) == 1
    assert ask({"state_machine": desk.machine}) == 0


@pytest.mark.parametrize("body", [b"", b"[]", b'{"end": 1}', b"\xff"])
def test_a_record_that_makes_no_sense_does_not_count(desk: Desk, body: bytes) -> None:
    desk.s3.put_object(Bucket="runs", Key="runs/r1/digest.json", Body=body)
    assert ask(news(desk.stop("r1"))) == 1


def test_the_hourly_look_finds_all_that_nobody_told_of(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("r1", "r2", "r3"):
        desk.stop(name)
    desk.start("r4")
    real = handler._send

    def fails_for_r2(arn: str, settings: DigestSettings) -> bool:
        if arn.endswith(":r2"):
            raise ClientError({"Error": {"Code": "SlowDown"}}, "GetObject")
        return real(arn, settings)

    monkeypatch.setattr(handler, "_send", fails_for_r2)
    with pytest.raises(ServiceError, match="1 digests can't be sent, the first one of .*:r2"):
        ask({"state_machine": desk.machine})
    assert sorted(subject.split()[1] for subject in desk.told()) == ["r1:", "r3:"]


def test_what_ended_long_ago_is_left_alone(desk: Desk) -> None:
    desk.stop("r1")
    later = datetime.now(UTC) + run_ends.LOOKED_BACK + timedelta(minutes=1)
    assert list(run_ends.ended_executions(desk.states, desk.machine, datetime.now(UTC)))
    assert list(run_ends.ended_executions(desk.states, desk.machine, later)) == []


def test_records_of_an_earlier_run_of_the_name_are_not_its_own(desk: Desk) -> None:
    execution = run_ends.describe(desk.states, desk.stop("r1"))
    summarise_run({"run": "r1", "execution": "none"}, SummarySettings("runs"), desk.s3, desk.sqs)
    found = run_ends.read_run_end(execution, desk.s3, "runs")
    assert found is not None
    assert found.summary is not None
    later = replace(execution, started=execution.started + timedelta(days=90))
    found = run_ends.read_run_end(later, desk.s3, "runs")
    assert found is not None
    assert (found.summary, found.requests) == (None, ())


def test_a_run_that_ended_before_it_listed_tiles_is_told_of(desk: Desk) -> None:
    arn = desk.stop("r1", tiles=False)
    assert ask(news(arn)) == 1
    assert desk.told() == ["alos-mosaic r1: aborted before a tile ended, no tile was listed"]


def test_what_aws_does_not_do_is_a_service_error(desk: Desk) -> None:
    with pytest.raises(ServiceError):
        ask({"execution": f"{desk.machine.replace('stateMachine', 'execution')}:never-was"})
