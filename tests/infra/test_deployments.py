"""The stacks of all stages: rules, tags, keys, what stays.

What depends on settings is asked of two stacks of our own: ``guarded``, with a new key and versions, and ``demanding``,
with all that an account can ask for. Of the stages only what must hold however somebody sets them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Template

from infra.application import synthesize
from infra.assets import CDK_JSON
from infra.config import LOG_RETENTIONS, StackConfig
from infra.encryption import Encryption
from infra.storage import Storage
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
    "source_uri": "ftps://somebodys-server",
    "source_secret_name": "jaxa/login",
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
        ("ProcessTileRole", {"s3": BOTH, "secretsmanager": {"kms:Decrypt"}}),
        ("SummariseRunRole", {"s3": BOTH, "sqs": BOTH}),
        ("SendDigestRole", {"s3": BOTH, "sns": BOTH}),
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
        secret = {} if stack is demanding else {"secretsmanager"}  # only one of the two has one
        assert found == {service: actions for service, actions in by_service.items() if service not in secret}


def test_without_a_key_nobody_may_use_one(stack: Synthesized) -> None:
    """But the topics' own, without which no alarm could reach them."""
    (topics,) = stack.of_type("AWS::KMS::Key")
    assert "Notices" in topics
    for statement in _role_grants(stack, ""):
        if [action for action in as_list(statement["Action"]) if action.startswith("kms:")]:
            assert flat(statement["Resource"]) == f"${{{topics}.Arn}}"


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


ASKING: Final = ("ProcessTile", "RedriveTiles", "SeedTiles")
"""Functions that connect to the source."""


def _in_vpc(stack: Synthesized) -> dict[str, Any]:
    functions = stack.of_type("AWS::Lambda::Function")
    return {name: function["VpcConfig"] for name, function in functions.items() if "VpcConfig" in function}


def test_only_who_asks_the_source_runs_in_the_vpc(demanding: Synthesized) -> None:
    places = _in_vpc(demanding)
    assert sorted(name[len("Functions") : -8] for name in places) == sorted(ASKING)
    ((name, group),) = demanding.of_type("AWS::EC2::SecurityGroup").items()
    for place in places.values():
        assert place["SubnetIds"] == ["subnet-12345678", "subnet-87654321"]
        assert [flat(entry) for entry in place["SecurityGroupIds"]] == [f"${{{name}.GroupId}}"]
    assert group["VpcId"] == "vpc-12345678"
    assert "SecurityGroupIngress" not in group


@pytest.mark.parametrize("function", ASKING)
def test_their_own_code_cant_touch_network_interfaces(demanding: Synthesized, function: str) -> None:
    grants = _role_grants(demanding, f"{function}Role")
    statements = [s for s in grants if "ec2:CreateNetworkInterface" in as_list(s["Action"])]
    effects = {statement["Effect"]: statement for statement in statements}
    assert len(statements) == 2
    denied, allowed = set(effects["Deny"]["Action"]), set(effects["Allow"]["Action"])
    assert denied == {action for action in allowed if not action.startswith("xray:")}
    (pattern,) = effects["Deny"]["Condition"]["ArnLike"].values()
    assert flat(pattern) == "arn:${AWS::Partition}:lambda:eu-west-1:123456789012:function:*"


def test_given_security_groups_are_used(tmp_path: Path) -> None:
    network = {name: DEMANDING[name] for name in ("vpc_id", "vpc_subnet_ids")}
    stack = synthesized(tmp_path, **network, vpc_security_group_ids="sg-12345678")
    places = _in_vpc(stack)
    assert len(places) == len(ASKING)
    assert all(place["SecurityGroupIds"] == ["sg-12345678"] for place in places.values())
    assert not stack.of_type("AWS::EC2::SecurityGroup")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        # Nothing that stays in this deployment; but what an earlier one has published, into a bucket of the stack's.
        {"output_bucket_name": "somebodys-bucket"},
        {"output_bucket_name": "somebodys-bucket", "keep_archives_in": "own"},
        {"output_bucket_name": "somebodys-bucket", "removal": "retain"},
    ],
)
def test_a_new_key_lives_as_long_as_what_it_encrypts(settings: dict[str, str]) -> None:
    stack = cdk.Stack(cdk.App(), "Trial")
    Encryption(stack, "Encryption", config=StackConfig(kms_key="new", **settings))
    ((_, key),) = Template.from_stack(stack).find_resources("AWS::KMS::Key").items()
    assert (key["DeletionPolicy"], key["UpdateReplacePolicy"]) == ("Retain", "Retain")


@pytest.mark.parametrize(
    ("settings", "staying"),
    [
        ({}, {"Output"}),
        ({"keep_archives_in": "own"}, {"Output", "Archives"}),
        ({"keep_archives_in": "own", "removal": "retain"}, {"Output", "Archives", "Runs", "AccessLogs"}),
    ],
)
def test_a_bucket_that_stays_keeps_its_policy(settings: dict[str, str], staying: set[str]) -> None:
    stack = cdk.Stack(cdk.App(context=json.loads(CDK_JSON.read_text())["context"]), "Trial")
    config = StackConfig(**settings)
    Storage(stack, "Storage", config=config, encryption=Encryption(stack, "Encryption", config=config))
    template = Template.from_stack(stack)
    ends = {name: bucket["DeletionPolicy"] for name, bucket in template.find_resources(BUCKET).items()}
    assert {name.removeprefix("Storage")[:-8] for name, end in ends.items() if end == "Retain"} == staying
    policies = template.find_resources("AWS::S3::BucketPolicy").values()
    assert {policy["Properties"]["Bucket"]["Ref"]: policy["DeletionPolicy"] for policy in policies} == ends
