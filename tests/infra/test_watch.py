"""The watch: off by default; with a schedule, who may do what, and whether its alarm reaches anyone."""

from __future__ import annotations

from typing import Any

import pytest

from alos_mosaic.settings import WatchSettings
from infra.config import StackConfig
from infra.fields import ConfigError
from tests.infra.conftest import Synthesized, flat, synthesized
from tests.infra.test_rules import cfn_lint
from tests.infra.test_stack import _grants


@pytest.fixture(scope="module")
def watching(tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    return synthesized(
        tmp_path_factory.mktemp("watching"),
        watch_schedule="cron(0 6 ? * MON *)",
        watch_years="2019,2020",
        watch_action="refresh",
        alarm_emails="ops@example.org",
        source_uri="ftps://example.org",
        source_secret_name="jaxa",
        kms_key="new",
    )


@pytest.fixture(scope="module")
def notifying(tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    return synthesized(tmp_path_factory.mktemp("notifying"), watch_schedule="rate(7 days)")


def _function(stack: Synthesized) -> dict[str, Any]:
    (function,) = (f for name, f in stack.of_type("AWS::Lambda::Function").items() if "WatchSource" in name)
    return function


def test_nothing_is_watched_unless_wanted(stack: Synthesized) -> None:
    assert not stack.of_type("AWS::Scheduler::Schedule")
    assert not [name for name in stack.of_type("AWS::Lambda::Function") if "WatchSource" in name]


def test_the_schedule_invokes_the_function_and_may_do_nothing_else(watching: Synthesized) -> None:
    (schedule,) = watching.of_type("AWS::Scheduler::Schedule").values()
    assert schedule["ScheduleExpression"] == "cron(0 6 ? * MON *)"
    assert schedule["FlexibleTimeWindow"]["Mode"] == "FLEXIBLE"
    (name,) = (name for name in watching.of_type("AWS::Lambda::Function") if "WatchSource" in name)
    assert flat(schedule["Target"]["Arn"]) == f"${{{name}.Arn}}"
    assert _grants(watching, "WatchRole") == {"lambda:InvokeFunction": {"${FunctionsWatchSource.Arn}"}}
    (role,) = (role for name, role in watching.of_type("AWS::IAM::Role").items() if name.startswith("WatchRole"))
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "scheduler.amazonaws.com"}
    assert "aws:SourceAccount" in trust["Condition"]["StringEquals"]


def test_it_is_the_workers_image_with_another_command(watching: Synthesized) -> None:
    function = _function(watching)
    (worker,) = (f for name, f in watching.of_type("AWS::Lambda::Function").items() if "ProcessTile" in name)
    assert function["Code"] == worker["Code"]
    assert function["ImageConfig"]["Command"] == ["lambdas.watch_source.handler.lambda_handler"]
    variables = {key: flat(value) for key, value in function["Environment"]["Variables"].items()}
    settings = WatchSettings.from_env(variables)
    assert settings.to_env() == variables
    assert (settings.years, settings.action, settings.source_secret_name) == ("2019,2020", "refresh", "jaxa")


def test_it_reads_items_and_tells_people_and_starts_runs_only_if_told_to(
    watching: Synthesized, notifying: Synthesized
) -> None:
    names = ("alos_palsar_fnf", "alos_palsar_mosaic", "jers_sar_mosaic")
    expected = {
        "s3:GetObject": {f"${{StorageOutput.Arn}}/{name}/*.stac-item.json" for name in names},
        "s3:ListBucket": {"${StorageOutput.Arn}"},
        "sns:Publish": {"${NoticesPeople}"},
        "kms:Decrypt": {"${NoticesKey.Arn}"},
        "kms:GenerateDataKey": {"${NoticesKey.Arn}"},
        "logs:CreateLogStream": {"${FunctionsWatchSourceLog.Arn}"},
        "logs:PutLogEvents": {"${FunctionsWatchSourceLog.Arn}"},
        "xray:PutTraceSegments": {"*"},
        "xray:PutTelemetryRecords": {"*"},
    }
    assert _grants(notifying, "WatchSourceRole") == expected
    grants = _grants(watching, "WatchSourceRole")
    assert grants.pop("states:StartExecution") == {"${WorkflowRun}"}
    secret = "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:jaxa-??????"
    assert grants.pop("secretsmanager:GetSecretValue") == {secret}
    assert grants.pop("kms:Decrypt") == grants.pop("kms:GenerateDataKey") == {"${EncryptionKey.Arn}"}
    del expected["kms:Decrypt"], expected["kms:GenerateDataKey"]
    assert grants == expected


def test_its_alarm_is_one_of_the_stacks(watching: Synthesized, notifying: Synthesized, stack: Synthesized) -> None:
    def of_watch(found: Synthesized) -> list[dict[str, Any]]:
        alarms = found.of_type("AWS::CloudWatch::Alarm").values()
        return [alarm for alarm in alarms if alarm["MetricName"] == "AsyncEventsDropped"]

    assert of_watch(stack) == []
    for found in (watching, notifying):
        (alarm,) = of_watch(found)
        assert (alarm["Threshold"], alarm["TreatMissingData"]) == (1, "notBreaching")
        (people,) = (name for name in found.of_type("AWS::SNS::Topic") if name.startswith("NoticesPeople"))
        assert alarm["AlarmActions"] == [{"Ref": people}]
        assert flat(alarm["AlarmDescription"]).endswith("docs/operations.md#watch-failed")


def test_cfn_lint_finds_nothing_in_a_watching_stack(watching: Synthesized) -> None:
    ended = cfn_lint(watching.path)
    assert (ended.returncode, ended.stdout) == (0, "")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"watch_schedule": "weekly"}, "watch_schedule is 'weekly'; expected is a schedule like rate(7 days)"),
        ({"watch_years": ("2012",)}, "there is no mosaic of 2012; years are 1993-1998"),
        ({"watch_years": ("20",)}, "watch_years is '20'; expected is a year like 2020"),
        ({"watch_action": "panic"}, "watch_action is 'panic'; expected is notify or refresh"),
    ],
)
def test_a_watch_that_makes_no_sense_ends_in_a_sentence(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        StackConfig(**settings)
    assert str(caught.value).startswith(sentence)
