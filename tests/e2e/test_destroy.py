"""Taking a deployment down: what is published stays, all else goes, in the emulated cloud."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, WaiterError
from typer.testing import CliRunner, Result

from alos_mosaic.cli import console
from alos_mosaic.cli import destroy as command
from alos_mosaic.cli.deployment import OUTPUTS
from alos_mosaic.cli.main import app
from alos_mosaic.naming import STACK_DESCRIPTION
from infra.application import STACK_NAME, synthesize
from local.emulator import Cloud, running_cloud

REPOSITORY = Path(__file__).parents[2]
KEYS = ("alos_palsar_mosaic/2020/N10E010/x.tif", "alos_palsar_mosaic/2020/N10E010/x.stac-item.json")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud"), REPOSITORY) as cloud:
        yield cloud


@pytest.fixture(autouse=True)
def environment(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", cloud.endpoint_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", cloud.region)
    monkeypatch.setattr(command, "_POLL_SECONDS", 1)
    monkeypatch.setattr(console, "is_anybody_there", lambda: True)


def _destroy(*options: str, stack: str = STACK_NAME, answer: str | None = None) -> Result:
    return CliRunner().invoke(app, ["destroy", "--stack", stack, *options], input=answer)


@pytest.fixture(scope="module")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stage local."""
    return synthesize(tmp_path_factory.mktemp("assembly")).parent


def _assembly(folder: Path, **settings: Any) -> Path:
    return synthesize(folder, {f"alos-mosaic:{name}": value for name, value in settings.items()}).parent


def _deploy(cloud: Cloud, assembly: Path) -> dict[str, str]:
    """Deploy the stack and leave something in each of its buckets and in its queue."""
    outputs = cloud.deploy(assembly, STACK_NAME)
    for key in KEYS:
        cloud.client("s3").put_object(Bucket=outputs["OutputBucketName"], Key=key, Body=b"published")
    for number in range(3):
        cloud.client("s3").put_object(Bucket=outputs["RunsBucketName"], Key=f"runs/r/{number}.json", Body=b"{}")
    cloud.client("sqs").send_message(QueueUrl=outputs["DeadLetterQueueUrl"], MessageBody="{}")
    return outputs


def _published(cloud: Cloud, outputs: dict[str, str]) -> set[str]:
    found = cloud.client("s3").list_objects_v2(Bucket=outputs["OutputBucketName"])
    return {entry["Key"] for entry in found.get("Contents", ())}


def _physical(cloud: Cloud) -> dict[str, set[str]]:
    """Names of the stack's resources, by type."""
    found: dict[str, set[str]] = {}
    pages = cloud.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=STACK_NAME)
    for page in pages:
        for entry in page["StackResourceSummaries"]:
            found.setdefault(entry["ResourceType"], set()).add(entry["PhysicalResourceId"])
    return found


def _buckets(cloud: Cloud) -> set[str]:
    return {bucket["Name"] for bucket in cloud.client("s3").list_buckets()["Buckets"]}


def test_without_emptying_cloudformation_keeps_a_full_bucket(cloud: Cloud, assembly: Path) -> None:
    outputs, stack = _deploy(cloud, assembly), STACK_NAME
    cloudformation = cloud.client("cloudformation")
    cloudformation.delete_stack(StackName=stack)
    with pytest.raises(WaiterError, match="DELETE_FAILED"):
        cloudformation.get_waiter("stack_delete_complete").wait(StackName=stack, WaiterConfig={"Delay": 1})
    assert outputs["RunsBucketName"] in _buckets(cloud)
    # And a deletion that failed is taken up where it stopped.
    ended = _destroy("--yes")
    assert ended.exit_code == 0, ended.output
    assert outputs["RunsBucketName"] not in _buckets(cloud)
    assert _published(cloud, outputs) == set(KEYS)


def test_all_goes_but_what_is_published_and_its_key(cloud: Cloud, tmp_path: Path) -> None:
    outputs = _deploy(cloud, _assembly(tmp_path, kms_key="new"))
    before = _physical(cloud)
    (key,) = before["AWS::KMS::Key"]
    ended = _destroy(answer="y\n")
    assert ended.exit_code == 0, ended.output
    assert "some 1 message in it" in ended.output
    assert f"What stayed: {', '.join(sorted((key, outputs['OutputBucketName'])))}" in ended.output
    assert _buckets(cloud) & before["AWS::S3::Bucket"] == {outputs["OutputBucketName"]}
    assert _published(cloud, outputs) == set(KEYS)
    assert cloud.client("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled"
    policy = cloud.client("s3").get_bucket_policy(Bucket=outputs["OutputBucketName"])["Policy"]
    assert "aws:SecureTransport" in policy, "what stays is still read over TLS only"
    groups = {group["logGroupName"] for group in cloud.client("logs").describe_log_groups()["logGroups"]}
    assert not groups & before["AWS::Logs::LogGroup"]
    assert not [name for name in groups if STACK_NAME in name]
    functions = {function["FunctionName"] for function in cloud.client("lambda").list_functions()["Functions"]}
    assert not functions & before["AWS::Lambda::Function"]
    with pytest.raises(ClientError, match="NonExistentQueue|does not exist"):
        cloud.client("sqs").get_queue_attributes(QueueUrl=outputs["DeadLetterQueueUrl"])
    with pytest.raises(ClientError, match="does not exist"):
        cloud.client("cloudformation").describe_stacks(StackName=STACK_NAME)


def test_a_given_bucket_stays_and_so_does_what_is_to_be_retained(cloud: Cloud, tmp_path: Path) -> None:
    cloud.client("s3").create_bucket(Bucket="somebodys-bucket")
    given = _assembly(tmp_path, output_bucket_name="somebodys-bucket", removal="retain")
    outputs = _deploy(cloud, given)
    ended = _destroy("--yes", "--json")
    assert ended.exit_code == 0, ended.output
    stayed = json.loads(ended.stdout)["stayed"]
    assert _published(cloud, outputs) == set(KEYS)
    found = cloud.client("s3").list_objects_v2(Bucket=outputs["RunsBucketName"])
    assert found["KeyCount"] == 3
    assert {"somebodys-bucket", outputs["RunsBucketName"]} <= set(stayed)


def test_nothing_is_touched_that_may_not_go(cloud: Cloud, assembly: Path) -> None:
    outputs = _deploy(cloud, assembly)
    cloudformation, s3 = cloud.client("cloudformation"), cloud.client("s3")

    def refused(*options: str, answer: str | None = None) -> str:
        ended = _destroy(*options, answer=answer)
        assert ended.exit_code == 1
        assert s3.list_objects_v2(Bucket=outputs["RunsBucketName"])["KeyCount"] == 3
        assert cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"][0]["StackStatus"] == ("CREATE_COMPLETE")
        return ended.output

    assert f"Delete all of {STACK_NAME} that goes?" in refused(answer="n\n")
    cloudformation.update_termination_protection(StackName=STACK_NAME, EnableTerminationProtection=True)
    assert "protected from deletion" in refused("--yes")
    cloudformation.update_termination_protection(StackName=STACK_NAME, EnableTerminationProtection=False)
    # A run that waits.
    states = cloud.client("stepfunctions")
    role = states.describe_state_machine(stateMachineArn=outputs["StateMachineArn"])["roleArn"]
    waiting = '{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 60, "End": true}}}'
    states.update_state_machine(stateMachineArn=outputs["StateMachineArn"], definition=waiting, roleArn=role)
    run = states.start_execution(stateMachineArn=outputs["StateMachineArn"], name="going-on", input="{}")
    assert "run going-on is going on" in refused("--yes")
    states.stop_execution(executionArn=run["executionArn"])
    assert _destroy("--yes").exit_code == 0


@pytest.mark.parametrize(("late_logs", "exit_code"), [(1, 0), (99, 1)])
def test_access_logs_that_come_late_are_emptied_again(
    cloud: Cloud, assembly: Path, monkeypatch: pytest.MonkeyPatch, late_logs: int, exit_code: int
) -> None:
    outputs, left = _deploy(cloud, assembly), [late_logs]
    empty = command.empty_bucket

    def empty_too_early(s3: Any, bucket: str) -> int:
        count = empty(s3, bucket)
        if bucket != outputs["RunsBucketName"] and left[0]:
            left[0] -= 1
            s3.put_object(Bucket=bucket, Key=f"output/{left[0]}", Body=b"GET")
        return count

    monkeypatch.setattr(command, "empty_bucket", empty_too_early)
    ended = _destroy("--yes")
    assert ended.exit_code == exit_code, ended.output
    assert ("not empty" in ended.output) is bool(exit_code)
    if exit_code:
        left[0] = 0
        assert _destroy("--yes").exit_code == 0, "taken up where it stopped"


def _foreign(outputs: set[str], description: str, policy: str = "Delete") -> str:
    """A template with two buckets of somebody else's, and outputs that are named as ours are."""
    bucket = {"Type": "AWS::S3::Bucket", "DeletionPolicy": policy}
    resources = {name: {**bucket, "Properties": {"BucketName": name.lower()}} for name in ("Payroll", "Exports")}
    told = {name: {"Value": "exports"} for name in outputs}
    return json.dumps({"Description": description, "Resources": resources, "Outputs": told})


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (_foreign({"Nothing"}, STACK_DESCRIPTION), "it lacks the output DeadLetterQueueUrl"),
        (_foreign({"OutputBucketName"}, STACK_DESCRIPTION), "it lacks the output DeadLetterQueueUrl"),
        (_foreign(set(OUTPUTS), "Pays people"), "its description is not"),
        (_foreign(set(OUTPUTS), STACK_DESCRIPTION), "would let the bucket exports go, with all that is published"),
    ],
)
def test_what_is_no_deployment_is_left_alone(cloud: Cloud, template: str, said: str) -> None:
    cloudformation, s3 = cloud.client("cloudformation"), cloud.client("s3")
    cloudformation.create_stack(StackName="Other", TemplateBody=template)
    s3.put_object(Bucket="payroll", Key="payroll.csv", Body=b"1")
    ended = _destroy("--yes", stack="Other")
    assert ended.exit_code == 1
    assert said in ended.stderr
    assert s3.head_object(Bucket="payroll", Key="payroll.csv")
    assert {"payroll", "exports"} <= _buckets(cloud)
    s3.delete_object(Bucket="payroll", Key="payroll.csv")
    cloudformation.delete_stack(StackName="Other")


def test_a_stack_that_is_not_there_is_said_so(cloud: Cloud) -> None:
    assert "there is no stack AlosMosaic-nowhere" in _destroy("--yes", stack="AlosMosaic-nowhere").output


def test_versions_and_delete_markers_go_too(cloud: Cloud) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="versioned")
    s3.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
    for _ in range(2):
        s3.put_object(Bucket="versioned", Key="a", Body=b"x")
    s3.delete_object(Bucket="versioned", Key="a")
    assert command.empty_bucket(s3, "versioned") == 3
    assert command.empty_bucket(s3, "versioned") == 0
    assert command.empty_bucket(s3, "gone-already") == 0
    s3.delete_bucket(Bucket="versioned")


def test_the_output_bucket_is_never_emptied_even_if_the_template_would_let_it_go() -> None:
    bucket = command.Resource("AWS::S3::Bucket", "output", is_retained=False)
    other = command.Resource("AWS::S3::Bucket", "runs", is_retained=False)
    assert command.DeployedStack("id", "output", False, (bucket, other)).buckets == ["runs"]


def test_without_credentials_or_region_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    ended = _destroy("--yes")
    said = "alos-mosaic: You must specify a region; say which: --aws-region eu-central-1, or AWS_REGION\n"
    assert (ended.exit_code, ended.output) == (1, said)
