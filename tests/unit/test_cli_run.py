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
from alos_mosaic.errors import InvalidRequestError

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
