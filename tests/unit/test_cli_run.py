"""What ``run``, ``redrive`` and ``resume`` refuse before anything is started, and what they ask."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from alos_mosaic.cli import run as commands
from alos_mosaic.cli.deployment import Deployment
from alos_mosaic.costs import Architecture, Worker
from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.settings import SeedSettings

DEFINITION = json.dumps({"StartAt": "End", "States": {"End": {"Type": "Succeed"}}})


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    with mock_aws():
        session = boto3.Session(region_name="us-east-1")
        role = "arn:aws:iam::123456789012:role/states"
        made = session.client("stepfunctions").create_state_machine(name="m", definition=DEFINITION, roleArn=role)
        yield Deployment("Trial", {"StateMachineArn": made["stateMachineArn"]}, session)


def started(deployment: Deployment) -> list[str]:
    listed = deployment.client("stepfunctions").list_executions(stateMachineArn=deployment.state_machine_arn)
    return [each["name"] for each in listed["executions"]]


def command(name: str) -> Callable[..., None]:
    """Return a command without the options that find its deployment."""
    found: Callable[..., None] = getattr(commands, name).__wrapped__
    return found


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("redrive", {"of_run": "nope"}, "there is no run called nope"),
        ("redrive", {"tile": "XX"}, "is not a tile name"),
        ("redrive", {"year": 2012}, "there is no mosaic of 2012"),
        ("redrive", {"name": "bad name!"}, "'bad name!' is no name for a run"),
        ("resume", {"run": "nope"}, "there is no run called nope"),
        ("resume", {"run": "nope", "name": "a/b"}, "'a/b' is no name for a run"),
    ],
)
def test_what_makes_no_sense_is_not_started(
    deployment: Deployment, name: str, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        command(name)(deployment, **given, yes=True)
    assert started(deployment) == []


def test_a_run_above_its_caps_is_not_started(deployment: Deployment) -> None:
    vars(deployment)["seed_settings"] = SeedSettings(runs_bucket="runs", output_uri="s3://out")
    vars(deployment)["worker"] = Worker(5e6, 2048, Architecture.X86_64, 10_240)
    deployment.client("s3").create_bucket(Bucket="out")
    selected = {"years": ["2020"], "tiles": ["N10E010", "N25W165"]}
    run = command("run").__wrapped__  # type: ignore[attr-defined]
    for given, said in (({"max_tiles": 1}, "its limit is 1"), ({"max_usd": 0.01}, "the run's cap is 0.01")):
        with pytest.raises(InvalidRequestError, match=f"the run would be refused: .*{said}"):
            run(selected, deployment=deployment, yes=True, **given)
    assert started(deployment) == []
    run(selected, deployment=deployment, yes=True, name="small", max_tiles=2, max_usd=5.0)
    assert started(deployment) == ["small"]


def test_a_redrive_asks_by_name_what_it_sends_again(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(commands, "ask", lambda _yes, question: asked.append(question))
    deployment.client("stepfunctions").start_execution(stateMachineArn=deployment.state_machine_arn, name="africa")
    command("redrive")(deployment, name="all")
    command("redrive")(deployment, error="CorruptArchiveError", year=2020, of_run="africa", limit=5, name="some")
    command("redrive")(deployment, tile="N10E010", name="one")
    assert asked == [
        "Send the failed tiles again on Trial?",
        "Send 5 at most of the failed tiles with CorruptArchiveError of 2020 of the run africa again on Trial?",
        "Send the failed tiles called N10E010 again on Trial?",
    ]
    assert set(started(deployment)) == {"africa", "all", "some", "one"}
