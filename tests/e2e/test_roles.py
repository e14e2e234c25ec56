"""A whole run where IAM is enforced over TLS: the roles suffice, and each grant that is taken away is missed.

What goes wrong without a grant is said with AccessDenied, in the dead-letter queue or as the run's cause, and nothing
is lost: with the grant back, a redrive or another run publishes. The state machine's own role is not asked here; its
statements stand in tests/infra/statements.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from alos_mosaic.grid import Grid
from alos_mosaic.messages import TileYear
from alos_mosaic.results import TileFailure
from infra.application import STACK_NAME, synthesize
from local.archives import place_archive
from local.emulator import running_cloud
from local.emulator.environment import certificate_of
from local.jaxa_server import Account, JaxaServer
from tests.e2e.test_run import REPOSITORY, System

TILE = TileYear.from_text("2020/N10E010")
BROKEN = TileYear.from_text("2017/N10E010")
GONE = TileYear.from_text("2016/N10E010")
"""Its folder is not there."""
ASKED = {"years": [TILE.year], "tiles": [TILE.tile.name]}
REFRESH = {**ASKED, "mode": "refresh"}
SECRET = "jaxa"  # noqa: S105 - its name
ACCOUNT = Account("reader", "correct horse")
DENIED = ("AccessDenied", "not authorized to perform")


@dataclass(frozen=True)
class Grant:
    """One action of one role on the resources whose ARNs hold a text."""

    role: str
    action: str
    on: str
    """``{output}`` and ``{runs}`` stand for the names of the buckets."""

    def __str__(self) -> str:
        """Name the case of a test."""
        return f"{self.role} {self.action} {self.on}"


@dataclass
class Guarded(System):
    """A deployed system whose roles are enforced."""

    told: str = ""
    """A queue that is subscribed to the topic of the digests."""

    @contextmanager
    def without(self, grant: Grant) -> Iterator[None]:
        """Take a grant out of its role's policies, as if the template had it not, and give it back."""
        iam, taken = self.cloud.client("iam"), []
        (role,) = (each["RoleName"] for each in iam.list_roles()["Roles"] if f"{grant.role}Role" in each["RoleName"])
        part = grant.on.format(output=self.outputs["OutputBucketName"], runs=self.outputs["RunsBucketName"])
        for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            given = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
            left = _less(given, grant.action, part)
            if left != given:
                taken.append((policy, given))
                iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(left))
        assert taken, f"{role} has no such grant"
        try:
            yield
        finally:
            for policy, given in taken:
                iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(given))

    def letters(self) -> list[TileFailure]:
        """Look at what lies in the dead-letter queue, and leave it there."""
        sqs, queue = self.cloud.client("sqs"), self.outputs["DeadLetterQueueUrl"]
        found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=0).get("Messages", [])
        return [TileFailure.from_body(message["Body"]) for message in found]

    def objects(self) -> dict[str, str]:
        """Entity tags of what is published, by key."""
        found = self.cloud.client("s3").list_objects_v2(Bucket=self.outputs["OutputBucketName"])
        return {entry["Key"]: entry["ETag"] for entry in found.get("Contents", ())}

    def unpublish(self) -> None:
        """Empty the output bucket."""
        for key in self.objects():
            self.cloud.client("s3").delete_object(Bucket=self.outputs["OutputBucketName"], Key=key)

    def invoke(self, function: str, event: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        """Invoke a function, and tell its answer and whether it failed."""
        client = self.cloud.client("lambda")
        names = [each["FunctionName"] for each in client.list_functions()["Functions"]]
        (name,) = (name for name in names if function in name)
        answer = client.invoke(FunctionName=name, Payload=json.dumps(event))
        return json.loads(answer["Payload"].read()), "FunctionError" in answer

    def digests(self) -> list[str]:
        """Take the subjects of the digests that were sent."""
        sqs, found = self.cloud.client("sqs"), []
        while batch := sqs.receive_message(QueueUrl=self.told, MaxNumberOfMessages=10).get("Messages"):
            for message in batch:
                found.append(json.loads(message["Body"])["Subject"])
                sqs.delete_message(QueueUrl=self.told, ReceiptHandle=message["ReceiptHandle"])
        return found


def _less(document: dict[str, Any], action: str, part: str) -> dict[str, Any]:
    """Return a policy without an action on the resources that hold a text."""
    left = copy.deepcopy(document)
    for statement in left["Statement"]:
        actions, resources = (_as_list(statement[name]) for name in ("Action", "Resource"))
        if action in actions and any(part in arn for arn in resources):
            statement["Action"] = [each for each in actions if each != action]
    left["Statement"] = [statement for statement in left["Statement"] if statement["Action"]]
    return left


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, grid: Grid) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    for place in (TILE, BROKEN):
        archive = place_archive(folder / "mirror", place.tile, place.year, grid, cells=place.tile.cells[6:7])
    archive.write_bytes(archive.read_bytes()[:-500])
    with (
        JaxaServer(folder / "mirror", account=ACCOUNT) as source,
        running_cloud(folder / "cloud", REPOSITORY, wait_scale=0, enforce=True) as cloud,
    ):
        context: dict[str, object] = {"source_uri": source.url, "cell_pixels": grid.cell_pixels}
        context |= {"source_secret_name": SECRET, "allow_plain_login": True}
        path = synthesize(folder / "cdk.out", {f"alos-mosaic:{key}": value for key, value in context.items()})
        outputs = cloud.deploy(path.parent, STACK_NAME)
        login = json.dumps({"username": ACCOUNT.user, "password": ACCOUNT.password})
        cloud.client("secretsmanager").create_secret(Name=SECRET, SecretString=login)
        system = Guarded(cloud, outputs, json.loads(path.read_text()), folder / "mirror", source)
        system.told = _subscribed(system)
        yield system


def _subscribed(system: Guarded) -> str:
    sqs, topic = system.cloud.client("sqs"), system.outputs["NoticesTopicArn"]
    queue = str(sqs.create_queue(QueueName="told")["QueueUrl"])
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    leave = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [leave]})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    system.cloud.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return queue


def _sentence(ended: dict[str, Any]) -> str:
    return str(json.loads(ended["output"])["summary"]["sentence"])


def test_the_roles_suffice_for_runs_redrives_and_digests(system: Guarded, grid: Grid) -> None:
    asked = {"years": [TILE.year, BROKEN.year, GONE.year], "tiles": [TILE.tile.name]}
    ended = system.run("whole", asked)
    assert ended["cause"] == "1 published, 0 skipped, 0 absent, 2 failed of 3 seeded"
    errors = {letter.error for letter in system.letters()}
    assert errors == {"CorruptArchiveError", "SourceUnavailableError"}
    for place in (BROKEN, GONE):
        place_archive(system.mirror, place.tile, place.year, grid, cells=place.tile.cells[6:7])
    assert _sentence(system.run("whole-redriven", {"redrive": {"run": "whole"}})).startswith("2 published, 0 skipped")
    assert system.letters() == []
    assert _sentence(system.run("whole-resumed", {"resume": {"run": "whole"}})).startswith("0 published")
    assert _sentence(system.run("whole-again", {**asked, "mode": "refresh"})).startswith("3 published")
    assert [subject.partition(":")[0] for subject in system.digests()] == [
        f"alos-mosaic {run}" for run in ("whole", "whole-redriven", "whole-resumed", "whole-again")
    ]
    log = system.cloud.function_log("").parent
    lines = "".join(path.read_text() for path in log.glob("*.log"))
    assert "AccessDenied" not in lines
    assert ACCOUNT.password not in lines


def test_who_has_no_role_may_do_nothing(system: Guarded) -> None:
    """Without it no test here could fail for want of a grant."""
    iam = system.cloud.client("iam")
    iam.create_user(UserName="nobody")
    key = iam.create_access_key(UserName="nobody")["AccessKey"]
    client = boto3.client(
        "s3",
        endpoint_url=system.cloud.endpoint_url,
        verify=str(certificate_of(system.cloud.folder)),
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )
    with pytest.raises(ClientError, match="AccessDenied"):
        client.list_objects_v2(Bucket=system.outputs["OutputBucketName"])


@pytest.mark.parametrize(
    ("grant", "given", "error"),
    [
        (Grant("ProcessTile", "s3:PutObject", "{output}/alos_palsar_mosaic/"), ASKED, "PublishError"),
        (Grant("ProcessTile", "s3:ListBucket", "{output}"), ASKED, "PublishError"),
        (Grant("ProcessTile", "s3:GetObject", "{output}/alos_palsar_mosaic/"), REFRESH, "PublishError"),
        (Grant("ProcessTile", "s3:PutObject", "{runs}/runs/*/results/"), ASKED, "PublishError"),
        (Grant("ProcessTile", "s3:PutObject", "{runs}/staging/"), REFRESH, "PublishError"),
        (Grant("ProcessTile", "s3:GetObject", "{runs}/staging/"), REFRESH, "PublishError"),
        (Grant("ProcessTile", "s3:DeleteObject", "{runs}/staging/"), REFRESH, "PublishError"),
        (Grant("ProcessTile", "secretsmanager:GetSecretValue", ":secret:jaxa-"), ASKED, "SourceUnavailableError"),
    ],
    ids=str,
)
def test_a_tile_without_a_grant_of_its_worker_waits_for_it(
    system: Guarded, grant: Grant, given: dict[str, Any], error: str
) -> None:
    system.unpublish()
    number = f"{grant.action}-{grant.on}".translate(str.maketrans(":/*{}", "-----"))
    if given is REFRESH:
        system.run(f"before-{number}", ASKED)
    before = system.objects()
    with system.without(grant):
        ended = system.run(number, given)
    assert (ended["status"], ended["error"]) == ("FAILED", "IncompleteRunError")
    (letter,) = system.letters()
    assert (letter.error, letter.run) == (error, number)
    assert DENIED[0] in letter.cause
    after = system.objects()
    assert before.keys() <= after.keys()
    redriven = system.run(f"{number}-redriven", {"redrive": {"run": number}})
    assert redriven["status"] == "SUCCEEDED", redriven
    assert system.letters() == []
    assert [key for key in system.objects() if key.endswith(".stac-item.json")]
