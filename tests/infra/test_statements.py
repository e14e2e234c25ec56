"""Who may do what: all statements are those that were reviewed, and hold what every statement has to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from alos_mosaic import naming
from alos_mosaic.products import PRODUCTS
from tests.infra.conftest import Synthesized, as_list, flat
from tests.infra.statements import POLICIES, deployments, described, file_of, reasons_of

S3_OF_OBJECTS = {"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"}


@pytest.fixture(scope="session", params=list(deployments()))
def deployment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Synthesized]:
    """Each deployment under review: its name and its stack."""
    name = str(request.param)
    return name, deployments()[name](tmp_path_factory.mktemp(name))


def _granted(stack: Synthesized, role: str) -> list[dict[str, Any]]:
    """What the policies of the roles whose logical ids hold a word allow."""
    policies = (
        policy
        for policy in stack.of_type("AWS::IAM::Policy").values()
        if any(role in flat(name) for name in policy["Roles"])
    )
    return [s for policy in policies for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Allow"]


def _holders(stack: Synthesized, action: str) -> set[str]:
    """Roles that have an action, without the hash of their logical ids."""
    found: set[str] = set()
    for policy in stack.of_type("AWS::IAM::Policy").values():
        if any(action in as_list(statement["Action"]) for statement in policy["PolicyDocument"]["Statement"]):
            found.update(flat(name).strip("${}")[:-8] for name in policy["Roles"])
    return found


def test_the_statements_are_those_that_were_reviewed(deployment: tuple[str, Synthesized]) -> None:
    name, stack = deployment
    assert described(stack) == file_of(name).read_text(encoding="utf-8"), (
        "who may do what has changed: python -m tests.infra.statements writes it down, for the review of the difference"
    )


def test_every_policy_that_there_is_stands_in_them(deployment: tuple[str, Synthesized]) -> None:
    """Also one of a type of resource that nobody has thought of."""
    name, stack = deployment
    text = file_of(name).read_text(encoding="utf-8")
    held = {
        kind: [logical for logical in stack.of_type(kind) if '"Statement"' in json.dumps(stack.resources[logical])]
        for kind in {resource["Type"] for resource in stack.resources.values()}
    }
    assert {kind for kind, resources in held.items() if resources} <= set(POLICIES)
    if name == "everything":
        assert "\n${Images}\n  Allow ecr:BatchGetImage ecr:GetDownloadUrlForLayer\n" in text


def test_no_hash_of_the_cdk_stands_in_them(deployment: tuple[str, Synthesized]) -> None:
    """Or they would differ with every move of a construct."""
    name, stack = deployment
    text = file_of(name).read_text(encoding="utf-8")
    hashes = {logical[-8:] for logical in stack.resources}
    assert not [word for word in hashes if word in text]


def test_no_wildcard_without_a_reason(deployment: tuple[str, Synthesized]) -> None:
    _, stack = deployment
    wild = 0
    for name, resource in stack.resources.items():
        if resource["Type"] != "AWS::IAM::Policy":
            continue
        reasons = reasons_of(resource)
        for statement in resource["Properties"]["PolicyDocument"]["Statement"]:
            assert not [action for action in as_list(statement["Action"]) if "*" in action], name
            for arn in as_list(statement["Resource"]):
                if "*" in flat(arn):
                    wild += 1
                    assert len(reasons[flat(arn).replace("${", "<").replace("}", ">")]) > 20
    assert wild > 5


def test_only_actions_that_know_no_resources_are_granted_on_all(deployment: tuple[str, Synthesized]) -> None:
    _, stack = deployment
    granted = [s for s in _granted(stack, "") if "*" in as_list(s["Resource"])]
    services = {action.partition(":")[0] for statement in granted for action in as_list(statement["Action"])}
    assert services <= {"xray", "logs", "ec2"}
    assert _holders(stack, "logs:CreateLogDelivery") == {"WorkflowRole"}


def test_the_worker_keeps_to_products_staging_results_and_the_source(deployment: tuple[str, Synthesized]) -> None:
    name, stack = deployment
    places = [f"/{product}/*" for product in PRODUCTS] + [
        f"/{naming.STAGING_FOLDER}",
        "/runs/*/results/*",
        "/runs/*/outcomes/*",
    ]
    places += ["/of-jaxa/*", "/pub/*"] if name == "everything" else []
    seen: set[str] = set()
    for statement in _granted(stack, "ProcessTileRole"):
        actions = {action for action in as_list(statement["Action"]) if action.startswith("s3:")}
        if actions & S3_OF_OBJECTS:
            assert actions <= S3_OF_OBJECTS
            for arn in as_list(statement["Resource"]):
                assert [place for place in places if place in flat(arn)], flat(arn)
                seen |= {flat(arn)}
        elif actions:
            assert actions == {"s3:ListBucket"}
            for prefix in as_list(statement["Condition"]["StringLike"]["s3:prefix"]):
                assert [place for place in places if f"/{flat(prefix)}".startswith(place)], flat(prefix)
    assert len(seen) >= 5


def test_only_who_asks_the_source_reads_its_secret(deployment: tuple[str, Synthesized]) -> None:
    name, stack = deployment
    allowed = {"FunctionsProcessTileRole", "FunctionsWatchSourceRole"} if name == "everything" else set()
    assert _holders(stack, "secretsmanager:GetSecretValue") == allowed


def test_keys_are_used_by_way_of_a_service_only(deployment: tuple[str, Synthesized]) -> None:
    _, stack = deployment
    for statement in _granted(stack, ""):
        if any(action.startswith("kms:") for action in as_list(statement["Action"])):
            assert "kms:ViaService" in statement["Condition"]["StringEquals"]


@pytest.mark.parametrize(
    ("kind", "policy", "names", "action"),
    [
        ("AWS::S3::Bucket", "AWS::S3::BucketPolicy", "Bucket", "s3:*"),
        ("AWS::SQS::Queue", "AWS::SQS::QueuePolicy", "Queues", "sqs:*"),
        ("AWS::SNS::Topic", "AWS::SNS::TopicPolicy", "Topics", "sns:Publish"),
    ],
)
def test_nothing_is_taken_or_given_without_tls(
    deployment: tuple[str, Synthesized], kind: str, policy: str, names: str, action: str
) -> None:
    _, stack = deployment
    for name in stack.of_type(kind):
        (found,) = (p for p in stack.of_type(policy).values() if {"Ref": name} in as_list(p[names]))
        denials = [
            statement
            for statement in found["PolicyDocument"]["Statement"]
            if statement["Effect"] == "Deny"
            and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
            and statement["Principal"] in ("*", {"AWS": "*"})
        ]
        assert [as_list(statement["Action"]) for statement in denials] == [[action]], name
        if kind == "AWS::S3::Bucket":
            assert {flat(arn).partition("}")[2] for arn in denials[0]["Resource"]} == {"", "/*"}


def test_buckets_are_private_and_tell_who_looked(deployment: tuple[str, Synthesized]) -> None:
    _, stack = deployment
    for name, bucket in stack.of_type("AWS::S3::Bucket").items():
        assert len(bucket["PublicAccessBlockConfiguration"]) == 4
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}, name
        assert bucket["BucketEncryption"], name
        is_log = "AccessLogs" in name
        assert ("LoggingConfiguration" in bucket) is not is_log
        if not is_log:
            assert "AccessLogs" in bucket["LoggingConfiguration"]["DestinationBucketName"]["Ref"]


def test_services_come_in_only_for_this_account(deployment: tuple[str, Synthesized]) -> None:
    """A service that acts for anyone else's resources may not use the stack's functions, topics and buckets."""
    _, stack = deployment
    for permission in stack.of_type("AWS::Lambda::Permission").values():
        assert permission.keys() & {"SourceArn", "SourceAccount"}
    kinds = ("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy")
    for policy in (each for kind in kinds for each in stack.of_type(kind).values()):
        for statement in policy["PolicyDocument"]["Statement"]:
            if statement["Effect"] == "Allow":
                assert "Service" in statement["Principal"]
                keys = {key for condition in statement["Condition"].values() for key in condition}
                assert keys & {"aws:SourceAccount", "aws:SourceArn"}
