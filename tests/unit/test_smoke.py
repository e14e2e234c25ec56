"""The smoke run's own judgement: what is a refusal, what a finding is, and what it waits for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from alos_mosaic import naming
from alos_mosaic.grid import Tile
from alos_mosaic.inventory import tiles_of_any_year
from scripts.deployment import CheckError, Deployment
from scripts.refusals import Stores, is_refused
from scripts.smoke import OCEAN, Smoke, most_at_once, outcomes

STACK = "AlosMosaic-dev"
QUEUE = "https://sqs.us-east-1.amazonaws.com/123456789012/letters"
TOPIC = f"arn:aws:sns:us-east-1:123456789012:{STACK}-people"


def refusal(code: str, status: int = 403, message: str = "no") -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "Ask",
    )


def test_its_places_in_the_ocean_are_places_in_the_ocean() -> None:
    assert not set(OCEAN) & {tile.name for tile in tiles_of_any_year()}


@pytest.mark.parametrize(("hours", "most"), [([], 0), ([(0, 2), (2, 4)], 1), ([(0, 3), (1, 2), (1, 4)], 3)])
def test_most_at_once(hours: list[tuple[int, int]], most: int) -> None:
    assert most_at_once([(datetime(2026, 1, 1, a), datetime(2026, 1, 1, b)) for a, b in hours]) == most


def test_whatever_a_check_raises_is_its_sentence_and_the_next_one_is_made() -> None:
    def wet() -> str:
        raise CheckError("the cellar is wet")

    def unforeseen() -> str:
        return str({}["key"])

    def refused() -> str:
        raise refusal("AccessDenied")

    checks: dict[str, Callable[[], str]] = {
        "cellar": wet, "key": unforeseen, "door": refused, "roof": lambda: "dry",
    }  # fmt: skip
    assert list(outcomes(checks)) == [
        ("cellar", False, "the cellar is wet"),
        ("key", False, "can't be checked: KeyError: 'key'"),
        ("door", False, "can't be checked: ClientError: An error occurred (AccessDenied) when calling the Ask "
                        "operation: no"),
        ("roof", True, "dry"),
    ]  # fmt: skip


OF_KEY = "User: arn:aws:iam::1:user/me is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:x:1:key/k"


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (refusal("AccessDenied"), True),
        (refusal("AuthorizationError"), True),
        (refusal("com.amazonaws.sqs#AccessDeniedException", 400), True),
        (refusal("AWS.SimpleQueueService.AccessDenied", 400), True),
        (refusal("KMSAccessDenied", 400), False),
        (refusal("KMS.AccessDeniedException", 400), False),
        (refusal("AccessDenied", 403, OF_KEY), False),
        (refusal("SignatureDoesNotMatch"), False),
        (refusal("NoSuchBucket", 404), False),
    ],
    ids=lambda value: value.response["Error"]["Code"] if isinstance(value, ClientError) else "",
)
def test_only_a_refusal_by_the_store_itself_is_one(error: ClientError, is_one: bool) -> None:
    def ask() -> None:
        raise error

    if is_one:
        assert is_refused(ask)
    else:
        with pytest.raises(ClientError):
            is_refused(ask)
    assert not is_refused(lambda: None)


@dataclass
class Services:
    """AWS as it answers to clients with TLS, without, and without credentials; keeps what it was asked."""

    plain: ClientError | None
    secure: ClientError | None = None
    asked: list[tuple[str, str, bool]] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=lambda: {"DeadLetterQueueUrl": QUEUE, "OutputBucketName": "given"})

    def resources(self, kind: str) -> list[str]:
        return {"AWS::S3::Bucket": ["runs", "logs"], "AWS::SNS::Topic": [TOPIC]}[kind]

    def client(self, service: str, **options: Any) -> Any:
        tls = options.get("use_ssl", True) and "signature_version" not in options
        return _Client(self, service, tls)

    def answer(self, call: tuple[str, str, bool]) -> None:
        self.asked.append(call)
        error = self.secure if call[-1] else self.plain
        if error is not None:
            raise error


@dataclass
class _Client:
    services: Services
    service: str
    tls: bool

    def list_objects_v2(self, **asked: Any) -> None:
        self.services.answer((self.service, asked["Bucket"], self.tls))

    def get_queue_attributes(self, **asked: Any) -> None:
        self.services.answer((self.service, asked["QueueUrl"].partition(":")[0], self.tls))

    def publish(self, **asked: Any) -> None:
        self.services.answer((self.service, asked["Message"].partition(" by ")[0], self.tls))


def stores(services: Services) -> Stores:
    return Stores(services)  # type: ignore[arg-type]


def test_each_store_of_the_stack_is_asked_the_same_over_tls_first() -> None:
    services = Services(plain=refusal("AccessDenied"))
    assert stores(services).refused_plain() == ["runs", "logs", "the dead-letter queue", f"{STACK}-people"]
    assert services.asked == [
        ("s3", "runs", True), ("s3", "runs", False), ("s3", "logs", True), ("s3", "logs", False),
        ("sqs", "https", True), ("sqs", "http", False),
        ("sns", "Sent over TLS", True), ("sns", "Sent without TLS", False),
    ]  # fmt: skip


def test_a_store_that_answers_without_tls_is_a_finding() -> None:
    with pytest.raises(CheckError, match="runs answers without TLS, too"):
        stores(Services(plain=None)).refused_plain()


def test_who_may_not_even_ask_over_tls_has_proved_nothing() -> None:
    with pytest.raises(ClientError):
        stores(Services(plain=refusal("AccessDenied"), secure=refusal("AccessDenied"))).refused_plain()


def test_every_bucket_of_the_stack_is_private_or_it_is_a_finding() -> None:
    services = Services(plain=refusal("AccessDenied"))
    assert stores(services).refused_unsigned() == ["runs", "logs"]
    assert [bucket for _, bucket, _ in services.asked] == ["runs", "logs"]
    with pytest.raises(CheckError, match="runs is listed for anybody"):
        stores(Services(plain=None)).refused_unsigned()


@pytest.fixture
def smoke(monkeypatch: pytest.MonkeyPatch) -> Iterator[Smoke]:
    """Of a stack whose runs bucket is there, and nothing else."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        session = boto3.Session(region_name="us-east-1")
        session.client("s3").create_bucket(Bucket="runs")
        deployment = Deployment(STACK, session=session)
        machine = "arn:aws:states:us-east-1:123456789012:stateMachine:Run"
        deployment.__dict__["outputs"] = {"RunsBucketName": "runs", "StateMachineArn": machine}
        yield Smoke(deployment, Tile.from_name("N25W165"), limit_seconds=0)


def keep(smoke: Smoke, run: str, record: dict[str, Any]) -> None:
    client = smoke.deployment.client("s3")
    client.put_object(Bucket="runs", Key=naming.digest_key(run), Body=json.dumps(record).encode())


def test_a_digest_counts_once_it_is_sent(smoke: Smoke) -> None:
    with pytest.raises(CheckError, match=rf"no digest of run {smoke.name} is sent after 0 s"):
        smoke.digest()
    keep(smoke, smoke.name, {"until": "2026-11-24T12:00:00Z"})
    with pytest.raises(CheckError):
        smoke.digest()
    keep(smoke, smoke.name, {"sent": "2026-11-24T12:00:00Z", "message": "m-1"})
    assert smoke.digest() == f"message m-1 tells of {smoke.name}"


@pytest.mark.parametrize(("counted", "is_enough"), [(5, False), (6, True)])
def test_metrics_are_there_once_each_tile_is_counted(smoke: Smoke, counted: int, is_enough: bool) -> None:
    data = [{"MetricName": "Tiles", "Value": 1, "Timestamp": datetime.now(UTC)}] * counted
    smoke.deployment.client("cloudwatch").put_metric_data(Namespace=STACK, MetricData=data)
    if is_enough:
        assert smoke.metrics() == "6 tiles are counted, 6 of them ours"
    else:
        with pytest.raises(CheckError, match=f"CloudWatch has not counted 6 tiles in {STACK}, Tiles after 0 s"):
            smoke.metrics()


def test_a_run_that_ended_before_its_map_is_a_finding(smoke: Smoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Smoke, "_map_runs", lambda _: [])
    with pytest.raises(CheckError, match=f"run {smoke.name} ended before its Map"):
        smoke.max_concurrency()


@pytest.mark.parametrize("status", ["FAILED", "SUCCEEDED"])
def test_a_bad_end_is_told_of_by_the_digest_of_a_run_that_failed(
    smoke: Smoke, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    ended = {"status": status, "error": "InvalidRequestError", "output": {}}
    monkeypatch.setattr(Deployment, "run", lambda *_: ended)
    keep(smoke, f"{smoke.name}-refused", {"message": "m-2"})
    if status == "FAILED":
        assert smoke.bad_end() == f"message m-2 tells of {smoke.name}-refused, InvalidRequestError"
    else:
        with pytest.raises(CheckError, match="over no year, ended as SUCCEEDED"):
            smoke.bad_end()
