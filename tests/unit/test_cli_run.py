"""What ``run``, ``redrive`` and ``resume`` refuse before anything is started, and what they ask."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
import typer
from moto import mock_aws

from alos_mosaic.cli import run as commands
from alos_mosaic.cli.console import NOTHING_TO_DO
from alos_mosaic.cli.deployment import Deployment
from alos_mosaic.costs import Architecture, Worker
from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.results import State, TileResult
from alos_mosaic.run_records import Progress
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
    for given, said in (({"max_tiles": 1}, "its limit is 1"), ({"max_usd": 0.01}, r"the run's cap is \$0\.01")):
        with pytest.raises(InvalidRequestError, match=f"the run would be refused: .*{said}"):
            run(selected, deployment=deployment, yes=True, **given)
    assert started(deployment) == []
    run(selected, deployment=deployment, yes=True, name="small", max_tiles=2, max_usd=5.0)
    assert started(deployment) == ["small"]


@pytest.fixture
def asked(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked; the answer is always yes."""
    questions: list[str] = []
    monkeypatch.setattr(commands, "ask", lambda **given: questions.append(given["question"]))
    vars(deployment)["seed_settings"] = SeedSettings(runs_bucket="runs", output_uri="s3://out")
    return questions


@pytest.fixture
def queue(deployment: Deployment) -> str:
    url: str = deployment.client("sqs").create_queue(QueueName="letters")["QueueUrl"]
    deployment.outputs["DeadLetterQueueUrl"] = url  # type: ignore[index]
    return url


def test_a_redrive_says_how_many_wait_and_asks_by_name_what_it_sends_again(
    deployment: Deployment, asked: list[str], queue: str
) -> None:
    sqs = deployment.client("sqs")
    sqs.send_message(QueueUrl=queue, MessageBody="{}")
    deployment.client("stepfunctions").start_execution(stateMachineArn=deployment.state_machine_arn, name="africa")
    command("redrive")(deployment, name="all")
    for _ in range(1200):
        sqs.send_message(QueueUrl=queue, MessageBody="{}")
    command("redrive")(deployment, error="CorruptArchiveError", year=2020, of_run="africa", limit=5, name="some")
    sqs.receive_message(QueueUrl=queue)
    command("redrive")(deployment, tile="N10E010", limit=1, name="one")
    assert [re.sub(r"\$\d\S*", "<dollars>", question) for question in asked] == [
        "About 1 failed tile waits in Trial's queue. Send them again, for <dollars> at most?",
        "About 1,201 failed tiles wait in Trial's queue. Send 5 at most of those with CorruptArchiveError of 2020 of "
        "the run africa again, for <dollars> at most?",
        "About 1,201 failed tiles wait in Trial's queue (1 out of sight, as while another redrive looks at them). Send "
        "1 at most of those called N10E010 again, for <dollars> at most?",
    ]
    prices = [float(price) for question in asked for price in re.findall(r"\$([\d.]+)", question)]
    assert prices == pytest.approx([prices[0], 5 * prices[0], prices[0]], rel=0.1), "as many as are sent at most"
    assert set(started(deployment)) == {"africa", "all", "some", "one"}


@pytest.mark.parametrize("as_json", [False, True])
def test_a_redrive_of_an_empty_queue_is_nothing_to_do(
    deployment: Deployment, asked: list[str], queue: str, as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended:
        command("redrive")(deployment, as_json=as_json)
    assert ended.value.exit_code == NOTHING_TO_DO
    assert (asked, started(deployment)) == ([], [])
    told = capsys.readouterr().out
    if as_json:
        assert json.loads(told) == {"run": None, "to_do": 0}
    else:
        assert told == "No failed tile waits in Trial's queue, which may tell of one a minute late.\n"
    command("redrive")(deployment, yes=True, name="all-the-same")
    assert started(deployment) == ["all-the-same"], "who said yes does not rely on a count that may be late"


@pytest.fixture
def progress(deployment: Deployment) -> Callable[[Progress], None]:
    """Let a run called ``africa`` be so far, by its records."""
    deployment.client("stepfunctions").start_execution(stateMachineArn=deployment.state_machine_arn, name="africa")

    def put(made: Progress) -> None:
        vars(deployment)["records"] = SimpleNamespace(progress={"africa": made}.__getitem__)

    return put


def test_a_resumed_run_is_asked_for_by_what_is_left_of_it(
    deployment: Deployment, asked: list[str], progress: Callable[[Progress], None]
) -> None:
    states = (State.PUBLISHED, State.SKIPPED, State.ABSENT, State.FAILED)
    progress(Progress(6, tuple(TileResult(state, 2020, "N10E010", "africa") for state in states)))
    command("resume")(deployment, "africa", name="on")
    progress(Progress(1, ()))
    command("resume")(deployment, "africa", name="again")
    assert [re.sub(r"\$\d\S*", "<dollars>", question) for question in asked] == [
        "By its records 4 of 6 tiles of africa are not published. Go on with it on Trial, for <dollars> at most?",
        "By its records 1 of 1 tile of africa is not published. Go on with it on Trial, for <dollars> at most?",
    ]
    assert set(started(deployment)) == {"africa", "on", "again"}


def test_a_run_of_which_nothing_is_left_is_nothing_to_do(
    deployment: Deployment,
    asked: list[str],
    progress: Callable[[Progress], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    progress(Progress(1, (TileResult(State.PUBLISHED, 2020, "N10E010", "africa"),)))
    with pytest.raises(typer.Exit) as ended:
        command("resume")(deployment, "africa")
    assert ended.value.exit_code == NOTHING_TO_DO
    told = capsys.readouterr().out
    assert told.startswith("All tiles of africa are published, by its records; ")
    assert told.endswith("alos-mosaic resume africa --yes\n")
    progress(Progress(0, ()))
    with pytest.raises(InvalidRequestError, match="africa has no tiles to go on with"):
        command("resume")(deployment, "africa")
    assert (asked, started(deployment)) == ([], ["africa"])
