"""What ``run``, ``redrive`` and ``resume`` refuse before anything is started, and what they ask."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
import typer
from moto import mock_aws
from typer.testing import CliRunner

from alos_mosaic.cli import run as commands
from alos_mosaic.cli.console import NOTHING_TO_DO
from alos_mosaic.cli.deployment import Deployment
from alos_mosaic.cli.main import app
from alos_mosaic.cli.status import Lines
from alos_mosaic.costs import Architecture, Worker
from alos_mosaic.errors import InvalidRequestError, RunGoingOnError
from alos_mosaic.results import State, TileResult
from alos_mosaic.run_records import Progress
from alos_mosaic.runs import Run
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
    found: Callable[..., None] = getattr(commands, name).__wrapped__.__wrapped__
    return found


def start(deployment: Deployment, name: str, *, is_over: bool = False) -> str:
    """Start an execution, which goes on until it is stopped."""
    states = deployment.client("stepfunctions")
    arn: str = states.start_execution(stateMachineArn=deployment.state_machine_arn, name=name)["executionArn"]
    if is_over:
        states.stop_execution(executionArn=arn)
    return arn


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
    command("redrive")(deployment, name="all", allow_parallel=True)
    for _ in range(1200):
        sqs.send_message(QueueUrl=queue, MessageBody="{}")
    which = {"error": "CorruptArchiveError", "year": 2020, "of_run": "africa", "limit": 5}
    command("redrive")(deployment, **which, name="some", allow_parallel=True)
    sqs.receive_message(QueueUrl=queue)
    command("redrive")(deployment, tile="N10E010", limit=1, name="one", allow_parallel=True)
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
    """Let a run called ``africa``, which is over, be so far, by its records."""
    start(deployment, "africa", is_over=True)

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
    command("resume")(deployment, "africa", name="again", allow_parallel=True)
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


def test_beside_a_run_that_is_going_on_nothing_is_started(deployment: Deployment) -> None:
    vars(deployment)["seed_settings"] = SeedSettings(runs_bucket="runs", output_uri="s3://out")
    vars(deployment)["worker"] = Worker(5e6, 2048, Architecture.X86_64, 10_240)
    deployment.client("s3").create_bucket(Bucket="out")
    start(deployment, "old", is_over=True)
    arn = start(deployment, "africa")
    run = command("run").__wrapped__  # type: ignore[attr-defined]
    selected = {"years": ["2020"], "tiles": ["N10E010"]}
    for begin in (
        lambda **given: run(selected, deployment=deployment, yes=True, **given),
        lambda **given: command("redrive")(deployment, yes=True, **given),
        lambda **given: command("resume")(deployment, "old", yes=True, **given),
    ):
        before = set(started(deployment))
        with pytest.raises(RunGoingOnError) as refused:
            begin()
        said = str(refused.value)
        assert said.startswith("the run africa is going on since ")
        for step in ("alos-mosaic status africa", f"stop-execution --execution-arn {arn}", "--allow-parallel"):
            assert step in said
        assert set(started(deployment)) == before
        begin(allow_parallel=True, name=f"beside-{len(before)}")
        assert len(started(deployment)) == len(before) + 1


def test_a_rehearsal_is_let_through_beside_a_run(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    start(deployment, "africa")
    monkeypatch.setattr(commands, "_await", lambda *_: None)
    command("redrive")(deployment, dry_run=True, name="dry")
    assert set(started(deployment)) == {"africa", "dry"}


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (
            {"status": "FAILED", "error": "RunTooLargeError", "cause": "178 tiles"},
            "old had no tile to work on: 178 tiles",
        ),
        (
            {"status": "SUCCEEDED", "output": {"seed": {"count": 0}}},
            "old had no tile to work on: all that it was asked",
        ),
    ],
)
def test_a_run_that_had_no_tile_is_not_gone_on_with(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any], said: str
) -> None:
    when = datetime(2026, 1, 2, tzinfo=UTC)
    facts = {"started": when, "ended": when, "given": {}, **facts}
    monkeypatch.setattr(commands, "find_run", lambda *_: Run("old", "arn", **facts))
    with pytest.raises(InvalidRequestError, match=said):
        command("resume")(deployment, "old", yes=True)
    assert started(deployment) == []


def broken_off(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("arguments", [("run", "--years", "2020"), ("redrive",), ("resume", "africa")])
def test_ctrl_c_before_the_start_says_that_nothing_was_started(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr("alos_mosaic.cli.deployment._session", broken_off)
    done = CliRunner().invoke(app, [*arguments, "--yes"])
    assert (done.exit_code, done.stdout) == (130, "")
    assert done.stderr == "alos-mosaic: broken off; nothing was started\n"


@pytest.mark.parametrize("moment", ["find_run", "view", "out"])
def test_ctrl_c_after_the_start_says_that_the_run_goes_on(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], moment: str
) -> None:
    when = datetime(2026, 1, 2, tzinfo=UTC)
    vars(deployment)["records"] = SimpleNamespace(progress=lambda _: Progress(0, ()))
    vars(deployment)["worker"] = Worker(5e6, 2048, Architecture.X86_64, 10_240)
    monkeypatch.setattr(commands, "find_run", lambda *_: Run("on", "arn", "SUCCEEDED", when, when, {}))
    monkeypatch.setattr(commands, moment, broken_off)
    with pytest.raises(typer.Exit) as ended:
        command("redrive")(deployment, yes=True, wait=True, name="on")
    assert ended.value.exit_code == 130
    told = capsys.readouterr()
    assert told.out == "Started on\n"
    assert told.err == "on goes on without you; alos-mosaic status on shows how far it is\n"
    assert started(deployment) == ["on"]


@pytest.mark.parametrize(("tiles", "code"), [(0, NOTHING_TO_DO), (2, 0)])
def test_a_redrive_that_is_waited_for_tells_whether_it_found_a_tile(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, tiles: int, code: int
) -> None:
    when = datetime(2026, 1, 2, tzinfo=UTC)
    told = {"tiles": tiles, "first_tiles": [], "dry_run": True}
    told |= {"published_since": 0, "left_in_queue": 3, "unreadable": 0}
    told |= {"left_by_error": {"CorruptArchiveError": 2, "OutputError": 1}}
    found = Run("dry", "arn", "SUCCEEDED", when, when, {}, output={"seed": {"count": 0, "redrive": told}})
    vars(deployment)["records"] = SimpleNamespace(progress=lambda _: Progress(0, ()))
    vars(deployment)["worker"] = Worker(5e6, 2048, Architecture.X86_64, 10_240)
    monkeypatch.setattr(commands, "find_run", lambda *_: found)
    with pytest.raises(typer.Exit) as ended:
        command("redrive")(deployment, error="Corupt", yes=True, wait=True, dry_run=True, name="dry")
    assert ended.value.exit_code == code


def test_without_a_terminal_progress_is_lines_with_rate_time_cost_and_what_failed() -> None:
    run = Run("on", "arn", "RUNNING", datetime.now(UTC) - timedelta(hours=1), None, {})
    lines = Lines(Worker(5e6, 2048, Architecture.X86_64, 10_240))
    published = TileResult(State.PUBLISHED, 2020, "N10E010", "on", seconds={"write": 60.0})
    failed = [
        TileResult(State.FAILED, 2020, f"N10E0{number}", "on", error="OutputError", cause="disk full\nat 3")
        for number in range(10, 17)
    ]
    assert list(lines.of(run, Progress(0, ()))) == []
    assert list(lines.of(run, Progress(10, ()))) == [
        "0 of 10 tiles ended, 0 failed; 0 tiles an hour, no tile has ended yet, $0 so far"
    ]
    (line,) = lines.of(run, Progress(10, (published,)))
    assert re.fullmatch(r"1 of 10 tiles ended, 0 failed; 1 tiles? an hour, about 9 h 0 min left, \$0\.\d+ so far", line)
    assert list(lines.of(run, Progress(10, (published,)))) == []
    told = list(lines.of(run, Progress(10, (published, failed[0]))))
    assert told[0].startswith("2 of 10 tiles ended, 1 failed; ")
    assert told[1:] == ["  failed: 2020/N10E010 OutputError: disk full"]
    told = list(lines.of(run, Progress(10, (published, *failed))))
    assert len(told) == 1 + 5 + 1
    assert told[-1] == "  failed: 1 more"
