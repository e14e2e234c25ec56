"""Settings of a deployment: what is good reaches the template, what is bad ends in a sentence."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import aws_s3 as s3

from alos_mosaic.invocations import LAMBDA_SECONDS, LAST_WORDS_SECONDS, TRANSFER_LIMIT_SECONDS
from alos_mosaic.probing import SCHEMES
from infra.assets import CDK_JSON, REPOSITORY
from infra.config import StackConfig
from infra.fields import ConfigError
from infra.rules import BUCKET
from infra.schedules import is_schedule
from infra.stages import read_deployment
from tests.infra.conftest import Synthesized, as_list, flat, synthesized


def test_settings_come_as_json_or_as_text() -> None:
    context = {
        "alos-mosaic:memory_mib": "8192",
        "alos-mosaic:max_concurrency_ceiling": 4,
        "alos-mosaic:failure_limit_percent": "2.5",
        "alos-mosaic:output_bucket_name": "",
        "alos-mosaic:allow_plain_login": "true",
        "alos-mosaic:requester_pays": False,
        "@aws-cdk/aws-iam:minimizePolicies": True,
    }
    config = read_deployment(context, "local").config
    assert (config.memory_mib, config.max_concurrency_ceiling, config.failure_limit_percent) == (8192, 4, 2.5)
    assert config.output_bucket_name is None
    assert (config.allow_plain_login, config.requester_pays) == (True, False)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("memory", 4096, "unknown settings memory; known are account, region"),
        ("memory_mib", "lots", "memory_mib is 'lots'; expected is a whole number"),
        ("memory_mib", True, "memory_mib is True; expected is a whole number"),
        ("memory_mib", 20_000, "memory_mib is 20000; expected is a number from 128 to 10240"),
        ("transfer_limit_seconds", 720, "transfer_limit_seconds is 720.0; expected is a number from 1 to 600"),
        ("architecture", "riscv", "architecture is 'riscv'; expected is x86_64 or arm64"),
        ("failure_limit_percent", "nan", "failure_limit_percent is nan; expected is a number from 0 to 100"),
        ("absent_limit_percent", 101, "absent_limit_percent is 101.0; expected is a number from 0 to 100"),
        ("output_bucket_name", "My_Bucket", "output_bucket_name is 'My_Bucket'; expected is the name of an S3 bucket"),
        ("output_bucket_name", 7, "output_bucket_name is 7; expected is text"),
        ("output_prefix", "a/", "output_prefix is 'a/'; expected is a folder without slash at its ends"),
        ("source_uri", "ftp.eorc.jaxa.jp", "source_uri is 'ftp.eorc.jaxa.jp'; expected is a URI like ftp://host"),
        ("source_uri", "ftp://me:pw@host", "source_uri is 'ftp://me:pw@host'; expected is a URI like ftp://host, with"),
        ("allow_plain_login", "maybe", "allow_plain_login is 'maybe'; expected is true or false"),
        ("source_secret_name", "jaxa", "over ftp:// the source's password would travel unencrypted; use ftps://"),
        ("source_uri", None, "source_uri is None; expected is text"),
        ("default_region", "atlantis", "default_region is 'atlantis'; expected is a region that the grid knows"),
        ("default_max_concurrency", 9, "default_max_concurrency is 9, above max_concurrency_ceiling, which is 8"),
        ("max_tiles_ceiling", 100_000, "max_tiles_ceiling is 100000; expected is a number from 1 to 87380"),
        ("log_retention_days", 31, "log_retention_days is 31; expected is 30, 90, 180 or 365"),
        ("staging_expiry_days", 0, "staging_expiry_days is 0; expected is a number from 1 to 3650"),
        ("keep_archives_in", "my-bucket", "keep_archives_in is 'my-bucket'; expected is own or a URI like s3://bucket"),
        ("keep_archives_in", "s3://mine/a/", "keep_archives_in is 's3://mine/a/'; expected is own or a URI like s3://"),
        ("output_versioning", "maybe", "output_versioning is 'maybe'; expected is true or false"),
        ("output_bucket_name", "a..b", "output_bucket_name is 'a..b'; expected is the name of an S3 bucket"),
        ("keep_archives_in", "s3://a.-b", "keep_archives_in is 's3://a.-b'; expected is own or a URI like s3://"),
        (
            "source_uri",
            "gopher://x",
            "source_uri is 'gopher://x'; expected is a URI like ftp://host, without user and ",
        ),
        ("source_uri", "file:///data", "source_uri is 'file:///data'; expected is a URI like ftp://host, without use"),
        ("source_uri", "s3://UPPER_bucket!!", "source_uri is 's3://UPPER_bucket!!'; expected is a URI like ftp://"),
        (
            "source_uri",
            "http://host/a",
            "http://host could be read and changed on the way; use https:// (http:// is fo",
        ),
        ("source_uri", "ftp:///pub", "source_uri is 'ftp:///pub'; expected is a URI like ftp://host"),
        (
            "watch_schedule",
            "rate(banana)",
            "watch_schedule is 'rate(banana)'; expected is a schedule like rate(7 days)",
        ),
        ("watch_schedule", "cron(* * * * *)", "watch_schedule is 'cron(* * * * *)'; expected is a schedule like rate("),
        ("alarm_emails", "é@ü.org", "alarm_emails is 'é@ü.org'; expected is an e-mail address like ops@example.org"),
        ("alarm_emails", "a@b.org, a@b.org", "alarm_emails names 'a@b.org' twice"),
        ("vpc_subnet_ids", "subnet-12345678,subnet-12345678", "vpc_subnet_ids names 'subnet-12345678' twice"),
        ("removal", "burn", "removal is 'burn'; expected is destroy or retain"),
    ],
)
def test_what_makes_no_sense_ends_in_a_sentence(name: str, value: Any, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_deployment({f"alos-mosaic:{name}": value}, "local")
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(("limit", "longest"), [(TRANSFER_LIMIT_SECONDS, 122.5), (300.0, 272.5), (245.0, 300.0)])
def test_a_silence_that_begins_as_a_transfers_time_ends_is_over_ahead_of_the_workers_deadline(
    limit: float, longest: float
) -> None:
    assert StackConfig(transfer_limit_seconds=limit, source_timeout_seconds=longest)
    assert limit + 2 * longest + 40 <= LAMBDA_SECONDS - LAST_WORDS_SECONDS
    if longest < 300:
        sentence = (
            f"source_timeout_seconds is {longest + 1:g}, above {longest:g}: with transfer_limit_seconds at {limit:g}"
        )
        with pytest.raises(ConfigError, match=re.escape(sentence)):
            StackConfig(transfer_limit_seconds=limit, source_timeout_seconds=longest + 1)


@pytest.mark.parametrize(
    "source",
    ["ftp://host", "ftps://host:2121/pub", "https://host/a", "http://127.0.0.1:8000", "s3://a-b.c", "s3://abc/d/"],
)
def test_each_kind_of_source_that_a_cloud_can_ask_is_good(source: str) -> None:
    assert StackConfig(source_uri=source).source_uri == source
    assert source.partition("://")[0] in SCHEMES


@pytest.mark.parametrize(
    ("schedule", "is_good"),
    [
        ("rate(1 day)", True),
        ("rate(12 hours)", True),
        ("rate(1 days)", False),
        ("rate(2 day)", False),
        ("rate(0 days)", False),
        ("cron(0 6 ? * MON *)", True),
        ("cron(0/15 8-17 ? JAN-mar MON-FRI 2027)", True),
        ("cron(0 6 L * ? *)", True),
        ("cron(0,30 6 15W 1,7 ? *)", True),
        ("cron(0 6 ? * 2#1 *)", True),
        ("cron(0 6 * * * *)", False),
        ("cron(0 6 ? * ? *)", False),
        ("cron(60 6 ? * MON *)", False),
        ("cron(0 6 ? * MOON *)", False),
        ("cron(0 6 ? * MON * *)", False),
        ("cron(0/0 6 ? * MON *)", False),
        ("at(2027-01-01T00:00:00)", False),
    ],
)
def test_a_schedule_is_one_that_eventbridge_knows(schedule: str, is_good: bool) -> None:
    assert is_schedule(schedule) is is_good


@pytest.mark.parametrize(
    "name", ["abc", "a.b-c", "a--b", "a..b", "a.-b", "a-.b", "1.2.3.4", "1.2.3.4.com", "1.2.3.4-a", "-ab", "ab-", "ab",
             "a" * 63, "a" * 64, "A-b", "a_b"],
)  # fmt: skip
def test_a_bucket_has_a_name_that_the_cdk_takes(name: str) -> None:
    is_good = re.fullmatch(BUCKET, name) is not None
    with nullcontext() if is_good else pytest.raises(RuntimeError, match="Invalid S3 bucket name"):
        s3.Bucket.validate_bucket_name(name)


@pytest.mark.parametrize(
    "key", ["memory_mib", "MEMORY-MIB", "stage", "alos_mosaic:memory_mib", "alosmosaic:memory_mib", "ALOS-MOSAIC:stage",
            "alos-mosaic.memory_mib", "also-mosaic:codec"],
)  # fmt: skip
def test_a_key_that_nothing_would_read_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"{key} is read by nothing: settings are spelt alos-mosaic:<sett")):
        read_deployment({key: "1"}, "local")


def test_keys_of_others_are_let_be() -> None:
    context = json.loads(CDK_JSON.read_text())["context"]
    others = {"aws:cdk:enable-path-metadata": True, "availability-zones:account=1:region=eu-west-1": [], "mosaic": 1}
    assert read_deployment({**context, **others}, "local").config == StackConfig()


def test_the_app_says_the_sentence_and_no_traceback(tmp_path: Path) -> None:
    env = {**os.environ, "CDK_CONTEXT_JSON": '{"alos-mosaic:removal": "burn"}'}
    command = [sys.executable, "app.py", "--output", str(tmp_path)]
    ended = subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr == "alos-mosaic: removal is 'burn'; expected is destroy or retain (in CDK context)\n"


def test_the_app_is_quiet_and_needs_neither_credentials_nor_node_nor_docker(tmp_path: Path) -> None:
    # HOME stays: the CDK's binding keeps its unpacked packages there.
    env = {"PATH": str(tmp_path), "HOME": os.environ["HOME"]}
    command = [sys.executable, "app.py", "--output", str(tmp_path / "cdk.out")]
    ended = subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert (tmp_path / "cdk.out" / "AlosMosaic-dev.template.json").exists()


def test_a_given_bucket_with_a_prefix_and_a_secret(tmp_path: Path) -> None:
    stack = synthesized(
        tmp_path,
        output_bucket_name="somebodys-bucket",
        output_prefix="radar/v1",
        source_secret_name="jaxa/login",
        source_uri="ftp://127.0.0.1:2121",
        allow_plain_login=True,
        cell_pixels=30,
        removal="retain",
    )
    assert not [name for name in stack.of_type("AWS::S3::Bucket") if "Output" in name]
    assert {stack.resources[name]["DeletionPolicy"] for name in stack.of_type("AWS::S3::Bucket")} == {"Retain"}
    (worker,) = (f for name, f in stack.of_type("AWS::Lambda::Function").items() if "ProcessTile" in name)
    variables = worker["Environment"]["Variables"]
    assert variables["ALOS_MOSAIC_OUTPUT_URI"] == "s3://somebodys-bucket/radar/v1"
    assert variables["ALOS_MOSAIC_SOURCE_SECRET_NAME"] == "jaxa/login"
    assert variables["ALOS_MOSAIC_SOURCE_URI"] == "ftp://127.0.0.1:2121"
    assert variables["ALOS_MOSAIC_ALLOW_PLAIN_LOGIN"] == "True"
    assert variables["ALOS_MOSAIC_CELL_PIXELS"] == "30"
    (policy,) = (p for name, p in stack.of_type("AWS::IAM::Policy").items() if "ProcessTile" in name)
    arns = [flat(arn) for s in policy["PolicyDocument"]["Statement"] for arn in as_list(s["Resource"])]
    assert "arn:${AWS::Partition}:s3:::somebodys-bucket/radar/v1/alos_palsar_mosaic/*" in arns
    secret = "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:jaxa/login-??????"
    assert secret in arns


def test_a_mirror_in_s3_may_be_read_and_nothing_beside_it(tmp_path: Path) -> None:
    stack = synthesized(tmp_path, source_uri="s3://a-mirror/jaxa/", requester_pays=True)
    (policy,) = (p for name, p in stack.of_type("AWS::IAM::Policy").items() if "ProcessTile" in name)
    statements = [s for s in policy["PolicyDocument"]["Statement"] if "a-mirror" in flat(as_list(s["Resource"])[0])]
    granted = {action: s for s in statements for action in as_list(s["Action"])}
    assert set(granted) == {"s3:GetObject", "s3:ListBucket"}
    assert flat(granted["s3:GetObject"]["Resource"]) == "arn:${AWS::Partition}:s3:::a-mirror/jaxa/*"
    assert flat(granted["s3:ListBucket"]["Resource"]) == "arn:${AWS::Partition}:s3:::a-mirror"
    assert granted["s3:ListBucket"]["Condition"] == {"StringLike": {"s3:prefix": ["jaxa/*"]}}


def test_archives_are_kept_in_an_existing_bucket_and_nothing_beside_the_tree_is_touched(tmp_path: Path) -> None:
    row = {"name": "a", "mission": "PALSAR-2", "folder_template": "new/{year}", "archive_template": "{square}.zip"}
    stack = synthesized(tmp_path, keep_archives_in="s3://mine/jaxa", extra_layouts=json.dumps([row]))
    assert stack.outputs["ArchivesUri"]["Value"] == "s3://mine/jaxa"
    assert worker_settings(stack)["ALOS_MOSAIC_KEEP_ARCHIVES_IN"] == "s3://mine/jaxa"
    granted = worker_grants(stack, "s3:::mine")
    bucket = "arn:${AWS::Partition}:s3:::mine"
    objects = [f"{bucket}/jaxa/new/*", f"{bucket}/jaxa/pub/*"]
    assert {action: found["Resource"] for action, found in granted.items()} == {
        "s3:GetObject": objects, "s3:PutObject": objects, "s3:AbortMultipartUpload": objects, "s3:ListBucket": [bucket],
    }  # fmt: skip
    assert granted["s3:ListBucket"]["Condition"] == {"StringLike": {"s3:prefix": ["jaxa/new/*", "jaxa/pub/*"]}}


def test_archives_are_kept_in_a_bucket_of_the_stacks_that_outlives_it(tmp_path: Path) -> None:
    stack = synthesized(tmp_path, keep_archives_in="own")
    ((name, bucket),) = ((name, each) for name, each in stack.of_type("AWS::S3::Bucket").items() if "Archives" in name)
    assert stack.resources[name]["DeletionPolicy"] == "Retain"
    assert bucket["BucketEncryption"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert not [rule for rule in bucket["LifecycleConfiguration"]["Rules"] if "ExpirationInDays" in rule]
    assert flat(stack.outputs["ArchivesUri"]["Value"]) == f"s3://${{{name}}}"
    assert flat(worker_settings(stack)["ALOS_MOSAIC_KEEP_ARCHIVES_IN"]) == f"s3://${{{name}}}"
    granted = worker_grants(stack, f"{name}.Arn")
    assert set(granted) == {"s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListBucket"}
    assert granted["s3:PutObject"]["Resource"] == [f"${{{name}.Arn}}/pub/*"]


def test_by_default_no_archives_are_kept(stack: Synthesized) -> None:
    assert not [name for name in stack.of_type("AWS::S3::Bucket") if "Archives" in name]
    assert "ArchivesUri" not in stack.outputs
    assert "ALOS_MOSAIC_KEEP_ARCHIVES_IN" not in worker_settings(stack)


def test_a_mirror_is_not_kept_in_itself() -> None:
    with pytest.raises(ConfigError, match="nothing is to be kept"):
        StackConfig(source_uri="s3://mine/jaxa/", keep_archives_in="s3://mine/jaxa")


def worker_settings(stack: Synthesized) -> dict[str, Any]:
    (worker,) = (f for name, f in stack.of_type("AWS::Lambda::Function").items() if "ProcessTile" in name)
    variables: dict[str, Any] = worker["Environment"]["Variables"]
    return variables


def worker_grants(stack: Synthesized, text: str) -> dict[str, dict[str, Any]]:
    """What the worker may do where the resource's ARN has this text in it, by action."""
    (policy,) = (p for name, p in stack.of_type("AWS::IAM::Policy").items() if "ProcessTile" in name)
    granted = {}
    for statement in policy["PolicyDocument"]["Statement"]:
        arns = [flat(arn) for arn in as_list(statement["Resource"])]
        if any(text in arn for arn in arns):
            granted |= {action: {**statement, "Resource": arns} for action in as_list(statement["Action"])}
    return granted


def test_what_is_replaced_and_what_is_unfinished_stays_as_long_as_told(tmp_path: Path) -> None:
    buckets = synthesized(tmp_path, output_versioning=True, staging_expiry_days=2).of_type("AWS::S3::Bucket")
    versioned = {name for name, bucket in buckets.items() if "VersioningConfiguration" in bucket}
    assert versioned == {name for name in buckets if "Output" in name}
    (runs,) = (bucket for name, bucket in buckets.items() if "Runs" in name)
    rules = runs["LifecycleConfiguration"]["Rules"]
    assert [rule["ExpirationInDays"] for rule in rules if rule.get("Prefix") == "staging/"] == [2]


def test_layouts_of_ones_own_are_read_while_synthesizing() -> None:
    with pytest.raises(ConfigError, match="layout"):
        StackConfig(extra_layouts='[{"name": "mine"}]')
    with pytest.raises(ConfigError):
        StackConfig(extra_layouts="[")
    with pytest.raises(ConfigError, match="rms or average"):
        StackConfig(backscatter_overviews="nearest")
    with pytest.raises(ConfigError, match="deflate or zstd"):
        StackConfig(codec="lzw")
