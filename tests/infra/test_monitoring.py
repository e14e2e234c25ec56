"""Who is told of what, and can be: topics, their key, alarms, the digest's triggers, dashboard, searches, runbook."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest

from alos_mosaic import errors
from alos_mosaic.metric_names import UNITS, Metric
from alos_mosaic.runbook import anchor
from infra.application import STACK_NAME
from infra.assets import REPOSITORY
from tests.infra.conftest import Synthesized, as_list, flat, synthesized

RUNBOOK = (REPOSITORY / "docs" / "operations.md").read_text()
HEADINGS = re.findall(r"^#+ (.+)$", RUNBOOK, re.MULTILINE)
ACCOUNT = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    """A stack that tells everybody everything, and encrypts by a key of its own."""
    return synthesized(
        tmp_path_factory.mktemp("full"),
        alarm_emails=["ops@example.org", "night@example.org"],
        publish_notifications=True,
        tracing=False,
        kms_key="new",
        memory_mib=3072,
        assumed_megabytes_per_second=2.5,
        runbook_url="https://wiki.example.org/operations",
    )


def alarms(stack: Synthesized) -> dict[str, dict[str, Any]]:
    """Alarms by the name that stands in the runbook."""
    found = stack.of_type("AWS::CloudWatch::Alarm").values()
    return {alarm["AlarmName"].removeprefix(f"{STACK_NAME}-"): alarm for alarm in found}


def statements_for(policy: dict[str, Any], service: str) -> list[dict[str, Any]]:
    return [s for s in policy["Statement"] if s.get("Principal") == {"Service": service}]


@pytest.mark.parametrize("which", ["stack", "full"])
def test_alarms_can_publish_to_their_topic(which: str, request: pytest.FixtureRequest) -> None:
    """CloudWatch needs the topic's leave and the key's; SNS' own key would not give it."""
    stack: Synthesized = request.getfixturevalue(which)
    for alarm in alarms(stack).values():
        (action,) = alarm["AlarmActions"]
        topic = stack.resources[action["Ref"]]
        assert topic["Type"] == "AWS::SNS::Topic"
        key = stack.resources[topic["Properties"]["KmsMasterKeyId"]["Fn::GetAtt"][0]]
        assert key["Type"] == "AWS::KMS::Key"
        (allowed,) = statements_for(key["Properties"]["KeyPolicy"], "cloudwatch.amazonaws.com")
        assert set(allowed["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey*"}
        assert (allowed["Effect"], allowed["Resource"], allowed["Condition"]) == ("Allow", "*", ACCOUNT)
        (policy,) = (
            p["PolicyDocument"]
            for p in stack.of_type("AWS::SNS::TopicPolicy").values()
            if {"Ref": action["Ref"]} in p["Topics"]
        )
        (allowed,) = statements_for(policy, "cloudwatch.amazonaws.com")
        assert (allowed["Action"], allowed["Resource"]) == ("sns:Publish", {"Ref": action["Ref"]})
        assert (allowed["Effect"], allowed["Condition"]) == ("Allow", ACCOUNT)


@pytest.mark.parametrize("which", ["stack", "full"])
def test_no_other_service_can_publish_or_use_the_key(which: str, request: pytest.FixtureRequest) -> None:
    stack: Synthesized = request.getfixturevalue(which)
    policies = [policy["PolicyDocument"] for policy in stack.of_type("AWS::SNS::TopicPolicy").values()]
    policies += [key["KeyPolicy"] for key in stack.of_type("AWS::KMS::Key").values()]
    allowed = [s for policy in policies for s in policy["Statement"] if s["Effect"] == "Allow"]
    services = [s["Principal"]["Service"] for s in allowed if "Service" in s["Principal"]]
    assert services == ["cloudwatch.amazonaws.com"] * 2, "once to the topic, once to the key"


@pytest.mark.parametrize(("which", "count"), [("stack", 1), ("full", 2)])
def test_topics_are_encrypted_and_take_nothing_without_tls(
    which: str, count: int, request: pytest.FixtureRequest
) -> None:
    stack: Synthesized = request.getfixturevalue(which)
    assert len(stack.of_type("AWS::SNS::Topic")) == len(stack.of_type("AWS::SNS::TopicPolicy")) == count
    for topic in stack.of_type("AWS::SNS::Topic").values():
        assert topic["KmsMasterKeyId"]
    for policy in stack.of_type("AWS::SNS::TopicPolicy").values():
        (denied,) = (s for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Deny")
        assert (denied["Action"], denied["Principal"]) == ("sns:Publish", "*")
        assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_the_topics_key_is_rotated_and_goes_with_the_stack(stack: Synthesized, full: Synthesized) -> None:
    ((name, key),) = stack.of_type("AWS::KMS::Key").items()
    assert key["EnableKeyRotation"] is True
    assert stack.resources[name]["DeletionPolicy"] == "Delete"
    assert len(full.of_type("AWS::KMS::Key")) == 1, "the key of the data serves the topics, too"


def test_the_addresses_of_the_settings_are_told(stack: Synthesized, full: Synthesized) -> None:
    assert not stack.of_type("AWS::SNS::Subscription")
    told = full.of_type("AWS::SNS::Subscription").values()
    assert {(each["Protocol"], each["Endpoint"]) for each in told} == {
        ("email", "ops@example.org"), ("email", "night@example.org"),
    }  # fmt: skip
    assert all("People" in flat(each["TopicArn"]) for each in told)


def test_idle_nights_ring_no_alarm(full: Synthesized) -> None:
    for name, alarm in alarms(full).items():
        assert alarm["TreatMissingData"] == "notBreaching", name
        assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
        assert alarm["Threshold"] > 0, f"{name}: a metric that is 0 is all right"


def test_what_there_is_an_alarm_for(stack: Synthesized, full: Synthesized) -> None:
    always = {
        "dead-letters", "dead-letter-age", "run-failed", "run-timed-out", "run-aborted", "run-throttled",
        "worker-errors", "worker-throttles", "worker-duration", "worker-memory", "worker-disk", "digest-errors",
    }  # fmt: skip
    assert alarms(stack).keys() == always
    assert alarms(full).keys() == always | {"notifications-failed"}


@pytest.mark.parametrize(
    ("name", "namespace", "metric", "statistic", "threshold"),
    [
        ("dead-letters", "AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", 1),
        ("dead-letter-age", "AWS/SQS", "ApproximateAgeOfOldestMessage", "Maximum", 10 * 86_400),
        ("run-failed", "AWS/States", "ExecutionsFailed", "Sum", 1),
        ("run-timed-out", "AWS/States", "ExecutionsTimedOut", "Sum", 1),
        ("run-aborted", "AWS/States", "ExecutionsAborted", "Sum", 1),
        ("run-throttled", "AWS/States", "ExecutionThrottled", "Sum", 1),
        ("worker-errors", "AWS/Lambda", "Errors", "Sum", 20),
        ("worker-throttles", "AWS/Lambda", "Throttles", "Sum", 1),
        ("worker-duration", "AWS/Lambda", "Duration", "Maximum", 855_000),
        ("worker-memory", STACK_NAME, "PeakMemoryBytes", "Maximum", 0.9 * 3072 * 2**20),
        ("worker-disk", STACK_NAME, "PeakDiskBytes", "Maximum", 0.9 * 10_240 * 2**20),
        ("digest-errors", "AWS/Lambda", "Errors", "Sum", 1),
        ("notifications-failed", STACK_NAME, "NotificationsFailed", "Sum", 1),
    ],
)
def test_each_alarm_looks_at_its_metric(
    full: Synthesized, name: str, namespace: str, metric: str, statistic: str, threshold: float
) -> None:
    alarm = alarms(full)[name]
    assert (alarm["Namespace"], alarm["MetricName"], alarm["Statistic"]) == (namespace, metric, statistic)
    assert alarm["Threshold"] == pytest.approx(threshold)
    about = [flat(dimension["Value"]) for dimension in alarm.get("Dimensions", [])]
    expected = {"dead": "DeadLetters", "run": "WorkflowRun", "worker": "ProcessTile", "digest": "SendDigest"}
    if namespace == STACK_NAME:
        assert about == [], "emitted without dimensions, too"
        assert metric in UNITS
    else:
        (resource,) = about
        assert expected[name.partition("-")[0]] in resource


def test_the_worker_emits_where_the_alarms_look(full: Synthesized) -> None:
    (worker,) = (f for name, f in full.of_type("AWS::Lambda::Function").items() if "ProcessTile" in name)
    assert worker["Environment"]["Variables"]["ALOS_MOSAIC_METRICS_NAMESPACE"] == STACK_NAME


def test_the_worker_may_announce_items_only_where_that_is_wanted(stack: Synthesized, full: Synthesized) -> None:
    def published(synthesized: Synthesized) -> list[str]:
        (policy,) = (p for name, p in synthesized.of_type("AWS::IAM::Policy").items() if "ProcessTile" in name)
        statements = [s for s in policy["PolicyDocument"]["Statement"] if "sns:Publish" in as_list(s["Action"])]
        return [flat(s["Resource"]) for s in statements]

    assert published(stack) == []
    (topic,) = published(full)
    assert "Items" in topic
    assert flat(full.outputs["ItemsTopicArn"]["Value"]) == topic
    (worker,) = (f for name, f in full.of_type("AWS::Lambda::Function").items() if "ProcessTile" in name)
    assert flat(worker["Environment"]["Variables"]["ALOS_MOSAIC_ITEMS_TOPIC_ARN"]) == topic


def test_bad_ends_and_every_hour_ask_for_digests(stack: Synthesized) -> None:
    rules = stack.of_type("AWS::Events::Rule")
    (on_end,) = (rule for rule in rules.values() if "EventPattern" in rule)
    (machine,) = stack.of_type("AWS::StepFunctions::StateMachine")
    assert on_end["EventPattern"] == {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {"stateMachineArn": [{"Ref": machine}], "status": ["FAILED", "ABORTED", "TIMED_OUT"]},
    }
    (hourly,) = (rule for rule in rules.values() if "ScheduleExpression" in rule)
    assert hourly["ScheduleExpression"] == "rate(1 hour)"
    (target,) = hourly["Targets"]
    assert flat(target["Input"]) == f'{{"state_machine":"${{{machine}}}"}}'
    for rule in (on_end, hourly):
        (target,) = rule["Targets"]
        assert "SendDigest" in flat(target["Arn"])
    permissions = stack.of_type("AWS::Lambda::Permission").values()
    assert {each["Principal"] for each in permissions} == {"events.amazonaws.com"}
    assert {flat(each["SourceArn"]).strip("${}").partition(".")[0] for each in permissions} == set(rules)


def test_all_who_price_a_run_price_it_alike(full: Synthesized) -> None:
    told = []
    for name, function in full.of_type("AWS::Lambda::Function").items():
        variables = function["Environment"]["Variables"]
        if [each for each in ("SeedTiles", "RedriveTiles", "SummariseRun", "SendDigest") if each in name]:
            names = ("MEMORY_MIB", "ARCHITECTURE", "EPHEMERAL_STORAGE_MIB", "ASSUMED_MEGABYTES_PER_SECOND")
            told.append(tuple(variables[f"ALOS_MOSAIC_{each}"] for each in names))
    assert told == [("3072", "x86_64", "10240", "2.5")] * 4


def test_traces_are_a_setting(stack: Synthesized, full: Synthesized) -> None:
    for synthesized_stack, mode in ((stack, "Active"), (full, "PassThrough")):
        functions = synthesized_stack.of_type("AWS::Lambda::Function").values()
        assert {each.get("TracingConfig", {}).get("Mode", "PassThrough") for each in functions} == {mode}
    (machine,) = full.of_type("AWS::StepFunctions::StateMachine").values()
    assert machine["TracingConfiguration"] == {"Enabled": False}
    for policy in full.of_type("AWS::IAM::Policy").values():
        actions = [action for s in policy["PolicyDocument"]["Statement"] for action in as_list(s["Action"])]
        assert not [action for action in actions if action.startswith("xray:")], policy["PolicyName"]


def test_the_dashboard_shows_the_alarms_and_the_workers_metrics(full: Synthesized) -> None:
    (dashboard,) = full.of_type("AWS::CloudWatch::Dashboard").values()
    widgets = json.loads(flat(dashboard["DashboardBody"]))["widgets"]
    assert widgets[0]["type"] == "alarm"
    assert len(widgets[0]["properties"]["alarms"]) == len(alarms(full))
    text = json.dumps(widgets)
    assert not [metric for metric in UNITS if metric not in text and metric not in _NOT_SHOWN]
    assert f"SEARCH('{{{STACK_NAME},product,outcome}}" in text


_NOT_SHOWN = {Metric.INVOCATION_SECONDS, Metric.NOTIFICATIONS_FAILED}


def test_searches_are_saved_and_know_what_the_worker_writes(full: Synthesized) -> None:
    searches = full.of_type("AWS::Logs::QueryDefinition").values()
    assert len(searches) >= 5
    for search in searches:
        assert search["Name"].startswith(f"{STACK_NAME}/")
        (group,) = search["LogGroupNames"]
        assert "ProcessTileLog" in flat(group)
        for metric in re.findall(r"([A-Z]\w+)\.0", search["QueryString"]):
            assert metric in UNITS, search["Name"]


def _own_errors() -> set[str]:
    kinds = {kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.MosaicError)}
    return {kind.__name__ for kind in kinds - {errors.MosaicError}}


def test_every_alarm_leads_to_its_section(full: Synthesized, stack: Synthesized) -> None:
    anchors = {anchor(heading) for heading in HEADINGS}
    for name, alarm in alarms(full).items():
        link = alarm["AlarmDescription"].rpartition(" ")[2]
        assert link == f"https://wiki.example.org/operations#{name}"
        assert link.partition("#")[2] in anchors, name
    assert alarms(stack)["dead-letters"]["AlarmDescription"].endswith("docs/operations.md#dead-letters")


def _sections() -> dict[str, str]:
    """What stands below each heading."""
    parts = re.split(r"^#+ (.+)$", RUNBOOK, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("name", sorted(_own_errors() | errors.PLATFORM_ERRORS | {"unknown"}))
def test_every_error_has_its_section(name: str) -> None:
    assert name in HEADINGS


def test_every_section_says_what_it_means_what_to_look_at_and_what_to_do(full: Synthesized) -> None:
    sections = _sections()
    for name in [*alarms(full), *_own_errors(), *errors.PLATFORM_ERRORS]:
        for words in ("**Means**", "**Look at**", "**Do**"):
            assert words in sections[name], (name, words)


def test_no_two_headings_share_an_anchor() -> None:
    anchors = [anchor(heading) for heading in HEADINGS]
    assert len(set(anchors)) == len(anchors)


def test_the_runbook_stands_where_digests_say(tmp_path: Path) -> None:
    assert (REPOSITORY / "docs" / "operations.md").is_file()
    assert anchor("What to do next?") == "what-to-do-next"
