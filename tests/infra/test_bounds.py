"""Bounds on cost that a deployment may have on top: a budget and reserved concurrency."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.config import StackConfig
from infra.fields import ConfigError
from tests.infra.conftest import Synthesized, flat, synthesized
from tests.infra.test_rules import cfn_lint


@pytest.fixture(scope="module")
def bounded(tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    return synthesized(
        tmp_path_factory.mktemp("bounded"),
        budget_usd_per_month=200,
        alarm_emails="ops@example.org,boss@example.org",
        reserved_concurrency=12,
        vpc_id="vpc-12345678",
        vpc_subnet_ids="subnet-12345678",
        source_uri="s3://a-mirror/jaxa",
    )


def test_neither_is_there_unless_wanted(stack: Synthesized) -> None:
    assert not stack.of_type("AWS::Budgets::Budget")
    assert not [f for f in stack.of_type("AWS::Lambda::Function").values() if "ReservedConcurrentExecutions" in f]
    assert "alos-mosaic-stack" not in stack.path.read_text()


def test_a_budget_counts_what_carries_the_stacks_tag_and_tells_the_addresses(bounded: Synthesized) -> None:
    (properties,) = bounded.of_type("AWS::Budgets::Budget").values()
    budget = properties["Budget"]
    assert (budget["BudgetType"], budget["TimeUnit"]) == ("COST", "MONTHLY")
    assert budget["BudgetLimit"] == {"Amount": 200, "Unit": "USD"}
    assert budget["CostFilters"] == {"TagKeyValue": ["user:alos-mosaic-stack$AlosMosaic-local"]}
    tag = {"Key": "alos-mosaic-stack", "Value": "AlosMosaic-local"}
    for kind in ("AWS::S3::Bucket", "AWS::Lambda::Function", "AWS::StepFunctions::StateMachine", "AWS::SQS::Queue"):
        assert all(tag in resource["Tags"] for resource in bounded.of_type(kind).values()), kind
    told = properties["NotificationsWithSubscribers"]
    limits = {(each["Notification"]["NotificationType"], each["Notification"]["Threshold"]) for each in told}
    assert limits == {("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100)}
    for each in told:
        assert [who["Address"] for who in each["Subscribers"]] == ["ops@example.org", "boss@example.org"]


def test_only_the_tile_lambda_has_concurrency_reserved(bounded: Synthesized) -> None:
    reserved = {
        name: function["ReservedConcurrentExecutions"]
        for name, function in bounded.of_type("AWS::Lambda::Function").items()
        if "ReservedConcurrentExecutions" in function
    }
    assert [("ProcessTile" in name, count) for name, count in reserved.items()] == [(True, 12)]


def testcfn_lint_finds_nothing_in_a_bounded_stack(bounded: Synthesized) -> None:
    ended = cfn_lint(bounded.path)
    assert (ended.returncode, ended.stdout) == (0, "")


@pytest.mark.parametrize("function", ["SeedTiles", "RedriveTiles"])
def test_who_asks_for_the_source_does_so_from_the_workers_place_and_reads_no_archive(
    bounded: Synthesized, function: str
) -> None:
    (properties,) = (f for name, f in bounded.of_type("AWS::Lambda::Function").items() if function in name)
    assert properties["VpcConfig"]["SubnetIds"] == ["subnet-12345678"]
    (policy,) = (p for name, p in bounded.of_type("AWS::IAM::Policy").items() if f"{function}Role" in name)
    of_mirror = [s for s in policy["PolicyDocument"]["Statement"] if "a-mirror" in str(s["Resource"])]
    assert [(s["Action"], flat(s["Resource"])) for s in of_mirror] == [
        ("s3:ListBucket", "arn:${AWS::Partition}:s3:::a-mirror")
    ]
    assert of_mirror[0]["Condition"] == {"StringLike": {"s3:prefix": ["jaxa/*"]}}


def test_only_the_worker_may_read_the_secret(tmp_path: Path) -> None:
    stack = synthesized(tmp_path, source_uri="ftps://example.org", source_secret_name="jaxa")
    policies = stack.of_type("AWS::IAM::Policy").items()
    reading = {name for name, policy in policies if "secretsmanager" in str(policy)}
    assert [("ProcessTile" in name) for name in reading] == [True]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"reserved_concurrency": 4}, "reserved_concurrency is 4, below max_concurrency_ceiling, which is 8"),
        ({"budget_usd_per_month": 50.0}, "budget_usd_per_month is set, so alarm_emails must name who is told: 1 to 10"),
        ({"max_usd_ceiling": 0.0}, "max_usd_ceiling is 0.0; expected is a number from 0.01"),
        ({"source_failures_tolerated": -1}, "source_failures_tolerated is -1; expected is a number from 0 to"),
    ],
)
def test_bounds_that_make_no_sense_end_in_a_sentence(settings: dict[str, float], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        StackConfig(**settings)
    assert str(caught.value).startswith(sentence)
