"""What commands say of a run, by a state machine's executions, without a cloud: how it ended, and what to do."""

from __future__ import annotations

import inspect
import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from alos_mosaic import errors
from alos_mosaic.advice import ADVICE, advice_on
from alos_mosaic.cli import deployment, report
from alos_mosaic.cli.console import out, table
from alos_mosaic.cli.main import app
from alos_mosaic.processing import validation
from alos_mosaic.processing.checks import Check, Verdict
from alos_mosaic.results import State, TileResult
from alos_mosaic.run_records import Progress

MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:Mosaics"
STACK = {
    "StackName": "Mosaics",
    "Outputs": [{"OutputKey": key, "OutputValue": "x"} for key in deployment.OUTPUTS - {"StateMachineArn"}]
    + [{"OutputKey": "StateMachineArn", "OutputValue": MACHINE}],
}
STARTED = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


class Executions:
    """A state machine's executions, the newest first, as Step Functions' client tells them."""

    exceptions = SimpleNamespace(ExecutionDoesNotExist=KeyError)

    def __init__(self) -> None:
        self.all: dict[str, dict[str, Any]] = {}

    def add(self, name: str, status: str, **facts: Any) -> None:
        entry = {"name": name, "executionArn": f"{MACHINE}:{name}", "status": status, "startDate": STARTED}
        self.all = {name: {**entry, "stopDate": STARTED, **facts}, **self.all}

    def get_paginator(self, _name: str) -> Any:
        return SimpleNamespace(paginate=lambda **_: [{"executions": list(self.all.values())}])

    def describe_execution(self, *, executionArn: str) -> dict[str, Any]:  # noqa: N803 - Step Functions' name
        return self.all[executionArn.rpartition(":")[2]]


class Desk:
    """A session of AWS with one deployment, of which commands see what is put here."""

    region_name = "us-east-1"

    def __init__(self) -> None:
        self.executions = Executions()
        self.progress: dict[str, Progress] = {}
        self.log: list[dict[str, Any]] = []
        self.asked: list[dict[str, Any]] = []

    def client(self, service: str, **_: Any) -> Any:
        if service == "stepfunctions":
            return self.executions
        if service == "lambda":
            return SimpleNamespace(get_function_configuration=lambda **_: {"MemorySize": 2048})
        pages = {"cloudformation": {"Stacks": [STACK]}, "logs": {"events": self.log}, "s3": {}}[service]
        return SimpleNamespace(
            get_paginator=lambda _: SimpleNamespace(paginate=lambda **given: self._asked(given, pages))
        )

    def _asked(self, given: dict[str, Any], page: dict[str, Any]) -> list[dict[str, Any]]:
        self.asked.append(given)
        return [page]

    def records(self, *_: Any) -> Any:
        return SimpleNamespace(progress=lambda run: self.progress.get(run, Progress(0, ())), summary=lambda _run: None)


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    made = Desk()
    monkeypatch.setattr(deployment, "_session", lambda *_: made)
    monkeypatch.setattr(deployment, "RunRecords", made.records)
    monkeypatch.setattr(report, "describe", lambda *_: None)
    monkeypatch.setattr(report, "read_run_end", lambda *_: None)  # there is no bucket to read
    return made


def invoke(*arguments: str, code: int = 0) -> Result:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == code, done.output
    return done


def failed(tile: str, error: str = "CorruptArchiveError", said: str = "it broke", **facts: Any) -> TileResult:
    return TileResult(State.FAILED, 2020, tile, "a", error=error, cause=said, **facts)


def test_there_is_advice_on_every_error() -> None:
    ours = {name for name, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.MosaicError)}
    assert ours - {errors.MosaicError.__name__} <= ADVICE.keys()


@pytest.mark.parametrize("error", ["RunTooExpensiveError", "RunTooLargeError", "Odd.Error"])
def test_a_run_that_failed_as_a_whole_is_told_with_its_error_and_advice(desk: Desk, error: str) -> None:
    desk.executions.add("a", "FAILED", error=error, cause="1110.06 USD, the cap is 1000")
    shown = invoke("failures", "a", code=1).stdout
    assert "Nothing failed" not in shown
    for said in (error, "1110.06 USD, the cap is 1000", advice_on(error)):
        assert said in shown
        assert said in " ".join(invoke("status", "a", code=1).stdout.split())
    (told,) = json.loads(invoke("failures", "a", "--json", code=1).stdout)
    assert (told["error"], told["tiles"], told["advice"]) == (error, [], advice_on(error))


def test_a_run_whose_tiles_were_absent_is_not_sent_to_its_failures(desk: Desk) -> None:
    desk.executions.add("a", "FAILED", error="IncompleteRunError", cause="1 of 2 known tiles came out absent")
    desk.progress["a"] = Progress(1, (TileResult(State.ABSENT, 2020, "N10E010", "a"),))
    shown = invoke("failures", "a", code=1).stdout
    assert "see that the source still has its folders (alos-mosaic doctor --source)" in shown
    assert "alos-mosaic failures" not in shown
    (told,) = json.loads(invoke("failures", "a", "--json", code=1).stdout)
    assert told["advice"] in shown


@pytest.mark.parametrize("facts", [{}, {"error": "Oops", "cause": "wrong region"}, {"error": "InvalidRequestError"}])
@pytest.mark.parametrize("failures", [(), ("N10E010",)])
def test_a_run_that_was_stopped_says_how_to_go_on(desk: Desk, facts: dict[str, str], failures: tuple[str, ...]) -> None:
    desk.executions.add("a", "ABORTED", **facts)
    desk.progress["a"] = Progress(3, tuple(map(failed, failures)))
    for name in ("failures", "status"):
        shown = " ".join(invoke(name, "a", code=1).stdout.split())
        assert advice_on("ABORTED") in shown
        assert "it may be a bug of ours" not in shown
        assert "alos-mosaic resume a" in shown
        assert all(said in shown for said in facts.values())
    assert f"{3 - len(failures)} not done" in shown
    assert "waiting" not in shown
    told = json.loads(invoke("failures", "a", "--json", code=1).stdout)
    assert [each["error"] for each in told] == ["CorruptArchiveError"] * len(failures) + ["ABORTED"]


def test_a_run_that_was_stopped_before_its_tiles_were_listed_is_not_to_be_gone_on_with(desk: Desk) -> None:
    desk.executions.add("a", "TIMED_OUT", error="States.Timeout")
    for name in ("failures", "status"):
        shown = invoke(name, "a", code=1).stdout
        assert "it took longer than a run may" in shown
        assert "alos-mosaic resume a" not in shown


@pytest.mark.parametrize(("status", "said"), [("SUCCEEDED", "."), ("RUNNING", " so far.")])
def test_nothing_failed_of_a_run_that_did_not(desk: Desk, status: str, said: str) -> None:
    desk.executions.add("a", status)
    assert invoke("failures", "a").stdout == f"Nothing failed in a{said}\n"
    assert json.loads(invoke("failures", "a", "--json").stdout) == []


def line(desk: Desk, message: str | dict[str, Any]) -> None:
    text = message if isinstance(message, str) else json.dumps(message)
    desk.log.append({"timestamp": 1_767_323_045_000, "message": text})


def test_a_tile_s_log_is_its_own_with_what_was_wrong_and_without_metrics(desk: Desk) -> None:
    desk.executions.add("a", "FAILED")
    own = {"tile": "N10E010", "year": 2020, "run": "a", "requestId": "r1", "level": "INFO"}
    line(desk, {**own, "message": "Fetched", "stage": "gather", "url": "ftp://host/x.tar.gz"})
    line(desk, {**own, "message": "Tile failed", "level": "ERROR", "error": "OutputError", "errorMessage": "disk full"})
    line(desk, {**own, "message": "Tile ended", "state": "failed"})
    line(desk, {**own, "_aws": {"CloudWatchMetrics": []}, "Failed": 1})
    line(desk, {"level": "ERROR", "errorType": "Runtime.Odd", "errorMessage": "it left", "requestId": "r1"})
    line(desk, {"type": "platform.report", "record": {"requestId": "r1", "status": "timeout"}})
    raised = json.dumps({"tile": "N10E010", "year": 2020, "run": "a", "cause": "no memory"})
    line(desk, {"level": "ERROR", "errorType": "OutputError", "errorMessage": raised, "requestId": "r9"})
    others = [{"tile": "N10E015"}, {"year": 2019}, {"run": "b"}]
    for other in others:
        line(desk, {**own, **other, "requestId": "r2", "message": "of another"})
    line(desk, {"level": "ERROR", "errorType": "Runtime.Odd", "errorMessage": "of another", "requestId": "r2"})
    line(desk, "some words of another")
    assert invoke("logs", "2020/N10E010", "--run", "a").stdout.splitlines() == [
        "2026-01-02 03:04:05 INFO Fetched stage=gather url=ftp://host/x.tar.gz",
        "2026-01-02 03:04:05 ERROR Tile failed error=OutputError cause=disk full",
        "2026-01-02 03:04:05 INFO Tile ended state=failed",
        "2026-01-02 03:04:05 ERROR error=Runtime.Odd cause=it left",
        "2026-01-02 03:04:05 Lambda: platform.report timeout",
        "2026-01-02 03:04:05 ERROR error=OutputError cause=no memory",
    ]
    assert len(json.loads(invoke("logs", "2020/N10E010", "--run", "a", "--json").stdout)) == 7
    (pattern,) = {given["filterPattern"] for given in desk.asked if "filterPattern" in given}
    assert pattern.startswith('{ ($.tile = "N10E010" && $.year = 2020 && $.run = "a") || ($.tile NOT EXISTS')


def test_a_line_has_the_time_at_which_it_was_written_and_is_one_line(desk: Desk) -> None:
    desk.executions.add("a", "FAILED")
    own = {"tile": "N10E010", "year": 2020, "run": "a", "level": "ERROR", "message": "Tile failed"}
    line(desk, {**own, "timestamp": "2026-01-01T23:59:58Z", "errorMessage": "451\n17:00:00 INFO Tile ended\x1b[2J"})
    line(desk, {**own, "timestamp": "yesterday"})
    assert invoke("logs", "2020/N10E010", "--run", "a").stdout.splitlines() == [
        "2026-01-01 23:59:58 ERROR Tile failed cause=451 17:00:00 INFO Tile ended\\x1b[2J",
        "2026-01-02 03:04:05 ERROR Tile failed",
    ]


def test_a_log_without_a_line_of_the_tile_says_so(desk: Desk) -> None:
    desk.executions.add("a", "RUNNING")
    line(desk, {"tile": "N10E015", "year": 2020, "run": "a", "message": "of another"})
    assert "has no line of 2020/N10E010 in a" in invoke("logs", "2020/N10E010", code=1).stderr


HOSTILE = "451 \x1b]0;OWNED\x07\x1b[2J\u202egone"


def test_what_servers_say_does_not_steer_the_terminal(desk: Desk) -> None:
    record = TileResult.from_dict({**failed("N10E010").to_dict(), "error": HOSTILE, "cause": HOSTILE, "log": HOSTILE})
    desk.executions.add("a", "FAILED", error="Odd.Error", cause=HOSTILE)
    desk.executions.add("b", "FAILED", error="IncompleteRunError")
    desk.progress["b"] = Progress(1, (record,))
    for command in ("status", "failures"):
        for run in ("a", "b"):
            shown = invoke(command, run, code=1).stdout
            assert r"451 \x1b]0;OWNED\x07\x1b[2J\u202egone" in shown
            assert not {"\x1b", "\x07", "\u202e"} & set(shown)


EMPTY = json.dumps({"seed": {"count": 0}})


def test_the_newest_run_with_tiles_is_looked_at_where_none_is_named(desk: Desk) -> None:
    desk.executions.add("real", "FAILED", error="IncompleteRunError")
    desk.executions.add("dry", "SUCCEEDED", output=EMPTY)
    for error in ("RunTooLargeError", "RunTooExpensiveError", "InvalidRequestError", "SourceUnavailableError"):
        desk.executions.add(error, "FAILED", error=error)
    desk.progress["real"] = Progress(1, (failed("N10E010"),))
    line(desk, {"tile": "N10E010", "year": 2020, "run": "real", "message": "Fetched"})
    assert "failed in real" in invoke("failures", code=1).stdout
    assert "Fetched" in invoke("logs", "2020/N10E010").stdout
    assert "real has no report: it ended before its tiles were listed" in invoke("report", code=1).stderr
    assert invoke("status", code=1).stdout.startswith("SourceUnavailableError"), "what went on last"


def test_a_run_without_tiles_says_so(desk: Desk) -> None:
    desk.executions.add("dry", "SUCCEEDED", output=EMPTY)
    for name in ([], ["dry"]):
        assert invoke("failures", *name).stdout == "Nothing failed in dry: it had no tile to work on.\n"
        assert "dry has no report: it had no tile to work on" in invoke("report", *name, code=1).stderr


def test_a_run_that_found_all_published_says_so(desk: Desk) -> None:
    desk.executions.add("again", "SUCCEEDED", output=EMPTY)
    assert "It had no tile to work on: all that it was asked for is published." in invoke("status", "again").stdout


def test_runs_say_what_they_were(desk: Desk) -> None:
    inputs = [
        {"years": [2020], "region": "africa", "max_tiles": 5, "accept_partial": True},
        {"years": [2017, 2020], "tiles": [f"N10E0{number}" for number in range(10, 60, 5)], "mode": "refresh"},
        {"redrive": {"error": "OutputError", "dry_run": True}},
        {"redrive": {}, "allow_parallel": True},
        {"resume": {"run": "a"}},
        {"resume": "a\x1b[2J"},
        {"years": None},
        [1],
    ]
    for number, given in enumerate(inputs):
        desk.executions.add(f"r{number}", "SUCCEEDED", input=json.dumps(given))
    header, *rows = invoke("runs").stdout.splitlines()
    assert header.split() == ["run", "status", "started", "(UTC)", "took", "what"]
    assert [row.partition("0.0 s  ")[2] for row in reversed(rows)] == [
        "2020 region=africa accept_partial",
        "2017,2020 tiles=N10E010,N10E015,N10E020,N10E025,... (10) mode=refresh",
        "redrive error=OutputError dry_run",
        "redrive",
        "resume run=a",
        "resume a\\x1b[2J",
        "None",
        "value=1",
    ]
    told = json.loads(invoke("runs", "--limit", "1", "--json").stdout)
    assert told[0]["run"] == "r7"


def test_a_redrive_of_an_error_that_no_tile_has_says_which_there_are(desk: Desk) -> None:
    told = {"tiles": 0, "first_tiles": [], "dry_run": False, "published_since": 0, "left_in_queue": 3, "unreadable": 0}
    told["left_by_error"] = {"CorruptArchiveError": 2, "OutputError": 1}
    desk.executions.add("a", "SUCCEEDED", output=json.dumps({"seed": {"count": 0, "redrive": told}}))
    said = "No tile in the queue is the one asked for; there are 3 letters: 2 CorruptArchiveError, 1 OutputError"
    assert said in invoke("status", "a").stdout


def test_of_many_reasons_the_largest_are_printed_and_all_are_told_to_machines(desk: Desk) -> None:
    words = ["".join(chr(97 + number // 26**place % 26) for place in range(3)) for number in range(30)]
    many = [failed(f"N10E0{number}", said=f"{word} " * 500) for number, word in enumerate(words, 10)]
    desk.executions.add("a", "FAILED", error="IncompleteRunError")
    desk.progress["a"] = Progress(90, (*many, failed("N00E010", said="common"), failed("N00E015", said="common")))
    shown = invoke("failures", "a", code=1).stdout
    assert shown.startswith("32 of 90 tiles failed in a, for 31 reasons\n\n2 x CorruptArchiveError\n")
    assert shown.count(" x CorruptArchiveError") == 20
    last = "And 11 more reasons of 11 tiles: --json has all, alos-mosaic failures a --group-by error fewer"
    assert shown.splitlines()[-1] == last
    assert max(map(len, shown.splitlines())) < 400
    told = json.loads(invoke("failures", "a", "--json", code=1).stdout)
    assert len(told) == 31
    assert told[-1]["example"]["cause"] == many[-1].cause


def test_a_redrive_of_one_of_several_causes_is_of_its_tile_or_says_what_it_takes(desk: Desk) -> None:
    desk.executions.add("a", "FAILED", error="IncompleteRunError")
    twice = [failed(tile, said="cut short") for tile in ("N10E010", "N10E015")]
    desk.progress["a"] = Progress(5, (*twice, failed("N20E010", said="no zip"), failed("N00E010", "OutputError")))
    shown = [" ".join(each.split()) for each in invoke("failures", "a", code=1).stdout.splitlines()]
    redrive = "redrive alos-mosaic redrive --error"
    assert [each for each in shown if each.startswith("redrive")] == [
        f"{redrive} CorruptArchiveError --run a",
        f"{redrive} CorruptArchiveError --run a --year 2020 --tile N20E010",
        f"{redrive} OutputError --run a",
    ]
    assert shown.count("which sends all 3 tiles with this error") == 1


def test_a_run_that_goes_on_is_not_one_without_tiles(desk: Desk) -> None:
    desk.executions.add("old", "SUCCEEDED", output=json.dumps({"seed": {}, "summary": {}}))
    desk.executions.add("new", "RUNNING")
    assert invoke("failures").stdout == "Nothing failed in new so far.\n"
    assert "new has no report yet: it is going on" in invoke("report", code=1).stderr


def test_failures_come_with_commands_for_the_log_and_a_partial_tile(desk: Desk) -> None:
    desk.executions.add("a b", "FAILED", error="IncompleteRunError")
    broken, busy = (
        failed("N10E010", product="forest", defective_cells=("N09E010",)),
        failed("N10E015", "SourceUnavailableError", log="/group stream"),
    )
    desk.progress["a b"] = Progress(2, (broken, busy))
    shown = [" ".join(each.split()) for each in invoke("failures", "a b", code=1).stdout.splitlines()]
    assert "log alos-mosaic logs 2020/N10E015 --run 'a b'" in shown
    partial = "alos-mosaic run --years 2020 --tiles N10E010 --product forest --mode refresh --accept-partial"
    assert [each for each in shown if "--accept-partial" in each and "or accept" in each][-1] == f"or accept {partial}"
    desk.progress["a b"] = Progress(1, (failed("N10E010"),))
    assert "or accept " not in invoke("failures", "a b", code=1).stdout, "of a whole archive nothing can be accepted"
    desk.progress["a b"] = Progress(2, (broken, busy))
    told = json.loads(invoke("failures", "a b", "--json", code=1).stdout)
    assert [each["accept_partial"] for each in told] == [partial, None]
    assert [each["logs"].split()[2] for each in told] == ["2020/N10E010", "2020/N10E015"]


def test_commands_to_copy_find_the_same_deployment(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ALOS_MOSAIC_STACK", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    where = ("--stack", "Mosaics", "--profile", "team", "--aws-region", "us-east-1")
    assert f"start one: alos-mosaic run --years 2020 {' '.join(where)}" in invoke("runs", *where).stdout
    desk.executions.add("a", "FAILED", error="IncompleteRunError")
    desk.progress["a"] = Progress(1, (failed("N10E010", defective_cells=("N09E010",)),))
    commands = {
        "status": "alos-mosaic failures a",
        "failures": "alos-mosaic run --years 2020 --tiles N10E010 --mode refresh --accept-partial",
        "report": "alos-mosaic status b",
    }
    desk.executions.add("b", "RUNNING")
    for name, command in commands.items():
        done = CliRunner().invoke(app, [name, command[-1] if name == "report" else "a", *where])
        assert f"{command} {' '.join(where)}" in " ".join(done.output.split()), name


def test_piped_text_has_whole_lines_and_no_space_behind(capsys: pytest.CaptureFixture[str]) -> None:
    path = "s3://bucket/" + "long/" * 100 + "item.json"
    shown = table("path", "note")
    shown.add_row(path, "x")
    shown.add_row("short", "")
    out().print(shown)
    out().print(path)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [["path", "note"], [path, "x"], ["short"], [path]]
    assert [line.rstrip() for line in lines] == lines


def test_checks_that_were_not_made_are_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    skipped = [
        Check("item", name, Verdict.SKIPPED, "its schema can't be read from the web") for name in ("raster", "sar")
    ]
    checks = (Check("item", "is there", Verdict.OK), *skipped)
    monkeypatch.setattr(validation, "validate_tile", lambda *_: checks)
    uri = f"{tmp_path.as_uri()}/alos_palsar_mosaic/2020/N10E010"
    assert [" ".join(line.split()) for line in invoke("validate", uri).stdout.splitlines() if line] == [
        "item",
        "is there ok",
        "Skipped, 2 of 3 checks, like that of raster: its schema can't be read from the web",
        "Nothing is wrong with it.",
    ]
    told = json.loads(invoke("validate", uri, "--json").stdout)
    assert [check["verdict"] for check in told["checks"]] == ["ok", "skipped", "skipped"]
