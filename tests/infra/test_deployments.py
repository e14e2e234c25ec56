"""The stacks of all stages: rules, tags, keys, what stays.

What depends on settings is asked of two stacks of our own: ``guarded``, with a new key and versions, and ``demanding``,
with all that an account can ask for. Of the stages only what must hold however somebody sets them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Template

from infra.application import synthesize
from infra.config import LOG_RETENTIONS, StackConfig
from infra.encryption import Encryption
from tests.infra.conftest import Synthesized, as_list, flat, read_stack, synthesized
from tests.infra.test_rules import cfn_lint

BUCKET = "AWS::S3::Bucket"
GUARDED = {"kms_key": "new", "output_versioning": True, "output_versions_expiry_days": 30}
DEMANDING = {
    "account": "123456789012",
    "region": "eu-west-1",
    "kms_key": "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    "permissions_boundary": "Boundary",
    "vpc_id": "vpc-12345678",
    "vpc_subnet_ids": "subnet-12345678,subnet-87654321",
    "output_bucket_name": "somebodys-bucket",
    "tags": '{"team": "radar"}',
    "termination_protection": "true",
}


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    return read_stack(synthesize(tmp_path_factory.mktemp("dev"), {}, "dev"))


@pytest.fixture(scope="module")
def prod(tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    return read_stack(synthesize(tmp_path_factory.mktemp("prod"), {}, "prod"))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    return synthesized(tmp_path_factory.mktemp("guarded"), **GUARDED)


@pytest.fixture(scope="module")
def demanding(tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    return synthesized(tmp_path_factory.mktemp("demanding"), **DEMANDING)


@pytest.fixture(params=["dev", "prod", "demanding"])
def any_stack(request: pytest.FixtureRequest) -> Synthesized:
    found: Synthesized = request.getfixturevalue(request.param)
    return found


def _artifact(stack: Synthesized) -> dict[str, Any]:
    artifacts = json.loads((stack.folder / "manifest.json").read_text())["artifacts"]
    (found,) = (entry for entry in artifacts.values() if entry["type"] == "aws:cloudformation:stack")
    return found


def _role_grants(stack: Synthesized, word: str) -> list[dict[str, Any]]:
    policies = stack.of_type("AWS::IAM::Policy").values()
    named = [policy for policy in policies if any(word in flat(role) for role in policy["Roles"])]
    return [statement for policy in named for statement in policy["PolicyDocument"]["Statement"]]


def test_each_stage_keeps_the_rules(any_stack: Synthesized) -> None:
    assert json.loads((any_stack.folder / "validation-report.json").read_text())["pluginReports"] == []
    ended = cfn_lint(any_stack.path)
    assert (ended.returncode, ended.stdout) == (0, "")


def test_each_accepted_finding_has_a_reason(any_stack: Synthesized) -> None:
    metadata = [resource.get("Metadata", {}) for resource in any_stack.resources.values()]
    rules = [rule for entry in metadata for rule in entry.get("cdk_nag", {}).get("rules_to_suppress", ())]
    assert rules
    assert not [rule["id"] for rule in rules if len(rule["reason"]) < 40]


def test_each_stage_has_a_stack_of_its_own(dev: Synthesized, prod: Synthesized) -> None:
    assert (dev.path.name, prod.path.name) == ("AlosMosaic-dev.template.json", "AlosMosaic-prod.template.json")
    groups = [flat(group["LogGroupName"]) for s in (dev, prod) for group in s.of_type("AWS::Logs::LogGroup").values()]
    assert len(groups) == len(set(groups)) > 0


def test_what_can_have_tags_has_them(demanding: Synthesized) -> None:
    kinds = (BUCKET, "AWS::Lambda::Function", "AWS::IAM::Role", "AWS::SQS::Queue", "AWS::Logs::LogGroup")
    for kind in (*kinds, "AWS::StepFunctions::StateMachine"):
        for name, resource in demanding.of_type(kind).items():
            assert {"Key": "team", "Value": "radar"} in resource["Tags"], name


def test_only_what_is_published_and_its_key_stay(stack: Synthesized, guarded: Synthesized) -> None:
    def staying(found: Synthesized) -> list[str]:
        return sorted(
            resource["Type"]
            for resource in found.resources.values()
            # A function's versions go with it.
            if resource.get("DeletionPolicy") == "Retain" and resource["Type"] != "AWS::Lambda::Version"
        )

    assert staying(stack) == [BUCKET, "AWS::S3::BucketPolicy"]
    assert staying(guarded) == ["AWS::KMS::Key", BUCKET, "AWS::S3::BucketPolicy"]
    for found in (stack, guarded):
        (output,) = (name for name in found.of_type(BUCKET) if found.resources[name]["DeletionPolicy"] == "Retain")
        assert found.outputs["OutputBucketName"]["Value"] == {"Ref": output}
        (policy,) = (
            resource["Properties"]
            for resource in found.resources.values()
            if resource["Type"] == "AWS::S3::BucketPolicy" and resource.get("DeletionPolicy") == "Retain"
        )
        assert policy["Bucket"] == {"Ref": output}


def test_nothing_is_left_outside_the_stack(any_stack: Synthesized) -> None:
    kinds = {resource["Type"] for resource in any_stack.resources.values()}
    assert not [kind for kind in kinds if kind.startswith("Custom::") or kind == "AWS::CloudFormation::CustomResource"]
    groups = set(any_stack.of_type("AWS::Logs::LogGroup"))
    for name, function in any_stack.of_type("AWS::Lambda::Function").items():
        assert function["LoggingConfig"]["LogGroup"]["Ref"] in groups, name
    actions = {action for statement in _role_grants(any_stack, "") for action in as_list(statement["Action"])}
    assert "logs:CreateLogGroup" not in actions, "a log group that nobody deletes"


def test_everything_but_the_output_expires(any_stack: Synthesized) -> None:
    output = any_stack.outputs["OutputBucketName"]["Value"]
    for name, bucket in any_stack.of_type(BUCKET).items():
        rules = bucket["LifecycleConfiguration"]["Rules"]
        everywhere = [rule for rule in rules if "Prefix" not in rule and rule["Status"] == "Enabled"]
        assert any("AbortIncompleteMultipartUpload" in rule for rule in everywhere), name
        assert any("ExpirationInDays" in rule for rule in everywhere) is (output != {"Ref": name})
    for name, group in any_stack.of_type("AWS::Logs::LogGroup").items():
        assert group["RetentionInDays"] in LOG_RETENTIONS, name
        assert any_stack.resources[name]["DeletionPolicy"] == "Delete"


def test_replaced_versions_go_as_told(guarded: Synthesized) -> None:
    (bucket,) = (bucket for bucket in guarded.of_type(BUCKET).values() if "VersioningConfiguration" in bucket)
    rules = bucket["LifecycleConfiguration"]["Rules"]
    days = [rule["NoncurrentVersionExpiration"] for rule in rules if "NoncurrentVersionExpiration" in rule]
    assert days == [{"NoncurrentDays": 30}]


def test_a_new_key_encrypts_all_but_access_logs(guarded: Synthesized) -> None:
    ((key, properties),) = guarded.of_type("AWS::KMS::Key").items()
    assert properties["EnableKeyRotation"] is True
    for name, bucket in guarded.of_type(BUCKET).items():
        (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        if "LoggingConfiguration" in bucket:
            default = {"KMSMasterKeyID": {"Fn::GetAtt": [key, "Arn"]}, "SSEAlgorithm": "aws:kms"}
            assert rule == {"BucketKeyEnabled": True, "ServerSideEncryptionByDefault": default}, name
        else:
            assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}, "S3 can't log into others"
    (queue,) = guarded.of_type("AWS::SQS::Queue").values()
    assert queue["KmsMasterKeyId"] == {"Fn::GetAtt": [key, "Arn"]}


BOTH = {"kms:Decrypt", "kms:GenerateDataKey"}


@pytest.mark.parametrize(
    ("role", "by_service"),
    [
        ("SeedTilesRole", {"s3": BOTH}),
        ("RedriveTilesRole", {"s3": BOTH, "sqs": {"kms:Decrypt"}}),
        ("ProcessTileRole", {"s3": BOTH}),
        ("SummariseRunRole", {"s3": BOTH, "sqs": BOTH}),
        ("WorkflowRole", {"s3": BOTH, "sqs": BOTH}),
    ],
)
def test_roles_use_the_key_by_way_of_the_services_they_use(
    guarded: Synthesized, demanding: Synthesized, role: str, by_service: dict[str, set[str]]
) -> None:
    (new,) = guarded.of_type("AWS::KMS::Key")
    for stack, key in ((guarded, f"${{{new}.Arn}}"), (demanding, DEMANDING["kms_key"])):
        found: dict[str, set[str]] = {}
        for statement in _role_grants(stack, role):
            actions = set(as_list(statement["Action"]))
            if any(action.startswith("kms:") for action in actions):
                assert flat(statement["Resource"]) == key
                via = flat(statement["Condition"]["StringEquals"]["kms:ViaService"])
                found.setdefault(via.partition(".")[0], set()).update(actions)
        assert found == by_service


def test_without_a_key_nobody_may_use_one(stack: Synthesized) -> None:
    assert not stack.of_type("AWS::KMS::Key")
    actions = {action for statement in _role_grants(stack, "") for action in as_list(statement["Action"])}
    assert not [action for action in actions if action.startswith("kms:")]


def test_account_region_and_protection_are_the_stacks(demanding: Synthesized, stack: Synthesized) -> None:
    assert _artifact(demanding)["environment"] == "aws://123456789012/eu-west-1"
    assert _artifact(stack)["environment"] == "aws://unknown-account/unknown-region"
    protected = [bool(_artifact(s)["properties"].get("terminationProtection")) for s in (stack, demanding)]
    assert protected == [False, True]


def test_the_boundary_bounds_every_role(demanding: Synthesized, stack: Synthesized) -> None:
    roles = demanding.of_type("AWS::IAM::Role")
    assert {flat(role["PermissionsBoundary"]) for role in roles.values()} == {
        "arn:${AWS::Partition}:iam::123456789012:policy/Boundary"
    }
    assert not [name for name, role in stack.of_type("AWS::IAM::Role").items() if "PermissionsBoundary" in role]


def test_only_the_worker_runs_in_the_vpc(demanding: Synthesized) -> None:
    functions = demanding.of_type("AWS::Lambda::Function").values()
    (worker,) = (function for function in functions if "VpcConfig" in function)
    assert worker["PackageType"] == "Image"
    assert worker["VpcConfig"]["SubnetIds"] == ["subnet-12345678", "subnet-87654321"]
    ((name, group),) = demanding.of_type("AWS::EC2::SecurityGroup").items()
    assert [flat(entry) for entry in worker["VpcConfig"]["SecurityGroupIds"]] == [f"${{{name}.GroupId}}"]
    assert group["VpcId"] == "vpc-12345678"
    assert "SecurityGroupIngress" not in group


def test_the_workers_own_code_cant_touch_network_interfaces(demanding: Synthesized) -> None:
    statements = [s for s in _role_grants(demanding, "") if "ec2:CreateNetworkInterface" in as_list(s["Action"])]
    effects = {statement["Effect"]: statement for statement in statements}
    assert len(statements) == 2
    assert effects["Allow"]["Action"] == effects["Deny"]["Action"]
    (pattern,) = effects["Deny"]["Condition"]["ArnLike"].values()
    assert flat(pattern) == "arn:${AWS::Partition}:lambda:eu-west-1:123456789012:function:*"
    assert statements[0] in _role_grants(demanding, "ProcessTileRole")


def test_given_security_groups_are_used(tmp_path: Path) -> None:
    network = {name: DEMANDING[name] for name in ("vpc_id", "vpc_subnet_ids")}
    stack = synthesized(tmp_path, **network, vpc_security_group_ids="sg-12345678")
    (worker,) = (f for f in stack.of_type("AWS::Lambda::Function").values() if "VpcConfig" in f)
    assert worker["VpcConfig"]["SecurityGroupIds"] == ["sg-12345678"]
    assert not stack.of_type("AWS::EC2::SecurityGroup")


def test_services_may_publish_to_what_a_new_key_encrypts() -> None:
    stack = cdk.Stack(cdk.App(), "Trial")
    encryption = Encryption(stack, "Encryption", config=StackConfig(kms_key="new"))
    encryption.allow_service("cloudwatch.amazonaws.com")
    ((_, key),) = Template.from_stack(stack).find_resources("AWS::KMS::Key").items()
    statement = key["Properties"]["KeyPolicy"]["Statement"][-1]
    assert statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert set(statement["Action"]) == BOTH
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


@pytest.mark.parametrize(
    ("settings", "policy"),
    [
        ({}, "Retain"),
        ({"output_bucket_name": "somebodys-bucket"}, "Delete"),
        ({"output_bucket_name": "somebodys-bucket", "removal": "retain"}, "Retain"),
    ],
)
def test_a_new_key_lives_as_long_as_what_it_encrypts(settings: dict[str, str], policy: str) -> None:
    stack = cdk.Stack(cdk.App(), "Trial")
    Encryption(stack, "Encryption", config=StackConfig(kms_key="new", **settings))
    ((_, key),) = Template.from_stack(stack).find_resources("AWS::KMS::Key").items()
    assert key["DeletionPolicy"] == policy
